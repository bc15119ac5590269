package amqpwire

import (
	"bytes"
	"fmt"
)

// appendElements appends an array's one constructor and its elements without theirs. An empty array, which only stands
// inside another, is one of strings: it has to be of something.
func appendElements(dst []byte, a Array, depth int) ([]byte, error) {
	if len(a) == 0 {
		return append(dst, codeString8), nil
	}
	first, described := a[0].(Described)
	if !described {
		return appendSame(dst, len(a), func(i int) any { return a[i] }, depth)
	}
	if depth++; depth > maxDepth {
		return dst, ErrDepth
	}
	start := len(dst)
	dst, err := appendValue(append(dst, codeDescribed), first.Descriptor, depth)
	if err != nil {
		return dst, err
	}
	if err := sameDescriptor(dst[start+1:], a, depth); err != nil {
		return dst, err
	}
	return appendSame(dst, len(a), func(i int) any { return a[i].(Described).Value }, depth)
}

// sameDescriptor checks that all elements are described, and by what encodes to want.
func sameDescriptor(want []byte, a Array, depth int) error {
	var buf []byte
	for _, v := range a {
		d, ok := v.(Described)
		if !ok {
			return fmt.Errorf("%w: an array of different types", ErrType)
		}
		var err error
		if buf, err = appendValue(buf[:0], d.Descriptor, depth); err != nil {
			return err
		}
		if !bytes.Equal(buf, want) {
			return fmt.Errorf("%w: an array of different descriptors", ErrType)
		}
	}
	return nil
}

func appendSame(dst []byte, n int, at func(int) any, depth int) ([]byte, error) {
	code, err := commonCode(n, at)
	if err != nil {
		return dst, err
	}
	dst = append(dst, code)
	for i := range n {
		if dst, err = appendBody(dst, code, at(i), depth); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// commonCode returns the constructor that fits n elements of one type: of text, the one of the longest.
func commonCode(n int, at func(int) any) (byte, error) {
	var common byte
	for i := range n {
		code, err := wideCode(at(i))
		if err != nil {
			return 0, err
		}
		switch {
		case i == 0:
			common = code
		case code == common:
		case isText(code) && isText(common) && code&0x0f == common&0x0f:
			common = max(common, code)
		default:
			return 0, fmt.Errorf("%w: an array of different types", ErrType)
		}
	}
	return common, nil
}

func isText(code byte) bool { return code>>4 == 0xa || code>>4 == 0xb }

// AppendSymbols appends an array of symbols, also for one; none is null, as an empty Array is for AppendValue.
func AppendSymbols(dst []byte, symbols []Symbol) []byte {
	if len(symbols) == 0 {
		return append(dst, codeNull)
	}
	code := byte(codeSymbol8)
	for _, s := range symbols {
		code = max(code, textCode(codeSymbol8, len(s)))
	}
	dst, c := beginCompound(dst, codeArray32)
	dst = append(dst, code)
	for _, s := range symbols {
		dst = appendText(dst, code, string(s))
	}
	return c.endShort(dst, len(symbols))
}

// Symbols reads a field that may hold several symbols: an array, a list, or a bare symbol for one. Null reads as nil.
func (r *Reader) Symbols() []Symbol {
	code := r.byte()
	switch code {
	case codeNull:
		return nil
	case codeList0:
		return []Symbol{}
	case codeArray8, codeArray32, codeList8, codeList32:
		return r.symbols(code)
	}
	s := Symbol(r.variable(code))
	if r.err != nil {
		return nil
	}
	return []Symbol{s}
}

func (r *Reader) symbols(code byte) []Symbol {
	count, behind := r.enter(code)
	if count == 0 {
		if r.err == nil {
			r.b = behind
		}
		return []Symbol{}
	}
	array := code == codeArray8 || code == codeArray32
	var element byte
	if array {
		element = r.byte()
	}
	if !r.claim(count) {
		return nil
	}
	out := make([]Symbol, count)
	for i := range out {
		if !array {
			element = r.byte()
		}
		if out[i] = Symbol(r.variable(element)); r.err != nil {
			return nil
		}
	}
	r.leave(behind)
	return out
}
