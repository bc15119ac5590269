package amqpwire_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward/internal/amqpwire"
)

var instant = time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)

// fullMessage has every section but the bodies that exclude one another.
func fullMessage() *amqpwire.Message {
	return &amqpwire.Message{
		Header:              &amqpwire.Header{Durable: true, Priority: 7, TTL: time.Minute, FirstAcquirer: true, DeliveryCount: 3},
		DeliveryAnnotations: mapping{{symbol("x-opt-d"), int64(1)}},
		Annotations:         mapping{{symbol("x-opt-offset"), "12"}, {uint64(7), instant}, {symbol("null"), nil}},
		Properties: &amqpwire.Properties{
			MessageID: "m", UserID: []byte("u"), To: "/devices/d1", Subject: "s", ReplyTo: "cbs", CorrelationID: uint64(0),
			ContentType: "application/json", ContentEncoding: "utf-8", AbsoluteExpiryTime: instant,
			CreationTime: time.UnixMilli(-1).UTC(), GroupID: "g", GroupSequence: amqpwire.Some(0), ReplyToGroupID: "r",
		},
		ApplicationProperties: mapping{
			{"s", "text"}, {"i", int32(-200)}, {"b", true}, {"d", 1.5}, {"u", amqpwire.UUID{1}}, {"t", instant}, {"n", nil},
			{"bin", []byte("x")}, {"long", long},
		},
		Data:   [][]byte{[]byte("one"), []byte("two")},
		Footer: mapping{{symbol("f"), uint8(1)}},
	}
}

func TestMessage_readsBackAsWritten(t *testing.T) {
	rows := map[string]*amqpwire.Message{
		"nothing":      {},
		"every field":  fullMessage(),
		"a value":      {Value: "token", HasValue: true},
		"a null value": {HasValue: true},
		"a list value": {Value: list{int32(1), mapping{{"k", list{}}}}, HasValue: true},
		"sequences":    {Sequences: []amqpwire.List{{"a", int64(1)}, {}}},
		"empty data":   {Data: [][]byte{{}}},
		"uuid ids":     {Properties: &amqpwire.Properties{MessageID: amqpwire.UUID{1, 2}, CorrelationID: amqpwire.UUID{3}}},
		"binary ids":   {Properties: &amqpwire.Properties{MessageID: []byte{0}, CorrelationID: []byte{}}},
		"one field":    {Properties: &amqpwire.Properties{GroupSequence: amqpwire.Some(7)}, Header: &amqpwire.Header{DeliveryCount: 1}},
	}
	for name, want := range rows {
		wire, err := want.Append([]byte("p"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := amqpwire.DecodeMessage(wire[1:])
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got)\n%s", name, err, diff)
		}
	}
}

// Put together by hand from AMQP 1.0 part 3 §3.2.
func TestMessage_Append_bytes(t *testing.T) {
	rows := map[string]struct {
		m    amqpwire.Message
		wire string
	}{
		"empty sections are left out": {amqpwire.Message{Header: &amqpwire.Header{}, Properties: &amqpwire.Properties{}, Annotations: mapping{}}, ""},
		"up to the last field": {
			amqpwire.Message{Header: &amqpwire.Header{TTL: 1500 * time.Microsecond}, Properties: &amqpwire.Properties{To: "t"}},
			"\x00\x53\x70\xc0\x05\x03\x40\x40\x52\x01" + "\x00\x53\x73\xc0\x06\x03\x40\x40\xa1\x01t",
		},
		"a request's answer": {
			amqpwire.Message{
				Properties:            &amqpwire.Properties{CorrelationID: uint64(0)},
				ApplicationProperties: mapping{{"status-code", int32(200)}}, HasValue: true,
			},
			"\x00\x53\x73\xc0\x07\x06\x40\x40\x40\x40\x40\x44" +
				"\x00\x53\x74\xc1\x13\x02\xa1\x0bstatus-code\x71\x00\x00\x00\xc8" + "\x00\x53\x77\x40",
		},
		"keys as their section wants them": {
			amqpwire.Message{Annotations: mapping{{"a", nil}}, ApplicationProperties: mapping{{symbol("b"), nil}}},
			"\x00\x53\x72\xc1\x05\x02\xa3\x01a\x40" + "\x00\x53\x74\xc1\x05\x02\xa1\x01b\x40",
		},
		"symbols": {
			amqpwire.Message{Properties: &amqpwire.Properties{ContentType: "a", ContentEncoding: "b"}},
			"\x00\x53\x73\xc0\x0d\x08\x40\x40\x40\x40\x40\x40\xa3\x01a\xa3\x01b",
		},
		"data": {amqpwire.Message{Data: [][]byte{[]byte("ab"), nil}}, "\x00\x53\x75\xa0\x02ab\x00\x53\x75\xa0\x00"},
	}
	for name, row := range rows {
		if got, err := row.m.Append(nil); err != nil || string(got) != row.wire {
			t.Errorf("%s: %v\n got %x\nwant %x", name, err, got, row.wire)
		}
	}
}

func TestMessage_Append_refuses(t *testing.T) {
	rows := map[string]*amqpwire.Message{
		"an int":               {ApplicationProperties: mapping{{"k", 1}}},
		"a key of another":     {Annotations: mapping{{int32(1), 1}}},
		"a ulong key":          {ApplicationProperties: mapping{{uint64(1), "v"}}},
		"data and value":       {Data: [][]byte{nil}, HasValue: true},
		"data and sequences":   {Data: [][]byte{nil}, Sequences: []amqpwire.List{nil}},
		"an int for an id":     {Properties: &amqpwire.Properties{MessageID: 1}},
		"a symbol for an id":   {Properties: &amqpwire.Properties{CorrelationID: symbol("s")}},
		"an int in a value":    {HasValue: true, Value: 1},
		"an int in a sequence": {Sequences: []amqpwire.List{{1}}},
		"an int in the footer": {Footer: mapping{{symbol("k"), 1}}},
		"one in delivery":      {DeliveryAnnotations: mapping{{symbol("k"), 1}}},
	}
	for name, m := range rows {
		if got, err := m.Append([]byte("p")); !errors.Is(err, amqpwire.ErrType) || string(got) != "p" {
			t.Errorf("%s: %x, %v", name, got, err)
		}
	}
	_, err := rows["an int"].Append(nil)
	if want := "amqpwire: message.application-properties[k]: a value of another type was expected, not int"; err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestDecodeMessage_otherForms(t *testing.T) {
	rows := map[string]struct {
		wire string
		want *amqpwire.Message
	}{
		"symbolic sections":    {"\x00\xa3\x10amqp:data:binary\xa0\x01x", &amqpwire.Message{Data: [][]byte{[]byte("x")}}},
		"wide descriptors":     {"\x00\x80\x00\x00\x00\x00\x00\x00\x00\x75\xa0\x01x", &amqpwire.Message{Data: [][]byte{[]byte("x")}}},
		"null sections":        {"\x00\x53\x70\x40\x00\x53\x72\x40\x00\x53\x73\x40\x00\x53\x74\x40", &amqpwire.Message{}},
		"string annotations":   {"\x00\x53\x72\xc1\x05\x02\xa1\x01a\x40", &amqpwire.Message{Annotations: mapping{{symbol("a"), nil}}}},
		"symbol properties":    {"\x00\x53\x74\xc1\x05\x02\xa3\x01a\x40", &amqpwire.Message{ApplicationProperties: mapping{{"a", nil}}}},
		"content type as text": {"\x00\x53\x73\xc0\x0a\x07\x40\x40\x40\x40\x40\x40\xa1\x01a", &amqpwire.Message{Properties: &amqpwire.Properties{ContentType: "a"}}},
		"a uint as an id":      {"\x00\x53\x73\xc0\x03\x01\x52\x05", &amqpwire.Message{Properties: &amqpwire.Properties{MessageID: uint64(5)}}},
		"a symbol as an id":    {"\x00\x53\x73\xc0\x04\x01\xa3\x01a", &amqpwire.Message{Properties: &amqpwire.Properties{MessageID: "a"}}},
		"user id as text":      {"\x00\x53\x73\xc0\x05\x02\x40\xa1\x01a", &amqpwire.Message{Properties: &amqpwire.Properties{UserID: []byte("a")}}},
		"an empty header":      {"\x00\x53\x70\x45", &amqpwire.Message{Header: &amqpwire.Header{}}},
		"backwards": {
			"\x00\x53\x75\xa0\x01x" + "\x00\x53\x74\xc1\x05\x02\xa1\x01a\x40" + "\x00\x53\x73\xc0\x04\x01\xa1\x01i" +
				"\x00\x53\x72\xc1\x05\x02\xa3\x01b\x40" + "\x00\x53\x70\x45",
			&amqpwire.Message{
				Header: &amqpwire.Header{}, Annotations: mapping{{symbol("b"), nil}}, Properties: &amqpwire.Properties{MessageID: "i"},
				ApplicationProperties: mapping{{"a", nil}}, Data: [][]byte{[]byte("x")},
			},
		},
	}
	for name, row := range rows {
		got, err := amqpwire.DecodeMessage([]byte(row.wire))
		if diff := cmp.Diff(row.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got)\n%s", name, err, diff)
		}
	}
}

func TestDecodeMessage_refuses(t *testing.T) {
	const data, value, sequence = "\x00\x53\x75\xa0\x00", "\x00\x53\x77\x40", "\x00\x53\x76\x45"
	rows := map[string]struct {
		wire string
		want error
	}{
		"no section":             {"\xa0\x01x", amqpwire.ErrSection},
		"a performative":         {"\x00\x53\x10\x45", amqpwire.ErrSection},
		"an unknown section":     {"\x00\x53\x99\x45", amqpwire.ErrSection},
		"an unknown name":        {"\x00\xa3\x01x\x45", amqpwire.ErrSection},
		"a cut section":          {"\x00\x53", amqpwire.ErrShort},
		"two headers":            {"\x00\x53\x70\x45\x00\x53\x70\x45", amqpwire.ErrSection},
		"a header at both ends":  {"\x00\x53\x70\x45" + data + "\x00\x53\x70\x45", amqpwire.ErrSection},
		"two footers":            {"\x00\x53\x78\xc1\x01\x00\x00\x53\x78\xc1\x01\x00", amqpwire.ErrSection},
		"data, then a value":     {data + value, amqpwire.ErrSection},
		"a value, then data":     {value + data, amqpwire.ErrSection},
		"two values":             {value + value, amqpwire.ErrSection},
		"data, then sequence":    {data + sequence, amqpwire.ErrSection},
		"a value between data":   {data + "\x00\x53\x73\x45" + value, amqpwire.ErrSection},
		"1,025 data sections":    {strings.Repeat(data, 1025), amqpwire.ErrCount},
		"1,025 sequences":        {strings.Repeat(sequence, 1025), amqpwire.ErrCount},
		"a list of annotations":  {"\x00\x53\x72\x45", amqpwire.ErrType},
		"an int for a key":       {"\x00\x53\x72\xc1\x04\x02\x54\x01\x40", amqpwire.ErrType},
		"a ulong for a property": {"\x00\x53\x74\xc1\x04\x02\x53\x01\x40", amqpwire.ErrType},
		"a list of data":         {"\x00\x53\x75\x45", amqpwire.ErrType},
		"a map for a sequence":   {"\x00\x53\x76\xc1\x01\x00", amqpwire.ErrType},
		"a null sequence":        {"\x00\x53\x76\x40", amqpwire.ErrType},
		"a boolean for an id":    {"\x00\x53\x73\xc0\x02\x01\x41", amqpwire.ErrType},
		"a list for an id":       {"\x00\x53\x73\xc0\x05\x01\xc0\x02\x01\x41", amqpwire.ErrType},
		"a described id":         {"\x00\x53\x73\xc0\x05\x01\x00\x53\x24\x45", amqpwire.ErrType},
		"a cut body":             {"\x00\x53\x75\xa0\x05ab", amqpwire.ErrShort},
	}
	for name, row := range rows {
		if m, err := amqpwire.DecodeMessage([]byte(row.wire)); m != nil || !errors.Is(err, row.want) {
			t.Errorf("%s: %+v, %v, want %v", name, m, err, row.want)
		}
	}
	_, err := amqpwire.DecodeMessage([]byte("\x00\x53\x73\xc0\x04\x01\x70\x00\x00"))
	if want := "amqpwire: message.properties.message-id: the data ends inside a value"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	_, err = amqpwire.DecodeMessage([]byte("\x00\x53\x73\xc0\x03\x02\x40\x41"))
	if want := "amqpwire: message.properties.user-id: a value of another type was expected"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestDecodeMessage_dataAliasesTheInput(t *testing.T) {
	wire := []byte("\x00\x53\x75\xa0\x02ab")
	m, err := amqpwire.DecodeMessage(wire)
	if err != nil {
		t.Fatal(err)
	}
	wire[5] = 'x'
	if body, ok := m.Body(); string(body) != "xb" || !ok {
		t.Errorf("%q, %v", body, ok)
	}
}

func TestMessage_Body(t *testing.T) {
	rows := map[string]struct {
		m    amqpwire.Message
		body string
		ok   bool
	}{
		"one data":   {amqpwire.Message{Data: [][]byte{[]byte("a")}}, "a", true},
		"two data":   {amqpwire.Message{Data: [][]byte{[]byte("a"), []byte("b")}}, "ab", true},
		"a string":   {amqpwire.Message{HasValue: true, Value: "a"}, "a", true},
		"a binary":   {amqpwire.Message{HasValue: true, Value: []byte("a")}, "a", true},
		"a number":   {amqpwire.Message{HasValue: true, Value: int32(1)}, "", false},
		"null":       {amqpwire.Message{HasValue: true}, "", false},
		"a sequence": {amqpwire.Message{Sequences: []amqpwire.List{{"a"}}}, "", false},
		"nothing":    {amqpwire.Message{}, "", false},
	}
	for name, row := range rows {
		if body, ok := row.m.Body(); string(body) != row.body || ok != row.ok {
			t.Errorf("%s: %q, %v", name, body, ok)
		}
	}
}
