package hub

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/hubward/hubward"
)

// The scope of an Edge device is a text that the hub makes once: this prefix, the device's id, a hyphen and a time in ticks.
// A leaf device gives that of its parent as its own deviceScope, an Edge device as the one of its parentScopes.
//
// Source: learn.microsoft.com/azure/iot-edge/iot-edge-as-gateway, parent and child relationships; Azure/azure-iot-sdk-csharp
// iothub/service/src/Device.cs, Scope and ParentScopes.
const edgeScopePrefix = "ms-azure-iot-edge://"

func newEdgeScope(id string, now time.Time) string {
	return edgeScopePrefix + id + "-" + strconv.FormatInt(ticks(now), 10)
}

// edgeDeviceOf returns the id in a scope; false when it has not the form of one.
func edgeDeviceOf(scope string) (id string, ok bool) {
	rest, ok := strings.CutPrefix(scope, edgeScopePrefix)
	hyphen := strings.LastIndexByte(rest, '-')
	if !ok || hyphen < 1 {
		return "", false
	}
	number := rest[hyphen+1:]
	return rest[:hyphen], number != "" && strings.Trim(number, "0123456789") == ""
}

// parentScope is the scope by which a device names its parent; empty: it names none.
func parentScope(d *hubward.Device) string {
	if !d.Capabilities.IotEdge {
		return d.DeviceScope
	}
	if len(d.ParentScopes) > 0 {
		return d.ParentScopes[0]
	}
	return ""
}

// parents are what one call has learned of scopes, each looked up once.
type parents struct {
	h     *Hub
	hub   string
	known map[string]error // by the field that has the scope, and the scope
}

func (h *Hub) newParents(hub string) *parents {
	return &parents{h: h, hub: hub, known: make(map[string]error)}
}

// check returns what is wrong with the scope by which d names its parent, and an error when it cannot tell.
func (p *parents) check(ctx context.Context, d *hubward.Device) (fault, err error) {
	scope := parentScope(d)
	if scope == "" {
		return nil, nil
	}
	field := "deviceScope"
	if d.Capabilities.IotEdge {
		field = "parentScopes"
	}
	id, ok := edgeDeviceOf(scope)
	switch {
	case !ok:
		return hubward.Errorf(hubward.CodeArgumentInvalid, "%s: %.80q is not the scope of an Edge device, which reads %sID-NUMBER", field, scope, edgeScopePrefix), nil
	case id == d.DeviceID:
		return hubward.Errorf(hubward.CodeArgumentInvalid, "%s: the device would be its own parent", field), nil
	}
	key := field + scope
	if fault, seen := p.known[key]; seen {
		return fault, nil
	}
	fault, err = p.lookUp(ctx, field, id, scope)
	if err == nil {
		p.known[key] = fault
	}
	return fault, err
}

func (p *parents) lookUp(ctx context.Context, field, id, scope string) (fault, err error) {
	if hubward.ValidateID(id) != nil {
		return hubward.Errorf(hubward.CodeArgumentInvalid, "%s: there is no Edge device %.80q", field, id), nil
	}
	r, err := p.h.store.Identity(ctx, p.hub, hubward.Identity{Device: id})
	switch {
	case hubward.CodeOf(err) == hubward.CodeDeviceNotFound:
		return hubward.Errorf(hubward.CodeArgumentInvalid, "%s: there is no Edge device %s", field, id), nil
	case err != nil:
		return nil, err
	case !r.Capabilities.IotEdge:
		return hubward.Errorf(hubward.CodeArgumentInvalid, "%s: %s is no Edge device", field, id), nil
	case r.DeviceScope != scope:
		return hubward.Errorf(hubward.CodeArgumentInvalid, "%s: the scope of Edge device %s is %s", field, id, r.DeviceScope), nil
	}
	return nil, nil
}

// maxEdgeLevels bounds how many Edge devices stand above one another.
//
// Source: learn.microsoft.com/azure/iot-edge/how-to-connect-downstream-iot-edge-device; ServiceIdentityTree.cs, MaxNestingDepth.
const maxEdgeLevels = 5

// climb returns the edit that goes before p's and looks, from the parent of an Edge device up, whether one of the devices is
// below itself then. Nobody changes what it has seen before p is stored. Nil: p is for no such device.
func (p *put) climb() *IdentityEdit {
	if scope := parentScope(&p.next.Device); scope != "" && p.next.ModuleID == "" && p.next.Capabilities.IotEdge && p.noParent == nil {
		return p.climbFrom(scope, 1)
	}
	return nil
}

func (p *put) climbFrom(scope string, level int) *IdentityEdit {
	id, _ := edgeDeviceOf(scope)
	edit := &IdentityEdit{ID: hubward.Identity{Device: id}}
	edit.Edit = func(r *Registration) (*Registration, []HubEvent, error) {
		if level == 1 {
			p.badParent = nil
		}
		switch {
		case r == nil || !r.Capabilities.IotEdge || r.DeviceScope != scope: // it leads nowhere
		case id == p.next.DeviceID:
			p.badParent = hubward.Errorf(hubward.CodeArgumentInvalid, "parentScopes: the parent is below the device, which would be below itself")
		case parentScope(&r.Device) == "":
		case level == maxEdgeLevels:
			p.badParent = hubward.Errorf(hubward.CodeArgumentInvalid, "parentScopes: more than %d Edge devices would be above the device", maxEdgeLevels)
		default:
			edit.Then = []*IdentityEdit{p.climbFrom(parentScope(&r.Device), level+1)}
		}
		return r, nil, nil
	}
	return edit
}

// applyScope keeps the rules of scopes: an Edge device's own is made by the hub and never changes; one that a device
// newly refers to is an Edge device's. A reference that stays is not looked at again: its parent may be gone by now, which
// is no reason to refuse, say, the disabling of the device.
func (p *put) applyScope(old *hubward.Device, r *Registration) error {
	if r.ModuleID != "" {
		return nil
	}
	next := &r.Device
	wasEdge := old != nil && old.Capabilities.IotEdge
	if wasEdge && !next.Capabilities.IotEdge && next.DeviceScope == old.DeviceScope {
		next.DeviceScope = "" // its own, which it has no more
	} else if fault := orElse(p.noParent, p.badParent); fault != nil && (old == nil || parentScope(old) != parentScope(next)) {
		return fault
	}
	switch {
	case !next.Capabilities.IotEdge:
		next.ParentScopes = nil
		if next.DeviceScope != "" {
			next.ParentScopes = []string{next.DeviceScope}
		}
	case !wasEdge:
		next.DeviceScope = newEdgeScope(next.DeviceID, p.now)
	case next.DeviceScope != old.DeviceScope:
		return hubward.Errorf(hubward.CodeArgumentInvalid, "deviceScope: Device scope is immutable")
	}
	return nil
}
