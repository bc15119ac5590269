package hub

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
)

// Bounds and defaults of a hub's configuration.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-messages-read-builtin and
// learn.microsoft.com/azure/event-hubs/event-hubs-features; a retention above seven days is ours.
const (
	MaxPartitions     = 32
	defaultPartitions = 4
	MinRetention      = time.Minute
	MaxRetention      = 10 * 365 * 24 * time.Hour
	defaultRetention  = 24 * time.Hour
	maxHubName        = 50
	maxHubs           = 1000
)

// NewHub says what hub to create. Zero Partitions means 4, zero Retention 24 hours.
type NewHub struct {
	Name       string
	HostNames  []string
	Partitions int
	Retention  time.Duration
	C2D        C2DSettings
	Switches   access.Switches
}

// CreateHub makes a hub with the five default policies and returns it once it is durable. p is the operator's.
//
// Errors: CodeArgumentInvalid names the field; CodeHubAlreadyExists; CodeQuotaExceeded beyond 1,000 hubs.
func (h *Hub) CreateHub(ctx context.Context, p *access.Principal, n NewHub) (Config, error) {
	if err := h.permitOperator(p); err != nil {
		return Config{}, err
	}
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
	if len(h.states()) > 0 { // the first hub is never deleted, so there was none of its name
		if c.LogName, err = h.newLogName(c.Name); err != nil {
			return Config{}, err
		}
	}
	if err := h.store.SaveHub(ctx, c); err != nil {
		return Config{}, err
	}
	c.Version++
	h.put(&c)
	h.announce(subjectHubs, nil)
	return c.clone(), nil
}

func (n NewHub) config(now time.Time) (Config, error) {
	c := Config{
		Name: n.Name, Partitions: n.Partitions, Retention: n.Retention,
		ConsumerGroups: []string{DefaultConsumerGroup}, C2D: n.C2D.or(defaultC2DSettings), Switches: n.Switches,
		Created: now.UTC().Truncate(time.Microsecond), // which every store keeps: it tells the hub from a later one of its name
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
	c.Switches.Network.Allow = slices.Clone(n.Switches.Network.Allow)
	if err := c.Switches.Check(); err != nil {
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

// checkNewHub refuses a name or host name that is taken. The caller holds h.editing.
func (h *Hub) checkNewHub(c *Config) error {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if len(h.order) >= maxHubs {
		return hubward.Errorf(hubward.CodeQuotaExceeded, "there are %d hubs already", maxHubs)
	}
	for _, s := range h.order {
		if strings.EqualFold(s.ref.Name, c.Name) {
			return hubward.Errorf(hubward.CodeHubAlreadyExists, "hub %s exists already", s.ref.Name)
		}
	}
	return h.checkHostsLocked(c, nil)
}

// HubChange says what UpdateHub changes; what it leaves out stays as it is stored.
type HubChange struct {
	HostNames []string      // nil: stay; an empty list: only NAME.localhost is left, and the local names of the first hub
	Retention time.Duration // zero: stays
	C2D       C2DSettings   // zero members: stay
	Switches  SwitchChange
}

// SwitchChange says which switches UpdateHub changes; nil: they stay.
type SwitchChange struct {
	DisableLocalAuth, DisableDeviceSAS, DisableModuleSAS *bool

	MinTLS  *uint16              // 0: none
	Network *access.NetworkRules // replaces all rules
}

// Apply makes the change.
func (c *SwitchChange) Apply(s *access.Switches) {
	set(&s.DisableLocalAuth, c.DisableLocalAuth)
	set(&s.DisableDeviceSAS, c.DisableDeviceSAS)
	set(&s.DisableModuleSAS, c.DisableModuleSAS)
	set(&s.MinTLS, c.MinTLS)
	if c.Network != nil {
		s.Network = *c.Network
		s.Network.Allow = slices.Clone(c.Network.Allow)
	}
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// UpdateHub changes the host names, the retention, the cloud-to-device settings and the switches of a hub. Messages that are in a
// queue keep their expiry. Connections that the hub would not let in any more are closed, on all nodes. p is the operator's.
//
// Errors: CodeNoSuchHub; CodeArgumentInvalid names the field.
func (h *Hub) UpdateHub(ctx context.Context, p *access.Principal, name string, change HubChange) (Config, error) {
	if err := h.permitOperator(p); err != nil {
		return Config{}, err
	}
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
		change.Switches.Apply(&c.Switches)
		if err := c.Switches.Check(); err != nil {
			return err
		}
		h.mu.RLock()
		defer h.mu.RUnlock()
		return h.checkHostsLocked(c, s)
	})
}

// maxEditTries bounds the edits of a configuration that are made anew because another node changed it meanwhile.
const maxEditTries = 10

// editHub changes one hub's configuration: on a copy, then in the store, which compares its version, then in memory. edit
// runs again on what is stored when that is newer than what this node knows.
func (h *Hub) editHub(ctx context.Context, name string, edit func(*state, *Config) error) (Config, error) {
	h.editing.Lock()
	defer h.editing.Unlock()
	for range maxEditTries {
		s, c, err := h.find(name)
		if err != nil {
			return Config{}, err
		}
		next := c.clone()
		if err := edit(s, &next); err != nil {
			return Config{}, err
		}
		err = h.store.SaveHub(ctx, next)
		if err == nil {
			next.Version++
			h.put(&next)
			h.announce(subjectHubs, nil)
			return next.clone(), nil
		}
		if hubward.CodeOf(err) != hubward.CodePreconditionFailed {
			return Config{}, err
		}
		if err := h.loadLocked(ctx); err != nil {
			return Config{}, err
		}
	}
	return Config{}, hubward.Errorf(hubward.CodeServiceUnavailable, "the hub is being changed, try again")
}

// Hubs returns all hubs, oldest first. The first one is the operator's: its owner policy manages the others. p is the
// operator's.
func (h *Hub) Hubs(p *access.Principal) ([]Config, error) {
	if err := h.permitOperator(p); err != nil {
		return nil, err
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	out := make([]Config, len(h.order))
	for i, s := range h.order {
		out[i] = s.config.clone()
	}
	return out, nil
}

// Hub returns one hub by name. p is the operator's.
//
// Errors: CodeNoSuchHub.
func (h *Hub) Hub(p *access.Principal, name string) (Config, error) {
	if err := h.permitOperator(p); err != nil {
		return Config{}, err
	}
	_, c, err := h.find(name)
	if err != nil {
		return Config{}, err
	}
	return c.clone(), nil
}

// OwnHub returns the hub that p was let into, without its policies and its authority.
//
// Errors: CodeNoSuchHub.
func (h *Hub) OwnHub(p *access.Principal) (Config, error) {
	_, c, err := h.hubOf(p)
	if err != nil {
		return Config{}, err
	}
	own := c.clone()
	own.Policies, own.Issuing = nil, Issuing{}
	return own, nil
}

// DeleteHub removes a hub with its devices, policies and events, closes its connections, and ends those who read its
// events. The first hub cannot be deleted: CodeInvalidOperation. p is the operator's.
//
// Errors: CodeNoSuchHub.
func (h *Hub) DeleteHub(ctx context.Context, p *access.Principal, name string) error {
	if err := h.permitOperator(p); err != nil {
		return err
	}
	h.editing.Lock()
	defer h.editing.Unlock()
	s, c, err := h.find(name)
	if err != nil {
		return err
	}
	if h.isFirst(s) {
		return hubward.Errorf(hubward.CodeInvalidOperation, "%s is the first hub, which cannot be deleted", name)
	}
	if err := h.store.DeleteHub(ctx, name); err != nil {
		return err
	}
	h.end(s)
	h.mu.Lock()
	h.order = slices.DeleteFunc(h.order, func(other *state) bool { return other == s })
	h.indexHostsLocked()
	h.mu.Unlock()
	h.hubsChanged()
	h.announce(subjectHubs, nil)
	if err := h.log.Drop(context.WithoutCancel(ctx), c.logName()); err != nil {
		h.logger.Warn("the events of a deleted hub are deleted later", "hub", name, "error", err) // see finishDeletions
	}
	return nil
}

// FirstHub returns the operator's hub, for who names none.
//
// Errors: CodeHubNotFound when there is no hub.
func (h *Hub) FirstHub() (access.HubRef, error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if len(h.order) == 0 {
		return access.HubRef{}, hubward.Errorf(hubward.CodeHubNotFound, "there is no hub")
	}
	return h.order[0].ref, nil
}

func (h *Hub) find(name string) (*state, *Config, error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, s := range h.order {
		if s.ref.Name == name {
			return s, s.config, nil
		}
	}
	return nil, nil, noSuchHub(name)
}

// findRef is find for one hub and no later one of its name.
func (h *Hub) findRef(ref access.HubRef) (*state, *Config, error) {
	s, c, err := h.find(ref.Name)
	if err == nil && !s.ref.Created.Equal(ref.Created) {
		return nil, nil, noSuchHub(ref.Name)
	}
	return s, c, err
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
	out.Authorities = slices.Clone(c.Authorities)
	out.Switches.Network.Allow = slices.Clone(c.Switches.Network.Allow)
	out.Issuing.Keys = slices.Clone(c.Issuing.Keys)
	out.Issuing.Former = slices.Clone(c.Issuing.Former)
	return out
}
