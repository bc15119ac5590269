package clustertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

var d1 = hubward.Identity{Device: "d1"}

func claimNewest(f *fixture) {
	f.joinBoth()
	f.owner(d1, nil)
	first, displaced := f.claim(f.a, nodeA, d1)
	if displaced != nil {
		f.Errorf("the first claim displaced %+v", displaced)
	}
	f.owner(d1, &first)
	second, displaced := f.claim(f.b, nodeB, d1)
	if diff := cmp.Diff(&first, displaced); diff != "" {
		f.Errorf("displaced by the second (-want +got):\n%s", diff)
	}
	f.owner(d1, &second)
	third, displaced := f.claim(f.a, nodeA, d1)
	if diff := cmp.Diff(&second, displaced); diff != "" {
		f.Errorf("displaced by the third (-want +got):\n%s", diff)
	}
	f.owner(d1, &third)
}

func claimSameNode(f *fixture) {
	f.join(f.a, nodeA)
	first, _ := f.claim(f.a, nodeA, d1)
	second, displaced := f.claim(f.a, nodeA, d1)
	if diff := cmp.Diff(&first, displaced); diff != "" {
		f.Errorf("displaced (-want +got):\n%s", diff)
	}
	f.owner(d1, &second)
}

func claimFences(f *fixture) {
	f.joinBoth()
	var newest uint64
	grows := func(c hub.Cluster, node string, id hubward.Identity) hub.Claim {
		claim, _ := f.claim(c, node, id)
		if claim.Fence <= newest {
			f.Errorf("the claim of %s has fence %d, one before it had %d", id, claim.Fence, newest)
		}
		newest = claim.Fence
		return claim
	}
	for i := range 20 {
		module := hubward.Identity{Device: "d1", Module: fmt.Sprintf("m%d", i%3)}
		other := hubward.Identity{Device: fmt.Sprintf("other%d", i)}
		f.release(f.b, grows(f.a, nodeA, d1), true)
		grows(f.b, nodeB, module)
		f.release(f.b, grows(f.b, nodeB, d1), true)
		grows(f.a, nodeA, other)
	}
}

// claimApart claims identities that an implementation might mix up: ids may hold '.', '*' and '#', differ in case only, and
// the same ones are in other hubs.
func claimApart(f *fixture) {
	f.joinBoth()
	var claims []hub.Claim
	for _, device := range []string{"d", "D", "d.m", "d.*", "*", "#", "d.$1", "d%2F", "d=", "d,m"} {
		for _, module := range []string{"", "m", "M", "*", "m.x"} {
			id := hubward.Identity{Device: device, Module: module}
			claim, displaced := f.claim(f.a, nodeA, id)
			if displaced != nil {
				f.Errorf("the claim of %s displaced %+v", id, displaced)
			}
			claims = append(claims, claim)
		}
	}
	for _, claim := range claims {
		f.owner(claim.Identity, &claim)
	}
	for _, other := range []string{"hub10", "HUB1", "hub1.d"} {
		owner, err := f.a.Owner(f.ctx, other, hubward.Identity{Device: "d"})
		if err != nil || owner != nil {
			f.Errorf("Owner in %s = %+v, %v, want none", other, owner, err)
		}
	}
}

func claimUnjoined(f *fixture) {
	leave, _ := f.joinBoth()
	_, _, err := f.a.Claim(f.ctx, hubName, d1, "stranger")
	f.code("a claim for a node that never joined", err, hubward.CodeServiceUnavailable)
	leave()
	_, _, err = f.a.Claim(f.ctx, hubName, d1, nodeA)
	f.code("a claim for a node that left", err, hubward.CodeServiceUnavailable)
	f.nobody(f.b, d1)
}

func directoryContext(f *fixture) {
	f.join(f.a, nodeA)
	claim, _ := f.claim(f.a, nodeA, d1)
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	_, _, claimErr := f.a.Claim(ctx, hubName, d1, nodeA)
	_, ownerErr := f.a.Owner(ctx, hubName, d1)
	_, ownersErr := f.a.Owners(ctx, hubName, d1.Device)
	_, releaseErr := f.a.Release(ctx, claim)
	_, countErr := f.a.Count(ctx, hubName)
	for i, err := range []error{claimErr, ownerErr, ownersErr, releaseErr, countErr} {
		if !errors.Is(err, context.Canceled) {
			f.Errorf("call %d with an ended context: %v", i, err)
		}
	}
}

func releaseDisplaced(f *fixture) {
	f.joinBoth()
	first, _ := f.claim(f.a, nodeA, d1)
	second, _ := f.claim(f.b, nodeB, d1)
	f.release(f.a, first, false)
	f.owner(d1, &second)
	f.count(hubName, 1)
	f.release(f.b, second, true)
	f.owner(d1, nil)
	f.release(f.a, first, false)
	f.count(hubName, 0)
}

func releaseOnce(f *fixture) {
	f.joinBoth()
	first, _ := f.claim(f.a, nodeA, d1)
	f.release(f.a, first, true)
	f.release(f.a, first, false)
	f.count(hubName, 0)
	second, displaced := f.claim(f.b, nodeB, d1)
	if displaced != nil {
		f.Errorf("a claim displaced %+v, which was released", displaced)
	}
	f.release(f.a, first, false)
	f.owner(d1, &second)
	f.release(f.a, hub.Claim{Hub: hubName, Identity: hubward.Identity{Device: "unknown"}, Node: nodeA, Fence: 1}, false)
}

func ownersExact(f *fixture) {
	f.joinBoth()
	f.owners("d1")
	device, _ := f.claim(f.a, nodeA, d1)
	plain, _ := f.claim(f.b, nodeB, hubward.Identity{Device: "d1", Module: "m"})
	// No id holds a '/', but module ids that look like paths with the separators of others must not lead astray.
	path, _ := f.claim(f.a, nodeA, hubward.Identity{Device: "d1", Module: "..:d10.m"})
	star, _ := f.claim(f.b, nodeB, hubward.Identity{Device: "d1", Module: "*"})
	ten, _ := f.claim(f.a, nodeA, hubward.Identity{Device: "d10"})
	tenModule, _ := f.claim(f.a, nodeA, hubward.Identity{Device: "d10", Module: "m"})
	f.claim(f.a, nodeA, hubward.Identity{Device: "d1.m"})
	f.claim(f.a, nodeA, hubward.Identity{Device: "D1"})
	f.claim(f.a, nodeA, hubward.Identity{Device: "m", Module: "d1"})
	if _, _, err := f.a.Claim(f.ctx, "hub2", d1, nodeA); err != nil {
		f.Fatalf("Claim in another hub: %v", err)
	}
	f.owners("d1", star, path, device, plain)
	f.owners("d10", ten, tenModule)
	f.owners("d")
	f.owners("*")
	f.release(f.a, device, true)
	f.owners("d1", star, path, plain)
	for _, claim := range []hub.Claim{plain, path, star} {
		f.release(f.a, claim, true)
	}
	f.owners("d1")
	f.owners("d10", ten, tenModule)
}

func countDevices(f *fixture) {
	f.joinBoth()
	f.count(hubName, 0)
	first, _ := f.claim(f.a, nodeA, d1)
	f.claim(f.a, nodeA, hubward.Identity{Device: "d1", Module: "m"})
	f.claim(f.b, nodeB, hubward.Identity{Device: "d2", Module: "m"})
	f.count(hubName, 1)
	f.claim(f.b, nodeB, hubward.Identity{Device: "d3"})
	f.claim(f.b, nodeB, d1)
	f.count(hubName, 2)
	f.count("hub2", 0)
	f.release(f.a, first, false)
	f.count(hubName, 2)
}

// claimConcurrently has both members claim the same identity again and again, and returns how many claims that were. then is
// called for each, by many goroutines.
func claimConcurrently(f *fixture, then func(c hub.Cluster, claim hub.Claim, old *hub.Claim)) int {
	const goroutines, each = 4, 50
	f.joinBoth()
	var wg sync.WaitGroup
	for g := range goroutines {
		c, node := f.a, nodeA
		if g%2 == 1 {
			c, node = f.b, nodeB
		}
		wg.Go(func() {
			for range each {
				claim, old, err := c.Claim(f.ctx, hubName, d1, node)
				if err != nil {
					f.Errorf("Claim: %v", err)
					return
				}
				then(c, claim, old)
			}
		})
	}
	wg.Wait()
	return goroutines * each
}

func concurrentClaims(f *fixture) {
	var mu sync.Mutex
	var claims, displaced []hub.Claim
	made := claimConcurrently(f, func(_ hub.Cluster, claim hub.Claim, old *hub.Claim) {
		mu.Lock()
		defer mu.Unlock()
		claims = append(claims, claim)
		if old != nil {
			displaced = append(displaced, *old)
		}
	})
	if len(claims) != made {
		f.Fatalf("%d claims were made, want %d", len(claims), made)
	}
	byFence := func(x, y hub.Claim) int {
		if x.Fence < y.Fence {
			return -1
		}
		return 1
	}
	slices.SortFunc(claims, byFence)
	slices.SortFunc(displaced, byFence)
	for i := range claims[1:] {
		if claims[i].Fence == claims[i+1].Fence {
			f.Errorf("two claims have fence %d", claims[i].Fence)
		}
	}
	newest := claims[len(claims)-1]
	f.owner(d1, &newest)
	if diff := cmp.Diff(claims[:len(claims)-1], displaced); diff != "" {
		f.Errorf("displaced is not each claim but the newest, once (-want +got):\n%s", diff)
	}
	f.count(hubName, 1)
}

func concurrentReleases(f *fixture) {
	var mu sync.Mutex
	ends := map[uint64]int{} // by fence: how often a claim was said to end
	made := claimConcurrently(f, func(c hub.Cluster, claim hub.Claim, old *hub.Claim) {
		released, err := c.Release(f.ctx, claim)
		if err != nil {
			f.Errorf("Release: %v", err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		ends[claim.Fence] += 0
		if old != nil {
			ends[old.Fence]++
		}
		if released {
			ends[claim.Fence]++
		}
	})
	if len(ends) != made {
		f.Errorf("%d fences were given, want %d", len(ends), made)
	}
	for fence, n := range ends {
		if n != 1 {
			f.Errorf("the claim with fence %d ended %d times", fence, n)
		}
	}
	f.owner(d1, nil)
	f.count(hubName, 0)
}
