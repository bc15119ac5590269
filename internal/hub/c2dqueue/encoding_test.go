package c2dqueue_test

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/c2dqueue"
)

// fullMessage has every field set but TTL, which becomes an expiry.
func fullMessage() *hubward.Message {
	return &hubward.Message{
		MessageID: "m-1", CorrelationID: "c-1", UserID: "\xff\x00 no UTF-8", To: "/devices/d/messages/deviceBound",
		ContentType: "application/json", ContentEncoding: "utf-8", CreationTime: "2026-01-02T03:04:05Z", OutputName: "out",
		InterfaceID: "urn:i", Subject: "thermostat", Schema: "s", TraceID: "t", TraceContext: "k=v", Ack: hubward.AckFull,
		Expiry:     time.Date(2026, 1, 31, 12, 34, 56, 500, time.UTC),
		Properties: []hubward.Property{{Name: "a", Value: "b"}, {Name: "null", Null: true}, {Name: "empty"}, {Name: "", Value: "\xfe"}, {Name: "a", Value: "again"}},
		Body:       []byte("{\"x\":1}\x00\xff"),
	}
}

func TestDecode_givesBackWhatWasEncoded(t *testing.T) {
	for name, m := range map[string]*hubward.Message{
		"empty": {}, "full": fullMessage(), "body": {Body: bytes.Repeat([]byte{0x80}, 64<<10)},
		"null last": {Properties: []hubward.Property{{Name: "n", Null: true}}},
	} {
		got, err := c2dqueue.Decode(c2dqueue.Encode(m))
		if diff := cmp.Diff(m, got, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

// A field that is added to hubward.Message has to be stored too.
func TestEncode_coversEveryField(t *testing.T) {
	v := reflect.ValueOf(*fullMessage())
	for i := range v.NumField() {
		if name := v.Type().Field(i).Name; v.Field(i).IsZero() && name != "TTL" {
			t.Errorf("the test's message has no %s", name)
		}
	}
}

// The stored form is what older programs wrote.
func TestDecode_storedForm(t *testing.T) {
	data, err := hex.DecodeString("01" + "0201" + "6d" + "0f04" + "66756c6c" + "1001" + "61" + "1101" + "62" + "1001" + "6e" + "0105" + "68656c6c6f")
	if err != nil {
		t.Fatal(err)
	}
	want := &hubward.Message{
		MessageID: "m", Ack: hubward.AckFull, Body: []byte("hello"),
		Properties: []hubward.Property{{Name: "a", Value: "b"}, {Name: "n", Null: true}},
	}
	got, err := c2dqueue.Decode(data)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if !bytes.Equal(c2dqueue.Encode(want), data) {
		t.Errorf("encoded %x", c2dqueue.Encode(want))
	}
}

func TestDecode_damaged(t *testing.T) {
	for name, text := range map[string]string{
		"nothing": "", "another version": "02", "no length": "0101", "too long": "01010268", "unknown tag": "01ff00",
		"a value of no property": "01110162", "a short expiry": "011207" + "00000000000000", "length beyond 64 bits": "0101ffffffffffffffffffff01",
	} {
		data, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if m, err := c2dqueue.Decode(data); err == nil {
			t.Errorf("%s: decoded as %+v", name, m)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(c2dqueue.Encode(fullMessage()))
	f.Add([]byte{1, 1, 0x80})
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := c2dqueue.Decode(data)
		if err != nil {
			return
		}
		again, err := c2dqueue.Decode(c2dqueue.Encode(m))
		if diff := cmp.Diff(m, again, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	})
}
