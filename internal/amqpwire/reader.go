package amqpwire

import (
	"encoding/binary"
	"errors"
	"time"
)

// Errors of a Reader. They say what was wrong, not where; a performative's Decode wraps them with its name and the
// field's: "amqpwire: attach.role: a value of another type was expected".
var (
	ErrShort      = errors.New("amqpwire: the data ends inside a value")
	ErrType       = errors.New("amqpwire: a value of another type was expected")
	ErrCount      = errors.New("amqpwire: a list, map or array whose count does not match its bytes, or is too large")
	ErrSection    = errors.New("amqpwire: a message section was expected")
	ErrDepth      = errors.New("amqpwire: values are nested too deep")
	ErrDescriptor = errors.New("amqpwire: an unknown descriptor")
	ErrFrame      = errors.New("amqpwire: a frame header with an impossible size")
	ErrRange      = errors.New("amqpwire: a number outside its range")
	ErrMissing    = errors.New("amqpwire: a mandatory field is missing")
)

// Limits of what Value reads.
const (
	maxDepth = 32     // compound and described values inside one another
	maxItems = 65_536 // elements of lists, maps and arrays together, for one Reader
	maxEmpty = 256    // array elements that take no bytes, such as nulls, for one Reader
)

// Reader reads values one after another. The first error sticks: later calls return zero values, so a decoder is a
// plain list of reads with one check of Err at its end. Strings and binaries alias the input where a method says nothing
// else.
//
// What Value and Map fields take in memory is bounded by the input: a count is compared with the bytes at hand before
// anything is allocated, and all counts together with twice the input's length and with 65,536.
type Reader struct {
	b     []byte
	err   error
	items int // what lists, maps and arrays may still claim
	empty int // as items, for array elements of no bytes
}

// NewReader reads from b, which must not change while results are in use.
func NewReader(b []byte) *Reader {
	r := &Reader{}
	r.Reset(b)
	return r
}

// Reset makes r a new reader of b: a connection can keep one.
func (r *Reader) Reset(b []byte) {
	*r = Reader{b: b, items: min(2*len(b), maxItems), empty: maxEmpty}
}

// Err returns the first error.
func (r *Reader) Err() error { return r.err }

// More reports whether bytes are left and no error has happened.
func (r *Reader) More() bool { return r.err == nil && len(r.b) > 0 }

// Rest returns the bytes that have not been read.
func (r *Reader) Rest() []byte { return r.b }

func (r *Reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b = nil
}

func (r *Reader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.fail(ErrShort)
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *Reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *Reader) uint32() int {
	if b := r.take(4); b != nil {
		return int(binary.BigEndian.Uint32(b))
	}
	return 0
}

// Section reads the descriptor of a message section.
func (r *Reader) Section() Section {
	if b := r.b; len(b) >= 3 && b[0] == codeDescribed && b[1] == codeSmallUlong {
		r.b = b[3:]
		return Section(b[2])
	}
	if r.err == nil && len(r.b) > 0 && r.b[0] != codeDescribed {
		r.fail(ErrSection)
		return 0
	}
	code := r.Descriptor()
	if errors.Is(r.err, ErrDescriptor) {
		r.err = ErrSection
	}
	return Section(code)
}

// Null reports whether the next value is null, and reads it if so.
func (r *Reader) Null() bool {
	if len(r.b) > 0 && r.b[0] == codeNull {
		r.b = r.b[1:]
		return true
	}
	return false
}

// Bytes reads a string, symbol or binary; null reads as nil. The result aliases the input.
func (r *Reader) Bytes() []byte {
	code := r.byte()
	if code == codeNull {
		return nil
	}
	return r.variable(code)
}

// variable reads what follows the constructor of a string, symbol or binary.
func (r *Reader) variable(code byte) []byte {
	switch code {
	case codeString8, codeSymbol8, codeBinary8:
		return r.take(int(r.byte()))
	case codeString32, codeSymbol32, codeBinary32:
		return r.take(r.uint32())
	}
	r.fail(ErrType)
	return nil
}

// String reads a string, symbol or binary as a string of its own.
func (r *Reader) String() string { return string(r.Bytes()) }

// Timestamp reads a timestamp; null reads as the zero time.
func (r *Reader) Timestamp() time.Time {
	switch r.byte() {
	case codeTimestamp:
		if b := r.take(8); b != nil {
			return time.UnixMilli(int64(binary.BigEndian.Uint64(b))).UTC()
		}
		return time.Time{}
	case codeNull:
		return time.Time{}
	}
	r.fail(ErrType)
	return time.Time{}
}

// List reads the head of a list and returns its element count. Each element takes a byte at least, so a short input
// cannot claim many.
func (r *Reader) List() int {
	switch r.byte() {
	case codeList0:
		return 0
	case codeList8:
		return r.compound(int(r.byte()), 1)
	case codeList32:
		return r.compound(r.uint32(), 4)
	}
	r.fail(ErrType)
	return 0
}

// Map reads the head of a map and returns the number of its keys and values together.
func (r *Reader) Map() int {
	switch r.byte() {
	case codeMap8:
		return r.compound(int(r.byte()), 1)
	case codeMap32:
		return r.compound(r.uint32(), 4)
	}
	r.fail(ErrType)
	return 0
}

func (r *Reader) compound(size, width int) int {
	if size < width || size > len(r.b) {
		r.fail(ErrShort)
		return 0
	}
	var count int
	if width == 1 {
		count = int(r.byte())
	} else {
		count = r.uint32()
	}
	if count > size-width {
		r.fail(ErrCount)
		return 0
	}
	return count
}
