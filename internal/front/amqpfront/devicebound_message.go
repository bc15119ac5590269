package amqpfront

import (
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/hub"
)

// encodeDeviceBound encodes a message for a device. The types are those that the .NET and C SDKs insist on.
//
// Source: AmqpIotMessageConverter.cs of Azure/azure-iot-sdk-csharp (iothub-deliverycount is a ubyte, x-opt-sequence-number a
// ulong).
func encodeDeviceBound(d *hub.C2DDelivery, hubName string) ([]byte, error) {
	m := d.Message
	out := amqpwire.Message{
		Annotations: amqpwire.Map{
			{Key: amqpwire.Symbol("iothub-enqueuedtime"), Value: d.Enqueued},
			{Key: amqpwire.Symbol("iothub-deliverycount"), Value: uint8(min(d.DeliveryCount+1, 255))},
			{Key: amqpwire.Symbol("x-opt-sequence-number"), Value: uint64(d.Sequence)},
			{Key: amqpwire.Symbol("x-opt-lock-token"), Value: d.LockToken},
			{Key: amqpwire.Symbol("x-opt-enqueued-time"), Value: d.Enqueued},
		},
		Properties: &amqpwire.Properties{
			MessageID: m.MessageID, UserID: []byte(m.UserID), To: m.To,
			ContentType: m.ContentType, ContentEncoding: m.ContentEncoding, AbsoluteExpiryTime: m.Expiry,
		},
		Data: [][]byte{m.Body},
	}
	if d.DeliveryCount > 0 {
		out.Header = &amqpwire.Header{DeliveryCount: uint32(d.DeliveryCount)}
	}
	if m.UserID == "" {
		out.Properties.UserID = []byte(hubName)
	}
	if m.CorrelationID != "" {
		out.Properties.CorrelationID = m.CorrelationID
	}
	if t, err := time.Parse(time.RFC3339, m.CreationTime); err == nil {
		out.Properties.CreationTime = t
	}
	out.ApplicationProperties = applicationProperties(m)
	return out.Append(nil)
}

func applicationProperties(m *hubward.Message) amqpwire.Map {
	properties := make(amqpwire.Map, 0, len(m.Properties)+1)
	for _, p := range m.Properties {
		if p.Null {
			properties = append(properties, amqpwire.Entry{Key: p.Name})
		} else {
			properties = append(properties, amqpwire.Entry{Key: p.Name, Value: p.Value})
		}
	}
	if m.Ack != "" {
		properties = append(properties, amqpwire.Entry{Key: "iothub-ack", Value: string(m.Ack)})
	}
	return properties
}
