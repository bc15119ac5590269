package hub

import (
	"context"
	"errors"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
)

// ConnectRequest is a device's wish to be connected.
type ConnectRequest struct {
	Host     string // as the client spelt it: selects the hub
	Identity hubward.Identity
	Token    string  // the SAS token
	ModelID  string  // Plug and Play model, stamped on telemetry
	Session  Session // whom the hub tells to close
}

// maxConnectTries bounds the log-ins that are repeated because the identity was edited meanwhile.
const maxConnectTries = 5

// Connect logs a device in. From its return on the new link is the one live link of the identity: an older one has
// been told to close. The caller ends the link with Disconnect.
//
// Errors: CodeHubNotFound; CodeUnauthorizedAccess for an unknown or disabled device, a bad signature, scope or
// expiry; anything else is the store's, and worth a retry.
//
// Source: spec/device.md 2.7, 2.8, 8.
func (h *Hub) Connect(ctx context.Context, r ConnectRequest) (*Link, error) {
	name, err := h.HubFor(r.Host)
	if err != nil {
		return nil, err
	}
	s, _, err := h.find(name)
	if err != nil {
		return nil, err
	}
	return h.connect(s, r.Identity, r.ModelID, r.Session, func() (access.Principal, error) {
		return h.authenticateDevice(ctx, s, r.Identity, r.Token)
	})
}

// connect makes the link of an identity that authenticate vouches for; it asks anew when the identity was edited meanwhile.
func (h *Hub) connect(s *state, id hubward.Identity, model string, session Session, authenticate func() (access.Principal, error)) (*Link, error) {
	for range maxConnectTries {
		link, err := h.tryConnect(s, id, model, session, authenticate)
		if !errors.Is(err, errEdited) {
			return link, err
		}
	}
	return nil, hubward.Errorf(hubward.CodeServiceUnavailable, "the identity is being changed, try again")
}

func (h *Hub) tryConnect(s *state, id hubward.Identity, model string, session Session, authenticate func() (access.Principal, error)) (*Link, error) {
	edits := h.sessions.edits(sessionKey{s.name, id})
	principal, err := authenticate()
	if err != nil {
		return nil, err
	}
	now := h.now().UTC()
	link := &Link{Principal: principal, ModelID: model, hub: h, state: s, session: session, since: now}
	link.active.Store(now.UnixMilli())
	old, err := h.sessions.install(link, edits)
	if err != nil {
		return nil, err
	}
	if old != nil {
		old.session.Close(errTakenOver)
	}
	h.activity.connected(link, now)
	return link, nil
}

// authenticateDevice checks a device-side token against the registry and the policies.
func (h *Hub) authenticateDevice(ctx context.Context, s *state, id hubward.Identity, token string) (access.Principal, error) {
	t, err := h.parseToken(s, token)
	if err != nil {
		return access.Principal{}, err
	}
	if hubward.ValidateID(id.Device) != nil || id.Module != "" {
		return access.Principal{}, unauthorized(errors.New("no such identity"))
	}
	device, err := h.store.Device(ctx, s.name, id.Device)
	if err != nil {
		if hubward.CodeOf(err) == hubward.CodeDeviceNotFound {
			err = unauthorized(err)
		}
		return access.Principal{}, err
	}
	if device.Status != hubward.StatusEnabled {
		return access.Principal{}, unauthorized(errDeviceDisabled)
	}
	p, err := access.DeviceToken(t, id, device, h.policies(s), h.now())
	p.Hub = s.name
	return p, err
}

func (h *Hub) policies(s *state) []access.Policy {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return s.config.Policies
}

// CloseAfter is when the link's credential is too old to live on, or zero when it does not age.
//
// Source: spec/device.md 8.4.
func (l *Link) CloseAfter() time.Time {
	if l.Principal.Expires.IsZero() {
		return time.Time{}
	}
	return l.Principal.Expires.Add(l.hub.sasGrace)
}

// Disconnect ends the link, and its receiver of messages. It may be called more than once.
func (l *Link) Disconnect() {
	l.stopC2D()
	if l.hub.sessions.remove(l) {
		l.hub.activity.disconnected(l, l.hub.now().UTC())
	}
}
