package logtest

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

func appendDense(f *fixture) {
	p0, p1 := partition("h", 0), partition("h", 1)
	w0, w1 := newWriter(f, f.log, p0), newWriter(f, f.log, p1)
	enqueued := f.clock.now()
	w0.append("a", "b")
	w1.append("x")
	w0.append("c")
	equal(f, "partition 0", read(f, f.log, p0, 0), []event{{0, "a", enqueued}, {1, "b", enqueued}, {2, "c", enqueued}})
	equal(f, "partition 1", read(f, f.log, p1, 0), []event{{0, "x", enqueued}})
	equal(f, "bounds 0", bounds(f, f.log, p0), hub.Bounds{First: 0, Next: 3, LastEnqueued: enqueued})
	equal(f, "bounds 1", bounds(f, f.log, p1), hub.Bounds{First: 0, Next: 1, LastEnqueued: enqueued})
}

func appendCopies(f *fixture) {
	p := partition("h", 0)
	a := newAcks()
	producer := f.log.Producer(p, a.done)
	buffer := []byte("first")
	must(f, "Append", producer.Append(f.Context(), buffer))
	copy(buffer, "XXXXX")
	must(f, "Append", producer.Append(f.Context(), []byte("second")))
	a.wait(f, 2)
	a.ok(f)
	equal(f, "events", texts(f, f.log, p, 0), []string{"first", "second"})
}

func appendSizes(f *fixture) {
	p := partition("h", 0)
	w := newWriter(f, f.log, p)
	large := strings.Repeat("0123456789abcdef", 256<<10/16)
	w.append("", large, "", large[1:], "end")
	equal(f, "events", texts(f, f.log, p, 0), []string{"", large, "", large[1:], "end"})
}

// appendDoneCounts has producers append without waiting. No producer may ever be told of more events than it has
// appended, and what it is told must be visible by then.
func appendDoneCounts(f *fixture) {
	const producers, events = 6, 500
	var all sync.WaitGroup
	for i := range producers {
		p := partition("h", i%2)
		a := newAcks()
		var appended, told atomic.Int64
		producer := f.log.Producer(p, func(n int, err error) {
			if n < 1 || told.Add(int64(n)) > appended.Load() {
				f.Errorf("producer %d was told of %d events, %d in all, having appended %d", i, n, told.Load(), appended.Load())
			}
			if b, err := f.log.Bounds(f.Context(), p); err != nil || b.Next < told.Load() {
				f.Errorf("producer %d was told of %d events, %d are visible: %v", i, told.Load(), b.Next, err)
			}
			a.done(n, err)
		})
		all.Go(func() {
			for e := range events {
				appended.Add(1)
				if err := producer.Append(f.Context(), fmt.Appendf(nil, "%d-%d", i, e)); err != nil {
					f.Errorf("Append: %v", err)
				}
			}
		})
		defer func() {
			a.wait(f, events)
			a.ok(f)
		}()
	}
	all.Wait()
}

func appendImpossible(f *fixture) {
	endpoint := func(e string) hub.Partition { return hub.Partition{Hub: "h", Endpoint: hub.Endpoint(e)} }
	for _, p := range []hub.Partition{
		partition("", 0), partition(strings.Repeat("h", 256), 0), partition("a\x00b", 0), partition("a\x01b", 0),
		partition("h", -1), partition("h", 1<<16),
		endpoint(""), endpoint(strings.Repeat("e", 51)), endpoint("Events"), endpoint("a_b"), endpoint("a/b"),
		endpoint("a\x00b"), endpoint("é"),
	} {
		producer := f.log.Producer(p, func(int, error) { f.Errorf("%v: done was called", p) })
		wantCode(f, fmt.Sprintf("%v: Append", p), producer.Append(f.Context(), nil), hubward.CodeArgumentInvalid)
		_, err := f.log.Bounds(f.Context(), p)
		wantCode(f, fmt.Sprintf("%v: Bounds", p), err, hubward.CodeArgumentInvalid)
		wantCode(f, fmt.Sprintf("%v: Wait", p), f.log.Wait(f.Context(), p, 0), hubward.CodeArgumentInvalid)
	}
	for _, name := range []string{"", "a\x00b"} {
		wantCode(f, "Drop", f.log.Drop(f.Context(), name), hubward.CodeArgumentInvalid)
	}
}

func appendAtLimits(f *fixture) {
	for _, p := range []hub.Partition{
		{Hub: "h", Endpoint: "e"}, {Hub: "h", Endpoint: "0-az9"}, {Hub: "h", Endpoint: hub.Endpoint(strings.Repeat("e", 50))},
		partition(strings.Repeat("h", 255), 1<<16-1),
	} {
		newWriter(f, f.log, p).append(fmt.Sprint(p))
		equal(f, "events", texts(f, f.log, p, 0), []string{fmt.Sprint(p)})
	}
}

func appendClockGoesBack(f *fixture) {
	p, other := partition("h", 0), partition("h", 1)
	w := newWriter(f, f.log, p)
	noon := f.clock.now()
	w.append("a")
	f.clock.add(-time.Hour)
	w.append("b")
	newWriter(f, f.log, other).append("not affected")
	f.clock.add(time.Hour + 1500*time.Microsecond)
	w.append("c")
	later := noon.Add(time.Millisecond)
	equal(f, "events", read(f, f.log, p, 0), []event{{0, "a", noon}, {1, "b", noon}, {2, "c", later}})
	equal(f, "last", bounds(f, f.log, p).LastEnqueued, later)
	equal(f, "other", bounds(f, f.log, other).LastEnqueued, noon.Add(-time.Hour))
}
