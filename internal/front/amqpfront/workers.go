package amqpfront

import (
	"hash/maphash"
	"sync"
)

// workerCount is how much of what a connection waits for is under way at a time.
const workerCount = 16

// keyedWorkers run functions that wait for the store, off the connection's reader: those of one key one after another, in
// order. What they have to do is bounded by who gives it to them: by the credit of a link, or by its unsettled deliveries.
// The zero value works.
type keyedWorkers struct {
	running sync.WaitGroup // goroutines of workers; they live while there is something to do

	mu      sync.Mutex // guards the fields below; a leaf
	seed    maphash.Seed
	workers *[workerCount]worker // nil until they are needed
}

// worker does what it is given, in order.
type worker struct {
	waiting []func()
	busy    bool
}

// do runs f when all that was given before for the key is done. It is not called any more once wait is.
func (k *keyedWorkers) do(key string, f func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.workers == nil {
		k.seed, k.workers = maphash.MakeSeed(), new([workerCount]worker)
	}
	w := &k.workers[maphash.String(k.seed, key)%workerCount]
	w.waiting = append(w.waiting, f)
	if !w.busy {
		w.busy = true
		k.running.Go(func() { k.run(w) })
	}
}

func (k *keyedWorkers) run(w *worker) {
	for {
		k.mu.Lock()
		jobs := w.waiting
		w.waiting = nil
		w.busy = len(jobs) > 0
		k.mu.Unlock()
		if len(jobs) == 0 {
			return
		}
		for _, f := range jobs {
			f()
		}
	}
}

// wait returns when all is done.
func (k *keyedWorkers) wait() { k.running.Wait() }
