package restfront

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/hubward/hubward"
)

const (
	// maxMethodBody bounds a call of a method, in bytes: its payload, and as much again as it takes to name the rest.
	maxMethodBody = hubward.MaxMethodPayload + 16<<10
	// methodMargin is what a call may take besides the waiting that it asks for.
	methodMargin = 15 * time.Second
)

// methodBody is a call of a method. Numbers may be written in any way.
//
// Source: learn.microsoft.com/rest/api/iothub/service/devices/invoke-method; "timeout" is how Azure/azure-iot-sdk-c
// iothub_service_client/src/iothub_devicemethod.c calls the time-out for the answer.
type methodBody struct {
	MethodName      string          `json:"methodName"`
	Payload         json.RawMessage `json:"payload"`
	ResponseTimeout json.Number     `json:"responseTimeoutInSeconds"`
	ConnectTimeout  json.Number     `json:"connectTimeoutInSeconds"`
	Timeout         json.Number     `json:"timeout"`
}

func decodeMethod(body []byte) (m hubward.MethodCall, err error) {
	var b methodBody
	if err := decode(body, &b); err != nil {
		return m, err
	}
	m.Name, m.Payload = b.MethodName, b.Payload
	response, name := b.ResponseTimeout, "responseTimeoutInSeconds"
	if response == "" {
		response, name = b.Timeout, "timeout"
	}
	if m.ResponseTimeout, err = seconds(name, response); err != nil {
		return m, err
	}
	m.ConnectTimeout, err = seconds("connectTimeoutInSeconds", b.ConnectTimeout)
	return m, err
}

// seconds reads a number of seconds, zero when there is none. What is out of the hub's range stays so, and fits a duration.
func seconds(name string, n json.Number) (time.Duration, error) {
	if n == "" {
		return 0, nil
	}
	const most = 1e6
	f, err := strconv.ParseFloat(n.String(), 64)
	if err != nil && !math.IsInf(f, 0) {
		return 0, hubward.Errorf(hubward.CodeArgumentInvalid, "%s: %.40q is not a number", name, n)
	}
	if f != math.Trunc(f) {
		return 0, hubward.Errorf(hubward.CodeArgumentInvalid, "%s: %.40s is no whole number", name, n)
	}
	return time.Duration(max(-most, min(f, most))) * time.Second, nil
}

// invokeMethod calls a direct method and answers with what the device did. It waits as long as the call says, for the device to
// connect and for its answer; a client that leaves ends that.
func invokeMethod(c *call) error {
	c.nested = true
	body, err := c.readBody(maxMethodBody)
	if err != nil {
		return err
	}
	m, err := decodeMethod(body)
	if err != nil {
		return err
	}
	defer c.allow(m.ConnectTimeout + max(m.ResponseTimeout, hubward.DefaultResponseTimeout) + methodMargin)()
	result, err := c.server.hub.InvokeMethod(c.ctx, &c.principal, c.twinIdentity(), m)
	if err != nil {
		return err
	}
	return c.answerJSON(http.StatusOK, appendResult(nil, &result))
}

// appendResult writes a hubward.MethodResult, whose payload is JSON that the hub has looked at.
func appendResult(b []byte, r *hubward.MethodResult) []byte {
	b = slices.Grow(b, len(r.Payload)+len(`{"status":-2147483648,"payload":}`))
	b = append(b, `{"status":`...)
	b = strconv.AppendInt(b, int64(r.Status), 10)
	b = append(b, `,"payload":`...)
	b = append(b, r.Payload...)
	return append(b, '}')
}

// allow gives the call another time that it may take, from now on, but not much of it when the process drains. end is called
// before the call ends.
func (c *call) allow(d time.Duration) (end func()) {
	c.renewFor(d)
	cancel := c.cancel
	stop := context.AfterFunc(c.server.stop, func() { time.AfterFunc(c.server.methodDrain, cancel) })
	return func() { stop() }
}
