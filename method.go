package hubward

import (
	"encoding/json"
	"time"
)

// Bounds of the time-outs of a direct method.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-direct-methods.
const (
	DefaultResponseTimeout = 30 * time.Second
	MinResponseTimeout     = 5 * time.Second
	MaxResponseTimeout     = 300 * time.Second
	MaxConnectTimeout      = 300 * time.Second
)

// MaxMethodPayload is how long the payload of a direct method, and of its result, may be, in bytes of JSON.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-direct-methods.
const MaxMethodPayload = 128 << 10

// MethodCall is a call of a direct method of a connected identity.
type MethodCall struct {
	Name            string          // 1 to 100 characters; those of a component are "component*command"
	Payload         json.RawMessage // any JSON; nil: none, which the device sees as null
	ResponseTimeout time.Duration   // for the answer, in whole seconds, 5 s to 300 s; 0 means 30 s
	ConnectTimeout  time.Duration   // for the identity to connect, in whole seconds, 0 to 300 s, at most ResponseTimeout
}

// MethodResult is what a device answers to a call.
type MethodResult struct {
	Status  int             `json:"status"`  // the device's own; by convention 200 for success
	Payload json.RawMessage `json:"payload"` // any JSON; null: none
}
