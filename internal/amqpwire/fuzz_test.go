package amqpwire_test

import (
	"bytes"
	"testing"

	"github.com/hubward/hubward/internal/amqpwire"
)

// FuzzValue checks that what is read is written and read again as the same, and that it is no larger than its input
// allows.
func FuzzValue(f *testing.F) {
	for _, form := range forms {
		f.Add([]byte(form.wire))
	}
	f.Add([]byte(nested(33)))
	f.Add([]byte(greedy()[:200]))
	f.Add([]byte("\xf0\x00\x00\x00\x05\xff\xff\xff\xff\x41"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := amqpwire.NewReader(data)
		v := r.Value()
		if r.Err() != nil {
			if v != nil {
				t.Fatalf("%v with %v", v, r.Err())
			}
			return
		}
		if n := footprint(v); n > 64*len(data)+16<<10 {
			t.Fatalf("%d bytes became %d", len(data), n)
		}
		skip := amqpwire.NewReader(data)
		if skip.Skip(); skip.Err() != nil || len(skip.Rest()) != len(r.Rest()) {
			t.Fatalf("Value leaves %x, Skip %x, %v", r.Rest(), skip.Rest(), skip.Err())
		}
		wire, err := amqpwire.AppendValue(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		r.Reset(wire)
		v = r.Value()
		if r.Err() != nil || r.More() {
			t.Fatalf("%x: %v, %x left", wire, r.Err(), r.Rest())
		}
		if again, err := amqpwire.AppendValue(nil, v); err != nil || !bytes.Equal(again, wire) {
			t.Fatalf("%x became %x, %v", wire, again, err)
		}
	})
}

// footprint returns about how much memory a value takes.
func footprint(v any) int {
	const word = 8
	n := 2 * word // an interface
	switch v := v.(type) {
	case string:
		n += 2*word + len(v)
	case amqpwire.Symbol:
		n += 2*word + len(v)
	case []byte:
		n += 3*word + len(v)
	case amqpwire.List:
		n += 3 * word
		for _, item := range v {
			n += footprint(item)
		}
	case amqpwire.Array:
		n += 3 * word
		for _, item := range v {
			n += footprint(item)
		}
	case amqpwire.Map:
		n += 3 * word
		for _, e := range v {
			n += footprint(e.Key) + footprint(e.Value)
		}
	case amqpwire.Described:
		n += footprint(v.Descriptor) + footprint(v.Value)
	}
	return n
}

// FuzzFrame checks the same for every performative, and that any frame can be shown.
func FuzzFrame(f *testing.F) {
	for code, p := range full() {
		frameType := byte(amqpwire.FrameAMQP)
		if code >= amqpwire.CodeSASLMechanisms {
			frameType = amqpwire.FrameSASL
		}
		f.Add(frame(frameType, 1, p, "payload"))
		f.Add(frame(frameType, 1, fresh(code), ""))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		line := amqpwire.AppendTrace(nil, true, data)
		if len(line) > 8200 || bytes.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Fatalf("%d bytes: %q", len(line), line)
		}
		h, ok, err := amqpwire.ParseFrameHeader(data)
		if !ok || err != nil || h.Body > len(data) {
			return
		}
		r := amqpwire.NewReader(data[h.Body:])
		code := r.Descriptor()
		p := fresh(code)
		if p == nil || p.Decode(r) != nil {
			return
		}
		wire := p.Append(nil)
		r.Reset(wire)
		if got := r.Descriptor(); got != code {
			t.Fatalf("%#x became %#x", code, got)
		}
		if err := p.Decode(r); err != nil || r.More() {
			t.Fatalf("%x: %v, %x left", wire, err, r.Rest())
		}
		if again := p.Append(nil); !bytes.Equal(again, wire) {
			t.Fatalf("%x became %x", wire, again)
		}
	})
}

// FuzzMessage checks the same for messages.
func FuzzMessage(f *testing.F) {
	for _, m := range []*amqpwire.Message{fullMessage(), {HasValue: true, Value: mapping{{"k", list{}}}}, {Sequences: []amqpwire.List{{true}}}} {
		wire, err := m.Append(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire)
	}
	f.Add([]byte("\x00\xa3\x10amqp:data:binary\xa0\x01x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := amqpwire.DecodeMessage(data)
		if err != nil {
			return
		}
		if body, _ := m.Body(); len(body) > len(data) {
			t.Fatalf("%d bytes have a body of %d", len(data), len(body))
		}
		wire, err := m.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		if m, err = amqpwire.DecodeMessage(wire); err != nil {
			t.Fatalf("%x: %v", wire, err)
		}
		if again, err := m.Append(nil); err != nil || !bytes.Equal(again, wire) {
			t.Fatalf("%x became %x, %v", wire, again, err)
		}
	})
}
