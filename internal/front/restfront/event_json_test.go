package restfront_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/front/restfront"
)

func TestAppendEvent_allFields(t *testing.T) {
	at := time.Date(2026, 1, 31, 0, 49, 39, 123e6, time.UTC)
	e := &hubward.Event{
		Partition: 3, SequenceNumber: 12, Offset: "12", EnqueuedTime: at, DeviceID: "d1", GenerationID: "636", AuthMethod: `{"scope":"device"}`,
		HubEnqueued: at.Add(-time.Millisecond), MessageSource: "Telemetry", ModelID: "dtmi:m;1",
		Message: hubward.Message{
			MessageID: "m1", CorrelationID: "c1", UserID: "u", ContentType: "application/json", ContentEncoding: "utf-8",
			CreationTime: "2026-01-31", Expiry: at.Add(time.Hour), Subject: "comp", InterfaceID: "if", Body: []byte("{ \"a\" : [1, \"<&>\"] }\n"),
			Properties: []hubward.Property{{Name: "z", Value: "1"}, {Name: "a", Value: "old"}, {Name: "n", Null: true}, {Name: "e"}, {Name: "a", Value: "new"}},
		},
	}
	want := `{"partition":"3","sequenceNumber":12,"offset":"12","enqueuedTime":"2026-01-31T00:49:39.123Z","body":{"a":[1,"<&>"]},` +
		`"properties":{"z":"1","n":null,"e":"","a":"new"},` +
		`"systemProperties":{"messageId":"m1","correlationId":"c1","userId":"u","contentType":"application/json","contentEncoding":"utf-8","creationTimeUtc":"2026-01-31","expiryTimeUtc":"2026-01-31T01:49:39.123Z"},` +
		`"annotations":{"iothub-connection-device-id":"d1","iothub-connection-auth-generation-id":"636","iothub-connection-auth-method":"{\"scope\":\"device\"}",` +
		`"iothub-enqueuedtime":1769820579122,"iothub-message-source":"Telemetry","dt-dataschema":"dtmi:m;1","dt-subject":"comp","iothub-interface-id":"if",` +
		`"x-opt-sequence-number":12,"x-opt-offset":"12","x-opt-enqueued-time":1769820579123}}` + "\n"
	got, err := restfront.AppendEvent(nil, e)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
}

func TestAppendEvent_body(t *testing.T) {
	deep := strings.Repeat("[", 1001) + strings.Repeat("]", 1001)
	for _, test := range []struct{ contentType, body, want string }{
		{"", `{"a":1}`, `"body":{"a":1}`},
		{"", " [1,\n2]\n", `"body":[1,2]`},
		{"", `42`, `"body":"42"`},
		{"application/json", `42`, `"body":42`},
		{"Application/JSON; charset=utf-8", `"text"`, `"body":"text"`},
		{"application/json", `no json`, `"body":"no json"`},
		{"", `"text"`, `"body":"\"text\""`},
		{"", `{"a":1} {"b":2}`, `"body":"{\"a\":1} {\"b\":2}"`},
		{"", "{\"a\":\"\xff\"}", `"bodyBase64":"eyJhIjoi/yJ9"`},
		{"", "", `"body":""`},
		{"application/json", "", `"body":""`},
		{"", "a\x00\x1b[31mb", `"body":"a\u0000\u001b[31mb"`},
		{"", "line\n\u2028", `"body":"line\n\u2028"`},
		{"", deep, `"body":"` + deep},
		{"", deep[1 : len(deep)-1], `"body":` + deep[1:len(deep)-1]},
	} {
		e := &hubward.Event{Message: hubward.Message{ContentType: test.contentType, Body: []byte(test.body)}}
		line, err := restfront.AppendEvent(nil, e)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(line), test.want) || strings.Count(string(line), "\n") != 1 {
			t.Errorf("body %.60q of type %q: line %.300q, want %.60q", test.body, test.contentType, line, test.want)
		}
		if !json.Valid(line) {
			t.Errorf("no JSON: %.300q", line)
		}
	}
}
