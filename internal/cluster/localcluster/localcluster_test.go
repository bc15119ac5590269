package localcluster_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/cluster/localcluster"
	"github.com/hubward/hubward/internal/clustertest"
	"github.com/hubward/hubward/internal/hub"
)

func TestCluster(t *testing.T) {
	clustertest.Run(t, func(*testing.T) (a, b hub.Cluster) {
		c := localcluster.New(localcluster.Options{Epoch: 3})
		unkillable := struct{ hub.Cluster }{c} // it does not see who calls: Members do
		return unkillable, unkillable
	})
}

func TestMember(t *testing.T) {
	clustertest.Run(t, func(*testing.T) (a, b hub.Cluster) {
		c := localcluster.New(localcluster.Options{})
		return c.Member(), c.Member()
	})
}

func TestMember_isOneNode(t *testing.T) {
	c := localcluster.New(localcluster.Options{})
	m := c.Member()
	join(t, m, "a", silent{})
	if _, err := m.Join(t.Context(), "b", silent{}); hubward.CodeOf(err) != hubward.CodeInvalidOperation {
		t.Errorf("a second Join by one member: %v", err)
	}
	join(t, c, "b", silent{}) // the name is free
}

func TestNew_epochs(t *testing.T) {
	var last uint64
	for _, epoch := range []uint64{0, 1, 2, localcluster.MaxEpoch} {
		c := localcluster.New(localcluster.Options{Epoch: epoch})
		join(t, c, "a", silent{})
		claim, _, err := c.Claim(t.Context(), "hub1", hubward.Identity{Device: "d1"}, "a")
		if err != nil {
			t.Fatal(err)
		}
		l, err := c.Lease(t.Context(), "job", "a")
		if err != nil {
			t.Fatal(err)
		}
		if claim.Fence <= last || claim.Fence>>40 != epoch || claim.Fence >= 1<<63 {
			t.Errorf("epoch %d: fence %#x after %#x", epoch, claim.Fence, last)
		}
		if l.Number <= last || l.Number>>40 != epoch || l.Number >= 1<<63 {
			t.Errorf("epoch %d: lease number %#x after %#x", epoch, l.Number, last)
		}
		last = max(claim.Fence, l.Number)
	}
	defer func() {
		if recover() == nil {
			t.Error("an epoch above MaxEpoch was taken")
		}
	}()
	localcluster.New(localcluster.Options{Epoch: localcluster.MaxEpoch + 1})
}

// A single node has nothing that may be late.
func TestCluster_nothingIsLate(t *testing.T) {
	c := localcluster.New(localcluster.Options{})
	var told int
	join(t, c, "a", announced(func() { told++ }))
	leave := join(t, c, "b", announced(func() { told++ }))
	if err := c.Announce(t.Context(), "x", nil); err != nil || told != 2 {
		t.Errorf("Announce: %v, %d of 2 nodes are told when it returns", err, told)
	}
	mine, err := c.Lease(t.Context(), "job", "b")
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := c.Lease(t.Context(), "job", "a")
	if err != nil || theirs != mine {
		t.Errorf("Lease for another node: %+v, %v, want %+v with the same channel", theirs, err, mine)
	}
	leave()
	select {
	case <-mine.Ended:
	default:
		t.Error("the lease of a node has not ended when leave returns")
	}
}

// Claims and leases that race with the end of their node leave nothing behind.
func TestCluster_endOfANodeRacesWithItsClaims(t *testing.T) {
	ends := map[string]func(c *localcluster.Cluster, leave func()){
		"leave": func(_ *localcluster.Cluster, leave func()) { leave() },
		"kill":  func(c *localcluster.Cluster, _ func()) { c.Kill("a") },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			for range 20 {
				c := localcluster.New(localcluster.Options{})
				leave := join(t, c, "a", silent{})
				join(t, c, "b", silent{})
				raceWithEnd(t, c, func() { end(c, leave) })
				checkEmpty(t, c)
			}
		})
	}
}

const racers, racing = 4, 100

// raceWithEnd claims and leases for node a from several goroutines, and ends it once all of them are at it.
func raceWithEnd(t *testing.T, c *localcluster.Cluster, end func()) {
	t.Helper()
	var wg, begun sync.WaitGroup
	begun.Add(racers)
	for g := range racers {
		wg.Go(func() {
			for i := 0; ; i++ {
				id := hubward.Identity{Device: fmt.Sprint("d", i%racing), Module: []string{"", "m"}[g%2]}
				_, _, err := c.Claim(t.Context(), "hub1", id, "a")
				_, leaseErr := c.Lease(t.Context(), fmt.Sprint("job", i%racing), "a")
				if i == racing {
					begun.Done()
				}
				if err != nil && leaseErr != nil && i > racing {
					return
				}
			}
		})
	}
	begun.Wait()
	end()
	wg.Wait()
}

func checkEmpty(t *testing.T, c *localcluster.Cluster) {
	t.Helper()
	if n, err := c.Count(t.Context(), "hub1"); err != nil || n != 0 {
		t.Errorf("Count = %d, %v after the only owner has gone", n, err)
	}
	for i := range racing {
		claims, err := c.Owners(t.Context(), "hub1", fmt.Sprint("d", i))
		if err != nil || len(claims) != 0 {
			t.Errorf("Owners = %+v, %v after the only owner has gone", claims, err)
		}
		if l, err := c.Lease(t.Context(), fmt.Sprint("job", i), "b"); err != nil || l.Holder != "b" {
			t.Errorf("Lease = %+v, %v after its holder has gone", l, err)
		}
	}
}

// A name that comes back, against the rules, at least does not inherit: what the earlier life does later changes nothing.
func TestCluster_laterLifeIsAnother(t *testing.T) {
	c := localcluster.New(localcluster.Options{})
	first := c.Member()
	leave := join(t, first, "a", silent{})
	c.Kill("a")
	join(t, c, "a", silent{})
	claim, _, err := c.Claim(t.Context(), "hub1", hubward.Identity{Device: "d1"}, "a")
	if err != nil {
		t.Fatal(err)
	}
	leave()
	if _, _, err := first.Claim(t.Context(), "hub1", claim.Identity, "a"); err == nil {
		t.Error("a killed node claims in the name of its later life")
	}
	if _, err := c.Call(t.Context(), "a", "x", nil); err != nil {
		t.Errorf("Call after the earlier life left: %v", err)
	}
	owner, err := c.Owner(t.Context(), "hub1", claim.Identity)
	if diff := cmp.Diff(&claim, owner); err != nil || diff != "" {
		t.Errorf("Owner: %v (-want +got):\n%s", err, diff)
	}
}

// A handler's panic is its caller's; it does not keep the node from leaving.
func TestCall_handlerPanics(t *testing.T) {
	c := localcluster.New(localcluster.Options{})
	leave := join(t, c, "a", panics{})
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_, _ = c.Call(t.Context(), "a", "x", nil)
	}()
	leave()
}

func TestCluster_claimAllocates(t *testing.T) {
	c := localcluster.New(localcluster.Options{})
	join(t, c, "a", silent{})
	id := hubward.Identity{Device: "d1"}
	allocs := testing.AllocsPerRun(100, func() {
		claim, _, _ := c.Claim(t.Context(), "hub1", id, "a")
		_, _ = c.Release(t.Context(), claim)
	})
	if allocs > 0 {
		t.Errorf("Claim and Release of a device allocate %v times", allocs)
	}
}

func join(t testing.TB, c hub.Cluster, node string, h hub.Handler) (leave func()) {
	t.Helper()
	leave, err := c.Join(t.Context(), node, h)
	if err != nil {
		t.Fatalf("Join %s: %v", node, err)
	}
	t.Cleanup(leave)
	return leave
}

// silent is a node that has nothing to say.
type silent struct{}

func (silent) Call(context.Context, string, []byte) ([]byte, error) { return nil, nil }
func (silent) Announced(string, []byte)                             {}

type panics struct{ silent }

func (panics) Call(context.Context, string, []byte) ([]byte, error) { panic("a bug of ours") }

// announced is a node that hears announcements only.
type announced func()

func (announced) Call(context.Context, string, []byte) ([]byte, error) { return nil, nil }
func (a announced) Announced(string, []byte)                           { a() }
