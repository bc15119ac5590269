package hub

import (
	"context"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
)

// GrantedRequest is the wish of a connection that has logged in already for one of the devices that it may speak for.
type GrantedRequest struct {
	Hub      string // its name
	Identity hubward.Identity
	Grant    access.Grant // whether it has expired is the caller's to look at
	ModelID  string       // Plug and Play model, stamped on telemetry
	Session  Session      // whom the hub tells to close
}

// ConnectGranted is Connect for a connection that speaks for devices by a grant. The device's state, generation and
// credentials are those of this moment.
//
// Errors: CodeUnauthorizedAccess for a disabled device, or a grant that is not good for it (any more); CodeDeviceNotFound;
// CodeModuleNotFound for any module; CodeNoSuchHub; anything else is the store's, and worth a retry.
//
// Source: spec/amqp.md 4.5, 5.8.
func (h *Hub) ConnectGranted(ctx context.Context, r GrantedRequest) (*Link, error) {
	s, _, err := h.find(r.Hub)
	if err != nil {
		return nil, err
	}
	return h.connect(s, r.Identity, r.ModelID, r.Session, func() (access.Principal, error) {
		device, err := h.enabledDevice(ctx, s, r.Identity)
		if err != nil {
			return access.Principal{}, err
		}
		p, err := r.Grant.Speak(r.Identity, device, h.now())
		p.Hub = s.name
		return p, err
	})
}
