package amqpfront

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpengine"
	"github.com/hubward/hubward/internal/hub"
)

// storeTimeout bounds what a peer waits for the store.
const storeTimeout = 20 * time.Second

// propertyModel is the property of an attach that names the device's Plug and Play model.
//
// Source: Azure/azure-iot-sdk-csharp iothub/device/src/Transport/AmqpIot/AmqpIotConstants.cs.
const propertyModel = "com.microsoft:model-id"

// presence is a device or a module that is connected here: from its first link on this connection to its last. It is the
// hub's Session. One connection may carry many, so what ends a presence detaches its links and leaves the connection be, on
// which a client may go on or give up, as it knows best: Node gives up on amqp:link:stolen, where it would come back from a
// closed connection and take the device in turn.
//
// Source: Azure/azure-iot-sdk-node common/transport/amqp/src/amqp.ts, amqp_common_errors.ts.
type presence struct {
	conn *conn
	id   hubward.Identity

	// conn.mu guards the fields below.
	link  *hub.Link // nil until the hub has answered
	links map[*amqpengine.Link]struct{}
	over  bool
	end   error // why the hub ended it; nil: it did not

	receiving *deviceBoundLink // nil: it does not receive
	twin      *twinNode        // nil until the first link to it
	methods   []*methodLink    // on which it may take direct methods; the oldest first
}

var _ hub.Session = (*presence)(nil)

// join makes l one of the links of the identity that a names, which is connected by that if it was not.
func (c *conn) join(l *amqpengine.Link, a *address) (*presence, error) {
	// Observed with azure-iot-device-amqp 1.7 for Node: it comes back at once when the connection breaks; when it is closed,
	// it waits for answers to its detaches first, up to 45 seconds.
	l.CutAtShutdown()
	c.mu.Lock()
	p := c.presences[a.identity]
	if p != nil {
		p.links[l] = struct{}{}
	}
	c.mu.Unlock()
	if p != nil {
		return p, nil
	}
	p = &presence{conn: c, id: a.identity, links: map[*amqpengine.Link]struct{}{l: {}}}
	model, _ := amqpwire.Text(l.Attach().Properties.Get(propertyModel))
	ctx, cancel := context.WithTimeout(c.engine.Context(), storeTimeout)
	defer cancel()
	link, err := c.server.hub.Connect(ctx, c.principalOf(l), hub.ConnectRequest{Identity: p.id, ModelID: model, Session: p})
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	p.link = link
	over, end := p.over, p.end
	if !over {
		c.presences[p.id] = p
	}
	c.mu.Unlock()
	if over { // before the hub's answer was here
		c.server.disconnect(link)
		return nil, end
	}
	c.logger.Debug("amqp device connected", "hub", c.hub.Name, "device", p.id.String())
	return p, nil
}

// leave is called when a link of the presence has ended, and its receiver was stopped if it had one. The last one takes the
// presence with it, once the hub has carried out what the identity asked of its twin before.
func (p *presence) leave(l *amqpengine.Link) {
	c := p.conn
	c.forget(l)
	c.mu.Lock()
	delete(p.links, l)
	if len(p.links) == 0 && !p.over {
		p.over = true
		delete(c.presences, p.id)
		c.server.disconnectAfter(p.twin, p.link)
	}
	c.mu.Unlock()
}

// Deliver implements hub.Session.
func (p *presence) Deliver(d hub.Delivery) {
	switch d := d.(type) {
	case *hub.C2DDelivery:
		p.deliverC2D(d)
	case *hub.MethodCall:
		p.callMethod(d)
	case *hub.DesiredChange:
		p.desiredChanged(d)
	}
}

// Close implements hub.Session. What the identity was granted on its own credentials goes too, unless all that happened is
// that it connected elsewhere.
func (p *presence) Close(reason error) {
	c := p.conn
	code := hubward.CodeOf(reason)
	c.mu.Lock()
	if p.over {
		c.mu.Unlock()
		return
	}
	p.over, p.end = true, reason
	if c.presences[p.id] == p {
		delete(c.presences, p.id)
	}
	if code != hubward.CodeConnectionClosedOnNewOne {
		c.revokeLocked(p.id)
	}
	links, link := slices.Collect(maps.Keys(p.links)), p.link
	if link != nil {
		c.server.disconnect(link)
	}
	c.mu.Unlock()
	if code == hubward.CodeHubNotFound {
		c.fail(c.hubDeleted(amqpwire.ConnectionForced))
	} else if link != nil {
		e := wireError(reason)
		c.logger.Info("amqp device detached", "hub", c.hub.Name, "device", p.id.String(), "error", reason, "tracking", c.server.track(e))
		for _, l := range links {
			l.Detach(e)
		}
	}
}
