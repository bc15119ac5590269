package mqttfront

import (
	"fmt"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/mqttwire"
)

// Application properties that the hub adds to a message.
const (
	propertyRetain      = "mqtt-retain"        // spec/device.md 2.7
	propertyMessageType = "iothub-MessageType" // spec/device.md 2.5
	messageTypeWill     = "Will"
)

// readTelemetry makes m the message of a telemetry PUBLISH. m's strings and body alias bag and payload: m is good until
// the packet's buffer is used again.
func readTelemetry(m *hubward.Message, bag, payload []byte, retain bool) error {
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
	_, ok := s.topics.telemetryBag([]byte(s.will.Topic))
	if !ok || s.will.QoS > 1 {
		return hubward.Errorf(hubward.CodeUnauthorizedAccess, "the will is no telemetry of this device at QoS 0 or 1")
	}
	return nil
}

// publishWill sends the will as telemetry. Nobody is there to be told of a failure; it is logged.
func (s *session) publishWill() {
	bag, _ := s.topics.telemetryBag([]byte(s.will.Topic))
	var m hubward.Message
	err := readTelemetry(&m, bag, s.will.Payload, s.will.Retain)
	if err == nil {
		err = setApplicationProperty(&m, hubward.Property{Name: propertyMessageType, Value: messageTypeWill})
	}
	if err == nil {
		s.conn.out.expectWill()
		err = s.ingest.Telemetry(s.conn.srv.ctx, &m)
	}
	if err != nil {
		s.conn.srv.logger.Warn("will not published", "hub", s.link.Principal.Hub, "device", s.link.Principal.Device.String(), "error", err)
	}
}

// refuseTwin answers a twin request that this hub cannot serve: the status says so to most SDKs, the body to Node.
//
// Source: spec/device.md 5.4.
func refuseTwin(rid string) ([]byte, error) {
	body := fmt.Sprintf(`{"errorCode":%d,"trackingId":"","message":"this hub does not serve device twins yet","timestampUtc":""}`,
		int(hubward.CodeInvalidOperation))
	return mqttwire.AppendPublish(nil, &mqttwire.PublishPacket{
		Topic: []byte("$iothub/twin/res/501/?$rid=" + rid), Payload: []byte(body),
	})
}
