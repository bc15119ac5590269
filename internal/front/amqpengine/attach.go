package amqpengine

import (
	"context"
	"fmt"
	"time"

	"github.com/hubward/hubward/internal/amqpwire"
)

// maxAttachBytes bounds the attaches that a connection's links keep: room for MaxLinks of the usual size.
const maxAttachBytes = 8 << 20

func (c *Conn) onAttach(channel uint16, r *amqpwire.Reader) error {
	size := len(r.Rest())
	a := &amqpwire.Attach{}
	if err := a.Decode(r); err != nil {
		return decodeError("attach", err)
	}
	if a.Handle > handleMax {
		return framingError(fmt.Sprintf("handle %d is above the maximum of %d", a.Handle, handleMax))
	}
	c.mu.Lock()
	l, old, err := c.attachLocked(channel, a, size)
	c.mu.Unlock()
	if old != nil {
		old.finish()
	}
	if l == nil {
		return err
	}
	c.uncork() // Attach may take its time
	c.peer.Attach(l)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.corked = true
	if !l.answered {
		c.srv.o.Logger.Error("a link was neither accepted nor refused", "connection", c.id)
		l.refuseLocked(errInternal)
	}
	if l.refused {
		c.pauseLocked(refusalPause)
		l.detachRefusedLocked()
	}
	return nil
}

// refusalPause is between the two frames of a refusal. Libraries that find both in one read hand their user the link of
// the first before he can be told of the second: azure-event-hubs 0.2 and amqp10 lose the error for good.
const refusalPause = 20 * time.Millisecond

// pauseLocked has the reader rest, with all it has to say on its way. The connection's mutex is free meanwhile.
func (c *Conn) pauseLocked(d time.Duration) {
	c.startFlushLocked()
	c.mu.Unlock()
	defer c.mu.Lock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.ctx.Done():
	}
}

// attachLocked makes the link of an attach, for the Peer to decide about; nil when the engine has decided. old is a link
// that had the handle: we had detached it, and its peer did not answer that.
func (c *Conn) attachLocked(channel uint16, a *amqpwire.Attach, size int) (l, old *Link, err error) {
	s, err := c.sessionLocked(channel)
	if s == nil {
		return nil, nil, err
	}
	if old = s.links[a.Handle]; old != nil && !old.detached {
		s.endLocked(&amqpwire.Error{Condition: amqpwire.HandleInUse, Description: fmt.Sprintf("handle %d is attached", a.Handle)})
		return nil, nil, nil
	}
	if old != nil {
		s.removeLocked(old)
	}
	if same := s.names[linkName{a.Name, a.Role}]; same != nil {
		same.detachLocked(&amqpwire.Error{Condition: amqpwire.LinkStolen, Description: "a link of this name was attached again"})
	}
	s.top = max(s.top, int64(a.Handle))
	l = &Link{conn: c, sess: s, attach: a, size: size}
	l.ctx, l.cancel = context.WithCancelCause(c.ctx)
	switch {
	case a.Target != nil && a.Target.Coordinator:
		l.refuseLocked(&amqpwire.Error{Condition: amqpwire.NotImplemented, Description: "there are no transactions"})
		l.detachRefusedLocked()
		return nil, old, nil
	case c.links >= c.srv.o.MaxLinks:
		l.refuseLocked(&amqpwire.Error{Condition: amqpwire.ResourceLimitExceeded, Description: fmt.Sprintf("a connection has at most %d links", c.srv.o.MaxLinks)})
		l.detachRefusedLocked()
		return nil, old, nil
	case c.attachBytes+size > maxAttachBytes:
		l.refuseLocked(&amqpwire.Error{Condition: amqpwire.ResourceLimitExceeded, Description: "the links of the connection have too many properties"})
		l.detachRefusedLocked()
		return nil, old, nil
	}
	if a.Source == nil {
		a.Source = &amqpwire.Source{}
	}
	if a.Target == nil {
		a.Target = &amqpwire.Target{}
	}
	s.addLocked(l)
	return l, old, nil
}

// reply makes the answer to the peer's attach: as much of it as is said whether the link is accepted or not. go-amqp
// wants the modes that it asked for. pyamqp fails on null properties, and like uamqp drops a link on which it receives
// without an initial delivery count. uamqp logs an error for each link without a max-message-size.
//
// Source: Azure/azure-uamqp-c src/link.c; link.py of pyamqp; Azure/go-amqp receiver.go, sender.go.
// Observed with uamqp 1.5.3 for Python: a sender that is promised the mode second waits for ever, so it gets first.
func (l *Link) reply() *amqpwire.Attach {
	a := l.attach
	reply := &amqpwire.Attach{
		Name: a.Name, Handle: a.Handle, Role: !a.Role, SenderSettleMode: a.SenderSettleMode, ReceiverSettleMode: a.ReceiverSettleMode,
		Properties: a.Properties, MaxMessageSize: defaultMaxMessageSize,
	}
	if reply.SenderSettleMode == amqpwire.SenderModeUnset {
		reply.SenderSettleMode = amqpwire.SenderMixed
	}
	if reply.ReceiverSettleMode == amqpwire.ReceiverModeUnset || a.Role == amqpwire.RoleSender {
		reply.ReceiverSettleMode = amqpwire.ReceiverFirst
	}
	if reply.Properties == nil {
		reply.Properties = amqpwire.Map{}
	}
	if a.Role == amqpwire.RoleReceiver {
		reply.InitialDeliveryCount = amqpwire.Some(0)
	}
	return reply
}

// refuseLocked answers with an attach without either terminus. A detach follows, from the reader and a little later.
func (l *Link) refuseLocked(err *amqpwire.Error) {
	l.answered, l.refused, l.refusal = true, true, err
	if !l.overLocked() {
		l.sendAttachLocked(l.reply())
	}
	l.cancel(causeOf(err, ErrDetached))
}

// detachRefusedLocked is the second half of a refusal. The link is forgotten at once: what the peer sends for it is
// dropped, as for any handle that is free again.
func (l *Link) detachRefusedLocked() {
	if !l.overLocked() {
		l.detached = true
		l.conn.append(l.sess.channel, &amqpwire.Detach{Handle: l.attach.Handle, Closed: true, Error: l.conn.fitting(l.refusal)})
	}
	l.sess.removeLocked(l)
}

// acceptLocked answers with an attach that echoes both termini.
func (l *Link) acceptLocked(maxMessageSize uint64, capabilities []amqpwire.Symbol) {
	l.answered = true
	if l.overLocked() {
		return
	}
	reply := l.reply()
	source := *l.attach.Source
	if _, unknown := source.DefaultOutcome.(*amqpwire.UnknownState); unknown {
		source.DefaultOutcome = nil // it can be read only
	}
	reply.Source, reply.Target = &source, l.attach.Target
	reply.MaxMessageSize, reply.OfferedCapabilities = maxMessageSize, capabilities
	l.sendAttachLocked(reply)
	if l.leaving {
		l.leaving = false
		l.detachLocked(l.leaveErr)
	}
}

// sendAttachLocked sends an attach. If it is too large for the peer it goes without the properties, and if that is not
// enough, the connection is closed.
func (l *Link) sendAttachLocked(reply *amqpwire.Attach) {
	c := l.conn
	size := func() int { return len(reply.Append(nil)) + amqpwire.FrameHeaderSize }
	if c.maxFrame < c.srv.o.MaxFrameSize {
		if size() > int(c.maxFrame) {
			reply.Properties = amqpwire.Map{}
		}
		if size() > int(c.maxFrame) {
			c.closeLocked(&amqpwire.Error{Condition: amqpwire.FrameSizeTooSmall, Description: "the answer to an attach is larger than max-frame-size"})
			return
		}
	}
	c.append(l.sess.channel, reply)
}
