package mqttwire

import "encoding/binary"

// PublishPacket is a PUBLISH. ID is set only when QoS is 1 or 2. A parsed packet's Topic and Payload alias the body
// that was parsed: whoever owns that may change them in place.
//
// Source: MQTT 3.1.1 section 3.3.
type PublishPacket struct {
	Dup     bool
	Retain  bool
	QoS     byte
	Topic   []byte
	ID      uint16
	Payload []byte
}

// The flags of a PUBLISH.
const (
	publishRetain = 1 << 0
	publishQoS    = 3 << 1
	publishDup    = 1 << 3
)

// checkPublishFlags returns what is wrong with the flags of a PUBLISH, or "".
func checkPublishFlags(flags byte) string {
	switch flags & publishQoS {
	case publishQoS:
		return "the QoS is 3" // [MQTT-3.3.1-4]
	case 0:
		if flags&publishDup != 0 {
			return "DUP is set at QoS 0" // [MQTT-3.3.1-2]
		}
	}
	return ""
}

// ParsePublish reads the body of a PUBLISH whose header had flags. It does not allocate.
func ParsePublish(flags byte, body []byte) (PublishPacket, error) {
	r := reader{packet: Publish, rest: body}
	if reason := checkPublishFlags(flags); reason != "" {
		r.fail(reason)
	}
	p := PublishPacket{
		Dup:    flags&publishDup != 0,
		Retain: flags&publishRetain != 0,
		QoS:    flags & publishQoS >> 1,
		Topic:  r.topic(), // [MQTT-3.3.2-1]
	}
	if p.QoS > 0 {
		p.ID = r.id() // [MQTT-2.3.1-1]
	}
	if r.err != nil {
		return PublishPacket{}, r.err
	}
	p.Payload = r.rest // all that is left; may be empty
	return p, nil
}

// AppendPublish appends a PUBLISH. It fails, with dst as it was, when the topic is empty, too long or no UTF-8, when
// the QoS is above 2, when DUP is set at QoS 0, when the identifier is missing at QoS 1 or 2 or set at QoS 0, and when
// the packet would be longer than MQTT allows.
func AppendPublish(dst []byte, p *PublishPacket) ([]byte, error) {
	size := fieldSize(len(p.Topic)) + len(p.Payload)
	if p.QoS > 0 {
		size += 2
	}
	if reason := p.check(size); reason != "" {
		return dst, malformed(Publish, reason)
	}
	dst = appendHeader(dst, Publish, p.flags(), size)
	dst = appendField(dst, p.Topic)
	if p.QoS > 0 {
		dst = binary.BigEndian.AppendUint16(dst, p.ID)
	}
	return append(dst, p.Payload...), nil
}

// check returns why p cannot be written, or "".
func (p *PublishPacket) check(size int) string {
	switch {
	case len(p.Topic) == 0:
		return "a topic is empty"
	case len(p.Topic) > maxFieldLength:
		return reasonLong
	case p.QoS > 2:
		return "the QoS is above 2"
	case p.QoS > 0 && p.ID == 0:
		return reasonNoID // [MQTT-2.3.1-1]
	case p.QoS == 0 && p.ID != 0:
		return "a packet identifier at QoS 0" // [MQTT-2.3.1-5]
	case p.QoS == 0 && p.Dup:
		return "DUP is set at QoS 0" // [MQTT-3.3.1-2]
	case size > MaxLength:
		return reasonLarge
	}
	return checkText(p.Topic)
}

func (p *PublishPacket) flags() byte {
	flags := p.QoS << 1
	if p.Dup {
		flags |= publishDup
	}
	if p.Retain {
		flags |= publishRetain
	}
	return flags
}

// ParseID reads the body of a packet that holds a packet identifier and nothing else: PUBACK, PUBREC, PUBREL, PUBCOMP,
// UNSUBACK. The error names PUBACK, whichever it was.
func ParseID(body []byte) (uint16, error) {
	r := reader{packet: Puback, rest: body}
	id := r.id()
	if err := r.end(); err != nil {
		return 0, err
	}
	return id, nil
}

// AppendPuback appends the acknowledgement of the QoS 1 PUBLISH with that identifier.
func AppendPuback(dst []byte, id uint16) []byte {
	return appendID(dst, Puback, id)
}

func appendID(dst []byte, t Type, id uint16) []byte {
	return binary.BigEndian.AppendUint16(appendHeader(dst, t, 0, 2), id)
}
