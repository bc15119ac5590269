package logtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

func trimBoundaries(f *fixture) {
	start := f.clock.now()
	for i, test := range []struct {
		before time.Duration // trimmed are events that were enqueued less than this after the first one
		first  int64
	}{
		{-time.Hour, 0}, {0, 0}, {time.Nanosecond, 1}, {time.Second, 1}, {time.Second + 1, 2}, {3 * time.Second, 3},
	} {
		p := partition("h", i)
		w := newWriter(f, f.log, p)
		f.clock.add(start.Sub(f.clock.now()))
		for n := range 4 {
			w.append(fmt.Sprint(n))
			f.clock.add(time.Second)
		}
		must(f, "Trim", f.log.Trim(f.Context(), p, start.Add(test.before)))
		want := hub.Bounds{First: test.first, Next: 4, LastEnqueued: start.Add(3 * time.Second)}
		equal(f, fmt.Sprintf("bounds after %v", test.before), bounds(f, f.log, p), want)
		equal(f, "events", texts(f, f.log, p, 0), []string{"0", "1", "2", "3"}[test.first:])
		equal(f, "seek", seek(f, f.log, p, start), test.first)
		must(f, "Trim again", f.log.Trim(f.Context(), p, start.Add(test.before)))
		equal(f, "bounds after a second trim", bounds(f, f.log, p), want)
	}
}

func trimEmpties(f *fixture) {
	p := partition("h", 0)
	w := newWriter(f, f.log, p)
	w.append("a", "b", "c")
	last := f.clock.now()
	must(f, "Trim", f.log.Trim(f.Context(), p, last.Add(time.Hour)))
	equal(f, "bounds", bounds(f, f.log, p), hub.Bounds{First: 3, Next: 3, LastEnqueued: last})
	equal(f, "events", read(f, f.log, p, 0), nil)
	equal(f, "seek", seek(f, f.log, p, last), 3)
	f.clock.add(-time.Hour)
	w.append("d")
	equal(f, "events", read(f, f.log, p, 0), []event{{3, "d", last}})
}

func dropForgets(f *fixture) {
	p, kept := partition("h", 0), partition("other", 0)
	old, other := newWriter(f, f.log, p), newWriter(f, f.log, kept)
	old.append("a", "b")
	other.append("x")
	must(f, "Trim", f.log.Trim(f.Context(), p, f.clock.now().Add(time.Hour)))
	wantNames(f, f.log, "h", "other")
	old.append("c")
	must(f, "Drop", f.log.Drop(f.Context(), "h"))
	wantNames(f, f.log, "other")
	equal(f, "bounds", bounds(f, f.log, p), hub.Bounds{})
	equal(f, "events", read(f, f.log, p, 0), nil)
	wantCode(f, "Append by a producer of the dropped hub", old.Append(f.Context(), nil), hubward.CodeNoSuchHub)

	f.clock.add(-time.Hour)
	w := newWriter(f, f.log, p)
	w.append("new")
	equal(f, "events of the new hub", read(f, f.log, p, 0), []event{{0, "new", f.clock.now()}})
	wantCode(f, "Append by a producer of the dropped hub", old.Append(f.Context(), nil), hubward.CodeNoSuchHub)
	other.append("y")
	equal(f, "events of the other hub", texts(f, f.log, kept, 0), []string{"x", "y"})
}

// dropEndsWaiting drops a hub of which one partition has events and the other was never used.
func dropEndsWaiting(f *fixture) {
	const each = 20
	used, unused, other := partition("h", 0), partition("h", 1), partition("other", 0)
	newWriter(f, f.log, used).append("a", "b")
	ctx, cancel := context.WithCancel(f.Context())
	defer cancel()
	asleep, ended := make(chan struct{}), make(chan error)
	wait := func(p hub.Partition, from int64) {
		for range each {
			go func() { ended <- f.log.Wait(&announced{Context: ctx, asked: asleep}, p, from) }()
		}
		for range each {
			<-asleep
		}
	}
	wait(used, 2)
	wait(unused, 0)
	wait(other, 0)
	must(f, "Drop", f.log.Drop(f.Context(), "h"))
	newWriter(f, f.log, used).append("of", "a", "new", "hub")
	for range 2 * each {
		wantCode(f, "Wait on a hub that was dropped", <-ended, hubward.CodeNoSuchHub)
	}
	must(f, "Wait on the new hub", f.log.Wait(f.Context(), used, 3))
	cancel()
	for range each {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			f.Errorf("Wait on another hub: %v", err)
		}
	}
}

// announced is a context that tells when its Done is asked for: a Wait does that once it knows that there is nothing yet.
type announced struct {
	context.Context
	once  sync.Once
	asked chan<- struct{}
}

// Done implements context.Context.
func (a *announced) Done() <-chan struct{} {
	a.once.Do(func() { a.asked <- struct{}{} })
	return a.Context.Done()
}

func dropUnknown(f *fixture) {
	must(f, "Drop", f.log.Drop(f.Context(), "nobody"))
	newWriter(f, f.log, partition("nobody", 0)).append("a")
}

func ping(f *fixture) {
	must(f, "Ping", f.log.Ping(f.Context()))
	must(f, "Ping", f.log.Ping(f.Context()))
	equal(f, "bounds", bounds(f, f.log, partition("h", 0)), hub.Bounds{})
}

// wantNames compares the hubs that a log knows.
func wantNames(t testing.TB, log hub.EventLog, want ...string) {
	t.Helper()
	got, err := log.Hubs(t.Context())
	must(t, "Hubs", err)
	equal(t, "hubs", got, want)
}
