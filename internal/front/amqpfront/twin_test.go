package amqpfront_test

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/Azure/go-amqp"
	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpfront"
	"github.com/hubward/hubward/internal/hub"
)

const channelKey = "com.microsoft:channel-correlation-id"

// twinPair opens the links of a twin as SDKs do: settled, and with what both have in common. Without a channel they have
// nothing in common.
func (p *peer) twinPair(address, channel string) *pair {
	p.t.Helper()
	properties := map[string]any{"com.microsoft:api-version": "2020-09-30"}
	if channel != "" {
		properties[channelKey] = channel
	}
	s, err := p.session.NewSender(p.context(), address, &amqp.SenderOptions{Properties: properties, SettlementMode: amqp.SenderSettleModeSettled.Ptr()})
	if err != nil {
		p.t.Fatal(err)
	}
	r := p.mustRead(address, "", amqp.ReceiverOptions{Properties: properties, SettlementMode: amqp.ReceiverSettleModeFirst.Ptr()})
	return &pair{p.t, s, r}
}

// twinRequest makes a request as SDKs do, for the resource that the operation is for.
func twinRequest(operation string, id any) *amqp.Message {
	m := data(" ")
	m.Annotations = amqp.Annotations{"operation": operation}
	switch operation {
	case "PATCH":
		m.Annotations["resource"] = "/properties/reported"
	case "PUT", "DELETE":
		m.Annotations["resource"] = "/notifications/twin/properties/desired"
	}
	m.Properties = &amqp.MessageProperties{CorrelationID: id}
	return m
}

func patchRequest(id any, patch string) *amqp.Message {
	m := twinRequest("PATCH", id)
	m.Data = [][]byte{[]byte(patch)}
	return m
}

// want checks a response: its id, its annotations, and its body, which is one data section, or none for "".
func (q *pair) want(m *amqp.Message, id any, annotations amqp.Annotations, body string) {
	q.t.Helper()
	if m.Properties == nil || m.Properties.CorrelationID != id {
		q.t.Errorf("id %v: %+v", id, m.Properties)
	}
	if diff := cmp.Diff(annotations, m.Annotations); diff != "" {
		q.t.Errorf("%v (-want +got):\n%s", id, diff)
	}
	if got := string(m.GetData()); got != body || len(m.Data) > 1 || len(m.Data) == 1 && body == "" || m.Value != nil {
		q.t.Errorf("%v: %q, want %q", id, m.Data, body)
	}
}

// wantPush checks a notification of a change.
func (q *pair) wantPush(version int64, patch string) {
	q.t.Helper()
	m := q.next()
	if m.Properties != nil {
		q.t.Errorf("%+v", m.Properties)
	}
	if diff := cmp.Diff(amqp.Annotations{"resource": "/properties/desired", "version": version}, m.Annotations); diff != "" {
		q.t.Errorf("%d (-want +got):\n%s", version, diff)
	}
	if len(m.Data) != 1 || string(m.Data[0]) != patch {
		q.t.Errorf("%q, want %s", m.Data, patch)
	}
}

var trackingText = regexp.MustCompile(`^[0-9a-f]{32}-G:0-TimeStamp:\d\d/\d\d/\d{4} \d\d:\d\d:\d\d$`)

// wantFailure checks the response to a request that failed.
func (q *pair) wantFailure(what string, m *amqp.Message, id any, code int) {
	q.t.Helper()
	q.want(m, id, amqp.Annotations{"status": int32(code / 1000)}, string(m.GetData()))
	var e struct {
		ErrorCode    int
		Message      string
		TrackingID   string
		TimestampUTC time.Time
	}
	if err := json.Unmarshal(m.GetData(), &e); err != nil {
		q.t.Fatalf("%s: %q, %v", what, m.Data, err)
	}
	if e.ErrorCode != code || e.Message == "" || !trackingText.MatchString(e.TrackingID) || e.TimestampUTC.IsZero() {
		q.t.Errorf("%s: %+v, want %d", what, e, code)
	}
}

// update has a back end write desired properties.
func (f *fixture) update(id hubward.Identity, desired string) {
	f.t.Helper()
	if _, err := f.UpdateTwin(f.t.Context(), f.process, id, hub.TwinUpdate{Desired: []byte(desired)}, ""); err != nil {
		f.t.Fatal(err)
	}
}

// An identity gets its twin and patches its reported properties, with an id of any type, and names in any case.
func TestTwin(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.createDevice("d1")
	f.module("d1", "m1", withModuleKey())
	p := f.owner(f.listen())
	for address, id := range map[string]hubward.Identity{
		"/devices/d1/twin": d1, "amqps://" + host + ":5671/devices/d1/modules/m1/twin/": {Device: "d1", Module: "m1"},
	} {
		q := p.twinPair(address, "twin:"+address)
		get, ok := twinRequest("GET", "g"), amqp.Annotations{"status": int32(200)}
		q.want(q.call(get), "g", ok, `{"desired":{"$version":1},"reported":{"$version":1}}`)
		f.update(id, `{"a":1}`)
		version := int64(2)
		for _, id := range []any{"4c2d", amqp.UUID{4}, uint64(9), ""} {
			q.want(q.call(patchRequest(id, `{"n":`+strconv.FormatInt(version, 10)+`}`)), id, amqp.Annotations{"status": int32(204), "version": version}, "")
			version++
		}
		get.Properties.CorrelationID = nil
		get.Properties.MessageID = amqp.UUID{7} // Java's is in both
		q.want(q.call(get), amqp.UUID{7}, ok, `{"desired":{"a":1,"$version":2},"reported":{"n":5,"$version":5}}`)
		for _, m := range []*amqp.Message{
			{Annotations: amqp.Annotations{"operation": "get"}},
			{Annotations: amqp.Annotations{"operation": "Get", "resource": ""}, Data: [][]byte{{}}},
			{Annotations: amqp.Annotations{"operation": []byte("GET"), "resource": "/properties/reported", "version": nil}},
			{Annotations: amqp.Annotations{"operation": "PATCH", "resource": "Properties/REPORTED/", "version": nil}, Data: [][]byte{[]byte("{"), []byte("}")}},
			{Annotations: amqp.Annotations{"operation": "patch", "resource": "properties/reported", "version": int32(5)}, Value: "{}"},
			{Annotations: amqp.Annotations{"operation": "patch", "resource": "//properties/reported", "version": "5.0"}, Value: []byte("{}")},
		} {
			m.Properties = &amqp.MessageProperties{CorrelationID: "x"}
			if got := q.call(m); got.Annotations["status"].(int32) >= 300 || got.Properties.CorrelationID != "x" {
				t.Errorf("%v: %v %s", m.Annotations, got.Annotations, got.GetData())
			}
		}
	}
}

// What cannot be done is answered, with JSON, and the link lives on.
func TestTwin_failures(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.createDevice("d1")
	p := f.owner(f.listen())
	q := p.twinPair("/devices/d1/twin", "twin:a")
	with := func(m *amqp.Message, name string, value any) *amqp.Message {
		m.Annotations[name] = value
		return m
	}
	list := twinRequest("PATCH", "id")
	list.Data, list.Sequence = nil, [][]any{{1}}
	object := twinRequest("PATCH", "id")
	object.Data, object.Value = nil, map[string]any{"a": 1}
	nothing := twinRequest("PATCH", "id")
	nothing.Data = nil
	for what, row := range map[string]struct {
		request *amqp.Message
		code    int
	}{
		"no operation":           {&amqp.Message{Properties: &amqp.MessageProperties{CorrelationID: "id"}}, 400004},
		"another operation":      {with(twinRequest("GET", "id"), "operation", "POST"), 400004},
		"an operation of a type": {with(twinRequest("GET", "id"), "operation", int32(1)), 400004},
		"another resource":       {with(twinRequest("PATCH", "id"), "resource", "/properties/desired"), 400004},
		"no resource":            {with(twinRequest("PUT", "id"), "resource", ""), 400004},
		"no version":             {with(patchRequest("id", "{}"), "version", "new"), 400004},
		"a version of half":      {with(patchRequest("id", "{}"), "version", 1.5), 400004},
		"version 0":              {with(patchRequest("id", "{}"), "version", int64(0)), 400004},
		"another version":        {with(patchRequest("id", `{"a":1}`), "version", int64(7)), 412001},
		"no JSON":                {patchRequest("id", `{"a":`), 400006},
		"no object":              {patchRequest("id", `[1]`), 400004},
		"no body":                {nothing, 400006},
		"a body of lists":        {list, 400006},
		"a body of values":       {object, 400006},
		"too much":               {patchRequest("id", `{"a":{"b":"`+strings.Repeat("x", 4096)+`"},"c":[`+strings.Repeat(`"`+strings.Repeat("x", 4000)+`",`, 8)+`1]}`), 400004},
	} {
		q.wantFailure(what, q.call(row.request), "id", row.code)
	}
	q.want(q.call(twinRequest("GET", "g")), "g", amqp.Annotations{"status": int32(200)}, `{"desired":{"$version":1},"reported":{"$version":1}}`)
	wantCondition(t, "without an id", send(t, p.mustSend("/devices/d1/twin"), twinRequest("GET", nil)), "com.microsoft:argument-error")
}

// A request that is larger than the link takes is answered, by however much, and the link lives on.
func TestTwin_tooLargeRequests(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.createDevice("d1")
	c := f.rawOwner(f.listen())
	c.attach(amqpwire.RoleReceiver, 1, "/devices/d1/twin")
	c.attach(amqpwire.RoleSender, 2, "/devices/d1/twin")
	c.credit(1, 0, 10)
	for i, size := range []int{200 << 10, 300 << 10, 2 << 20, 1} {
		c.transfer(2, uint32(i), &amqpwire.Message{
			Annotations: amqpwire.Map{
				{Key: amqpwire.Symbol("operation"), Value: "PATCH"}, {Key: amqpwire.Symbol("resource"), Value: "/properties/reported"},
			},
			Properties: &amqpwire.Properties{CorrelationID: []byte{1, 2}},
			Data:       [][]byte{[]byte(`{"a":"` + strings.Repeat("x", size) + `"}`)},
		})
		c.wantAccepted(uint32(i))
		tr, m := c.message()
		if !tr.Settled || len(tr.DeliveryTag) != 16 || !cmp.Equal(m.Properties.CorrelationID, any([]byte{1, 2})) {
			t.Errorf("%+v %+v", tr, m.Properties)
		}
		if got, want := m.Annotations.Get("status"), []any{int32(400), int32(413), int32(413), int32(204)}[i]; got != want {
			t.Errorf("%d bytes: status %v, want %v", size, got, want)
		}
	}
}

// Whoever does not read its answers loses the link, before they take too much memory.
func TestTwin_unreadAnswers(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.createDevice("d1")
	c := f.rawOwner(f.listen())
	c.attach(amqpwire.RoleReceiver, 1, "/devices/d1/twin")
	c.attach(amqpwire.RoleSender, 2, "/devices/d1/twin")
	for i := range uint32(1001) {
		c.transfer(2, i, &amqpwire.Message{
			Annotations: amqpwire.Map{{Key: amqpwire.Symbol("operation"), Value: "GET"}}, Properties: &amqpwire.Properties{CorrelationID: "g"},
		})
		c.wantAccepted(i)
	}
	_, r := c.until(amqpwire.CodeDetach)
	var d amqpwire.Detach
	if err := d.Decode(r); err != nil || d.Handle != 1 || d.Error == nil || d.Error.Condition != amqpwire.ResourceLimitExceeded {
		t.Errorf("%+v, %v", d, err)
	}
}

// An answer goes to the link that names the channel of the request's; it waits for that one while there is another.
func TestTwin_answersOnTheChannelOfTheRequest(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.createDevice("d1")
	p := f.owner(f.listen())
	const address = "/devices/d1/twin"
	a, b := p.twinPair(address, "twin:a"), p.twinPair(address, "twin:b")
	for range 2 {
		for id, q := range map[string]*pair{"for a": a, "for b": b} {
			if got := q.call(twinRequest("GET", id)); got.Properties.CorrelationID != id {
				t.Errorf("%s: %v", id, got.Properties.CorrelationID)
			}
		}
	}
	channel := map[string]any{channelKey: "twin:c"}
	s, err := p.session.NewSender(p.context(), address, &amqp.SenderOptions{Properties: channel})
	if err != nil {
		t.Fatal(err)
	}
	if err := send(t, s, twinRequest("GET", "for c")); err != nil {
		t.Fatal(err)
	}
	c := p.mustRead(address, "", amqp.ReceiverOptions{Properties: channel})
	if got := receive(t, c); got.Properties.CorrelationID != "for c" {
		t.Errorf("c: %v", got.Properties.CorrelationID)
	}
	if got := a.call(twinRequest("GET", "a again")); got.Properties.CorrelationID != "a again" {
		t.Errorf("a: %v", got.Properties.CorrelationID)
	}
}

// Two devices of one connection have twins of their own.
func TestTwin_ofTwoDevices(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.createDevice("d1")
	f.createDevice("d2")
	p := f.owner(f.listen())
	one, two := p.twinPair("/devices/d1/twin", ""), p.twinPair("/devices/d2/twin", "")
	for id, q := range map[string]*pair{"of d1": one, "of d2": two} {
		if got := q.call(twinRequest("GET", id)); got.Properties.CorrelationID != id {
			t.Errorf("%s: %v", id, got.Properties.CorrelationID)
		}
	}
}

func TestTwin_garbageIsRejected(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.createDevice("d1")
	s := f.owner(f.listen()).mustSend("/devices/d1/twin")
	m := twinRequest("GET", "id")
	m.Sequence = [][]any{{"and a second body"}}
	wantCondition(t, "two bodies", send(t, s, m), "amqp:decode-error")
}

func FuzzTwinRequest(f *testing.F) {
	half := patchRequest("id", "{}")
	half.Annotations["version"] = "1.5e0"
	object := twinRequest("PUT", []byte{1})
	object.Data, object.Value = nil, map[string]any{"a": []byte{1}}
	for _, m := range []*amqp.Message{twinRequest("get", "id"), patchRequest(amqp.UUID{1}, `{"a":null}`), half, object} {
		b, err := m.MarshalBinary()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, false)
		f.Add(b, true)
		f.Add(b[:len(b)-1], true)
	}
	f.Fuzz(func(t *testing.T, b []byte, truncated bool) {
		if head, rest := amqpfront.CutBody(b); !bytes.Equal(append(head[:len(head):len(head)], rest...), b) {
			t.Error("the parts are not the whole")
		}
		operation, patch, ifVersion, err := amqpfront.ReadTwinRequest(b, truncated)
		switch {
		case err != nil:
		case !slices.Contains([]string{"GET", "PATCH", "PUT", "DELETE"}, operation):
			t.Errorf("operation %q", operation)
		case len(patch) > len(b) || ifVersion < 0 || operation != "PATCH" && (patch != nil || ifVersion != 0):
			t.Errorf("%s of %d bytes if version %d", operation, len(patch), ifVersion)
		}
	})
}
