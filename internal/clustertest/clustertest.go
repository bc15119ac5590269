// Package clustertest is the contract of hub.Cluster as tests. Every implementation runs Run.
//
// What the ports allow to be late, the suite waits for: how long it takes until others know that a node left or died, that a
// lease ended, or how many devices have an owner.
package clustertest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// Killer is implemented by members whose cluster can lose a node without an orderly end. The tests of that are skipped
// for others. Kill cuts the node of that name off from all others, perhaps by taking its connection away.
type Killer interface {
	Kill(node string)
}

// Run tests a cluster. open returns an empty one as two of its members see it: the suite lets one node join by each. It
// closes them when t ends.
func Run(t *testing.T, open func(t *testing.T) (a, b hub.Cluster)) {
	tests := []struct {
		name string
		run  func(*fixture)
	}{
		{"claim_newestWins", claimNewest},
		{"claim_displacesItsOwnNodesToo", claimSameNode},
		{"claim_fencesGrow", claimFences},
		{"claim_identitiesAreApart", claimApart},
		{"claim_needsAJoinedNode", claimUnjoined},
		{"claim_contextEnded", directoryContext},
		{"release_ofADisplacedClaim", releaseDisplaced},
		{"release_once", releaseOnce},
		{"owners_deviceAndModulesAndNobodyElse", ownersExact},
		{"count_devicesOnly", countDevices},
		{"concurrent_claimsOfOneIdentity", concurrentClaims},
		{"concurrent_eachClaimEndsOnce", concurrentReleases},
		{"join_nameIsTaken", joinTwice},
		{"call_reachesItsNode", callReaches},
		{"call_sizes", callSizes},
		{"call_doesNotShareBytes", callCopies},
		{"call_errorsKeepCodeAndMessage", callErrors},
		{"call_noSuchNode", callNobody},
		{"call_contextEnded", callContext},
		{"call_withinCalls", callNested},
		{"call_concurrent", callConcurrent},
		{"announce_reachesAll", announceAll},
		{"announce_withinCalls", announceNested},
		{"leave_waitsForCalls", leaveWaits},
		{"leave_freesClaimsAndLeases", leaveFrees},
		{"leave_twice", leaveTwice},
		{"lease_oneHolder", leaseOne},
		{"lease_numberGrows", leaseNumbers},
		{"lease_endedTellsAll", leaseEnded},
		{"lease_endByAnother", leaseEndByAnother},
		{"lease_needsAJoinedNode", leaseUnjoined},
		{"lease_concurrent", leaseConcurrent},
		{"kill_freesClaimsAndLeases", killFrees},
		{"kill_cutsTheBus", killBus},
		{"kill_failsCallsThatHaveBegun", killDuringCall},
		{"kill_failsItsOwnCalls", killDuringOwnCall},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a, b := open(t)
			test.run(&fixture{T: t, ctx: t.Context(), a: a, b: b})
		})
	}
}

// patience is how long the suite waits for what may be late: a lease in NATS was seen to outlive its node by 12 seconds.
const patience = 30 * time.Second

// The names that tests use.
const (
	nodeA   = "node-a"
	nodeB   = "node-b"
	hubName = "hub1"
)

// fixture is one test with its cluster.
type fixture struct {
	*testing.T
	ctx  context.Context
	a, b hub.Cluster
}

// join lets a node join that refuses all calls.
func (f *fixture) join(c hub.Cluster, node string) (leave func()) {
	f.Helper()
	return f.joinWith(c, node, &handler{})
}

// joinBoth is join for both members.
func (f *fixture) joinBoth() (leaveA, leaveB func()) {
	f.Helper()
	return f.join(f.a, nodeA), f.join(f.b, nodeB)
}

func (f *fixture) joinWith(c hub.Cluster, node string, h hub.Handler) (leave func()) {
	f.Helper()
	leave, err := c.Join(f.ctx, node, h)
	if err != nil {
		f.Fatalf("Join %s: %v", node, err)
	}
	f.Cleanup(leave)
	return leave
}

// killer returns what kills nodes, or skips the test.
func (f *fixture) killer() Killer {
	f.Helper()
	k, ok := f.b.(Killer)
	if !ok {
		f.Skip("the nodes of this cluster cannot be killed")
	}
	return k
}

func (f *fixture) claim(c hub.Cluster, node string, id hubward.Identity) (hub.Claim, *hub.Claim) {
	f.Helper()
	claim, displaced, err := c.Claim(f.ctx, hubName, id, node)
	if err != nil {
		f.Fatalf("Claim %s by %s: %v", id, node, err)
	}
	want := hub.Claim{Hub: hubName, Identity: id, Node: node, Fence: claim.Fence}
	if diff := cmp.Diff(want, claim); diff != "" {
		f.Errorf("Claim %s by %s (-want +got):\n%s", id, node, diff)
	}
	if claim.Fence == 0 || claim.Fence >= 1<<63 {
		f.Errorf("Claim %s by %s: fence %d", id, node, claim.Fence)
	}
	return claim, displaced
}

func (f *fixture) release(c hub.Cluster, claim hub.Claim, want bool) {
	f.Helper()
	got, err := c.Release(f.ctx, claim)
	if err != nil || got != want {
		f.Errorf("Release %+v = %v, %v, want %v", claim, got, err, want)
	}
}

// owner wants both members to know an identity's owner, nil for none.
func (f *fixture) owner(id hubward.Identity, want *hub.Claim) {
	f.Helper()
	for _, c := range []hub.Cluster{f.a, f.b} {
		got, err := c.Owner(f.ctx, hubName, id)
		if err != nil {
			f.Fatalf("Owner %s: %v", id, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			f.Errorf("Owner %s (-want +got):\n%s", id, diff)
		}
	}
}

// owners wants both members to know the claims of a device.
func (f *fixture) owners(device string, want ...hub.Claim) {
	f.Helper()
	for _, c := range []hub.Cluster{f.a, f.b} {
		got, err := c.Owners(f.ctx, hubName, device)
		if err != nil {
			f.Fatalf("Owners %s: %v", device, err)
		}
		byModule := cmpopts.SortSlices(func(x, y hub.Claim) bool { return x.Identity.Module < y.Identity.Module })
		if diff := cmp.Diff(want, got, byModule, cmpopts.EquateEmpty()); diff != "" {
			f.Errorf("Owners %s (-want +got):\n%s", device, diff)
		}
	}
}

// nobody waits until an identity has no owner that c knows of.
func (f *fixture) nobody(c hub.Cluster, id hubward.Identity) {
	f.Helper()
	f.eventually(fmt.Sprintf("%s has no owner", id), func() bool {
		claim, err := c.Owner(f.ctx, hubName, id)
		if err != nil {
			f.Fatalf("Owner %s: %v", id, err)
		}
		return claim == nil
	})
}

// count waits until both members count so many devices.
func (f *fixture) count(hubName string, want int) {
	f.Helper()
	for _, c := range []hub.Cluster{f.a, f.b} {
		f.eventually(fmt.Sprintf("%s has %d devices", hubName, want), func() bool {
			got, err := c.Count(f.ctx, hubName)
			if err != nil {
				f.Fatalf("Count %s: %v", hubName, err)
			}
			return got == want
		})
	}
}

func (f *fixture) lease(c hub.Cluster, name, node string) hub.Lease {
	f.Helper()
	l, err := c.Lease(f.ctx, name, node)
	if err != nil {
		f.Fatalf("Lease %s for %s: %v", name, node, err)
	}
	if l.Name != name || l.Number == 0 || l.Number >= 1<<63 || l.Ended == nil {
		f.Errorf("Lease %s for %s = %+v", name, node, l)
	}
	return l
}

func (f *fixture) endLease(c hub.Cluster, l hub.Lease) {
	f.Helper()
	if err := c.EndLease(f.ctx, l); err != nil {
		f.Fatalf("EndLease %+v: %v", l, err)
	}
}

// code wants an error with a code.
func (f *fixture) code(what string, err error, want hubward.Code) {
	f.Helper()
	if err == nil || hubward.CodeOf(err) != want {
		f.Errorf("%s: error %v, want %v", what, err, want)
	}
}

// closed waits for a channel to be closed.
func (f *fixture) closed(what string, ch <-chan struct{}) {
	f.Helper()
	select {
	case <-ch:
	case <-time.After(patience):
		f.Fatalf("waited for it in vain: %s", what)
	}
}

// open wants a channel not to be closed yet.
func (f *fixture) open(what string, ch <-chan struct{}) {
	f.Helper()
	select {
	case <-ch:
		f.Errorf("too early: %s", what)
	default:
	}
}

// eventually asks again and again, for what may be late.
func (f *fixture) eventually(what string, is func() bool) {
	f.Helper()
	late := time.After(patience)
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for !is() {
		select {
		case <-again.C:
		case <-late:
			f.Fatalf("waited for it in vain: %s", what)
		}
	}
}

// handler is a node for tests. Without a function it refuses calls.
type handler struct {
	call func(ctx context.Context, subject string, request []byte) ([]byte, error)
	told func(subject string, message []byte) // nil: forgotten
}

func (h *handler) Call(ctx context.Context, subject string, request []byte) ([]byte, error) {
	if h.call == nil {
		return nil, hubward.Errorf(hubward.CodeInvalidOperation, "nobody asks this node")
	}
	return h.call(ctx, subject, request)
}

func (h *handler) Announced(subject string, message []byte) {
	if h.told != nil {
		h.told(subject, message)
	}
}

// echo answers with subject and request.
func echo(_ context.Context, subject string, request []byte) ([]byte, error) {
	return []byte(subject + ":" + string(request)), nil
}

// notes gathers what a node is told.
type notes struct {
	mu   sync.Mutex
	list []string
}

func (n *notes) add(subject string, message []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, subject+":"+string(message))
}

// count returns how often n was told text.
func (n *notes) count(text string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	count := 0
	for _, s := range n.list {
		if s == text {
			count++
		}
	}
	return count
}
