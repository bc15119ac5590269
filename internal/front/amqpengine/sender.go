package amqpengine

import (
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"time"

	"github.com/hubward/hubward/internal/amqpwire"
)

// SenderOptions say how a link sends.
type SenderOptions struct {
	// Run, if given, is started on a goroutine of its own once the attach is answered. ctx is the link's: it ends with the
	// link, the connection or the server, and Run must return then. What it returns detaches the link if it still is
	// attached.
	Run    func(ctx context.Context, s *Sender) *amqpwire.Error
	Closed func() // called once when the link has ended and Run has returned; may be nil
	// OnCredit is called by the reader when the peer has said how much it takes. limit is how many messages it has room for
	// in all, counted from the link's beginning, those that were sent included; it grows modulo 2^32, and gets smaller when the
	// peer takes credit back or has it used up. May be nil.
	OnCredit  func(limit uint32)
	MaxPosted int // messages that Post may have waiting; default 64
	// MaxPostedBytes is how many bytes of messages Post may have waiting, beside one message of any size; 0: not bounded.
	MaxPostedBytes int
	// MaxMessageSize is that of the largest message that is sent, in bytes; default 1 MiB. The peer is told it, or its own
	// bound if that is less.
	MaxMessageSize uint64
	Capabilities   []amqpwire.Symbol // offered
}

const defaultMaxPosted = 64

// Outgoing is one message to send.
type Outgoing struct {
	Payload []byte // the encoded message; copied before Send or Post returns
	Format  uint32
	// Settled leaves settled, if the link's mode does not forbid that: a peer that asked for mode "unsettled" and rcv
	// "second" gets it unsettled, and is answered. A message that is not Settled leaves settled on a link whose peer asked
	// for mode "settled", and counts as accepted.
	Settled  bool
	Tag      []byte                             // up to 32 bytes; nil: the engine makes 16 that are unique on the link
	OnSettle func(state amqpwire.DeliveryState) // of an unsettled one: called once, by the reader (by Post itself after the end), with the peer's outcome; nil when the link ended without one. May be nil
	// OnOutcome is called instead of OnSettle where it is given: for a program that has something to do before the peer may
	// know that its outcome counts. A peer that waits for that (its mode is second) is told by answer.Settle, once, from any
	// goroutine.
	OnOutcome func(state amqpwire.DeliveryState, answer Answer)
}

// Sender sends on one link. Wait and Send are for one goroutine at a time, that of Run if there is one; Post may be
// called from any.
type Sender struct {
	// Set before the sender is used, never changed after.
	link *Link
	o    SenderOptions
	wake chan struct{} // holds one when what a waiting Send or Wait waits for may have come

	// The connection's mutex guards the fields below.
	deliveryCount uint32
	drained       uint32 // how much of deliveryCount is credit that was used up by a drain
	credit        uint32
	drain         bool        // the peer wants its credit used up
	midway        bool        // a delivery has begun and is not complete
	sending       bool        // Send has messages that wait
	asking        bool        // Wait waits
	grace         *time.Timer // see drainSoonLocked; nil before the first drain
	running       bool        // Run has not returned
	inOutbox      bool        // listed in Conn.waiting
	inSession     bool        // listed in session.waiting
	sentUpTo      uint32      // id behind the last frame of the last delivery
	posted        []posted
	postedBytes   int               // of the payloads in posted
	frame         amqpwire.Transfer // reused
	tag           [16]byte          // reused
}

// posted is a message that waits in the link's queue.
type posted struct {
	m Outgoing
	p progress
}

// AcceptSender accepts a link on which the peer receives, and returns the sending end.
func (l *Link) AcceptSender(o SenderOptions) *Sender {
	if l.attach.Role != amqpwire.RoleReceiver {
		panic("amqpengine: AcceptSender of a link on which the peer sends")
	}
	if o.MaxPosted <= 0 {
		o.MaxPosted = defaultMaxPosted
	}
	size := cmp.Or(o.MaxMessageSize, defaultMaxMessageSize)
	if most := l.attach.MaxMessageSize; most > 0 {
		size = min(size, most)
	}
	c := l.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if l.answered {
		return l.send
	}
	l.send = &Sender{link: l, o: o, wake: make(chan struct{}, 1), running: o.Run != nil}
	l.acceptLocked(size, o.Capabilities)
	if c.draining {
		l.cancel(errShutdown)
	}
	if o.Run != nil {
		c.runs.Add(1)
		go l.send.run()
	}
	return l.send
}

// run runs Run.
func (s *Sender) run() {
	l := s.link
	c := l.conn
	defer c.runs.Done()
	var result *amqpwire.Error
	if err := c.guard(func() error { result = s.o.Run(l.ctx, s); return nil }); err != nil {
		c.Close(errInternal)
	}
	c.mu.Lock()
	if !c.draining {
		l.detachLocked(result)
		c.startFlushLocked()
	}
	s.running = false
	ended := l.ended
	c.mu.Unlock()
	if ended {
		c.tell(s.o.Closed)
	}
}

// Link is the sender's link.
func (s *Sender) Link() *Link { return s.link }

// Wait blocks until the link has credit and its session and connection have room, and returns how many messages may be
// sent now without waiting for credit, at least 1. Errors: ctx's, or the reason why the link ended.
func (s *Sender) Wait(ctx context.Context) (credit int, err error) {
	c := s.link.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		why := s.blockedLocked(&progress{}, true)
		if why == clear {
			return int(s.credit), nil
		}
		s.asking = true
		err := s.waitLocked(ctx, why)
		s.asking = false
		if err != nil {
			return 0, err
		}
	}
}

// Send queues messages in order, as credit, window and room allow, and returns when all are queued for writing: they
// leave in as few writes as possible. n is how many were queued before an error: ctx's, or the reason why the link
// ended. A message whose first frame was queued is not given up for ctx, but for the end of the link.
func (s *Sender) Send(ctx context.Context, messages ...Outgoing) (n int, err error) {
	c := s.link.conn
	c.mu.Lock()
	for i := range messages {
		if err = s.sendLocked(ctx, &messages[i]); err != nil {
			break
		}
		n++
	}
	if s.drain && err == nil && len(s.posted) == 0 {
		s.drainSoonLocked(true)
	}
	c.startFlushLocked()
	presettled := s.presettles()
	c.mu.Unlock()
	if presettled {
		for i := range messages[:n] {
			messages[i].presettled()
		}
	}
	return n, err
}

// sendLocked queues one message, waiting as long as it must.
func (s *Sender) sendLocked(ctx context.Context, m *Outgoing) error {
	var p progress
	for {
		why := s.transmitLocked(m, &p, true)
		if why == clear {
			if len(s.posted) > 0 {
				s.pumpLocked()
			}
			return nil
		}
		if p.begun {
			ctx = s.link.ctx
		}
		s.sending = true
		err := s.waitLocked(ctx, why)
		s.sending = false
		if err != nil {
			return err
		}
	}
}

// waitLocked waits until what held the sender up may have gone.
func (s *Sender) waitLocked(ctx context.Context, why hindrance) error {
	c, link := s.link.conn, s.link
	if s.drain && s.credit == 0 {
		s.drainedLocked()
	}
	s.listLocked(why)
	c.startFlushLocked()
	c.mu.Unlock()
	defer c.mu.Lock()
	if why == over {
		<-link.ctx.Done()
	}
	select {
	case <-link.ctx.Done():
		return context.Cause(link.ctx)
	case <-ctx.Done():
		if link.ctx.Err() != nil {
			return context.Cause(link.ctx)
		}
		return ctx.Err()
	case <-s.wake:
		return nil
	}
}

// listLocked has the sender resumed when what holds it up goes. Credit needs no list: a flow finds its link.
func (s *Sender) listLocked(why hindrance) {
	c, sess := s.link.conn, s.link.sess
	switch {
	case why == outboxFull && !s.inOutbox:
		s.inOutbox = true
		c.waiting = append(c.waiting, s)
	case (why == windowShut || why == tooManyUnsettled) && !s.inSession:
		s.inSession = true
		sess.waiting = append(sess.waiting, s)
	}
	if why == windowShut {
		sess.stalledLocked()
	}
}

// resumeLocked sends what was posted, and wakes who waits.
func (s *Sender) resumeLocked() {
	s.pumpLocked()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Post sends a message when there is credit, and never blocks: it waits in the link's queue until then. When MaxPosted
// messages, or MaxPostedBytes, wait already, the link is detached with amqp:resource-limit-exceeded.
func (s *Sender) Post(m Outgoing) {
	c, l := s.link.conn, s.link
	c.mu.Lock()
	presettled, lost := s.presettles(), false
	switch {
	case l.overLocked() || l.ended:
		lost = true
	case len(s.posted) >= s.o.MaxPosted || s.o.MaxPostedBytes > 0 && s.postedBytes >= s.o.MaxPostedBytes:
		lost = true
		l.detachLocked(&amqpwire.Error{Condition: amqpwire.ResourceLimitExceeded, Description: "the peer does not take what it asked for"})
	default:
		s.postLocked(m)
	}
	c.startFlushLocked()
	c.mu.Unlock()
	switch {
	case lost && !m.Settled:
		m.settled(nil)
	case !lost && presettled:
		m.presettled()
	}
}

func (s *Sender) postLocked(m Outgoing) {
	var p progress
	if len(s.posted) == 0 {
		why := s.transmitLocked(&m, &p, false)
		if why == clear {
			return
		}
		s.listLocked(why)
	}
	m.Payload, m.Tag = slices.Clone(m.Payload), slices.Clone(m.Tag)
	s.posted = append(s.posted, posted{m, p})
	s.postedBytes += len(m.Payload)
}

// pumpLocked sends what was posted as far as it can.
func (s *Sender) pumpLocked() {
	if len(s.posted) == 0 {
		return
	}
	for len(s.posted) > 0 {
		first := &s.posted[0]
		if why := s.transmitLocked(&first.m, &first.p, false); why != clear {
			s.listLocked(why)
			return
		}
		s.postedBytes -= len(first.m.Payload)
		*first = posted{}
		s.posted = s.posted[1:]
	}
	s.posted = nil
	if s.drain && !s.sending {
		s.drainedLocked()
	}
}

// abandonLocked gives up everything that was not settled, and returns whom to tell.
func (s *Sender) abandonLocked() []func(amqpwire.DeliveryState) {
	if s.grace != nil {
		s.grace.Stop()
	}
	var lost []func(amqpwire.DeliveryState)
	sess := s.link.sess
	var ids []uint32
	for id, u := range sess.unsettled {
		if u.sender == s {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b uint32) int { return int(int32(a - b)) })
	for _, id := range ids {
		u := sess.unsettled[id]
		lost = append(lost, func(state amqpwire.DeliveryState) { u.tell(state, Answer{}) })
		delete(sess.unsettled, id)
	}
	for _, p := range s.posted {
		if !p.p.begun && !s.settles(&p.m) {
			lost = append(lost, p.m.settled)
		}
	}
	s.posted, s.postedBytes = nil, 0
	sess.openedLocked()
	return lost
}

// makeTagLocked makes a tag that is unique on the connection. .NET clients make a GUID of it: it has 16 bytes.
//
// Source: Azure/azure-iot-sdk-csharp iothub/device/src/Transport/AmqpIot/AmqpIotReceivingLink.cs.
func (s *Sender) makeTagLocked() []byte {
	c := s.link.conn
	c.lastTag++
	copy(s.tag[:], c.tagPrefix[:])
	binary.BigEndian.PutUint64(s.tag[8:], c.lastTag)
	return s.tag[:]
}
