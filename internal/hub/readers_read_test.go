package hub_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// A reader that is slow goes on at the oldest event that is left.
func TestReader_trimmed(t *testing.T) {
	f := newReaderFixture(t)
	f.fill("plant", "0", "1", "2", "3")
	r := f.mustOpen(readerOptions{})
	if got := read(t, r, 1); got[0] != "0" {
		t.Errorf("got %v", got)
	}
	trim := func(before time.Time) {
		if err := f.log.Trim(t.Context(), hub.Partition{Hub: "plant", Endpoint: hub.EndpointEvents}, before); err != nil {
			t.Fatal(err)
		}
	}
	trim(f.clock())
	if got := read(t, r, 1); got[0] != "3" {
		t.Errorf("got %v", got)
	}
	f.fill("plant", "4", "5")
	trim(f.clock().Add(time.Hour))
	f.fill("plant", "6")
	if got := read(t, r, 1); got[0] != "6" {
		t.Errorf("got %v", got)
	}
	b, err := r.Bounds(t.Context())
	if want := (hub.Bounds{First: 6, Next: 7, LastEnqueued: f.clock()}); err != nil || b != want {
		t.Errorf("bounds %+v, %v, want %+v", b, err, want)
	}
	if b, err := f.PartitionBounds(t.Context(), "plant", 0); err != nil || b.First != 6 {
		t.Errorf("bounds %+v, %v", b, err)
	}
}

func TestReader_bounds(t *testing.T) {
	f := newReaderFixture(t)
	f.fill("plant", "aaaa", "bbbb", "cccc", "dddd", "eeee")
	r := f.mustOpen(readerOptions{})
	var got []string
	next := func(maxBytes int, more bool) []string {
		got = nil
		if err := r.Read(t.Context(), maxBytes, func(rec hub.Record) bool {
			got = append(got, string(rec.Data))
			return more
		}); err != nil {
			t.Fatal(err)
		}
		return got
	}
	for _, test := range []struct {
		maxBytes int
		more     bool
		want     []string
	}{
		{1, true, []string{"aaaa"}}, {8, true, []string{"bbbb", "cccc"}}, {100, false, []string{"dddd"}}, {100, true, []string{"eeee"}},
	} {
		if next(test.maxBytes, test.more); !slices.Equal(got, test.want) {
			t.Errorf("maxBytes %d, more %t: got %v, want %v", test.maxBytes, test.more, got, test.want)
		}
	}
}

// Whatever ends a reader ends its Read at once: the one that waits for events, and the one that is handing them out.
func TestReader_isEnded(t *testing.T) {
	endings := map[string]struct {
		end  func(readerFixture, *hub.Reader) error
		code hubward.Code
	}{
		"displaced": {func(f readerFixture, _ *hub.Reader) error {
			_, err := f.open(readerOptions{Hub: "second", ConsumerGroup: "GROUP", Epoch: epoch(5)})
			return err
		}, hubward.CodeReaderDisplaced},
		"its group deleted": {func(f readerFixture, _ *hub.Reader) error {
			return f.DeleteConsumerGroup(f.t.Context(), "second", "GROUP")
		}, hubward.CodeNoSuchConsumerGroup},
		"its hub deleted": {func(f readerFixture, _ *hub.Reader) error {
			return f.DeleteHub(f.t.Context(), "second")
		}, hubward.CodeNoSuchHub},
		"its hub made anew": {func(f readerFixture, _ *hub.Reader) error {
			err := f.DeleteHub(f.t.Context(), "second")
			f.createHub("second")
			f.fill("second", "new", "new", "new", "new")
			return err
		}, hubward.CodeNoSuchHub},
		"closed": {func(_ readerFixture, r *hub.Reader) error {
			r.Close()
			return nil
		}, hubward.CodeInvalidOperation},
	}
	for name, test := range endings {
		for _, busy := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, busy %t", name, busy), func(t *testing.T) {
				f := newReaderFixture(t)
				if err := f.CreateConsumerGroup(t.Context(), "second", "Group"); err != nil {
					t.Fatal(err)
				}
				f.fill("second", "old", "old")
				r := f.mustOpen(readerOptions{Hub: "second", ConsumerGroup: "group"})
				beside := f.mustOpen(readerOptions{Hub: "second"})
				var err error
				if busy {
					seen := 0
					err = r.Read(t.Context(), 1<<20, func(hub.Record) bool {
						if seen++; seen == 1 {
							if err := test.end(f, r); err != nil {
								t.Error(err)
							}
							<-r.Context().Done() // another node learns it a moment later
						}
						return true
					})
					if seen != 1 {
						t.Errorf("got %d events", seen)
					}
				} else {
					read(t, r, 2)
					ended := make(chan error)
					go func() {
						ended <- r.Read(t.Context(), 1<<20, func(rec hub.Record) bool {
							t.Errorf("got %q", rec.Data)
							return true
						})
					}()
					if err := test.end(f, r); err != nil {
						t.Error(err)
					}
					err = <-ended
				}
				wantCode(t, "Read", err, test.code)
				wantCode(t, "Read again", r.Read(t.Context(), 1, nil), test.code)
				_, err = r.Bounds(t.Context())
				wantCode(t, "Bounds", err, test.code)
				r.Close()
				if test.code == hubward.CodeNoSuchHub {
					<-beside.Context().Done()
				}
				if _, err := beside.Bounds(t.Context()); (err == nil) != (test.code != hubward.CodeNoSuchHub) {
					t.Errorf("a reader of another group gets %v", err)
				}
			})
		}
	}
}

// The context of one Read ends that Read alone.
func TestReader_goesOnAfterItsContextEnded(t *testing.T) {
	f := newReaderFixture(t)
	r := f.mustOpen(readerOptions{})
	for range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- r.Read(ctx, 1, nil) }()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	}
	f.fill("plant", "x")
	if got := read(t, r, 1); got[0] != "x" {
		t.Errorf("got %v", got)
	}
}

// All that wait are woken by one event, and by a takeover; until then they sleep: synctest would not let time go on
// beside a goroutine that runs or polls.
func TestReader_manyWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newReaderFixture(t)
		got := make(chan string, 100)
		for i := range 20 {
			group := fmt.Sprint("g", i)
			if err := f.CreateConsumerGroup(t.Context(), "plant", group); err != nil {
				t.Fatal(err)
			}
			for range 5 {
				r := f.mustOpen(readerOptions{ConsumerGroup: group})
				go func() {
					for {
						err := r.Read(t.Context(), 1, func(rec hub.Record) bool {
							got <- string(rec.Data)
							return true
						})
						if err != nil {
							got <- hubward.CodeOf(err).String()
							return
						}
					}
				}()
			}
		}
		want := func(text string, n int) {
			t.Helper()
			synctest.Wait()
			for range n {
				if g := <-got; g != text {
					t.Errorf("got %s, want %s", g, text)
				}
			}
			if len(got) > 0 {
				t.Errorf("%d too many", len(got))
			}
		}
		start := time.Now()
		time.Sleep(time.Hour)
		if d := time.Since(start); d != time.Hour {
			t.Errorf("%s went by", d)
		}
		want("", 0)
		f.fill("plant", "a")
		want("a", 100)
		f.mustOpen(readerOptions{ConsumerGroup: "g7", Epoch: epoch(0)})
		want("ReaderDisplaced", 5)
		f.fill("plant", "b")
		want("b", 95)
		for i := range 20 {
			if err := f.DeleteConsumerGroup(t.Context(), "plant", fmt.Sprint("G", i)); err != nil {
				t.Fatal(err)
			}
		}
		want("ConsumerGroupNotFound", 95)
	})
}

// Openings race with the deletion of their group: none must be left over.
func TestOpenReader_raceWithDelete(t *testing.T) {
	f := newReaderFixture(t)
	for i := range 50 {
		group := fmt.Sprint("g", i)
		if err := f.CreateConsumerGroup(t.Context(), "plant", group); err != nil {
			t.Fatal(err)
		}
		opened := make(chan *hub.Reader, 4)
		for range cap(opened) {
			go func() {
				r, _ := f.OpenReader(t.Context(), "plant", hub.ReaderOptions{ConsumerGroup: group})
				opened <- r
			}()
		}
		if err := f.DeleteConsumerGroup(t.Context(), "plant", group); err != nil {
			t.Fatal(err)
		}
		for range cap(opened) {
			if r := <-opened; r != nil {
				_, err := r.Bounds(t.Context())
				wantCode(t, "a reader of a group that is gone", err, hubward.CodeNoSuchConsumerGroup)
			}
		}
	}
}

func TestReadEvents_endsWithItsGroup(t *testing.T) {
	f := newReaderFixture(t)
	if err := f.CreateConsumerGroup(t.Context(), "plant", "g"); err != nil {
		t.Fatal(err)
	}
	for range 6 { // event streams do not count
		waits, ended := make(chan struct{}, 1), make(chan error)
		go func() {
			ended <- f.other().ReadEvents(t.Context(), "plant", hub.EventQuery{ConsumerGroup: "G", From: hub.Position{Kind: hub.PositionLatest}}, func(*hubward.Event) error {
				waits <- struct{}{}
				return nil
			})
		}()
		<-waits
		defer func() { wantCode(t, "ReadEvents", <-ended, hubward.CodeNoSuchConsumerGroup) }()
	}
	f.mustOpen(readerOptions{ConsumerGroup: "g", Epoch: epoch(1)})
	if err := f.DeleteConsumerGroup(t.Context(), "plant", "g"); err != nil {
		t.Fatal(err)
	}
}
