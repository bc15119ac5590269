package amqpwire_test

import (
	"errors"
	"testing"

	"github.com/hubward/hubward/internal/amqpwire"
)

func TestParseFrameHeader(t *testing.T) {
	rows := map[string]amqpwire.FrameHeader{
		"\x00\x00\x00\x08\x02\x00\x00\x00": {Size: 8, Body: 8},
		"\x00\x00\x01\x00\x02\x01\x00\x00": {Size: 256, Body: 8, Type: amqpwire.FrameSASL},
		"\x00\x00\x00\x10\x04\x00\x01\x02": {Size: 16, Body: 16, Channel: 0x0102},
		"\xff\xff\xff\xff\xff\x00\xff\xff": {Size: 1<<32 - 1, Body: 1020, Channel: 65535},
	}
	for wire, want := range rows {
		if h, ok, err := amqpwire.ParseFrameHeader([]byte(wire + "more")); h != want || !ok || err != nil {
			t.Errorf("%x: %+v, %v, %v", wire, h, ok, err)
		}
		if h, ok, err := amqpwire.ParseFrameHeader([]byte(wire[:7])); ok || err != nil {
			t.Errorf("seven bytes: %+v, %v, %v", h, ok, err)
		}
	}
	for name, wire := range map[string]string{
		"a size below the header's": "\x00\x00\x00\x07\x02\x00\x00\x00",
		"a body inside the header":  "\x00\x00\x00\x08\x01\x00\x00\x00",
		"a body behind the frame":   "\x00\x00\x00\x0b\x03\x00\x00\x00",
	} {
		if h, ok, err := amqpwire.ParseFrameHeader([]byte(wire)); ok || !errors.Is(err, amqpwire.ErrFrame) {
			t.Errorf("%s: %+v, %v, %v", name, h, ok, err)
		}
	}
}

func TestEndFrame_writesTheSize(t *testing.T) {
	b := amqpwire.AppendEmptyFrame([]byte("before"))
	start := len(b)
	b = amqpwire.EndFrame(append(amqpwire.BeginFrame(b, amqpwire.FrameSASL, 0x0102), "body"...), start)
	if want := "before\x00\x00\x00\x08\x02\x00\x00\x00" + "\x00\x00\x00\x0c\x02\x01\x01\x02body"; string(b) != want {
		t.Errorf("%x, want %x", b, want)
	}
}

func TestReader_Descriptor(t *testing.T) {
	for wire, want := range map[string]byte{
		"\x00\x53\x10": amqpwire.CodeOpen,
		"\x00\x80\x00\x00\x00\x00\x00\x00\x00\x14":    amqpwire.CodeTransfer,
		"\x00\x70\x00\x00\x00\x18":                    amqpwire.CodeClose,
		"\x00\xa3\x0eamqp:open:list":                  amqpwire.CodeOpen,
		"\x00\xb3\x00\x00\x00\x13amqp:sasl-init:list": amqpwire.CodeSASLInit,
		"\x00\xa3\x13amqp:sasl-init:list":             amqpwire.CodeSASLInit,
		"\x00\xa3\x19amqp:sasl-mechanisms:list":       amqpwire.CodeSASLMechanisms,
		"\x00\x53\x99":                                0,
		"\x00\x44":                                    0,
		"\x00\x40":                                    0,
		"\x00\x00\x53\x10":                            0,
		"\x00\x80\x00\x00\x46\x8c\x00\x00\x00\x10":    0,
	} {
		r := amqpwire.NewReader([]byte(wire))
		code := r.Descriptor()
		switch {
		case want == 0 && (code != 0 || r.Err() == nil):
			t.Errorf("%q: %#x, %v", wire, code, r.Err())
		case want != 0 && (code != want || r.Err() != nil):
			t.Errorf("%q: %#x, %v, want %#x", wire, code, r.Err(), want)
		}
	}
	for wire, want := range map[string]error{
		"": amqpwire.ErrShort, "\x00": amqpwire.ErrShort, "\x40": amqpwire.ErrType, "\x00\x53\x99": amqpwire.ErrDescriptor,
		"\x00\xa3\x01x": amqpwire.ErrDescriptor, "\x00\x41": amqpwire.ErrType,
	} {
		r := amqpwire.NewReader([]byte(wire))
		if r.Descriptor(); !errors.Is(r.Err(), want) {
			t.Errorf("%x: %v, want %v", wire, r.Err(), want)
		}
	}
}

func TestReader_Descriptor_readsNames(t *testing.T) {
	for name, want := range map[string]byte{
		"amqp:open:list": 0x10, "amqp:begin:list": 0x11, "amqp:attach:list": 0x12,
		"amqp:flow:list": 0x13, "amqp:transfer:list": 0x14, "amqp:disposition:list": 0x15,
		"amqp:detach:list": 0x16, "amqp:end:list": 0x17, "amqp:close:list": 0x18,
		"amqp:error:list": 0x1d, "amqp:received:list": 0x23, "amqp:accepted:list": 0x24,
		"amqp:rejected:list": 0x25, "amqp:released:list": 0x26, "amqp:modified:list": 0x27,
		"amqp:source:list": 0x28, "amqp:target:list": 0x29, "amqp:coordinator:list": 0x30,
		"amqp:sasl-mechanisms:list": 0x40, "amqp:sasl-init:list": 0x41, "amqp:sasl-challenge:list": 0x42,
		"amqp:sasl-response:list": 0x43, "amqp:sasl-outcome:list": 0x44, "amqp:header:list": 0x70,
		"amqp:properties:list": 0x73, "amqp:amqp-sequence:list": 0x76, "amqp:delivery-annotations:map": 0x71,
		"amqp:message-annotations:map": 0x72, "amqp:application-properties:map": 0x74, "amqp:data:binary": 0x75,
		"amqp:amqp-value:*": 0x77, "amqp:footer:map": 0x78,
	} {
		r := amqpwire.NewReader(amqpwire.AppendSymbol([]byte{0}, name))
		if got := r.Descriptor(); got != want || r.Err() != nil {
			t.Errorf("%s: %#x, %v, want %#x", name, got, r.Err(), want)
		}
	}
}

func TestError_text(t *testing.T) {
	for want, err := range map[string]error{
		"amqp:not-found: no such hub": &amqpwire.Error{Condition: amqpwire.NotFound, Description: "no such hub"},
		"amqp:not-found":              &amqpwire.Error{Condition: amqpwire.NotFound},
	} {
		if err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
