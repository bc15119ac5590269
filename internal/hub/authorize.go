package hub

import (
	"strings"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/sas"
)

// AuthorizeService checks the token of a service-side caller of hub: it is signed by a policy with all of want, for
// the whole hub or for the resource below it that path names. token is the whole Authorization value.
//
// Errors: CodeUnauthorizedAccess, whatever was wrong; the reason is in the cause.
func (h *Hub) AuthorizeService(hub, token string, want access.Rights, path ...string) (access.Principal, error) {
	s, c, err := h.find(hub)
	if err != nil {
		return access.Principal{}, err
	}
	t, err := h.parseToken(s, token)
	if err != nil {
		return access.Principal{}, err
	}
	p, err := access.ServiceToken(t, c.Policies, want, h.now(), path...)
	p.Hub = hub
	return p, err
}

// AuthorizeOperator checks that token is of a policy of the first hub that has all rights: who holds it may manage
// hubs.
//
// Errors: CodeUnauthorizedAccess.
func (h *Hub) AuthorizeOperator(token string) error {
	h.mu.RLock()
	var first string
	if len(h.order) > 0 {
		first = h.order[0].name
	}
	h.mu.RUnlock()
	_, err := h.AuthorizeService(first, token, access.AllRights)
	return err
}

// parseToken reads a token and checks that its host is one of s.
func (h *Hub) parseToken(s *state, token string) (*sas.Token, error) {
	t, err := sas.Parse(token)
	if err != nil {
		return nil, unauthorized(err)
	}
	if !h.answersTo(s, t.Host()) {
		return nil, unauthorized(hubward.Errorf(hubward.CodeHubNotFound, "the token is for another host"))
	}
	return &t, nil
}

func (h *Hub) answersTo(s *state, host string) bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.hosts[strings.ToLower(host)] == s
}

// unauthorized hides a reason behind the one answer that every failed log-in gets.
func unauthorized(reason error) error {
	return &hubward.Error{Code: hubward.CodeUnauthorizedAccess, Message: "Unauthorized", Err: reason}
}
