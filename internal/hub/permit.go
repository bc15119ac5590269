package hub

import (
	"errors"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
)

// permit is the first step of every call that takes a principal: it finds p's hub, and sees that p is (still) good for it
// and has all of want for one of the resources that paths name; without paths, for the whole hub.
//
// Errors: those of hubOf; CodeUnauthorizedAccess, with the reason in the cause.
func (h *Hub) permit(p *access.Principal, want access.Permissions, paths ...[]string) (*state, *Config, error) {
	return h.permitAt(access.DoorHub, p, want, paths...)
}

// permitAt is permit for calls that who comes by that door may make, too.
func (h *Hub) permitAt(door access.Door, p *access.Principal, want access.Permissions, paths ...[]string) (*state, *Config, error) {
	s, c, err := h.hubOf(p)
	if err != nil {
		return nil, nil, err
	}
	if !p.Enters(door) {
		return nil, nil, unauthorized(errors.New("the peer may not come in for this"))
	}
	if !allowsAny(p, want, paths) {
		return nil, nil, unauthorized(errors.New("the permission is missing, or it is for another resource"))
	}
	return s, c, nil
}

// hubOf returns the hub that let p in, as long as p is good for anything there. A principal outlives its token by the
// grace that connections have. Log-ins refuse an expired token at once.
//
// Errors: CodeNoSuchHub when the hub was deleted, also when there is a later one of its name; CodeUnauthorizedAccess, with
// the reason in the cause.
func (h *Hub) hubOf(p *access.Principal) (*state, *Config, error) {
	s, c, err := h.findRef(p.Hub)
	if err != nil {
		return nil, nil, err
	}
	if p.Expired(h.now().Add(-h.sasGrace)) {
		return nil, nil, unauthorized(errors.New("the token has expired"))
	}
	return s, c, nil
}

func allowsAny(p *access.Principal, want access.Permissions, paths [][]string) bool {
	if len(paths) == 0 {
		return p.Allows(want)
	}
	for _, path := range paths {
		if p.Allows(want, path...) {
			return true
		}
	}
	return false
}

// permitIdentity is permit for calls that an identity makes for itself.
func (h *Hub) permitIdentity(p *access.Principal) (*state, *Config, error) {
	if p.Identity == (hubward.Identity{}) {
		return nil, nil, unauthorized(errors.New("the log-in is not of an identity"))
	}
	return h.permit(p, access.DeviceConnect, access.PathOf(p.Identity))
}

// permitOperator is permit for calls that manage hubs: who holds all permissions of the first hub may.
func (h *Hub) permitOperator(p *access.Principal) error {
	if p.IsProcess() {
		return nil
	}
	s, _, err := h.permitAt(access.DoorManagement, p, access.AllPermissions)
	if err != nil {
		return err
	}
	if !h.isFirst(s) {
		return unauthorized(errors.New("the policy is not of the first hub"))
	}
	return nil
}

// permitOwner is permit for calls that manage one hub's policies and consumer groups: the operator may, and who holds all
// permissions of that hub. Others get the same answer whether the hub exists or not.
func (h *Hub) permitOwner(p *access.Principal, hub string) error {
	err := h.permitOperator(p)
	if err == nil || p.Hub.Name != hub {
		return err
	}
	_, _, err = h.permitAt(access.DoorManagement, p, access.AllPermissions)
	return err
}
