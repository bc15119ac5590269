package logtest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hubward/hubward/internal/hub"
)

// concurrentFollowers has several producers for each partition and several followers. Each follower must see every
// event once, in order of the numbers, and the events of one producer in the order in which it appended them.
func concurrentFollowers(f *fixture) {
	const partitions, producers, followers, events = 3, 3, 2, 400
	var writers, readers sync.WaitGroup
	for id := range partitions {
		p := partition("h", id)
		for i := range followers {
			readers.Go(func() { follow(f, p, int64(producers*events), i == 0) })
		}
		for i := range producers {
			writers.Go(func() {
				w := newWriter(f, f.log, p)
				for e := range events {
					if err := w.Append(f.Context(), fmt.Appendf(nil, "%d %d", i, e)); err != nil {
						f.Errorf("Append: %v", err)
					}
				}
				w.wait(f, events)
				w.ok(f)
			})
		}
	}
	writers.Wait()
	readers.Wait()
}

// follow reads a partition from its beginning until n events were seen, in steps of few bytes or of many.
func follow(f *fixture, p hub.Partition, n int64, few bool) {
	maxBytes := 1 << 20
	if few {
		maxBytes = 50
	}
	nextOf := map[int]int{} // of each producer
	var at int64
	for at < n {
		if err := f.log.Wait(f.Context(), p, at); err != nil {
			f.Errorf("Wait: %v", err)
			return
		}
		next, err := f.log.Read(f.Context(), p, at, maxBytes, func(r hub.Record) bool {
			var producer, number int
			if _, err := fmt.Sscan(string(r.Data), &producer, &number); err != nil {
				f.Errorf("event %q: %v", r.Data, err)
			}
			if r.SequenceNumber != at || number != nextOf[producer] {
				f.Errorf("event %d is %d of producer %d, want event %d to be %d",
					r.SequenceNumber, number, producer, at, nextOf[producer])
			}
			nextOf[producer]++
			at++
			return true
		})
		if err != nil || next != at {
			f.Errorf("Read: next %d after %d, %v", next, at-1, err)
			return
		}
	}
}

// concurrentTrim trims while others append and read. A reader may miss what is trimmed, and nothing else.
func concurrentTrim(f *fixture) {
	p := partition("h", 0)
	ctx, stop := context.WithCancel(f.Context())
	var others sync.WaitGroup
	others.Go(func() {
		for ctx.Err() == nil {
			if err := f.log.Trim(f.Context(), p, f.clock.now().Add(-20*time.Millisecond)); err != nil {
				f.Errorf("Trim: %v", err)
			}
		}
	})
	for range 2 {
		others.Go(func() { readTrimmed(ctx, f, p) })
	}
	w := newWriter(f, f.log, p)
	for i := range 100 {
		w.append(numbered(fmt.Sprint(i), 5)...)
		f.clock.add(time.Millisecond)
	}
	stop()
	others.Wait()
	b := bounds(f, f.log, p)
	if b.Next != 500 || b.First > 500-5*20 {
		f.Errorf("bounds %v", b)
	}
}

// readTrimmed reads p from its beginning, over and over.
func readTrimmed(ctx context.Context, f *fixture, p hub.Partition) {
	for ctx.Err() == nil {
		at := int64(-1)
		_, err := f.log.Read(f.Context(), p, 0, 1<<20, func(r hub.Record) bool {
			if at >= 0 && r.SequenceNumber != at {
				if b, err := f.log.Bounds(f.Context(), p); err != nil || r.SequenceNumber > b.First {
					f.Errorf("event %d follows on %d, bounds are %v, %v", r.SequenceNumber, at-1, b, err)
				}
			}
			at = r.SequenceNumber + 1
			return true
		})
		if err != nil {
			f.Errorf("Read: %v", err)
		}
	}
}
