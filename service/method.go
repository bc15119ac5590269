package service

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/hubward/hubward"
)

// methodGrace is how long the hub's answer may take beyond the time-outs of a call.
//
// Source: Azure/azure-iot-sdk-csharp iothub/service/src/ServiceClient.cs, which adds as much.
const methodGrace = 15 * time.Second

// methodBody is a call on the wire. What is left out, the hub takes its defaults for.
type methodBody struct {
	Name            string          `json:"methodName"`
	Payload         json.RawMessage `json:"payload,omitempty"`
	ResponseTimeout int64           `json:"responseTimeoutInSeconds,omitempty"`
	ConnectTimeout  int64           `json:"connectTimeoutInSeconds,omitempty"`
}

// InvokeMethod calls a direct method of a device or module that is connected, or does so within call.ConnectTimeout, and returns
// its answer. What it says of its work is the Status of the result: an answer of any status is no error here. Needs
// ServiceConnect.
//
// Errors: CodeDeviceNotOnline when it is not connected, or takes no methods; CodeGatewayTimeout when it did not answer in time,
// CodeDeviceConnectionClosed when it went without an answer, and CodeBadDeviceResponse when the answer was no JSON or too long:
// it may have done what was asked. CodeArgumentInvalid names the member that is against the rules; CodeMessageTooLarge for a
// payload beyond hubward.MaxMethodPayload; CodeDeviceNotFound, also for a disabled device; CodeModuleNotFound; CodeThrottled when
// too many calls to it are under way; CodeUnauthorizedAccess. ctx's error, and others of the network, leave open what the
// device did.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-direct-methods.
func (c *Client) InvokeMethod(ctx context.Context, id hubward.Identity, call hubward.MethodCall) (hubward.MethodResult, error) {
	var result hubward.MethodResult
	r := &request{
		op: "service.InvokeMethod", device: id.Device, module: id.Module, method: http.MethodPost,
		path: append(twinPath(id), "methods"), version: APIVersion, patient: true,
	}
	body, err := methodBodyOf(r, &call)
	if err != nil {
		return result, err
	}
	r.body = body
	wait := time.Duration(body.ResponseTimeout+body.ConnectTimeout)*time.Second + methodGrace
	if call.ResponseTimeout == 0 {
		wait += hubward.DefaultResponseTimeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, wait, fmt.Errorf("nothing came within %v: %w", wait, context.DeadlineExceeded))
	defer cancel()
	err = c.do(ctx, r, &result)
	return result, err
}

func methodBodyOf(r *request, call *hubward.MethodCall) (*methodBody, error) {
	b := &methodBody{
		Name: call.Name, Payload: call.Payload,
		ResponseTimeout: int64(call.ResponseTimeout / time.Second), ConnectTimeout: int64(call.ConnectTimeout / time.Second),
	}
	switch {
	case call.ResponseTimeout%time.Second != 0:
		return nil, r.refuse("the response time-out is %v: it has whole seconds", call.ResponseTimeout)
	case call.ConnectTimeout%time.Second != 0:
		return nil, r.refuse("the connect time-out is %v: it has whole seconds", call.ConnectTimeout)
	case call.Payload != nil && !json.Valid(call.Payload):
		return nil, r.refuse("the payload is no JSON: %.40q", call.Payload)
	}
	return b, nil
}
