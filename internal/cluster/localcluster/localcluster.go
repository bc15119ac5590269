// Package localcluster is the cluster in memory: hub.Cluster for the nodes of one process. In production that is one node;
// in tests two hubs share one.
//
// It keeps the promises of the ports in their strongest form: calls and announcements run in the caller's goroutine, nothing
// is late, and no announcement is lost. What calls carry is copied, and errors lose their causes, as on a wire.
//
// A node is joined, then leaving, when it answers no more calls but may still claim, and then gone. Who takes a claim or a
// lease for a node looks whether it is gone under the lock of the place where that is kept. Who ends a node marks it as gone
// first and then goes through all those places: so nothing is left behind.
//
// All locks are leaves. No handler is called and no channel is closed under any of them.
package localcluster

import (
	"hash/maphash"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// MaxEpoch is the greatest Options.Epoch: with it, fences stay below 2^63.
const MaxEpoch = 1<<(63-counterBits) - 1

// counterBits leaves room for the claims and leases of one process's life: 34 years at a thousand a second.
const counterBits = 40

// Options says how a cluster works.
type Options struct {
	// Epoch is the number of this process's life, at most MaxEpoch. Fences and lease numbers are Epoch<<40 plus a counter, so
	// those of a process with a greater epoch are greater than all earlier ones. The composition root takes it from durable
	// storage, and stores it before it claims anything. Zero will do where nothing outlives the process.
	Epoch uint64
}

// Cluster implements hub.Cluster, for all nodes of the process. It is safe for concurrent use.
//
// It does not see who calls it: for a node that is to be cut off by Kill, use a Member.
type Cluster struct {
	numbers atomic.Uint64 // the newest fence or lease number
	seed    maphash.Seed
	shards  [shardCount]shard

	mu    sync.Mutex                       // serialises changes of nodes
	nodes atomic.Pointer[map[string]*node] // replaced when a node joins or is gone, never changed

	leasesMu sync.Mutex // guards leases
	leases   map[string]*lease
}

var _ hub.Cluster = (*Cluster)(nil)

// New makes a cluster without nodes. It panics when the epoch is greater than MaxEpoch.
func New(opts Options) *Cluster {
	if opts.Epoch > MaxEpoch {
		panic("localcluster: the epoch is greater than MaxEpoch")
	}
	c := &Cluster{seed: maphash.MakeSeed(), leases: map[string]*lease{}}
	c.numbers.Store(opts.Epoch << counterBits)
	c.nodes.Store(&map[string]*node{})
	for i := range c.shards {
		c.shards[i].devices = map[deviceKey]deviceHolds{}
		c.shards[i].online = map[string]int{}
	}
	return c
}

// node is one life of a node, from Join until it is gone.
type node struct {
	name    string
	handler hub.Handler
	gone    atomic.Bool // it can have no claims and leases any more
	killed  atomic.Bool // it was cut off, see Kill

	calls sync.WaitGroup // of handler, those that have begun
	mu    sync.Mutex
	deaf  bool // no call may begin; guarded by mu
}

// begin reports whether a call of the handler may begin. Then calls.Done is to be called when it ends.
func (n *node) begin() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.deaf {
		return false
	}
	n.calls.Add(1)
	return true
}

func (n *node) refuseCalls() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.deaf = true
}

// node returns the node of that name, which may be leaving. Errors: CodeServiceUnavailable when there is none.
func (c *Cluster) node(name string) (*node, error) {
	if n := (*c.nodes.Load())[name]; n != nil {
		return n, nil
	}
	return nil, unavailable(name)
}

// add reports whether n's name was free.
func (c *Cluster) add(n *node) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	nodes := *c.nodes.Load()
	if nodes[n.name] != nil {
		return false
	}
	nodes = maps.Clone(nodes)
	nodes[n.name] = n
	c.nodes.Store(&nodes)
	return true
}

// end takes everything from n. A second time it does nothing.
func (c *Cluster) end(n *node) {
	n.refuseCalls()
	n.gone.Store(true)
	c.remove(n)
	c.dropClaims(n)
	c.dropLeases(n)
}

func (c *Cluster) remove(n *node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	nodes := *c.nodes.Load()
	if nodes[n.name] != n {
		return
	}
	nodes = maps.Clone(nodes)
	delete(nodes, n.name)
	c.nodes.Store(&nodes)
}

func unavailable(name string) error {
	return hubward.Errorf(hubward.CodeServiceUnavailable, "node %s is not there", name)
}
