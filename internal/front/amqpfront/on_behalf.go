package amqpfront

import (
	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpengine"
	"github.com/hubward/hubward/internal/hub/access"
)

// propertyChain is the property of an attach by which an Edge hub says how the identity is below it.
//
// Source: Azure/azure-iot-sdk-csharp iothub/device/src/Transport/AmqpIot/AmqpIotConstants.cs (AuthChain).
const propertyChain = "com.microsoft:auth-chain"

// restOnBehalf lets a link of an identity rest on an Edge hub that has put its token on the connection. An Edge hub puts the same
// token for each identity that it connects, and names that one in the link alone. tried reports whether there is any.
//
// Source: Azure/iotedge edge-hub/core/src/Microsoft.Azure.Devices.Edge.Hub.CloudProxy/CloudConnectionProvider.cs, and pull
// request 3552 of how the hub's side tells who acts for whom.
func (c *conn) restOnBehalf(l *amqpengine.Link, a *address, r requirement) (tried bool, err error) {
	actors := c.edgeHubs()
	if len(actors) == 0 {
		return false, nil
	}
	chain, _ := amqpwire.Text(l.Attach().Properties.Get(propertyChain))
	p, err := c.server.hub.OnBehalf(c.engine.Context(), actors, a.identity, chain)
	if err == nil {
		err = c.hold("on behalf of "+a.identity.String(), p)
	}
	if err != nil {
		c.logger.Info("amqp link of an edge hub refused", "hub", c.hub.Name, "device", a.identity.String(), "error", err)
		return true, err
	}
	if !c.rest(l, r) {
		return true, unauthorized("Unauthorized access: the token of the Edge hub is not good for '%s'.", a.text())
	}
	return true, nil
}

// edgeHubs returns the Edge hubs that the connection holds a token of; there is hardly more than one.
func (c *conn) edgeHubs() []*access.Principal {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.server.now()
	var found []*access.Principal
	for _, h := range c.principals {
		if h.IsEdgeHub() && !h.Expired(now) && len(found) < maxEdgeHubs {
			found = append(found, &h.Principal)
		}
	}
	return found
}

// maxEdgeHubs bounds how many Edge hubs of one connection are asked for a link.
const maxEdgeHubs = 8

// renewBehalfLocked has what an Edge hub was given on behalf of others live as long as the token that it has put anew.
func (c *conn) renewBehalfLocked(actor *heldPrincipal) {
	if !actor.IsEdgeHub() {
		return
	}
	for scope, h := range c.principals {
		if h.Actor == (hubward.Identity{}) {
			continue
		}
		if p, ok := h.ActedBy(&actor.Principal); ok {
			c.principals[scope] = &heldPrincipal{Principal: p, ends: actor.ends, served: h.served}
		}
	}
}
