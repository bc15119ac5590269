//go:build interop

package interop_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

// perDevice is how many messages each device of a numbered run sends: 400 in all.
const perDevice = 50

// Whoever reads from the start sees every message of a run once, in the order of its device, with everything that was
// sent and all that the hub says about it; and from the middle exactly the rest.
func TestEvents_read(t *testing.T) {
	f := newFleet(t, "run")
	f.send(t, perDevice)
	want := f.stored(t)
	if got := partitionsOf(want); len(got) != partitions {
		t.Fatalf("the run is on the partitions %v", got)
	}
	eachReader(t, func(t *testing.T, r reader) {
		group := newGroup(t, r.name)
		t.Run("earliest", func(t *testing.T) {
			open := r.open(t, readOptions{group: group})
			defer stopReader(t, open)
			if err := waitReady(open); err != nil {
				t.Fatal(err)
			}
			f.wantExactly(t, open, want)
		})
		for _, s := range r.starts {
			t.Run(s.String(), func(t *testing.T) {
				o, rest := startInTheMiddle(want, s)
				o.group = group
				open := r.open(t, o)
				defer stopReader(t, open)
				f.wantExactly(t, open, rest)
			})
		}
	})
}

// startInTheMiddle returns the options of a reader that starts at the middle event of each partition, or at the time of
// the middle event of all, and what it has to read.
func startInTheMiddle(all []event, s start) (readOptions, []event) {
	o := readOptions{start: s.kind, inclusive: s.inclusive, positions: map[string]string{}}
	middle := map[string]event{}
	for _, partition := range partitionsOf(all) {
		of := slices.DeleteFunc(slices.Clone(all), func(e event) bool { return e.Partition != partition })
		middle[partition] = of[len(of)/2]
		o.positions[partition] = of[len(of)/2].Offset
		if s.kind == "sequence" {
			o.positions[partition] = strconv.FormatInt(of[len(of)/2].Sequence, 10)
		}
	}
	byTime := slices.SortedStableFunc(slices.Values(all), func(a, b event) int { return int(a.Enqueued - b.Enqueued) })
	o.time = byTime[len(byTime)/2].Enqueued
	rest := slices.DeleteFunc(slices.Clone(all), func(e event) bool {
		after := e.Sequence - middle[e.Partition].Sequence
		if s.kind == "time" {
			after = e.Enqueued - o.time
		}
		return after < 0 || after == 0 && !s.inclusive
	})
	return o, rest
}

func partitionsOf(events []event) []string {
	var found []string
	for _, e := range events {
		if !slices.Contains(found, e.Partition) {
			found = append(found, e.Partition)
		}
	}
	return found
}

// Whoever reads from the latest sees what is sent once it is ready, and nothing of what was there.
func TestEvents_readLatest(t *testing.T) {
	f := newFleet(t, "latest")
	f.send(t, 1)
	before := len(f.stored(t))
	rs := readers()
	open := openReaders(t, rs, func(group string) readOptions { return readOptions{group: group, start: "latest"} })
	f.send(t, 5)
	want := slices.DeleteFunc(f.stored(t), func(e event) bool { return strings.HasSuffix(e.MessageID, " 0") })
	if len(want) != 5*before {
		t.Fatalf("%d events are stored after the first %d", len(want), before)
	}
	for _, r := range rs {
		t.Run(r.name, func(t *testing.T) {
			defer stopReader(t, open[r.name])
			f.wantExactly(t, open[r.name], want)
		})
	}
}
