package hub

import (
	"context"
	"strings"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
)

// maxManagedBy bounds a text that means nothing to the hub, in bytes.
const maxManagedBy = 128

// modulesPath is what a token for a device's modules, or one of them, may be limited to.
func modulesPath(id hubward.Identity) []string {
	if id.Module == "" {
		return []string{"devices", id.Device, "modules"}
	}
	return access.PathOf(id)
}

// permitModules is permit for calls on the modules of a device. The device itself may make them: the runtime of an Edge device
// registers what it runs.
//
// Source: Azure/iot-identity-service identity/aziot-cloud-client-async/src/hub/mod.rs.
func (h *Hub) permitModules(p *access.Principal, want access.Permissions, id hubward.Identity) (*state, error) {
	if p.Policy == "" && p.Actor == (hubward.Identity{}) && id.Device != "" && p.Identity == (hubward.Identity{Device: id.Device}) {
		s, _, err := h.permitIdentity(p)
		return s, err
	}
	s, _, err := h.permit(p, want, modulesPath(id))
	return s, err
}

// Module returns one module with its connection state as it is now. p has RegistryRead, or is the device itself.
//
// Errors: CodeUnauthorizedAccess, CodeNoSuchHub, CodeDeviceNotFound, CodeModuleNotFound.
func (h *Hub) Module(ctx context.Context, p *access.Principal, id hubward.Identity) (*hubward.Module, error) {
	s, err := h.permitModules(p, access.RegistryRead, id)
	if err != nil {
		return nil, err
	}
	if err := checkModule(id); err != nil {
		return nil, err
	}
	return h.module(ctx, s.ref.Name, id)
}

func (h *Hub) module(ctx context.Context, hub string, id hubward.Identity) (*hubward.Module, error) {
	r, err := h.store.Identity(ctx, hub, id)
	if err != nil {
		return nil, h.whatIsMissing(ctx, hub, id, err)
	}
	h.addLiveState(ctx, hub, r)
	return r.module(), nil
}

// whatIsMissing makes of a module's absence that of its device, where it is the device that is not there.
func (h *Hub) whatIsMissing(ctx context.Context, hub string, id hubward.Identity, err error) error {
	if hubward.CodeOf(err) != hubward.CodeModuleNotFound {
		return err
	}
	if _, missing := h.store.Identity(ctx, hub, hubward.Identity{Device: id.Device}); hubward.CodeOf(missing) == hubward.CodeDeviceNotFound {
		return missing
	}
	return err
}

// module returns the identity as a module's.
func (r *Registration) module() *hubward.Module {
	return &hubward.Module{
		ModuleID: r.ModuleID, ManagedBy: hubward.NullString(r.ManagedBy), DeviceID: r.DeviceID, GenerationID: r.GenerationID, ETag: r.ETag,
		ConnectionState: r.ConnectionState, ConnectionStateUpdatedTime: r.ConnectionStateUpdatedTime, LastActivityTime: r.LastActivityTime,
		CloudToDeviceMessageCount: r.CloudToDeviceMessageCount, Authentication: r.Authentication,
	}
}

// Modules returns a device's modules, by id; p as for Module. Errors: CodeDeviceNotFound.
func (h *Hub) Modules(ctx context.Context, p *access.Principal, device string) ([]hubward.Module, error) {
	s, err := h.permitModules(p, access.RegistryRead, hubward.Identity{Device: device})
	if err != nil {
		return nil, err
	}
	if err := hubward.ValidateID(device); err != nil {
		return nil, err
	}
	return h.modules(ctx, s.ref.Name, device)
}

func (h *Hub) modules(ctx context.Context, hub, device string) ([]hubward.Module, error) {
	rows, err := h.store.Modules(ctx, hub, device)
	if err != nil {
		return nil, err
	}
	return h.liveModules(ctx, hub, rows), nil
}

func (h *Hub) liveModules(ctx context.Context, hub string, rows []Registration) []hubward.Module {
	modules := make([]hubward.Module, len(rows))
	for i := range rows {
		h.addLiveState(ctx, hub, &rows[i])
		modules[i] = *rows[i].module()
	}
	return modules
}

// AllModules returns up to top modules of all devices behind after, ordered by device and module id; a top outside 1 to 1000
// means 1000. p has RegistryRead.
func (h *Hub) AllModules(ctx context.Context, p *access.Principal, after hubward.Identity, top int) ([]hubward.Module, error) {
	s, _, err := h.permit(p, access.RegistryRead, allDevices)
	if err != nil {
		return nil, err
	}
	if top < 1 || top > maxListed {
		top = maxListed
	}
	rows, err := h.store.AllModules(ctx, s.ref.Name, after, top)
	if err != nil {
		return nil, err
	}
	return h.liveModules(ctx, s.ref.Name, rows), nil
}

// PutModule creates a module (ifMatch "") or replaces one, as PutDevice does: what m leaves out is cleared, and made anew if it is
// keys. An authentication of type none becomes one with keys. A device has up to hubward.MaxModules of them; $edgeAgent and
// $edgeHub, which an Edge device has by itself, are not counted. They alone may have no authentication, and be replaced but
// neither created nor deleted. p has RegistryWrite, or is the device itself.
//
// Errors: those of PutDevice; CodeModuleAlreadyExistsOnDevice; CodeModuleNotFound; CodeTooManyModulesOnDevice.
//
// Source: learn.microsoft.com/rest/api/iothub/service/modules.
func (h *Hub) PutModule(ctx context.Context, p *access.Principal, m hubward.Module, ifMatch string) (*hubward.Module, error) {
	id := hubward.Identity{Device: m.DeviceID, Module: m.ModuleID}
	s, err := h.permitModules(p, access.RegistryWrite, id)
	if err != nil {
		return nil, err
	}
	put, err := h.newModulePut(s.ref.Name, &m, nil)
	if err != nil {
		return nil, err
	}
	if err := h.putIdentity(ctx, s, put, ifMatch); err != nil {
		return nil, h.whatIsMissing(ctx, s.ref.Name, id, err)
	}
	return h.module(ctx, s.ref.Name, id)
}

// newModulePut is newPut for a module.
func (h *Hub) newModulePut(hub string, m *hubward.Module, twin *twinChange) (*put, error) {
	if err := checkModule(hubward.Identity{Device: m.DeviceID, Module: m.ModuleID}); err != nil {
		return nil, err
	}
	if len(m.ManagedBy) > maxManagedBy {
		return nil, hubward.Errorf(hubward.CodeArgumentInvalid, "managedBy: %d bytes are more than %d", len(m.ManagedBy), maxManagedBy)
	}
	r := &Registration{ModuleID: m.ModuleID, ManagedBy: string(m.ManagedBy), Device: hubward.Device{
		DeviceID: m.DeviceID, Status: hubward.StatusEnabled, Authentication: m.Authentication,
	}}
	if auth := m.Authentication; auth != nil && auth.Type == hubward.AuthNone && !isSystemModule(m.ModuleID) {
		r.Authentication = &hubward.Authentication{Type: hubward.AuthSAS}
	}
	return h.completePut(hub, r, twin)
}

// DeleteModule removes a module, and disconnects it. ifMatch is "*" or an etag. p as for PutModule.
//
// Errors: CodePreconditionFailed, also for an empty ifMatch; CodeDeviceNotFound, CodeModuleNotFound; CodeArgumentInvalid for
// $edgeAgent and $edgeHub.
func (h *Hub) DeleteModule(ctx context.Context, p *access.Principal, id hubward.Identity, ifMatch string) error {
	s, err := h.permitModules(p, access.RegistryWrite, id)
	if err != nil {
		return err
	}
	if err := checkModule(id); err != nil {
		return err
	}
	if isSystemModule(id.Module) {
		return errSystemModule
	}
	return h.whatIsMissing(ctx, s.ref.Name, id, h.deleteIdentity(ctx, s, id, ifMatch))
}

func checkModule(id hubward.Identity) error {
	if err := hubward.ValidateID(id.Device); err != nil {
		return err
	}
	return hubward.ValidateID(id.Module)
}

// The modules that every Edge device has: they come with the capability, and go with it.
//
// Source: learn.microsoft.com/azure/iot-edge/iot-edge-runtime.
var systemModules = [...]string{"$edgeAgent", access.EdgeHubModule}

// managedByEdge is who manages them.
const managedByEdge = "iotEdge"

// isSystemModule reports whether an id is one of those that nobody but the hub gives.
func isSystemModule(module string) bool { return strings.HasPrefix(module, "$") }

var errSystemModule = hubward.Errorf(hubward.CodeArgumentInvalid, "moduleId: ids that begin with $ are the hub's own, they come and go with capabilities.iotEdge of their device")

// systemModules returns what is to be done with the modules of the hub's own when a device is stored: an Edge device gets those
// that it has not, as devices of hubs before there were modules, and one that is no Edge device any more loses them.
func (p *put) systemModules(old, next *Registration) (edits []*IdentityEdit) {
	if next.ModuleID != "" || !next.Capabilities.IotEdge && (old == nil || !old.Capabilities.IotEdge) {
		return nil
	}
	for _, name := range systemModules {
		edit := &IdentityEdit{ID: hubward.Identity{Device: next.DeviceID, Module: name}}
		if next.Capabilities.IotEdge {
			edit.Edit = p.addSystemModule(name)
		} else {
			remove := &removal{hub: p.hub, id: derivedGUID(p.event, name), now: p.now}
			edit.WithTwin = true
			edit.Edit = func(old *Registration) (*Registration, []HubEvent, error) { return remove.apply(edit, old) }
		}
		edits = append(edits, edit)
	}
	return edits
}

// addSystemModule leaves a module that is there as it is.
func (p *put) addSystemModule(name string) func(old *Registration) (*Registration, []HubEvent, error) {
	r := &Registration{ModuleID: name, ManagedBy: managedByEdge, Device: hubward.Device{
		DeviceID: p.next.DeviceID, GenerationID: p.generation, ETag: p.etag, Status: hubward.StatusEnabled,
		Authentication: &hubward.Authentication{Type: hubward.AuthNone},
	}}
	return func(old *Registration) (*Registration, []HubEvent, error) {
		if old != nil {
			return old, nil, nil
		}
		event := lifecycleEvent(p.hub, derivedGUID(p.event, name), r, NewTwin(), operationOf(opCreate, name), p.now)
		return r, []HubEvent{event}, nil
	}
}
