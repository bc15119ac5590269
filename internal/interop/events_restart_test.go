//go:build interop

package interop_test

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// The hub is restarted while devices send and readers read. In the end every reader has seen every event that is
// stored, each partition's in order; most of those that come back by themselves go on where they were.
func TestEvents_restart(t *testing.T) {
	f := newFleet(t, "restart")
	rs := readers()
	open := openReaders(t, rs, func(group string) readOptions {
		return readOptions{group: group, start: "time", time: f.began.UnixMilli() - 1}
	})
	f.send(t, 5)
	before := f.stored(t)
	seen := map[string][]event{}
	for _, r := range rs {
		got, err := f.collect(open[r.name], before)
		if err != nil {
			t.Fatalf("%s, before the restart: %v", r.name, err)
		}
		seen[r.name] = got
	}
	restarted := make(chan error)
	go func() {
		if err := hub.Stop(); err != nil {
			restarted <- err
			return
		}
		restarted <- hub.Start(context.Background())
	}()
	f.send(t, 5)
	if err := <-restarted; err != nil {
		t.Fatal(err)
	}
	f.send(t, 5)
	want := f.stored(t)
	runTogether(t, rs, func(t *testing.T, r reader) {
		still := open[r.name]
		if r.restarts == staysAway {
			still = reopen(t, r, still, before)
		}
		defer stopReader(t, still)
		got, err := f.collect(still, want)
		if err != nil {
			t.Fatal(err)
		}
		all, again := withoutRepeats(append(seen[r.name], got...))
		if diff := cmp.Diff(want, all, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%d events came, want %d (-want +got):\n%.5000s", len(all), len(want), diff)
		}
		if again > 0 && r.restarts != mayGoBack {
			t.Errorf("the reader went back and showed %d events again; %s", again, reported(still))
		}
	})
}

// reopen does what the users of an SDK do that stays away: it opens a new reader after the last event it has seen.
func reopen(t *testing.T, r reader, old eventReader, seen []event) eventReader {
	t.Helper()
	stopReader(t, old)
	last := map[string]string{}
	for _, e := range seen {
		last[e.Partition] = strconv.FormatInt(e.Sequence, 10)
	}
	again := r.open(t, readOptions{group: newGroup(t, r.name), start: "sequence", positions: last})
	if err := waitReady(again); err != nil {
		t.Fatal(err)
	}
	return again
}

// withoutRepeats keeps the first of each event, ordered by partition, and counts the rest.
func withoutRepeats(events []event) (first []event, repeats int) {
	type place struct {
		partition string
		sequence  int64
	}
	seen := map[place]bool{}
	for _, e := range events {
		at := place{e.Partition, e.Sequence}
		if seen[at] {
			repeats++
			continue
		}
		seen[at] = true
		first = append(first, e)
	}
	slices.SortStableFunc(first, func(a, b event) int { return strings.Compare(a.Partition, b.Partition) })
	return first, repeats
}
