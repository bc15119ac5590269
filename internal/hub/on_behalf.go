package hub

import (
	"context"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/sas"
)

// An Edge hub connects the modules of its device, and the devices in its scope with their modules, by its own token: that of the
// module $edgeHub. Who is in its scope, the registry says: a device names its parent, and that one its own. All of them have to
// be there and enabled, and each parent an Edge device whose scope is the one that is named.
//
// Source: learn.microsoft.com/azure/iot-edge/iot-edge-as-gateway, parent and child relationships; of the Edge hub's side
// Azure/iotedge edge-hub/core/src/Microsoft.Azure.Devices.Edge.Hub.CloudProxy/CloudConnectionProvider.cs, of the same rules
// Microsoft.Azure.Devices.Edge.Hub.Core/ServiceIdentityTree.cs.

// errActor ends a connection that an Edge hub has made for an identity that it may not act for any more.
var errActor = hubward.Errorf(hubward.CodeUnauthorizedAccess, "the Edge hub may not act on behalf of the identity any more")

// actsFor reports whether a token without a policy is for an Edge hub, where the peer says that it is somebody else.
func actsFor(t *sas.Token, claimed hubward.Identity) bool {
	if claimed == (hubward.Identity{}) {
		return false
	}
	edgeHub := false
	for _, id := range access.Identities(t) {
		if id == claimed {
			return false
		}
		edgeHub = edgeHub || id.Module == access.EdgeHubModule
	}
	return edgeHub
}

// authenticateOnBehalf checks the token of an Edge hub that logs in as somebody else.
func (h *Hub) authenticateOnBehalf(ctx context.Context, s *state, t *sas.Token, c *access.Credential) (access.Principal, error) {
	actor, err := h.authenticateIdentity(ctx, s, t, hubward.Identity{})
	if err != nil {
		return access.Principal{}, err
	}
	return h.onBehalf(ctx, s, &actor, c.Identity, c.Chain)
}

// OnBehalf returns the principal by which one of actors, who have logged in, connects the identity id: that of an Edge hub in
// whose scope id is. chain is as in access.Credential. That the Edge hub's key is still its own, Connect looks at.
//
// Errors: CodeUnauthorizedAccess, with the reason in the cause, also when there is no such identity; the store's.
func (h *Hub) OnBehalf(ctx context.Context, actors []*access.Principal, id hubward.Identity, chain string) (access.Principal, error) {
	err := access.Refuse(access.ReasonResource, "no Edge hub has logged in")
	for _, actor := range actors {
		var s *state
		if s, _, err = h.hubOf(actor); err != nil {
			continue
		}
		var p access.Principal
		if p, err = h.onBehalf(ctx, s, actor, id, chain); err == nil {
			return p, nil
		}
	}
	if ctx.Err() == nil && len(actors) > 0 {
		h.observer.LoginRefused(actors[0].Hub.Name, access.ReasonOf(err))
	}
	return access.Principal{}, err
}

func (h *Hub) onBehalf(ctx context.Context, s *state, actor *access.Principal, id hubward.Identity, chain string) (access.Principal, error) {
	if !actor.IsEdgeHub() {
		return access.Principal{}, access.Refuse(access.ReasonResource, "nobody but an Edge hub acts on behalf of others")
	}
	if err := h.checkScope(ctx, s, actor.Identity.Device, id, chain); err != nil {
		return access.Principal{}, err
	}
	entry, err := h.enabledEntry(ctx, s, id)
	if err != nil {
		return access.Principal{}, asRefusal(err)
	}
	return actor.OnBehalf(id, entry, h.now())
}

// checkActor sees that the Edge hub that acts by p is still who it was, and may still act for p's identity.
func (h *Hub) checkActor(ctx context.Context, s *state, p *access.Principal) error {
	entry, err := h.enabledEntry(ctx, s, p.Actor)
	if err != nil {
		return asRefusal(err)
	}
	if err := p.VerifyActor(entry); err != nil {
		return err
	}
	return h.checkScope(ctx, s, p.Actor.Device, p.Identity, "")
}

// checkScope sees that an identity is in the scope of an Edge device, by a way that reads as chain says if that says anything.
//
// Errors: CodeUnauthorizedAccess; the store's.
func (h *Hub) checkScope(ctx context.Context, s *state, edge string, id hubward.Identity, chain string) error {
	ancestors, err := h.ancestors(ctx, s, id, edge)
	switch {
	case err != nil:
		return asRefusal(err)
	case chain != "" && chain != access.Chain(id, ancestors...):
		return access.Refuse(access.ReasonResource, "the authentication chain is not what the registry says")
	}
	return nil
}

// ancestors returns the Edge devices above an identity, the nearest first, up to the one that is named. A module's first is its
// own device, if that is an Edge device.
//
// Errors: CodeUnauthorizedAccess when the way does not lead there; CodeDeviceNotFound; the store's.
func (h *Hub) ancestors(ctx context.Context, s *state, id hubward.Identity, edge string) (ancestors []string, err error) {
	d, err := h.enabledEntry(ctx, s, hubward.Identity{Device: id.Device})
	if err != nil {
		return nil, err
	}
	layers := 0
	if d.Capabilities.IotEdge {
		layers = 1
		if id.Module != "" {
			ancestors = append(ancestors, id.Device)
		}
	}
	for len(ancestors) == 0 || ancestors[len(ancestors)-1] != edge {
		if layers == maxEdgeLevels {
			return nil, access.Refuse(access.ReasonResource, "the identity is below too many Edge devices")
		}
		if d, err = h.parent(ctx, s, d); err != nil {
			return nil, err
		}
		if d.DeviceID == id.Device {
			return nil, access.Refuse(access.ReasonResource, "the identity is below itself")
		}
		layers++
		ancestors = append(ancestors, d.DeviceID)
	}
	return ancestors, nil
}

// parent returns the Edge device in whose scope a device is.
func (h *Hub) parent(ctx context.Context, s *state, d *hubward.Device) (*hubward.Device, error) {
	scope := parentScope(d)
	id, ok := edgeDeviceOf(scope)
	if !ok {
		return nil, access.Refuse(access.ReasonResource, "the identity is not in the scope of the Edge device")
	}
	parent, err := h.enabledEntry(ctx, s, hubward.Identity{Device: id})
	if err != nil {
		return nil, err
	}
	if !parent.Capabilities.IotEdge || parent.DeviceScope != scope {
		return nil, access.Refuse(access.ReasonResource, "the scope that a device names is not its parent's any more")
	}
	return parent, nil
}

// asRefusal makes who is not there one who may not: an Edge hub learns nothing of what is not below it.
func asRefusal(err error) error {
	switch hubward.CodeOf(err) {
	case hubward.CodeDeviceNotFound, hubward.CodeModuleNotFound:
		return access.Refuse(access.ReasonUnknown, "an identity of the chain is not registered")
	}
	return err
}

// bearsOnScopes reports whether an edit of an identity may end that an Edge hub acts for it or for others.
func bearsOnScopes(old, next *Registration) bool {
	switch {
	case old == nil:
		return false
	case old.ModuleID == access.EdgeHubModule || old.Capabilities.IotEdge:
		return next == nil || reasonToClose(old, next) != nil || !sameScopes(old, next)
	}
	return next != nil && !sameScopes(old, next)
}

func sameScopes(a, b *Registration) bool {
	return a.Capabilities.IotEdge == b.Capabilities.IotEdge && a.DeviceScope == b.DeviceScope && parentScope(&a.Device) == parentScope(&b.Device)
}

// scopesChanged has all nodes look at the links that Edge hubs have made for others. It follows a change that is durable. Who is
// not told looks from time to time.
func (h *Hub) scopesChanged() {
	h.announce(subjectScopes, nil)
}

// checkActors closes the links of this node that Edge hubs have made for identities that they may not act for any more: when
// told, and from time to time.
func (h *Hub) checkActors(ctx context.Context) {
	for h.waitFor(ctx, h.actorsDue, 0) {
		for i := range h.links.shards {
			for _, l := range h.links.shards[i].links() {
				if l.Principal.Actor != (hubward.Identity{}) {
					h.checkLinkActor(ctx, l)
				}
			}
		}
	}
}

func (h *Hub) checkLinkActor(ctx context.Context, l *Link) {
	err := h.checkActor(ctx, l.state, &l.Principal)
	switch {
	case err == nil || ctx.Err() != nil:
	case hubward.CodeOf(err) == hubward.CodeUnauthorizedAccess:
		h.links.close(l.key(), l.claim.Fence, errActor)
	default:
		h.logger.Warn("an Edge hub's right to act for a device was not checked", "hub", l.claim.Hub, "device", l.claim.Identity.String(), "error", err)
	}
}
