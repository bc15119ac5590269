package amqpwire

import (
	"encoding/binary"
	"time"
)

// Section is the descriptor of a message section, AMQP 1.0 part 3 §3.2.
type Section byte

// The sections of a message, in the order in which they travel. A body is any number of data sections or of sequences, or
// one value.
const (
	SectionHeader                Section = 0x70
	SectionDeliveryAnnotations   Section = 0x71
	SectionMessageAnnotations    Section = 0x72
	SectionProperties            Section = 0x73
	SectionApplicationProperties Section = 0x74
	SectionData                  Section = 0x75
	SectionSequence              Section = 0x76
	SectionValue                 Section = 0x77
	SectionFooter                Section = 0x78
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

// AppendBool appends a boolean in its form of one byte.
func AppendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, codeTrue)
	}
	return append(dst, codeFalse)
}

// AppendUbyte appends an 8-bit unsigned integer.
func AppendUbyte(dst []byte, v uint8) []byte { return append(dst, codeUbyte, v) }

// AppendUshort appends a 16-bit unsigned integer.
func AppendUshort(dst []byte, v uint16) []byte { return append(dst, codeUshort, byte(v>>8), byte(v)) }

// AppendUint appends a 32-bit unsigned integer. Zero is 0x43, as the Azure service writes it.
func AppendUint(dst []byte, v uint32) []byte {
	switch {
	case v == 0:
		return append(dst, codeUint0)
	case v <= 0xff:
		return append(dst, codeSmallUint, byte(v))
	}
	return append(dst, codeUint, byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
}

// AppendUlong appends a 64-bit unsigned integer. Zero is 0x44, as the Azure service writes it.
func AppendUlong(dst []byte, v uint64) []byte {
	switch {
	case v == 0:
		return append(dst, codeUlong0)
	case v <= 0xff:
		return append(dst, codeSmallUlong, byte(v))
	}
	return binary.BigEndian.AppendUint64(append(dst, codeUlong), v)
}

// AppendInt appends a 32-bit signed integer.
func AppendInt(dst []byte, v int32) []byte {
	if v >= -128 && v <= 127 {
		return append(dst, codeSmallInt, byte(v))
	}
	return binary.BigEndian.AppendUint32(append(dst, codeInt), uint32(v))
}

// AppendUUID appends a UUID.
func AppendUUID(dst []byte, v UUID) []byte { return append(append(dst, codeUUID), v[:]...) }

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

// endShort is End in the form with lengths of one byte, if they suffice: the constructor of code32 becomes the one 0x10
// below it, and what was written moves.
func (c Compound) endShort(dst []byte, count int) []byte {
	size := len(dst) - int(c) - 8 + 1
	if size > 0xff || count > 0xff {
		return c.End(dst, count)
	}
	dst[c-1] -= 0x10
	dst[c], dst[c+1] = byte(size), byte(count)
	n := copy(dst[c+2:], dst[c+8:])
	return dst[:int(c)+2+n]
}
