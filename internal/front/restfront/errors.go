package restfront

import (
	"cmp"
	"errors"
	"log/slog"
	"strings"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/front/errorbody"
	"github.com/hubward/hubward/internal/hub"
)

// envelope is the body of every error: "ErrorCode:NAME;text" and "Tracking ID:…". Both members are always filled in: clients
// in Go and Node demand it. Calls of methods have a second form, as in the cloud: Message is the JSON of a nestedError, and
// ExceptionMessage is empty.
//
// Source: common/transport/http/src/http.ts and rest_api_client.ts of Azure/azure-iot-sdk-node; amenzhinsky/iothub
// iotservice/client.go.
type envelope struct {
	Message          string
	ExceptionMessage string
}

// texts are what the peer reads when an error brings no message of its own.
var texts = map[hubward.Code]string{
	hubward.CodeServerError:           "The hub failed to do this, its log has the cause under the tracking id",
	hubward.CodeServiceUnavailable:    "The hub is busy, try again",
	hubward.CodeUnauthorizedAccess:    "Unauthorized",
	hubward.CodeDeviceNotFound:        "There is no such device",
	hubward.CodeModuleNotFound:        "There is no such module",
	hubward.CodePreconditionFailed:    "The device's etag is another one",
	hubward.CodeDeviceMessageLockLost: "The lock of the message has ended, or there never was one with this token",
}

// fail answers with the envelope for err. The status is the code's; causes are logged, never sent.
func (c *call) fail(err error) {
	var e *hubward.Error
	if !errors.As(err, &e) && c.ctx.Err() != nil {
		// It took too long, or the process ends; or the client has left, and will not read this.
		e = hubward.Wrap(hubward.CodeServiceUnavailable, "restfront.fail", err)
		err = e
	}
	code, text := describe(err)
	c.logFailure(code, e, err)
	c.setHeader("iothub-errorcode", code.String())
	if c.isBulk() {
		c.setHeader("IotHubErrorCode", code.String())
	}
	if c.nested && concernsIdentity(code) {
		c.answer(code.HTTPStatus(), c.nestedEnvelope(code, text))
		return
	}
	c.answer(code.HTTPStatus(), c.envelope(code, text))
}

// concernsIdentity reports whether a code says that an identity is not there, or what it has not done.
func concernsIdentity(code hubward.Code) bool {
	return code.HTTPStatus() == 404 || isDevices(code)
}

// isDevices reports whether a code of 500 and above is of the device's doing, not the hub's.
func isDevices(code hubward.Code) bool {
	return code == hubward.CodeGatewayTimeout || code == hubward.CodeBadDeviceResponse
}

// nestedEnvelope is the second form of errors, whose Message is a text that holds JSON. SDKs read the number in it.
//
// Source: ErrorMessageParser of Azure/azure-iot-sdk-java; ExceptionHandlingHelper.cs of Azure/azure-iot-sdk-csharp, which takes
// no members that are objects.
func (c *call) nestedEnvelope(code hubward.Code, text string) envelope {
	inner, err := errorbody.Encode(code, c.id, text, c.server.now())
	if err != nil {
		return c.envelope(code, text)
	}
	return envelope{Message: string(inner)}
}

func (c *call) envelope(code hubward.Code, text string) envelope {
	return envelope{
		Message:          "ErrorCode:" + code.String() + ";" + text,
		ExceptionMessage: "Tracking ID:" + errorbody.TrackingID(c.id, c.server.now()),
	}
}

// describe returns the code of err, and what the peer reads of it after the ';' at which SDKs split: never empty, without a
// ';' of its own. An error of ours is not told: it may speak of our disks.
func describe(err error) (hubward.Code, string) {
	code, text := hubward.CodeOf(err), ""
	var damage *hub.DamageError
	var e *hubward.Error
	if errors.As(err, &damage) {
		text = damage.Text()
	} else if errors.As(err, &e) && (code.HTTPStatus() < 500 || isDevices(code)) {
		text = e.Message
	}
	return code, strings.ReplaceAll(cmp.Or(text, texts[code], code.String()), ";", ",")
}

// itemError is describe for one item of a call that is answered as a whole. It logs what the peer is not told.
func (c *call) itemError(id hubward.Identity, err error) (hubward.Code, string) {
	code, text := describe(err)
	if code.HTTPStatus() >= 500 {
		c.log().Error("an item of a request failed", "method", c.r.Method, "device", id.String(), "code", code.String(), "error", err)
	}
	return code, text
}

// isBulk reports whether the call is bulkDevices, of whose errors .NET reads the code from a second header.
func (c *call) isBulk() bool {
	return c.r.Method == "POST" && len(c.path) == 1 && strings.EqualFold(c.path[0], "devices")
}

func (c *call) logFailure(code hubward.Code, e *hubward.Error, err error) {
	level := slog.LevelDebug // the client's doing, the device's, or that of who stops the process
	drained := code == hubward.CodeServiceUnavailable && c.server.drains()
	if code.HTTPStatus() >= 500 && !isDevices(code) && !drained && c.r.Context().Err() == nil {
		level = slog.LevelError
	}
	device := ""
	if e != nil {
		device = e.Identity.String()
	}
	if device == "" && len(c.path) > 1 && (strings.EqualFold(c.path[0], "devices") || strings.EqualFold(c.path[0], "twins")) {
		device = c.path[1]
	}
	c.log().Log(c.r.Context(), level, "request failed", "method", c.r.Method, "device", device, "code", code.String(), "error", err)
}
