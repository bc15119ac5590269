package hub

import (
	"context"
	"crypto/x509"
	"errors"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/sas"
)

// GrantToken checks a token that a connection presents before it says what for: a policy's or a device's, also one of an
// Event Hubs client, whose signature is made with the text of the policy's key. What it covers is in the grant. Policies
// and devices are those of this moment: a key that was replaced is good for nothing from then on.
//
// A device's token names the device. One that is signed with a device's key for the whole hub is refused: whose key it
// is could only be found by trying all of them.
//
// Errors: CodeUnauthorizedAccess, with the reason in the cause; CodeDeviceNotFound and CodeModuleNotFound for a token of
// an identity that is not there; CodeNoSuchHub; the store's.
//
// Source: spec/amqp.md 4.4, 4.5, spec/event-hubs-endpoint.md 4.
func (h *Hub) GrantToken(ctx context.Context, hub, token string) (access.Grant, error) {
	s, _, err := h.find(hub)
	if err != nil {
		return access.Grant{}, err
	}
	t, err := h.parseToken(s, token)
	if err != nil {
		return access.Grant{}, err
	}
	if t.Policy == "" {
		return h.grantDeviceToken(ctx, s, t)
	}
	g, err := access.PolicyGrant(t, h.policies(s), h.now())
	g.Hub = s.name
	return g, err
}

func (h *Hub) grantDeviceToken(ctx context.Context, s *state, t *sas.Token) (access.Grant, error) {
	err := unauthorized(errors.New("the token names neither a policy nor a device"))
	for _, id := range access.Identities(t) {
		var device *hubward.Device
		if device, err = h.enabledDevice(ctx, s, id); err == nil {
			g, err := access.DeviceGrant(t, id, device, h.now())
			g.Hub = s.name
			return g, err
		}
		if hubward.CodeOf(err) != hubward.CodeDeviceNotFound {
			break
		}
	}
	return access.Grant{}, err
}

// enabledDevice looks up who wants to log in.
//
// Errors: CodeDeviceNotFound; CodeModuleNotFound for any module; CodeUnauthorizedAccess for a disabled device; the
// store's.
func (h *Hub) enabledDevice(ctx context.Context, s *state, id hubward.Identity) (*hubward.Device, error) {
	if id.Module != "" {
		return nil, hubward.Errorf(hubward.CodeModuleNotFound, "this hub does not have module identities yet")
	}
	if hubward.ValidateID(id.Device) != nil {
		return nil, hubward.Errorf(hubward.CodeDeviceNotFound, "there is no such device")
	}
	device, err := h.store.Device(ctx, s.name, id.Device)
	if err != nil {
		return nil, err
	}
	if device.Status != hubward.StatusEnabled {
		return nil, unauthorized(errDeviceDisabled)
	}
	return device, nil
}

// GrantPolicyKey checks a log-in with a policy's name and the text of one of its keys. hub may be empty, for a client
// that has not said which hub it wants: then it is the hub that has such a policy with such a key. The grant does not
// expire.
//
// Errors: CodeUnauthorizedAccess, with the reason in the cause.
//
// Source: spec/event-hubs-endpoint.md 4 (the clients eh008 and amenz).
func (h *Hub) GrantPolicyKey(hub, policy, key string) (access.Grant, error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	err := unauthorized(errors.New("there is no such hub"))
	for _, s := range h.order {
		if hub != "" && hub != s.name {
			continue
		}
		var g access.Grant
		if g, err = access.KeyGrant(s.config.Policies, policy, key); err == nil {
			g.Hub = s.name
			return g, nil
		}
	}
	return access.Grant{}, err
}

// GrantCertificate checks the certificate of a device that authenticates with a thumbprint. The grant does not expire.
//
// Errors: CodeUnauthorizedAccess, with the reason in the cause; CodeDeviceNotFound; CodeModuleNotFound for any module;
// CodeNoSuchHub; the store's.
func (h *Hub) GrantCertificate(ctx context.Context, hub string, id hubward.Identity, cert *x509.Certificate) (access.Grant, error) {
	s, _, err := h.find(hub)
	if err != nil {
		return access.Grant{}, err
	}
	device, err := h.enabledDevice(ctx, s, id)
	if err != nil {
		return access.Grant{}, err
	}
	g, err := access.CertificateGrant(cert, id, device, h.now())
	g.Hub = s.name
	return g, err
}
