package hub

import (
	"context"

	"github.com/hubward/hubward"
)

// Claim is a node's hold on the live link of an identity. Fence orders all claims on a hub's identities that were ever made,
// also over restarts of everything: what carries an older fence is void, whatever its owner believes. It is above 0, below
// 2^63, and greater than that of each claim that had been returned when this one was asked for.
type Claim struct {
	Hub      string
	Identity hubward.Identity
	Node     string
	Fence    uint64
}

// Directory knows which node holds the live link of each identity. The newest claim wins: that with the greatest fence.
// Owner and Owners see each claim and release that had returned when they were asked. Claims of a node that died are there
// until that is noticed.
//
// Errors of all methods: CodeServiceUnavailable when the cluster cannot be reached, ctx's error. The contract is tested by
// clustertest.
type Directory interface {
	// Claim makes node the owner of an identity's live link, and returns its claim and the one that it displaces, nil when
	// there was none: the newest one before it, perhaps of the same node. So each claim ends once, displaced or released.
	// node must have joined, see Bus, and not have left: otherwise CodeServiceUnavailable.
	//
	// After another error the claim may have been made; then nobody was told of the one that it displaced, and its fence is
	// known from Owner only. So holders look for themselves from time to time.
	Claim(ctx context.Context, hub string, id hubward.Identity, node string) (claim Claim, displaced *Claim, err error)
	// Owner returns the newest claim of an identity, nil when it has none or that was released.
	Owner(ctx context.Context, hub string, id hubward.Identity) (*Claim, error)
	// Owners returns the newest claims of a device and of its modules, in no order.
	Owners(ctx context.Context, hub, device string) ([]Claim, error)
	// Release ends a claim, and reports whether it was its identity's newest and not released yet. One that was displaced
	// stays so.
	Release(ctx context.Context, c Claim) (released bool, err error)
	// Count counts the devices of a hub that have an owner; modules are left out. It may be seconds behind.
	Count(ctx context.Context, hub string) (int, error)
}

// Handler is what a node does for others. Its methods are called concurrently, must not keep or change request or message,
// and must not leave the bus, which waits for them.
type Handler interface {
	// Call answers a request of a node, perhaps this one. It may call nodes itself. Its error reaches the caller as a
	// hubward.Error with code and message and nothing else: one without a code becomes CodeServerError. ctx ends no later
	// than the caller's deadline; it need not end when the caller gives up before that.
	Call(ctx context.Context, subject string, request []byte) (response []byte, err error)
	// Announced is told what a node has announced, perhaps this one. It must not block.
	Announced(subject string, message []byte)
}

// Bus carries calls between nodes, and what concerns all of them. The contract is tested by clustertest.
type Bus interface {
	// Join makes a node known, which answers by h from then on, until leave is called. Its name must be one that no node had
	// before, this one's earlier lives included: what they claimed would pass for its own. leave lets no more calls in, waits
	// for those that h has begun, which may claim and call until then, and then takes the node's claims and leases away. It
	// may be called twice.
	//
	// Errors: CodeInvalidOperation when a node of that name is there.
	Join(ctx context.Context, node string, h Handler) (leave func(), err error)
	// Call sends a request to a node and returns its answer, or the handler's error. Request and response may have 1 MiB
	// at least; nil and empty are the same. They belong to the caller.
	//
	// Errors: CodeServiceUnavailable when there is no such node (any more), or the caller is cut off; CodeMessageTooLarge;
	// ctx's error. After the first and the last, the call may have been carried out or not.
	Call(ctx context.Context, node, subject string, request []byte) (response []byte, err error)
	// Announce tells all nodes, this one too, perhaps after it has returned and in another order than it was called. A message
	// may be lost: who depends on it looks for itself from time to time. It should have some KiB at most.
	Announce(ctx context.Context, subject string, message []byte) error
}

// Lease is one node's turn at a job. It says who should try, and proves nothing: what makes a deposed holder harmless is in
// what it writes to.
type Lease struct {
	Name   string
	Holder string // the node
	Number uint64 // grows each time the lease goes to a node, also over restarts of everything; above 0, below 2^63
	// Ended is closed when the holder is known not to have it any more, because it lost it or because it gave it back. It
	// may be late, most of all for other nodes. While one node holds the lease, it is one channel for all who ask at a node.
	Ended <-chan struct{}
}

// Leases see to it that, most of the time, one node does a job. The contract is tested by clustertest.
type Leases interface {
	// Lease gives node the lease of that name unless another one holds it, and returns who does. The holder keeps it,
	// without calling again, until it gives it back or leaves, or is found dead. node must have joined and not have left.
	//
	// Errors: CodeServiceUnavailable when it has not, or the cluster cannot be reached; ctx's error.
	Lease(ctx context.Context, name, node string) (Lease, error)
	// EndLease gives a lease back; only its holder may. It does nothing when l.Holder does not hold it with l.Number (any
	// more).
	EndLease(ctx context.Context, l Lease) error
}

// Cluster is how nodes that share a store and a log find each other. One node alone has one of its own, in memory.
type Cluster interface {
	Directory
	Bus
	Leases
}
