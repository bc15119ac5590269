package mqttwire

import "encoding/binary"

// UnsubscribePacket is an UNSUBSCRIBE: at least one topic filter.
//
// Source: MQTT 3.1.1 section 3.10.
type UnsubscribePacket struct {
	ID     uint16
	Topics []string
}

// ParseUnsubscribe reads the body of an UNSUBSCRIBE. Its strings are copies.
func ParseUnsubscribe(body []byte) (UnsubscribePacket, error) {
	r := reader{packet: Unsubscribe, rest: body}
	p := UnsubscribePacket{ID: r.id()}
	for r.err == nil && (len(r.rest) > 0 || len(p.Topics) == 0) { // at least one: [MQTT-3.10.3-2]
		p.Topics = append(p.Topics, string(r.topic())) // [MQTT-3.10.3-1]
	}
	if r.err != nil {
		return UnsubscribePacket{}, r.err
	}
	return p, nil
}

// AppendUnsubscribe appends an UNSUBSCRIBE. It fails, with dst as it was, when the identifier is 0, when there is no
// topic filter, and when one is empty, too long or no UTF-8.
func AppendUnsubscribe(dst []byte, p *UnsubscribePacket) ([]byte, error) {
	size, reason := 2, checkList(p.ID, len(p.Topics))
	for _, topic := range p.Topics {
		size += fieldSize(len(topic))
		if reason == "" {
			reason = checkFilter(topic)
		}
	}
	if reason == "" && size > MaxLength {
		reason = reasonLarge
	}
	if reason != "" {
		return dst, malformed(Unsubscribe, reason)
	}
	dst = appendHeader(dst, Unsubscribe, 0b0010, size) // [MQTT-3.10.1-1]
	dst = binary.BigEndian.AppendUint16(dst, p.ID)
	for _, topic := range p.Topics {
		dst = appendField(dst, topic)
	}
	return dst, nil
}

// AppendUnsuback appends the acknowledgement of the UNSUBSCRIBE with that identifier.
func AppendUnsuback(dst []byte, id uint16) []byte {
	return appendID(dst, Unsuback, id)
}
