package hub_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// benchDevices is how many devices write at the same time, each its next patch when the one before is durable.
const benchDevices = 200

// BenchmarkUpdateReported stores patches of reported properties durably, of twins that hold so much, and, to compare, updates of
// one row by as many callers.
func BenchmarkUpdateReported(b *testing.B) {
	b.Run("rows", func(b *testing.B) {
		x := newBenchC2D(b, benchDevices, false)
		var fence atomic.Uint64
		each(b, func(device, _ int) {
			id := hubward.Identity{Device: fmt.Sprint("d", device)}
			e := &hub.ConnectionEdit{ID: id, Edit: func(old hub.Connection) (hub.Connection, []hub.HubEvent) {
				old.Fence, old.State, old.StateUpdated = fence.Add(1), hubward.Connected, time.Now()
				return old, nil
			}}
			if err := x.store.EditConnections(b.Context(), "plant", []*hub.ConnectionEdit{e}); err != nil {
				b.Error(err)
			}
		})
	})
	for _, size := range []int{100, 1 << 10, 31 << 10} {
		b.Run(fmt.Sprintf("bytes=%d", size), func(b *testing.B) {
			x := newBenchC2D(b, benchDevices, false)
			links := make([]connection, benchDevices)
			for i := range links {
				d, err := x.Device(b.Context(), "plant", fmt.Sprint("d", i))
				if err != nil {
					b.Fatal(err)
				}
				links[i] = x.connect(d, &session{})
				if _, err := links[i].report(b.Context(), filling(size), 0); err != nil {
					b.Fatal(err)
				}
			}
			each(b, func(device, n int) {
				if _, err := links[device].report(b.Context(), fmt.Sprintf(`{"n":%d,"state":"running"}`, n), 0); err != nil {
					b.Error(err)
				}
			})
		})
	}
}

// filling is a patch of so many bytes, in members of 64.
func filling(size int) string {
	var members []string
	for i := 0; i < size; i += 64 {
		members = append(members, fmt.Sprintf(`"member%04d":"%s"`, i, strings.Repeat("x", 49)))
	}
	return "{" + strings.Join(members, ",") + "}"
}

// each has all devices make b.N steps together.
func each(b *testing.B, step func(device, n int)) {
	b.ReportAllocs()
	b.ResetTimer()
	var next atomic.Int64
	var running sync.WaitGroup
	for device := range benchDevices {
		running.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				step(device, int(n))
			}
		})
	}
	running.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
}
