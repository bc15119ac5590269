package logtest

import (
	"context"
	"errors"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// endpoints returns the same partition of two endpoints of a hub.
func endpoints(name string, id int) (telemetry, reports hub.Partition) {
	return partition(name, id), hub.Partition{Hub: name, Endpoint: hub.EndpointHubEvents, ID: id}
}

func endpointNumbers(f *fixture) {
	telemetry, reports := endpoints("h", 1)
	start := f.clock.now()
	t, r := newWriter(f, f.log, telemetry), newWriter(f, f.log, reports)
	t.append("t0", "t1", "t2")
	f.clock.add(-time.Second)
	r.append("r0")
	equal(f, "telemetry", texts(f, f.log, telemetry, 0), []string{"t0", "t1", "t2"})
	equal(f, "reports", read(f, f.log, reports, 0), []event{{0, "r0", start.Add(-time.Second)}})
	equal(f, "bounds of telemetry", bounds(f, f.log, telemetry), hub.Bounds{Next: 3, LastEnqueued: start})
	equal(f, "bounds of reports", bounds(f, f.log, reports), hub.Bounds{Next: 1, LastEnqueued: start.Add(-time.Second)})
	equal(f, "seek in telemetry", seek(f, f.log, telemetry, start), 0)
	equal(f, "seek in reports", seek(f, f.log, reports, start), 1)
}

func endpointTrim(f *fixture) {
	telemetry, reports := endpoints("h", 1)
	newWriter(f, f.log, telemetry).append("t0", "t1")
	r := newWriter(f, f.log, reports)
	r.append("r0", "r1", "r2")
	f.clock.add(time.Second)
	must(f, "Trim", f.log.Trim(f.Context(), reports, f.clock.now()))
	equal(f, "reports", read(f, f.log, reports, 0), nil)
	equal(f, "telemetry", texts(f, f.log, telemetry, 0), []string{"t0", "t1"})
	must(f, "Trim", f.log.Trim(f.Context(), telemetry, f.clock.now()))
	r.append("r3")
	equal(f, "reports", read(f, f.log, reports, 0), []event{{3, "r3", f.clock.now()}})
	equal(f, "bounds of telemetry", bounds(f, f.log, telemetry), hub.Bounds{First: 2, Next: 2, LastEnqueued: newClock().now()})
}

func endpointWait(f *fixture) {
	telemetry, reports := endpoints("h", 1)
	newWriter(f, f.log, telemetry).append("t0")
	ctx, cancel := context.WithCancel(f.Context())
	asleep, ended := make(chan struct{}), make(chan error)
	wait := func(p hub.Partition, from int64) {
		go func() { ended <- f.log.Wait(&announced{Context: ctx, asked: asleep}, p, from) }()
		<-asleep
	}
	wait(reports, 0)
	newWriter(f, f.log, reports).append("r0")
	must(f, "Wait for a report", <-ended)
	wait(telemetry, 1)
	newWriter(f, f.log, reports).append("r1", "r2")
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		f.Errorf("Wait for telemetry: %v", err)
	}
}

// dropAllEndpoints drops a hub with telemetry, with reports, and with waiters and producers on both.
func dropAllEndpoints(f *fixture) {
	telemetry, reports := endpoints("h", 1)
	_, other := endpoints("ha", 1)
	producers := map[hub.Partition]*writer{}
	ended := make(chan error)
	asleep := make(chan struct{})
	for _, p := range []hub.Partition{telemetry, reports, other} {
		producers[p] = newWriter(f, f.log, p)
		producers[p].append("a", "b")
	}
	for _, p := range []hub.Partition{telemetry, reports} {
		go func() { ended <- f.log.Wait(&announced{Context: f.Context(), asked: asleep}, p, 2) }()
		<-asleep
	}
	must(f, "Drop", f.log.Drop(f.Context(), "h"))
	for _, p := range []hub.Partition{telemetry, reports} {
		wantCode(f, "Wait", <-ended, hubward.CodeNoSuchHub)
		wantCode(f, "Append", producers[p].Append(f.Context(), nil), hubward.CodeNoSuchHub)
		equal(f, "bounds", bounds(f, f.log, p), hub.Bounds{})
		newWriter(f, f.log, p).append("new")
		equal(f, "events of the new hub", read(f, f.log, p, 0), []event{{0, "new", f.clock.now()}})
	}
	producers[other].append("c")
	equal(f, "events of the other hub", texts(f, f.log, other, 0), []string{"a", "b", "c"})
}

func reopenEndpoints(r *reopened) {
	telemetry, reports := endpoints("h", 65535)
	emptied := hub.Partition{Hub: "h", Endpoint: "emptied", ID: 65535}
	start := r.clock.now()
	newWriter(r, r.log, telemetry).append("t0", "t1")
	newWriter(r, r.log, reports).append("r0")
	newWriter(r, r.log, emptied).append("e0", "e1", "e2")
	must(r, "Trim", r.log.Trim(r.Context(), emptied, start.Add(time.Second)))
	for range 2 {
		r.reopen()
		equal(r, "telemetry", texts(r, r.log, telemetry, 0), []string{"t0", "t1"})
		equal(r, "reports", texts(r, r.log, reports, 0), []string{"r0"})
		equal(r, "bounds", bounds(r, r.log, emptied), hub.Bounds{First: 3, Next: 3, LastEnqueued: start})
	}
	must(r, "Drop", r.log.Drop(r.Context(), "h"))
	r.reopen()
	for _, p := range []hub.Partition{telemetry, reports, emptied} {
		equal(r, "bounds of what was dropped", bounds(r, r.log, p), hub.Bounds{})
	}
}
