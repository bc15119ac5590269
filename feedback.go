package hubward

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// Ack says which outcomes of a cloud-to-device message its sender wants to hear of.
type Ack string

// The acks. An empty Ack means AckNone.
const (
	AckNone     Ack = "none"
	AckPositive Ack = "positive" // that the device completed it
	AckNegative Ack = "negative" // that it will not
	AckFull     Ack = "full"     // both
)

// FeedbackStatus is the outcome of a cloud-to-device message.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-messages-c2d, message feedback.
type FeedbackStatus string

// The outcomes.
const (
	FeedbackSuccess               FeedbackStatus = "Success"
	FeedbackExpired               FeedbackStatus = "Expired"
	FeedbackDeliveryCountExceeded FeedbackStatus = "DeliveryCountExceeded"
	FeedbackRejected              FeedbackStatus = "Rejected"
	FeedbackPurged                FeedbackStatus = "Purged"
)

// Feedback is one record of a feedback message.
type Feedback struct {
	OriginalMessageID  string         `json:"originalMessageId"`
	DeviceGenerationID string         `json:"deviceGenerationId"`
	DeviceID           string         `json:"deviceId"`
	EnqueuedTime       Time           `json:"enqueuedTimeUtc"` // of the outcome
	StatusCode         FeedbackStatus `json:"statusCode"`
	Description        string         `json:"description"`
}

// FeedbackType is the content type of a feedback message. The .NET SDK takes no other.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-messages-c2d, message feedback.
const FeedbackType = "application/vnd.microsoft.iothub.feedback.json"

// AppendFeedback appends the body of a feedback message: a JSON array of its records, in ASCII alone. The Java SDK reads the
// body in a form in which everything but plain ASCII is escaped once more, so there is nothing else in it.
func AppendFeedback(dst []byte, records []Feedback) ([]byte, error) {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(records); err != nil {
		return dst, err
	}
	return appendASCII(dst, bytes.TrimSuffix(text.Bytes(), []byte("\n"))), nil
}

// appendASCII appends JSON, with what is not ASCII escaped.
func appendASCII(out, text []byte) []byte {
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		text = text[n:]
		switch {
		case r < 0x7f:
			out = append(out, byte(r))
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, hi, lo)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}
