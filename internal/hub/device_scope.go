package hub

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
)

// The scope of an Edge device is what its Edge hub has to know to let others in by itself: the device with its modules, its
// children, and the modules of children that are no Edge devices. The hub of a parent asks on behalf of those below it, too.
//
// Source: Azure/iotedge edge-hub/core/src/Microsoft.Azure.Devices.Edge.Hub.CloudProxy/DeviceScopeApiClient.cs and
// NestedDeviceScopeApiClient.cs.

// maxScopePage is how many devices a page of a scope has, which is also the default. Ours: with them come their modules.
const maxScopePage = 100

// ScopeQuery asks for one page of a scope.
type ScopeQuery struct {
	Target       string // an Edge device; empty: that of the principal
	Continuation string // of the page before; empty: the first page
	MaxDevices   int    // of the page: 0 means 100, as does everything above
}

// ScopePage is who is in a scope, or a page of it. The Edge device itself is the first one, its children come in the order of their
// ids.
type ScopePage struct {
	Devices      []hubward.Device
	Modules      []hubward.Module
	Continuation string // what the next page is asked for with; empty: this was the last one
}

// DevicesInScope returns one page of the scope of an Edge device. p is its $edgeHub, or that of an Edge device above it, let in by
// its own credential: that of a policy which lets devices in is not meant to tell their keys.
//
// Errors: CodeUnauthorizedAccess, also for a target that is not below p's device, or not there; CodeArgumentInvalid for a
// continuation that is none.
func (h *Hub) DevicesInScope(ctx context.Context, p *access.Principal, q ScopeQuery) (ScopePage, error) {
	s, own, err := h.permitScope(ctx, p)
	if err != nil {
		return ScopePage{}, err
	}
	after, next, err := parseScopeContinuation(q.Continuation)
	if err != nil {
		return ScopePage{}, err
	}
	target := own
	if q.Target != "" && q.Target != own.DeviceID {
		if target, err = h.below(ctx, s.ref.Name, hubward.Identity{Device: q.Target}, own.DeviceID); err != nil {
			return ScopePage{}, err
		}
	}
	if !target.Capabilities.IotEdge {
		return ScopePage{}, unauthorized(errors.New("the target is no Edge device"))
	}
	b := &scopePage{h: h, hub: s.ref.Name, left: maxScopePage}
	if q.MaxDevices > 0 {
		b.left = min(q.MaxDevices, maxScopePage)
	}
	if !next {
		if err := b.add(ctx, target, true); err != nil {
			return ScopePage{}, err
		}
	}
	err = b.addChildren(ctx, target.DeviceScope, after)
	return b.ScopePage, err
}

// IdentityInScope returns one device in the scope of an Edge device, or one module with its device. below is the Edge device that
// has asked, empty for that of the principal. p is as for DevicesInScope.
//
// Errors: CodeUnauthorizedAccess, also for an identity that is not in the scope, or not there.
func (h *Hub) IdentityInScope(ctx context.Context, p *access.Principal, id hubward.Identity, below string) (ScopePage, error) {
	s, own, err := h.permitScope(ctx, p)
	if err != nil {
		return ScopePage{}, err
	}
	if below != "" && below != own.DeviceID {
		if _, err := h.below(ctx, s.ref.Name, hubward.Identity{Device: below}, own.DeviceID); err != nil {
			return ScopePage{}, err
		}
	} else {
		below = own.DeviceID
	}
	target, err := h.below(ctx, s.ref.Name, id, below)
	if err != nil {
		return ScopePage{}, err
	}
	b := &scopePage{h: h, hub: s.ref.Name, left: 1}
	if err := b.add(ctx, target, false); err != nil || id.Module == "" {
		return b.ScopePage, err
	}
	m, err := h.module(ctx, s.ref.Name, id)
	if err != nil {
		return ScopePage{}, notInScope(err)
	}
	b.Modules = append(b.Modules, *m)
	return b.ScopePage, nil
}

// permitScope is permit for calls of an Edge hub, and returns its device.
func (h *Hub) permitScope(ctx context.Context, p *access.Principal) (*state, *Registration, error) {
	s, _, err := h.permitIdentity(p)
	if err != nil {
		return nil, nil, err
	}
	if !p.IsEdgeHub() {
		return nil, nil, unauthorized(errors.New("the log-in is not that of an Edge hub"))
	}
	device, err := h.store.Identity(ctx, s.ref.Name, hubward.Identity{Device: p.Identity.Device})
	if err != nil {
		return nil, nil, err
	}
	if !device.Capabilities.IotEdge {
		return nil, nil, unauthorized(errors.New("the device is no Edge device"))
	}
	return s, device, nil
}

// below returns the device of an identity, which has to be the Edge device above, or below it.
func (h *Hub) below(ctx context.Context, hub string, id hubward.Identity, above string) (*Registration, error) {
	if err := checkIdentity(id); err != nil {
		return nil, notInScope(err)
	}
	device, err := h.store.Identity(ctx, hub, hubward.Identity{Device: id.Device})
	if err != nil {
		return nil, notInScope(err)
	}
	at := device
	for range maxEdgeLevels + 2 { // a leaf below them all, and the one at the top
		if at.DeviceID == above {
			return device, nil
		}
		scope := parentScope(&at.Device)
		parent, ok := edgeDeviceOf(scope)
		if !ok {
			break
		}
		if at, err = h.store.Identity(ctx, hub, hubward.Identity{Device: parent}); err != nil {
			return nil, notInScope(err)
		}
		if !at.Capabilities.IotEdge || at.DeviceScope != scope {
			break
		}
	}
	return nil, notInScope(errors.New("the identity is not in the scope"))
}

// notInScope makes of what says that an identity is not there the one answer for all that is not in the scope.
func notInScope(err error) error {
	switch hubward.CodeOf(err) {
	case hubward.CodeDeviceNotFound, hubward.CodeModuleNotFound, hubward.CodeArgumentInvalid:
		return unauthorized(err)
	}
	var e *hubward.Error
	if errors.As(err, &e) {
		return err
	}
	return unauthorized(err)
}

// scopePage is a page that is being made.
type scopePage struct {
	ScopePage
	h    *Hub
	hub  string
	left int // devices that fit in
}

func (b *scopePage) add(ctx context.Context, r *Registration, withModules bool) error {
	if withModules {
		modules, err := b.h.modules(ctx, b.hub, r.DeviceID)
		if hubward.CodeOf(err) == hubward.CodeDeviceNotFound {
			return nil // it was deleted in between
		}
		if err != nil {
			return err
		}
		b.Modules = append(b.Modules, modules...)
	}
	b.h.addLiveState(ctx, b.hub, r)
	b.Devices = append(b.Devices, r.Device)
	b.left--
	return nil
}

// addChildren adds as many children behind an id as fit in, and says whether there are more.
func (b *scopePage) addChildren(ctx context.Context, scope, after string) error {
	n := b.left
	children, err := b.h.store.Children(ctx, b.hub, scope, after, n+1)
	if err != nil {
		return err
	}
	for i := range children[:min(n, len(children))] {
		after = children[i].DeviceID
		if err := b.add(ctx, &children[i], !children[i].Capabilities.IotEdge); err != nil {
			return err
		}
	}
	if len(children) > n {
		b.Continuation = newScopeContinuation(after)
	}
	return nil
}

// A continuation is opaque: it names the last child that was given out, empty for none.
const scopeContinuation = "scope>"

func newScopeContinuation(last string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(scopeContinuation + last))
}

// parseScopeContinuation returns the id behind which the page begins. next: it is not the first one.
func parseScopeContinuation(text string) (after string, next bool, err error) {
	if text == "" {
		return "", false, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	after, ok := strings.CutPrefix(string(raw), scopeContinuation)
	if err != nil || !ok || after != "" && hubward.ValidateID(after) != nil {
		return "", false, hubward.Errorf(hubward.CodeArgumentInvalid, "the continuation is none that this call has given")
	}
	return after, true, nil
}
