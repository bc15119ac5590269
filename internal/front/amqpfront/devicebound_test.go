package amqpfront_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/go-amqp"
	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/front/amqpfront"
	"github.com/hubward/hubward/internal/hub"
)

func (f *fixture) sendC2D(device string, m hubward.Message) {
	f.t.Helper()
	if err := f.SendC2D(f.t.Context(), f.process, hubward.Identity{Device: device}, &m); err != nil {
		f.t.Fatal(err)
	}
}

// depth is how many messages a device's queue holds.
func (f *fixture) depth(device string) int {
	f.t.Helper()
	d, err := f.Device(f.t.Context(), f.process, device)
	if err != nil {
		f.t.Fatal(err)
	}
	return d.CloudToDeviceMessageCount
}

func (f *fixture) awaitDepth(device string, n int) {
	f.t.Helper()
	f.await("the depth of the queue", func() bool { return f.depth(device) == n })
}

func (p *peer) deviceBound(id string, o amqp.ReceiverOptions) *amqp.Receiver {
	p.t.Helper()
	if o.Credit == 0 {
		o.Credit = 50
	}
	return p.mustRead(deviceBoundOf(id), "", o)
}

// The types are those that the SDKs insist on.
//
// Source: Azure/azure-iot-sdk-csharp iothub/device/src/Transport/AmqpIot/AmqpIotMessageConverter.cs.
func TestDeviceBound_message(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	p := f.device(f.listen(), "d1")
	expiry := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
	f.sendC2D("d1", hubward.Message{
		MessageID: "m", CorrelationID: "c", UserID: "ü", ContentType: "application/json", ContentEncoding: "utf-8", Expiry: expiry,
		CreationTime: "2026-01-02T03:04:05.006Z", Ack: hubward.AckFull, Properties: []hubward.Property{{Name: "k", Value: "v"}, {Name: "n", Null: true}},
		Body: []byte("body"),
	})
	f.sendC2D("d1", hubward.Message{})
	r := p.deviceBound("d1", amqp.ReceiverOptions{})
	m := receive(t, r)
	want := &amqp.MessageProperties{
		MessageID: "m", CorrelationID: "c", UserID: []byte("ü"), To: ptr("/devices/d1/messages/deviceBound"),
		ContentType: ptr("application/json"), ContentEncoding: ptr("utf-8"), AbsoluteExpiryTime: &expiry,
		CreationTime: ptr(time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC)),
	}
	if diff := cmp.Diff(want, m.Properties); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(map[string]any{"k": "v", "n": nil, "iothub-ack": "full"}, m.ApplicationProperties); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if string(m.GetData()) != "body" || len(m.Data) != 1 {
		t.Errorf("%q", m.Data)
	}
	a := m.Annotations
	enqueued, _ := a["iothub-enqueuedtime"].(time.Time)
	if a["iothub-deliverycount"] != uint8(1) || a["x-opt-sequence-number"] != uint64(1) || time.Since(enqueued) > time.Minute {
		t.Errorf("%v", a)
	}
	token, _ := a["x-opt-lock-token"].(string)
	if tag := amqpfront.GUIDTag(token); len(tag) != 16 || string(tag) != string(m.DeliveryTag) {
		t.Errorf("tag %x of token %s", m.DeliveryTag, token)
	}
	plain := receive(t, r)
	id, _ := plain.Properties.MessageID.(string)
	if len(id) != 36 || string(plain.Properties.UserID) != "plant" || plain.Properties.AbsoluteExpiryTime != nil || len(plain.ApplicationProperties) > 0 || plain.Properties.CorrelationID != nil {
		t.Errorf("%+v %v", plain.Properties, plain.ApplicationProperties)
	}
}

func TestGUIDTag(t *testing.T) {
	want := "\x33\x22\x11\x00\x55\x44\x77\x66\x88\x99\xaa\xbb\xcc\xdd\xee\xff"
	if got := amqpfront.GUIDTag("00112233-4455-6677-8899-aabbccddeeff"); string(got) != want {
		t.Errorf("%x", got)
	}
	for _, text := range []string{"", "x", "00112233445566778899aabbccddeeff", "00112233-4455-6677-8899-aabbccddee", "0011223x-4455-6677-8899-aabbccddeeff"} {
		if got := amqpfront.GUIDTag(text); got != nil {
			t.Errorf("%s: %x", text, got)
		}
	}
}

func TestDeviceBound_outcomes(t *testing.T) {
	for name, mode := range map[string]amqp.ReceiverSettleMode{"first": amqp.ReceiverSettleModeFirst, "second": amqp.ReceiverSettleModeSecond} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, amqpfront.Options{})
			p := f.device(f.listen(), "d1")
			r := p.deviceBound("d1", amqp.ReceiverOptions{SettlementMode: &mode})
			next := func(count uint8) *amqp.Message {
				t.Helper()
				m := receive(t, r)
				if m.Annotations["iothub-deliverycount"] != count {
					t.Errorf("%s: delivery %v, want %d", m.GetData(), m.Annotations["iothub-deliverycount"], count)
				}
				return m
			}
			settle := func(what string, depth int, err error) {
				t.Helper()
				if err != nil {
					t.Errorf("%s: %v", what, err)
				}
				if mode == amqp.ReceiverSettleModeSecond { // the answer means that it is durable
					if got := f.depth("d1"); got != depth {
						t.Errorf("%s: %d messages, want %d", what, got, depth)
					}
				}
				f.awaitDepth("d1", depth)
			}
			for _, b := range []string{"a", "b", "c"} {
				f.sendC2D("d1", hubward.Message{Body: []byte(b)})
			}
			a, b, c := next(1), next(1), next(1)
			settle("reject", 2, r.RejectMessage(p.context(), b, nil))
			settle("accept", 1, r.AcceptMessage(p.context(), a))
			settle("release", 1, r.ReleaseMessage(p.context(), c))
			settle("modify", 1, r.ModifyMessage(p.context(), next(2), &amqp.ModifyMessageOptions{DeliveryFailed: true}))
			settle("undeliverable here", 0, r.ModifyMessage(p.context(), next(3), &amqp.ModifyMessageOptions{UndeliverableHere: true}))
		})
	}
}

// Who settles a message whose lock has gone learns that, if he asks.
func TestDeviceBound_lockLost(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	p := f.device(f.listen(), "d1")
	r := p.deviceBound("d1", amqp.ReceiverOptions{SettlementMode: ptr(amqp.ReceiverSettleModeSecond)})
	f.sendC2D("d1", hubward.Message{Body: []byte("a")})
	m := receive(t, r)
	if _, err := f.PurgeC2D(t.Context(), f.process, hubward.Identity{Device: "d1"}); err != nil {
		t.Fatal(err)
	}
	err := r.AcceptMessage(p.context(), m)
	var remote *amqp.Error
	if !errors.As(err, &remote) || remote.Condition != "com.microsoft:message-lock-lost" {
		t.Errorf("%v", err)
	}
}

// No message is taken from the queue that the device has not asked for; what it does not settle goes back without a count.
func TestDeviceBound_credit(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	address := f.listen()
	p := f.device(address, "d1")
	for _, b := range []string{"a", "b", "c"} {
		f.sendC2D("d1", hubward.Message{Body: []byte(b)})
	}
	r := p.deviceBound("d1", amqp.ReceiverOptions{Credit: -1})
	if err := r.IssueCredit(2); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a", "b"} {
		if m := receive(t, r); string(m.GetData()) != want {
			t.Errorf("%s, want %s", m.GetData(), want)
		}
	}
	if m, err := r.Receive(within(t, 100*time.Millisecond), nil); err == nil {
		t.Errorf("%s came without credit", m.GetData())
	}
	if m, err := f.TakeC2D(t.Context(), f.as("d1"), 0); err != nil || m == nil || string(m.Message.Body) != "c" {
		t.Errorf("the third is locked: %v, %v", m, err)
	} else if err := f.SettleC2D(t.Context(), f.as("d1"), m.LockToken, hub.C2DComplete); err != nil {
		t.Error(err)
	}
	if err := r.Close(p.context()); err != nil {
		t.Fatal(err)
	}
	r = p.deviceBound("d1", amqp.ReceiverOptions{})
	for _, want := range []string{"a", "b"} {
		m := receive(t, r)
		if string(m.GetData()) != want || m.Annotations["iothub-deliverycount"] != uint8(1) {
			t.Errorf("%s %v, want %s", m.GetData(), m.Annotations, want)
		}
	}
	p.conn.Close()
	again := f.deviceAgain(address, mustDevice(f, "d1")).deviceBound("d1", amqp.ReceiverOptions{})
	if m := receive(t, again); string(m.GetData()) != "a" {
		t.Errorf("%s", m.GetData())
	}
}

func mustDevice(f *fixture, id string) *hubward.Device {
	f.t.Helper()
	d, err := f.Device(f.t.Context(), f.process, id)
	if err != nil {
		f.t.Fatal(err)
	}
	return d
}

// A drained link has no credit any more; new credit counts from there.
func TestDeviceBound_drain(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	p := f.device(f.listen(), "d1")
	r := p.deviceBound("d1", amqp.ReceiverOptions{Credit: -1})
	for range 3 {
		if err := r.IssueCredit(10); err != nil {
			t.Fatal(err)
		}
		if err := r.DrainCredit(p.context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	f.sendC2D("d1", hubward.Message{Body: []byte("a")})
	if m, err := r.Receive(within(t, 100*time.Millisecond), nil); err == nil {
		t.Errorf("%s came without credit", m.GetData())
	}
	if err := r.IssueCredit(1); err != nil {
		t.Fatal(err)
	}
	if err := r.AcceptMessage(p.context(), receive(t, r)); err != nil {
		t.Error(err)
	}
}

// The last link of a device that receives is the one that does.
func TestDeviceBound_oneLinkReceives(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	p := f.device(f.listen(), "d1")
	first := p.deviceBound("d1", amqp.ReceiverOptions{})
	f.sendC2D("d1", hubward.Message{Body: []byte("a")})
	receive(t, first)
	second := p.deviceBound("d1", amqp.ReceiverOptions{})
	wantDetached(t, first, "amqp:link:stolen")
	if err := second.AcceptMessage(p.context(), receive(t, second)); err != nil {
		t.Error(err)
	}
	f.awaitDepth("d1", 0)
}

// More messages than a link has unsettled at a time, and larger than a frame.
func TestDeviceBound_many(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	p := f.device(f.listen(), "d1")
	r := p.deviceBound("d1", amqp.ReceiverOptions{Credit: 5})
	body := strings.Repeat("x", 60_000)
	var want, got []string
	for i := range 40 {
		want = append(want, string(rune('A'+i)))
		f.sendC2D("d1", hubward.Message{MessageID: want[i], Body: []byte(body)})
	}
	for range want {
		m := receive(t, r)
		got = append(got, m.Properties.MessageID.(string))
		if string(m.GetData()) != body {
			t.Error("another body")
		}
		if err := r.AcceptMessage(p.context(), m); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	f.awaitDepth("d1", 0)
}
