package clustertest

import (
	"context"
	"errors"
	"sync"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// same wants two answers to be about the same turn.
func (f *fixture) same(got, want hub.Lease) {
	f.Helper()
	if got.Name != want.Name || got.Holder != want.Holder || got.Number != want.Number {
		f.Errorf("the lease is %+v, want %+v", got, want)
	}
}

func leaseOne(f *fixture) {
	f.joinBoth()
	held := f.lease(f.a, "job", nodeA)
	if held.Holder != nodeA {
		f.Errorf("the first who asked did not get the lease: %+v", held)
	}
	other := f.lease(f.b, "job", nodeB)
	f.same(other, held)
	again := f.lease(f.a, "job", nodeA)
	f.same(again, held)
	if again.Ended != held.Ended {
		f.Error("Ended is another channel for the same turn")
	}
	if f.lease(f.b, "job", nodeB).Ended != other.Ended {
		f.Error("Ended is another channel for the same turn, for who does not hold it")
	}
	if second := f.lease(f.b, "job.*", nodeB); second.Holder != nodeB {
		f.Errorf("a lease of another name is %+v", second)
	}
	f.open("the lease ended", held.Ended)
	f.open("the lease ended", other.Ended)
}

func leaseNumbers(f *fixture) {
	f.joinBoth()
	var last uint64
	for i := range 6 {
		c, node := f.a, nodeA
		if i%3 == 2 { // a, a, b: also when it goes to the same node again
			c, node = f.b, nodeB
		}
		l := f.lease(c, "job", node)
		if l.Holder != node || l.Number <= last {
			f.Errorf("turn %d: %s got %+v after number %d", i, node, l, last)
		}
		last = l.Number
		f.endLease(c, l)
	}
}

func leaseEnded(f *fixture) {
	f.joinBoth()
	held, other := f.lease(f.a, "job", nodeA), f.lease(f.b, "job", nodeB)
	f.endLease(f.a, held)
	f.closed("the holder is told", held.Ended)
	f.closed("the other is told", other.Ended)
	next := f.lease(f.b, "job", nodeB)
	if next.Holder != nodeB {
		f.Errorf("a lease that was given back is %+v", next)
	}
	f.open("the next turn ended", next.Ended)
}

func leaseEndByAnother(f *fixture) {
	f.joinBoth()
	old := f.lease(f.a, "job", nodeA)
	f.endLease(f.a, old)
	held := f.lease(f.b, "job", nodeB)
	f.endLease(f.a, old)
	f.endLease(f.a, hub.Lease{Name: "job", Holder: nodeA, Number: held.Number})
	f.endLease(f.b, hub.Lease{Name: "job", Holder: nodeB, Number: old.Number})
	f.endLease(f.b, hub.Lease{Name: "unknown", Holder: nodeB, Number: held.Number})
	f.same(f.lease(f.a, "job", nodeA), held)
	f.open("a lease was ended by who does not hold it", held.Ended)
}

func leaseUnjoined(f *fixture) {
	leave, _ := f.joinBoth()
	_, err := f.b.Lease(f.ctx, "job", "stranger")
	f.code("a lease for a node that never joined", err, hubward.CodeServiceUnavailable)
	leave()
	_, err = f.a.Lease(f.ctx, "job", nodeA)
	f.code("a lease for a node that left", err, hubward.CodeServiceUnavailable)

	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	if _, err := f.b.Lease(ctx, "job", nodeB); !errors.Is(err, context.Canceled) {
		f.Errorf("Lease with an ended context: %v", err)
	}
	held := f.lease(f.b, "job", nodeB)
	if err := f.b.EndLease(ctx, held); !errors.Is(err, context.Canceled) {
		f.Errorf("EndLease with an ended context: %v", err)
	}
}

// leaseConcurrent lets both ask, and the holder give back: no number ever has two holders.
func leaseConcurrent(f *fixture) {
	f.joinBoth()
	var mu sync.Mutex
	holders := map[uint64]string{}
	note := func(l hub.Lease) {
		mu.Lock()
		defer mu.Unlock()
		if before, ok := holders[l.Number]; ok && before != l.Holder {
			f.Errorf("%s and %s hold the lease with number %d", before, l.Holder, l.Number)
		}
		holders[l.Number] = l.Holder
	}
	var wg sync.WaitGroup
	for node, c := range map[string]hub.Cluster{nodeA: f.a, nodeB: f.b} {
		wg.Go(func() {
			var last uint64
			for range 50 {
				l, err := c.Lease(f.ctx, "job", node)
				if err != nil {
					f.Errorf("Lease: %v", err)
					return
				}
				if l.Number < last {
					f.Errorf("the number went back from %d to %d", last, l.Number)
				}
				last = l.Number
				note(l)
				if l.Holder != node {
					continue
				}
				if err := c.EndLease(f.ctx, l); err != nil {
					f.Errorf("EndLease: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
}
