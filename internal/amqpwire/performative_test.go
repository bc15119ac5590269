package amqpwire_test

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward/internal/amqpwire"
)

func TestPerformative_readsBackAsWritten(t *testing.T) {
	for code, want := range full() {
		r := amqpwire.NewReader(append(want.Append(nil), "payload"...))
		if got := r.Descriptor(); got != code {
			t.Errorf("%T: descriptor %#x", want, got)
		}
		got := fresh(code)
		if err := got.Decode(r); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		if string(r.Rest()) != "payload" {
			t.Errorf("%T: %q left", want, r.Rest())
		}
	}
}

// pyamqp misreads an empty array.
func TestAppendSymbols_noneIsNull(t *testing.T) {
	for _, none := range [][]symbol{nil, {}} {
		if got := amqpwire.AppendSymbols(nil, none); string(got) != "\x40" {
			t.Errorf("%x", got)
		}
	}
}

func TestPerformative_writesAllFields(t *testing.T) {
	counts := map[byte]int{
		amqpwire.CodeOpen: 10, amqpwire.CodeBegin: 8, amqpwire.CodeAttach: 14, amqpwire.CodeFlow: 11, amqpwire.CodeTransfer: 11,
		amqpwire.CodeDisposition: 6, amqpwire.CodeDetach: 3, amqpwire.CodeEnd: 1, amqpwire.CodeClose: 1,
		amqpwire.CodeSASLMechanisms: 1, amqpwire.CodeSASLInit: 3, amqpwire.CodeSASLOutcome: 2,
	}
	for code, p := range full() {
		for _, p := range []performative{p, fresh(code)} {
			wire := p.Append(nil)
			if head := string([]byte{0, 0x53, code, 0xd0}); !strings.HasPrefix(string(wire), head) {
				t.Errorf("%T begins with %x", p, wire[:4])
			}
			v, _ := amqpwire.NewReader(wire).Value().(described)
			if fields, _ := v.Value.(list); len(fields) != counts[code] {
				t.Errorf("%T has %d fields, want %d: %v", p, len(fields), counts[code], fields)
			}
		}
	}
}

func TestPerformative_bytes(t *testing.T) {
	for name, row := range golden {
		if got := row.p.Append([]byte("p")); string(got) != "p"+row.wire {
			t.Errorf("%s:\n got %x\nwant %x", name, got[1:], row.wire)
		}
	}
}

// shortened are performatives with fields left out.
var shortened = map[string]struct {
	wire string // the list
	want performative
}{
	"open":            {"\xc0\x04\x01\xa1\x01c", &amqpwire.Open{ContainerID: "c", MaxFrameSize: math.MaxUint32, ChannelMax: math.MaxUint16}},
	"open with nulls": {"\xc0\x08\x05\xa1\x01c\x40\x40\x40\x40", &amqpwire.Open{ContainerID: "c", MaxFrameSize: math.MaxUint32, ChannelMax: math.MaxUint16}},
	"begin":           {"\xc0\x05\x04\x40\x43\x43\x43", &amqpwire.Begin{HandleMax: math.MaxUint32}},
	"attach": {"\xc0\x06\x03\xa1\x01l\x43\x41", &amqpwire.Attach{Name: "l", Role: amqpwire.RoleReceiver,
		SenderSettleMode: amqpwire.SenderModeUnset, ReceiverSettleMode: amqpwire.ReceiverModeUnset}},
	"attach with a bare source": {"\xc0\x10\x07\xa1\x01l\x43\x41\x40\x40\x00\x53\x28\x45\x00\x53\x29\x45",
		&amqpwire.Attach{Name: "l", Role: amqpwire.RoleReceiver, SenderSettleMode: amqpwire.SenderModeUnset,
			ReceiverSettleMode: amqpwire.ReceiverModeUnset, Source: &amqpwire.Source{}, Target: &amqpwire.Target{}}},
	"attach to a coordinator": {"\xc0\x0d\x07\xa1\x01l\x43\x41\x40\x40\x40\x00\x53\x30\x45",
		&amqpwire.Attach{Name: "l", Role: amqpwire.RoleReceiver, SenderSettleMode: amqpwire.SenderModeUnset,
			ReceiverSettleMode: amqpwire.ReceiverModeUnset, Target: &amqpwire.Target{Coordinator: true}}},
	"flow":     {"\xc0\x05\x04\x40\x43\x43\x43", &amqpwire.Flow{}},
	"transfer": {"\xc0\x02\x01\x43", &amqpwire.Transfer{ReceiverSettleMode: amqpwire.ReceiverModeUnset}},
	"transfer with an empty tag": {"\xc0\x05\x03\x43\x40\xa0\x00",
		&amqpwire.Transfer{ReceiverSettleMode: amqpwire.ReceiverModeUnset, DeliveryTag: []byte{}}},
	"transfer in a transaction": {"\xc0\x0c\x08\x43\x40\x40\x40\x40\x40\x40\x00\x53\x34\x45",
		&amqpwire.Transfer{ReceiverSettleMode: amqpwire.ReceiverModeUnset, State: &amqpwire.UnknownState{Descriptor: uint64(0x34)}}},
	"disposition":       {"\xc0\x03\x02\x41\x43", &amqpwire.Disposition{Role: amqpwire.RoleReceiver}},
	"rejected":          {"\xc0\x09\x05\x41\x43\x40\x40\x00\x53\x25\x45", &amqpwire.Disposition{Role: amqpwire.RoleReceiver, State: &amqpwire.Rejected{}}},
	"detach":            {"\xc0\x02\x01\x43", &amqpwire.Detach{}},
	"end":               {"\x45", &amqpwire.End{}},
	"close with a null": {"\xc0\x02\x01\x40", &amqpwire.Close{}},
	"close with an error of one field": {"\xd0\x00\x00\x00\x0d\x00\x00\x00\x01\x00\x53\x1d\xc0\x04\x01\xa3\x01c",
		&amqpwire.Close{Error: &amqpwire.Error{Condition: "c"}}},
	"fields that are unknown": {"\xc0\x08\x03\x40\xa1\x01x\xc0\x01\x00", &amqpwire.End{}},
}

func TestPerformative_defaults(t *testing.T) {
	for name, row := range shortened {
		got := reflect.New(reflect.TypeOf(row.want).Elem()).Interface().(performative)
		if err := got.Decode(amqpwire.NewReader([]byte(row.wire))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
}

// Clients write a field of several symbols in four ways.
func TestReader_Symbols(t *testing.T) {
	for wire, want := range map[string][]symbol{
		"\x40":                           nil,
		"\xa3\x01a":                      {"a"},
		"\xa1\x01a":                      {"a"},
		"\xe0\x04\x01\xa3\x01a":          {"a"},
		"\xe0\x06\x02\xa1\x01a\x01b":     {"a", "b"},
		"\xc0\x07\x02\xa3\x01a\xa1\x01b": {"a", "b"},
		"\x45":                           {},
		"\xe0\x01\x00":                   {},
		"\xf0\x00\x00\x00\x0b\x00\x00\x00\x01\xb3\x00\x00\x00\x02ab": {"ab"},
	} {
		r := amqpwire.NewReader([]byte(wire))
		if diff := cmp.Diff(want, r.Symbols()); diff != "" || r.Err() != nil || r.More() {
			t.Errorf("%x: %v (-want +got)\n%s", wire, r.Err(), diff)
		}
	}
	for wire, want := range map[string]error{
		"\x41": amqpwire.ErrType, "\xe0\x02\x02\x41": amqpwire.ErrCount, "\xe0\x04\x02\x50\x01\x02": amqpwire.ErrType,
		"\xf0\x00\x00\x00\x05\xff\xff\xff\xff\xa3": amqpwire.ErrCount, "\xe0\x05\x01\xa3\x01ab": amqpwire.ErrCount,
		"\xc0\x02\x01\x41": amqpwire.ErrType,
	} {
		r := amqpwire.NewReader([]byte(wire))
		if s := r.Symbols(); s != nil && r.Err() == nil || !errors.Is(r.Err(), want) {
			t.Errorf("%x: %v, %v, want %v", wire, s, r.Err(), want)
		}
	}
}

func TestPerformative_Decode_refuses(t *testing.T) {
	rows := []struct {
		p    performative
		wire string
		want error
		text string
	}{
		{&amqpwire.Attach{}, "\xc0\x07\x03\xa1\x01l\x43\xa1\x00", amqpwire.ErrType, "amqpwire: attach.role: a value of another type was expected"},
		{&amqpwire.Attach{}, "\xc0\x05\x02\xa1\x01l\x43", amqpwire.ErrMissing, "amqpwire: attach.role: a mandatory field is missing"},
		{&amqpwire.Attach{}, "\xc0\x08\x04\xa1\x01l\x43\x41\x50\x03", amqpwire.ErrRange, "amqpwire: attach.snd-settle-mode: a number outside its range"},
		{&amqpwire.Attach{}, "\xc0\x0f\x06\xa1\x01l\x43\x41\x40\x40\x00\x53\x28\xc0\x02\x01\x43", amqpwire.ErrType, "amqpwire: attach.source.address: a value of another type was expected"},
		{&amqpwire.Attach{}, "\xc0\x0c\x06\xa1\x01l\x43\x41\x40\x40\x00\x53\x29\x45", amqpwire.ErrType, "amqpwire: attach.source: a value of another type was expected"},
		{&amqpwire.Open{}, "\x45", amqpwire.ErrMissing, "amqpwire: open.container-id: a mandatory field is missing"},
		{&amqpwire.Open{}, "\xc1\x01\x00", amqpwire.ErrType, "amqpwire: open: a value of another type was expected"},
		{&amqpwire.Open{}, "\xc0\x0b\x04\xa1\x01c\x40\x40\x70\x00\x01\x00\x00", amqpwire.ErrRange, "amqpwire: open.channel-max: a number outside its range"},
		{&amqpwire.Flow{}, "\xc0\x04\x03\x40\x43\x43", amqpwire.ErrMissing, "amqpwire: flow.outgoing-window: a mandatory field is missing"},
		{&amqpwire.Transfer{}, "\xc0\x09\x08\x43\x40\x40\x40\x40\x40\x40\x41", amqpwire.ErrType, "amqpwire: transfer.state: a value of another type was expected"},
		{&amqpwire.Transfer{}, "\xc0\x03\x01\x43\x43", amqpwire.ErrCount, "amqpwire: transfer: a list, map or array whose count does not match its bytes, or is too large"},
		{&amqpwire.Transfer{}, "\xc0\x02\x09\x43", amqpwire.ErrCount, "amqpwire: transfer: a list, map or array whose count does not match its bytes, or is too large"},
		{&amqpwire.Transfer{}, "\xc0\x09\x01\x43", amqpwire.ErrShort, "amqpwire: transfer: the data ends inside a value"},
		{&amqpwire.Disposition{}, "\xc0\x0f\x05\x41\x43\x40\x41\x00\x53\x25\xc0\x05\x01\x00\x53\x1d\x45", amqpwire.ErrMissing, "amqpwire: disposition.state.error.condition: a mandatory field is missing"},
		{&amqpwire.Begin{}, "\xc0\x04\x03\x41\x43\x43", amqpwire.ErrType, "amqpwire: begin.remote-channel: a value of another type was expected"},
		{&amqpwire.SASLMechanisms{}, "\xc0\x04\x01\xe0\x01\x00", amqpwire.ErrMissing, "amqpwire: sasl-mechanisms.sasl-server-mechanisms: a mandatory field is missing"},
		{&amqpwire.SASLInit{}, "\x45", amqpwire.ErrMissing, "amqpwire: sasl-init.mechanism: a mandatory field is missing"},
	}
	for _, row := range rows {
		r := amqpwire.NewReader([]byte(row.wire))
		err := row.p.Decode(r)
		if !errors.Is(err, row.want) || err.Error() != row.text || r.Err() != err {
			t.Errorf("%T %x:\n got %v\nwant %s", row.p, row.wire, err, row.text)
		}
	}
}

func TestPerformative_Decode_replacesEverything(t *testing.T) {
	for code, p := range full() {
		wire := fresh(code).Append(nil)
		want := fresh(code)
		for _, into := range []performative{want, p} {
			r := amqpwire.NewReader(wire)
			r.Descriptor()
			if err := into.Decode(r); err != nil && !errors.Is(err, amqpwire.ErrMissing) {
				t.Error(err)
			}
		}
		if diff := cmp.Diff(want, p); diff != "" {
			t.Errorf("%T (-want +got)\n%s", p, diff)
		}
	}
}

// A value that AMQP lacks must not break a frame.
func TestAppendMap_writesNullForForeignTypes(t *testing.T) {
	got := amqpwire.AppendMap(nil, mapping{{symbol("k"), struct{}{}}, {symbol("l"), list{1}}})
	if want := "\xc1\x09\x04\xa3\x01k\x40\xa3\x01l\x40"; string(got) != want {
		t.Errorf("%x, want %x", got, want)
	}
}

func TestOpen_idleTimeoutNeverBecomesNone(t *testing.T) {
	for in, want := range map[time.Duration]time.Duration{
		0: 0, -1: 0, time.Microsecond: time.Millisecond, 2 * time.Second: 2 * time.Second,
		math.MaxInt64: math.MaxUint32 * time.Millisecond,
	} {
		r := amqpwire.NewReader((&amqpwire.Open{ContainerID: "c", IdleTimeout: in}).Append(nil))
		r.Descriptor()
		var got amqpwire.Open
		if err := got.Decode(r); err != nil || got.IdleTimeout != want {
			t.Errorf("%v is read back as %v, %v", in, got.IdleTimeout, err)
		}
	}
}
