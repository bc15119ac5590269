package amqpwire

import "encoding/binary"

// Bool reads a boolean in any of its forms.
func (r *Reader) Bool() bool {
	switch r.byte() {
	case codeTrue:
		return true
	case codeFalse:
		return false
	case codeBool:
		return r.boolByte()
	}
	r.fail(ErrType)
	return false
}

func (r *Reader) boolByte() bool {
	b := r.byte()
	if b > 1 {
		r.fail(ErrRange)
	}
	return b == 1
}

// Ubyte reads an integer of any width and sign that fits 8 bits without one.
func (r *Reader) Ubyte() uint8 { return uint8(r.unsigned(1<<8 - 1)) }

// Ushort reads an integer of any width and sign that fits 16 bits without one.
func (r *Reader) Ushort() uint16 { return uint16(r.unsigned(1<<16 - 1)) }

// Uint reads an integer of any width and sign that fits 32 bits without one.
func (r *Reader) Uint() uint32 { return uint32(r.unsigned(1<<32 - 1)) }

// Ulong reads an integer of any width and sign that fits 64 bits without one.
func (r *Reader) Ulong() uint64 { return r.unsigned(1<<64 - 1) }

// Long reads an integer of any width and sign that fits 64 bits with one.
func (r *Reader) Long() int64 {
	v, negative := r.integer(r.byte())
	if !negative && v > 1<<63-1 {
		r.fail(ErrRange)
		return 0
	}
	return int64(v)
}

func (r *Reader) unsigned(limit uint64) uint64 {
	v, negative := r.integer(r.byte())
	if negative || v > limit {
		r.fail(ErrRange)
		return 0
	}
	return v
}

// integer reads what follows the constructor of an integer. A negative one is returned as its two's complement.
func (r *Reader) integer(code byte) (v uint64, negative bool) {
	switch code {
	case codeUint0, codeUlong0:
		return 0, false
	case codeUbyte, codeSmallUint, codeSmallUlong:
		return uint64(r.byte()), false
	case codeUshort:
		return uint64(r.uint16()), false
	case codeUint:
		return uint64(uint32(r.uint32())), false
	case codeUlong:
		return r.uint64(), false
	case codeByte, codeSmallInt, codeSmallLong:
		return signed(int64(int8(r.byte())))
	case codeShort:
		return signed(int64(int16(r.uint16())))
	case codeInt:
		return signed(int64(int32(r.uint32())))
	case codeLong:
		return signed(int64(r.uint64()))
	}
	r.fail(ErrType)
	return 0, false
}

func signed(v int64) (uint64, bool) { return uint64(v), v < 0 }

func (r *Reader) uint16() uint16 {
	if b := r.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *Reader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}
