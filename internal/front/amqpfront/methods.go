package amqpfront

import (
	"slices"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpengine"
	"github.com/hubward/hubward/internal/hub"
)

// Bounds of the links of direct methods.
const (
	// maxCalls is how many calls wait for credit of a link: what the hub hands out at once, and as many of which the callers do
	// not wait any more.
	maxCalls     = 2000
	maxCallBytes = 8 << 20 // of these
	// methodCredit is how many answers may be on their way: to as many calls as the hub hands out at once.
	methodCredit = 1000
	// maxMethodResponse is the max-message-size of an answer: the longest payload, with what its encoding takes.
	maxMethodResponse = hubward.MaxMethodPayload + 32<<10
)

// methodLink is a link on which an identity takes direct methods. It takes them once it has given credit.
type methodLink struct {
	// Set before there is credit, never changed after.
	presence *presence
	link     *amqpengine.Link
	outlet   outlet

	taking bool // conn.mu guards it
}

// attachMethods serves the two links of direct methods: one on which an identity takes them, one on which it answers. They
// belong together by the ids of the calls alone.
//
// Source: Azure/azure-iot-sdk-c iothub_client/src/iothubtransportamqp_methods.c; Azure/azure-iot-sdk-node
// device/transport/amqp/src/amqp_device_method_client.ts.
func attachMethods(c *conn, l *amqpengine.Link, a *address) *amqpwire.Error {
	p, err := c.join(l, a)
	if err != nil {
		return deviceError(err)
	}
	if l.Attach().Role == amqpwire.RoleSender {
		l.AcceptReceiver(amqpengine.ReceiverOptions{
			Deliver: p.respondMethod, Closed: func() { p.leave(l) }, Credit: methodCredit,
			MaxMessageSize: maxMethodResponse, Truncate: true, // who waits for the answer is told that it is too long
		})
		return nil
	}
	m := &methodLink{presence: p, link: l}
	m.outlet.sender = l.AcceptSender(amqpengine.SenderOptions{
		OnCredit: m.credit, Closed: m.closed, MaxPosted: maxCalls, MaxPostedBytes: maxCallBytes,
	})
	c.mu.Lock()
	p.methods = append(p.methods, m)
	c.mu.Unlock()
	return nil
}

// credit is told where the peer's credit ends. The first credit says that the identity takes methods.
func (m *methodLink) credit(limit uint32) {
	m.outlet.credit(limit)
	c := m.presence.conn
	c.mu.Lock()
	first := limit > 0 && !m.taking
	m.taking = m.taking || first
	c.mu.Unlock()
	if first {
		m.presence.link.TakeMethods(true)
	}
}

// closed is called when the link has ended. The last one ends the taking of methods.
func (m *methodLink) closed() {
	p := m.presence
	p.conn.mu.Lock()
	p.methods = slices.DeleteFunc(p.methods, func(o *methodLink) bool { return o == m })
	last := m.taking && !slices.ContainsFunc(p.methods, (*methodLink).takes)
	p.conn.mu.Unlock()
	if last {
		p.link.TakeMethods(false)
	}
	p.leave(m.link)
}

// takes reports whether the link takes methods now.
func (m *methodLink) takes() bool { return m.taking && m.link.Context().Err() == nil }

// callMethod is called by the hub with a direct method. The newest link that has credit gets it; if none has any, the newest.
func (p *presence) callMethod(m *hub.MethodCall) {
	c := p.conn
	c.mu.Lock()
	var to *methodLink
	for _, l := range p.methods {
		if l.takes() && (to == nil || l.outlet.hasCredit() || !to.outlet.hasCredit()) {
			to = l
		}
	}
	c.mu.Unlock()
	if to == nil {
		return // it ended a moment ago: the hub is told, or waits in vain
	}
	payload, err := encodeMethod(m)
	if err != nil {
		c.logger.Error("direct method not encoded", "hub", c.hub.Name, "device", p.id.String(), "error", err)
		return
	}
	to.outlet.post(payload, nil)
}

// respondMethod takes an answer. One that belongs to no call is accepted: who waited does not wait any more. What cannot be
// read is rejected.
func (p *presence) respondMethod(d *amqpengine.Delivery) {
	r, e := readMethodResponse(d.Payload, d.Truncated)
	if e != nil {
		p.conn.logger.Debug("answer to a direct method refused", "hub", p.conn.hub.Name, "device", p.id.String(), "error", e.Error())
		d.Settle(&amqpwire.Rejected{Error: e})
		return
	}
	if r.known {
		p.link.RespondMethod(r.call, r.status, r.payload)
	}
	d.Settle(accepted)
}
