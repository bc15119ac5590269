package hub

import (
	"cmp"
	"context"

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
	if err := h.putIdentity(ctx, s, put, ifMatch); err != nil {
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
	return h.deleteIdentity(ctx, s, hubward.Identity{Device: id}, ifMatch)
}

// putIdentity creates an identity (ifMatch "") or replaces one.
func (h *Hub) putIdentity(ctx context.Context, s *state, put *put, ifMatch string) error {
	edit := &IdentityEdit{ID: put.next.Identity(), MostModules: hubward.MaxModules}
	edit.Edit = func(old *Registration) (*Registration, []HubEvent, error) {
		if err := checkMatch(old, edit.ID, ifMatch); err != nil {
			return nil, nil, err
		}
		return put.apply(edit, old)
	}
	edits := []*IdentityEdit{edit}
	if climb := put.climb(); climb != nil {
		edits = []*IdentityEdit{climb, edit}
	}
	if err := h.editIdentities(ctx, s, edits...); err != nil {
		return err
	}
	return edit.Err
}

func (h *Hub) deleteIdentity(ctx context.Context, s *state, id hubward.Identity, ifMatch string) error {
	if ifMatch == "" {
		return hubward.Errorf(hubward.CodePreconditionFailed, "deleting needs an If-Match header with the etag or *")
	}
	h.recordOnce(ctx) // what happened to its connection happened before
	remove, err := h.newRemoval(s.ref.Name)
	if err != nil {
		return err
	}
	edit := &IdentityEdit{ID: id, WithTwin: true, WithModules: true}
	edit.Edit = func(old *Registration) (*Registration, []HubEvent, error) {
		if err := checkMatch(old, id, ifMatch); err != nil {
			return nil, nil, err
		}
		return remove.apply(edit, old)
	}
	return h.editIdentity(ctx, s, edit)
}

// checkMatch applies the If-Match rules to what is stored.
//
// Source: learn.microsoft.com/rest/api/iothub, common parameters and headers (If-Match).
func checkMatch(old *Registration, id hubward.Identity, ifMatch string) error {
	switch {
	case ifMatch == "" && old != nil && id.Module != "":
		return &hubward.Error{Code: hubward.CodeModuleAlreadyExistsOnDevice, Identity: id, Message: "Device " + id.Device + " already contains module " + id.Module + "."}
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
	outcomes := make([]*outcome, len(edits))
	for i, e := range edits {
		outcomes[i] = observe(e)
	}
	if err := h.store.EditIdentities(ctx, s.ref.Name, edits); err != nil {
		return err
	}
	h.eventsAdded(s.ref.Name)
	var changed []hubward.Identity
	checkScopes := false
	for len(outcomes) > 0 {
		o := outcomes[0]
		outcomes = outcomes[1:]
		if o.edit.Err != nil {
			continue
		}
		outcomes = append(outcomes, o.then...)
		checkScopes = checkScopes || o.scopes
		switch {
		case o.closing != nil:
			withModules := o.edit.ID.Module == "" && o.closing != errRekeyed
			h.closeIdentity(ctx, s.ref.Name, o.edit.ID, withModules, o.closing)
		case o.desired:
			changed = append(changed, o.edit.ID)
		}
	}
	h.desiredChanged(ctx, s.ref.Name, changed...)
	if checkScopes {
		h.scopesChanged()
	}
	return nil
}

// outcome is what an edit means for who is connected.
type outcome struct {
	edit    *IdentityEdit
	closing error      // why its connection must end; nil: it need not
	desired bool       // the desired properties have changed
	scopes  bool       // the scopes of Edge devices may have changed, or who acts by them
	then    []*outcome // of the edits that came of it
}

// observe has an edit tell its outcome, which counts if the edit has not failed.
func observe(e *IdentityEdit) *outcome {
	o, rule := &outcome{edit: e}, e.Edit
	e.Edit = func(old *Registration) (*Registration, []HubEvent, error) {
		next, events, err := rule(old)
		o.closing, o.desired, o.scopes, o.then = nil, false, false, nil
		if err == nil {
			o.closing, o.scopes = reasonToClose(old, next), bearsOnScopes(old, next)
			o.desired = old != nil && next != nil && next.Twin != nil && next.Twin.Desired.Version != old.Twin.Desired.Version
		}
		for _, then := range e.Then {
			o.then = append(o.then, observe(then))
		}
		return next, events, err
	}
	return o
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
