package hub

import (
	"context"
	"time"
)

// trimInterval is how often events and feedback that have outlived their time are deleted.
const trimInterval = time.Minute

func (h *Hub) trimUntil(ctx context.Context) {
	tick := time.NewTicker(trimInterval)
	defer tick.Stop()
	for {
		h.trim(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// trim deletes what is too old in every partition. A failure is logged and the next round tries again.
func (h *Hub) trim(ctx context.Context) {
	for _, c := range h.Hubs() {
		before := h.now().Add(-c.Retention)
		for id := range c.Partitions {
			if err := h.log.Trim(ctx, Partition{c.Name, EndpointEvents, id}, before); err != nil && ctx.Err() == nil {
				h.logger.Warn("old events not deleted", "hub", c.Name, "partition", id, "error", err)
			}
		}
	}
	if err := h.store.DropFeedback(ctx, h.now().UTC()); err != nil && ctx.Err() == nil {
		h.logger.Warn("old feedback not deleted", "error", err)
	}
}
