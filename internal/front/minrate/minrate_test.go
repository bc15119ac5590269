package minrate_test

import (
	"testing"
	"time"

	"github.com/hubward/hubward/internal/front/minrate"
)

func TestAllowed(t *testing.T) {
	for n, want := range map[int]time.Duration{
		0: 30 * time.Second, 1: 30*time.Second + time.Second/1024, 1024: 31 * time.Second, 256 << 10: 286 * time.Second,
		8 << 20: 8222 * time.Second,
	} {
		if got := minrate.Allowed(n); got != want {
			t.Errorf("%d bytes: %v, want %v", n, got, want)
		}
	}
}

func TestArrival(t *testing.T) {
	const began, second = 1_000_000, 1000
	var a minrate.Arrival
	late := func(ms int64, want bool) {
		t.Helper()
		if got := a.Late(ms, time.Second); got != want {
			t.Errorf("after %d ms: %v", ms-began, got)
		}
	}
	late(began, false)
	a.Await(0, began)
	late(began+3600*second, false) // nothing has begun
	a.Await(10, began)
	late(began+31*second+9, false)
	late(began+31*second+10, true)
	a.Await(2048, began+20*second) // more of the same, which buys it two seconds
	late(began+33*second, false)
	late(began+33*second+1, true)
	a.Await(0, began+40*second)
	a.Await(1, began+50*second) // the next one
	late(began+81*second, false)
}
