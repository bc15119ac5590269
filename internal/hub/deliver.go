package hub

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/c2d"
)

// callMethod is a request to the node that holds an identity's link.
type callMethod struct {
	Hub      string           `json:"hub"`
	Identity hubward.Identity `json:"identity"`
	Fence    uint64           `json:"fence"` // of the claim that was found
	// Generation is that of the identity which the caller has waited for; empty: he has not waited.
	Generation string        `json:"generation,omitempty"`
	Name       string        `json:"name"`
	Payload    []byte        `json:"payload"` // base64, so that it stays as it is
	Timeout    time.Duration `json:"timeout"` // for the answer, from when the device is handed the call
	Call       callName      `json:"call"`
}

// callName names a call of one node at another.
type callName struct {
	Node   string `json:"node"` // that calls
	Number uint64 `json:"number"`
}

// methodResponse is the answer to callMethod.
type methodResponse struct {
	Status  int    `json:"status"`
	Payload []byte `json:"payload"` // base64
}

// methodMargin is how long a call and its answer may travel between nodes, together.
const methodMargin = 5 * time.Second

// callMethod calls a method of an identity that is connected to whatever node.
//
// Errors: CodeDeviceNotOnline, also when it is connected and takes no methods; those of Link.callMethod; the cluster's; ctx's.
func (h *Hub) callMethod(ctx context.Context, c callMethod) (hubward.MethodResult, error) {
	owner, err := h.cluster.Owner(ctx, c.Hub, c.Identity)
	if err != nil {
		return hubward.MethodResult{}, err
	}
	if owner == nil {
		return hubward.MethodResult{}, errNotOnline(c.Identity)
	}
	c.Fence = owner.Fence
	if owner.Node == h.node {
		return h.callHere(ctx, &c)
	}
	c.Call = callName{Node: h.node, Number: h.methodCalls.Add(1)}
	return h.callThere(ctx, owner.Node, &c)
}

// callHere calls a method of an identity whose link this node holds.
func (h *Hub) callHere(ctx context.Context, c *callMethod) (hubward.MethodResult, error) {
	l := h.links.live(linkKey{c.Hub, c.Identity})
	if l == nil || l.claim.Fence < c.Fence {
		return hubward.MethodResult{}, errNotOnline(c.Identity)
	}
	if err := c.checkGeneration(l.Principal.Generation); err != nil {
		return hubward.MethodResult{}, err
	}
	return l.callMethod(ctx, c)
}

// callThere has another node call a method. When it returns without an answer, that node stops to wait.
func (h *Hub) callThere(ctx context.Context, node string, c *callMethod) (result hubward.MethodResult, err error) {
	request, err := encoded(c, nil)
	if err != nil {
		return result, err
	}
	within, cancel := context.WithTimeout(ctx, c.Timeout+methodMargin)
	defer cancel()
	response, err := h.cluster.Call(within, node, subjectMethod, request)
	switch {
	case err == nil:
		err = decoded(response, func(r methodResponse) error {
			result = hubward.MethodResult{Status: r.Status, Payload: r.Payload}
			return nil
		})
		return result, err
	case within.Err() != nil:
		name := c.Call
		h.background(func(ctx context.Context) { h.cancelThere(ctx, node, name) })
		if ctx.Err() != nil {
			return result, ctx.Err()
		}
		return result, errNoAnswer(c.Identity)
	case hubward.CodeOf(err) == hubward.CodeServiceUnavailable && h.hasLeft(ctx, c):
		return result, errConnectionClosed
	}
	return result, err
}

// hasLeft reports whether the claim by which an identity was called is no more: then its node is gone, with the call.
func (h *Hub) hasLeft(ctx context.Context, c *callMethod) bool {
	owner, err := h.cluster.Owner(ctx, c.Hub, c.Identity)
	return err == nil && (owner == nil || owner.Fence != c.Fence)
}

// cancelThere tells a node that nobody waits for a call any more.
func (h *Hub) cancelThere(ctx context.Context, node string, name callName) {
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	if err := h.tell(ctx, node, subjectMethodCancel, name); err != nil {
		h.logger.Debug("a call that nobody waits for goes on until its time-out", "node", node, "error", err)
	}
}

// callsForOthers are the calls of methods that other nodes have made here.
type callsForOthers struct {
	mu      sync.Mutex // guards running; a leaf
	running map[callName]context.CancelFunc
}

func (o *callsForOthers) begin(name callName, cancel context.CancelFunc) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.running == nil {
		o.running = make(map[callName]context.CancelFunc)
	}
	o.running[name] = cancel
}

func (o *callsForOthers) end(name callName) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.running, name)
}

// cancel ends a call. One that has ended, or has not come yet, ends by itself.
func (o *callsForOthers) cancel(name callName) error {
	o.mu.Lock()
	cancel := o.running[name]
	o.mu.Unlock()
	if cancel != nil {
		cancel()
	}
	return nil
}

// answerMethod carries out a call of another node. It ends with ctx, when that node says so, and with this node.
func (h *Hub) answerMethod(ctx context.Context, request []byte) (response []byte, err error) {
	err = decoded(request, func(c callMethod) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		h.callsForOthers.begin(c.Call, cancel)
		defer h.callsForOthers.end(c.Call)
		defer context.AfterFunc(h.tasks.ctx, cancel)()
		result, err := h.callHere(ctx, &c)
		if errors.Is(err, context.Canceled) && h.tasks.ctx.Err() != nil {
			err = errConnectionClosed // soon
		}
		response, err = encoded(methodResponse{Status: result.Status, Payload: result.Payload}, err)
		return err
	})
	return response, err
}

// desiredChanged has whichever nodes hold the links of identities tell them of changes of their desired properties. It follows a
// change that is durable, so it does not end with ctx.
func (h *Hub) desiredChanged(ctx context.Context, hub string, ids ...hubward.Identity) {
	keys := make(map[c2d.Key]bool, len(ids))
	for _, id := range ids {
		keys[c2d.Key{Hub: hub, Identity: id}] = true
	}
	h.tellAll(context.WithoutCancel(ctx), keys)
}

// wakeDesired tells an identity that is connected to this node.
func (h *Hub) wakeDesired(k c2d.Key) {
	if l := h.links.live(linkKey{k.Hub, k.Identity}); l != nil {
		l.desiredNews()
	}
}
