package mqttwire

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

// maxFieldLength is the longest string or binary field: its length is sixteen bits.
//
// Source: MQTT 3.1.1 section 1.5.3.
const maxFieldLength = 1<<16 - 1

// reader takes a body apart. The first error sticks: later reads return zero values, so that a parser is a plain list
// of fields with one check at its end. What it returns aliases the body.
type reader struct {
	packet Type
	rest   []byte
	err    error
}

func (r *reader) fail(reason string) {
	if r.err == nil {
		r.err = malformed(r.packet, reason)
	}
	r.rest = nil
}

func (r *reader) byte() byte {
	if len(r.rest) < 1 {
		r.fail("the packet is too short")
		return 0
	}
	v := r.rest[0]
	r.rest = r.rest[1:]
	return v
}

func (r *reader) uint16() uint16 {
	if len(r.rest) < 2 {
		r.fail("the packet is too short")
		return 0
	}
	v := binary.BigEndian.Uint16(r.rest)
	r.rest = r.rest[2:]
	return v
}

// binary reads a length of two bytes and as many bytes.
func (r *reader) binary() []byte {
	n := int(r.uint16())
	if n > len(r.rest) {
		r.fail("a field is longer than the packet")
		return nil
	}
	v := r.rest[:n:n]
	r.rest = r.rest[n:]
	return v
}

// text reads a UTF-8 string.
func (r *reader) text() []byte {
	v := r.binary()
	if reason := checkText(v); reason != "" {
		r.fail(reason)
		return nil
	}
	return v
}

// topic reads a topic name or filter: a string of at least one character. Wildcards are not looked for: device ids may
// hold '+' and '#' (learn.microsoft.com/azure/iot-hub/iot-hub-devguide-identity-registry), so only someone who knows the
// topics can judge them.
func (r *reader) topic() []byte {
	v := r.text()
	if r.err == nil && len(v) == 0 {
		r.fail("a topic is empty") // [MQTT-4.7.3-1]
	}
	return v
}

// id reads a packet identifier, which is never 0.
func (r *reader) id() uint16 {
	v := r.uint16()
	if r.err == nil && v == 0 {
		r.fail(reasonNoID) // [MQTT-2.3.1-1]
	}
	return v
}

// end returns the first error, or one about bytes that nothing has read.
func (r *reader) end() error {
	if r.err == nil && len(r.rest) > 0 {
		r.fail("bytes are left over behind the last field")
	}
	return r.err
}

const (
	reasonNoID  = "the packet identifier is 0"
	reasonLong  = "a field has more than 65535 bytes"
	reasonLarge = "the packet is longer than MQTT allows"
)

// checkText returns why b is no UTF-8 string in the sense of the standard, or "".
func checkText(b []byte) string {
	if !utf8.Valid(b) {
		return "a string is not UTF-8" // [MQTT-1.5.3-1]
	}
	if bytes.IndexByte(b, 0) >= 0 {
		return "a string holds U+0000" // [MQTT-1.5.3-2]
	}
	return ""
}

// fieldSize is what a string or binary field of n bytes takes on the wire.
func fieldSize(n int) int { return 2 + n }

// appendField writes a string or binary field. The caller has checked its length.
func appendField[T string | []byte](dst []byte, v T) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(v)))
	return append(dst, v...)
}

// checkStrings returns why one of the strings cannot be written, or "".
func checkStrings(list ...string) string {
	for _, s := range list {
		if len(s) > maxFieldLength {
			return reasonLong
		}
		if reason := checkText([]byte(s)); reason != "" {
			return reason
		}
	}
	return ""
}
