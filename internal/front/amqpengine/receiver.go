package amqpengine

import (
	"fmt"
	"sync/atomic"

	"github.com/hubward/hubward/internal/amqpwire"
)

// ReceiverOptions say how a link takes what its peer sends.
type ReceiverOptions struct {
	// Deliver is called by the connection's reader with each complete delivery. It settles the delivery, at once or later
	// from any goroutine; the link's credit counts those that are not settled yet, so a peer is slowed down by what is in
	// flight. Required.
	Deliver        func(d *Delivery)
	Closed         func()            // called once by the reader when the link has ended; may be nil
	Credit         uint32            // deliveries that may be in flight; default 1,000
	MaxMessageSize uint64            // a larger delivery detaches the link with amqp:link:message-size-exceeded; default 1 MiB
	Truncate       bool              // instead, a larger delivery is delivered with its first MaxMessageSize bytes
	Capabilities   []amqpwire.Symbol // offered
}

// Defaults of ReceiverOptions.
const (
	defaultCredit         = 1000
	defaultMaxMessageSize = 1 << 20
)

// AcceptReceiver accepts a link on which the peer sends.
func (l *Link) AcceptReceiver(o ReceiverOptions) {
	if l.attach.Role != amqpwire.RoleSender {
		panic("amqpengine: AcceptReceiver of a link on which the peer receives")
	}
	if o.Credit == 0 {
		o.Credit = defaultCredit
	}
	if o.MaxMessageSize == 0 {
		o.MaxMessageSize = defaultMaxMessageSize
	}
	c := l.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if l.answered {
		return
	}
	l.recv = &receiver{link: l, o: o, deliveryCount: l.attach.InitialDeliveryCount.Value}
	l.acceptLocked(o.MaxMessageSize, o.Capabilities)
	l.recv.topUpLocked()
}

// receiver is the receiving end of a link. The connection's mutex guards it.
type receiver struct {
	link          *Link
	o             ReceiverOptions // never changed
	deliveryCount uint32          // as the peer counts: deliveries that have begun
	credit        uint32          // how many more it may begin
	inFlight      uint32          // complete, and not settled by the program
	partial       partial
	overrun       atomic.Bool // more is in flight than mostInFlight
}

// mostInFlight is how many deliveries may be in flight when the peer overruns its credit, before the reader waits for
// the program. pyamqp sends before it was given any, amqp10 for Node one too many.
//
// Source: sender.py of pyamqp; noodlefrenzy/node-amqp10 lib/sender_link.js.
func (rc *receiver) mostInFlight() uint32 { return 2*min(rc.o.Credit, 1<<30) + 64 }

// partial is a delivery of which not all frames have come.
type partial struct {
	active    bool
	id        uint32
	format    uint32
	settled   bool
	truncated bool
	tag       []byte
	payload   *buffer // nil: nothing yet
}

func (c *Conn) onTransfer(channel uint16, r *amqpwire.Reader) error {
	t := &c.incoming.transfer
	if err := t.Decode(r); err != nil {
		return decodeError("transfer", err)
	}
	c.mu.Lock()
	rc, d, held, err := c.receiveLocked(channel, t, r.Rest())
	c.mu.Unlock()
	if d == nil {
		return err
	}
	rc.o.Deliver(d)
	d.Payload, d.Tag = nil, nil
	if held != nil {
		c.mu.Lock()
		c.partial -= len(held.b)
		c.mu.Unlock()
		held.free()
	}
	if rc.overrun.Load() {
		c.hold(rc)
	}
	return nil
}

// receiveLocked takes one frame of a delivery. d is the delivery if it is complete; held is the buffer of its payload,
// unless that lies in the frame.
func (c *Conn) receiveLocked(channel uint16, t *amqpwire.Transfer, payload []byte) (rc *receiver, d *Delivery, held *buffer, err error) {
	s, err := c.sessionLocked(channel)
	if s == nil {
		return nil, nil, nil, err
	}
	s.countIncomingLocked()
	l := s.linkLocked(t.Handle)
	switch {
	case l == nil || c.draining:
		return nil, nil, nil, nil
	case l.recv == nil:
		l.detachLocked(&amqpwire.Error{Condition: amqpwire.NotAllowed, Description: "a transfer from the receiver of the link"})
		return nil, nil, nil, nil
	}
	rc = l.recv
	if refusal := rc.beginLocked(t); refusal != nil {
		l.detachLocked(refusal)
		return nil, nil, nil, nil
	}
	d, held = rc.takeLocked(t, payload)
	return rc, d, held, nil
}

// beginLocked looks at the head of a frame: the first one of a delivery begins it.
func (rc *receiver) beginLocked(t *amqpwire.Transfer) *amqpwire.Error {
	p := &rc.partial
	if p.active {
		if t.DeliveryID.Set && t.DeliveryID.Value != p.id {
			return &amqpwire.Error{Condition: amqpwire.InvalidField, Description: fmt.Sprintf("delivery %d begins inside delivery %d", t.DeliveryID.Value, p.id)}
		}
		p.settled = p.settled || t.Settled
		return nil
	}
	if !t.DeliveryID.Set {
		return &amqpwire.Error{Condition: amqpwire.InvalidField, Description: "the first frame of a delivery has no delivery-id"}
	}
	*p = partial{active: true, id: t.DeliveryID.Value, format: t.MessageFormat.Value, settled: t.Settled, tag: t.DeliveryTag}
	rc.deliveryCount++
	rc.credit -= min(rc.credit, 1)
	return nil
}

// takeLocked takes the payload of a frame.
func (rc *receiver) takeLocked(t *amqpwire.Transfer, payload []byte) (*Delivery, *buffer) {
	p := &rc.partial
	if t.Aborted {
		rc.dropLocked()
		rc.topUpLocked()
		return nil, nil
	}
	payload, refusal := rc.boundLocked(t, payload)
	if refusal != nil {
		rc.link.detachLocked(refusal)
		return nil, nil
	}
	if t.More || p.payload != nil {
		rc.keepLocked(payload)
	}
	if t.More {
		return nil, nil
	}
	held := p.payload
	if held != nil {
		payload = held.b
		delete(rc.link.conn.unfinished, rc)
	}
	d := &Delivery{
		Payload: payload, Tag: p.tag, Format: p.format, Truncated: p.truncated, link: rc.link, id: p.id, settled: p.settled,
	}
	*p = partial{}
	rc.inFlight++
	rc.link.conn.inFlight++
	if rc.inFlight > rc.mostInFlight() {
		rc.overrun.Store(true)
	}
	return d, held
}

// boundLocked checks what the delivery would be with the payload of this frame, and returns as much of that as counts.
func (rc *receiver) boundLocked(t *amqpwire.Transfer, payload []byte) ([]byte, *amqpwire.Error) {
	p, c := &rc.partial, rc.link.conn
	had := 0
	if p.payload != nil {
		had = len(p.payload.b)
	}
	if most := rc.o.MaxMessageSize; uint64(had+len(payload)) > most {
		if !rc.o.Truncate {
			return nil, &amqpwire.Error{Condition: amqpwire.MessageSizeExceeded, Description: fmt.Sprintf("a message may have at most %d bytes", most)}
		}
		p.truncated = true
		payload = payload[:most-uint64(had)]
	}
	if t.More && c.partial+len(payload) > c.srv.o.MaxPartialBytes {
		return nil, &amqpwire.Error{Condition: amqpwire.ResourceLimitExceeded, Description: "too many bytes of unfinished deliveries on the connection"}
	}
	return payload, nil
}

// keepLocked copies the payload of a frame that is not the last, or not the first.
func (rc *receiver) keepLocked(payload []byte) {
	p, c := &rc.partial, rc.link.conn
	if p.payload == nil {
		if c.unfinished == nil {
			c.unfinished = make(map[*receiver]int64)
		}
		c.unfinished[rc] = c.srv.coarse.Load() - c.deaf.Load()
		p.payload = buffers.Get().(*buffer)
		p.tag = append([]byte(nil), p.tag...) // it lies in the frame
	}
	p.payload.b = append(p.payload.b, payload...)
	c.partial += len(payload)
}

// dropLocked forgets the delivery that has begun, if any.
func (rc *receiver) dropLocked() {
	if b := rc.partial.payload; b != nil {
		rc.link.conn.partial -= len(b.b)
		delete(rc.link.conn.unfinished, rc)
		b.free()
	}
	rc.partial = partial{}
}

// hold waits until the program has settled enough of what the peer has sent beyond its credit.
func (c *Conn) hold(rc *receiver) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.corked = false
	c.startFlushLocked()
	for rc.inFlight > rc.mostInFlight() && c.stage == stageOpen {
		c.changed.Wait()
	}
	rc.overrun.Store(false)
	c.corked = true
}
