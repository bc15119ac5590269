package bench

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// worker does one thing again and again.
type worker struct {
	do        func(context.Context) error
	begun     chan struct{} // closed when it was done once, or failed
	done      atomic.Int64
	measuring atomic.Bool
	latencies []time.Duration // while measuring
}

func newWorker(do func(context.Context) error) *worker {
	return &worker{do: do, begun: make(chan struct{})}
}

// run works until ctx ends. What is under way then comes to its end.
func (w *worker) run(ctx context.Context) error {
	begin := sync.OnceFunc(func() { close(w.begun) })
	defer begin()
	for ctx.Err() == nil {
		began := time.Now()
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
		err := w.do(last)
		cancel()
		if err != nil {
			return err
		}
		if w.measuring.Load() {
			w.latencies = append(w.latencies, time.Since(began))
		}
		w.done.Add(1)
		begin()
	}
	return nil
}

// measureWork runs all workers, and looks at their counters at the beginning and the end of the measured time; Options.Warm begins
// when all have done it once, so that what that took, such as connecting, is not measured. It ends early with the first error of
// one, or ctx's.
func measureWork(ctx context.Context, o *Options, workers []*worker) (*Result, error) {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	working, stop := context.WithCancel(ctx)
	defer stop()
	var running sync.WaitGroup
	for _, w := range workers {
		running.Go(func() {
			if err := w.run(working); err != nil {
				fail(err)
			}
		})
	}
	done := func() (n int64) {
		for _, w := range workers {
			n += w.done.Load()
		}
		return n
	}
	for _, w := range workers {
		<-w.begun
	}
	err := sleepReporting(working, o, done, o.Warm)
	before := snapshot(o, done)
	for _, w := range workers {
		w.measuring.Store(true)
	}
	if err == nil {
		err = sleepReporting(working, o, done, o.Duration)
	}
	after := snapshot(o, done)
	for _, w := range workers {
		w.measuring.Store(false)
	}
	stop()
	running.Wait()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	r := &Result{Devices: len(o.Devices), Sent: done(), Acked: done()}
	var all []time.Duration
	for _, w := range workers {
		all = append(all, w.latencies...)
	}
	r.fill(before, after, all)
	return r, err
}
