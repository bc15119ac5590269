package amqpwire

import (
	"encoding/binary"
	"math"
	"time"
)

// Values that need no memory of their own: an input can hold many.
var (
	emptyList   any = List{}
	emptyMap    any = Map{}
	emptyArray  any = Array{}
	emptyBinary any = []byte{}
)

// Value reads any value; after an error it is nil. Strings and binaries are copies. Nesting deeper than 32 is ErrDepth.
func (r *Reader) Value() any {
	if v := r.value(0); r.err == nil {
		return v
	}
	return nil
}

func (r *Reader) value(depth int) any {
	code := r.byte()
	if r.err != nil {
		return nil
	}
	if code == codeDescribed {
		if depth++; depth > maxDepth {
			r.fail(ErrDepth)
			return nil
		}
		descriptor := r.value(depth)
		v := r.value(depth)
		if r.err != nil {
			return nil
		}
		return Described{Descriptor: descriptor, Value: v}
	}
	return r.body(code, depth)
}

// body reads what follows the constructor of a value that is not described.
func (r *Reader) body(code byte, depth int) any {
	switch code >> 4 {
	case 0x4, 0x5, 0x6, 0x7, 0x8, 0x9:
		return r.fixed(code)
	case 0xa, 0xb:
		return r.text(code)
	case 0xc, 0xd, 0xe, 0xf:
		return r.compoundValue(code, depth)
	}
	r.fail(ErrType)
	return nil
}

func (r *Reader) fixed(code byte) any {
	switch code {
	case codeNull:
		return nil
	case codeTrue:
		return true
	case codeFalse:
		return false
	case codeBool:
		return r.boolByte()
	case codeList0:
		return emptyList
	case codeFloat:
		return math.Float32frombits(uint32(r.uint32()))
	case codeChar:
		return Char(int32(r.uint32()))
	case codeDouble:
		return math.Float64frombits(r.uint64())
	case codeTimestamp:
		return time.UnixMilli(int64(r.uint64())).UTC()
	case codeDecimal32:
		return Decimal(append([]byte(nil), r.take(4)...))
	case codeDecimal64:
		return Decimal(append([]byte(nil), r.take(8)...))
	case codeDecimal128:
		return Decimal(append([]byte(nil), r.take(16)...))
	case codeUUID:
		var id UUID
		copy(id[:], r.take(16))
		return id
	}
	return r.number(code)
}

func (r *Reader) number(code byte) any {
	v, _ := r.integer(code)
	switch code {
	case codeUint0, codeSmallUint, codeUint:
		return uint32(v)
	case codeUlong0, codeSmallUlong, codeUlong:
		return v
	case codeSmallInt, codeInt:
		return int32(v)
	case codeSmallLong, codeLong:
		return int64(v)
	case codeUbyte:
		return uint8(v)
	case codeUshort:
		return uint16(v)
	case codeByte:
		return int8(v)
	case codeShort:
		return int16(v)
	}
	return nil // integer has failed
}

func (r *Reader) text(code byte) any {
	b := r.variable(code)
	switch code {
	case codeString8, codeString32:
		return string(b)
	case codeSymbol8, codeSymbol32:
		return Symbol(b)
	}
	if len(b) == 0 {
		return emptyBinary
	}
	return append([]byte(nil), b...)
}

func (r *Reader) compoundValue(code byte, depth int) any {
	if depth++; depth > maxDepth {
		r.fail(ErrDepth)
		return nil
	}
	switch code {
	case codeList8, codeList32:
		return r.listValue(code, depth)
	case codeMap8, codeMap32:
		return r.mapValue(code, depth)
	case codeArray8, codeArray32:
		return r.arrayValue(code, depth)
	}
	r.fail(ErrType)
	return nil
}

// enter reads size and count of a list, map or array behind its constructor, and has r read its content only; leave goes
// on behind it. It does not look at the count.
func (r *Reader) enter(code byte) (count int, behind []byte) {
	var size, width int
	if code>>4 == 0xd || code>>4 == 0xf {
		size, width = r.uint32(), 4
	} else {
		size, width = int(r.byte()), 1
	}
	content := r.take(size)
	if r.err == nil && size < width {
		r.fail(ErrShort)
	}
	if r.err != nil {
		return 0, nil
	}
	behind = r.b
	r.b = content[width:]
	if width == 1 {
		return int(content[0]), behind
	}
	return int(binary.BigEndian.Uint32(content)), behind
}

func (r *Reader) leave(behind []byte) {
	if len(r.b) > 0 {
		r.fail(ErrCount)
	}
	if r.err == nil {
		r.b = behind
	}
}

// claim checks the count of elements that take a byte each at least.
func (r *Reader) claim(count int) bool {
	if r.err == nil && (count > len(r.b) || count > r.items) {
		r.fail(ErrCount)
	}
	r.items -= count
	return r.err == nil
}

func (r *Reader) listValue(code byte, depth int) any {
	count, behind := r.enter(code)
	if !r.claim(count) {
		return nil
	}
	out := emptyList
	if count > 0 {
		list := make(List, count)
		for i := range list {
			if list[i] = r.value(depth); r.err != nil {
				return nil
			}
		}
		out = list
	}
	r.leave(behind)
	return out
}

func (r *Reader) mapValue(code byte, depth int) any {
	if m := r.entries(code, depth); len(m) > 0 {
		return m
	}
	return emptyMap
}

func (r *Reader) entries(code byte, depth int) Map {
	count, behind := r.enter(code)
	if count%2 != 0 {
		r.fail(ErrCount)
	}
	if !r.claim(count) {
		return nil
	}
	m := make(Map, count/2)
	for i := range m {
		m[i] = Entry{Key: r.value(depth), Value: r.value(depth)}
		if r.err != nil {
			return nil
		}
	}
	r.leave(behind)
	return m
}

// MapValue reads a map; null reads as nil, an empty one does not.
func (r *Reader) MapValue() Map {
	switch code := r.byte(); code {
	case codeMap8, codeMap32:
		if m := r.entries(code, 1); r.err == nil {
			return m
		}
	case codeNull:
	default:
		r.fail(ErrType)
	}
	return nil
}

// arrayValue reads an array. A constructor with a descriptor makes its elements Described; a second descriptor inside it
// is ErrType.
func (r *Reader) arrayValue(code byte, depth int) any {
	count, behind := r.enter(code)
	if r.err != nil {
		return nil
	}
	if count == 0 { // what an empty array is of does not matter, and some leave it out
		r.b = behind
		return emptyArray
	}
	var descriptor any
	element := r.byte()
	described := element == codeDescribed
	cost := 1
	if described {
		if depth++; depth > maxDepth {
			r.fail(ErrDepth)
			return nil
		}
		descriptor = r.value(depth)
		element = r.byte()
		cost = 2
	}
	if !r.claimElements(element, count, cost) {
		return nil
	}
	out := make(Array, count)
	for i := range out {
		v := r.body(element, depth)
		if r.err != nil {
			return nil
		}
		if described {
			v = Described{Descriptor: descriptor, Value: v}
		}
		out[i] = v
	}
	r.leave(behind)
	return out
}

// claimElements is claim for an array, whose elements may take no bytes.
func (r *Reader) claimElements(code byte, count, cost int) bool {
	if code>>4 != 0x4 {
		if r.err == nil && count > len(r.b) {
			r.fail(ErrCount)
			return false
		}
		if count > r.items/cost {
			r.fail(ErrCount)
		}
		r.items -= cost * count
		return r.err == nil
	}
	if count > r.empty {
		r.fail(ErrCount)
	}
	r.empty -= count
	return r.err == nil
}

// Skip passes over one value of any type.
func (r *Reader) Skip() { r.skip(0) }

func (r *Reader) skip(depth int) {
	code := r.byte()
	if r.err != nil {
		return
	}
	switch code >> 4 {
	case 0x4:
	case 0x5:
		r.take(1)
	case 0x6:
		r.take(2)
	case 0x7:
		r.take(4)
	case 0x8:
		r.take(8)
	case 0x9:
		r.take(16)
	case 0xa, 0xc, 0xe:
		r.take(int(r.byte()))
	case 0xb, 0xd, 0xf:
		r.take(r.uint32())
	default:
		r.skipDescribed(code, depth)
	}
}

func (r *Reader) skipDescribed(code byte, depth int) {
	if code != codeDescribed {
		r.fail(ErrType)
		return
	}
	if depth++; depth > maxDepth {
		r.fail(ErrDepth)
		return
	}
	r.skip(depth)
	r.skip(depth)
}
