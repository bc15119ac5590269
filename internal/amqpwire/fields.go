package amqpwire

import "strings"

// fields reads the list of a performative, field by field.
type fields struct {
	r      *Reader
	name   string // of the performative
	field  string // that is being read
	left   int
	behind []byte
}

// fields enters a list whose descriptor was read.
func (r *Reader) fields(name string) fields {
	f := fields{r: r, name: name}
	switch code := r.byte(); code {
	case codeList0:
		f.behind, r.b = r.b, r.b[:0]
	case codeList8, codeList32:
		f.left, f.behind = r.enter(code)
		if f.left > len(r.b) {
			r.fail(ErrCount)
		}
	default:
		r.fail(ErrType)
	}
	return f
}

// has reports whether the next field is there and not null; its value is read next.
func (f *fields) has(field string) bool {
	if f.r.err != nil {
		return false
	}
	f.field = field
	if f.left == 0 {
		return false
	}
	f.left--
	return !f.r.Null()
}

// must is has for a mandatory field.
func (f *fields) must(field string) bool {
	if f.has(field) {
		return true
	}
	f.r.fail(ErrMissing)
	return false
}

// uint reads a field that may be absent.
func (f *fields) uint(field string) Uint {
	if f.has(field) {
		return Uint{Value: f.r.Uint(), Set: true}
	}
	return Uint{}
}

// bool reads a field that is false when absent.
func (f *fields) bool(field string) bool { return f.has(field) && f.r.Bool() }

// text reads a field that is empty when absent.
func (f *fields) text(field string) string {
	if f.has(field) {
		return f.r.String()
	}
	return ""
}

// symbol is text for a symbol.
func (f *fields) symbol(field string) Symbol { return Symbol(f.text(field)) }

// symbols reads a field that is nil when absent.
func (f *fields) symbols(field string) []Symbol {
	if f.has(field) {
		return f.r.Symbols()
	}
	return nil
}

// mapping reads a field that is nil when absent.
func (f *fields) mapping(field string) Map {
	if f.has(field) {
		return f.r.MapValue()
	}
	return nil
}

// end passes over fields that are unknown, and returns the reader's error with the field's name.
func (f *fields) end() error {
	r := f.r
	if r.err == nil {
		f.field = ""
	}
	for ; f.left > 0 && r.err == nil; f.left-- {
		r.Skip()
	}
	r.leave(f.behind)
	if r.err != nil {
		r.err = inField(f.name, f.field, r.err)
	}
	return r.err
}

// fieldError says in which field an error happened.
type fieldError struct {
	path string
	err  error // a Reader's
}

func (e *fieldError) Error() string {
	return "amqpwire: " + e.path + ": " + strings.TrimPrefix(e.err.Error(), "amqpwire: ")
}

func (e *fieldError) Unwrap() error { return e.err }

// inField names the field; in one that is a described list itself, the path goes on with that list's name.
func inField(name, field string, err error) error {
	if inner, ok := err.(*fieldError); ok {
		return &fieldError{path: name + "." + inner.path, err: inner.err}
	}
	if field != "" {
		name += "." + field
	}
	return &fieldError{path: name, err: err}
}
