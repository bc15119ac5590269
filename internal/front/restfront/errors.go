package restfront

import (
	"errors"
	"log/slog"
	"strings"

	"github.com/hubward/hubward"
)

// envelope is the body of every error: E1 of spec/service-rest.md 3.1. Both members are always filled in: the SDKs
// for Go and Node demand it.
type envelope struct {
	Message          string
	ExceptionMessage string
}

const trackingTime = "01/02/2006 15:04:05"

// texts are what the peer reads when an error brings no message of its own.
var texts = map[hubward.Code]string{
	hubward.CodeServerError:           "The hub failed to do this, its log has the cause under the tracking id",
	hubward.CodeServiceUnavailable:    "The hub is busy, try again",
	hubward.CodeUnauthorizedAccess:    "Unauthorized",
	hubward.CodeDeviceNotFound:        "There is no such device",
	hubward.CodePreconditionFailed:    "The device's etag is another one",
	hubward.CodeDeviceMessageLockLost: "The lock of the message has ended, or there never was one with this token",
}

// fail answers with the envelope for err. The status is the code's; causes are logged, never sent.
func (c *call) fail(err error) {
	code, message := hubward.CodeOf(err), ""
	var e *hubward.Error
	if errors.As(err, &e) {
		message = e.Message
	} else if c.r.Context().Err() != nil {
		code = hubward.CodeServiceUnavailable // the process ends; or the client has left, and will not read this
	}
	c.logFailure(code, e, err)
	c.setHeader("iothub-errorcode", code.String())
	if c.isBulk() {
		c.setHeader("IotHubErrorCode", code.String())
	}
	if code.HTTPStatus() >= 500 {
		message = "" // may speak of our disks
	}
	c.answer(code.HTTPStatus(), envelope{
		Message: "ErrorCode:" + code.String() + ";" + cleanMessage(code, message),
		ExceptionMessage: "Tracking ID:" + c.id + "-G:0-TimeStamp:" +
			c.server.now().UTC().Format(trackingTime),
	})
}

// cleanMessage is the text after the ';' at which SDKs split: never empty, without a ';' of its own.
func cleanMessage(code hubward.Code, message string) string {
	if message == "" {
		message = texts[code]
	}
	if message == "" {
		message = code.String()
	}
	return strings.ReplaceAll(message, ";", ",")
}

// isBulk reports whether the call is D5, of whose errors .NET reads the code from a second header.
func (c *call) isBulk() bool {
	return c.r.Method == "POST" && len(c.path) == 1 && strings.EqualFold(c.path[0], "devices")
}

func (c *call) logFailure(code hubward.Code, e *hubward.Error, err error) {
	level := slog.LevelDebug // the client's doing
	if code.HTTPStatus() >= 500 && c.r.Context().Err() == nil {
		level = slog.LevelError
	}
	device := ""
	if e != nil {
		device = e.Device
	}
	if device == "" && len(c.path) > 1 && strings.EqualFold(c.path[0], "devices") {
		device = c.path[1]
	}
	c.log().Log(c.r.Context(), level, "request failed", "method", c.r.Method, "device", device, "code", code.String(), "error", err)
}
