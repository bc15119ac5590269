package localcluster

import (
	"context"
	"errors"
	"sync"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// Join implements hub.Bus. A name is free again when its node has left or was killed; that no node had it before is up to
// the caller.
func (c *Cluster) Join(ctx context.Context, name string, h hub.Handler) (leave func(), err error) {
	n, err := c.join(ctx, name, h)
	if err != nil {
		return nil, err
	}
	return c.leaver(n), nil
}

func (c *Cluster) join(ctx context.Context, name string, h hub.Handler) (*node, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	n := &node{name: name, handler: h}
	if !c.add(n) {
		return nil, hubward.Errorf(hubward.CodeInvalidOperation, "a node %s has joined already", name)
	}
	return n, nil
}

func (c *Cluster) leaver(n *node) (leave func()) {
	return sync.OnceFunc(func() {
		n.refuseCalls()
		n.calls.Wait()
		c.end(n)
	})
}

// Call implements hub.Bus. It runs the handler in the caller's goroutine, so it returns when that does, also when ctx ends
// before; then an error of the handler is replaced by ctx's.
func (c *Cluster) Call(ctx context.Context, name, subject string, request []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	n, err := c.node(name)
	if err != nil {
		return nil, err
	}
	if !n.begin() {
		return nil, unavailable(name)
	}
	defer n.calls.Done()
	response, err := n.handler.Call(ctx, subject, clone(request))
	if n.killed.Load() {
		return nil, unavailable(name)
	}
	if err == nil {
		return clone(response), nil
	}
	if ended := ctx.Err(); ended != nil {
		return nil, ended
	}
	return nil, carried(err)
}

// Announce implements hub.Bus. All nodes have been told when it returns.
func (c *Cluster) Announce(ctx context.Context, subject string, message []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, n := range *c.nodes.Load() {
		n.announced(subject, clone(message))
	}
	return nil
}

func (n *node) announced(subject string, message []byte) {
	if !n.begin() {
		return
	}
	defer n.calls.Done()
	n.handler.Announced(subject, message)
}

// Kill cuts a node off, as a crash or a broken network does, for tests. At once its claims and leases are nobody's and no
// announcement reaches it; calls to it fail with CodeServiceUnavailable, those that have begun when the handler returns; and
// if it joined by a Member, so does whatever it asks of the cluster. It is not told, but for Lease.Ended. To leave then only
// waits for the handler. Kill does nothing when there is no such node.
func (c *Cluster) Kill(name string) {
	n, err := c.node(name)
	if err != nil {
		return
	}
	n.killed.Store(true)
	c.end(n)
}

// clone copies b. Nothing is nil, as a wire knows only how long it is.
func clone(b []byte) []byte { return append([]byte(nil), b...) }

// carried is what a wire leaves of a handler's error.
func carried(err error) error {
	e := &hubward.Error{Code: hubward.CodeOf(err)}
	var coded *hubward.Error
	if errors.As(err, &coded) {
		e.Message = coded.Message
	}
	return e
}
