package amqpwire_test

import (
	"testing"
	"time"

	"github.com/Azure/go-amqp"
	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward/internal/amqpwire"
)

// peerMessage is a message of another implementation, and our reading of it.
func peerMessage() (*amqp.Message, *amqpwire.Message) {
	text := func(s string) *string { return &s }
	seq, creation, expiry := uint32(4), time.UnixMilli(1_000_000).UTC(), instant
	theirs := &amqp.Message{
		Header:      &amqp.MessageHeader{Durable: true, Priority: 7, TTL: time.Minute, FirstAcquirer: true, DeliveryCount: 3},
		Annotations: amqp.Annotations{"x-opt-sequence-number": int64(1 << 40)},
		Properties: &amqp.MessageProperties{
			MessageID: amqp.UUID{1, 2, 3}, UserID: []byte("u"), To: text("t"), Subject: text("s"), ReplyTo: text("r"),
			CorrelationID: uint64(300), ContentType: text("ct"), ContentEncoding: text("ce"), AbsoluteExpiryTime: &expiry,
			CreationTime: &creation, GroupID: text("g"), GroupSequence: &seq, ReplyToGroupID: text("rg"),
		},
		ApplicationProperties: map[string]any{"status-code": int32(200)},
		Data:                  [][]byte{[]byte("one"), []byte(long)},
		Footer:                amqp.Annotations{"f": []byte("binary")},
	}
	ours := &amqpwire.Message{
		Header:      &amqpwire.Header{Durable: true, Priority: 7, TTL: time.Minute, FirstAcquirer: true, DeliveryCount: 3},
		Annotations: mapping{{symbol("x-opt-sequence-number"), int64(1 << 40)}},
		Properties: &amqpwire.Properties{
			MessageID: amqpwire.UUID{1, 2, 3}, UserID: []byte("u"), To: "t", Subject: "s", ReplyTo: "r", CorrelationID: uint64(300),
			ContentType: "ct", ContentEncoding: "ce", AbsoluteExpiryTime: expiry, CreationTime: creation, GroupID: "g",
			GroupSequence: amqpwire.Some(4), ReplyToGroupID: "rg",
		},
		ApplicationProperties: mapping{{"status-code", int32(200)}},
		Data:                  [][]byte{[]byte("one"), []byte(long)},
		Footer:                mapping{{symbol("f"), []byte("binary")}},
	}
	return theirs, ours
}

func TestMessage_ofAnotherImplementation(t *testing.T) {
	theirs, ours := peerMessage()
	wire, err := theirs.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	got, err := amqpwire.DecodeMessage(wire)
	if diff := cmp.Diff(ours, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	if wire, err = ours.Append(nil); err != nil {
		t.Fatal(err)
	}
	var back amqp.Message
	if err := back.UnmarshalBinary(wire); err != nil {
		t.Fatal(err)
	}
	theirs.DeliveryTag, back.DeliveryTag = nil, nil
	if diff := cmp.Diff(theirs.Properties, back.Properties); diff != "" {
		t.Errorf("properties (-want +got)\n%s", diff)
	}
	rows := map[string][2]any{
		"header": {*theirs.Header, *back.Header}, "annotations": {theirs.Annotations, back.Annotations},
		"application properties": {theirs.ApplicationProperties, back.ApplicationProperties},
		"data":                   {theirs.Data, back.Data}, "footer": {theirs.Footer, back.Footer},
	}
	for name, row := range rows {
		if diff := cmp.Diff(row[0], row[1]); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
}

// peerValues are of every type that both know.
var peerValues = map[string]struct{ theirs, ours any }{
	"null":      {nil, nil},
	"true":      {true, true},
	"ubyte":     {uint8(9), uint8(9)},
	"ushort":    {uint16(9), uint16(9)},
	"uint 0":    {uint32(0), uint32(0)},
	"uint":      {uint32(9), uint32(9)},
	"wide uint": {uint32(900), uint32(900)},
	"ulong 0":   {uint64(0), uint64(0)},
	"ulong":     {uint64(900), uint64(900)},
	"byte":      {int8(-9), int8(-9)},
	"short":     {int16(-9), int16(-9)},
	"small int": {int32(-9), int32(-9)},
	"int":       {int32(900), int32(900)},
	"long":      {int64(-900), int64(-900)},
	"float":     {float32(1.5), float32(1.5)},
	"double":    {-1.5, -1.5},
	"time":      {instant, instant},
	"uuid":      {amqp.UUID{1}, amqpwire.UUID{1}},
	"binary":    {[]byte("x"), []byte("x")},
	"string":    {long, long},
	"list":      {[]any{int64(1), []any{"x"}}, list{int64(1), list{"x"}}},
	"map":       {map[string]any{"k": "v"}, mapping{{"k", "v"}}},
	"strings":   {[]string{"0", long}, array{"0", long}},
	"symbols":   {[]amqp.Symbol{"a", "b"}, array{symbol("a"), symbol("b")}},
	"uints":     {[]uint32{0, 900}, array{uint32(0), uint32(900)}},
	"longs":     {[]int64{-1, 1 << 40}, array{int64(-1), int64(1 << 40)}},
	"booleans":  {[]bool{true, false}, array{true, false}},
	"times":     {[]time.Time{instant}, array{instant}},
	"uuids":     {[]amqp.UUID{{1}}, array{amqpwire.UUID{1}}},
}

func TestValue_ofAnotherImplementation(t *testing.T) {
	for name, row := range peerValues {
		wire, err := (&amqp.Message{Value: row.theirs}).MarshalBinary()
		if row.theirs == nil { // they leave out a null body
			wire, err = []byte("\x00\x53\x77\x40"), nil
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		m, err := amqpwire.DecodeMessage(wire)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(row.ours, m.Value); diff != "" {
			t.Errorf("%s: ours (-want +got)\n%s", name, diff)
		}
		if wire, err = (&amqpwire.Message{Value: row.ours, HasValue: true}).Append(nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var back amqp.Message
		if err := back.UnmarshalBinary(wire); err != nil {
			t.Errorf("%s: theirs: %v", name, err)
			continue
		}
		if diff := cmp.Diff(row.theirs, back.Value); diff != "" {
			t.Errorf("%s: theirs (-want +got)\n%s", name, diff)
		}
	}
}
