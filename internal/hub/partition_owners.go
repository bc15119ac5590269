package hub

import (
	"context"
	"sync"

	"github.com/hubward/hubward"
)

// ownedPartitions watches the leases of the partitions that are read on this node, or whose readers it keeps: when such a
// lease ends, its readers have to register with the next owner.
type ownedPartitions struct {
	mu      sync.Mutex // guards watched; a leaf
	watched map[string]uint64
}

func newOwnedPartitions() *ownedPartitions { return &ownedPartitions{watched: make(map[string]uint64)} }

// errOwnerGone is what the readers of a partition get whose owner went.
var errOwnerGone = hubward.Errorf(hubward.CodeServiceUnavailable, "the partition has a new owner, attach again")

// watch sees to it that the readers of a lease end with it.
func (o *ownedPartitions) watch(h *Hub, s *state, partition int, lease Lease) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.watched[lease.Name] == lease.Number {
		return
	}
	o.watched[lease.Name] = lease.Number
	h.background(func(ctx context.Context) {
		select {
		case <-lease.Ended:
		case <-s.gone:
			// Its readers have ended with it here, and will where that is not known yet: not with the lease before.
			h.waitFor(ctx, lease.Ended, tellTimeout)
			h.giveBack(ctx, lease)
		case <-ctx.Done():
			return
		}
		o.forget(lease)
		s.readers.endWhere(errOwnerGone, func(r *readerHandle) bool {
			return r.lease.Name == lease.Name && r.lease.Number == lease.Number
		})
		if lease.Holder == h.node {
			s.registrations.drop(partition)
		}
	})
}

// giveBack ends a lease, if it is this node's.
func (h *Hub) giveBack(ctx context.Context, lease Lease) {
	if lease.Holder != h.node {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellTimeout)
	defer cancel()
	if err := h.cluster.EndLease(ctx, lease); err != nil {
		h.logger.Warn("a lease was not given back", "lease", lease.Name, "error", err)
	}
}

func (o *ownedPartitions) forget(lease Lease) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.watched[lease.Name] == lease.Number {
		delete(o.watched, lease.Name)
	}
}
