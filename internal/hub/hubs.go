package hub

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/sas"
)

// Bounds and defaults of a hub's configuration.
//
// Source: spec/features.md 21 and BE4, BE6; a retention above seven days is ours.
const (
	MaxPartitions     = 32
	defaultPartitions = 4
	MinRetention      = time.Minute
	MaxRetention      = 10 * 365 * 24 * time.Hour
	defaultRetention  = 24 * time.Hour
	maxHubName        = 50
	maxHostNames      = 16
	maxHubs           = 1000
)

// localHosts are the names under which the first hub answers whatever it is called.
var localHosts = []string{"localhost", "127.0.0.1", "::1"}

// NewHub is a wish for a hub. Zero Partitions means 4, zero Retention 24 hours.
type NewHub struct {
	Name       string
	HostNames  []string
	Partitions int
	Retention  time.Duration
	C2D        C2DSettings
}

// CreateHub makes a hub with the five default policies and returns it once it is durable.
//
// Errors: CodeArgumentInvalid names the field; CodeHubAlreadyExists; CodeQuotaExceeded beyond 1,000 hubs.
func (h *Hub) CreateHub(ctx context.Context, n NewHub) (Config, error) {
	c, err := n.config(h.now())
	if err != nil {
		return Config{}, err
	}
	if c.Policies, err = h.defaultPolicies(); err != nil {
		return Config{}, err
	}
	h.editing.Lock()
	defer h.editing.Unlock()
	if err := h.checkNewHub(&c); err != nil {
		return Config{}, err
	}
	// A hub of this name may have been deleted while the process was on its way down: its events must not come back.
	if err := h.log.Drop(ctx, c.Name); err != nil {
		return Config{}, err
	}
	if err := h.store.SaveHub(ctx, c); err != nil {
		return Config{}, err
	}
	h.mu.Lock()
	h.order = append(h.order, newState(&c))
	h.indexHostsLocked()
	h.mu.Unlock()
	return c.clone(), nil
}

func (n NewHub) config(now time.Time) (Config, error) {
	c := Config{
		Name: n.Name, Partitions: n.Partitions, Retention: n.Retention,
		ConsumerGroups: []string{DefaultConsumerGroup}, C2D: n.C2D.or(defaultC2DSettings), Created: now.UTC(),
	}
	if c.Partitions == 0 {
		c.Partitions = defaultPartitions
	}
	if c.Retention == 0 {
		c.Retention = defaultRetention
	}
	if err := checkHubName(n.Name); err != nil {
		return c, err
	}
	if c.Partitions < 1 || c.Partitions > MaxPartitions {
		return c, hubward.Errorf(hubward.CodeArgumentInvalid, "partitions: %d is not within 1 to %d", n.Partitions, MaxPartitions)
	}
	if err := checkRetention(c.Retention); err != nil {
		return c, err
	}
	if err := c.C2D.check(); err != nil {
		return c, err
	}
	var err error
	c.HostNames, err = normalHostNames(n.HostNames)
	return c, err
}

func checkRetention(d time.Duration) error {
	if d < MinRetention || d > MaxRetention {
		return hubward.Errorf(hubward.CodeArgumentInvalid, "retention: %s is not within %s to %s", d, MinRetention, MaxRetention)
	}
	return nil
}

func checkHubName(name string) error {
	ok := len(name) >= 1 && len(name) <= maxHubName && name[0] != '-' && name[len(name)-1] != '-'
	for _, r := range name {
		ok = ok && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-')
	}
	if !ok {
		return hubward.Errorf(hubward.CodeArgumentInvalid, "name: %.60q is no hub name, which has 1 to %d letters, digits and inner hyphens", name, maxHubName)
	}
	return nil
}

// normalHostNames lower-cases names and drops repetitions.
func normalHostNames(names []string) ([]string, error) {
	var out []string
	for _, name := range names {
		n := strings.ToLower(sas.TrimPort(strings.TrimSpace(name)))
		if n == "" || len(n) > 253 || strings.ContainsAny(n, "/;=&?# \t\r\n") {
			return nil, hubward.Errorf(hubward.CodeArgumentInvalid, "hostNames: %.60q is no host name", name)
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

// checkNewHub refuses a name or host name that is taken. The caller holds h.editing.
func (h *Hub) checkNewHub(c *Config) error {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if len(h.order) >= maxHubs {
		return hubward.Errorf(hubward.CodeQuotaExceeded, "there are %d hubs already", maxHubs)
	}
	for _, s := range h.order {
		if strings.EqualFold(s.name, c.Name) {
			return hubward.Errorf(hubward.CodeHubAlreadyExists, "hub %s exists already", s.name)
		}
	}
	return h.checkHostsLocked(c, nil)
}

// checkHostsLocked refuses host names of c that lead to a hub other than self.
func (h *Hub) checkHostsLocked(c *Config, self *state) error {
	for _, host := range c.HostNames {
		if other, ok := h.hosts[host]; ok && other != self {
			return hubward.Errorf(hubward.CodeArgumentInvalid, "hostNames: %s is a name of hub %s", host, other.name)
		}
	}
	return nil
}

// HubChange says what UpdateHub changes; what it leaves out stays as it is stored.
type HubChange struct {
	HostNames []string      // nil: stay; an empty list: only NAME.localhost is left, and the local names of the first hub
	Retention time.Duration // zero: stays
	C2D       C2DSettings   // zero members: stay
}

// UpdateHub changes the host names, the retention and the cloud-to-device settings of a hub. Messages that are in a queue
// keep their expiry.
//
// Errors: CodeNoSuchHub; CodeArgumentInvalid names the field.
func (h *Hub) UpdateHub(ctx context.Context, name string, change HubChange) (Config, error) {
	hosts, err := normalHostNames(change.HostNames)
	if err != nil {
		return Config{}, err
	}
	if change.Retention != 0 {
		if err := checkRetention(change.Retention); err != nil {
			return Config{}, err
		}
	}
	return h.editHub(ctx, name, func(s *state, c *Config) error {
		if change.HostNames != nil {
			c.HostNames = hosts
		}
		c.Retention = cmp.Or(change.Retention, c.Retention)
		c.C2D = change.C2D.or(c.C2D)
		if err := c.C2D.check(); err != nil {
			return err
		}
		h.mu.RLock()
		defer h.mu.RUnlock()
		return h.checkHostsLocked(c, s)
	})
}

// editHub changes one hub's configuration: on a copy, then in the store, then in memory.
func (h *Hub) editHub(ctx context.Context, name string, edit func(*state, *Config) error) (Config, error) {
	h.editing.Lock()
	defer h.editing.Unlock()
	s, c, err := h.find(name)
	if err != nil {
		return Config{}, err
	}
	next := c.clone()
	if err := edit(s, &next); err != nil {
		return Config{}, err
	}
	if err := h.store.SaveHub(ctx, next); err != nil {
		return Config{}, err
	}
	h.mu.Lock()
	s.config = &next
	h.indexHostsLocked()
	h.mu.Unlock()
	return next.clone(), nil
}

// Hubs returns all hubs, oldest first. The first one is the operator's: its owner policy manages the others.
func (h *Hub) Hubs() []Config {
	h.mu.RLock()
	defer h.mu.RUnlock()
	out := make([]Config, len(h.order))
	for i, s := range h.order {
		out[i] = s.config.clone()
	}
	return out
}

// Hub returns one hub by name, or CodeNoSuchHub.
func (h *Hub) Hub(name string) (Config, error) {
	_, c, err := h.find(name)
	if err != nil {
		return Config{}, err
	}
	return c.clone(), nil
}

// DeleteHub removes a hub with its devices, policies and telemetry, closes its connections, and ends those who read its
// events. The first hub cannot be deleted: CodeInvalidOperation.
func (h *Hub) DeleteHub(ctx context.Context, name string) error {
	h.editing.Lock()
	defer h.editing.Unlock()
	s, _, err := h.find(name)
	if err != nil {
		return err
	}
	if h.isFirst(s) {
		return hubward.Errorf(hubward.CodeInvalidOperation, "%s is the first hub, which cannot be deleted", name)
	}
	if err := h.store.DeleteHub(ctx, name); err != nil {
		return err
	}
	h.mu.Lock()
	h.order = slices.DeleteFunc(h.order, func(other *state) bool { return other == s })
	h.indexHostsLocked()
	h.mu.Unlock()
	s.places.close(noSuchHub(name))
	s.feedback.close(noSuchHub(name))
	h.sessions.closeHub(name, errHubDeleted)
	return h.log.Drop(ctx, name)
}

// HubFor returns the name of the hub that answers to host, which may carry a port and be spelt in any case.
//
// Errors: CodeHubNotFound.
func (h *Hub) HubFor(host string) (string, error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	host = sas.TrimPort(host)
	s, ok := h.hosts[host]
	if !ok {
		s, ok = h.hosts[strings.ToLower(host)]
	}
	if !ok {
		return "", hubward.Errorf(hubward.CodeHubNotFound, "no hub answers to the host name %.64q", host)
	}
	return s.name, nil
}

// indexHostsLocked rebuilds the table of host names. Given names win over NAME.localhost, and those over the local
// names of the first hub.
func (h *Hub) indexHostsLocked() {
	h.hosts = make(map[string]*state)
	for _, s := range h.order {
		for _, host := range s.config.HostNames {
			h.hosts[host] = s
		}
	}
	for i, s := range h.order {
		names := []string{strings.ToLower(s.name) + ".localhost"}
		if i == 0 {
			names = append(names, localHosts...)
		}
		for _, host := range names {
			if _, taken := h.hosts[host]; !taken {
				h.hosts[host] = s
			}
		}
	}
}

func (h *Hub) find(name string) (*state, *Config, error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, s := range h.order {
		if s.name == name {
			return s, s.config, nil
		}
	}
	return nil, nil, noSuchHub(name)
}

func noSuchHub(name string) error {
	return hubward.Errorf(hubward.CodeNoSuchHub, "there is no hub %.60q", name)
}

func (h *Hub) isFirst(s *state) bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return len(h.order) > 0 && h.order[0] == s
}

func (c *Config) clone() Config {
	out := *c
	out.HostNames = slices.Clone(c.HostNames)
	out.Policies = slices.Clone(c.Policies)
	out.ConsumerGroups = slices.Clone(c.ConsumerGroups)
	return out
}
