package localcluster_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/cluster/localcluster"
)

const benchDevices = 1 << 18 // online while we measure

func online(b *testing.B) (*localcluster.Cluster, []hubward.Identity) {
	b.Helper()
	c := localcluster.New(localcluster.Options{})
	join(b, c, "node-a", silent{})
	ids := make([]hubward.Identity, benchDevices)
	for i := range ids {
		ids[i].Device = fmt.Sprintf("device-%07d", i)
		if _, _, err := c.Claim(b.Context(), "hub1", ids[i], "node-a"); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.ResetTimer() // for RunParallel, which counts from the start
	return c, ids
}

func BenchmarkClaimRelease(b *testing.B) {
	c, _ := online(b)
	ids := make([]hubward.Identity, 1<<10)
	for i := range ids {
		ids[i].Device = fmt.Sprintf("new-%07d", i)
	}
	i := 0
	for b.Loop() {
		claim, _, err := c.Claim(b.Context(), "hub1", ids[i%len(ids)], "node-a")
		if err != nil {
			b.Fatal(err)
		}
		if ok, err := c.Release(b.Context(), claim); err != nil || !ok {
			b.Fatal(ok, err)
		}
		i++
	}
}

func BenchmarkClaim_displacing(b *testing.B) {
	c, ids := online(b)
	i := 0
	for b.Loop() {
		if _, _, err := c.Claim(b.Context(), "hub1", ids[i%len(ids)], "node-a"); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

func BenchmarkClaim_parallel(b *testing.B) {
	c, ids := online(b)
	var start atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		i := int(start.Add(1)) * benchDevices / 8
		for pb.Next() {
			if _, _, err := c.Claim(b.Context(), "hub1", ids[i%len(ids)], "node-a"); err != nil {
				b.Error(err)
				return
			}
			i++
		}
	})
}

func BenchmarkOwner(b *testing.B) {
	c, ids := online(b)
	i := 0
	for b.Loop() {
		if claim, err := c.Owner(b.Context(), "hub1", ids[i%len(ids)]); err != nil || claim == nil {
			b.Fatal(claim, err)
		}
		i++
	}
}

func BenchmarkOwners(b *testing.B) {
	c, ids := online(b)
	for _, module := range []string{"m1", "m2"} {
		id := hubward.Identity{Device: ids[0].Device, Module: module}
		if _, _, err := c.Claim(b.Context(), "hub1", id, "node-a"); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if claims, err := c.Owners(b.Context(), "hub1", ids[0].Device); err != nil || len(claims) != 3 {
			b.Fatal(claims, err)
		}
	}
}

func BenchmarkCount(b *testing.B) {
	c, _ := online(b)
	for b.Loop() {
		if n, err := c.Count(b.Context(), "hub1"); err != nil || n != benchDevices {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkCall(b *testing.B) {
	c := localcluster.New(localcluster.Options{})
	join(b, c, "node-a", silent{})
	request := make([]byte, 256)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Call(b.Context(), "node-a", "x", request); err != nil {
			b.Fatal(err)
		}
	}
}
