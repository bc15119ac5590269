// Package gctuner lets a small heap grow by more between two garbage collections than a percentage says. A collection looks at
// all that is alive, the stacks of all goroutines included, so where little garbage makes for a collection, as with a low GOGC and
// a heap of some ten megabytes, a busy server spends a tenth of its time on them; and a large heap needs the low GOGC.
//
// It changes the percentage (runtime/debug.SetGCPercent) after collections in which the heap has become another.
package gctuner

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// Start has the heap grow by percent of what is alive, or by least bytes if that is more, from one collection to the next. There
// may be one at a time in a process. stop ends that, and brings back the percentage of before.
func Start(percent int, least uint64) (stop func()) {
	t := &tuner{least: least, percent: percent, current: percent, before: debug.SetGCPercent(percent)}
	t.adjust()
	t.waitForCollection()
	return t.stop
}

type tuner struct {
	least   uint64
	percent int
	before  int

	mu      sync.Mutex // guards the fields below; held across calls of the runtime
	current int        // percentage
	stopped bool
}

// mark is something for a collection to find dead. It holds a pointer, since the runtime puts small objects without together.
type mark struct{ of *tuner }

// waitForCollection has adjust called after the next collection, by the runtime's own goroutine.
func (t *tuner) waitForCollection() {
	runtime.AddCleanup(&mark{of: t}, func(t *tuner) {
		if t.adjust() {
			t.waitForCollection()
		}
	}, t)
}

// adjust reports false when there is nothing more to do.
func (t *tuner) adjust() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped {
		return false
	}
	want := percentFor(aliveBytes(), t.percent, t.least)
	if want*10 < t.current*9 || want*10 > t.current*11 { // changing it stops the world
		debug.SetGCPercent(want)
		t.current = want
	}
	return true
}

// aliveBytes is what counts for the size of the heap at which the next collection begins: the objects that the last one left, and
// stacks and globals.
func aliveBytes() uint64 {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}}
	metrics.Read(samples)
	var n uint64
	for _, s := range samples {
		if s.Value.Kind() == metrics.KindUint64 { // else this version of Go does not tell
			n += s.Value.Uint64()
		}
	}
	return n
}

// minAlive is the least heap that percentages are made for.
const minAlive = 4 << 20

// percentFor returns by how many percent a heap may grow.
func percentFor(alive uint64, percent int, least uint64) int {
	return max(percent, int(least*100/max(alive, minAlive)))
}

func (t *tuner) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.stopped {
		t.stopped = true
		debug.SetGCPercent(t.before)
	}
}
