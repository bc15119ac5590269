package hub

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/binary"
	"io"
	"strconv"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/internal/hub/c2d"
)

// maxListed bounds a list of identities.
//
// Source: learn.microsoft.com/rest/api/iothub/service/devices/get-devices.
const maxListed = 1000

// registryPath is what a token for a part of the registry may be limited to.
func registryPath(id string) []string { return []string{"devices", id} }

var (
	allDevices        = []string{"devices"}
	deviceStatistics  = []string{"statistics", "devices"}
	serviceStatistics = []string{"statistics", "service"}
)

// Device returns one device with its connection state as it is now. p has RegistryRead.
//
// Errors: CodeUnauthorizedAccess, CodeNoSuchHub, CodeDeviceNotFound.
func (h *Hub) Device(ctx context.Context, p *access.Principal, id string) (*hubward.Device, error) {
	if _, _, err := h.permit(p, access.RegistryRead, registryPath(id)); err != nil {
		return nil, err
	}
	return h.device(ctx, p.Hub.Name, id)
}

func (h *Hub) device(ctx context.Context, hub, id string) (*hubward.Device, error) {
	if err := hubward.ValidateID(id); err != nil {
		return nil, err
	}
	r, err := h.store.Identity(ctx, hub, hubward.Identity{Device: id})
	if err != nil {
		return nil, err
	}
	h.addLiveState(ctx, hub, r)
	return &r.Device, nil
}

// Devices returns up to top devices whose ids lie behind after, ordered by id; a top outside 1 to 1000 means 1000. What is there
// behind the last one of a full page, the next call tells. p has RegistryRead.
func (h *Hub) Devices(ctx context.Context, p *access.Principal, after string, top int) ([]hubward.Device, error) {
	if _, _, err := h.permit(p, access.RegistryRead, allDevices); err != nil {
		return nil, err
	}
	if top < 1 || top > maxListed {
		top = maxListed
	}
	return h.devices(ctx, p.Hub.Name, after, top)
}

func (h *Hub) devices(ctx context.Context, hub, after string, limit int) ([]hubward.Device, error) {
	rows, err := h.store.Devices(ctx, hub, after, limit)
	if err != nil {
		return nil, err
	}
	devices := make([]hubward.Device, len(rows))
	for i := range rows {
		h.addLiveState(ctx, hub, &rows[i])
		devices[i] = rows[i].Device
	}
	return devices, nil
}

// addLiveState puts what is known now over what the store was last told.
func (h *Hub) addLiveState(ctx context.Context, hub string, r *Registration) {
	l, connected := h.live(ctx, hub, r.Identity())
	r.ConnectionState = hubward.Disconnected
	if connected {
		r.ConnectionState = hubward.Connected
	}
	if l != nil {
		r.ConnectionStateUpdatedTime = hubward.Time{Time: l.since}
		r.LastActivityTime = hubward.Time{Time: l.lastActive()}
		r.ModelID = cmp.Or(l.ModelID, r.ModelID)
	}
}

// PutDevice creates a device (ifMatch "") or replaces one (ifMatch "*" or an etag), and returns it as stored. Blank
// keys of a SAS identity are made; server-owned fields of d are ignored. A connected device that is disabled or whose
// credentials change is disconnected. p has RegistryWrite.
//
// Errors: CodeUnauthorizedAccess; CodeArgumentInvalid names the field; CodeDeviceAlreadyExists; CodeDeviceNotFound;
// CodePreconditionFailed.
//
// Source: learn.microsoft.com/rest/api/iothub/service/devices.
func (h *Hub) PutDevice(ctx context.Context, p *access.Principal, d hubward.Device, ifMatch string) (*hubward.Device, error) {
	s, _, err := h.permit(p, access.RegistryWrite, registryPath(d.DeviceID))
	if err != nil {
		return nil, err
	}
	put, err := h.newPut(ctx, &Registration{Device: d}, nil, h.newParents(s.ref.Name))
	if err != nil {
		return nil, err
	}
	edit := &IdentityEdit{ID: put.next.Identity()}
	edit.Edit = func(old *Registration) (*Registration, []HubEvent, error) {
		if err := checkMatch(old, edit.ID, ifMatch); err != nil {
			return nil, nil, err
		}
		return put.apply(old)
	}
	if err := h.editIdentity(ctx, s, edit); err != nil {
		return nil, err
	}
	return h.device(ctx, s.ref.Name, d.DeviceID)
}

// DeleteDevice removes a device with its modules, and disconnects them. ifMatch is "*" or an etag. p has RegistryWrite.
//
// Errors: CodeUnauthorizedAccess; CodePreconditionFailed, also for an empty ifMatch; CodeDeviceNotFound.
func (h *Hub) DeleteDevice(ctx context.Context, p *access.Principal, id, ifMatch string) error {
	s, _, err := h.permit(p, access.RegistryWrite, registryPath(id))
	if err != nil {
		return err
	}
	if err := hubward.ValidateID(id); err != nil {
		return err
	}
	if ifMatch == "" {
		return hubward.Errorf(hubward.CodePreconditionFailed, "deleting needs an If-Match header with the etag or *")
	}
	h.recordOnce(ctx) // what happened to its connection happened before
	edit := &IdentityEdit{ID: hubward.Identity{Device: id}, WithTwin: true}
	remove, err := h.newRemoval(s.ref.Name)
	if err != nil {
		return err
	}
	edit.Edit = func(old *Registration) (*Registration, []HubEvent, error) {
		if err := checkMatch(old, edit.ID, ifMatch); err != nil {
			return nil, nil, err
		}
		return remove.apply(old)
	}
	return h.editIdentity(ctx, s, edit)
}

// checkMatch applies the If-Match rules to what is stored.
//
// Source: learn.microsoft.com/rest/api/iothub, common parameters and headers (If-Match).
func checkMatch(old *Registration, id hubward.Identity, ifMatch string) error {
	switch {
	case ifMatch == "" && old != nil:
		return &hubward.Error{Code: hubward.CodeDeviceAlreadyExists, Identity: id, Message: "A device with ID '" + id.String() + "' is already registered."}
	case ifMatch == "":
		return nil
	case old == nil:
		return c2d.NotFound(id)
	case ifMatch != "*" && ifMatch != old.ETag:
		return &hubward.Error{Code: hubward.CodePreconditionFailed, Identity: id, Message: "The etag does not match the stored one, the identity has changed since it was read."}
	}
	return nil
}

func (h *Hub) editIdentity(ctx context.Context, s *state, edit *IdentityEdit) error {
	if err := h.editIdentities(ctx, s, edit); err != nil {
		return err
	}
	return edit.Err
}

// editIdentities runs edits in the store, then closes the connections of identities that may no longer have them, and tells the
// others what has changed for them.
func (h *Hub) editIdentities(ctx context.Context, s *state, edits ...*IdentityEdit) error {
	closings := make([]error, len(edits))
	desired := make([]bool, len(edits)) // has changed
	scopes := make([]bool, len(edits))  // may have changed, or who acts by them
	for i, e := range edits {
		rule := e.Edit
		e.Edit = func(old *Registration) (*Registration, []HubEvent, error) {
			next, events, err := rule(old)
			closings[i], desired[i], scopes[i] = nil, false, false
			if err == nil {
				closings[i], scopes[i] = reasonToClose(old, next), bearsOnScopes(old, next)
				desired[i] = old != nil && next != nil && next.Twin != nil && next.Twin.Desired.Version != old.Twin.Desired.Version
			}
			return next, events, err
		}
	}
	if err := h.store.EditIdentities(ctx, s.ref.Name, edits); err != nil {
		return err
	}
	h.eventsAdded(s.ref.Name)
	var changed []hubward.Identity
	checkScopes := false
	for i, e := range edits {
		checkScopes = checkScopes || e.Err == nil && scopes[i]
		switch {
		case e.Err != nil:
		case closings[i] != nil:
			withModules := e.ID.Module == "" && closings[i] != errRekeyed
			h.closeIdentity(ctx, s.ref.Name, e.ID, withModules, closings[i])
		case desired[i]:
			changed = append(changed, e.ID)
		}
	}
	h.desiredChanged(ctx, s.ref.Name, changed...)
	if checkScopes {
		h.scopesChanged()
	}
	return nil
}

// reasonToClose says why a connection of the identity must end after the edit, nil if it need not.
func reasonToClose(old, next *Registration) error {
	switch {
	case old == nil:
		return nil
	case next == nil:
		return errDeleted
	case next.Status == hubward.StatusDisabled:
		return errDisabled
	case !sameAuthentication(old.Authentication, next.Authentication):
		return errRekeyed
	}
	return nil
}

func sameAuthentication(a, b *hubward.Authentication) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// DeviceStatistics counts a hub's devices. p has RegistryRead.
func (h *Hub) DeviceStatistics(ctx context.Context, p *access.Principal) (hubward.RegistryStatistics, error) {
	if _, _, err := h.permit(p, access.RegistryRead, deviceStatistics); err != nil {
		return hubward.RegistryStatistics{}, err
	}
	return h.store.DeviceStatistics(ctx, p.Hub.Name)
}

// ServiceStatistics counts a hub's connected devices, on all nodes. p has ServiceConnect.
func (h *Hub) ServiceStatistics(ctx context.Context, p *access.Principal) (hubward.ServiceStatistics, error) {
	if _, _, err := h.permit(p, access.ServiceConnect, serviceStatistics); err != nil {
		return hubward.ServiceStatistics{}, err
	}
	n, err := h.cluster.Count(ctx, p.Hub.Name)
	return hubward.ServiceStatistics{ConnectedDeviceCount: n}, err
}

// put is a checked identity to be stored, with all that chance decides already decided, so that applying it is
// repeatable.
type put struct {
	hub        string
	next       Registration
	now        time.Time
	generation string
	etag       string
	created    HubEvent // for an identity that is new
	noParent   error    // what is wrong with the scope of its parent; nil: nothing, or it has none

	twin  *twinChange // what comes with the identity; nil: nothing
	fresh *StoredTwin // of an identity that is new
}

// newPut checks r, and takes what is to be in its twin. parents are what is known of the scopes of parents.
func (h *Hub) newPut(ctx context.Context, r *Registration, twin *twinChange, parents *parents) (*put, error) {
	if err := checkDevice(&r.Device); err != nil {
		return nil, err
	}
	noParent, err := parents.check(ctx, &r.Device)
	if err != nil {
		return nil, err
	}
	if err := h.completeAuthentication(&r.Device); err != nil {
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
		hub: parents.hub, next: *r, now: now, generation: strconv.FormatInt(ticks(now), 10), etag: etag, noParent: noParent,
		created: lifecycleEvent(parents.hub, id, r, fresh, "createDeviceIdentity", now), twin: twin, fresh: fresh,
	}, nil
}

// apply returns what to store in place of old.
func (p *put) apply(old *Registration) (*Registration, []HubEvent, error) {
	next := p.next
	next.ETag, next.GenerationID = p.etag, p.generation
	next.StatusUpdatedTime = hubward.Time{}
	if old == nil {
		if !p.twin.isNone() {
			next.Twin = p.fresh
		}
		return &next, []HubEvent{p.created}, p.applyScope(nil, &next.Device)
	}
	next.GenerationID = old.GenerationID
	next.StatusUpdatedTime = old.StatusUpdatedTime
	if old.Status != next.Status {
		next.StatusUpdatedTime = hubward.Time{Time: p.now}
	}
	if err := p.applyScope(&old.Device, &next.Device); err != nil || p.twin.isNone() {
		return &next, nil, err
	}
	next.Twin = old.Twin
	event, err := p.twin.apply(&next)
	return &next, []HubEvent{event}, err
}

// removal is the deletion of an identity, as put is its storing. The store deletes a device's modules with it. Its edit has the
// twin.
type removal struct {
	hub string
	id  string // of the event
	now time.Time
}

func (h *Hub) newRemoval(hub string) (*removal, error) {
	id, err := h.newGUID()
	return &removal{hub: hub, id: id, now: h.now().UTC()}, err
}

func (r *removal) apply(old *Registration) (*Registration, []HubEvent, error) {
	if old == nil {
		return nil, nil, nil
	}
	return nil, []HubEvent{lifecycleEvent(r.hub, r.id, old, old.Twin, "deleteDeviceIdentity", r.now)}, nil
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
