package amqpengine

import (
	"time"

	"github.com/hubward/hubward/internal/amqpwire"
)

func (c *Conn) onFlow(channel uint16, r *amqpwire.Reader) error {
	f := &c.incoming.flow
	if err := f.Decode(r); err != nil {
		return decodeError("flow", err)
	}
	c.mu.Lock()
	s, err := c.sessionLocked(channel)
	if s == nil {
		c.mu.Unlock()
		return err
	}
	var l *Link
	var onCredit func(limit uint32)
	limit := uint32(0)
	if f.Handle.Set {
		l = s.linkLocked(f.Handle.Value)
	}
	s.noteWindowLocked(f, l)
	switch {
	case s.over:
	case !f.Handle.Set && f.Echo:
		s.sendFlowLocked()
	case l == nil:
	case l.send != nil:
		l.send.onFlowLocked(f)
		onCredit, limit = l.send.o.OnCredit, l.send.limitLocked()
	case l.recv != nil:
		l.recv.onFlowLocked(f)
	}
	if s.window > 0 {
		s.openedLocked()
	}
	c.answerLocked()
	c.mu.Unlock()
	if onCredit != nil {
		onCredit(limit)
	}
	return nil
}

// limitLocked is what OnCredit is told.
func (s *Sender) limitLocked() uint32 { return s.deliveryCount - s.drained + s.credit }

// noteWindowLocked takes the windows of a flow. What the peer has received is what it says, or more if its count of the
// link's deliveries proves that: amqp10 for Node counts deliveries where frames are meant.
//
// Source: noodlefrenzy/node-amqp10 lib/session.js.
func (s *session) noteWindowLocked(f *amqpwire.Flow, l *Link) {
	s.nextIncoming = f.NextOutgoingID
	received := uint32(firstTransferID)
	if f.NextIncomingID.Set {
		received = f.NextIncomingID.Value
	}
	if l != nil && l.send != nil && f.DeliveryCount.Set && f.DeliveryCount.Value == l.send.deliveryCount && !l.send.midway {
		if proven := l.send.sentUpTo; int32(proven-received) > 0 {
			received = proven
		}
	}
	s.peerWindow = f.IncomingWindow
	s.window = int64(min(int32(received-s.nextOutgoing), 0)) + int64(f.IncomingWindow)
}

// openedLocked lets the senders go on that wait for the session.
func (s *session) openedLocked() {
	s.stalledSince = 0
	waiting := s.waiting
	s.waiting = nil
	for _, w := range waiting {
		w.inSession = false
		w.resumeLocked()
	}
}

// stalledLocked notes that a sender waits for the window.
func (s *session) stalledLocked() {
	if s.stalledSince != 0 || s.peerWindow == 0 {
		return
	}
	s.stalledSince = s.conn.srv.coarse.Load()
	if s.conn.stalledSince.Load() == 0 {
		s.conn.stalledSince.Store(s.stalledSince)
	}
}

// countIncomingLocked counts a frame of a delivery, and opens our window again at half.
func (s *session) countIncomingLocked() {
	s.nextIncoming++
	if s.incoming--; s.incoming <= incomingWindow/2 {
		s.sendFlowLocked()
	}
}

// flowLocked returns a flow with the fields of the session set.
func (s *session) flowLocked() *amqpwire.Flow {
	s.incoming = incomingWindow
	f := &s.conn.scratch.flow
	*f = amqpwire.Flow{
		NextIncomingID: amqpwire.Some(s.nextIncoming), IncomingWindow: incomingWindow,
		NextOutgoingID: s.nextOutgoing, OutgoingWindow: s.outgoing,
	}
	return f
}

func (s *session) sendFlowLocked() { s.conn.append(s.channel, s.flowLocked()) }

// onFlowLocked takes the credit that the peer gives, and answers an echo and a drain.
func (s *Sender) onFlowLocked(f *amqpwire.Flow) {
	if f.LinkCredit.Set {
		seen := uint32(0) // the peer has not seen our attach
		if f.DeliveryCount.Set {
			seen = f.DeliveryCount.Value
		}
		limit := int64(int32(seen-s.deliveryCount)) + int64(f.LinkCredit.Value)
		s.credit = uint32(min(max(limit, 0), 1<<31-1))
		s.drain = f.Drain
	}
	s.resumeLocked()
	switch {
	case s.drain && !s.sending && len(s.posted) == 0:
		s.drainSoonLocked(s.asking)
	case f.Echo:
		s.sendFlowLocked(false)
	}
}

// drainGrace is how long a program that has waited for credit may look for messages before a draining peer is told that
// there are none, or no more.
const drainGrace = 20 * time.Millisecond

// drainSoonLocked tells a draining peer that there is nothing for it: at once if its credit is used up or the program
// is not looking, which it is when it has asked for credit a moment ago.
func (s *Sender) drainSoonLocked(looking bool) {
	switch {
	case s.credit == 0 || !looking:
		s.drainedLocked()
	case s.grace == nil:
		s.grace = time.AfterFunc(drainGrace, s.endGrace)
	default:
		s.grace.Reset(drainGrace)
	}
}

// endGrace is called when the program has sent nothing for drainGrace. What it is sending now sees to the drain itself.
func (s *Sender) endGrace() {
	c := s.link.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.drain && !s.sending && len(s.posted) == 0 && !s.link.overLocked() {
		s.drainedLocked()
		c.startFlushLocked()
	}
}

// drainedLocked tells the peer that there is nothing more for its credit, which is used up by that.
func (s *Sender) drainedLocked() {
	s.drain = false
	s.deliveryCount += s.credit
	s.drained += s.credit
	s.credit = 0
	s.sendFlowLocked(true)
}

func (s *Sender) sendFlowLocked(drain bool) {
	l := s.link
	if l.overLocked() {
		return
	}
	f := l.sess.flowLocked()
	f.Handle = amqpwire.Some(l.attach.Handle)
	f.DeliveryCount = amqpwire.Some(s.deliveryCount)
	f.LinkCredit = amqpwire.Some(s.credit)
	f.Available = amqpwire.Some(uint32(len(s.posted)))
	f.Drain = drain
	l.conn.append(l.sess.channel, f)
}

// onFlowLocked takes the state of a sending peer. Credit in it, which pyamqp sends, is ignored: it is ours to give.
//
// Source: AMQP 1.0 part 2 §2.6.7.
func (rc *receiver) onFlowLocked(f *amqpwire.Flow) {
	if f.DeliveryCount.Set && f.DeliveryCount.Value != rc.deliveryCount {
		left := int64(int32(rc.deliveryCount-f.DeliveryCount.Value)) + int64(rc.credit)
		rc.deliveryCount = f.DeliveryCount.Value
		rc.credit = uint32(min(max(left, 0), int64(rc.o.Credit)))
	}
	if !rc.topUpLocked() && f.Echo {
		rc.sendFlowLocked()
	}
}

// topUpLocked gives the peer credit again, in portions worth a frame, and reports whether it did.
func (rc *receiver) topUpLocked() bool {
	allowed := rc.o.Credit - min(rc.inFlight, rc.o.Credit)
	if allowed <= rc.credit {
		return false
	}
	gain := allowed - rc.credit
	switch {
	case rc.credit == 0:
	case gain >= (rc.o.Credit+1)/2:
	case rc.credit <= rc.o.Credit/4 && gain >= max(rc.o.Credit/8, 1):
	default:
		return false
	}
	rc.credit = allowed
	rc.sendFlowLocked()
	return true
}

func (rc *receiver) sendFlowLocked() {
	l := rc.link
	if l.overLocked() {
		return
	}
	f := l.sess.flowLocked()
	f.Handle = amqpwire.Some(l.attach.Handle)
	f.DeliveryCount = amqpwire.Some(rc.deliveryCount)
	f.LinkCredit = amqpwire.Some(rc.credit)
	l.conn.append(l.sess.channel, f)
}
