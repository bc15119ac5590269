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
