package amqpwire

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// AppendValue appends any value of a Go type of the package's table, in the shortest form that every client reads:
// integers in their small forms, lists and maps with lengths of one byte where they suffice, an empty list as list8. A
// nil List, Map, Decimal or []byte is null, and so is an Array without elements: pyamqp takes the constructor of an empty
// array for the next value. An Array whose elements have different types, or another Go type, is an error that wraps
// ErrType; nesting deeper than 32 is ErrDepth. On an error dst is returned as it was.
func AppendValue(dst []byte, v any) ([]byte, error) {
	out, err := appendValue(dst, v, 0)
	if err != nil {
		return dst, err
	}
	return out, nil
}

func appendValue(dst []byte, v any, depth int) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(dst, codeNull), nil
	case bool:
		return AppendBool(dst, v), nil
	case uint32:
		return AppendUint(dst, v), nil
	case uint64:
		return AppendUlong(dst, v), nil
	case int32:
		return AppendInt(dst, v), nil
	case int64:
		return AppendLong(dst, v), nil
	case string:
		return AppendString(dst, v), nil
	case Symbol:
		return appendVariable(dst, codeSymbol8, codeSymbol32, string(v)), nil
	case []byte:
		if v == nil {
			return append(dst, codeNull), nil
		}
		return AppendBinary(dst, v), nil
	case List, Map, Array, Described:
		if depth++; depth > maxDepth {
			return dst, ErrDepth
		}
		return appendCompound(dst, v, depth)
	}
	code, err := wideCode(v)
	if err != nil {
		return dst, err
	}
	if code == codeNull {
		return append(dst, codeNull), nil
	}
	return appendBody(append(dst, code), code, v, depth)
}

func appendCompound(dst []byte, v any, depth int) ([]byte, error) {
	switch v := v.(type) {
	case List:
		if v == nil {
			return append(dst, codeNull), nil
		}
		dst, c := BeginList(dst)
		dst, err := appendItems(dst, v, depth)
		return c.endShort(dst, len(v)), err
	case Map:
		if v == nil {
			return append(dst, codeNull), nil
		}
		dst, c := BeginMap(dst)
		dst, err := appendEntries(dst, v, depth)
		return c.endShort(dst, 2*len(v)), err
	case Array:
		if len(v) == 0 {
			return append(dst, codeNull), nil
		}
		dst, c := beginCompound(dst, codeArray32)
		dst, err := appendElements(dst, v, depth)
		return c.endShort(dst, len(v)), err
	case Described:
		dst, err := appendValue(append(dst, codeDescribed), v.Descriptor, depth)
		if err != nil {
			return dst, err
		}
		return appendValue(dst, v.Value, depth)
	}
	return dst, fmt.Errorf("%w, not %T", ErrType, v)
}

func appendItems(dst []byte, items []any, depth int) ([]byte, error) {
	var err error
	for _, item := range items {
		if dst, err = appendValue(dst, item, depth); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

func appendEntries(dst []byte, m Map, depth int) ([]byte, error) {
	var err error
	for i := range m {
		if dst, err = appendValue(dst, m[i].Key, depth); err != nil {
			return dst, err
		}
		if dst, err = appendValue(dst, m[i].Value, depth); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// wideCode returns the constructor of a value's full-width form, which array elements have; for text the one with a
// length of one byte, if that suffices.
func wideCode(v any) (byte, error) {
	switch v := v.(type) {
	case nil:
		return codeNull, nil
	case bool:
		return codeBool, nil
	case uint8:
		return codeUbyte, nil
	case uint16:
		return codeUshort, nil
	case uint32:
		return codeUint, nil
	case uint64:
		return codeUlong, nil
	case int8:
		return codeByte, nil
	case int16:
		return codeShort, nil
	case int32:
		return codeInt, nil
	case int64:
		return codeLong, nil
	case float32:
		return codeFloat, nil
	case float64:
		return codeDouble, nil
	case Char:
		return codeChar, nil
	case time.Time:
		return codeTimestamp, nil
	case UUID:
		return codeUUID, nil
	case Decimal:
		return decimalCode(v)
	case []byte:
		return textCode(codeBinary8, len(v)), nil
	case string:
		return textCode(codeString8, len(v)), nil
	case Symbol:
		return textCode(codeSymbol8, len(v)), nil
	case List:
		return codeList32, nil
	case Map:
		return codeMap32, nil
	case Array:
		return codeArray32, nil
	}
	return 0, fmt.Errorf("%w, not %T", ErrType, v)
}

func textCode(code8 byte, size int) byte {
	if size > 0xff {
		return code8 + 0x10
	}
	return code8
}

func decimalCode(d Decimal) (byte, error) {
	switch {
	case d == nil:
		return codeNull, nil
	case len(d) == 4:
		return codeDecimal32, nil
	case len(d) == 8:
		return codeDecimal64, nil
	case len(d) == 16:
		return codeDecimal128, nil
	}
	return 0, fmt.Errorf("%w: a decimal of %d bytes", ErrType, len(d))
}

// appendBody appends what follows the constructor code, which wideCode gave for v or for another of its kind.
func appendBody(dst []byte, code byte, v any, depth int) ([]byte, error) {
	order := binary.BigEndian
	switch v := v.(type) {
	case nil:
		return dst, nil
	case bool:
		if v {
			return append(dst, 1), nil
		}
		return append(dst, 0), nil
	case uint8:
		return append(dst, v), nil
	case int8:
		return append(dst, byte(v)), nil
	case uint16:
		return order.AppendUint16(dst, v), nil
	case int16:
		return order.AppendUint16(dst, uint16(v)), nil
	case uint32:
		return order.AppendUint32(dst, v), nil
	case int32:
		return order.AppendUint32(dst, uint32(v)), nil
	case uint64:
		return order.AppendUint64(dst, v), nil
	case int64:
		return order.AppendUint64(dst, uint64(v)), nil
	case float32:
		return order.AppendUint32(dst, math.Float32bits(v)), nil
	case float64:
		return order.AppendUint64(dst, math.Float64bits(v)), nil
	case Char:
		return order.AppendUint32(dst, uint32(v)), nil
	case time.Time:
		return order.AppendUint64(dst, uint64(v.UnixMilli())), nil
	case UUID:
		return append(dst, v[:]...), nil
	case Decimal:
		return append(dst, v...), nil
	case []byte:
		return appendText(dst, code, v), nil
	case string:
		return appendText(dst, code, v), nil
	case Symbol:
		return appendText(dst, code, string(v)), nil
	}
	return appendWideCompound(dst, v, depth)
}

func appendText[T string | []byte](dst []byte, code byte, v T) []byte {
	if code < codeBinary32 {
		dst = append(dst, byte(len(v)))
	} else {
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(v)))
	}
	return append(dst, v...)
}

// appendWideCompound appends a list, map or array that is an array's element: lengths of four bytes, no constructor.
func appendWideCompound(dst []byte, v any, depth int) ([]byte, error) {
	if depth++; depth > maxDepth {
		return dst, ErrDepth
	}
	c := Compound(len(dst))
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0)
	var err error
	count := 0
	switch v := v.(type) {
	case List:
		count = len(v)
		dst, err = appendItems(dst, v, depth)
	case Map:
		count = 2 * len(v)
		dst, err = appendEntries(dst, v, depth)
	case Array:
		count = len(v)
		dst, err = appendElements(dst, v, depth)
	default:
		err = fmt.Errorf("%w, not %T", ErrType, v)
	}
	return c.End(dst, count), err
}
