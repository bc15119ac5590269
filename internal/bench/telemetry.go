package bench

import (
	"encoding/binary"

	"github.com/hubward/hubward/internal/mqttwire"
)

// telemetry is an exchange of messages, which a PUBACK confirms at QoS 1.
type telemetry struct {
	qos   byte
	topic []byte
	body  *body
}

func newTelemetry(o *Options, d Device) *telemetry {
	return &telemetry{
		qos: o.QoS, topic: []byte("devices/" + d.ID + "/messages/events/%24.ct=application%2Fjson&%24.ce=utf-8"),
		body: newBody(o.RunID, o.Size),
	}
}

func (t *telemetry) prepare(*conn) error { return nil }

func (t *telemetry) appendRequest(dst []byte, number int64, id uint16) ([]byte, error) {
	return mqttwire.AppendPublish(dst, &mqttwire.PublishPacket{QoS: t.qos, ID: id, Topic: t.topic, Payload: t.body.number(number)})
}

func (t *telemetry) answered(h mqttwire.Header, body []byte) (id uint16, ok bool, err error) {
	if h.Type != mqttwire.Puback || len(body) < 2 {
		return 0, false, nil
	}
	return binary.BigEndian.Uint16(body), true, nil
}
