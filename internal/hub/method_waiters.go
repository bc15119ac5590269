package hub

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hubward/hubward"
)

const (
	// Who waits for identities to take methods, of one hub on one node.
	maxMethodWaiters = 4096
	maxMethodWaiting = 64 << 20 // bytes of payloads
	// maxAwaited bounds the identities that other nodes wait for.
	maxAwaited = 4 * maxMethodWaiters
	// methodLook is how often a waiter looks for itself: what it should have been told may be lost.
	methodLook = 5 * time.Second
	// awaitedFor is how long a node remembers that another one waits. It is told again at each look.
	awaitedFor = 3 * methodLook
)

// methodWaiters are those of a hub on this node whose calls wait for identities to take methods, and the nodes that have such
// ones for identities that may come here.
type methodWaiters struct {
	mu    sync.Mutex // guards the fields below; a leaf
	here  map[hubward.Identity]*methodWait
	count int                                       // of who waits here
	bytes int                                       // of their payloads
	there map[hubward.Identity]map[string]time.Time // until when by node
}

type methodWait struct {
	waiting int
	taken   chan struct{} // closed when the identity takes methods; then there is a new one
}

// enter makes room for one who waits for an identity. leave follows.
//
// Errors: CodeThrottled.
func (w *methodWaiters) enter(id hubward.Identity, size int) (leave func(), err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.count == maxMethodWaiters || w.bytes+size > maxMethodWaiting {
		return nil, hubward.Errorf(hubward.CodeThrottled, "too many calls wait for their devices to connect")
	}
	e := w.here[id]
	if e == nil {
		if w.here == nil {
			w.here = make(map[hubward.Identity]*methodWait)
		}
		e = &methodWait{taken: make(chan struct{})}
		w.here[id] = e
	}
	e.waiting++
	w.count++
	w.bytes += size
	return func() { w.leave(id, e, size) }, nil
}

func (w *methodWaiters) leave(id hubward.Identity, e *methodWait, size int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count--
	w.bytes -= size
	if e.waiting--; e.waiting == 0 {
		delete(w.here, id)
	}
}

// watch returns what is closed when the identity takes methods. It is for who has entered, and comes before looking.
func (w *methodWaiters) watch(id hubward.Identity) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.here[id].taken
}

// wake has those look who wait here for an identity.
func (w *methodWaiters) wake(id hubward.Identity) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e := w.here[id]; e != nil {
		close(e.taken)
		e.taken = make(chan struct{})
	}
}

// await notes that a node waits for an identity.
func (w *methodWaiters) await(id hubward.Identity, node string, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.there) >= maxAwaited {
		w.pruneLocked(now)
	}
	nodes := w.there[id]
	if nodes == nil {
		if len(w.there) >= maxAwaited {
			return // who waits looks for itself
		}
		if w.there == nil {
			w.there = make(map[hubward.Identity]map[string]time.Time)
		}
		nodes = make(map[string]time.Time)
		w.there[id] = nodes
	}
	nodes[node] = now.Add(awaitedFor)
}

func (w *methodWaiters) pruneLocked(now time.Time) {
	for id, nodes := range w.there {
		maps.DeleteFunc(nodes, func(_ string, until time.Time) bool { return now.After(until) })
		if len(nodes) == 0 {
			delete(w.there, id)
		}
	}
}

// awaiting returns the nodes that wait for an identity, and forgets them.
func (w *methodWaiters) awaiting(id hubward.Identity, now time.Time) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	nodes := w.there[id]
	delete(w.there, id)
	maps.DeleteFunc(nodes, func(_ string, until time.Time) bool { return now.After(until) })
	return slices.Collect(maps.Keys(nodes))
}

// awaitMethods is an announcement: calls wait on a node for an identity to take methods.
type awaitMethods struct {
	Hub      string           `json:"hub"`
	Identity hubward.Identity `json:"identity"`
	Node     string           `json:"node"`
}

// callWhenTaken makes a call as soon as its identity takes methods, on whatever node, within a time from now on.
//
// Errors: CodeDeviceNotOnline; CodeDeviceNotFound and CodeModuleNotFound when the identity has gone, also when there is a later one
// of its name; CodeNoSuchHub when the hub is deleted meanwhile; CodeThrottled; those of the call; ctx's.
func (h *Hub) callWhenTaken(ctx context.Context, s *state, c callMethod, within time.Duration) (hubward.MethodResult, error) {
	leave, err := s.methods.enter(c.Identity, len(c.Payload))
	if err != nil {
		return hubward.MethodResult{}, err
	}
	defer leave()
	end := time.NewTimer(within)
	defer end.Stop()
	look := time.NewTimer(methodLook)
	defer look.Stop()
	// A node that answers at once, while the directory names another one, is not asked again before the next look.
	for tell := true; ; {
		taken := s.methods.watch(c.Identity)
		if tell {
			h.announce(subjectMethodAwaited, awaitMethods{Hub: c.Hub, Identity: c.Identity, Node: h.node})
			look.Reset(methodLook)
			tell = false
		}
		result, err := h.callMethod(ctx, c)
		if hubward.CodeOf(err) != hubward.CodeDeviceNotOnline {
			return result, err
		}
		select {
		case <-taken:
		case <-look.C:
			generation, err := h.checkCallable(ctx, s, c.Identity) // it may have gone meanwhile
			if err == nil {
				err = c.checkGeneration(generation)
			}
			if err != nil {
				return hubward.MethodResult{}, err
			}
			tell = true
		case <-end.C:
			return hubward.MethodResult{}, err
		case <-s.gone:
			return hubward.MethodResult{}, noSuchHub(c.Hub)
		case <-ctx.Done():
			return hubward.MethodResult{}, ctx.Err()
		}
	}
}

// methodsTaken tells those who wait for the link's identity that it takes methods.
func (h *Hub) methodsTaken(l *Link) {
	id := l.Principal.Identity
	l.state.methods.wake(id)
	if nodes := l.state.methods.awaiting(id, h.now()); len(nodes) > 0 {
		h.background(func(ctx context.Context) { h.tellTaken(ctx, l.key(), nodes) })
	}
}

func (h *Hub) tellTaken(ctx context.Context, key linkKey, nodes []string) {
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	for _, node := range nodes {
		if err := h.tell(ctx, node, subjectMethodTaken, identityNews{Hub: key.hub, Identity: key.id}); err != nil {
			h.logger.Warn("a call of a method waits longer", "hub", key.hub, "device", key.id.String(), "node", node, "error", err)
		}
	}
}

// wakeMethodWaiters is told by another node that an identity takes methods there.
func (h *Hub) wakeMethodWaiters(n identityNews) error {
	if s, _, err := h.find(n.Hub); err == nil {
		s.methods.wake(n.Identity)
	}
	return nil
}

// methodAwaited is told that calls wait on another node. The identity may be here already.
func (h *Hub) methodAwaited(a awaitMethods) error {
	s, _, err := h.find(a.Hub)
	if err != nil || a.Node == h.node {
		return nil
	}
	s.methods.await(a.Identity, a.Node, h.now())
	if l := h.links.live(linkKey{a.Hub, a.Identity}); l != nil && l.calls.isTaking() {
		h.methodsTaken(l)
	}
	return nil
}
