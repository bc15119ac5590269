package amqpwire

// The Go types of AMQP values, as AppendValue takes them and Reader.Value returns them (AMQP 1.0 part 1 §1.6):
//
//	null nil            boolean bool         ubyte uint8     ushort uint16   uint uint32     ulong uint64
//	byte int8           short int16          int int32       long int64      float float32   double float64
//	char Char           timestamp time.Time  uuid UUID       binary []byte   string string   symbol Symbol
//	decimal32 to 128 Decimal                 list List       map Map         array Array     described Described

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
func Integer(v any) (int64, bool) { panic("unwritten") }

// AppendValue appends any value of the table above, in the shortest form that every client reads. An Array whose
// elements have different types, or another Go type, is an error.
func AppendValue(dst []byte, v any) ([]byte, error) { panic("unwritten") }

// Value reads any value. Strings and binaries are copies. Nesting deeper than 32 is ErrDepth.
func (r *Reader) Value() any { panic("unwritten") }

// Skip passes over one value of any type.
func (r *Reader) Skip() { panic("unwritten") }
