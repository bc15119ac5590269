package amqpfront_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/Azure/go-amqp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpfront"
)

var twinOK = amqp.Annotations{"status": int32(200)}

// follow asks to be told of changes.
func (q *pair) follow() {
	q.t.Helper()
	q.want(q.call(twinRequest("PUT", "p")), "p", twinOK, "")
}

// An identity is told of the changes of its desired properties from its PUT to its DELETE, once for each; what C sends to
// unsubscribe is another PUT.
func TestDesired(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.createDevice("d1")
	f.module("d1", "m1", withModuleKey())
	p := f.owner(f.listen())
	for address, id := range map[string]hubward.Identity{"/devices/d1/twin": d1, "/devices/d1/modules/m1/twin": {Device: "d1", Module: "m1"}} {
		q := p.twinPair(address, "twin:a")
		f.update(id, `{"a":1}`)
		q.want(q.call(twinRequest("GET", "g")), "g", twinOK, `{"desired":{"a":1,"$version":2},"reported":{"$version":1}}`)
		f.update(id, `{"a":2}`)
		q.follow()
		q.wantPush(3, `{"a":2,"$version":3}`) // since its GET
		f.update(id, `{"b":{"c":null,"d":"é"}}`)
		f.update(id, `{"a":null}`)
		q.wantPush(4, `{"b":{"c":null,"d":"é"},"$version":4}`)
		q.wantPush(5, `{"a":null,"$version":5}`)
		put := twinRequest("PUT", "again")
		put.Annotations["resource"] = "/Notifications/Twin/Properties/Desired/"
		put.Annotations["version"] = nil
		q.want(q.call(put), "again", twinOK, "")
		f.update(id, `{"a":3}`)
		q.wantPush(6, `{"a":3,"$version":6}`)
		q.want(q.call(twinRequest("DELETE", "d")), "d", twinOK, "")
		f.update(id, `{"a":4}`)
		q.want(q.call(twinRequest("DELETE", "d")), "d", twinOK, "")
		q.want(q.call(twinRequest("GET", "g")), "g", twinOK, `{"desired":{"a":4,"b":{"d":"é"},"$version":7},"reported":{"$version":1}}`)
		wantSilence(t, address, q.receiver)
		q.follow()
		f.update(id, `{"a":5}`)
		q.wantPush(8, `{"a":5,"$version":8}`)
	}
}

// What Java does: the link for requests comes first, with a PUT that waits for its disposition; the link for notifications
// later. A notification is settled, has a tag of 16 bytes, and no properties.
func TestDesired_onTheWire(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.createDevice("d1")
	c := f.rawOwner(f.listen())
	c.attach(amqpwire.RoleSender, 1, "/devices/d1/twin")
	c.transfer(1, 0, &amqpwire.Message{
		Annotations: amqpwire.Map{
			{Key: amqpwire.Symbol("operation"), Value: "PUT"}, {Key: amqpwire.Symbol("resource"), Value: "/notifications/twin/properties/desired"},
		},
		Properties: &amqpwire.Properties{MessageID: amqpwire.UUID{1}, CorrelationID: amqpwire.UUID{2}},
	})
	c.wantAccepted(0)
	f.update(d1, `{"a":1}`)
	c.attach(amqpwire.RoleReceiver, 2, "/devices/d1/twin")
	f.update(d1, `{"a":2}`)
	c.credit(2, 0, 10)
	if _, m := c.message(); m.Properties.CorrelationID != (amqpwire.UUID{2}) {
		t.Errorf("%+v", m)
	}
	for version := int64(2); version < 4; version++ {
		tr, m := c.message()
		if !tr.Settled || len(tr.DeliveryTag) != 16 || m.Properties != nil || m.Annotations.Get("version") != version {
			t.Errorf("%+v %+v", tr, m)
		}
	}
}

// The end of either link of a pair ends its notifications; others go on.
func TestDesired_endWithTheirPair(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.createDevice("d1")
	p := f.owner(f.listen())
	const address = "/devices/d1/twin"
	a, b, c := p.twinPair(address, "twin:a"), p.twinPair(address, "twin:b"), p.twinPair(address, "twin:c")
	a.follow()
	b.follow()
	c.follow()
	f.update(d1, `{"a":1}`)
	for _, q := range []*pair{a, b, c} {
		q.wantPush(2, `{"a":1,"$version":2}`)
	}
	if err := a.sender.Close(p.context()); err != nil {
		t.Fatal(err)
	}
	if err := b.receiver.Close(p.context()); err != nil {
		t.Fatal(err)
	}
	other := p.mustRead(address, "", amqp.ReceiverOptions{Properties: map[string]any{channelKey: "twin:b"}})
	f.update(d1, `{"a":2}`)
	c.wantPush(3, `{"a":2,"$version":3}`)
	wantSilence(t, "b", other)
	c.want(c.call(twinRequest("DELETE", "d")), "d", twinOK, "")
	f.update(d1, `{"a":3}`)
	wantSilence(t, "a", a.receiver)
	wantSilence(t, "c", c.receiver)
	again := p.twinPair(address, "twin:a")
	again.want(again.call(twinRequest("GET", "g")), "g", twinOK, `{"desired":{"a":3,"$version":4},"reported":{"$version":1}}`)
	again.follow()
	f.update(d1, `{"a":4}`)
	again.wantPush(5, `{"a":4,"$version":5}`)
}

// A pair that owes credit for a change when it ends does not keep the others from the next.
func TestDesired_pairsWithoutCredit(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.createDevice("d1")
	p := f.owner(f.listen())
	const address = "/devices/d1/twin"
	q := p.twinPair(address, "twin:a")
	channel := map[string]any{channelKey: "twin:b"}
	s, err := p.session.NewSender(p.context(), address, &amqp.SenderOptions{Properties: channel})
	if err != nil {
		t.Fatal(err)
	}
	poor := &pair{t, s, p.mustRead(address, "", amqp.ReceiverOptions{Properties: channel, Credit: -1})}
	if err := poor.receiver.IssueCredit(1); err != nil {
		t.Fatal(err)
	}
	poor.follow()
	q.follow()
	f.update(d1, `{"a":1}`)
	f.update(d1, `{"a":2}`)
	q.wantPush(2, `{"a":1,"$version":2}`)
	wantSilence(t, "the next, before all have the first", q.receiver)
	if err := poor.receiver.Close(p.context()); err != nil {
		t.Fatal(err)
	}
	q.wantPush(3, `{"a":2,"$version":3}`)
}

// While a client has no credit, changes wait in the store, however many: it ends with the document as it is.
func TestDesired_waitForCredit(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.createDevice("d1")
	c := f.rawOwner(f.listen())
	c.attach(amqpwire.RoleReceiver, 1, "/devices/d1/twin")
	c.attach(amqpwire.RoleSender, 2, "/devices/d1/twin")
	c.credit(1, 0, 1)
	c.transfer(2, 0, &amqpwire.Message{
		Annotations: amqpwire.Map{
			{Key: amqpwire.Symbol("operation"), Value: "PUT"}, {Key: amqpwire.Symbol("resource"), Value: "/notifications/twin/properties/desired"},
		},
		Properties: &amqpwire.Properties{CorrelationID: "p"},
	})
	c.wantAccepted(0)
	c.message()
	const changes = 2000 // more than may wait on the link
	for i := range changes {
		f.update(d1, fmt.Sprintf(`{"k%d":%d}`, i%7, i))
	}
	var sent uint32 = 1
	mirror := map[string]json.Number{}
	for version := int64(1); version < changes+1; {
		c.credit(1, sent, 1)
		_, m := c.message()
		sent++
		if got, _ := m.Annotations.Get("version").(int64); got <= version {
			t.Fatalf("version %d behind %d", got, version)
		} else {
			version = got
		}
		if err := json.Unmarshal(m.Data[0], &mirror); err != nil {
			t.Fatal(err)
		}
	}
	for i := changes - 7; i < changes; i++ {
		if got := mirror[fmt.Sprint("k", i%7)]; got != json.Number(fmt.Sprint(i)) {
			t.Errorf("k%d is %s, want %d", i%7, got, i)
		}
	}
	if sent > 30 {
		t.Errorf("%d messages", sent)
	}
}

// A PUT that fails is told so, and is none.
func TestDesired_failure(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.createDevice("d1")
	q := f.owner(f.listen()).twinPair("/devices/d1/twin", "twin:a")
	f.queues.broken.Store(true)
	q.wantFailure("a store that fails", q.call(twinRequest("PUT", "p")), "p", 500001)
	f.queues.broken.Store(false)
	f.update(d1, `{"a":1}`)
	q.want(q.call(twinRequest("GET", "g")), "g", twinOK, `{"desired":{"a":1,"$version":2},"reported":{"$version":1}}`)
	wantSilence(t, "afterwards", q.receiver)
	q.follow()
	f.update(d1, `{"a":2}`)
	q.wantPush(3, `{"a":2,"$version":3}`)
}

// Two devices of one connection, each with links in a session of its own, are told of their own changes.
func TestDesired_ofTwoDevices(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	p := f.owner(f.listen())
	pairs := map[string]*pair{}
	for _, id := range []string{"d1", "d2"} {
		f.createDevice(id)
		session, err := p.conn.NewSession(p.context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		own := &peer{t, p.conn, session}
		pairs[id] = own.twinPair("/devices/"+id+"/twin", "")
		pairs[id].follow()
	}
	f.update(d1, `{"of":"d1"}`)
	f.update(hubward.Identity{Device: "d2"}, `{"of":"d2"}`)
	for id, q := range pairs {
		q.wantPush(2, `{"of":"`+id+`","$version":2}`)
	}
	if err := f.DeleteDevice(t.Context(), f.process, "d1", "*"); err != nil {
		t.Fatal(err)
	}
	wantDetached(t, pairs["d1"].receiver, "amqp:not-found")
	f.update(hubward.Identity{Device: "d2"}, `{"of":"d2 again"}`)
	pairs["d2"].wantPush(3, `{"of":"d2 again","$version":3}`)
}

// A device that is connected anew, over whatever, is told there.
func TestDesired_ofTheNewestConnection(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	address := f.listen()
	f.createDevice("d1")
	older := f.owner(address).twinPair("/devices/d1/twin", "")
	older.follow()
	newer := f.owner(address).twinPair("/devices/d1/twin", "")
	wantDetached(t, older.receiver, "amqp:link:stolen")
	f.update(d1, `{"a":1}`)
	newer.follow()
	f.update(d1, `{"a":2}`)
	newer.wantPush(3, `{"a":2,"$version":3}`)
}
