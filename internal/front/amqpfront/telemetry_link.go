package amqpfront

import (
	"errors"
	"sync"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpengine"
	"github.com/hubward/hubward/internal/hub"
)

// Bounds of a telemetry link.
const (
	// maxDelivery is the max-message-size: the largest message with what its encoding takes, or a batch of the same size.
	maxDelivery = hubward.MaxMessageSize + 32<<10
	// telemetryCredit is how many deliveries may be on their way into the log.
	//
	// Source: spec/amqp.md 3.6.
	telemetryCredit = 1000
	// maxUnconfirmed is how many bytes may be: beyond it the connection is not read.
	maxUnconfirmed = 1 << 20
	maxIdleRing    = 64 // entries that a link keeps room for
)

var accepted amqpwire.DeliveryState = &amqpwire.Accepted{}

// attachTelemetry serves a link on which a device sends.
func attachTelemetry(c *conn, l *amqpengine.Link, a *address) *amqpwire.Error {
	p, err := c.join(l, a)
	if err != nil {
		return deviceError(err)
	}
	t := &telemetryLink{conn: c, link: l, wake: make(chan struct{}, 1)}
	t.ingest = p.link.Ingest(t.confirmed)
	l.AcceptReceiver(amqpengine.ReceiverOptions{
		Deliver: t.deliver, Closed: func() { p.leave(l) }, Credit: telemetryCredit, MaxMessageSize: maxDelivery,
	})
	return nil
}

// attachModuleInput refuses a link on which a module waits for what is routed to it: there are no modules yet.
func attachModuleInput(_ *conn, _ *amqpengine.Link, a *address) *amqpwire.Error {
	if a.device.Module == "" {
		return newError(amqpwire.NotAllowed, "A device sends to its messages/events. It receives from messages/devicebound.")
	}
	return newError(amqpwire.NotFound, "This hub does not have module identities yet.")
}

// telemetryLink takes the messages of a device into the log. A delivery is accepted when all of it is durable there; the
// connection's reader does not wait for that.
type telemetryLink struct {
	conn   *conn
	link   *amqpengine.Link
	ingest *hub.Ingest   // used by the reader only
	wake   chan struct{} // holds one when the reader may go on

	// Touched by confirmed only, whose calls follow one another.
	settling []*amqpengine.Delivery

	mu     sync.Mutex // guards the fields below; a leaf
	ring   []unconfirmed
	head   int // index in ring of the oldest
	bytes  int // sum of the sizes in ring[head:]
	paused bool
}

// unconfirmed is a delivery that the log has not confirmed.
type unconfirmed struct {
	delivery *amqpengine.Delivery
	size     int
	left     int   // messages that are not confirmed
	err      error // of one that was not stored
}

// deliver takes one delivery. It waits while there is too much under way, or no room in the log's queue.
func (t *telemetryLink) deliver(d *amqpengine.Delivery) {
	if !t.awaitRoom() {
		d.Settle(&amqpwire.Released{}) // the link has ended
		return
	}
	if d.Format == amqpwire.BatchFormat {
		t.batch(d)
		return
	}
	m := &t.conn.message
	if e := t.conn.in.read(m, d.Payload, true); e != nil {
		t.reject(e, d)
		return
	}
	t.expect(unconfirmed{delivery: d, size: len(d.Payload), left: 1})
	if err := t.ingest.Telemetry(t.link.Context(), m); err != nil {
		t.failed(1, err)
	}
}

// batch takes a delivery whose data sections each hold one encoded message. All of them are looked at before the first is
// stored: they are refused together.
//
// Source: spec/amqp.md 5.3.
func (t *telemetryLink) batch(d *amqpengine.Delivery) {
	m := &t.conn.message
	n := 0
	var oversized error
	e := eachInBatch(d.Payload, func(payload []byte) *amqpwire.Error {
		n++
		e := t.conn.in.read(m, payload, true)
		if e == nil && oversized == nil && m.Size() > hubward.MaxMessageSize {
			oversized = t.ingest.Telemetry(t.link.Context(), m) // which counts it as refused
		}
		return e
	})
	switch {
	case e != nil:
		t.reject(e, d)
		return
	case oversized != nil:
		t.reject(deviceError(oversized), d)
		return
	case n == 0:
		d.Settle(accepted)
		return
	}
	t.expect(unconfirmed{delivery: d, size: len(d.Payload), left: n})
	stored := 0
	var err error
	eachInBatch(d.Payload, func(payload []byte) *amqpwire.Error {
		if e := t.conn.in.read(m, payload, true); e != nil {
			return e // it was readable a moment ago
		}
		if err = t.ingest.Telemetry(t.link.Context(), m); err != nil {
			return deviceError(err)
		}
		stored++
		return nil
	})
	if err != nil {
		t.failed(n-stored, err)
	}
}

// eachInBatch calls f with the content of each data section, until it fails.
func eachInBatch(payload []byte, f func([]byte) *amqpwire.Error) *amqpwire.Error {
	in := amqpwire.NewReader(payload)
	for in.More() {
		switch s := in.Section(); {
		case s == amqpwire.SectionData:
			part := in.Bytes()
			if in.Err() != nil {
				break
			}
			if e := f(part); e != nil {
				return e
			}
		case s == amqpwire.SectionValue || s == amqpwire.SectionSequence:
			return newError(amqpwire.DecodeError, "A batch holds its messages in data sections.")
		default:
			in.Skip()
		}
	}
	if err := in.Err(); err != nil {
		return newError(amqpwire.DecodeError, "The batch cannot be decoded: %s.", err)
	}
	return nil
}

// awaitRoom waits while too many bytes are unconfirmed. It reports false when the link has ended.
func (t *telemetryLink) awaitRoom() bool {
	for {
		t.mu.Lock()
		t.paused = t.bytes >= maxUnconfirmed
		paused := t.paused
		t.mu.Unlock()
		if !paused {
			return true
		}
		select {
		case <-t.wake:
		case <-t.link.Context().Done():
			return false
		}
	}
}

// expect notes a delivery that goes to the log.
func (t *telemetryLink) expect(u unconfirmed) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.head == len(t.ring) {
		t.ring, t.head = t.ring[:0], 0
	}
	t.ring = append(t.ring, u)
	t.bytes += u.size
}

// failed takes back n messages of the newest delivery, which the log did not take. The delivery is refused once it is known
// what became of the rest.
func (t *telemetryLink) failed(n int, err error) {
	t.mu.Lock()
	last := len(t.ring) - 1
	u := &t.ring[last]
	u.left -= n
	u.err = err
	over := *u
	if u.left == 0 {
		t.bytes -= u.size
		t.ring[last] = unconfirmed{}
		t.ring = t.ring[:last]
	}
	t.mu.Unlock()
	if over.left == 0 {
		t.refuse(&over)
	}
}

// confirmed is the log's callback: the n oldest messages are durable, or, with an error, may not be.
func (t *telemetryLink) confirmed(n int, err error) {
	var refused []unconfirmed
	t.settling = t.settling[:0]
	t.mu.Lock()
	for n > 0 && t.head < len(t.ring) {
		u := &t.ring[t.head]
		taken := min(n, u.left)
		n -= taken
		u.left -= taken
		if err != nil {
			u.err = err
		}
		if u.left > 0 {
			break
		}
		if u.err != nil {
			refused = append(refused, *u)
		} else {
			t.settling = append(t.settling, u.delivery)
		}
		t.bytes -= u.size
		*u = unconfirmed{}
		t.head++
	}
	t.compactLocked()
	wake := t.paused && t.bytes < maxUnconfirmed
	t.mu.Unlock()
	t.link.SettleAll(accepted, t.settling...)
	clear(t.settling)
	if cap(t.settling) > maxIdleRing {
		t.settling = nil
	}
	for i := range refused {
		t.refuse(&refused[i])
	}
	if wake {
		select {
		case t.wake <- struct{}{}:
		default:
		}
	}
}

// compactLocked drops what is confirmed from the front of the ring, now and then, and an idle link's ring altogether.
func (t *telemetryLink) compactLocked() {
	switch {
	case t.head == len(t.ring):
		t.ring, t.head = t.ring[:0], 0
		if cap(t.ring) > maxIdleRing {
			t.ring = nil
		}
	case t.head > len(t.ring)/2 && t.head > maxIdleRing:
		n := copy(t.ring, t.ring[t.head:])
		clear(t.ring[n:])
		t.ring, t.head = t.ring[:n], 0
	}
}

// refuse tells the device that a delivery was not stored, or not all of it.
func (t *telemetryLink) refuse(u *unconfirmed) {
	e := deviceError(u.err)
	if e.Condition == amqpwire.InternalError && t.link.Context().Err() == nil {
		t.conn.logger.Error("telemetry not stored", "hub", t.conn.hub, "error", u.err, "tracking", t.conn.server.track(e))
	}
	u.delivery.Settle(&amqpwire.Rejected{Error: e})
}

// reject refuses what is wrong in itself.
func (t *telemetryLink) reject(e *amqpwire.Error, d *amqpengine.Delivery) {
	t.conn.logger.Debug("amqp telemetry refused", "hub", t.conn.hub, "error", e.Error(), "tracking", t.conn.server.track(e))
	d.Settle(&amqpwire.Rejected{Error: e})
}

// deviceError is wireError for the SDKs of the hub: those do not know the condition by which Event Hubs says that it is busy.
//
// Source: spec/amqp.md 6.1, 7.2.
func deviceError(err error) *amqpwire.Error {
	var wire *amqpwire.Error
	if errors.As(err, &wire) {
		return wire
	}
	e := wireError(err)
	if e.Condition == conditionServerBusy {
		e.Condition = amqpwire.DetachForced
	}
	return e
}
