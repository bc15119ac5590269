package hub

import (
	"strings"
	"unicode/utf8"

	"github.com/hubward/hubward"
)

// The rules on what a message may hold, whatever carried it. Front ends check the form of their wire, and no more.

// Bounds of a message.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-quotas-throttling; iot-hub-devguide-messages-construct for the
// message id. The number of properties is bounded by us: in the cloud their size alone is.
const (
	MaxC2DSize    = 64 << 10 // bytes, as hubward.Message.Size counts them
	MaxProperties = 500
	maxMessageID  = 128
)

// CheckTelemetry checks one device-to-cloud message.
//
// Errors: CodeMessageTooLarge beyond 256 KiB, as Size counts them; CodeArgumentInvalid for what checkText refuses.
func CheckTelemetry(m *hubward.Message) error {
	_, err := checkTelemetry(m)
	return err
}

// checkTelemetry also returns the message's size, which telemetry needs again.
func checkTelemetry(m *hubward.Message) (size int, err error) {
	if size = m.Size(); size > hubward.MaxMessageSize {
		return size, hubward.Errorf(hubward.CodeMessageTooLarge, "the message has %d bytes, the limit is %d", size, hubward.MaxMessageSize)
	}
	return size, checkText(m)
}

// checkC2D checks a message to a device.
//
// Errors: CodeMessageTooLarge beyond 64 KiB; CodeArgumentInvalid for an unknown ack and what checkText refuses.
func checkC2D(m *hubward.Message) error {
	if size := m.Size(); size > MaxC2DSize {
		return hubward.Errorf(hubward.CodeMessageTooLarge, "the message has %d bytes, the limit is %d", size, MaxC2DSize)
	}
	if _, ok := ackOf(m.Ack); !ok {
		return hubward.Errorf(hubward.CodeArgumentInvalid, "iothub-ack: %.40q is not none, positive, negative or full", m.Ack)
	}
	return checkText(m)
}

// ackOf returns the ack that a sender means, whatever its case. The Java service SDK writes the names of its own constants,
// PositiveOnly and NegativeOnly, in lower case.
//
// Source: Azure/azure-iot-sdk-java, service client 2.1.9, Message.setDeliveryAcknowledgement.
func ackOf(written hubward.Ack) (hubward.Ack, bool) {
	switch ack := hubward.Ack(strings.ToLower(string(written))); ack {
	case "", hubward.AckNone, hubward.AckPositive, hubward.AckNegative, hubward.AckFull:
		return ack, true
	case "positiveonly":
		return hubward.AckPositive, true
	case "negativeonly":
		return hubward.AckNegative, true
	}
	return "", false
}

// checkText checks the message id, the number of properties, and that every text is UTF-8: readers drop a message, or their
// connection, over one that is not. It is a part of the hot path of telemetry.
func checkText(m *hubward.Message) error {
	switch {
	case len(m.MessageID) > maxMessageID && utf8.RuneCountInString(m.MessageID) > maxMessageID:
		return hubward.Errorf(hubward.CodeArgumentInvalid, "the message id has %d characters, the limit is %d",
			utf8.RuneCountInString(m.MessageID), maxMessageID)
	case len(m.Properties) > MaxProperties:
		return hubward.Errorf(hubward.CodeArgumentInvalid, "the message has more than %d properties", MaxProperties)
	}
	ok := isText(m.MessageID) && isText(m.CorrelationID) && isText(m.UserID) && isText(m.To) && isText(m.ContentType) &&
		isText(m.ContentEncoding) && isText(m.CreationTime) && isText(m.OutputName) && isText(m.InterfaceID) &&
		isText(m.Subject) && isText(m.Schema) && isText(m.TraceID) && isText(m.TraceContext)
	for i := range m.Properties {
		ok = ok && isText(m.Properties[i].Name) && isText(m.Properties[i].Value)
	}
	if !ok {
		return errNotUTF8
	}
	return nil
}

// isText is small enough to be inlined: most texts of a message are not set.
func isText(s string) bool { return s == "" || utf8.ValidString(s) }

var errNotUTF8 error = hubward.Errorf(hubward.CodeArgumentInvalid, "a property of the message is not UTF-8")
