package device

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"github.com/Azure/go-amqp"

	"github.com/hubward/hubward"
)

// batchFormat is the message format of a batch: each of its data sections is a message.
//
// Source: Azure/azure-iot-sdk-c iothub_client/src/uamqp_messaging.c.
const batchFormat = 0x80013700

// encode checks messages.
func (t *amqpTransport) encode(messages []*hubward.Message) (*pending, error) {
	return clonePending(t.client.account.identity, messages)
}

// amqpTelemetry returns one message as it is, several as a batch.
func amqpTelemetry(messages []*hubward.Message) (*amqp.Message, error) {
	if len(messages) == 1 {
		return amqpMessage(messages[0]), nil
	}
	batch := &amqp.Message{Format: batchFormat}
	for _, m := range messages {
		b, err := amqpMessage(m).MarshalBinary()
		if err != nil {
			return nil, err
		}
		batch.Data = append(batch.Data, b)
	}
	return batch, nil
}

// amqpMessage returns telemetry as it travels. A property without a value is sent with an empty one: application
// properties of the hub are texts.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-messages-construct.
func amqpMessage(m *hubward.Message) *amqp.Message {
	properties := &amqp.MessageProperties{
		To: optional(m.To), ContentType: optional(m.ContentType), ContentEncoding: optional(m.ContentEncoding),
	}
	if m.MessageID != "" {
		properties.MessageID = m.MessageID
	}
	if m.CorrelationID != "" {
		properties.CorrelationID = m.CorrelationID
	}
	if m.UserID != "" {
		properties.UserID = []byte(m.UserID)
	}
	if !m.Expiry.IsZero() {
		properties.AbsoluteExpiryTime = &m.Expiry
	}
	body := m.Body
	if body == nil {
		body = []byte{} // one data section, also for an empty body
	}
	out := &amqp.Message{Properties: properties, Data: [][]byte{body}, ApplicationProperties: applicationProperties(m)}
	for _, a := range [...]struct{ name, value string }{
		{"dt-subject", m.Subject},
		{"iothub-interface-id", m.InterfaceID},
		{"Diagnostic-Id", m.TraceID},
		{"Correlation-Context", m.TraceContext},
	} {
		if a.value != "" {
			if out.Annotations == nil {
				out.Annotations = amqp.Annotations{}
			}
			out.Annotations[a.name] = a.value
		}
	}
	return out
}

// applicationProperties returns those of the sender, and the system properties that travel as such.
func applicationProperties(m *hubward.Message) map[string]any {
	all := make(map[string]any, len(m.Properties))
	for _, p := range m.Properties {
		all[p.Name] = p.Value
	}
	for _, s := range [...]struct{ name, value string }{
		{"iothub-creation-time-utc", m.CreationTime},
		{"iothub-message-schema", m.Schema},
		{"iothub-outputname", m.OutputName},
	} {
		if s.value != "" {
			all[s.name] = s.value
		}
	}
	return all
}

func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// c2dFromAMQP returns a message to the device. Application properties that are no texts are left out.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-messages-construct.
func c2dFromAMQP(in *amqp.Message) *hubward.Message {
	m := &hubward.Message{Body: bytes.Join(in.Data, nil)}
	if p := in.Properties; p != nil {
		m.MessageID, _ = p.MessageID.(string)
		m.CorrelationID, _ = p.CorrelationID.(string)
		m.UserID = string(p.UserID)
		m.To, m.ContentType, m.ContentEncoding = value(p.To), value(p.ContentType), value(p.ContentEncoding)
		if p.AbsoluteExpiryTime != nil {
			m.Expiry = p.AbsoluteExpiryTime.UTC()
		}
		if p.CreationTime != nil {
			m.CreationTime = hubward.Time{Time: *p.CreationTime}.String()
		}
	}
	for name, v := range in.ApplicationProperties {
		switch v := v.(type) {
		case string:
			if name == "iothub-ack" {
				m.Ack = hubward.Ack(v)
				continue
			}
			m.Properties = append(m.Properties, hubward.Property{Name: name, Value: v})
		case nil, amqp.Null:
			m.Properties = append(m.Properties, hubward.Property{Name: name, Null: true})
		}
	}
	slices.SortFunc(m.Properties, func(a, b hubward.Property) int { return strings.Compare(a.Name, b.Name) }) // a map has no order
	return m
}

func value(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

// toUint reads a whole number of AMQP's long types, 0 for anything else.
func toUint(v any) uint64 {
	switch v := v.(type) {
	case uint64:
		return v
	case int64:
		return uint64(max(v, 0))
	}
	return 0
}

func toTime(v any) time.Time {
	t, _ := v.(time.Time)
	return t
}
