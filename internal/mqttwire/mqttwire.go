// Package mqttwire turns MQTT 3.1.1 packets into bytes and back. It knows neither sockets nor goroutines, and it
// serves both sides: the hub's MQTT front end and the device SDK.
//
// A packet is a fixed header, which ParseHeader reads, and a body of Header.Length bytes, which the Parse function of
// its type reads:
//
//	byte 1      type (high four bits), flags (low four bits)
//	byte 2..5   remaining length: seven bits a byte, low ones first, the high bit says "more"
//	body        Header.Length bytes
//
// The Append functions write whole packets, header included. Parsers check every length before they use it and refuse
// bytes that are left over; how long a packet may be at all is the caller's business, who sees Header.Length before it
// has a buffer. Identifiers such as [MQTT-3.1.2-3] name the statements of the OASIS standard of 29 October 2014.
package mqttwire

import "fmt"

// Type is a control packet type.
//
// Source: MQTT 3.1.1 section 2.2.1.
type Type byte

// The control packet types. 0 and 15 are forbidden.
const (
	Connect Type = iota + 1
	Connack
	Publish
	Puback
	Pubrec
	Pubrel
	Pubcomp
	Subscribe
	Suback
	Unsubscribe
	Unsuback
	Pingreq
	Pingresp
	Disconnect
)

// String returns the name that the standard uses, e.g. "PUBLISH".
func (t Type) String() string {
	switch t {
	case Connect:
		return "CONNECT"
	case Connack:
		return "CONNACK"
	case Publish:
		return "PUBLISH"
	case Puback:
		return "PUBACK"
	case Pubrec:
		return "PUBREC"
	case Pubrel:
		return "PUBREL"
	case Pubcomp:
		return "PUBCOMP"
	case Subscribe:
		return "SUBSCRIBE"
	case Suback:
		return "SUBACK"
	case Unsubscribe:
		return "UNSUBSCRIBE"
	case Unsuback:
		return "UNSUBACK"
	case Pingreq:
		return "PINGREQ"
	case Pingresp:
		return "PINGRESP"
	case Disconnect:
		return "DISCONNECT"
	}
	return fmt.Sprintf("packet type %d", byte(t))
}

// Error says what is wrong with a packet that was read, or that cannot be written. It quotes nothing of the packet.
type Error struct {
	Packet Type
	Reason string
}

func (e *Error) Error() string { return "mqtt: " + e.Packet.String() + ": " + e.Reason }

func malformed(t Type, reason string) error { return &Error{Packet: t, Reason: reason} }

// MaxLength is the largest remaining length that four bytes can say.
const MaxLength = 1<<28 - 1

// maxHeaderLength is the size of the longest fixed header.
const maxHeaderLength = 5

// Header is a fixed header.
type Header struct {
	Type   Type
	Flags  byte // the low four bits of the first byte
	Length int  // remaining length: bytes that follow the header, 0 to MaxLength
}

// ParseHeader reads the fixed header at the start of b. n is the header's size; n == 0 with a nil error means that b
// ends before the header does. An error is always an *Error: a forbidden type, flags or a length that the type does
// not allow, a remaining length of more than four bytes.
func ParseHeader(b []byte) (h Header, n int, err error) {
	if len(b) == 0 {
		return Header{}, 0, nil
	}
	h = Header{Type: Type(b[0] >> 4), Flags: b[0] & 0x0f}
	if reason := h.checkFlags(); reason != "" {
		return Header{}, 0, malformed(h.Type, reason)
	}
	for i := 1; i < maxHeaderLength; i++ {
		if i == len(b) {
			return Header{}, 0, nil
		}
		h.Length |= int(b[i]&0x7f) << (7 * (i - 1))
		if b[i] < 0x80 {
			if reason := h.checkLength(); reason != "" {
				return Header{}, 0, malformed(h.Type, reason)
			}
			return h, i + 1, nil
		}
	}
	return Header{}, 0, malformed(h.Type, "the remaining length has more than four bytes")
}

// checkFlags returns what is wrong with type and flags, or "".
func (h *Header) checkFlags() string {
	want := byte(0)
	switch h.Type {
	case 0, 15:
		return "the packet type is reserved"
	case Publish:
		return checkPublishFlags(h.Flags)
	case Pubrel, Subscribe, Unsubscribe:
		want = 0b0010 // [MQTT-3.6.1-1] [MQTT-3.8.1-1] [MQTT-3.10.1-1]
	}
	if h.Flags != want {
		return "wrong flags in the fixed header" // [MQTT-2.2.2-2]
	}
	return ""
}

// checkLength returns what is wrong with the remaining length of a type that has a fixed one, or "".
func (h *Header) checkLength() string {
	want := h.Length
	switch h.Type {
	case Puback, Pubrec, Pubrel, Pubcomp, Unsuback:
		want = 2
	case Pingreq, Pingresp, Disconnect:
		want = 0
	}
	if h.Length != want {
		return "wrong remaining length"
	}
	return ""
}

// appendHeader writes a fixed header. The caller has checked length.
func appendHeader(dst []byte, t Type, flags byte, length int) []byte {
	dst = append(dst, byte(t)<<4|flags)
	for length >= 0x80 {
		dst = append(dst, byte(length)|0x80)
		length >>= 7
	}
	return append(dst, byte(length))
}
