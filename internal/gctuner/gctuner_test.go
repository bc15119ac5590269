package gctuner

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
)

func TestPercentFor(t *testing.T) {
	const mib = 1 << 20
	for _, tt := range []struct {
		alive uint64
		want  int
	}{
		{0, 1600}, {4 * mib, 1600}, {32 * mib, 200}, {64 * mib, 100}, {127 * mib, 50}, {128 * mib, 50}, {1 << 40, 50},
	} {
		if got := percentFor(tt.alive, 50, 64*mib); got != tt.want {
			t.Errorf("%d MiB: %d %%, want %d %%", tt.alive/mib, got, tt.want)
		}
	}
}

// The percentage follows the heap, collection after collection, and is the old one in the end.
func TestStart(t *testing.T) {
	before := debug.SetGCPercent(77)
	defer debug.SetGCPercent(before)
	stop := Start(50, 64<<20)
	percent := func() int {
		sample := []metrics.Sample{{Name: "/gc/gogc:percent"}}
		metrics.Read(sample)
		return int(sample[0].Value.Uint64())
	}
	small := percent()
	if small < 200 {
		t.Errorf("a small heap may grow by %d %%", small)
	}
	ballast := make([]byte, 256<<20)
	follows := func(reached func(int) bool) {
		t.Helper()
		for !reached(percent()) { // until the runtime has called
			runtime.GC()
		}
	}
	follows(func(p int) bool { return p == 50 })
	runtime.KeepAlive(ballast)
	ballast = nil
	follows(func(p int) bool { return p > 200 })
	stop()
	stop()
	runtime.GC()
	if p := percent(); p != 77 {
		t.Errorf("%d %% is left", p)
	}
}
