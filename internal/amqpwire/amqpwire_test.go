package amqpwire_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hubward/hubward/internal/amqpwire"
)

// The bytes are those of AMQP 1.0 part 1 §1.6.
func TestAppend(t *testing.T) {
	rows := map[string]struct{ got, want string }{
		"null":              {string(amqpwire.AppendNull(nil)), "\x40"},
		"string":            {string(amqpwire.AppendString(nil, "ab")), "\xa1\x02ab"},
		"empty string":      {string(amqpwire.AppendString(nil, "")), "\xa1\x00"},
		"string of 255":     {string(amqpwire.AppendString(nil, long[:255])), "\xa1\xff" + long[:255]},
		"string of 256":     {string(amqpwire.AppendString(nil, long)), "\xb1\x00\x00\x01\x00" + long},
		"symbol":            {string(amqpwire.AppendSymbol(nil, "ab")), "\xa3\x02ab"},
		"binary":            {string(amqpwire.AppendBinary(nil, []byte{0, 1})), "\xa0\x02\x00\x01"},
		"small long":        {string(amqpwire.AppendLong(nil, -128)), "\x55\x80"},
		"long":              {string(amqpwire.AppendLong(nil, 128)), "\x81\x00\x00\x00\x00\x00\x00\x00\x80"},
		"timestamp":         {string(amqpwire.AppendTimestamp(nil, time.UnixMilli(258))), "\x83\x00\x00\x00\x00\x00\x00\x01\x02"},
		"section":           {string(amqpwire.AppendSection(nil, amqpwire.SectionData)), "\x00\x53\x75"},
		"list of two":       {string(stringList("a", "b")), "\xd0\x00\x00\x00\x0a\x00\x00\x00\x02\xa1\x01a\xa1\x01b"},
		"an empty list":     {string(stringList()), "\xd0\x00\x00\x00\x04\x00\x00\x00\x00"},
		"before the epoch":  {string(amqpwire.AppendTimestamp(nil, time.UnixMilli(-1))), "\x83\xff\xff\xff\xff\xff\xff\xff\xff"},
		"appends to prefix": {string(amqpwire.AppendNull([]byte("p"))), "p\x40"},
	}
	for name, r := range rows {
		if r.got != r.want {
			t.Errorf("%s: %x, want %x", name, r.got, r.want)
		}
	}
}

func stringList(items ...string) []byte {
	b, l := amqpwire.BeginList(nil)
	for _, s := range items {
		b = amqpwire.AppendString(b, s)
	}
	return l.End(b, len(items))
}

func TestReader_readsWhatWasAppended(t *testing.T) {
	b := amqpwire.AppendSection(nil, amqpwire.SectionProperties)
	b = append(b, stringList("a", strings.Repeat("y", 300))...)
	b = amqpwire.AppendTimestamp(amqpwire.AppendNull(b), time.UnixMilli(1234))
	r := amqpwire.NewReader(b)
	if s := r.Section(); s != amqpwire.SectionProperties {
		t.Errorf("section %x", s)
	}
	if n := r.List(); n != 2 {
		t.Errorf("list of %d", n)
	}
	if a, y := r.String(), r.String(); a != "a" || len(y) != 300 {
		t.Errorf("%q, %d bytes", a, len(y))
	}
	if !r.Null() || r.Null() {
		t.Error("null")
	}
	if at := r.Timestamp(); at.UnixMilli() != 1234 {
		t.Errorf("timestamp %v", at)
	}
	if r.More() || r.Err() != nil {
		t.Errorf("%x left, %v", r.Rest(), r.Err())
	}
}

func TestReader_refuses(t *testing.T) {
	rows := map[string]struct {
		data string
		read func(*amqpwire.Reader)
		want error
	}{
		"nothing":                   {"", func(r *amqpwire.Reader) { r.Bytes() }, amqpwire.ErrShort},
		"a cut string":              {"\xa1\x05ab", func(r *amqpwire.Reader) { r.Bytes() }, amqpwire.ErrShort},
		"a huge string":             {"\xb1\xff\xff\xff\xffab", func(r *amqpwire.Reader) { r.Bytes() }, amqpwire.ErrShort},
		"a list for a string":       {"\x45", func(r *amqpwire.Reader) { r.Bytes() }, amqpwire.ErrType},
		"a string for a list":       {"\xa1\x00", func(r *amqpwire.Reader) { r.List() }, amqpwire.ErrType},
		"a list for a map":          {"\x45", func(r *amqpwire.Reader) { r.Map() }, amqpwire.ErrType},
		"a string for a time":       {"\xa1\x00", func(r *amqpwire.Reader) { r.Timestamp() }, amqpwire.ErrType},
		"more elements than bytes":  {"\xd0\x00\x00\x00\x05\x00\x00\x00\x02\x40", func(r *amqpwire.Reader) { r.List() }, amqpwire.ErrCount},
		"a list larger than it all": {"\xd0\x00\x00\x01\x00\x00\x00\x00\x02\x40", func(r *amqpwire.Reader) { r.List() }, amqpwire.ErrShort},
		"no section":                {"\xa1\x01a", func(r *amqpwire.Reader) { r.Section() }, amqpwire.ErrSection},
	}
	for name, row := range rows {
		r := amqpwire.NewReader([]byte(row.data))
		row.read(r)
		if !errors.Is(r.Err(), row.want) {
			t.Errorf("%s: %v, want %v", name, r.Err(), row.want)
		}
		if row.read(r); r.More() || !errors.Is(r.Err(), row.want) {
			t.Errorf("%s: the first error does not stick: %v", name, r.Err())
		}
	}
}
