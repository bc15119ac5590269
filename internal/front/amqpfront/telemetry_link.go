package amqpfront

import (
	"errors"
	"sync"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpengine"
	"github.com/hubward/hubward/internal/front/unacked"
	"github.com/hubward/hubward/internal/hub"
)

// Bounds of a telemetry link.
const (
	// maxDelivery is the max-message-size: the largest message with what its encoding takes, or a batch of the same size.
	maxDelivery = hubward.MaxMessageSize + 32<<10
	// telemetryCredit is how many deliveries may be on their way into the log.
	telemetryCredit = 1000
	// maxUnconfirmed is how many bytes may be: beyond it the connection is not read.
	maxUnconfirmed = 1 << 20
	maxIdleSettled = 64 // deliveries that a link keeps room for
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

// attachModuleInput serves a link on which a module waits for what is routed to it. Only an Edge device routes anything.
//
// Source: learn.microsoft.com/azure/iot-edge/iot-edge-modules; Azure/azure-iot-sdk-node device/transport/amqp/src/amqp.ts.
func attachModuleInput(c *conn, l *amqpengine.Link, a *address) *amqpwire.Error {
	if a.identity.Module == "" {
		return newError(amqpwire.NotAllowed, "A device sends to its messages/events. It receives from messages/devicebound.")
	}
	return attachWaiting(c, l, a)
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

	mu          sync.Mutex                 // guards the fields below; a leaf
	unconfirmed unacked.Queue[unconfirmed] // what the log has not confirmed
	paused      bool                       // the reader waits
}

// unconfirmed is a delivery that the log has not confirmed.
type unconfirmed struct {
	delivery *amqpengine.Delivery
	err      error // of one of its messages that was not stored
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
	t.expect(d, 1)
	if err := t.ingest.Telemetry(t.link.Context(), m); err != nil {
		t.failed(1, err)
	}
}

// batch takes a delivery whose data sections each hold one encoded message. All of them are looked at before the first is
// stored: they are refused together.
//
// Source: Azure/azure-iot-sdk-c iothub_client/src/uamqp_messaging.c, which sends nothing else.
func (t *telemetryLink) batch(d *amqpengine.Delivery) {
	m := &t.conn.message
	n := 0
	var refused error
	e := eachInBatch(d.Payload, func(payload []byte) *amqpwire.Error {
		n++
		e := t.conn.in.read(m, payload, true)
		if e == nil && refused == nil && hub.CheckTelemetry(m) != nil {
			refused = t.ingest.Telemetry(t.link.Context(), m) // which counts it
		}
		return e
	})
	switch {
	case e != nil:
		t.reject(e, d)
		return
	case refused != nil:
		t.reject(deviceError(refused), d)
		return
	case n == 0:
		d.Settle(accepted)
		return
	}
	t.expect(d, n)
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
	var seen amqpwire.Sections
	for in.More() {
		switch s := in.Section(); {
		case in.Err() != nil:
		case !seen.Add(s):
			return errSectionAgain()
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
		t.paused = t.unconfirmed.Bytes() >= maxUnconfirmed
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

// expect notes a delivery of so many messages that goes to the log.
func (t *telemetryLink) expect(d *amqpengine.Delivery, messages int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unconfirmed.Append(unconfirmed{delivery: d}, len(d.Payload), messages)
}

// failed takes back n messages of the newest delivery, which the log did not take. The delivery is refused once it is known
// what became of the rest.
func (t *telemetryLink) failed(n int, err error) {
	var refused *unconfirmed
	t.mu.Lock()
	t.unconfirmed.TakeBack(n, func(u *unconfirmed, over bool) {
		u.err = err
		if over {
			refused = &unconfirmed{u.delivery, err}
		}
	})
	t.mu.Unlock()
	if refused != nil {
		t.refuse(refused)
	}
}

// confirmed is the log's callback: the n oldest messages are durable, or, with an error, may not be.
func (t *telemetryLink) confirmed(n int, err error) {
	var refused []unconfirmed
	settling := t.settling[:0]
	t.mu.Lock()
	t.unconfirmed.Confirm(n, func(u *unconfirmed, over bool) {
		if err != nil {
			u.err = err
		}
		switch {
		case !over:
		case u.err != nil:
			refused = append(refused, *u)
		default:
			settling = append(settling, u.delivery)
		}
	})
	wake := t.paused && t.unconfirmed.Bytes() < maxUnconfirmed
	t.mu.Unlock()
	t.link.SettleAll(accepted, settling...)
	clear(settling)
	t.settling = settling
	if cap(settling) > maxIdleSettled {
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

// refuse tells the device that a delivery was not stored, or not all of it.
func (t *telemetryLink) refuse(u *unconfirmed) {
	e := deviceError(u.err)
	if e.Condition == amqpwire.InternalError && t.link.Context().Err() == nil {
		t.conn.logger.Error("telemetry not stored", "hub", t.conn.hub.Name, "error", u.err, "tracking", t.conn.server.track(e))
	}
	u.delivery.Settle(&amqpwire.Rejected{Error: e})
}

// reject refuses what is wrong in itself.
func (t *telemetryLink) reject(e *amqpwire.Error, d *amqpengine.Delivery) {
	t.conn.logger.Debug("amqp telemetry refused", "hub", t.conn.hub.Name, "error", e.Error(), "tracking", t.conn.server.track(e))
	d.Settle(&amqpwire.Rejected{Error: e})
}

// deviceError is wireError for the SDKs of the hub: those do not know the condition by which Event Hubs says that it is busy.
//
// Source: Azure/azure-iot-sdk-node common/transport/amqp/src/amqp_common_errors.ts; AmqpIotErrorAdapter.cs of
// Azure/azure-iot-sdk-csharp.
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
