package service

import (
	"context"
	"net/http"

	"github.com/hubward/hubward"
)

// SendC2D puts a message into a device's queue and returns nil when the hub has stored it. The device gets it when it is
// connected, or polls. m.To is not needed; m.Ack says which outcomes Feedback is to tell, by m.MessageID; a zero m.Expiry
// means the hub's default, an hour. SendC2D keeps nothing of m.
//
// The message travels as HTTP headers and body. So the names of properties are made of ASCII letters, digits and
// ! # $ % & ' * + - . ^ _ ` | ~, their values hold no control characters and neither begin nor end with a blank, and one
// without a value arrives with an empty one. Needs ServiceConnect.
//
// Errors: CodeDeviceNotFound, also for a disabled device; CodeDeviceMaximumQueueDepth when 50 messages wait;
// CodeMessageTooLarge beyond 64 KiB; CodeArgumentInvalid for what cannot travel so, an expiry in the past or more than
// two days ahead, or an unknown ack; CodeUnauthorizedAccess. The message was not stored then.
func (c *Client) SendC2D(ctx context.Context, deviceID string, m *hubward.Message) error {
	return c.do(ctx, &request{
		op: "service.SendC2D", device: deviceID, method: http.MethodPost, version: APIVersion,
		path: []string{"devices", deviceID, "messages", "deviceBound"}, message: m,
	}, nil)
}

// PurgeC2D empties a device's queue, also of messages that the device is working on, and returns how many there were.
// Needs ServiceConnect.
//
// Errors: CodeDeviceNotFound, CodeUnauthorizedAccess.
func (c *Client) PurgeC2D(ctx context.Context, deviceID string) (int, error) {
	var result struct {
		TotalMessagesPurged int `json:"totalMessagesPurged"`
	}
	err := c.do(ctx, &request{
		op: "service.PurgeC2D", device: deviceID, method: http.MethodDelete, version: APIVersion,
		path: []string{"devices", deviceID, "commands"},
	}, &result)
	return result.TotalMessagesPurged, err
}
