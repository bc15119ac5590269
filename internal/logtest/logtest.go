// Package logtest is the contract of hub.EventLog as tests. Every implementation runs Run; those that keep events over a
// restart run RunReopen as well.
//
// The log under test takes its time from the clock that the suite hands to open, so that a test can set it, also back.
package logtest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// Run tests a log. open returns an empty one that reads the time from now, and closes it when t ends.
func Run(t *testing.T, open func(t *testing.T, now func() time.Time) hub.EventLog) {
	tests := []struct {
		name string
		run  func(*fixture)
	}{
		{"append_numbersAreDensePerPartition", appendDense},
		{"append_copiesData", appendCopies},
		{"append_takesEmptyAndLargeEvents", appendSizes},
		{"append_doneCountsAddUp", appendDoneCounts},
		{"append_refusesImpossiblePartitions", appendImpossible},
		{"append_takesPartitionsAtTheLimits", appendAtLimits},
		{"append_enqueuedNeverGoesBack", appendClockGoesBack},
		{"read_emptyPartition", readEmpty},
		{"read_fromAnyPosition", readPositions},
		{"read_stopsAtMaxBytes", readMaxBytes},
		{"read_stopsWhenVisitSaysSo", readVisitStops},
		{"read_contextEnded", readContext},
		{"read_isolatesHubsAndPartitions", readIsolation},
		{"wait_returnsWhenEventIsThere", waitPresent},
		{"wait_wakesAllWaiters", waitWakes},
		{"wait_honoursContext", waitContext},
		{"seek_boundaries", seekBoundaries},
		{"trim_boundaries", trimBoundaries},
		{"trim_emptiedPartitionGoesOn", trimEmpties},
		{"drop_forgetsTheHub", dropForgets},
		{"drop_endsWaiting", dropEndsWaiting},
		{"drop_unknownHub", dropUnknown},
		{"drop_takesAllEndpoints", dropAllEndpoints},
		{"endpoint_numbersAndClocksAreItsOwn", endpointNumbers},
		{"endpoint_trimLeavesTheOthers", endpointTrim},
		{"endpoint_waitHearsOfItsOwn", endpointWait},
		{"ping", ping},
		{"concurrent_followersSeeEachEventOnceInOrder", concurrentFollowers},
		{"concurrent_trimAndRead", concurrentTrim},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := newClock()
			test.run(&fixture{T: t, clock: c, log: open(t, c.now)})
		})
	}
}

// fixture is one test with its log.
type fixture struct {
	*testing.T
	clock *clock
	log   hub.EventLog
}

// clock is a clock that tests set.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

// newClock returns a clock that shows a whole second.
func newClock() *clock { return &clock{t: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// acks counts what a producer was told.
type acks struct {
	mu      sync.Mutex
	n       int
	failed  int
	err     error
	changed chan struct{}
}

func newAcks() *acks { return &acks{changed: make(chan struct{})} }

func (a *acks) done(n int, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.n += n
	if err != nil {
		a.failed += n
		a.err = errors.Join(a.err, err)
	}
	close(a.changed)
	a.changed = make(chan struct{})
}

// wait returns when n events are accounted for.
func (a *acks) wait(t testing.TB, n int) {
	t.Helper()
	for {
		a.mu.Lock()
		have, changed := a.n, a.changed
		a.mu.Unlock()
		if have > n {
			t.Fatalf("done accounted for %d events, %d were appended", have, n)
		}
		if have == n {
			return
		}
		select {
		case <-changed:
		case <-t.Context().Done():
			t.Fatalf("done accounted for %d of %d events", have, n)
		}
	}
}

// ok fails the test unless all events so far are durable.
func (a *acks) ok(t testing.TB) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		t.Fatalf("%d events failed: %v", a.failed, a.err)
	}
}

// writer is a producer of a test and what it was told.
type writer struct {
	hub.Producer
	*acks
	t        testing.TB
	appended int
}

func newWriter(t testing.TB, log hub.EventLog, p hub.Partition) *writer {
	a := newAcks()
	return &writer{Producer: log.Producer(p, a.done), acks: a, t: t}
}

// append appends events and returns when they are durable.
func (w *writer) append(events ...string) {
	w.t.Helper()
	for _, e := range events {
		if err := w.Append(w.t.Context(), []byte(e)); err != nil {
			w.t.Fatalf("Append: %v", err)
		}
	}
	w.appended += len(events)
	w.wait(w.t, w.appended)
	w.ok(w.t)
}

// partition names a partition of telemetry.
func partition(name string, id int) hub.Partition {
	return hub.Partition{Hub: name, Endpoint: hub.EndpointEvents, ID: id}
}

// event is a record whose data is a string, so that it can be compared and kept.
type event struct {
	Sequence int64
	Data     string
	Enqueued time.Time
}

// read returns all events of p from a sequence number on.
func read(t testing.TB, log hub.EventLog, p hub.Partition, from int64) []event {
	t.Helper()
	var events []event
	next, err := log.Read(t.Context(), p, from, 1<<30, func(r hub.Record) bool {
		events = append(events, event{r.SequenceNumber, string(r.Data), r.Enqueued})
		return true
	})
	if err != nil {
		t.Fatalf("Read(%v, %d): %v", p, from, err)
	}
	if len(events) > 0 && next != events[len(events)-1].Sequence+1 {
		t.Fatalf("Read(%v, %d): next = %d after event %d", p, from, next, events[len(events)-1].Sequence)
	}
	return events
}

// texts returns only the data of all events of p.
func texts(t testing.TB, log hub.EventLog, p hub.Partition, from int64) []string {
	t.Helper()
	var data []string
	for _, e := range read(t, log, p, from) {
		data = append(data, e.Data)
	}
	return data
}

func bounds(t testing.TB, log hub.EventLog, p hub.Partition) hub.Bounds {
	t.Helper()
	b, err := log.Bounds(t.Context(), p)
	if err != nil {
		t.Fatalf("Bounds(%v): %v", p, err)
	}
	return b
}

func seek(t testing.TB, log hub.EventLog, p hub.Partition, at time.Time) int64 {
	t.Helper()
	sequence, err := log.Seek(t.Context(), p, at)
	if err != nil {
		t.Fatalf("Seek(%v, %v): %v", p, at, err)
	}
	return sequence
}

// must fails the test if err is set.
func must(t testing.TB, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func equal[V any](t testing.TB, what string, got, want V) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

func wantCode(t testing.TB, what string, err error, code hubward.Code) {
	t.Helper()
	if err == nil || hubward.CodeOf(err) != code {
		t.Fatalf("%s: error %v, want code %v", what, err, code)
	}
}

// numbered returns n events "prefix-0", "prefix-1" and so on.
func numbered(prefix string, n int) []string {
	events := make([]string, n)
	for i := range events {
		events[i] = fmt.Sprintf("%s-%d", prefix, i)
	}
	return events
}
