package hub

import (
	"crypto/x509"
	"reflect"
	"sync"

	"github.com/hubward/hubward/internal/hub/access"
)

// admissionOf makes what a configuration lets in. of is the hub's state before, nil for one that is new here: what has not changed
// since is taken over, with what it remembers.
func (h *Hub) admissionOf(c *Config, of *state) *access.Admission {
	same := of != nil && reflect.DeepEqual(of.config.Authorities, c.Authorities) && reflect.DeepEqual(of.config.Issuing.issuers(), c.Issuing.issuers())
	if same && reflect.DeepEqual(of.config.Switches, c.Switches) {
		return of.admits
	}
	a := &access.Admission{Revoked: h.revoked, Switches: c.Switches}
	if same {
		a.Authorities = of.admits.Authorities
	} else {
		a.Authorities = access.NewAuthorities(h.authoritiesOf(c))
	}
	return a
}

// authoritiesOf returns the authorities of a hub as log-ins look at them, its own included: it ends at the certificates that sign, so
// that a device need not send what is above its own. One that cannot be read lets nobody in.
func (h *Hub) authoritiesOf(c *Config) []access.Authority {
	var all []access.Authority
	add := func(a access.Authority, der []byte) {
		var err error
		if a.Certificate, err = x509.ParseCertificate(der); err != nil {
			h.logger.Error("a certificate authority cannot be read", "hub", c.Name, "authority", a.Name, "error", err)
			return
		}
		all = append(all, a)
	}
	for i := range c.Authorities {
		a := &c.Authorities[i]
		add(access.Authority{Name: a.Name, Verified: a.Verified, Disabled: a.Disabled}, a.Certificate)
	}
	for _, der := range c.Issuing.issuers() {
		add(access.Authority{Name: issuerName, Verified: true}, der)
	}
	return all
}

// admission returns what a hub lets in now. It is replaced as a whole, never changed.
func (h *Hub) admission(s *state) *access.Admission {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return s.admits
}

// Admits sees that a principal that was let in before still would be, by the configuration of its hub.
//
// Errors: CodeUnauthorizedAccess, with the reason in Err; CodeNoSuchHub.
func (h *Hub) Admits(p *access.Principal) error {
	s, _, err := h.findRef(p.Hub)
	if err != nil {
		return err
	}
	return h.admission(s).Admits(p, h.now())
}

// OnAdmissionChange has f called after each change of what some hub lets in, until stop is called. f must not block. Links are
// closed by the hub; f is for who holds principals without.
func (h *Hub) OnAdmissionChange(f func()) (stop func()) {
	return h.admissionFollowers.add(f)
}

// closeInadmissible closes the links of this node that their hubs would not let in any more: each node does so when it learns of
// a change of a hub's configuration.
func (h *Hub) closeInadmissible() { h.checkAdmissions(false) }

// CheckCertificates closes the links of this node whose certificates are revoked by now.
func (h *Hub) CheckCertificates() { h.checkAdmissions(true) }

// checkAdmissions looks at the links of the hubs that let in others than before, or of all hubs.
func (h *Hub) checkAdmissions(all bool) {
	changed := make(map[access.HubRef]*access.Admission)
	h.mu.Lock()
	for _, s := range h.order {
		if all || s.checked != s.admits {
			changed[s.ref] = s.admits
			s.checked = s.admits
		}
	}
	h.mu.Unlock()
	if len(changed) == 0 {
		return
	}
	now, closed := h.now(), 0
	for i := range h.links.shards {
		for _, l := range h.links.shards[i].links() {
			a := changed[l.state.ref]
			if a == nil {
				continue
			}
			if err := a.Admits(&l.Principal, now); err != nil {
				h.links.close(l.key(), l.claim.Fence, err)
				closed++
			}
		}
	}
	if closed > 0 {
		h.logger.Info("connections were closed that are not let in any more", "connections", closed)
	}
	h.admissionFollowers.tell()
}

// followers are who wants to be told of something.
type followers struct {
	mu   sync.Mutex // guards the fields below
	next int
	all  map[int]func()
}

func (s *followers) add(f func()) (stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = make(map[int]func())
	}
	s.next++
	key := s.next
	s.all[key] = f
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.all, key)
	}
}

func (s *followers) tell() {
	s.mu.Lock()
	var all []func()
	for _, f := range s.all {
		all = append(all, f)
	}
	s.mu.Unlock()
	for _, f := range all {
		f()
	}
}
