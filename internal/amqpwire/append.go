package amqpwire

import (
	"encoding/binary"
	"time"
)

// Constructor bytes, AMQP 1.0 part 1 §1.6.
const (
	codeDescribed  = 0x00
	codeNull       = 0x40
	codeTrue       = 0x41
	codeFalse      = 0x42
	codeSmallUlong = 0x53
	codeSmallLong  = 0x55
	codeLong       = 0x81
	codeTimestamp  = 0x83
	codeBinary8    = 0xa0
	codeBinary32   = 0xb0
	codeString8    = 0xa1
	codeString32   = 0xb1
	codeSymbol8    = 0xa3
	codeSymbol32   = 0xb3
	codeList0      = 0x45
	codeList8      = 0xc0
	codeList32     = 0xd0
	codeMap8       = 0xc1
	codeMap32      = 0xd1
)

// Section is the descriptor of a message section, AMQP 1.0 part 3 §3.2.
type Section byte

// The sections that an event is made of.
const (
	SectionMessageAnnotations    Section = 0x72
	SectionProperties            Section = 0x73
	SectionApplicationProperties Section = 0x74
	SectionData                  Section = 0x75
)

// AppendSection appends the descriptor of a section; its value follows.
func AppendSection(dst []byte, s Section) []byte {
	return append(dst, codeDescribed, codeSmallUlong, byte(s))
}

// AppendNull appends null.
func AppendNull(dst []byte) []byte { return append(dst, codeNull) }

// AppendString appends a string, which must be valid UTF-8.
func AppendString(dst []byte, s string) []byte {
	return appendVariable(dst, codeString8, codeString32, s)
}

// AppendSymbol appends a symbol, which must be ASCII.
func AppendSymbol(dst []byte, s string) []byte {
	return appendVariable(dst, codeSymbol8, codeSymbol32, s)
}

// AppendBinary appends binary data.
func AppendBinary[T string | []byte](dst []byte, b T) []byte {
	return appendVariable(dst, codeBinary8, codeBinary32, b)
}

func appendVariable[T string | []byte](dst []byte, code8, code32 byte, v T) []byte {
	if len(v) <= 0xff {
		dst = append(dst, code8, byte(len(v)))
	} else {
		dst = append(dst, code32)
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(v)))
	}
	return append(dst, v...)
}

// AppendLong appends a 64-bit signed integer.
func AppendLong(dst []byte, v int64) []byte {
	if v >= -128 && v <= 127 {
		return append(dst, codeSmallLong, byte(v))
	}
	return binary.BigEndian.AppendUint64(append(dst, codeLong), uint64(v))
}

// AppendTimestamp appends a time, cut to milliseconds.
func AppendTimestamp(dst []byte, t time.Time) []byte {
	return binary.BigEndian.AppendUint64(append(dst, codeTimestamp), uint64(t.UnixMilli()))
}

// Compound is an open list or map: what BeginList and BeginMap return and End closes.
type Compound int

// BeginList opens a list. Its elements follow; End closes it.
func BeginList(dst []byte) ([]byte, Compound) { return beginCompound(dst, codeList32) }

// BeginMap opens a map. Its keys and values follow, in turn; End closes it.
func BeginMap(dst []byte) ([]byte, Compound) { return beginCompound(dst, codeMap32) }

func beginCompound(dst []byte, code byte) ([]byte, Compound) {
	dst = append(dst, code, 0, 0, 0, 0, 0, 0, 0, 0)
	return dst, Compound(len(dst) - 8)
}

// End closes a list of count elements or a map of count keys and values: it writes size and count where Begin left
// room.
func (c Compound) End(dst []byte, count int) []byte {
	size := len(dst) - int(c) - 4 // the size counts the count's four bytes, not its own
	binary.BigEndian.PutUint32(dst[c:], uint32(size))
	binary.BigEndian.PutUint32(dst[c+4:], uint32(count))
	return dst
}
