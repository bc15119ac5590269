package amqpfront_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/Azure/go-amqp"
	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward/internal/front/amqpfront"
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

func twinRequest(operation string, id any) *amqp.Message {
	m := data(" ")
	m.Annotations = amqp.Annotations{"operation": operation, "resource": "/properties/reported"}
	m.Properties = &amqp.MessageProperties{CorrelationID: id}
	return m
}

// What is asked of a twin is answered, with an id of the type of the request's, a status that is an int, and JSON.
func TestTwin_answersThatItIsNotThere(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.createDevice("d1")
	f.module("d1", "m1", withModuleKey())
	p := f.owner(f.listen())
	for _, address := range []string{"/devices/d1/twin", "amqps://" + host + ":5671/devices/d1/modules/m1/twin/"} {
		q := p.twinPair(address, "twin:"+address)
		for _, id := range []any{"4c2d", amqp.UUID{4}, uint64(9)} {
			for _, operation := range []string{"GET", "PATCH", "PUT", "DELETE"} {
				got := q.call(twinRequest(operation, id))
				if got.Properties == nil || got.Properties.CorrelationID != id {
					t.Errorf("%s, id %v: %+v", operation, id, got.Properties)
				}
				if diff := cmp.Diff(amqp.Annotations{"status": int32(501)}, got.Annotations); diff != "" {
					t.Errorf("%s (-want +got):\n%s", operation, diff)
				}
				var e struct {
					ErrorCode    int
					Message      string
					TrackingID   string
					TimestampUTC time.Time
				}
				if err := json.Unmarshal(got.GetData(), &e); err != nil || len(got.Data) != 1 {
					t.Fatalf("%s: %q, %v", operation, got.Data, err)
				}
				if e.ErrorCode != 400003 || e.Message == "" || len(e.TrackingID) != 32 || e.TimestampUTC.IsZero() {
					t.Errorf("%s: %+v", operation, e)
				}
			}
		}
	}
	s := p.mustSend("/devices/d1/twin")
	request := twinRequest("GET", nil)
	request.Properties = &amqp.MessageProperties{MessageID: "only this"}
	q := p.twinPair("/devices/d1/twin", "")
	if got := q.call(request); got.Properties.CorrelationID != "only this" {
		t.Errorf("%+v", got.Properties)
	}
	wantCondition(t, "without an id", send(t, s, twinRequest("GET", nil)), "com.microsoft:argument-error")
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
