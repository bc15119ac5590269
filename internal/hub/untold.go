package hub

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/c2d"
)

const (
	untoldRetry = time.Second // after which a node that was not reached is tried again
	maxUntold   = 10_000      // identities
)

// untold are the identities whose nodes could not be told that their desired properties have changed: they are told later. What
// is forgotten, because there is too much of it or this process ends, the next change of the identity makes up for, or its next
// connection.
type untold struct {
	news chan struct{} // there are some; holds one

	mu   sync.Mutex // guards keys; a leaf
	keys map[c2d.Key]bool
}

func newUntold() *untold {
	return &untold{news: make(chan struct{}, 1), keys: make(map[c2d.Key]bool)}
}

// add reports whether there was room.
func (u *untold) add(k c2d.Key) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.keys) >= maxUntold && !u.keys[k] {
		return false
	}
	u.keys[k] = true
	wake(u.news)
	return true
}

func (u *untold) take() map[c2d.Key]bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	keys := u.keys
	u.keys = make(map[c2d.Key]bool)
	return keys
}

// tellUntold tells them, until ctx ends.
func (h *Hub) tellUntold(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-h.untold.news:
		case <-ctx.Done():
			return
		}
		if h.waitFor(ctx, nil, untoldRetry) {
			h.tellAll(ctx, h.untold.take())
		}
	}
}

// tellAll tells the nodes of identities of changes of their desired properties. Those that are not reached are told later.
func (h *Hub) tellAll(ctx context.Context, keys map[c2d.Key]bool) {
	var silent []string // nodes that have not answered: they are not waited for again; "" is the directory
	for k := range keys {
		node, err := h.tellDesired(ctx, k, silent)
		if err == nil {
			continue
		}
		if !slices.Contains(silent, node) {
			silent = append(silent, node)
			h.logger.Warn("a node was not told of changes of desired properties", "node", node, "error", err)
		}
		if !h.untold.add(k) {
			h.logger.Error("a device learns of its desired properties with their next change", "hub", k.Hub, "device", k.Identity.String())
		}
	}
}

// tellDesired tells the node that holds an identity's link, unless it is one of the silent ones. Without a connection there is
// nobody to tell.
//
// Errors: the cluster's.
func (h *Hub) tellDesired(ctx context.Context, k c2d.Key, silent []string) (node string, err error) {
	if slices.Contains(silent, "") {
		return "", hubward.Errorf(hubward.CodeServiceUnavailable, "the directory does not answer")
	}
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	owner, err := h.cluster.Owner(ctx, k.Hub, k.Identity)
	if err != nil || owner == nil {
		return "", err
	}
	if owner.Node == h.node {
		h.wakeDesired(k)
		return owner.Node, nil
	}
	if slices.Contains(silent, owner.Node) {
		return owner.Node, hubward.Errorf(hubward.CodeServiceUnavailable, "the node does not answer")
	}
	return owner.Node, h.tell(ctx, owner.Node, subjectDesired, k)
}
