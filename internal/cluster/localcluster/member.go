package localcluster

import (
	"context"
	"sync/atomic"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// Member implements hub.Cluster as one node sees it, for tests that cut nodes off: once the node that joined by it was
// killed, each of its calls fails with CodeServiceUnavailable. It is for one node; a node that comes back takes another.
type Member struct {
	cluster *Cluster
	node    atomic.Pointer[node] // nil until it has joined
}

var _ hub.Cluster = (*Member)(nil)

// Member returns a view for one node.
func (c *Cluster) Member() *Member { return &Member{cluster: c} }

// Kill cuts a node off, perhaps another one: see Cluster.Kill.
func (m *Member) Kill(name string) { m.cluster.Kill(name) }

// reachable returns an error when the node of m was killed.
func (m *Member) reachable() error {
	if n := m.node.Load(); n != nil && n.killed.Load() {
		return hubward.Errorf(hubward.CodeServiceUnavailable, "node %s is cut off", n.name)
	}
	return nil
}

// Join implements hub.Bus. Errors: CodeInvalidOperation, also when a node has joined by m before.
func (m *Member) Join(ctx context.Context, name string, h hub.Handler) (leave func(), err error) {
	n, err := m.cluster.join(ctx, name, h)
	if err != nil {
		return nil, err
	}
	if !m.node.CompareAndSwap(nil, n) {
		m.cluster.end(n)
		return nil, hubward.Errorf(hubward.CodeInvalidOperation, "a member is one node, and has joined already")
	}
	return m.cluster.leaver(n), nil
}

// Call implements hub.Bus. The answer is lost when the caller is killed before it is there.
func (m *Member) Call(ctx context.Context, name, subject string, request []byte) ([]byte, error) {
	if err := m.reachable(); err != nil {
		return nil, err
	}
	response, err := m.cluster.Call(ctx, name, subject, request)
	if cut := m.reachable(); cut != nil {
		return nil, cut
	}
	return response, err
}

// Announce implements hub.Bus.
func (m *Member) Announce(ctx context.Context, subject string, message []byte) error {
	if err := m.reachable(); err != nil {
		return err
	}
	return m.cluster.Announce(ctx, subject, message)
}

// Claim implements hub.Directory.
func (m *Member) Claim(
	ctx context.Context, hubName string, id hubward.Identity, name string,
) (claim hub.Claim, displaced *hub.Claim, err error) {
	if err := m.reachable(); err != nil {
		return hub.Claim{}, nil, err
	}
	return m.cluster.Claim(ctx, hubName, id, name)
}

// Owner implements hub.Directory.
func (m *Member) Owner(ctx context.Context, hubName string, id hubward.Identity) (*hub.Claim, error) {
	if err := m.reachable(); err != nil {
		return nil, err
	}
	return m.cluster.Owner(ctx, hubName, id)
}

// Owners implements hub.Directory.
func (m *Member) Owners(ctx context.Context, hubName, device string) ([]hub.Claim, error) {
	if err := m.reachable(); err != nil {
		return nil, err
	}
	return m.cluster.Owners(ctx, hubName, device)
}

// Release implements hub.Directory.
func (m *Member) Release(ctx context.Context, c hub.Claim) (bool, error) {
	if err := m.reachable(); err != nil {
		return false, err
	}
	return m.cluster.Release(ctx, c)
}

// Count implements hub.Directory.
func (m *Member) Count(ctx context.Context, hubName string) (int, error) {
	if err := m.reachable(); err != nil {
		return 0, err
	}
	return m.cluster.Count(ctx, hubName)
}

// Lease implements hub.Leases.
func (m *Member) Lease(ctx context.Context, name, nodeName string) (hub.Lease, error) {
	if err := m.reachable(); err != nil {
		return hub.Lease{}, err
	}
	return m.cluster.Lease(ctx, name, nodeName)
}

// EndLease implements hub.Leases.
func (m *Member) EndLease(ctx context.Context, l hub.Lease) error {
	if err := m.reachable(); err != nil {
		return err
	}
	return m.cluster.EndLease(ctx, l)
}
