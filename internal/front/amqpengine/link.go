package amqpengine

import (
	"context"

	"github.com/hubward/hubward/internal/amqpwire"
)

// Link is one link, from its attach on. Its methods may be called from any goroutine.
type Link struct{}

// Conn is the link's connection.
func (l *Link) Conn() *Conn { panic("unwritten") }

// Session is the number of the link's session within its connection: the peer's channel. Two links of one session have
// the same number; a number is used again after its session ended.
func (l *Link) Session() uint16 { panic("unwritten") }

// Attach is what the peer sent: name, role, source, target, modes, properties, capabilities. It must not be changed.
func (l *Link) Attach() *amqpwire.Attach { panic("unwritten") }

// Context ends when the link does, with the reason as its cause; before the link's attach is answered as well.
func (l *Link) Context() context.Context { panic("unwritten") }

// Refuse refuses the link: the engine answers with an attach without terminus and a detach with err.
func (l *Link) Refuse(err *amqpwire.Error) { panic("unwritten") }

// Detach ends the link with err, or without an error for nil. It does not wait. The first call counts.
func (l *Link) Detach(err *amqpwire.Error) { panic("unwritten") }

// ReceiverOptions say how a link takes what its peer sends.
type ReceiverOptions struct {
	// Deliver is called by the connection's reader with each complete delivery. It settles the delivery, at once or later
	// from any goroutine; the link's credit counts those that are not settled yet, so a peer is slowed down by what is in
	// flight. Required.
	Deliver        func(d *Delivery)
	Closed         func()            // called once by the reader when the link has ended; may be nil
	Credit         uint32            // deliveries that may be in flight; default 1,000
	MaxMessageSize uint64            // a larger delivery detaches the link with amqp:link:message-size-exceeded; default 1 MiB
	Capabilities   []amqpwire.Symbol // offered
}

// AcceptReceiver accepts a link on which the peer sends.
func (l *Link) AcceptReceiver(o ReceiverOptions) { panic("unwritten") }

// Delivery is one message of a peer.
type Delivery struct {
	Payload []byte // the encoded message; valid until Deliver returns
	Tag     []byte // valid until Deliver returns; may be empty
	Format  uint32 // amqpwire.BatchFormat or 0
}

// Settle tells the peer the delivery's outcome, if it wants one, and gives its credit back. State must not be nil. It may
// be called from any goroutine; calls after the first, and after the link has ended, do nothing. Dispositions of
// consecutive deliveries with the same state share a frame where they leave together.
func (d *Delivery) Settle(state amqpwire.DeliveryState) { panic("unwritten") }

// SenderOptions say how a link sends.
type SenderOptions struct {
	// Run, if given, is started on a goroutine of its own once the attach is answered. ctx is the link's: it ends with the
	// link, the connection or the server, and Run must return then. What it returns detaches the link if it still is
	// attached.
	Run          func(ctx context.Context, s *Sender) *amqpwire.Error
	Closed       func()            // called once when the link has ended and Run has returned; may be nil
	MaxPosted    int               // messages that Post may have waiting; default 64
	Capabilities []amqpwire.Symbol // offered
}

// AcceptSender accepts a link on which the peer receives, and returns the sending end.
func (l *Link) AcceptSender(o SenderOptions) *Sender { panic("unwritten") }

// Sender sends on one link. A link that has a Run is sent on by its goroutine alone; Post may be called from any.
type Sender struct{}

// Link is the sender's link.
func (s *Sender) Link() *Link { panic("unwritten") }

// Outgoing is one message to send.
type Outgoing struct {
	Payload  []byte // the encoded message; copied before Send or Post returns
	Format   uint32
	Settled  bool                               // leaves settled, if the link's mode does not forbid that: a peer that asked for mode "unsettled" and rcv "second" gets it unsettled, and is answered
	Tag      []byte                             // up to 32 bytes; nil: the engine makes 16 that are unique on the link
	OnSettle func(state amqpwire.DeliveryState) // of an unsettled one: called once, by the reader, with the peer's outcome; nil when the link ended without one. May be nil
}

// Wait blocks until the link has credit and its session and connection have room, and returns how many messages may be
// sent now without waiting for credit, at least 1. Errors: ctx's, or the reason why the link ended.
func (s *Sender) Wait(ctx context.Context) (credit int, err error) { panic("unwritten") }

// Send queues messages in order, as credit, window and room allow, and returns when all are queued for writing: they
// leave in as few writes as possible. n is how many were queued before an error: ctx's, or the reason why the link
// ended.
func (s *Sender) Send(ctx context.Context, messages ...Outgoing) (n int, err error) {
	panic("unwritten")
}

// Post sends a message when there is credit, and never blocks: it waits in the link's queue until then. When MaxPosted
// messages wait already, the link is detached with amqp:resource-limit-exceeded.
func (s *Sender) Post(m Outgoing) { panic("unwritten") }
