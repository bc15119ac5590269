package amqpfront_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/Azure/go-amqp"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/front/amqpfront"
	"github.com/hubward/hubward/internal/hub"
)

const serviceBound = "/messages/serviceBound/feedback"

func to(id string, m *amqp.Message) *amqp.Message {
	if m.Properties == nil {
		m.Properties = &amqp.MessageProperties{}
	}
	if m.Properties.To == nil {
		m.Properties.To = ptr(deviceBoundOf(id))
	}
	return m
}

// take takes and completes a device's next message.
func (f *fixture) take(id string) *hubward.Message {
	f.t.Helper()
	d, err := f.TakeC2D(f.t.Context(), f.as(id), 0)
	if err != nil || d == nil {
		f.t.Fatalf("%s: %v, %v", id, d, err)
	}
	if err := f.SettleC2D(f.t.Context(), f.as(id), d.LockToken, hub.C2DComplete); err != nil {
		f.t.Fatal(err)
	}
	return d.Message
}

func TestServiceSend_message(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.createDevice("d1")
	s := f.owner(f.listen()).mustSend("amqps://" + host + ":5671/messages/deviceBound")
	expiry := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
	id := amqp.UUID{0x0f, 0x8f, 0xad, 0x5b, 0xd9, 0xcb, 0x46, 0x9f, 0xa1, 0x65, 0x70, 0x86, 0x77, 0x28, 0x95, 0x0e}
	err := send(t, s, to("d1", &amqp.Message{
		Properties: &amqp.MessageProperties{
			MessageID: id, CorrelationID: "c", UserID: []byte{0xff}, ContentType: ptr("text/plain"), ContentEncoding: ptr("utf-8"),
			AbsoluteExpiryTime: &expiry, CreationTime: ptr(time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC)),
		},
		ApplicationProperties: map[string]any{"iothub-ack": "full", "k": "v"},
		Data:                  [][]byte{[]byte("bo"), []byte("dy")},
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := &hubward.Message{
		MessageID: "0f8fad5b-d9cb-469f-a165-70867728950e", CorrelationID: "c", UserID: "/w==", To: deviceBoundOf("d1"), ContentType: "text/plain",
		ContentEncoding: "utf-8", Expiry: expiry, CreationTime: "2026-01-02T03:04:05.006Z", Ack: hubward.AckFull,
		Properties: []hubward.Property{{Name: "k", Value: "v"}}, Body: []byte("body"),
	}
	if diff := cmp.Diff(want, f.take("d1")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	// A message with nothing set. Observed with amenzhinsky/iothub 0.9.
	err = send(t, s, to("d1", &amqp.Message{Properties: &amqp.MessageProperties{CorrelationID: "", AbsoluteExpiryTime: &time.Time{}}, Data: [][]byte{nil}}))
	if err != nil {
		t.Fatal(err)
	}
	m := f.take("d1")
	if diff := cmp.Diff(&hubward.Message{MessageID: m.MessageID, To: deviceBoundOf("d1"), Body: []byte{}}, m, cmpopts.EquateEmpty()); diff != "" || m.MessageID == "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	// What one asks for is kept, also that nothing is to be told.
	if err := send(t, s, to("d1", &amqp.Message{ApplicationProperties: map[string]any{"iothub-ack": "None"}, Data: [][]byte{nil}})); err != nil {
		t.Fatal(err)
	}
	if m := f.take("d1"); m.Ack != hubward.AckNone {
		t.Errorf("%+v", m)
	}
}

func withTTL(ttl time.Duration) *amqp.Message {
	return &amqp.Message{Header: &amqp.MessageHeader{TTL: ttl}, Data: [][]byte{[]byte("x")}}
}

// A time to live counts from the message's arrival; an absolute expiry counts more.
func TestServiceSend_ttl(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.createDevice("d1")
	s := f.owner(f.listen()).mustSend("/messages/devicebound")
	both := withTTL(10 * time.Minute)
	both.Properties = &amqp.MessageProperties{AbsoluteExpiryTime: ptr(time.Now().Add(30 * time.Minute))}
	unset := withTTL(10 * time.Minute)
	unset.Properties = &amqp.MessageProperties{AbsoluteExpiryTime: ptr(time.Unix(0, time.Time{}.UnixNano()))} // in 1754
	for _, row := range []struct {
		m    *amqp.Message
		want time.Duration
	}{{withTTL(10 * time.Minute), 10 * time.Minute}, {both, 30 * time.Minute}, {unset, 10 * time.Minute}} {
		if err := send(t, s, to("d1", row.m)); err != nil {
			t.Fatal(err)
		}
		if left := time.Until(f.take("d1").Expiry); left > row.want || left < row.want-time.Minute {
			t.Errorf("it expires in %s, want %s", left, row.want)
		}
	}
}

// Ids come raw, encoded, or encoded twice; the id that there is counts, the raw one first.
func TestServiceSend_targets(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	for _, id := range []string{"a#b", "c%41", "cA", "d%2"} {
		f.createDevice(id)
	}
	s := f.owner(f.listen()).mustSend("/messages/devicebound")
	for target, id := range map[string]string{
		"/devices/a#b/messages/devicebound":                        "a#b",
		"/devices/a%23b/messages/deviceBound":                      "a#b",
		"/devices/a%2523b/messages/devicebound":                    "a#b",
		"devices/a%23b/Messages/Devicebound/":                      "a#b",
		"amqps://plant.example/devices/a%23b/messages/devicebound": "a#b",
		"/devices/c%41/messages/devicebound":                       "c%41",
		"/devices/c%2541/messages/devicebound":                     "c%41",
		"/devices/%63A/messages/devicebound":                       "cA",
		"/devices/d%2/messages/devicebound":                        "d%2",
		"/devices/d%252/messages/devicebound":                      "d%2",
	} {
		m := data(target)
		m.Properties = &amqp.MessageProperties{To: ptr(target)}
		if err := send(t, s, m); err != nil {
			t.Errorf("%s: %v", target, err)
			continue
		}
		if got := f.take(id); string(got.Body) != target {
			t.Errorf("%s: %s", target, got.Body)
		}
	}
}

func TestServiceSend_refusals(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.createDevice("d1")
	full := f.createDevice("full")
	for range 50 {
		f.sendC2D("full", hubward.Message{})
	}
	disabled := *f.createDevice("off")
	disabled.Status = hubward.StatusDisabled
	if _, err := f.PutDevice(t.Context(), f.process, disabled, "*"); err != nil {
		t.Fatal(err)
	}
	s := f.owner(f.listen()).mustSend("/messages/devicebound")
	at := func(d time.Duration) *amqp.Message {
		return &amqp.Message{Properties: &amqp.MessageProperties{AbsoluteExpiryTime: ptr(time.Now().Add(d))}, Data: [][]byte{{1}}}
	}
	target := func(text string) *amqp.Message {
		return &amqp.Message{Properties: &amqp.MessageProperties{To: ptr(text)}, Data: [][]byte{{1}}}
	}
	for what, row := range map[string]struct {
		m         *amqp.Message
		condition string
	}{
		"an unknown device":   {to("none", data("x")), "amqp:not-found"},
		"a disabled device":   {to("off", data("x")), "amqp:not-found"},
		"a full queue":        {to(full.DeviceID, data("x")), "amqp:resource-limit-exceeded"},
		"a large message":     {to("d1", data(strings.Repeat("x", 64<<10+1))), "amqp:link:message-size-exceeded"},
		"no target":           {data("x"), "com.microsoft:argument-error"},
		"another target":      {target("/devices/d1/messages/events"), "com.microsoft:argument-error"},
		"a bad target":        {target("d1"), "com.microsoft:argument-error"},
		"a module":            {target("/devices/d1/modules/m/messages/devicebound"), "amqp:not-found"},
		"an expiry too late":  {to("d1", at(49*time.Hour)), "com.microsoft:argument-out-of-range"},
		"an expiry too soon":  {to("d1", at(-time.Second)), "com.microsoft:argument-out-of-range"},
		"a ttl too long":      {to("d1", withTTL(49*time.Hour)), "com.microsoft:argument-out-of-range"},
		"an unknown ack":      {to("d1", &amqp.Message{ApplicationProperties: map[string]any{"iothub-ack": "perhaps"}, Data: [][]byte{{1}}}), "com.microsoft:argument-error"},
		"a body of sequences": {to("d1", &amqp.Message{Sequence: [][]any{{"x"}}}), "amqp:not-implemented"},
	} {
		wantCondition(t, what, send(t, s, row.m), row.condition)
	}
	if n := f.depth("d1"); n != 0 {
		t.Errorf("%d messages", n)
	}
	if err := send(t, s, to("d1", data("x"))); err != nil {
		t.Error(err)
	}
	p := f.dial(f.listen(), amqp.ConnOptions{SASLType: amqp.SASLTypePlain("device", f.policyKey("device"))})
	_, err := p.sender("/messages/devicebound")
	wantCondition(t, "a device's policy", err, "amqp:unauthorized-access")
}

// Messages for one device stay in order, though many are under way.
func TestServiceSend_order(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	for i := range 4 {
		f.createDevice(fmt.Sprint("d", i))
	}
	p := f.owner(f.listen())
	s := p.mustSend("/messages/devicebound")
	var receipts []amqp.SendReceipt
	for i := range 160 {
		r, err := s.SendWithReceipt(p.context(), to(fmt.Sprint("d", i%4), data(fmt.Sprint(i/4))), nil)
		if err != nil {
			t.Fatal(err)
		}
		receipts = append(receipts, r)
	}
	for _, r := range receipts {
		if state, err := r.Wait(p.context()); err != nil {
			t.Fatal(state, err)
		}
	}
	for d := range 4 {
		for i := range 40 {
			if m := f.take(fmt.Sprint("d", d)); string(m.Body) != fmt.Sprint(i) {
				t.Fatalf("d%d: %s, want %d", d, m.Body, i)
			}
		}
	}
}

// sendForFeedback sends one message with an ack and has the device complete it.
func (f *fixture) sendForFeedback(id string) {
	f.t.Helper()
	f.sendC2D("d1", hubward.Message{MessageID: id, Ack: hubward.AckFull})
	f.take("d1")
}

func TestFeedback_message(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	d := f.createDevice("d1")
	r := f.owner(f.listen()).mustRead("/messages/servicebound/Feedback", "", amqp.ReceiverOptions{})
	f.sendForFeedback("m1")
	m := receive(t, r)
	enqueued, _ := m.Annotations["iothub-enqueuedtime"].(time.Time)
	if time.Since(enqueued) > time.Minute || len(m.DeliveryTag) != 16 || string(m.Properties.UserID) != "plant" || len(m.Data) != 1 {
		t.Errorf("%v %x %+v", m.Annotations, m.DeliveryTag, m.Properties)
	}
	id, _ := m.Properties.MessageID.(string)
	if len(id) != 36 || m.Properties.ContentType == nil || *m.Properties.ContentType != "application/vnd.microsoft.iothub.feedback.json" {
		t.Errorf("%+v", m.Properties)
	}
	var records []hubward.Feedback
	if err := json.Unmarshal(m.GetData(), &records); err != nil {
		t.Fatal(err)
	}
	want := []hubward.Feedback{{OriginalMessageID: "m1", DeviceID: "d1", DeviceGenerationID: d.GenerationID, StatusCode: hubward.FeedbackSuccess, Description: "Success"}}
	if diff := cmp.Diff(want, records, cmpopts.IgnoreFields(hubward.Feedback{}, "EnqueuedTime")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// A feedback message is there until somebody completes it; what a link does not settle goes back when it ends.
func TestFeedback_outcomes(t *testing.T) {
	for name, mode := range map[string]amqp.ReceiverSettleMode{"first": amqp.ReceiverSettleModeFirst, "second": amqp.ReceiverSettleModeSecond} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, amqpfront.Options{})
			f.createDevice("d1")
			p := f.owner(f.listen())
			attach := func() *amqp.Receiver {
				return p.mustRead(serviceBound, "", amqp.ReceiverOptions{Credit: -1, SettlementMode: &mode})
			}
			r := attach()
			next := func() *amqp.Message {
				t.Helper()
				if err := r.IssueCredit(1); err != nil {
					t.Fatal(err)
				}
				return receive(t, r)
			}
			f.sendForFeedback("m1")
			if err := r.ReleaseMessage(p.context(), next()); err != nil {
				t.Fatal(err)
			}
			m := next()
			if m.Annotations["iothub-deliverycount"] != uint8(2) {
				t.Errorf("%v", m.Annotations)
			}
			if err := r.Close(p.context()); err != nil {
				t.Fatal(err)
			}
			r = attach()
			if m = next(); m.Annotations["iothub-deliverycount"] != uint8(2) {
				t.Errorf("%v", m.Annotations)
			}
			if err := r.AcceptMessage(p.context(), m); err != nil {
				t.Fatal(err)
			}
			f.await("an empty feedback queue", func() bool {
				b, err := f.TakeNotification(t.Context(), f.process, hub.NotificationFeedback)
				return err == nil && b == nil
			})
		})
	}
}

// Credit that is taken back leaves the next feedback to others.
func TestFeedback_drain(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.createDevice("d1")
	p := f.owner(f.listen())
	first := p.mustRead(serviceBound, "", amqp.ReceiverOptions{Credit: -1})
	if err := first.IssueCredit(1); err != nil {
		t.Fatal(err)
	}
	if err := first.DrainCredit(p.context(), nil); err != nil {
		t.Fatal(err)
	}
	f.sendForFeedback("m1")
	second := p.mustRead(serviceBound, "", amqp.ReceiverOptions{})
	if err := second.AcceptMessage(p.context(), receive(t, second)); err != nil {
		t.Error(err)
	}
}

func TestFileNotifications_areSilent(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	p := f.owner(f.listen())
	r := p.mustRead("/messages/serviceBound/fileNotifications", "", amqp.ReceiverOptions{})
	if m, err := r.Receive(within(t, 50*time.Millisecond), nil); err == nil {
		t.Errorf("%v", m)
	}
	if err := r.Close(p.context()); err != nil {
		t.Error(err)
	}
}
