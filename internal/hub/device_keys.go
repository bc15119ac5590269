package hub

import (
	"context"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/internal/hub/c2d"
)

// KeyRotation is the outcome of one identity's key regeneration.
type KeyRotation struct {
	ID  hubward.Identity
	Key hubward.SymmetricKey // both keys as they are now
	Err error
}

// keysPath is what a token for the call may be limited to.
var keysPath = []string{"devices", "keys", "regenerate"}

// RegenerateKeys replaces the primary, the secondary, or both keys of identities that have keys, up to 100 in a call, and
// disconnects them. It returns one outcome per identity, in order. p has RegistryWrite.
//
// Errors, for the call as a whole: CodeUnauthorizedAccess, CodeTooManyDevices, CodeNoSuchHub. Per identity:
// CodeDeviceNotFound, CodeModuleNotFound; CodeInvalidOperation when it has no keys.
//
// Source: Azure/azure-iot-cli-extension, which alone calls it.
func (h *Hub) RegenerateKeys(ctx context.Context, p *access.Principal, ids []hubward.Identity, primary, secondary bool) ([]KeyRotation, error) {
	s, _, err := h.permit(p, access.RegistryWrite, keysPath)
	if err != nil {
		return nil, err
	}
	if len(ids) > MaxBulkItems {
		return nil, hubward.Errorf(hubward.CodeTooManyDevices, "%d devices in one call are more than %d", len(ids), MaxBulkItems)
	}
	rotations := make([]KeyRotation, len(ids))
	edits := make([]*IdentityEdit, len(ids))
	for i, id := range ids {
		rotations[i].ID = id
		edit, err := h.keyEdit(&rotations[i], primary, secondary)
		if err != nil {
			return nil, err
		}
		edits[i] = edit
	}
	if err := h.editIdentities(ctx, s, edits...); err != nil {
		return nil, err
	}
	for i, e := range edits {
		rotations[i].Err = e.Err
	}
	return rotations, nil
}

func (h *Hub) keyEdit(r *KeyRotation, primary, secondary bool) (*IdentityEdit, error) {
	var fresh hubward.SymmetricKey
	if err := h.completeKeys(&fresh); err != nil {
		return nil, err
	}
	etag, err := h.newETag()
	if err != nil {
		return nil, err
	}
	edit := func(old *Registration) (*Registration, []HubEvent, error) {
		if old == nil {
			return nil, nil, c2d.NotFound(r.ID)
		}
		if old.Authentication == nil || old.Authentication.Type != hubward.AuthSAS {
			return nil, nil, hubward.Errorf(hubward.CodeInvalidOperation, "the identity does not authenticate with keys")
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
		return &next, nil, nil
	}
	return &IdentityEdit{ID: r.ID, Edit: edit}, nil
}
