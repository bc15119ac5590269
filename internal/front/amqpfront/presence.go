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
// Source: spec/amqp.md 5.2.
const propertyModel = "com.microsoft:model-id"

// presence is a device that is connected here: from its first link on this connection to its last. It is the hub's
// Session. One connection may carry many devices, so what ends a presence detaches the device's links and leaves the
// connection be, on which a client may go on or give up, as it knows best: Node gives up on amqp:link:stolen, where it
// would come back from a closed connection and take the device in turn.
//
// Source: spec/amqp.md 3.9, 5.8.
type presence struct {
	conn *conn
	id   hubward.Identity

	// conn.mu guards the fields below.
	link  *hub.Link // nil until the hub has answered
	links map[*amqpengine.Link]struct{}
	over  bool
	end   error // why the hub ended it; nil: it did not

	receiving *deviceBoundLink // nil: it does not receive
}

var _ hub.Session = (*presence)(nil)

// join makes l one of the links of the device that a names, which is connected by that if it was not.
func (c *conn) join(l *amqpengine.Link, a *address) (*presence, error) {
	c.mu.Lock()
	p := c.devices[a.device]
	if p != nil {
		p.links[l] = struct{}{}
	}
	c.mu.Unlock()
	if p != nil {
		return p, nil
	}
	p = &presence{conn: c, id: a.device, links: map[*amqpengine.Link]struct{}{l: {}}}
	model, _ := amqpwire.Text(l.Attach().Properties.Get(propertyModel))
	ctx, cancel := context.WithTimeout(c.engine.Context(), storeTimeout)
	defer cancel()
	link, err := c.server.hub.ConnectGranted(ctx, hub.GrantedRequest{
		Hub: c.hub, Identity: a.device, Grant: c.grantOf(a.scope), ModelID: model, Session: p,
	})
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	p.link = link
	over, end := p.over, p.end
	if !over {
		c.devices[p.id] = p
	}
	c.mu.Unlock()
	if over { // before the hub's answer was here
		link.Disconnect()
		return nil, end
	}
	c.logger.Debug("amqp device connected", "hub", c.hub, "device", p.id.Device)
	return p, nil
}

// leave is called when a link of the device has ended. The last one takes the device with it.
func (p *presence) leave(l *amqpengine.Link) {
	c := p.conn
	c.forget(l)
	c.mu.Lock()
	delete(p.links, l)
	last := len(p.links) == 0 && !p.over
	if last {
		p.over = true
		delete(c.devices, p.id)
	}
	c.mu.Unlock()
	if last {
		p.link.Disconnect()
	}
}

// Close implements hub.Session. What the device was granted on its own credentials goes too, unless all that happened is
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
	if c.devices[p.id] == p {
		delete(c.devices, p.id)
	}
	if code != hubward.CodeConnectionClosedOnNewOne {
		c.revokeLocked(p.id.Device)
	}
	links, link := slices.Collect(maps.Keys(p.links)), p.link
	c.mu.Unlock()
	if code == hubward.CodeHubNotFound {
		c.fail(newError(amqpwire.ConnectionForced, "The hub %s was deleted.", c.hub))
	} else if link != nil {
		e := wireError(reason)
		c.logger.Info("amqp device detached", "hub", c.hub, "device", p.id.Device, "error", reason, "tracking", c.server.track(e))
		for _, l := range links {
			l.Detach(e)
		}
	}
	if link != nil {
		link.Disconnect()
	}
}
