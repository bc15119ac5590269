// Package errorbody is the JSON that tells clients of an error, where it has a number: in answers about twins, over MQTT and AMQP
// alike, and inside of the envelope of HTTPS for calls of direct methods.
//
// Source: IotHubClientErrorResponseMessage.cs of Azure/azure-iot-sdk-csharp, branch previews/v2; Node looks at nothing else, and
// takes an answer without a number for a success: device/transport/mqtt/src/mqtt_twin_client.ts of Azure/azure-iot-sdk-node.
package errorbody

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/hubward/hubward"
)

// Encode returns the object of an error that happened at a time. tracking is the id by which the logs know it; text holds nothing
// that the client may not see. It fails when the year has more than four digits.
func Encode(code hubward.Code, tracking, text string, at time.Time) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(struct {
		ErrorCode    hubward.Code `json:"errorCode"`
		TrackingID   string       `json:"trackingId"`
		Message      string       `json:"message"`
		TimestampUTC hubward.Time `json:"timestampUtc"`
	}{code, TrackingID(tracking, at), text, hubward.Time{Time: at}})
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// TrackingID returns an id of the logs as clients are shown it.
func TrackingID(tracking string, at time.Time) string {
	return tracking + "-G:0-TimeStamp:" + at.UTC().Format("01/02/2006 15:04:05")
}
