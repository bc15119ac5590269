package hub_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/c2d"
)

func TestC2D_lockEnds(t *testing.T) {
	inPlant(t, func(t *testing.T, p *plant) {
		b := p.receive(p.connect(p.device("d")), 9)
		p.send("d", "1")
		first := b.want("1")[0]
		time.Sleep(time.Minute - 1)
		b.want()
		time.Sleep(time.Nanosecond)
		second := b.want("1")[0]
		if !second.Redelivered || second.DeliveryCount != 0 || second.LockToken == first.LockToken || second.Sequence != 1 {
			t.Errorf("second delivery %+v", second)
		}
		wantCode(t, "the old lock", b.settle(first, hub.C2DComplete), hubward.CodeDeviceMessageLockLost)
		b.mustSettle(second, hub.C2DComplete)
		time.Sleep(time.Hour)
		b.want()
	})
}

func TestC2D_rejectAndAbandonUntilDead(t *testing.T) {
	inPlant(t, func(t *testing.T, p *plant) {
		b := p.receive(p.connect(p.device("d")), 100)
		p.send("d", "bad", "poison")
		in := b.want("bad", "poison")
		b.mustSettle(in[0], hub.C2DReject)
		next := in[1]
		for i := range 9 {
			b.mustSettle(next, hub.C2DAbandon)
			next = b.want("poison")[0]
			if next.DeliveryCount != i+1 || !next.Redelivered {
				t.Fatalf("after %d abandons: %+v", i+1, next)
			}
		}
		b.mustSettle(next, hub.C2DAbandon)
		b.want()
		p.wantPending("d", 0)
		p.wantFeedback(record{"bad", hubward.FeedbackRejected})
		time.Sleep(15 * time.Second)
		p.wantFeedback(record{"poison", hubward.FeedbackDeliveryCountExceeded})
		want := map[c2d.Counted]int{c2d.Sent: 2, c2d.Delivered: 11, c2d.Abandoned: 10, c2d.Exceeded: 1, c2d.Rejected: 1}
		if diff := cmp.Diff(want, p.seen.all()); diff != "" {
			t.Errorf("observed (-want +got):\n%s", diff)
		}
	})
}

// C2DReturn goes back without a count, however often.
func TestC2D_returnDoesNotCount(t *testing.T) {
	inPlant(t, func(t *testing.T, p *plant) {
		d := p.device("d")
		p.send("d", "1")
		for range 12 {
			link := p.connect(d)
			in := p.receive(link, 1).want("1")
			if in[0].DeliveryCount != 0 {
				t.Fatalf("delivery count %d", in[0].DeliveryCount)
			}
			link.Disconnect()
			synctest.Wait()
		}
		if d := p.poll("d"); d == nil || !d.Redelivered {
			t.Errorf("polled %+v", d)
		}
	})
}

func TestC2D_expiryBeforeDelivery(t *testing.T) {
	inPlant(t, func(t *testing.T, p *plant) {
		d := p.device("d")
		m := &hubward.Message{MessageID: "m", Ack: hubward.AckNegative, Expiry: time.Now().Add(5 * time.Second)}
		if err := p.SendC2D(t.Context(), "plant", "d", m); err != nil {
			t.Fatal(err)
		}
		p.send("d", "later")
		time.Sleep(5 * time.Second)
		synctest.Wait()
		p.wantPending("d", 1)
		p.wantFeedback(record{"m", hubward.FeedbackExpired})
		p.receive(p.connect(d), 9).want("later")
		time.Sleep(time.Hour)
		p.wantFeedback(record{"later", hubward.FeedbackExpired})
		p.wantPending("d", 0)
	})
}

// A message that expires while a device holds it is that device's until the lock ends.
func TestC2D_expiryWhileHeld(t *testing.T) {
	for _, inTime := range []bool{true, false} {
		inPlant(t, func(t *testing.T, p *plant) {
			b := p.receive(p.connect(p.device("d")), 9)
			m := &hubward.Message{MessageID: "m", Ack: hubward.AckFull, Expiry: time.Now().Add(5 * time.Second), Body: []byte("x")}
			if err := p.SendC2D(t.Context(), "plant", "d", m); err != nil {
				t.Fatal(err)
			}
			in := b.want("x")
			time.Sleep(time.Minute - 1)
			p.wantPending("d", 1)
			if inTime {
				b.mustSettle(in[0], hub.C2DComplete)
				p.wantFeedback(record{"m", hubward.FeedbackSuccess})
				return
			}
			time.Sleep(time.Nanosecond)
			b.want()
			wantCode(t, "settled late", b.settle(in[0], hub.C2DComplete), hubward.CodeDeviceMessageLockLost)
			p.wantFeedback(record{"m", hubward.FeedbackExpired})
		})
	}
}

func TestPurgeC2D(t *testing.T) {
	inPlant(t, func(t *testing.T, p *plant) {
		b := p.receive(p.connect(p.device("d")), 1)
		p.send("d", "1", "2", "3")
		in := b.want("1")
		n, err := p.PurgeC2D(t.Context(), "plant", "d")
		if n != 3 || err != nil {
			t.Errorf("%d purged, %v", n, err)
		}
		p.wantPending("d", 0)
		wantCode(t, "settled after a purge", b.settle(in[0], hub.C2DComplete), hubward.CodeDeviceMessageLockLost)
		p.wantFeedback(record{"1", hubward.FeedbackPurged}, record{"2", hubward.FeedbackPurged}, record{"3", hubward.FeedbackPurged})
		_, err = p.PurgeC2D(t.Context(), "plant", "D")
		wantCode(t, "an unknown device", err, hubward.CodeDeviceNotFound)
		b.Credit(1)
		p.send("d", "4")
		if got := b.want("4")[0].Sequence; got != 4 {
			t.Errorf("sequence number %d after a purge", got)
		}
	})
}

func TestTakeC2D(t *testing.T) {
	inPlant(t, func(t *testing.T, p *plant) {
		d := p.device("d")
		if got := p.poll("d"); got != nil {
			t.Fatalf("an empty queue gave %+v", got)
		}
		p.send("d", "1", "2")
		one, two := p.poll("d"), p.poll("d")
		if one.Sequence != 1 || two.Sequence != 2 || p.poll("d") != nil {
			t.Fatalf("polled %+v, %+v", one, two)
		}
		// Locks of polling devices hold until their time, whoever connects.
		b := p.receive(p.connect(d), 9)
		b.want()
		if err := p.SettleC2D(t.Context(), "plant", "d", two.LockToken, hub.C2DAbandon); err != nil {
			t.Fatal(err)
		}
		if in := b.want("2"); in[0].DeliveryCount != 1 {
			t.Errorf("delivery count %d", in[0].DeliveryCount)
		}
		if got := p.poll("d"); got != nil { // nor does a poll take what a connection holds
			t.Errorf("polled %+v", got)
		}
		time.Sleep(time.Minute)
		wantCode(t, "settled late", p.SettleC2D(t.Context(), "plant", "d", one.LockToken, hub.C2DComplete), hubward.CodeDeviceMessageLockLost)
		b.want("1", "2")
		for _, lock := range []time.Duration{time.Second, -1, time.Hour} {
			_, err := p.TakeC2D(t.Context(), "plant", "d", lock)
			wantCode(t, lock.String(), err, hubward.CodeArgumentInvalid)
		}
		_, err := p.TakeC2D(t.Context(), "plant", "D", 0)
		wantCode(t, "an unknown device", err, hubward.CodeDeviceNotFound)
		wantCode(t, "an unknown device", p.SettleC2D(t.Context(), "plant", "D", "t", hub.C2DComplete), hubward.CodeDeviceNotFound)
	})
}

func TestTakeC2D_ownLock(t *testing.T) {
	inPlant(t, func(t *testing.T, p *plant) {
		p.device("d")
		p.send("d", "1")
		d, err := p.TakeC2D(t.Context(), "plant", "d", 10*time.Second)
		if err != nil || !d.LockedUntil.Equal(time.Now().Add(10*time.Second)) {
			t.Fatalf("%+v, %v", d, err)
		}
		time.Sleep(10*time.Second - 1)
		if p.poll("d") != nil {
			t.Error("the lock ended early")
		}
		time.Sleep(time.Nanosecond)
		if p.poll("d") == nil {
			t.Error("the lock did not end")
		}
	})
}

// What a connection held that a restart has ended goes to the next connection at once, and to who polls. What a device that
// polls had locked stays locked.
func TestC2D_restart(t *testing.T) {
	inPlant(t, func(t *testing.T, p *plant) {
		d := p.device("d")
		p.send("d", "polled", "held", "waits")
		polled := p.poll("d")
		old := p.receive(p.connect(d), 1)
		held := old.want("held")
		m := &hubward.Message{MessageID: "short", Ack: hubward.AckFull, Expiry: time.Now().Add(30 * time.Second)}
		if err := p.SendC2D(t.Context(), "plant", "d", m); err != nil {
			t.Fatal(err)
		}
		p.restart()
		wantCode(t, "settled after Run ended", old.settle(held[0], hub.C2DComplete), hubward.CodeServiceUnavailable)
		if got := p.poll("d"); string(got.Message.Body) != "waits" || got.Redelivered {
			t.Errorf("polled %+v", got)
		}
		if err := p.SettleC2D(t.Context(), "plant", "d", polled.LockToken, hub.C2DComplete); err != nil {
			t.Errorf("the lock of a polling device: %v", err)
		}
		p.wantFeedback(record{"polled", hubward.FeedbackSuccess})
		time.Sleep(30 * time.Second)
		p.wantFeedback(record{"short", hubward.FeedbackExpired}) // nobody had to look
		b := p.receive(p.connect(d), 9)
		if in := b.want("held"); !in[0].Redelivered {
			t.Errorf("delivery %+v", in[0])
		}
		time.Sleep(30 * time.Second)
		b.want("waits")
	})
}

// A device that polls gets what its connection held when that is no more, and nothing of what a live one holds.
func TestC2D_pollsBesideAConnection(t *testing.T) {
	inPlant(t, func(t *testing.T, p *plant) {
		d := p.device("d")
		p.send("d", "held")
		p.receive(p.connect(d), 1).want("held")
		if got := p.poll("d"); got != nil {
			t.Errorf("polled %+v, which a connection holds", got)
		}
		p.restart()
		got := p.poll("d")
		if got == nil || string(got.Message.Body) != "held" || !got.Redelivered {
			t.Fatalf("polled %+v", got)
		}
		p.receive(p.connect(d), 9).want()
		if err := p.SettleC2D(t.Context(), "plant", "d", got.LockToken, hub.C2DComplete); err != nil {
			t.Error(err)
		}
	})
}
