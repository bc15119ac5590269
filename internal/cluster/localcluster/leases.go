package localcluster

import (
	"context"

	"github.com/hubward/hubward/internal/hub"
)

// lease is one that is held.
type lease struct {
	hub.Lease
	node  *node
	ended chan struct{} // Lease.Ended; closed by who takes the lease out of Cluster.leases
}

// Lease implements hub.Leases.
func (c *Cluster) Lease(ctx context.Context, name, nodeName string) (hub.Lease, error) {
	if err := ctx.Err(); err != nil {
		return hub.Lease{}, err
	}
	n, err := c.node(nodeName)
	if err != nil {
		return hub.Lease{}, err
	}
	c.leasesMu.Lock()
	defer c.leasesMu.Unlock()
	if n.gone.Load() {
		return hub.Lease{}, unavailable(nodeName)
	}
	l := c.leases[name]
	if l == nil {
		ended := make(chan struct{})
		l = &lease{
			Lease: hub.Lease{Name: name, Holder: nodeName, Number: c.numbers.Add(1), Ended: ended},
			node:  n,
			ended: ended,
		}
		c.leases[name] = l
	}
	return l.Lease, nil
}

// EndLease implements hub.Leases.
func (c *Cluster) EndLease(ctx context.Context, given hub.Lease) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if l := c.take(given); l != nil {
		close(l.ended)
	}
	return nil
}

// take takes a lease out, nil when it is not held as given says.
func (c *Cluster) take(given hub.Lease) *lease {
	c.leasesMu.Lock()
	defer c.leasesMu.Unlock()
	l := c.leases[given.Name]
	if l == nil || l.Holder != given.Holder || l.Number != given.Number {
		return nil
	}
	delete(c.leases, given.Name)
	return l
}

// dropLeases ends what n holds. n is gone: it gets no more.
func (c *Cluster) dropLeases(n *node) {
	for _, l := range c.takeAll(n) {
		close(l.ended)
	}
}

func (c *Cluster) takeAll(n *node) []*lease {
	c.leasesMu.Lock()
	defer c.leasesMu.Unlock()
	var taken []*lease
	for name, l := range c.leases {
		if l.node == n {
			delete(c.leases, name)
			taken = append(taken, l)
		}
	}
	return taken
}
