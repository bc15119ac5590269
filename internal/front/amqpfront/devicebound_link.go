package amqpfront

import (
	"sync"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpengine"
	"github.com/hubward/hubward/internal/hub"
)

// maxDeviceBound is how many messages a link asks the hub for before they are settled, however large the peer's credit:
// some clients give 10,000. A queue is not as deep.
const maxDeviceBound = 1000

// attachDeviceBound serves a link on which a device receives its messages. There are none for modules, but the SDKs for C and
// Java have a module wait for some.
//
// Source: AmqpsTelemetryReceiverLinkHandler.java of Azure/azure-iot-sdk-java; Azure/azure-iot-sdk-c
// iothub_client/src/iothubtransport_amqp_telemetry_messenger.c.
func attachDeviceBound(c *conn, l *amqpengine.Link, a *address) *amqpwire.Error {
	if a.identity.Module != "" {
		return attachWaiting(c, l, a)
	}
	p, err := c.join(l, a)
	if err != nil {
		return deviceError(err)
	}
	d := &deviceBoundLink{conn: c, link: l, presence: p, receiver: p.link.ReceiveC2D(0)}
	older := p.receive(d)
	d.sender = l.AcceptSender(amqpengine.SenderOptions{
		OnCredit: d.credit, Closed: d.closed, MaxPosted: maxDeviceBound,
	})
	if older != nil {
		older.link.Detach(newError(amqpwire.LinkStolen, "Another link receives the messages of the device."))
	}
	return nil
}

// receive makes d the link on which the device receives, and returns the one that was.
func (p *presence) receive(d *deviceBoundLink) (older *deviceBoundLink) {
	p.conn.mu.Lock()
	defer p.conn.mu.Unlock()
	older, p.receiving = p.receiving, d
	return older
}

// deliverC2D is called by the hub with the next message. What is not for the link that receives now goes back.
func (p *presence) deliverC2D(m *hub.C2DDelivery) {
	p.conn.mu.Lock()
	d := p.receiving
	p.conn.mu.Unlock()
	if d == nil || d.receiver != m.Receiver {
		m.Receiver.Settle(m.LockToken, hub.C2DReturn, nil)
		return
	}
	d.deliver(m)
}

// deviceBoundLink hands messages to a device.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-messages-c2d.
type deviceBoundLink struct {
	// Set before the link is accepted, never changed after.
	conn     *conn
	link     *amqpengine.Link
	presence *presence
	receiver *hub.C2DReceiver
	sender   *amqpengine.Sender // set before there is credit

	mu      sync.Mutex // guards the fields below; never held across a call of engine or hub
	limit   uint32     // how many messages the peer takes in all; it grows modulo 2^32
	asked   uint32     // how many the hub was asked for
	taken   uint32     // how many it has given
	settled uint32     // how many have an outcome
}

// credit is told where the peer's credit ends.
func (d *deviceBoundLink) credit(limit uint32) {
	d.mu.Lock()
	d.limit = limit
	d.mu.Unlock()
	d.ask()
}

// ask asks the hub for as many messages as the peer takes and are not too many unsettled.
func (d *deviceBoundLink) ask() {
	d.mu.Lock()
	target := d.limit
	if most := d.settled + maxDeviceBound; int32(target-most) > 0 {
		target = most
	}
	more := int32(target - d.asked)
	left := max(int32(target-d.taken), 0)
	switch {
	case more > 0:
		d.asked = target
	case more < 0: // the peer has taken credit back, or had it used up
		d.asked = d.taken + uint32(left)
	}
	d.mu.Unlock()
	switch {
	case more > 0:
		d.receiver.Credit(int(more))
	case more < 0:
		d.receiver.SetCredit(int(left))
	}
}

// deliver sends a message. It does not block.
func (d *deviceBoundLink) deliver(c *hub.C2DDelivery) {
	d.mu.Lock()
	d.taken++
	d.mu.Unlock()
	payload, err := encodeDeviceBound(c, d.conn.hub.Name)
	if err != nil {
		d.conn.logger.Error("message to a device not encoded", "hub", d.conn.hub.Name, "device", d.presence.id.String(), "error", err)
		d.settle(c.LockToken, hub.C2DReject, nil)
		return
	}
	d.sender.Post(amqpengine.Outgoing{
		Payload: payload, Tag: guidTag(c.LockToken),
		OnOutcome: func(state amqpwire.DeliveryState, answer amqpengine.Answer) { d.outcome(c.LockToken, state, answer) },
	})
}

// outcome is called with what the device makes of a message.
func (d *deviceBoundLink) outcome(token string, state amqpwire.DeliveryState, answer amqpengine.Answer) {
	outcome, ok := c2dOutcome(state)
	if !ok {
		return // the link has ended: all of it goes back
	}
	d.settle(token, outcome, func(err error) { answer.Settle(d.conn.confirmation(state, err)) })
	d.ask()
}

func (d *deviceBoundLink) settle(token string, outcome hub.C2DOutcome, done func(error)) {
	d.mu.Lock()
	d.settled++
	d.mu.Unlock()
	d.receiver.Settle(token, outcome, done)
}

// c2dOutcome is what a delivery state means for a message; false for the end of the link.
//
// Source: AMQP 1.0 part 3 §3.4; learn.microsoft.com/azure/iot-hub/iot-hub-devguide-messages-c2d.
func c2dOutcome(state amqpwire.DeliveryState) (outcome hub.C2DOutcome, ok bool) {
	switch state := state.(type) {
	case *amqpwire.Accepted:
		return hub.C2DComplete, true
	case *amqpwire.Rejected:
		return hub.C2DReject, true
	case *amqpwire.Modified:
		if state.UndeliverableHere {
			return hub.C2DReject, true
		}
		return hub.C2DAbandon, true
	case *amqpwire.Released:
		return hub.C2DAbandon, true
	}
	return 0, false
}

// confirmation is what a peer that waits is told of its outcome: that it counts, or why not.
//
// Source: AMQP 1.0 part 2 §2.6.12; Azure/azure-amqp Microsoft.Azure.Amqp/Amqp/ReceivingAmqpLink.cs waits for a settled
// disposition of the same state.
func (c *conn) confirmation(state amqpwire.DeliveryState, err error) amqpwire.DeliveryState {
	if err == nil {
		return state
	}
	e := deviceError(err)
	if code := hubward.CodeOf(err); code == hubward.CodeServerError {
		c.logger.Error("the outcome of a message was not stored", "hub", c.hub.Name, "error", err, "tracking", c.server.track(e))
	}
	return &amqpwire.Rejected{Error: e}
}

// closed gives back what the device holds.
func (d *deviceBoundLink) closed() {
	d.receiver.Stop()
	c := d.conn
	c.mu.Lock()
	if d.presence.receiving == d {
		d.presence.receiving = nil
	}
	c.mu.Unlock()
	d.presence.leave(d.link)
}
