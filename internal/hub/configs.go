package hub

import (
	"context"
	"slices"
)

// followConfigs loads the configurations when another node has changed one, and from time to time, until ctx ends.
func (h *Hub) followConfigs(ctx context.Context) {
	for h.waitFor(ctx, h.reload, 0) {
		if err := h.load(ctx); err != nil && ctx.Err() == nil {
			h.logger.Error("the hubs' configurations could not be read", "error", err)
		}
	}
}

func (h *Hub) load(ctx context.Context) error {
	h.editing.Lock()
	defer h.editing.Unlock()
	return h.loadLocked(ctx)
}

// loadLocked brings what this node knows of the hubs up to what is stored. The caller holds h.editing, so nothing that is
// older than what is known comes in between.
func (h *Hub) loadLocked(ctx context.Context) error {
	configs, err := h.store.Hubs(ctx)
	if err != nil {
		return err
	}
	for _, s := range h.states() {
		if !slices.ContainsFunc(configs, func(c Config) bool { return s.isOf(&c) }) {
			h.end(s)
		}
	}
	h.mu.Lock()
	old := h.order
	h.order = nil
	changed := len(old) != len(configs)
	for i := range configs {
		c := &configs[i]
		c.C2D = c.C2D.or(defaultC2DSettings)
		s := stateOf(old, c)
		if s == nil {
			s = newState(c, h.admissionOf(c, nil))
			s.feedback.waiting = 1 // perhaps: one look will tell
			changed = true
		} else if s.config.Version != c.Version {
			s.config, s.admits = c, h.admissionOf(c, s)
			changed = true
		}
		h.order = append(h.order, s)
	}
	h.indexHostsLocked()
	h.mu.Unlock()
	if changed {
		h.endReadersOfDeletedGroups()
		h.closeInadmissible()
		h.hubsChanged()
	}
	return nil
}

// stateOf returns the state of the very hub that c configures, nil when it is a new one.
func stateOf(states []*state, c *Config) *state {
	for _, s := range states {
		if s.isOf(c) {
			return s
		}
	}
	return nil
}

func (s *state) isOf(c *Config) bool { return s.ref.Name == c.Name && s.ref.Created.Equal(c.Created) }

// put makes c known in this process after it was stored. The caller holds h.editing.
func (h *Hub) put(c *Config) {
	h.mu.Lock()
	if s := stateOf(h.order, c); s != nil {
		s.config, s.admits = c, h.admissionOf(c, s)
	} else {
		h.order = append(h.order, newState(c, h.admissionOf(c, nil)))
	}
	h.indexHostsLocked()
	h.mu.Unlock()
	h.endReadersOfDeletedGroups()
	h.closeInadmissible()
	h.hubsChanged()
}

// end ends what this node does for a hub that was deleted. It comes before the hub is forgotten: who does not find it any more,
// or finds the next one of its name, finds nobody in this one.
func (h *Hub) end(s *state) {
	reason := noSuchHub(s.ref.Name)
	close(s.gone)
	s.readers.close(reason)
	s.notifications.close(reason)
	h.links.closeHub(s.ref, errHubDeleted)
}

// endReadersOfDeletedGroups ends the readers of this node whose consumer groups are no more.
func (h *Hub) endReadersOfDeletedGroups() {
	for _, s := range h.states() {
		c := h.config(s)
		for _, group := range s.readers.groups() {
			if _, ok := findGroup(c, group); !ok {
				s.readers.endGroup(group, noSuchGroup(group))
			}
		}
	}
}

func (h *Hub) states() []*state {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return slices.Clone(h.order)
}

// config returns what is known of a hub. It is replaced as a whole, never changed.
func (h *Hub) config(s *state) *Config {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return s.config
}

// maxDeliveries returns a hub's bound of deliveries of a message to a device, 0 when there is no such hub.
func (h *Hub) maxDeliveries(hub string) int {
	_, c, err := h.find(hub)
	if err != nil {
		return 0
	}
	return c.C2D.MaxDeliveryCount
}

// WithoutHubChanges runs f while no hub is made, changed or deleted in this process.
func (h *Hub) WithoutHubChanges(f func() error) error {
	h.editing.Lock()
	defer h.editing.Unlock()
	return f()
}
