package amqpengine

import (
	"github.com/hubward/hubward/internal/amqpwire"
)

// hindrance is why a frame cannot be queued now.
type hindrance uint8

const (
	clear            hindrance = iota // it can
	over                              // the link may not send any more
	notItsTurn                        // another delivery of the link comes first
	noCredit                          // the peer wants no more deliveries
	tooManyUnsettled                  // the peer has to settle some first
	windowShut                        // the peer takes no more frames of the session
	outboxFull
)

// progress is how far the sending of a message has come.
type progress struct {
	begun   bool
	offset  int // payload bytes that are queued
	settled bool
}

// maxFrame is the largest frame that is sent, whatever the peer may allow: what fits into one write. It bounds how long
// one delivery keeps the others of the connection waiting.
const maxFrame = maxWrite

// blockedLocked says what keeps the next frame of a message from being queued. behind means that posted messages go
// first.
func (s *Sender) blockedLocked(p *progress, behind bool) hindrance {
	c, sess := s.link.conn, s.link.sess
	switch {
	case s.link.overLocked():
		return over
	case !p.begun && s.midway:
		return notItsTurn
	case !p.begun && behind && len(s.posted) > 0:
		return notItsTurn
	case !p.begun && s.credit == 0:
		return noCredit
	case !p.begun && len(sess.unsettled) >= sess.maxUnsettled:
		return tooManyUnsettled
	case sess.window <= 0:
		return windowShut
	case c.queuedLocked() >= senderMark:
		return outboxFull
	}
	return clear
}

// transmitLocked queues as many frames of a message as may be sent now. It returns clear when that was all of them.
func (s *Sender) transmitLocked(m *Outgoing, p *progress, behind bool) hindrance {
	for {
		if why := s.blockedLocked(p, behind); why != clear {
			return why
		}
		if !p.begun {
			s.beginLocked(m, p)
		}
		if s.frameLocked(m, p) {
			s.midway = false
			s.sentUpTo = s.link.sess.nextOutgoing
			return clear
		}
		s.midway = true
	}
}

// settles reports whether a message leaves settled.
func (s *Sender) settles(m *Outgoing) bool {
	a := s.link.attach
	if m.Settled {
		return a.SenderSettleMode != amqpwire.SenderUnsettled || a.ReceiverSettleMode != amqpwire.ReceiverSecond
	}
	return s.presettles()
}

// presettles reports whether the peer asked for settled deliveries only.
func (s *Sender) presettles() bool { return s.link.attach.SenderSettleMode == amqpwire.SenderSettled }

// presettled tells the program about a message that it wanted to be settled by the peer, on a link where nothing is.
func (m *Outgoing) presettled() {
	if !m.Settled {
		m.settled(&amqpwire.Accepted{})
	}
}

// settled tells the program what became of a message whose peer waits for nothing.
func (m *Outgoing) settled(state amqpwire.DeliveryState) {
	u := unsettled{onSettle: m.OnSettle, onOutcome: m.OnOutcome}
	u.tell(state, Answer{})
}

// beginLocked begins a delivery: it takes credit and an id. Ids are contiguous in the order of the wire: rhea throws on a
// gap.
//
// Source: amqp/rhea lib/session.js.
func (s *Sender) beginLocked(m *Outgoing, p *progress) {
	sess := s.link.sess
	id := sess.nextDelivery
	sess.nextDelivery++
	s.credit--
	s.deliveryCount++
	p.begun, p.settled = true, s.settles(m)
	if p.settled {
		sess.sentSettled = true
	} else {
		if sess.unsettled == nil {
			sess.unsettled = make(map[uint32]unsettled)
		}
		sess.unsettled[id] = unsettled{sender: s, onSettle: m.OnSettle, onOutcome: m.OnOutcome}
	}
	s.frame = amqpwire.Transfer{
		Handle: s.link.attach.Handle, DeliveryID: amqpwire.Some(id), DeliveryTag: m.Tag, MessageFormat: amqpwire.Some(m.Format),
		Settled: p.settled, ReceiverSettleMode: amqpwire.ReceiverModeUnset,
	}
	if len(m.Tag) == 0 || len(m.Tag) > 32 {
		s.frame.DeliveryTag = s.makeTagLocked()
	}
}

// frameLocked queues the next frame of a delivery, and reports whether it was the last.
func (s *Sender) frameLocked(m *Outgoing, p *progress) bool {
	c, sess := s.link.conn, s.link.sess
	out := c.bufferLocked()
	b, start, rest := out.b, len(out.b), m.Payload[p.offset:]
	s.frame.More = false
	b = s.frame.Append(amqpwire.BeginFrame(b, amqpwire.FrameAMQP, sess.channel))
	room := int(min(c.maxFrame, maxFrame)) - (len(b) - start)
	if len(rest) > room {
		s.frame.More = true
		b = s.frame.Append(amqpwire.BeginFrame(b[:start], amqpwire.FrameAMQP, sess.channel))
		rest = rest[:room]
	}
	b = append(b, rest...)
	out.b = amqpwire.EndFrame(b, start)
	p.offset += len(rest)
	sess.nextOutgoing++
	sess.window--
	s.frame.DeliveryTag = nil
	if s.frame.More {
		s.frame = amqpwire.Transfer{Handle: s.frame.Handle, Settled: p.settled, ReceiverSettleMode: amqpwire.ReceiverModeUnset}
	}
	return p.offset == len(m.Payload)
}
