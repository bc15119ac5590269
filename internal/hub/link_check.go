package hub

import (
	"context"

	"github.com/hubward/hubward"
)

// errUnclaimed is transient for every client: it comes back, and is claimed anew.
var errUnclaimed = hubward.Errorf(hubward.CodeServiceUnavailable, "the cluster has lost the claim of the connection")

// checkLinks closes the links of this node whose claims are no longer the newest of their identities, from time to time, until
// ctx ends: the node was not reached when an identity connected elsewhere, or a claim was made whose maker does not know. Such
// a link would live on behind the newer one, and also behind the end of that, when the identity is stored as disconnected.
func (h *Hub) checkLinks(ctx context.Context) {
	for h.waitFor(ctx, nil, 0) {
		if err := h.closeStale(ctx); err != nil && ctx.Err() == nil {
			h.logger.Warn("connections were not compared with the cluster's claims", "error", err)
		}
	}
}

// closeStale goes through all links once. Errors: the cluster's; then the rest is left for the next time.
func (h *Hub) closeStale(ctx context.Context) error {
	for i := range h.links.shards {
		for _, l := range h.links.shards[i].links() {
			owner, err := h.cluster.Owner(ctx, l.claim.Hub, l.claim.Identity)
			switch {
			case err != nil:
				return err
			case owner == nil: // a link is removed before its claim is released: then this reaches nobody
				h.links.close(l.key(), l.claim.Fence, errUnclaimed)
			case owner.Fence > l.claim.Fence:
				h.links.close(l.key(), l.claim.Fence, errTakenOver)
			}
		}
	}
	return nil
}

// links returns the links of the shard.
func (s *linkShard) links() []*Link {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*Link
	for _, e := range s.entries {
		if e.link != nil {
			all = append(all, e.link)
		}
	}
	return all
}
