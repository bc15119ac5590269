package logtest

import (
	"fmt"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// OpenDir opens the log that lives in dir, which may be empty.
type OpenDir func(t *testing.T, dir string, now func() time.Time) (log hub.EventLog, close func() error)

// RunReopen tests what a log keeps when it is closed and opened again.
func RunReopen(t *testing.T, open OpenDir) {
	tests := []struct {
		name string
		run  func(*reopened)
	}{
		{"keepsEverything", reopenKeeps},
		{"emptiedPartitionGoesOn", reopenEmptied},
		{"dropStaysDropped", reopenDropped},
		{"keepsEndpointsApart", reopenEndpoints},
		{"closeCommitsWhatGathered", reopenDrains},
		{"closedLogRefuses", closedRefuses},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := newClock()
			r := &reopened{fixture: &fixture{T: t, clock: c}, open: open, dir: t.TempDir()}
			r.log, r.close = open(t, r.dir, c.now)
			test.run(r)
			must(t, "Close", r.close())
		})
	}
}

// reopened is a test with a log that can be closed and opened again.
type reopened struct {
	*fixture
	open  OpenDir
	dir   string
	close func() error
}

func (r *reopened) reopen() {
	r.Helper()
	must(r, "Close", r.close())
	r.log, r.close = r.open(r.T, r.dir, r.clock.now)
}

func reopenKeeps(r *reopened) {
	for round := range 4 {
		for i, name := range []string{"a", "ab", "b"} {
			p := partition(name, i*255)
			newWriter(r, r.log, p).append(numbered(fmt.Sprint(name, round), 10)...)
		}
		r.reopen()
		r.clock.add(-time.Minute) // a clock that was set back
		for i, name := range []string{"a", "ab", "b"} {
			p := partition(name, i*255)
			events := read(r, r.log, p, 0)
			equal(r, "number of events", len(events), 10*(round+1))
			for n, e := range events {
				want := event{int64(n), fmt.Sprintf("%s%d-%d", name, n/10, n%10), newClock().now()}
				equal(r, "event", e, want)
			}
			equal(r, "bounds", bounds(r, r.log, p), hub.Bounds{Next: int64(10 * (round + 1)), LastEnqueued: newClock().now()})
		}
	}
}

func reopenEmptied(r *reopened) {
	p, half := partition("h", 1), partition("h", 2)
	start := r.clock.now()
	newWriter(r, r.log, p).append("a", "b", "c")
	w := newWriter(r, r.log, half)
	w.append("a")
	r.clock.add(time.Second)
	w.append("b")
	must(r, "Trim", r.log.Trim(r.Context(), p, start.Add(time.Second)))
	must(r, "Trim", r.log.Trim(r.Context(), half, start.Add(time.Second)))
	for range 2 {
		r.reopen()
		equal(r, "bounds", bounds(r, r.log, p), hub.Bounds{First: 3, Next: 3, LastEnqueued: start})
		equal(r, "bounds", bounds(r, r.log, half), hub.Bounds{First: 1, Next: 2, LastEnqueued: start.Add(time.Second)})
	}
	r.clock.add(-time.Hour)
	newWriter(r, r.log, p).append("d")
	equal(r, "events", read(r, r.log, p, 0), []event{{3, "d", start}})
	r.reopen()
	equal(r, "events", read(r, r.log, p, 0), []event{{3, "d", start}})
	equal(r, "bounds", bounds(r, r.log, p), hub.Bounds{First: 3, Next: 4, LastEnqueued: start})
}

func reopenDropped(r *reopened) {
	p, kept := partition("h", 0), partition("hh", 0)
	newWriter(r, r.log, p).append("a", "b")
	newWriter(r, r.log, kept).append("x")
	must(r, "Trim", r.log.Trim(r.Context(), p, r.clock.now().Add(time.Hour)))
	must(r, "Drop", r.log.Drop(r.Context(), "h"))
	r.reopen()
	wantNames(r, r.log, "hh")
	equal(r, "bounds", bounds(r, r.log, p), hub.Bounds{})
	equal(r, "other hub", texts(r, r.log, kept, 0), []string{"x"})
	newWriter(r, r.log, p).append("new")
	r.reopen()
	equal(r, "events", texts(r, r.log, p, 0), []string{"new"})
}

func reopenDrains(r *reopened) {
	p := partition("h", 0)
	w := newWriter(r, r.log, p)
	events := numbered("e", 1000)
	for _, e := range events {
		must(r, "Append", w.Append(r.Context(), []byte(e)))
	}
	r.reopen()
	w.wait(r, len(events))
	w.ok(r)
	equal(r, "events", texts(r, r.log, p, 0), events)
}

func closedRefuses(r *reopened) {
	p := partition("h", 0)
	w := newWriter(r, r.log, p)
	w.append("a")
	closed := r.log
	waiting := make(chan error)
	go func() { waiting <- closed.Wait(r.Context(), p, 1) }()
	r.reopen()
	wantCode(r, "Wait that was there first", <-waiting, hubward.CodeServiceUnavailable)
	wantCode(r, "Append", w.Append(r.Context(), nil), hubward.CodeServiceUnavailable)
	wantCode(r, "Ping", closed.Ping(r.Context()), hubward.CodeServiceUnavailable)
	wantCode(r, "Wait", closed.Wait(r.Context(), p, 1), hubward.CodeServiceUnavailable)
	wantCode(r, "Trim", closed.Trim(r.Context(), p, r.clock.now()), hubward.CodeServiceUnavailable)
	wantCode(r, "Drop", closed.Drop(r.Context(), "h"), hubward.CodeServiceUnavailable)
	_, err := closed.Read(r.Context(), p, 0, 1, func(hub.Record) bool { return true })
	wantCode(r, "Read", err, hubward.CodeServiceUnavailable)
	w.wait(r, 1)
}
