//go:build !race

package pebblelog_test

import (
	"runtime"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/hubward/hubward/internal/eventlog/pebblelog"
)

// TestAppend_doesNotAllocate counts what an event costs from Append to done, Pebble included. Under the race detector,
// pools drop part of what is put into them, so that counts mean nothing.
func TestAppend_doesNotAllocate(t *testing.T) {
	const total = 50_000
	events := telemetry()
	log := open(t, pebblelog.Options{Dir: "dir", FS: vfs.NewMem()})
	send(t.Context(), log, 100, total, events) // grow the buffers
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	send(t.Context(), log, 100, total, events)
	runtime.ReadMemStats(&after)
	const perConnection = 10 // what send itself allocates for each
	n := float64(after.Mallocs-before.Mallocs) - perConnection*connections
	if n/total > 0.05 {
		t.Errorf("%.3f allocations for an event", n/total)
	}
}
