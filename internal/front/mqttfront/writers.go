package mqttfront

import (
	"runtime"
	"sync"
	"time"
)

// writers is the pool of goroutines that write what connections have queued. A sync of the log confirms messages of
// many connections at once; a few goroutines that write one connection after another cost a third less CPU at one
// message in flight than a goroutine for each (docs/performance.md).
//
// A client that sends and does not read can block a writer until the watch closes it. So when no write has ended for a
// while and there is work, another writer starts; the surplus ends when the work is done. There are never more than
// connections.
type writers struct {
	wg  sync.WaitGroup
	now func() time.Time

	mu       sync.Mutex  // guards the fields below
	work     sync.Cond   // of mu
	queue    []*outgoing // queue[first:] wait; a connection is in it once at most
	first    int
	running  int
	idle     int
	progress time.Time // when a writer last ended a write or began to wait
	closed   bool
}

// stallTime is how long all writers may be in their writes before another one starts.
const stallTime = 10 * time.Millisecond

func newWriters(now func() time.Time) *writers {
	w := &writers{now: now, progress: now()}
	w.work.L = &w.mu
	w.mu.Lock()
	defer w.mu.Unlock()
	for range writersAtRest() {
		w.startLocked()
	}
	return w
}

// writersAtRest is how many writers there are when no client is stuck.
func writersAtRest() int { return max(2, runtime.GOMAXPROCS(0)) }

// startLocked starts a writer. The caller holds mu.
func (w *writers) startLocked() {
	w.running++
	w.wg.Go(w.run)
}

// put queues o, which must not be queued already.
func (w *writers) put(o *outgoing) {
	w.mu.Lock()
	w.queue = append(w.queue, o)
	wake := w.idle > 0
	if !wake {
		w.relieveLocked()
	}
	w.mu.Unlock()
	if wake {
		w.work.Signal()
	}
}

// relieve starts another writer if all that run are stuck.
func (w *writers) relieve() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.relieveLocked()
}

func (w *writers) relieveLocked() {
	if w.first == len(w.queue) || w.idle > 0 {
		return
	}
	if now := w.now(); now.Sub(w.progress) > stallTime {
		w.progress = now // one at a time
		w.startLocked()
	}
}

// run writes for one connection after another.
func (w *writers) run() {
	for o := w.next(); o != nil; o = w.next() {
		o.write()
	}
}

// next returns the next connection to write for, the oldest one, or nil when the writer is to end.
func (w *writers) next() *outgoing {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.progress = w.now()
	for w.first == len(w.queue) {
		if w.closed || w.running > writersAtRest() {
			w.running--
			return nil
		}
		w.idle++
		w.work.Wait()
		w.idle--
		w.progress = w.now()
	}
	o := w.queue[w.first]
	w.queue[w.first] = nil
	w.first++
	if w.first > len(w.queue)/2 {
		w.queue, w.first = w.queue[:copy(w.queue, w.queue[w.first:])], 0
	}
	return o
}

// close ends the writers once the queue is empty, and waits for them.
func (w *writers) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.work.Broadcast()
	w.wg.Wait()
}
