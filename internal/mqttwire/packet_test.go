package mqttwire_test

import (
	"fmt"

	"github.com/hubward/hubward/internal/mqttwire"
)

// parse reads one whole packet and returns it as a value of its own type, so that tests can compare packets of any
// type. rest is what follows the packet.
func parse(b []byte) (packet any, rest []byte, err error) {
	h, n, err := mqttwire.ParseHeader(b)
	if err != nil {
		return nil, nil, err
	}
	if n == 0 || h.Length > len(b)-n {
		return nil, nil, errShort
	}
	packet, err = parseBody(h, b[n:n+h.Length])
	return packet, b[n+h.Length:], err
}

var errShort = fmt.Errorf("more bytes are needed")

// idPacket is a packet that holds an identifier only; emptyPacket holds nothing.
type (
	idPacket struct {
		Type mqttwire.Type
		ID   uint16
	}
	emptyPacket struct{ Type mqttwire.Type }
)

func parseBody(h mqttwire.Header, body []byte) (any, error) {
	switch h.Type {
	case mqttwire.Connect:
		return mqttwire.ParseConnect(body)
	case mqttwire.Connack:
		return mqttwire.ParseConnack(body)
	case mqttwire.Publish:
		return mqttwire.ParsePublish(h.Flags, body)
	case mqttwire.Subscribe:
		return mqttwire.ParseSubscribe(body)
	case mqttwire.Suback:
		return mqttwire.ParseSuback(body)
	case mqttwire.Unsubscribe:
		return mqttwire.ParseUnsubscribe(body)
	case mqttwire.Pingreq, mqttwire.Pingresp, mqttwire.Disconnect:
		return emptyPacket{h.Type}, nil
	}
	id, err := mqttwire.ParseID(body)
	return idPacket{h.Type, id}, err
}

// encode writes what parse returned. ok is false for packets that neither side of ours ever writes.
func encode(packet any) (b []byte, ok bool, err error) {
	switch p := packet.(type) {
	case mqttwire.ConnectPacket:
		if p.Level != 4 {
			return nil, false, nil
		}
		b, err = mqttwire.AppendConnect(nil, &p)
	case mqttwire.ConnackPacket:
		b = mqttwire.AppendConnack(nil, p.SessionPresent, p.Code)
	case mqttwire.PublishPacket:
		b, err = mqttwire.AppendPublish(nil, &p)
	case mqttwire.SubscribePacket:
		b, err = mqttwire.AppendSubscribe(nil, &p)
	case mqttwire.SubackPacket:
		b = mqttwire.AppendSuback(nil, p.ID, p.Codes...)
	case mqttwire.UnsubscribePacket:
		b, err = mqttwire.AppendUnsubscribe(nil, &p)
	case idPacket:
		return encodeID(p)
	case emptyPacket:
		b = map[mqttwire.Type][]byte{
			mqttwire.Pingreq:    mqttwire.AppendPingreq(nil),
			mqttwire.Pingresp:   mqttwire.AppendPingresp(nil),
			mqttwire.Disconnect: mqttwire.AppendDisconnect(nil),
		}[p.Type]
	}
	return b, true, err
}

func encodeID(p idPacket) ([]byte, bool, error) {
	switch p.Type {
	case mqttwire.Puback:
		return mqttwire.AppendPuback(nil, p.ID), true, nil
	case mqttwire.Unsuback:
		return mqttwire.AppendUnsuback(nil, p.ID), true, nil
	}
	return nil, false, nil
}
