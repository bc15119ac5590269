package hub

import (
	"context"
	"time"
)

// lookInterval is how often a node looks for what it should have been told: announcements may be lost.
const lookInterval = 30 * time.Second

// leaseRetry is how long a node waits before it asks again for a lease.
const leaseRetry = time.Second

// job is what one node of the cluster does at a time, for all hubs. Each is harmless when a node that has lost its lease
// does a little more of it: what it changes in the store, it looks at anew in the transaction that changes it. What moveEvents
// appends to the log could be there twice then; see docs/adr/0013-events-of-the-hub-itself.md.
type job struct {
	name string
	do   func(ctx context.Context) // until ctx ends
}

func (h *Hub) jobs() []job {
	return []job{
		{"job/c2d", h.sweepC2D},               // locks and expiries
		{jobFeedback, h.batchFeedback},        // notifications of feedback
		{"job/events", h.moveEvents},          // from the outbox into the log
		{"job/retention", h.trimAll},          // what is too old
		{"job/deletions", h.finishDeletions},  // events of hubs that were deleted
		{"job/connections", h.checkConnected}, // connections that nobody holds
	}
}

// doJob does a job while this node has its lease, until ctx ends.
func (h *Hub) doJob(ctx context.Context, j job) {
	for ctx.Err() == nil {
		lease, err := h.cluster.Lease(ctx, j.name, h.node)
		switch {
		case err != nil:
			if ctx.Err() == nil {
				h.logger.Error("a job found nobody to do it", "job", j.name, "error", err)
			}
			h.waitFor(ctx, nil, leaseRetry)
		case lease.Holder != h.node:
			h.waitFor(ctx, lease.Ended, 0)
		default:
			h.doWhileHeld(ctx, lease, j)
		}
	}
}

func (h *Hub) doWhileHeld(ctx context.Context, lease Lease, j job) {
	held, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		j.do(held)
	}()
	select {
	case <-lease.Ended:
	case <-ctx.Done():
	}
	cancel()
	<-ended
	h.giveBack(ctx, lease)
}

// checkConnected ends connections that nobody holds: at once, for those of an earlier process, and from time to time.
func (h *Hub) checkConnected(ctx context.Context) {
	for {
		for _, s := range h.states() {
			if err := h.endLostConnections(ctx, s.ref.Name); err != nil && ctx.Err() == nil {
				h.logger.Warn("stored connections were not checked", "hub", s.ref.Name, "error", err)
			}
		}
		if !h.waitFor(ctx, nil, 0) {
			return
		}
	}
}
