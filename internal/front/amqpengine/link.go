package amqpengine

import (
	"context"

	"github.com/hubward/hubward/internal/amqpwire"
)

// Link is one link, from its attach on. Its methods may be called from any goroutine.
type Link struct {
	// Set before the Peer sees the link, never changed after.
	conn   *Conn
	sess   *session
	attach *amqpwire.Attach
	size   int // encoded bytes of attach
	ctx    context.Context
	cancel context.CancelCauseFunc

	// The connection's mutex guards the fields below.
	answered bool // one of the Accept methods or Refuse was called
	refused  bool // it was Refuse: the reader sends the detach
	refusal  *amqpwire.Error
	leaving  bool // Detach was called before the answer
	leaveErr *amqpwire.Error
	detached bool // our detach was sent: nothing follows it, and the peer's frames are dropped until its detach
	gone     bool // the peer's detach has come, or the session or connection has ended
	ended    bool // gone, and the program knows what became of its deliveries
	recv     *receiver
	send     *Sender

	cutAtShutdown bool
}

// Conn is the link's connection.
func (l *Link) Conn() *Conn { return l.conn }

// Session is the number of the link's session within its connection: the peer's channel. Two links of one session have
// the same number; a number is used again after its session ended.
func (l *Link) Session() uint16 { return l.sess.channel }

// Attach is what the peer sent: name, role, source, target, modes, properties, capabilities. Source and Target are never
// nil: one that the peer left out is empty. It must not be changed.
func (l *Link) Attach() *amqpwire.Attach { return l.attach }

// Context ends when the link does, with the reason as its cause; before the link's attach is answered as well. The cause
// is an *amqpwire.Error, of either side, or ErrDetached, ErrEnded, ErrClosed, or why the connection broke.
func (l *Link) Context() context.Context { return l.ctx }

// CutAtShutdown makes Shutdown cut the connection, if the link is there then, instead of closing it in good order: for
// clients that take a cut better than a close.
func (l *Link) CutAtShutdown() {
	l.conn.mu.Lock()
	defer l.conn.mu.Unlock()
	l.cutAtShutdown = true
}

// Refuse refuses the link: the engine answers with an attach without terminus and, 20 ms later, a detach with err.
func (l *Link) Refuse(err *amqpwire.Error) {
	c := l.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if !l.answered {
		l.refuseLocked(err)
	}
}

// Detach ends the link with err, or without an error for nil. It does not wait. The first call counts. The link's
// deliveries can still be settled by a peer whose dispositions are on their way; Closed is called when the peer has
// answered.
func (l *Link) Detach(err *amqpwire.Error) {
	c := l.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	l.detachLocked(err)
	c.startFlushLocked()
}

func (l *Link) detachLocked(err *amqpwire.Error) {
	switch {
	case l.overLocked() || l.leaving:
		return
	case !l.answered:
		l.leaving, l.leaveErr = true, err
	default:
		l.detached = true
		l.conn.append(l.sess.channel, &amqpwire.Detach{Handle: l.attach.Handle, Closed: true, Error: l.conn.fitting(err)})
		if l.recv != nil {
			l.recv.dropLocked()
		}
	}
	l.cancel(causeOf(err, ErrDetached))
}

// overLocked reports whether nothing may be sent on the link any more.
func (l *Link) overLocked() bool {
	return l.detached || l.gone || l.sess.over || l.conn.quietLocked()
}

func (c *Conn) onDetach(channel uint16, r *amqpwire.Reader) error {
	d := &amqpwire.Detach{}
	if err := d.Decode(r); err != nil {
		return decodeError("detach", err)
	}
	c.mu.Lock()
	s, err := c.sessionLocked(channel)
	if s == nil {
		c.mu.Unlock()
		return err
	}
	l := s.links[d.Handle]
	if l == nil {
		s.linkLocked(d.Handle)
		c.mu.Unlock()
		return nil
	}
	if !l.detached {
		l.detached = true
		// A detach that does not close is answered with one that does: links are not suspended here.
		c.append(channel, &amqpwire.Detach{Handle: d.Handle, Closed: true})
	}
	s.removeLocked(l)
	l.cancel(causeOf(d.Error, ErrDetached))
	c.mu.Unlock()
	l.finish()
	return nil
}

// finish is called by the reader when the link is gone: it tells the program. Deliveries that were not settled are
// lost, and then the link is closed, once its Run has returned.
func (l *Link) finish() {
	c := l.conn
	l.cancel(ErrDetached) // if nothing else has
	c.mu.Lock()
	var lost []func(amqpwire.DeliveryState)
	if l.recv != nil {
		l.recv.dropLocked()
	}
	if l.send != nil {
		lost = l.send.abandonLocked()
	}
	c.mu.Unlock()
	for _, f := range lost {
		c.guard(func() error { f(nil); return nil })
	}
	c.mu.Lock()
	closed := l.closedLocked()
	c.mu.Unlock()
	c.tell(closed)
}

// closedLocked notes that the link has ended and returns what to call for that, if not the goroutine of Run has to.
func (l *Link) closedLocked() func() {
	if l.ended {
		return nil
	}
	l.ended = true
	switch {
	case l.recv != nil:
		return l.recv.o.Closed
	case l.send != nil && !l.send.running:
		return l.send.o.Closed
	}
	return nil
}

// tell calls a Closed function.
func (c *Conn) tell(f func()) {
	if f == nil {
		return
	}
	if err := c.guard(func() error { f(); return nil }); err != nil {
		c.Close(errInternal)
	}
}

var errInternal = &amqpwire.Error{Condition: amqpwire.InternalError, Description: "internal error"}
