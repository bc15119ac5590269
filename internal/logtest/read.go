package logtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hubward/hubward/internal/hub"
)

func readEmpty(f *fixture) {
	p := partition("h", 3)
	equal(f, "bounds", bounds(f, f.log, p), hub.Bounds{})
	equal(f, "events", read(f, f.log, p, 0), nil)
	equal(f, "seek", seek(f, f.log, p, f.clock.now()), 0)
	must(f, "Trim", f.log.Trim(f.Context(), p, f.clock.now()))
}

func readPositions(f *fixture) {
	p := partition("h", 0)
	w := newWriter(f, f.log, p)
	for i := range 10 {
		w.append(fmt.Sprint(i))
	}
	for _, test := range []struct{ from, first, next int64 }{
		{-5, 0, 10}, {0, 0, 10}, {1, 1, 10}, {9, 9, 10}, {10, 10, 10}, {11, 11, 11},
	} {
		at := test.first
		next, err := f.log.Read(f.Context(), p, test.from, 1<<20, func(r hub.Record) bool {
			if r.SequenceNumber != at || string(r.Data) != fmt.Sprint(at) {
				f.Errorf("from %d: event %d is %q, want number %d", test.from, r.SequenceNumber, r.Data, at)
			}
			at++
			return true
		})
		must(f, "Read", err)
		if next != test.next || at != test.next {
			f.Errorf("from %d: read up to %d, next %d, want %d", test.from, at, next, test.next)
		}
	}
}

func readMaxBytes(f *fixture) {
	p := partition("h", 0)
	newWriter(f, f.log, p).append("1234", "5678", "9abc")
	for _, test := range []struct {
		maxBytes int
		events   int64
	}{{-1, 1}, {0, 1}, {1, 1}, {4, 1}, {5, 2}, {8, 2}, {9, 3}, {12, 3}, {13, 3}} {
		var events int64
		next, err := f.log.Read(f.Context(), p, 0, test.maxBytes, func(hub.Record) bool {
			events++
			return true
		})
		must(f, "Read", err)
		if events != test.events || next != test.events {
			f.Errorf("%d bytes: %d events, next %d, want %d", test.maxBytes, events, next, test.events)
		}
	}
}

func readVisitStops(f *fixture) {
	p := partition("h", 0)
	w := newWriter(f, f.log, p)
	w.append("a", "b")
	w.append("c")
	for stop := int64(1); stop <= 3; stop++ {
		var events int64
		next, err := f.log.Read(f.Context(), p, 0, 1<<20, func(hub.Record) bool {
			events++
			return events < stop
		})
		must(f, "Read", err)
		if events != stop || next != stop {
			f.Errorf("stopped at %d: %d events, next %d", stop, events, next)
		}
	}
}

func readContext(f *fixture) {
	p := partition("h", 0)
	newWriter(f, f.log, p).append("a")
	ctx, cancel := context.WithCancel(f.Context())
	cancel()
	next, err := f.log.Read(ctx, p, 0, 1, func(hub.Record) bool { return true })
	if !errors.Is(err, context.Canceled) || next != 0 {
		f.Errorf("Read: %d, %v", next, err)
	}
}

// readIsolation uses names that are prefixes of one another, and partitions at the edges of a byte.
func readIsolation(f *fixture) {
	var parts []hub.Partition
	for _, name := range []string{"a", "ab", "a-b", "abc", "b"} {
		for _, endpoint := range []hub.Endpoint{hub.EndpointEvents, "b", "ev", "events-b"} {
			for _, id := range []int{0, 1, 255, 256, 65535} {
				parts = append(parts, hub.Partition{Hub: name, Endpoint: endpoint, ID: id})
			}
		}
	}
	for i, p := range parts {
		newWriter(f, f.log, p).append(numbered(fmt.Sprint(p), i%3+1)...)
	}
	check := func(what string, has func(hub.Partition) bool) {
		f.Helper()
		for i, p := range parts {
			var want []string
			if has(p) {
				want = numbered(fmt.Sprint(p), i%3+1)
			}
			equal(f, fmt.Sprintf("%s: %v", what, p), texts(f, f.log, p, 0), want)
		}
	}
	check("appended", func(hub.Partition) bool { return true })
	must(f, "Drop", f.log.Drop(f.Context(), "a"))
	check("a dropped", func(p hub.Partition) bool { return p.Hub != "a" })
	must(f, "Trim", f.log.Trim(f.Context(), partition("ab", 255), f.clock.now().Add(time.Hour)))
	check("ab/255 trimmed", func(p hub.Partition) bool {
		return p.Hub != "a" && p != partition("ab", 255)
	})
}

func waitPresent(f *fixture) {
	p := partition("h", 0)
	newWriter(f, f.log, p).append("a", "b")
	for _, from := range []int64{-1, 0, 1} {
		must(f, "Wait", f.log.Wait(f.Context(), p, from))
	}
	f.clock.add(time.Minute)
	must(f, "Trim", f.log.Trim(f.Context(), p, f.clock.now()))
	ctx, cancel := context.WithCancel(f.Context())
	cancel()
	if err := f.log.Wait(ctx, p, 2); !errors.Is(err, context.Canceled) {
		f.Errorf("Wait for an event that is not there: %v", err)
	}
}

func waitWakes(f *fixture) {
	p := partition("h", 0)
	w := newWriter(f, f.log, p)
	var waiters sync.WaitGroup
	for i := range 100 {
		from := int64(i % 5)
		waiters.Go(func() {
			if err := f.log.Wait(f.Context(), p, from); err != nil {
				f.Errorf("Wait: %v", err)
			}
			if b, err := f.log.Bounds(f.Context(), p); err != nil || b.Next <= from {
				f.Errorf("Wait for %d returned with bounds %v, %v", from, b, err)
			}
		})
	}
	newWriter(f, f.log, partition("h", 1)).append("another partition")
	for range 5 {
		w.append("event")
	}
	waiters.Wait()
}

func waitContext(f *fixture) {
	p := partition("h", 0)
	ctx, cancel := context.WithCancel(f.Context())
	result := make(chan error)
	go func() { result <- f.log.Wait(ctx, p, 0) }()
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		f.Errorf("Wait: %v", err)
	}
}

func seekBoundaries(f *fixture) {
	p := partition("h", 0)
	w := newWriter(f, f.log, p)
	start := f.clock.now()
	for range 5 { // two events each second
		w.append("a", "b")
		f.clock.add(time.Second)
	}
	for _, test := range []struct {
		after time.Duration
		want  int64
	}{
		{-time.Hour, 0}, {-time.Nanosecond, 0}, {0, 0}, {time.Nanosecond, 2}, {time.Millisecond, 2},
		{time.Second - time.Nanosecond, 2}, {time.Second, 2}, {time.Second + time.Nanosecond, 4},
		{3 * time.Second, 6}, {3500 * time.Millisecond, 8}, {4 * time.Second, 8}, {4*time.Second + 1, 10}, {time.Hour, 10},
	} {
		equal(f, fmt.Sprintf("%v after the first event", test.after), seek(f, f.log, p, start.Add(test.after)), test.want)
	}
	equal(f, "the zero time", seek(f, f.log, p, time.Time{}), 0)
}
