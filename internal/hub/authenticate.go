package hub

import (
	"context"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/sas"
)

// Authenticate decides who a peer is by what it shows: the one log-in behind all protocols. Policies and identities are
// those of this moment: a key that was replaced is good for nothing from then on. What the principal may do, the calls that
// take one look at for themselves.
//
// A token that is signed with an identity's key for the whole hub needs Credential.Identity: whose key it is could
// otherwise only be found by trying all of them.
//
// Errors: CodeUnauthorizedAccess, with the reason in the cause; CodeDeviceNotFound and CodeModuleNotFound for the
// credential of an identity that is not there, which to tell nobody who shows no policy's key is the caller's to see to;
// CodeNoSuchHub, CodeHubNotFound; the store's.
func (h *Hub) Authenticate(ctx context.Context, c access.Credential) (access.Principal, error) {
	p, err := h.authenticate(ctx, &c)
	if err != nil && ctx.Err() == nil {
		h.observer.LoginRefused(h.wantedHub(&c), access.ReasonOf(err))
	}
	return p, err
}

// wantedHub returns the name of the hub that a credential is for; empty when there is none, or the credential does not tell.
func (h *Hub) wantedHub(c *access.Credential) string {
	if s, _, err := h.find(c.Hub); err == nil {
		return s.ref.Name
	}
	if t, err := sas.Parse(c.Token); err == nil && c.Hub == "" {
		if s, err := h.hubOfToken("", &t); err == nil {
			return s.ref.Name
		}
	}
	return ""
}

func (h *Hub) authenticate(ctx context.Context, c *access.Credential) (access.Principal, error) {
	p, err := h.identify(ctx, c)
	if err != nil {
		return access.Principal{}, err
	}
	s, _, err := h.findRef(p.Hub)
	if err != nil {
		return access.Principal{}, err
	}
	door, err := h.enter(s, c)
	if err != nil {
		return access.Principal{}, err
	}
	if door == access.DoorEvents && (p.Policy == "" || !p.Permissions.Has(access.ServiceConnect)) {
		return access.Principal{}, h.admission(s).Admit(c.Peer, access.DoorHub) // there is nothing that it could do
	}
	p = p.From(c.Peer, door)
	if err := h.admission(s).Admits(&p, h.now()); err != nil {
		return access.Principal{}, err
	}
	return p, nil
}

// enter sees that a peer may come in, whoever it is, and returns by which door. Who manages hubs comes by a door of its own if the
// hub is the first one; who may, is looked at when they do.
func (h *Hub) enter(s *state, c *access.Credential) (access.Door, error) {
	if c.Door == access.DoorManagement && h.isFirst(s) {
		return access.DoorManagement, nil
	}
	a := h.admission(s)
	err := a.Admit(c.Peer, access.DoorHub)
	if err != nil && c.Door == access.DoorEvents {
		return access.DoorEvents, a.Admit(c.Peer, access.DoorEvents)
	}
	return access.DoorHub, err
}

func (h *Hub) identify(ctx context.Context, c *access.Credential) (access.Principal, error) {
	switch {
	case c.Token != "":
		return h.authenticateToken(ctx, c)
	case c.Policy != "":
		return h.authenticatePolicyKey(c)
	case len(c.Certificates) > 0:
		return h.authenticateCertificate(ctx, c)
	}
	return access.Principal{}, access.Refuse(access.ReasonCredential, "the peer shows no credential")
}

func (h *Hub) authenticateToken(ctx context.Context, c *access.Credential) (access.Principal, error) {
	key := tokenKey(c.Token)
	known := h.tokens.find(key)
	t := known.token
	if t == nil {
		parsed, err := sas.Parse(c.Token)
		if err != nil {
			return access.Principal{}, unauthorized(err)
		}
		t = &parsed
	}
	s, err := h.hubOfToken(c.Hub, t)
	if err != nil {
		return access.Principal{}, err
	}
	if _, err := h.enter(s, c); err != nil { // who may not come in anyway costs no more
		return access.Principal{}, err
	}
	if t.Policy == "" && c.OnBehalf && actsFor(t, c.Identity) {
		return h.authenticateOnBehalf(ctx, s, t, c)
	}
	if t.Policy == "" {
		return h.authenticateIdentity(ctx, s, t, c.Identity)
	}
	config := h.config(s)
	p := known.principal
	if known.config != config || h.now().After(t.Expiry) {
		if p, err = access.PolicyToken(t, config.Policies, h.now()); err != nil {
			return access.Principal{}, err
		}
		p.Hub = s.ref
		h.tokens.add(key, knownToken{t, config, p})
	}
	if c.Identity == (hubward.Identity{}) {
		return p, nil
	}
	return h.speak(ctx, s, &p, c.Identity)
}

// hubOfToken finds the hub that a token is for, which has to be the one of that name if there is a name.
func (h *Hub) hubOfToken(name string, t *sas.Token) (*state, error) {
	s := h.stateFor(t.Host())
	if name == "" && s == nil {
		return nil, hubward.Errorf(hubward.CodeHubNotFound, "no hub answers to the host name %.64q", t.Host())
	}
	if name == "" {
		return s, nil
	}
	want, _, err := h.find(name)
	if err != nil {
		return nil, err
	}
	if s != want {
		return nil, access.Refuse(access.ReasonHost, "the token is for another host")
	}
	return s, nil
}

// authenticateIdentity checks a token that is signed with an identity's own key.
func (h *Hub) authenticateIdentity(ctx context.Context, s *state, t *sas.Token, claimed hubward.Identity) (access.Principal, error) {
	ids := []hubward.Identity{claimed}
	if claimed == (hubward.Identity{}) {
		ids = access.Identities(t)
	}
	err := access.Refuse(access.ReasonUnknown, "the token names neither a policy nor an identity")
	for _, id := range ids {
		var entry *hubward.Device
		if entry, err = h.enabledEntry(ctx, s, id); err == nil {
			p, err := access.IdentityToken(t, id, entry, h.now())
			p.Hub = s.ref
			return p, err
		}
		if code := hubward.CodeOf(err); code != hubward.CodeDeviceNotFound && code != hubward.CodeModuleNotFound {
			break
		}
	}
	return access.Principal{}, err
}

// authenticatePolicyKey checks a policy's key. Without a hub's name it is the hub that has such a policy with such a key.
func (h *Hub) authenticatePolicyKey(c *access.Credential) (access.Principal, error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	err := access.Refuse(access.ReasonHost, "there is no such hub")
	for _, s := range h.order {
		if c.Hub != "" && c.Hub != s.ref.Name {
			continue
		}
		var p access.Principal
		if p, err = access.PolicyKey(s.config.Policies, c.Policy, c.Key); err == nil {
			p.Hub = s.ref
			return p, nil
		}
	}
	return access.Principal{}, err
}

func (h *Hub) authenticateCertificate(ctx context.Context, c *access.Credential) (access.Principal, error) {
	s, _, err := h.find(c.Hub)
	if err != nil {
		return access.Principal{}, err
	}
	if _, err := h.enter(s, c); err != nil {
		return access.Principal{}, err
	}
	entry, err := h.enabledEntry(ctx, s, c.Identity)
	if err != nil {
		return access.Principal{}, err
	}
	p, err := access.Certificate(c.Certificates, c.Identity, entry, h.admission(s), h.now())
	if err != nil {
		adopted, failed := h.adopt(ctx, s, c.Identity, entry, c.Certificates)
		switch {
		case failed != nil:
			return access.Principal{}, failed
		case adopted != nil:
			p, err = access.Certificate(c.Certificates, c.Identity, adopted, h.admission(s), h.now())
		}
	}
	p.Hub = s.ref
	return p, err
}

// speak returns p as the principal of one identity, as the registry has it at this moment.
//
// Errors: CodeUnauthorizedAccess; CodeDeviceNotFound, CodeModuleNotFound; the store's.
func (h *Hub) speak(ctx context.Context, s *state, p *access.Principal, id hubward.Identity) (access.Principal, error) {
	if !p.Allows(access.DeviceConnect, access.PathOf(id)...) { // before anything is told of the identity
		return access.Principal{}, access.Refuse(access.ReasonResource, "the log-in is not for the identity")
	}
	if p.Actor != (hubward.Identity{}) {
		if err := h.checkActor(ctx, s, p); err != nil {
			return access.Principal{}, err
		}
	}
	entry, err := h.enabledEntry(ctx, s, id)
	if err != nil {
		return access.Principal{}, err
	}
	return p.Speak(id, entry, h.admission(s), h.now())
}

// enabledEntry looks up who wants to log in. A module's device has to be enabled too.
//
// Errors: CodeDeviceNotFound; CodeModuleNotFound; CodeUnauthorizedAccess for a disabled device; the store's.
func (h *Hub) enabledEntry(ctx context.Context, s *state, id hubward.Identity) (*hubward.Device, error) {
	if hubward.ValidateID(id.Device) != nil {
		return nil, hubward.Errorf(hubward.CodeDeviceNotFound, "there is no such device")
	}
	if id.Module != "" {
		if hubward.ValidateID(id.Module) != nil {
			return nil, hubward.Errorf(hubward.CodeModuleNotFound, "there is no such module")
		}
		if _, err := h.enabledEntry(ctx, s, hubward.Identity{Device: id.Device}); err != nil {
			return nil, err
		}
	}
	r, err := h.store.Identity(ctx, s.ref.Name, id)
	if err != nil {
		return nil, err
	}
	if r.Status == hubward.StatusDisabled {
		return nil, access.Refuse(access.ReasonDisabled, "the identity was disabled")
	}
	return &r.Device, nil
}

// unauthorized hides a reason behind the one answer that every failed log-in gets.
func unauthorized(reason error) error {
	return &hubward.Error{Code: hubward.CodeUnauthorizedAccess, Message: "Unauthorized", Err: reason}
}
