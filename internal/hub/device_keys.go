package hub

import (
	"context"

	"github.com/hubward/hubward"
)

// KeyRotation is the outcome of one identity's key regeneration.
type KeyRotation struct {
	ID  string
	Key hubward.SymmetricKey // both keys as they are now
	Err error
}

// RegenerateDeviceKeys replaces the primary, the secondary, or both keys of SAS identities, up to 100 in a call, and
// disconnects their devices. It returns one outcome per id, in order.
//
// Errors, for the call as a whole: CodeTooManyDevices, CodeNoSuchHub. Per identity: CodeDeviceNotFound;
// CodeInvalidOperation when it has no keys.
//
// Source: spec/service-rest.md 4.2, "Key regenerate D9".
func (h *Hub) RegenerateDeviceKeys(ctx context.Context, hub string, ids []string, primary, secondary bool) ([]KeyRotation, error) {
	if _, _, err := h.find(hub); err != nil {
		return nil, err
	}
	if len(ids) > MaxBulkItems {
		return nil, hubward.Errorf(hubward.CodeTooManyDevices, "%d devices in one call are more than %d", len(ids), MaxBulkItems)
	}
	rotations := make([]KeyRotation, len(ids))
	edits := make([]*DeviceEdit, len(ids))
	for i, id := range ids {
		rotations[i].ID = id
		edit, err := h.keyEdit(&rotations[i], primary, secondary)
		if err != nil {
			return nil, err
		}
		edits[i] = edit
	}
	if err := h.editDevices(ctx, hub, edits...); err != nil {
		return nil, err
	}
	for i, e := range edits {
		rotations[i].Err = e.Err
	}
	return rotations, nil
}

func (h *Hub) keyEdit(r *KeyRotation, primary, secondary bool) (*DeviceEdit, error) {
	var fresh hubward.SymmetricKey
	if err := h.completeKeys(&fresh); err != nil {
		return nil, err
	}
	etag, err := h.newETag()
	if err != nil {
		return nil, err
	}
	edit := func(old *hubward.Device) (*hubward.Device, error) {
		if old == nil {
			return nil, deviceNotFound(r.ID)
		}
		if old.Authentication == nil || old.Authentication.Type != hubward.AuthSAS {
			return nil, hubward.Errorf(hubward.CodeInvalidOperation, "the device does not authenticate with keys")
		}
		next, auth := *old, *old.Authentication
		if primary {
			auth.SymmetricKey.PrimaryKey = fresh.PrimaryKey
		}
		if secondary {
			auth.SymmetricKey.SecondaryKey = fresh.SecondaryKey
		}
		next.Authentication, next.ETag = &auth, etag
		r.Key = auth.SymmetricKey
		return &next, nil
	}
	return &DeviceEdit{ID: r.ID, Edit: edit}, nil
}
