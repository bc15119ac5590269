package mqttfront

import (
	"bytes"
	"context"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// Application properties that the hub adds to a message.
//
// Source: learn.microsoft.com/azure/iot/iot-mqtt-connect-to-iot-hub, sending device-to-cloud messages and will messages.
const (
	propertyRetain      = "mqtt-retain"
	propertyMessageType = "iothub-MessageType"
	messageTypeWill     = "Will"
)

// maxKeptProperties is how many properties a connection keeps room for.
const maxKeptProperties = 64

// matchTelemetry matches devices/{device}/messages/events and devices/{device}/modules/{module}/messages/events; what is
// left is the property bag behind "events/".
func (s *session) matchTelemetry(topic []byte) (bag []byte, ok bool) {
	rest, ok := bytes.CutPrefix(topic, s.telemetryTopic)
	if !ok || len(rest) > 0 && rest[0] != '/' {
		return nil, false
	}
	if len(rest) > 0 {
		rest = rest[1:]
	}
	return rest, true
}

// publishTelemetry hands a message to the hub, which acknowledges it when it is durable.
func (s *session) publishTelemetry(p *publication) error {
	m := &p.message
	if err := readTelemetry(m, p.rest, p.Payload, p.Retain); err != nil {
		return err
	}
	out := &s.conn.out
	if !out.expect(p.ID, p.size) {
		return s.conn.closed()
	}
	err := s.ingest.Telemetry(s.conn.ctx, m)
	if err != nil {
		out.takeBack()
	}
	return err
}

// readTelemetry makes m the message of a telemetry PUBLISH. m's strings and body alias bag and payload: m is good until
// the packet's buffer is used again.
func readTelemetry(m *hubward.Message, bag, payload []byte, retain bool) error {
	if cap(m.Properties) > maxKeptProperties {
		m.Properties = nil
	}
	*m = hubward.Message{Properties: m.Properties[:0], Body: payload}
	if err := readBag(m, bag); err != nil {
		return err
	}
	if retain {
		return setApplicationProperty(m, hubward.Property{Name: propertyRetain, Value: "true"})
	}
	return nil
}

// checkWill refuses a will that could not be published later.
func (s *session) checkWill() error {
	if s.will.QoS > 1 {
		return errWill
	}
	var m hubward.Message
	if err := s.readWill(&m); err != nil {
		return err
	}
	return hub.CheckTelemetry(&m)
}

var errWill = hubward.Errorf(hubward.CodeUnauthorizedAccess, "the will is no telemetry of this identity at QoS 0 or 1")

// readWill makes m the message that the will is. The will stays as it is.
func (s *session) readWill(m *hubward.Message) error {
	bag, ok := s.matchTelemetry([]byte(s.will.Topic))
	if !ok {
		return errWill
	}
	if err := readTelemetry(m, bag, s.will.Payload, s.will.Retain); err != nil {
		return err
	}
	return setApplicationProperty(m, hubward.Property{Name: propertyMessageType, Value: messageTypeWill})
}

// publishWill sends the will as telemetry. Nobody is there to be told of a failure; it is logged.
func (s *session) publishWill() {
	var m hubward.Message
	err := s.readWill(&m)
	if err == nil {
		ctx, cancel := context.WithTimeout(s.conn.srv.ctx, willTimeout)
		defer cancel()
		s.conn.out.expectWill()
		err = s.ingest.Telemetry(ctx, &m)
	}
	if err != nil {
		s.conn.srv.logger.Warn("will not published", append(s.attrs(), "error", err)...)
	}
}
