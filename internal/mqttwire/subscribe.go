package mqttwire

import "encoding/binary"

// SubackFailure is the SUBACK code of a filter that was refused. The others are the granted QoS: 0, 1 or 2.
const SubackFailure byte = 0x80

// SubscribePacket is a SUBSCRIBE: at least one filter.
//
// Source: MQTT 3.1.1 section 3.8.
type SubscribePacket struct {
	ID      uint16
	Filters []Filter
}

// Filter is a topic filter and the highest QoS, 0 to 2, at which the subscriber wants messages.
type Filter struct {
	Topic string
	QoS   byte
}

// ParseSubscribe reads the body of a SUBSCRIBE. Its strings are copies.
func ParseSubscribe(body []byte) (SubscribePacket, error) {
	r := reader{packet: Subscribe, rest: body}
	p := SubscribePacket{ID: r.id()}
	for r.err == nil && (len(r.rest) > 0 || len(p.Filters) == 0) { // at least one filter: [MQTT-3.8.3-3]
		f := Filter{Topic: string(r.topic()), QoS: r.byte()} // [MQTT-3.8.3-1]
		if f.QoS > 2 {
			r.fail("a requested QoS is above 2") // [MQTT-3.8.3-4]
		}
		p.Filters = append(p.Filters, f)
	}
	if r.err != nil {
		return SubscribePacket{}, r.err
	}
	return p, nil
}

// AppendSubscribe appends a SUBSCRIBE. It fails, with dst as it was, when the identifier is 0, when there is no
// filter, and when a filter is empty, too long, no UTF-8 or has a QoS above 2.
func AppendSubscribe(dst []byte, p *SubscribePacket) ([]byte, error) {
	size, reason := 2, checkList(p.ID, len(p.Filters))
	for _, f := range p.Filters {
		size += fieldSize(len(f.Topic)) + 1
		if reason == "" && f.QoS > 2 {
			reason = "a requested QoS is above 2"
		}
		if reason == "" {
			reason = checkFilter(f.Topic)
		}
	}
	if reason == "" && size > MaxLength {
		reason = reasonLarge
	}
	if reason != "" {
		return dst, malformed(Subscribe, reason)
	}
	dst = appendHeader(dst, Subscribe, 0b0010, size) // [MQTT-3.8.1-1]
	dst = binary.BigEndian.AppendUint16(dst, p.ID)
	for _, f := range p.Filters {
		dst = append(appendField(dst, f.Topic), f.QoS)
	}
	return dst, nil
}

// checkList returns why a list of n filters with that identifier cannot be written, or "".
func checkList(id uint16, n int) string {
	if id == 0 {
		return reasonNoID
	}
	if n == 0 {
		return "there is no topic filter" // [MQTT-3.8.3-3] [MQTT-3.10.3-2]
	}
	return ""
}

func checkFilter(topic string) string {
	if topic == "" {
		return "a topic is empty"
	}
	return checkStrings(topic)
}

// SubackPacket is a SUBACK: one code per filter of the SUBSCRIBE, in its order.
//
// Source: MQTT 3.1.1 section 3.9.
type SubackPacket struct {
	ID    uint16
	Codes []byte // a copy; each is 0, 1, 2 or SubackFailure
}

// ParseSuback reads the body of a SUBACK.
func ParseSuback(body []byte) (SubackPacket, error) {
	r := reader{packet: Suback, rest: body}
	p := SubackPacket{ID: r.id()}
	for _, code := range r.rest {
		if code > 2 && code != SubackFailure {
			r.fail("a return code is reserved") // [MQTT-3.9.3-2]
		}
	}
	if r.err == nil && len(r.rest) == 0 {
		r.fail("there is no return code")
	}
	if r.err != nil {
		return SubackPacket{}, r.err
	}
	p.Codes = append(p.Codes, r.rest...)
	return p, nil
}

// AppendSuback appends a SUBACK with one code per filter, in the order of the SUBSCRIBE.
func AppendSuback(dst []byte, id uint16, codes ...byte) []byte {
	dst = appendHeader(dst, Suback, 0, 2+len(codes))
	dst = binary.BigEndian.AppendUint16(dst, id)
	return append(dst, codes...)
}
