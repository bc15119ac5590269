package hub_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// unruly is a device that connects, disconnects and settles at random.
type unruly struct {
	p      *plant
	d      *hubward.Device
	random *rand.Rand

	link connection

	mu      sync.Mutex
	arrived []*hub.C2DDelivery
	ends    map[string]hubward.FeedbackStatus // what became of messages, as the device was told
}

func (u *unruly) connect() {
	if u.link.Link != nil && u.random.IntN(2) == 0 {
		u.link.Disconnect() // otherwise the new link takes over
	}
	u.link = u.p.connect(u.d)
	var last int64
	u.link.receive(1+u.random.IntN(20), func(d *hub.C2DDelivery) {
		u.mu.Lock()
		defer u.mu.Unlock()
		if d.Sequence <= last && !d.Redelivered {
			u.p.t.Errorf("%s: message %d after %d", u.d.DeviceID, d.Sequence, last)
		}
		last = max(last, d.Sequence)
		if _, done := u.ends[d.Message.MessageID]; done {
			u.p.t.Errorf("%s came after it was settled", d.Message.MessageID)
		}
		u.arrived = append(u.arrived, d)
	})
}

// step does one thing.
func (u *unruly) step() {
	u.mu.Lock()
	arrived := u.arrived
	u.arrived = nil
	u.mu.Unlock()
	for _, d := range arrived {
		outcome := []hub.C2DOutcome{hub.C2DComplete, hub.C2DComplete, hub.C2DReject, hub.C2DAbandon, hub.C2DReturn}[u.random.IntN(5)]
		if u.random.IntN(10) == 0 {
			continue // it is forgotten, until its lock ends or the connection does
		}
		d.Receiver.Settle(d.LockToken, outcome, func(err error) { u.settled(d, outcome, err) })
		u.link.receiver.Credit(1)
	}
	switch u.random.IntN(8) {
	case 0:
		u.connect()
	case 1:
		u.link.receiver.SetCredit(u.random.IntN(10))
	case 2:
		u.poll()
	case 3:
		time.Sleep(time.Duration(u.random.IntN(70)) * time.Second)
	default:
		time.Sleep(time.Millisecond)
	}
}

func (u *unruly) poll() {
	d := u.p.poll(u.d.DeviceID)
	if d == nil || u.random.IntN(3) == 0 {
		return
	}
	u.settled(d, hub.C2DComplete, u.p.SettleC2D(u.p.t.Context(), "plant", u.d.DeviceID, d.LockToken, hub.C2DComplete))
}

func (u *unruly) settled(d *hub.C2DDelivery, outcome hub.C2DOutcome, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if err != nil {
		if hubward.CodeOf(err) != hubward.CodeDeviceMessageLockLost {
			u.p.t.Errorf("settle: %v", err)
		}
		return
	}
	switch {
	case outcome == hub.C2DComplete:
		u.ends[d.Message.MessageID] = hubward.FeedbackSuccess
	case outcome == hub.C2DReject:
		u.ends[d.Message.MessageID] = hubward.FeedbackRejected
	case outcome == hub.C2DAbandon && d.DeliveryCount == 2:
		u.ends[d.Message.MessageID] = hubward.FeedbackDeliveryCountExceeded
	}
}

// A thousand messages to twenty devices that behave at random: each has exactly one end, the one that its device was told
// of, and one record of feedback says so.
func TestC2D_everyMessageEndsOnce(t *testing.T) {
	const devices, messages = 20, 1000
	inPlant(t, func(t *testing.T, p *plant) {
		change := hub.HubChange{C2D: hub.C2DSettings{MaxDeliveryCount: 3, DefaultTTL: 24 * time.Hour, FeedbackTTL: 48 * time.Hour}}
		if _, err := p.UpdateHub(t.Context(), "plant", change); err != nil {
			t.Fatal(err)
		}
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		all := make([]*unruly, devices)
		for i := range all {
			all[i] = &unruly{
				p: p, d: p.device(fmt.Sprint("d", i)), random: rand.New(rand.NewPCG(seed, uint64(i))),
				ends: make(map[string]hubward.FeedbackStatus),
			}
			all[i].connect()
		}
		var wg sync.WaitGroup
		for _, u := range all {
			wg.Go(func() {
				for i := range messages / devices {
					p.send(u.d.DeviceID, fmt.Sprintf("%s/%d", u.d.DeviceID, i))
					if i%5 == 0 {
						time.Sleep(time.Second)
					}
				}
			})
			wg.Go(func() {
				for range 100_000 {
					if u.step(); u.count() == messages/devices {
						return
					}
				}
			})
		}
		wg.Wait()
		want := make(map[string]hubward.FeedbackStatus)
		for _, u := range all {
			if u.count() != messages/devices {
				t.Errorf("%s: %d messages have ended", u.d.DeviceID, u.count())
			}
			p.wantPending(u.d.DeviceID, 0)
			for id, status := range u.ends {
				want[id] = status
			}
		}
		p.wantEnds(want)
	})
}

func (u *unruly) count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.ends)
}

// wantEnds reads all feedback and compares it.
func (p *plant) wantEnds(want map[string]hubward.FeedbackStatus) {
	p.t.Helper()
	time.Sleep(15 * time.Second)
	got := make(map[string]hubward.FeedbackStatus)
	for {
		synctest.Wait()
		b, err := p.TakeFeedback(p.t.Context(), "plant")
		if err != nil {
			p.t.Fatal(err)
		}
		if b == nil {
			break
		}
		for _, r := range recordsOf(p.t, b) {
			if _, twice := got[r.message]; twice {
				p.t.Errorf("%s has two records", r.message)
			}
			got[r.message] = r.status
		}
	}
	if len(got) != len(want) {
		p.t.Errorf("%d records, want %d", len(got), len(want))
	}
	for id, status := range want {
		if got[id] != status {
			p.t.Errorf("%s: feedback %q, the device was told %s", id, got[id], status)
		}
	}
}
