package amqpengine

import (
	"slices"

	"github.com/hubward/hubward/internal/amqpwire"
)

// Delivery is one message of a peer.
type Delivery struct {
	Payload []byte // the encoded message; valid until Deliver returns
	Tag     []byte // valid until Deliver returns; may be empty
	Format  uint32 // amqpwire.BatchFormat or 0
	// Truncated says that Payload is not all of it: see ReceiverOptions.Truncate.
	Truncated bool

	link    *Link
	id      uint32
	settled bool // by the peer
	done    bool // by the program; the connection's mutex guards it
}

// Settle tells the peer the delivery's outcome, if it wants one, and gives its credit back. State must not be nil. It may
// be called from any goroutine; calls after the first, and after the link has ended, do nothing. Dispositions of
// consecutive deliveries with the same state share a frame where they leave together.
func (d *Delivery) Settle(state amqpwire.DeliveryState) {
	d.link.SettleAll(state, d)
}

// SettleAll settles deliveries of the link that have one outcome, as Delivery.Settle does each.
func (l *Link) SettleAll(state amqpwire.DeliveryState, deliveries ...*Delivery) {
	c, rc := l.conn, l.recv
	c.mu.Lock()
	defer c.mu.Unlock()
	over := l.overLocked()
	for _, d := range deliveries {
		if d.done {
			continue
		}
		d.done = true
		rc.inFlight--
		c.inFlight--
		if !over && !d.settled {
			l.sess.disposeLocked(d.id, state)
		}
	}
	if !over {
		rc.topUpLocked()
		c.answerLocked()
	}
	if rc.overrun.Load() && rc.inFlight <= rc.mostInFlight() {
		c.changed.Broadcast()
	}
	c.closeIfDrainedLocked()
}

// dispositions are consecutive deliveries with one state that is not in the outbox yet: more may join them.
type dispositions struct {
	on          *session // nil: there are none
	first, last uint32
	state       amqpwire.DeliveryState
}

func (s *session) disposeLocked(id uint32, state amqpwire.DeliveryState) {
	p := &s.conn.pending
	if p.on == s && id == p.last+1 && sameState(p.state, state) {
		p.last = id
		return
	}
	if p.on != nil {
		s.conn.writePendingLocked()
	}
	*p = dispositions{s, id, id, state}
}

// sameState reports whether two states are equal: of those without fields.
func sameState(a, b amqpwire.DeliveryState) bool {
	switch a.(type) {
	case *amqpwire.Accepted:
		_, ok := b.(*amqpwire.Accepted)
		return ok
	case *amqpwire.Released:
		_, ok := b.(*amqpwire.Released)
		return ok
	}
	return false
}

func (c *Conn) writePendingLocked() {
	p := c.pending
	c.pending = dispositions{}
	if !p.on.over {
		p.on.sendDispositionLocked(amqpwire.RoleReceiver, p.first, p.last, p.state)
	}
}

func (s *session) sendDispositionLocked(role amqpwire.Role, first, last uint32, state amqpwire.DeliveryState) {
	d := &s.conn.scratch.disposition
	*d = amqpwire.Disposition{Role: role, First: first, Last: amqpwire.Some(last), Settled: true, State: state}
	s.conn.append(s.channel, d)
	d.State = nil
}

// unsettled is a delivery of ours that the peer has not settled.
type unsettled struct {
	id        uint32 // once it is settled
	sender    *Sender
	onSettle  func(amqpwire.DeliveryState)
	onOutcome func(amqpwire.DeliveryState, Answer)
}

func (u *unsettled) tell(state amqpwire.DeliveryState, a Answer) {
	switch {
	case u.onOutcome != nil:
		u.onOutcome(state, a)
	case u.onSettle != nil:
		u.onSettle(state)
	}
}

// Answer is how a peer is told that its outcome of a delivery counts. The zero Answer is for one that does not ask.
type Answer struct {
	link *Link
	id   uint32
}

// Settle tells the peer: the state is the one that it gave, or a rejection that says why it does not count.
func (a Answer) Settle(state amqpwire.DeliveryState) {
	if a.link == nil {
		return
	}
	c := a.link.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := a.link.sess; !s.over && c.sessions[s.channel] == s {
		s.sendDispositionLocked(amqpwire.RoleSender, a.id, a.id, state)
		c.answerLocked()
	}
}

func (c *Conn) onDisposition(channel uint16, r *amqpwire.Reader) error {
	d := &c.incoming.disposition
	if err := d.Decode(r); err != nil {
		return decodeError("disposition", err)
	}
	if d.Role == amqpwire.RoleSender {
		return nil // of its own deliveries, which we settle first
	}
	c.mu.Lock()
	s, err := c.sessionLocked(channel)
	if s == nil {
		c.mu.Unlock()
		return err
	}
	settled, state := s.settleLocked(d)
	c.answerLocked()
	c.mu.Unlock()
	waits := !d.Settled
	for i := range settled {
		u := &settled[i]
		var a Answer
		if waits && u.onOutcome != nil {
			a = Answer{u.sender.link, u.id}
		}
		u.tell(state, a)
	}
	return nil
}

// settleLocked takes the peer's outcome of our deliveries, and returns those that are settled by it. A peer that waits
// for us to settle (its mode is second) is answered with the same state.
//
// Source: AMQP 1.0 part 2 §2.6.12; Azure/azure-amqp Microsoft.Azure.Amqp/Amqp/ReceivingAmqpLink.cs, which waits so.
func (s *session) settleLocked(d *amqpwire.Disposition) ([]unsettled, amqpwire.DeliveryState) {
	last := d.First
	if d.Last.Set {
		last = d.Last.Value
	}
	state := d.State
	if state == nil && d.Settled {
		state = &amqpwire.Accepted{}
	}
	if int32(last-d.First) < 0 || !d.Settled && !isOutcome(state) {
		return nil, nil
	}
	ids := s.knownLocked(d.First, last)
	if len(ids) == 0 {
		if !d.Settled && !s.sentSettled && int32(last-s.nextDelivery) < 0 {
			lost := &amqpwire.Rejected{Error: &amqpwire.Error{Condition: amqpwire.NotFound, Description: "the delivery is not known any more"}}
			s.sendDispositionLocked(amqpwire.RoleSender, d.First, last, lost)
		}
		return nil, nil
	}
	settled := make([]unsettled, 0, len(ids))
	ours := ids[:0] // the answers that are not the program's
	for _, id := range ids {
		u := s.unsettled[id]
		u.id = id
		settled = append(settled, u)
		delete(s.unsettled, id)
		if u.onOutcome == nil {
			ours = append(ours, id)
		}
	}
	if !d.Settled {
		s.answerOutcomesLocked(ours, state)
	}
	s.openedLocked()
	return settled, state
}

// answerOutcomesLocked settles deliveries of ours, in as few frames as may be.
func (s *session) answerOutcomesLocked(ids []uint32, state amqpwire.DeliveryState) {
	for i, first := 0, 0; i < len(ids); i++ {
		if i+1 < len(ids) && ids[i+1] == ids[i]+1 {
			continue
		}
		s.sendDispositionLocked(amqpwire.RoleSender, ids[first], ids[i], state)
		first = i + 1
	}
}

// knownLocked returns the unsettled deliveries among first to last, in order. It walks the shorter of both.
func (s *session) knownLocked(first, last uint32) []uint32 {
	var ids []uint32
	if span := uint64(last-first) + 1; span <= uint64(len(s.unsettled)) {
		for id := first; id != last+1; id++ {
			if _, ok := s.unsettled[id]; ok {
				ids = append(ids, id)
			}
		}
		return ids
	}
	for id := range s.unsettled {
		if id-first <= last-first {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b uint32) int { return int(int32(a - b)) })
	return ids
}

// isOutcome reports whether a state ends a delivery.
func isOutcome(state amqpwire.DeliveryState) bool {
	switch state.(type) {
	case *amqpwire.Accepted, *amqpwire.Rejected, *amqpwire.Released, *amqpwire.Modified:
		return true
	}
	return false
}
