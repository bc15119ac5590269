package groupcommit_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/eventlog/groupcommit"
	"github.com/hubward/hubward/internal/hub"
)

// What an engine can do that neither memlog nor pebblelog does is tested here; the rest by logtest, with both of them.

type (
	partition = groupcommit.Partition[[]int]
	log       = groupcommit.Log[[]int]
)

const overhead = 10

// open starts a log whose engine keeps the sizes of events, and hands each round to commit. It takes no events while
// refused says so.
func open(t *testing.T, commit func(parts []*partition), refused func() error) (l *log, mu *sync.Mutex) {
	mu = new(sync.Mutex)
	l = groupcommit.New(mu, groupcommit.Engine[[]int]{
		Now: time.Now, MaxBytes: 100, Overhead: overhead,
		Refusal: refused,
		Add:     func(part *partition, _ int64, data []byte) { part.State = append(part.State, len(data)) },
		Commit:  commit,
	})
	l.Start()
	t.Cleanup(l.Close)
	return l, mu
}

func part(id int) hub.Partition {
	return hub.Partition{Hub: "h", Endpoint: hub.EndpointEvents, ID: id}
}

func mustAppend(t *testing.T, p hub.Producer, size int) {
	t.Helper()
	if err := p.Append(t.Context(), make([]byte, size)); err != nil {
		t.Fatal(err)
	}
}

func TestCommit_failsForOnePartition(t *testing.T) {
	errLost := errors.New("lost")
	fails := true
	l, mu := open(t, func(parts []*partition) {
		for _, part := range parts {
			if part.ID == 1 && fails {
				part.Err = errLost
			}
		}
	}, nil)
	told := make(chan error, 1)
	done := func(_ int, err error) { told <- err }
	good, bad := l.Producer(part(0), done), l.Producer(part(1), done)
	for round, test := range []struct {
		p    hub.Producer
		want error
	}{{good, nil}, {bad, errLost}, {good, nil}, {bad, errLost}, {bad, nil}} {
		mu.Lock()
		fails = round < 4
		mu.Unlock()
		mustAppend(t, test.p, 1)
		if err := <-told; !errors.Is(err, test.want) {
			t.Errorf("round %d: done was told %v, want %v", round, err, test.want)
		}
	}
	for id, want := range []int64{2, 1} {
		if b, err := l.Bounds(t.Context(), part(id)); err != nil || b.Next != want {
			t.Errorf("partition %d: bounds %v, %v, want %d events", id, b, err, want)
		}
	}
}

func TestRefusal_stopsWrites(t *testing.T) {
	errFull := errors.New("full")
	var refusal error
	l, mu := open(t, nil, func() error { return refusal })
	p := l.Producer(part(0), nil)
	mustAppend(t, p, 1)
	mu.Lock()
	refusal = errFull
	mu.Unlock()
	if err := p.Append(t.Context(), nil); !errors.Is(err, errFull) {
		t.Errorf("Append: %v", err)
	}
	err := l.Drop(t.Context(), "h", func([]*partition) { t.Error("Drop went on") })
	if !errors.Is(err, errFull) {
		t.Errorf("Drop: %v", err)
	}
	if err := l.Wait(t.Context(), part(0), 0); err != nil {
		t.Errorf("Wait for an event that was there before: %v", err)
	}
}

func TestRequestLocked_makesARoundWithoutEvents(t *testing.T) {
	rounds := make(chan int)
	l, mu := open(t, func(parts []*partition) { rounds <- len(parts) }, nil)
	for range 3 {
		mu.Lock()
		l.RequestLocked()
		mu.Unlock()
		if n := <-rounds; n != 0 {
			t.Errorf("a round of %d partitions", n)
		}
	}
}

// TestAppend_boundsWhatGathers holds the committer and lets events gather up to the bound of 100 bytes.
func TestAppend_boundsWhatGathers(t *testing.T) {
	for _, test := range []struct {
		sizes []int
		full  bool
	}{
		{[]int{99 - overhead}, false}, {[]int{100 - overhead}, true}, {[]int{1000}, true},
		{[]int{40, 99 - 50 - overhead}, false}, {[]int{40, 100 - 50 - overhead}, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			hold := make(chan struct{})
			l, _ := open(t, func([]*partition) { <-hold }, nil)
			p := l.Producer(part(0), nil)
			mustAppend(t, p, 0)
			synctest.Wait() // this round is held
			for _, size := range test.sizes {
				mustAppend(t, p, size)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := p.Append(ctx, nil); errors.Is(err, context.DeadlineExceeded) != test.full {
				t.Errorf("Append behind events of %v bytes: %v", test.sizes, err)
			}
			close(hold)
			mustAppend(t, p, 0)
		})
	}
}

func TestAppend_refusesLargeEvents(t *testing.T) {
	l, _ := open(t, nil, nil)
	p := l.Producer(part(0), nil)
	const limit = 64 << 20
	mustAppend(t, p, limit-1)
	mustAppend(t, p, limit)
	if err := p.Append(t.Context(), make([]byte, limit+1)); hubward.CodeOf(err) != hubward.CodeMessageTooLarge {
		t.Errorf("Append of %d bytes: %v", limit+1, err)
	}
}

// TestDrop_whileWaitingForRoom drops the hub of a producer that waits for room.
func TestDrop_whileWaitingForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		l, _ := open(t, func([]*partition) { <-hold }, nil)
		defer close(hold)
		p := l.Producer(part(0), nil)
		mustAppend(t, p, 0)
		synctest.Wait()
		mustAppend(t, p, 100)
		ended := make(chan error)
		go func() { ended <- p.Append(t.Context(), nil) }()
		synctest.Wait()
		var gone [][]int
		err := l.Drop(t.Context(), "h", func(parts []*partition) { gone = append(gone, parts[0].State) })
		if err != nil || len(gone) != 1 || !slices.Equal(gone[0], []int{0, 100}) {
			t.Errorf("Drop: %v, forgot %v", err, gone)
		}
		if err := <-ended; hubward.CodeOf(err) != hubward.CodeNoSuchHub {
			t.Errorf("Append: %v", err)
		}
	})
}

func TestSeek_endsWithTheFirstError(t *testing.T) {
	errRead := errors.New("cannot read")
	v := groupcommit.View[[]int]{Bounds: hub.Bounds{First: 3, Next: 9, LastEnqueued: time.UnixMilli(9)}}
	if at, err := v.Seek(time.UnixMilli(5), func(int64) (int64, error) { return 0, errRead }); !errors.Is(err, errRead) {
		t.Errorf("Seek: %d, %v", at, err)
	}
	at, err := v.Seek(time.UnixMilli(5), func(sequence int64) (int64, error) { return sequence, nil })
	if err != nil || at != 5 {
		t.Errorf("Seek: %d, %v, want 5", at, err)
	}
}
