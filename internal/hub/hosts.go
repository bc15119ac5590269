package hub

import (
	"slices"
	"strings"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hostname"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/sas"
)

const maxHostNames = 16 // of a hub; ours

// localHosts are the names under which the first hub answers whatever it is called.
var localHosts = []string{"localhost", "127.0.0.1", "::1"}

// HubFor returns the hub that answers to host, which may carry a port, be spelt in any case and end in a dot.
//
// Errors: CodeHubNotFound.
func (h *Hub) HubFor(host string) (access.HubRef, error) {
	s := h.stateFor(host)
	if s == nil {
		return access.HubRef{}, hubward.Errorf(hubward.CodeHubNotFound, "no hub answers to the host name %.64q", host)
	}
	return s.ref, nil
}

// stateFor returns the hub that answers to host, nil if none does.
func (h *Hub) stateFor(host string) *state {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if s, ok := h.hosts[host]; ok {
		return s
	}
	return h.hosts[sas.CanonicalHost(host)]
}

// HostOf returns the host name that a hub goes by, for a client that has used none.
//
// Errors: CodeNoSuchHub, also when there is a later hub of its name.
func (h *Hub) HostOf(ref access.HubRef) (string, error) {
	_, c, err := h.findRef(ref)
	if err != nil {
		return "", err
	}
	if len(c.HostNames) > 0 {
		return c.HostNames[0], nil
	}
	return strings.ToLower(c.Name) + ".localhost", nil
}

// HostNames returns all names that lead to a hub, those that it was given first, each once and in canonical form. p is the
// operator's.
//
// Errors: CodeNoSuchHub.
func (h *Hub) HostNames(p *access.Principal, name string) ([]string, error) {
	if err := h.permitOperator(p); err != nil {
		return nil, err
	}
	want, _, err := h.find(name)
	if err != nil {
		return nil, err
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	var names []string
	for _, rank := range rankedHosts(want.config, len(h.order) > 0 && h.order[0] == want) {
		for _, host := range rank {
			if h.hosts[host] == want && !slices.Contains(names, host) {
				names = append(names, host)
			}
		}
	}
	return names, nil
}

// normalHostNames brings names into their canonical form and drops repetitions.
func normalHostNames(names []string) ([]string, error) {
	var out []string
	for _, name := range names {
		n, err := hostname.Parse(strings.TrimSpace(name))
		if err != nil {
			return nil, hubward.Errorf(hubward.CodeArgumentInvalid, "hostNames: %.80q: %v", name, err)
		}
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	if len(out) > maxHostNames {
		return nil, hubward.Errorf(hubward.CodeArgumentInvalid, "hostNames: %d are more than %d", len(out), maxHostNames)
	}
	return out, nil
}

// checkHostsLocked refuses host names of c that lead to a hub other than self.
func (h *Hub) checkHostsLocked(c *Config, self *state) error {
	for _, host := range c.HostNames {
		if other, ok := h.hosts[host]; ok && other != self {
			return hubward.Errorf(hubward.CodeArgumentInvalid, "hostNames: %s is a name of hub %s", host, other.ref.Name)
		}
	}
	return nil
}

// rankedHosts are the names of a hub that has these, in the order in which they win over those of other hubs: the given
// ones, NAME.localhost with the local names of the first hub, and the endpoints of devices and back ends beside each.
func rankedHosts(c *Config, first bool) [][]string {
	var given, local, endpoints []string
	for _, host := range c.HostNames {
		given = append(given, sas.CanonicalHost(host)) // it may have been stored before there was a rule
	}
	local = append(local, strings.ToLower(c.Name)+".localhost")
	if first {
		local = append(local, localHosts...)
	}
	for _, host := range slices.Concat(given, local) {
		endpoints = append(endpoints, hostname.Endpoints(host)...)
	}
	return [][]string{given, local, endpoints}
}

// indexHostsLocked rebuilds the table of host names. Of two hubs with a name of one rank, the older has it.
func (h *Hub) indexHostsLocked() {
	h.hosts = make(map[string]*state)
	ranked := make([][][]string, len(h.order))
	for i, s := range h.order {
		ranked[i] = rankedHosts(s.config, i == 0)
	}
	for rank := range 3 {
		for i, s := range h.order {
			for _, host := range ranked[i][rank] {
				if _, taken := h.hosts[host]; !taken {
					h.hosts[host] = s
				}
			}
		}
	}
}
