package hub

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"io"
	"strconv"
	"time"

	"github.com/hubward/hubward"
)

// maxListed bounds a list of identities.
//
// Source: spec/service-rest.md 4.2, "List D4".
const maxListed = 1000

// Device returns one identity with its live connection state.
//
// Errors: CodeNoSuchHub, CodeDeviceNotFound.
func (h *Hub) Device(ctx context.Context, hub, id string) (*hubward.Device, error) {
	if err := hubward.ValidateID(id); err != nil {
		return nil, err
	}
	d, err := h.store.Device(ctx, hub, id)
	if err != nil {
		return nil, err
	}
	h.addLiveState(hub, d)
	return d, nil
}

// Devices returns up to top identities, ordered by id; a top outside 1 to 1000 means 1000.
func (h *Hub) Devices(ctx context.Context, hub string, top int) ([]hubward.Device, error) {
	if top < 1 || top > maxListed {
		top = maxListed
	}
	devices, err := h.store.Devices(ctx, hub, top)
	if err != nil {
		return nil, err
	}
	for i := range devices {
		h.addLiveState(hub, &devices[i])
	}
	return devices, nil
}

// addLiveState puts what this process knows over what the store was last told.
func (h *Hub) addLiveState(hub string, d *hubward.Device) {
	d.ConnectionState = hubward.Disconnected
	if link := h.sessions.live(sessionKey{hub, hubward.Identity{Device: d.DeviceID}}); link != nil {
		d.ConnectionState = hubward.Connected
		d.ConnectionStateUpdatedTime = hubward.Time{Time: link.since}
		d.LastActivityTime = hubward.Time{Time: link.lastActive()}
	}
}

// PutDevice creates an identity (ifMatch "") or replaces one (ifMatch "*" or an etag), and returns it as stored. Blank
// keys of a SAS identity are made; server-owned fields of d are ignored. A connected device that is disabled or whose
// credentials change is disconnected.
//
// Errors: CodeArgumentInvalid names the field; CodeDeviceAlreadyExists; CodeDeviceNotFound; CodePreconditionFailed.
//
// Source: spec/service-rest.md 2.1, 4.2.
func (h *Hub) PutDevice(ctx context.Context, hub string, d hubward.Device, ifMatch string) (*hubward.Device, error) {
	if _, _, err := h.find(hub); err != nil {
		return nil, err
	}
	put, err := h.newDevicePut(d)
	if err != nil {
		return nil, err
	}
	edit := &DeviceEdit{ID: d.DeviceID}
	edit.Edit = func(old *hubward.Device) (*hubward.Device, error) {
		if err := checkMatch(old, d.DeviceID, ifMatch); err != nil {
			return nil, err
		}
		return put.apply(old)
	}
	if err := h.editDevices(ctx, hub, edit); err != nil {
		return nil, err
	}
	if edit.Err != nil {
		return nil, edit.Err
	}
	return h.Device(ctx, hub, d.DeviceID)
}

// DeleteDevice removes an identity and disconnects its device. ifMatch is "*" or an etag.
//
// Errors: CodePreconditionFailed, also for an empty ifMatch; CodeDeviceNotFound.
func (h *Hub) DeleteDevice(ctx context.Context, hub, id, ifMatch string) error {
	if err := hubward.ValidateID(id); err != nil {
		return err
	}
	if ifMatch == "" {
		return hubward.Errorf(hubward.CodePreconditionFailed, "deleting needs an If-Match header with the etag or *")
	}
	edit := &DeviceEdit{ID: id, Edit: func(old *hubward.Device) (*hubward.Device, error) {
		return nil, checkMatch(old, id, ifMatch)
	}}
	if err := h.editDevices(ctx, hub, edit); err != nil {
		return err
	}
	return edit.Err
}

// checkMatch applies the If-Match rules to what is stored.
//
// Source: spec/service-rest.md 2.1.
func checkMatch(old *hubward.Device, id, ifMatch string) error {
	switch {
	case ifMatch == "" && old != nil:
		return &hubward.Error{Code: hubward.CodeDeviceAlreadyExists, Device: id, Message: "A device with ID '" + id + "' is already registered."}
	case ifMatch == "":
		return nil
	case old == nil:
		return deviceNotFound(id)
	case ifMatch != "*" && ifMatch != old.ETag:
		return &hubward.Error{Code: hubward.CodePreconditionFailed, Device: id, Message: "The etag does not match the stored one, the identity has changed since it was read."}
	}
	return nil
}

func deviceNotFound(id string) error {
	return &hubward.Error{Code: hubward.CodeDeviceNotFound, Device: id, Message: "The device '" + id + "' is not registered."}
}

// editDevices runs edits in the store and then closes the connections of devices that may no longer have them.
func (h *Hub) editDevices(ctx context.Context, hub string, edits ...*DeviceEdit) error {
	closings := make([]error, len(edits))
	for i, e := range edits {
		rule := e.Edit
		e.Edit = func(old *hubward.Device) (*hubward.Device, error) {
			next, err := rule(old)
			closings[i] = nil
			if err == nil {
				closings[i] = reasonToClose(old, next)
			}
			return next, err
		}
	}
	if err := h.store.EditDevices(ctx, hub, edits); err != nil {
		return err
	}
	for i, e := range edits {
		if e.Err == nil {
			h.sessions.edited(hub, e.ID, closings[i])
		}
	}
	return nil
}

// reasonToClose says why a connection of the identity must end after the edit, nil if it need not.
func reasonToClose(old, next *hubward.Device) error {
	switch {
	case old == nil:
		return nil
	case next == nil:
		return errDeviceDeleted
	case next.Status == hubward.StatusDisabled:
		return errDeviceDisabled
	case !sameAuthentication(old.Authentication, next.Authentication):
		return errDeviceRekeyed
	}
	return nil
}

func sameAuthentication(a, b *hubward.Authentication) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// DeviceStatistics counts a hub's identities.
func (h *Hub) DeviceStatistics(ctx context.Context, hub string) (hubward.RegistryStatistics, error) {
	return h.store.DeviceStatistics(ctx, hub)
}

// ServiceStatistics counts a hub's connected devices.
func (h *Hub) ServiceStatistics(hub string) (hubward.ServiceStatistics, error) {
	if _, _, err := h.find(hub); err != nil {
		return hubward.ServiceStatistics{}, err
	}
	return hubward.ServiceStatistics{ConnectedDeviceCount: h.sessions.count(hub)}, nil
}

// devicePut is a checked wish for an identity, with all that chance decides already decided, so that applying it is
// repeatable.
type devicePut struct {
	device     hubward.Device
	now        time.Time
	generation string
	etag       string
}

func (h *Hub) newDevicePut(d hubward.Device) (devicePut, error) {
	if err := checkDevice(&d); err != nil {
		return devicePut{}, err
	}
	if err := h.completeAuthentication(&d); err != nil {
		return devicePut{}, err
	}
	now := h.now().UTC()
	etag, err := h.newETag()
	return devicePut{device: d, now: now, generation: strconv.FormatInt(ticks(now), 10), etag: etag}, err
}

// apply returns what to store in place of old.
func (p *devicePut) apply(old *hubward.Device) (*hubward.Device, error) {
	next := p.device
	next.ETag, next.GenerationID = p.etag, p.generation
	next.StatusUpdatedTime = hubward.Time{}
	if old != nil {
		next.GenerationID = old.GenerationID
		next.StatusUpdatedTime = old.StatusUpdatedTime
		if old.Status != next.Status {
			next.StatusUpdatedTime = hubward.Time{Time: p.now}
		}
	}
	return &next, applyScope(old, &next, p.now)
}

// applyScope keeps the rules of edge scopes: an edge device's own scope is made by the server and never changes; a
// leaf's scope names its parent.
//
// Source: spec/service-rest.md 4.4.
func applyScope(old, next *hubward.Device, now time.Time) error {
	if !next.Capabilities.IotEdge {
		next.ParentScopes = nil
		if next.DeviceScope != "" {
			next.ParentScopes = []string{next.DeviceScope}
		}
		return nil
	}
	if old == nil || !old.Capabilities.IotEdge {
		next.DeviceScope = "ms-azure-iot-edge://" + next.DeviceID + "-" + strconv.FormatInt(ticks(now), 10)
		return nil
	}
	if next.DeviceScope != old.DeviceScope {
		return hubward.Errorf(hubward.CodeArgumentInvalid, "deviceScope: Device scope is immutable")
	}
	return nil
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
