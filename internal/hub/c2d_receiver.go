package hub

import (
	"strconv"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/c2dqueue"
)

// maxC2DTasks bounds what a receiver has settled and the hub has not seen to yet. A queue is not as deep.
const maxC2DTasks = 1000

// C2DReceiver is a connected device's interest in its messages. It is safe for concurrent use.
type C2DReceiver struct {
	// Set by ReceiveC2D, never changed after.
	link    *Link
	holder  string // of its locks
	deliver func(*C2DDelivery)

	// Guarded by c2dPumps.mu.
	pump   *c2dPump // nil: the link was not the live one, nothing will come
	credit int
}

// c2dTask is one thing to do in a queue before its messages are looked at.
type c2dTask struct {
	token   string // whose lock to end; empty: those of holder
	outcome C2DOutcome
	holder  string
	done    func(error) // may be nil
}

// ReceiveC2D hands the device's messages to deliver, in order of their sequence numbers: at most credit of them at first,
// and as many more as Credit grants. Messages that an earlier connection of the device held come first, at once. deliver
// is called by one of the hub's goroutines, one call at a time for a receiver; it must not block, and may call Settle and
// Credit. A second receiver of a link replaces the first. The link's end ends it: what is not settled then goes back
// without a count.
//
// The hub's Run does the work: before it runs, and after, nothing comes.
func (l *Link) ReceiveC2D(credit int, deliver func(*C2DDelivery)) *C2DReceiver {
	c := l.hub.c2d
	c.mu.Lock()
	defer c.mu.Unlock()
	c.receivers++
	r := &C2DReceiver{
		link: l, deliver: deliver, credit: max(credit, 0),
		holder: c.epoch + "/" + strconv.FormatUint(c.receivers, 10),
	}
	// A link that was taken over meanwhile must not take the messages back.
	if l.Principal.Device.Module != "" || l.hub.sessions.live(l.key()) != l {
		return r
	}
	p := c.pumpLocked(queueKey{l.state.name, l.Principal.Device.Device})
	p.receiver, p.more = r, true
	r.pump = p
	c.kickLocked(p)
	return r
}

// Credit lets n more messages come. Settling a message does not.
func (r *C2DReceiver) Credit(n int) { r.change(func() { r.credit += max(n, 0) }) }

// SetCredit replaces the credit, e.g. because the peer drains its link. A message whose delivery was under way may still
// come after it has returned.
func (r *C2DReceiver) SetCredit(n int) { r.change(func() { r.credit = max(n, 0) }) }

func (r *C2DReceiver) change(change func()) {
	c := r.link.hub.c2d
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
	if r.pump != nil {
		c.kickLocked(r.pump)
	}
}

// Settle ends the lock of a delivery of this receiver. done is called once, by one of the hub's goroutines, when the
// outcome is durable or has failed; it must not block, and may be nil. What can be refused at once, such as any settling
// after the hub's Run has ended, is refused before Settle returns. Errors: as Hub.SettleC2D; CodeServiceUnavailable when the hub's Run has ended.
func (r *C2DReceiver) Settle(lockToken string, outcome C2DOutcome, done func(error)) {
	err := r.settle(c2dTask{token: lockToken, outcome: outcome, done: done})
	if err != nil && done != nil {
		done(err)
	}
}

func (r *C2DReceiver) settle(t c2dTask) error {
	h := r.link.hub
	r.link.active.Store(h.now().UnixMilli())
	c := h.c2d
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case r.pump == nil || t.token == "":
		return hubward.Errorf(hubward.CodeDeviceMessageLockLost, "the message was not delivered to this connection")
	case c.closed:
		return hubward.Errorf(hubward.CodeServiceUnavailable, "the hub is shutting down")
	case len(r.pump.tasks) >= maxC2DTasks:
		return hubward.Errorf(hubward.CodeThrottled, "more than %d messages are being settled", maxC2DTasks)
	}
	// A pump without receiver and work is forgotten; a device that settles late has one again.
	p := c.pumpLocked(r.pump.key)
	r.pump = p
	p.tasks = append(p.tasks, t)
	c.kickLocked(p)
	return nil
}

// Stop ends the receiver: what it holds goes back without a count. A message whose delivery was under way may still come
// after it has returned.
func (r *C2DReceiver) Stop() {
	c := r.link.hub.c2d
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.pump != nil {
		c.stopLocked(r.pump, r)
	}
}

// stopC2D ends the link's receiver.
func (l *Link) stopC2D() {
	c := l.hub.c2d
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.pumps[queueKey{l.state.name, l.Principal.Device.Device}]
	if p != nil && p.receiver != nil && p.receiver.link == l {
		c.stopLocked(p, p.receiver)
	}
}

// stopLocked takes r out of its pump, unless a newer one has taken its place: that one has its messages already.
func (c *c2dPumps) stopLocked(p *c2dPump, r *C2DReceiver) {
	if p.receiver != r {
		return
	}
	p.receiver = nil
	r.credit = 0
	p.tasks = append(p.tasks, c2dTask{holder: r.holder})
	c.kickLocked(p)
}

// run does a task. It is a part of a queue's rule.
func (t *c2dTask) run(q *c2dqueue.Queue, s *c2dShot) error {
	if t.token == "" {
		q.Return(t.holder)
		return nil
	}
	return q.Settle(t.token, t.outcome, s.now, s.maxDeliveries)
}
