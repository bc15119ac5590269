package restwire_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/restwire"
)

func TestParseMessage_namesOfAllClients(t *testing.T) {
	m, err := restwire.ParseMessage([]restwire.Field{
		{Name: "Host", Value: "h"}, {Name: "IoTHub-MessageId", Value: "m"}, {Name: "iothub-correlationid", Value: "c"},
		{Name: "IOTHUB-USERID", Value: "u"}, {Name: "iothub-to", Value: "to"}, {Name: "IoTHub-Ack", Value: "Full"},
		{Name: "ContentType", Value: "text/plain"}, {Name: "iothub-contentencoding", Value: "utf-8"}, {Name: "iothub-creationtimeutc", Value: "t"},
		{Name: "iothub-interface-id", Value: "i"}, {Name: "iothub-messageschema", Value: "s"}, {Name: "dt-subject", Value: "sub"},
		{Name: "iothub-expiry", Value: "12/22/2017 12:14:12 AM"}, {Name: "iothub-operation", Value: "d2c"},
		{Name: "iothub-sequencenumber", Value: "1"}, {Name: "IOTHUB-APP-runId", Value: "1"}, {Name: "iothub-app-", Value: "nameless"},
		{Name: "iothub-app-a", Value: "1"}, {Name: "iothub-app-runId", Value: "2"},
		{Name: "iothub-app-iothub-connection-device-id", Value: "forged"}, {Name: "iothub-app-iothub-message-source", Value: "forged"},
		{Name: "iothub-app-iothub-message-schema", Value: "s2"},
	})
	want := &hubward.Message{
		MessageID: "m", CorrelationID: "c", UserID: "u", To: "to", Ack: hubward.AckFull, ContentType: "text/plain", ContentEncoding: "utf-8",
		CreationTime: "t", InterfaceID: "i", Schema: "s2", Subject: "sub", Expiry: time.Date(2017, 12, 22, 0, 14, 12, 0, time.UTC),
		Properties: []hubward.Property{{Name: "runId", Value: "2"}, {Name: "a", Value: "1"}},
	}
	if diff := cmp.Diff(want, m); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

func TestParseTime(t *testing.T) {
	at := time.Date(2026, 1, 31, 13, 4, 5, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"": {}, "0001-01-01T00:00:00Z": {}, "0001-01-01T00:00:00": {}, "1/1/0001 12:00:00 AM": {}, "1754-08-30T22:43:41Z": {},
		"2026-01-31T13:04:05Z": at, "2026-01-31T14:04:05.0000000+01:00": at, "2026-01-31T13:04:05": at, "2026-01-31 13:04:05+00:00": at,
		"1/31/2026 1:04:05 PM": at, "01/31/2026 01:04:05 PM": at, "Sat, 31 Jan 2026 13:04:05 GMT": at, "1769864645000": at,
	} {
		if got, ok := restwire.ParseTime(text); !ok || !got.Equal(want) {
			t.Errorf("ParseTime(%q) = %v, %t", text, got, ok)
		}
	}
	for _, bad := range []string{"tomorrow", "-1", "2026-13-01T00:00:00Z", "253402300800000", "1e3"} {
		if got, ok := restwire.ParseTime(bad); ok {
			t.Errorf("ParseTime(%q) = %v", bad, got)
		}
	}
	if got := restwire.FormatTime(at); got != "1/31/2026 1:04:05 PM" {
		t.Error(got)
	}
}

func TestFields_roundTrip(t *testing.T) {
	m := &hubward.Message{
		MessageID: "m", CorrelationID: "c", UserID: "u", To: "to", ContentType: "ct", ContentEncoding: "ce", CreationTime: "t",
		Expiry: time.Date(2026, 1, 31, 1, 2, 3, 4e6, time.UTC), Ack: hubward.AckNegative, InterfaceID: "i", Schema: "s", Subject: "sub",
		Properties: []hubward.Property{{Name: "B", Value: "1"}, {Name: "b", Value: ""}, {Name: "c", Value: "é ü"}},
	}
	if err := restwire.Check(m); err != nil {
		t.Fatal(err)
	}
	got, err := restwire.ParseMessage(restwire.Fields(m))
	if diff := cmp.Diff(m, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

func TestCheck_namesWhatCannotTravel(t *testing.T) {
	one := func(name, value string) *hubward.Message {
		return &hubward.Message{Properties: []hubward.Property{{Name: name, Value: value}}}
	}
	for text, m := range map[string]*hubward.Message{
		"no name": one("", "x"), `"a b"`: one("a b", "x"), `"é"`: one("é", "x"), `"a:"`: one("a:", "x"),
		`"n"`: one("n", "a\r\nb: c"), `"lead"`: one("lead", " x"), `"trail"`: one("trail", "x\t"), `"del"`: one("del", "\x7f"),
		"iothub-userid": {UserID: "a\nb"}, "128": {MessageID: strings.Repeat("m", 129)}, "500": {Properties: make([]hubward.Property, 501)},
	} {
		if err := restwire.Check(m); hubward.CodeOf(err) != hubward.CodeArgumentInvalid || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestBatch_roundTrip(t *testing.T) {
	messages := []*hubward.Message{
		{MessageID: "1", Body: []byte{0, 0xff}, Properties: []hubward.Property{{Name: "a b", Value: "x\n"}, {Name: "N", Null: true}, {Name: "é", Value: " "}}},
		{Body: []byte{}},
	}
	text, err := restwire.AppendBatch(nil, messages)
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"body":"AP8=","base64Encoded":true,"properties":{"iothub-messageid":"1","iothub-app-a b":"x\n","iothub-app-N":null,"iothub-app-é":" "}},{"body":"","base64Encoded":true}]`
	if string(text) != want {
		t.Errorf("%s", text)
	}
	got, err := restwire.ParseBatch(text)
	if diff := cmp.Diff(messages, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	for _, m := range []*hubward.Message{{UserID: "\xff"}, {Properties: []hubward.Property{{}}}} {
		if _, err := restwire.AppendBatch(nil, []*hubward.Message{m}); hubward.CodeOf(err) != hubward.CodeArgumentInvalid {
			t.Errorf("%+v: %v", m, err)
		}
	}
	if _, err := restwire.AppendBatch(nil, make([]*hubward.Message, restwire.MaxBatch+1)); hubward.CodeOf(err) != hubward.CodeMessageTooLarge {
		t.Error(err)
	}
}

func FuzzParseBatch(f *testing.F) {
	for _, seed := range []string{
		``, `[]`, `null`, `{}`, `[null]`, `[{}]`, `[{},{}]x`, `[{"body":"aGVsbG8=","properties":{"iothub-messageid":"1","iothub-app-a":"b"}}]`,
		`[{"body":"raw","base64Encoded":false,"properties":null}]`, `[{"body":"!"}]`, `[{"properties":{"a":[]}}]`, `[{"properties":[]}]`,
		`[{"properties":{"iothub-app-n":1e9,"iothub-app-t":true,"iothub-app-N":null,"iothub-expiry":"x"}}]`, `[[[[[[`, `[{"body":"\ud800","base64Encoded":false}]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		messages, err := restwire.ParseBatch(body)
		if err != nil {
			if status := hubward.CodeOf(err).HTTPStatus(); status != 400 && status != 413 {
				t.Errorf("error %v has status %d", err, status)
			}
			return
		}
		size := 0
		for _, m := range messages {
			size += m.Size()
		}
		if len(messages) > len(body) || size > 3*len(body) { // a byte that is no UTF-8 becomes three
			t.Errorf("%d messages with %d bytes of %d", len(messages), size, len(body))
		}
		text, err := restwire.AppendBatch(nil, messages)
		if err != nil {
			t.Fatal(err)
		}
		again, err := restwire.ParseBatch(text)
		if err != nil || cmp.Diff(messages, again) != "" {
			t.Errorf("%s: %v: %s", text, err, cmp.Diff(messages, again))
		}
	})
}

func FuzzParseMessage(f *testing.F) {
	f.Add("iothub-app-runId", "1", "iothub-expiry", "1/31/2026 1:04:05 PM")
	f.Add("iothub-app-", "", "iothub-app-iothub-message-schema", "s")
	f.Fuzz(func(t *testing.T, n1, v1, n2, v2 string) {
		m, err := restwire.ParseMessage([]restwire.Field{{Name: n1, Value: v1}, {Name: n2, Value: v2}})
		if err != nil || restwire.Check(m) != nil {
			return
		}
		again, err := restwire.ParseMessage(restwire.Fields(m))
		if err != nil || cmp.Diff(m, again) != "" {
			t.Errorf("%v: %s", err, cmp.Diff(m, again))
		}
	})
}
