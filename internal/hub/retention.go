package hub

import (
	"context"
	"time"
)

// trimInterval is how often events and notifications that have outlived their time are deleted.
const trimInterval = time.Minute

// trimAll trims until ctx ends. It is one node's job at a time.
func (h *Hub) trimAll(ctx context.Context) {
	for {
		h.trim(ctx)
		if !h.waitFor(ctx, nil, trimInterval) {
			return
		}
	}
}

// trim deletes what is too old in every partition. A failure is logged and the next round tries again.
func (h *Hub) trim(ctx context.Context) {
	for _, s := range h.states() {
		c := h.config(s)
		if err := h.trimBefore(ctx, c, h.now().Add(-c.Retention)); err != nil && ctx.Err() == nil {
			h.logger.Warn("old events not deleted", "hub", c.Name, "error", err)
		}
	}
	if err := h.store.DropNotifications(ctx, h.now().UTC()); err != nil && ctx.Err() == nil {
		h.logger.Warn("old notifications not deleted", "error", err)
	}
}

// trimBefore deletes the events of a hub that were enqueued before a time. The first failure is returned, after all
// partitions were tried.
func (h *Hub) trimBefore(ctx context.Context, c *Config, before time.Time) (failed error) {
	for _, endpoint := range []Endpoint{EndpointEvents, EndpointHubEvents} {
		for id := range c.Partitions {
			failed = orElse(failed, h.log.Trim(ctx, Partition{c.logName(), endpoint, id}, before))
		}
	}
	return failed
}
