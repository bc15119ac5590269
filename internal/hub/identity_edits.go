package hub

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"io"
	"strconv"
	"time"

	"github.com/hubward/hubward"
)

// put is a checked identity to be stored, with all that chance decides already decided, so that applying it is
// repeatable.
type put struct {
	hub        string
	next       Registration
	now        time.Time
	generation string
	etag       string
	event      string   // id of the event that tells of a new identity
	created    HubEvent // for an identity that is new
	noParent   error    // what is wrong with the scope of its parent; nil: nothing, or it has none
	badParent  error    // what climb has found

	twin  *twinChange // what comes with the identity; nil: nothing
	fresh *StoredTwin // of an identity that is new
}

// newPut checks r, a device, and takes what is to be in its twin. parents are what is known of the scopes of parents.
func (h *Hub) newPut(ctx context.Context, r *Registration, twin *twinChange, parents *parents) (*put, error) {
	if err := checkDevice(&r.Device); err != nil {
		return nil, err
	}
	noParent, err := parents.check(ctx, &r.Device)
	if err != nil {
		return nil, err
	}
	p, err := h.completePut(parents.hub, r, twin)
	if err != nil {
		return nil, err
	}
	p.noParent = noParent
	return p, nil
}

// completePut decides what chance decides, of an identity whose other fields are checked.
func (h *Hub) completePut(hub string, r *Registration, twin *twinChange) (*put, error) {
	if err := h.completeAuthentication(&r.Device, isSystemModule(r.ModuleID)); err != nil {
		return nil, err
	}
	now := h.now().UTC()
	etag, err := h.newETag()
	if err != nil {
		return nil, err
	}
	id, err := h.newGUID()
	if err != nil {
		return nil, err
	}
	fresh, err := twin.fresh()
	if err != nil {
		return nil, err
	}
	return &put{
		hub: hub, next: *r, now: now, generation: strconv.FormatInt(ticks(now), 10), etag: etag, event: id,
		created: lifecycleEvent(hub, id, r, fresh, operationOf(opCreate, r.ModuleID), now), twin: twin, fresh: fresh,
	}, nil
}

// apply returns what to store in place of old, and has e do with the modules what follows from it.
func (p *put) apply(e *IdentityEdit, old *Registration) (*Registration, []HubEvent, error) {
	next := p.next
	next.ETag, next.GenerationID = p.etag, p.generation
	next.StatusUpdatedTime = hubward.Time{}
	if old == nil {
		if isSystemModule(next.ModuleID) {
			return nil, nil, errSystemModule
		}
		if !p.twin.isNone() {
			next.Twin = p.fresh
		}
		err := p.applyScope(nil, &next)
		e.Then = p.systemModules(nil, &next)
		return &next, []HubEvent{p.created}, err
	}
	next.GenerationID = old.GenerationID
	next.StatusUpdatedTime = old.StatusUpdatedTime
	if old.Status != next.Status {
		next.StatusUpdatedTime = hubward.Time{Time: p.now}
	}
	if err := p.applyScope(&old.Device, &next); err != nil {
		return nil, nil, err
	}
	e.Then = p.systemModules(old, &next)
	if p.twin.isNone() {
		return &next, nil, nil
	}
	next.Twin = old.Twin
	event, err := p.twin.apply(&next)
	return &next, []HubEvent{event}, err
}

// removal is the deletion of an identity, as put is its storing. The store deletes a device's modules with it. Its edit has the
// twins, and the modules.
type removal struct {
	hub string
	id  string // of the event
	now time.Time
}

func (h *Hub) newRemoval(hub string) (*removal, error) {
	id, err := h.newGUID()
	return &removal{hub: hub, id: id, now: h.now().UTC()}, err
}

// apply tells of the modules that go with a device, and then of the device.
func (r *removal) apply(_ *IdentityEdit, old *Registration) (*Registration, []HubEvent, error) {
	if old == nil {
		return nil, nil, nil
	}
	var events []HubEvent
	for i := range old.Modules {
		m := &old.Modules[i]
		events = append(events, lifecycleEvent(r.hub, derivedGUID(r.id, m.ModuleID), m, m.Twin, operationOf(opDelete, m.ModuleID), r.now))
	}
	events = append(events, lifecycleEvent(r.hub, r.id, old, old.Twin, operationOf(opDelete, old.ModuleID), r.now))
	return nil, events, nil
}

// The opType of life-cycle events, of a device and of a module.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-non-telemetry-event-schema, device lifecycle events.
var (
	opCreate = [2]string{"createDeviceIdentity", "createModuleIdentity"}
	opDelete = [2]string{"deleteDeviceIdentity", "deleteModuleIdentity"}
)

func operationOf(operation [2]string, module string) string {
	if module == "" {
		return operation[0]
	}
	return operation[1]
}

// derivedGUID returns one that depends on another and a text, and on nothing else.
func derivedGUID(from, text string) string {
	sum := sha256.Sum256([]byte(from + "/" + text))
	return guid([16]byte(sum[:16]))
}

// ticks counts 100 ns steps since the year 1, the form of generation ids.
func ticks(t time.Time) int64 {
	const unixEpoch = 621355968000000000
	return unixEpoch + t.UnixNano()/100
}

// newETag makes an etag as the service does: base64 of a decimal number.
func (h *Hub) newETag() (string, error) {
	var raw [4]byte
	if _, err := io.ReadFull(h.rand, raw[:]); err != nil {
		return "", hubward.Wrap(hubward.CodeServerError, "hub.newETag", err)
	}
	return base64.StdEncoding.EncodeToString(strconv.AppendUint(nil, uint64(binary.BigEndian.Uint32(raw[:])), 10)), nil
}
