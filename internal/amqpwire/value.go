package amqpwire

// Symbol is an ASCII name.
type Symbol string

// Char is one Unicode code point.
type Char rune

// UUID is a universally unique id, in network order.
type UUID [16]byte

// Decimal is an IEEE 754 decimal number of 4, 8 or 16 bytes, as it travels: nobody calculates with it.
type Decimal []byte

// List is a list of any values.
type List []any

// Map keeps its entries in the order of the wire. The maps of this protocol are short: lookups walk.
type Map []Entry

// Entry is one key of a Map with its value.
type Entry struct{ Key, Value any }

// Array is a list whose elements have one type.
type Array []any

// Described is a value with a descriptor: a uint64 or a Symbol in all practice.
type Described struct{ Descriptor, Value any }

// Get returns the value of the first entry whose key is a symbol, string or binary that reads name; nil if there is none.
func (m Map) Get(name string) any {
	for _, e := range m {
		if text, ok := Text(e.Key); ok && text == name {
			return e.Value
		}
	}
	return nil
}

// Text returns what a string, a symbol or a binary reads: clients write one for another.
func Text(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case Symbol:
		return string(v), true
	case []byte:
		return string(v), true
	}
	return "", false
}

// Integer returns the value of an integer of any width and sign that fits.
func Integer(v any) (int64, bool) {
	switch v := v.(type) {
	case int8:
		return int64(v), true
	case int16:
		return int64(v), true
	case int32:
		return int64(v), true
	case int64:
		return v, true
	case uint8:
		return int64(v), true
	case uint16:
		return int64(v), true
	case uint32:
		return int64(v), true
	case uint64:
		return int64(v), v <= 1<<63-1
	}
	return 0, false
}
