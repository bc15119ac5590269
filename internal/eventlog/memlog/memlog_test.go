package memlog_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/eventlog/memlog"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/logtest"
)

func TestConformance(t *testing.T) {
	logtest.Run(t, func(t *testing.T, now func() time.Time) hub.EventLog {
		l := memlog.Open(memlog.Options{Now: now})
		t.Cleanup(func() { l.Close() })
		return l
	})
}

// appendAll appends events of 36 bytes, so that each counts 100, and waits for them.
func appendAll(t *testing.T, l *memlog.Log, p hub.Partition, n int) {
	t.Helper()
	producer := l.Producer(p, func(_ int, err error) {
		if err != nil {
			t.Errorf("done: %v", err)
		}
	})
	for i := range n {
		if err := producer.Append(t.Context(), fmt.Appendf(nil, "%036d", i)); err != nil {
			t.Fatal(err)
		}
		if err := l.Wait(t.Context(), p, int64(i)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBound_trimsTheFullestPartition(t *testing.T) {
	l := memlog.Open(memlog.Options{MaxBytes: 1000})
	defer l.Close()
	small, large := hub.Partition{Hub: "h", Endpoint: hub.EndpointEvents, ID: 0}, hub.Partition{Hub: "h", Endpoint: hub.EndpointEvents, ID: 1}
	appendAll(t, l, small, 3)
	appendAll(t, l, large, 20)
	for _, test := range []struct {
		p    hub.Partition
		want hub.Bounds
	}{{small, hub.Bounds{First: 0, Next: 3}}, {large, hub.Bounds{First: 13, Next: 20}}} {
		got, err := l.Bounds(t.Context(), test.p)
		if err != nil || got.First != test.want.First || got.Next != test.want.Next {
			t.Errorf("%v: %v, %v, want %v", test.p, got, err, test.want)
		}
	}
}

func TestBound_keepsTheNewestEvent(t *testing.T) {
	l := memlog.Open(memlog.Options{MaxBytes: 50})
	defer l.Close()
	p := hub.Partition{Hub: "h", Endpoint: hub.EndpointEvents}
	appendAll(t, l, p, 5)
	if b, err := l.Bounds(t.Context(), p); err != nil || b.First != 4 || b.Next != 5 {
		t.Errorf("bounds %v, %v", b, err)
	}
}

// TestAppend_blocksWhenFull holds the committer in a done function.
func TestAppend_blocksWhenFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := memlog.Open(memlog.Options{MaxGatheredBytes: 1})
		defer l.Close()
		busy, goOn := make(chan struct{}, 9), make(chan struct{})
		producer := l.Producer(hub.Partition{Hub: "h", Endpoint: hub.EndpointEvents}, func(int, error) {
			busy <- struct{}{}
			<-goOn
		})
		append := func(ctx context.Context) error { return producer.Append(ctx, []byte("x")) }
		if err := append(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-busy
		if err := append(t.Context()); err != nil { // fills the queue
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := append(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Append to a full log: %v", err)
		}
		close(goOn)
		if err := append(t.Context()); err != nil {
			t.Errorf("Append when there is room again: %v", err)
		}
	})
}

func TestClose_drainsAndRefuses(t *testing.T) {
	l := memlog.Open(memlog.Options{})
	p := hub.Partition{Hub: "h", Endpoint: hub.EndpointEvents}
	told := 0
	producer := l.Producer(p, func(n int, err error) {
		if err != nil {
			t.Errorf("done: %v", err)
		}
		told += n
	})
	for range 100 {
		if err := producer.Append(t.Context(), []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	waiting := make(chan error)
	go func() { waiting <- l.Wait(t.Context(), p, 1000) }()
	for range 2 {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if told != 100 {
		t.Errorf("done accounted for %d of 100 events", told)
	}
	for what, err := range map[string]error{
		"Append": producer.Append(t.Context(), nil),
		"Ping":   l.Ping(t.Context()),
		"Wait":   <-waiting,
	} {
		if hubward.CodeOf(err) != hubward.CodeServiceUnavailable {
			t.Errorf("%s after Close: %v", what, err)
		}
	}
}
