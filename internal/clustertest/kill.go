package clustertest

import (
	"context"
	"sync"

	"github.com/hubward/hubward"
)

func killFrees(f *fixture) {
	k := f.killer()
	f.joinBoth()
	old, _ := f.claim(f.a, nodeA, d1)
	f.claim(f.a, nodeA, hubward.Identity{Device: "d2"})
	kept, _ := f.claim(f.b, nodeB, hubward.Identity{Device: "d2"})
	held, seen := f.lease(f.a, "job", nodeA), f.lease(f.b, "job", nodeB)
	f.same(seen, held)

	k.Kill(nodeA)
	f.closed("the lease of the dead node ends for itself", held.Ended)
	f.closed("the lease of the dead node ends for others", seen.Ended)
	f.nobody(f.b, d1)
	owner, err := f.b.Owner(f.ctx, hubName, kept.Identity)
	if err != nil || owner == nil || *owner != kept {
		f.Errorf("who lives owns %+v, %v, want %+v", owner, err, kept)
	}
	f.eventually("the dead node's device is not counted", func() bool {
		n, err := f.b.Count(f.ctx, hubName)
		return err == nil && n == 1
	})
	f.eventually("the lease goes to who lives", func() bool {
		next := f.lease(f.b, "job", nodeB)
		return next.Holder == nodeB && next.Number > held.Number
	})
	newer, displaced := f.claim(f.b, nodeB, d1)
	if displaced != nil || newer.Fence <= old.Fence {
		f.Errorf("the claim after the dead one is %+v, displaced %+v", newer, displaced)
	}
	f.release(f.b, old, false)

	_, _, err = f.a.Claim(f.ctx, hubName, d1, nodeA)
	f.code("a claim by the dead node", err, hubward.CodeServiceUnavailable)
	_, err = f.a.Lease(f.ctx, "job", nodeA)
	f.code("a lease for the dead node", err, hubward.CodeServiceUnavailable)
	_, err = f.a.Owner(f.ctx, hubName, d1)
	f.code("a question of the dead node", err, hubward.CodeServiceUnavailable)
	owner, err = f.b.Owner(f.ctx, hubName, d1)
	if err != nil || owner == nil || *owner != newer {
		f.Errorf("after all, the owner is %+v, %v, want %+v", owner, err, newer)
	}
}

func killBus(f *fixture) {
	k := f.killer()
	var toldA, toldB notes
	f.joinWith(f.a, nodeA, &handler{call: echo, told: toldA.add})
	leave := f.joinWith(f.b, nodeB, &handler{call: echo, told: toldB.add})
	f.answers(f.a, nodeB, "x", "y")

	k.Kill(nodeA)
	_, err := f.b.Call(f.ctx, nodeA, "x", nil)
	f.code("a call to the dead node", err, hubward.CodeServiceUnavailable)
	_, err = f.a.Call(f.ctx, nodeB, "x", nil)
	f.code("a call by the dead node", err, hubward.CodeServiceUnavailable)
	f.code("an announcement by the dead node", f.a.Announce(f.ctx, "dead", nil), hubward.CodeServiceUnavailable)
	f.answers(f.b, nodeB, "x", "y")
	if err := f.b.Announce(f.ctx, "alive", nil); err != nil {
		f.Fatalf("Announce: %v", err)
	}
	f.eventually("who lives is told", func() bool { return toldB.count("alive:") == 1 })
	if toldA.count("alive:") != 0 || toldB.count("dead:") != 0 {
		f.Error("an announcement reached or left the dead node")
	}
	k.Kill("stranger")
	leave()
}

func killDuringCall(f *fixture) {
	f.killInCall(nodeA)
}

func killDuringOwnCall(f *fixture) {
	f.killInCall(nodeB)
}

// killInCall kills a node while b waits for an answer of a.
func (f *fixture) killInCall(victim string) {
	f.Helper()
	k := f.killer()
	begun, over := make(chan struct{}), make(chan struct{})
	f.joinWith(f.a, nodeA, &handler{call: func(context.Context, string, []byte) ([]byte, error) {
		close(begun)
		<-over
		return []byte("lost"), nil
	}})
	f.join(f.b, nodeB)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(over)
	wg.Go(func() {
		_, err := f.b.Call(f.ctx, nodeA, "x", nil)
		f.code("a call during which a node died", err, hubward.CodeServiceUnavailable)
	})
	f.closed("the call begins", begun)
	k.Kill(victim)
}
