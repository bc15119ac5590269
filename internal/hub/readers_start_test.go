package hub_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// Events 0 to 9 at noon and 1 to 10 seconds; 0 to 2 are deleted. Event 10 comes once the reader is open: it is the first
// one for those who start behind the others, whatever its time.
func TestOpenReader_start(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(i int) time.Time { return noon.Add(time.Duration(i+1) * time.Second) }
	texts := []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10"}
	const ms, us = time.Millisecond, time.Microsecond
	for _, test := range []struct {
		what  string
		start hub.Position
		first int    // of the events that come; 10: none yet
		text  string // of the refusal
	}{
		{"zero", hub.Position{}, 3, ""},
		{"latest", hub.Position{Kind: hub.PositionLatest}, 10, ""},
		{"the newest one", hub.Position{Kind: hub.PositionLatest, Inclusive: true}, 9, ""},
		{"after a number", hub.Position{Kind: hub.PositionSequence, Sequence: 5}, 6, ""},
		{"at a number", hub.Position{Kind: hub.PositionSequence, Sequence: 5, Inclusive: true}, 5, ""},
		{"after an offset", hub.Position{Kind: hub.PositionOffset, Sequence: 5}, 6, ""},
		{"at an offset", hub.Position{Kind: hub.PositionOffset, Sequence: 5, Inclusive: true}, 5, ""},
		{"after a number that is gone", hub.Position{Kind: hub.PositionSequence, Sequence: 1}, 3, ""},
		{"at a number that is gone", hub.Position{Kind: hub.PositionSequence, Sequence: 1, Inclusive: true}, 3, ""},
		{"after -1", hub.Position{Kind: hub.PositionOffset, Sequence: -1}, 3, ""},
		{"far below", hub.Position{Kind: hub.PositionSequence, Sequence: -1 << 63}, 3, ""},
		{"after the last number", hub.Position{Kind: hub.PositionSequence, Sequence: 9}, 10, ""},
		{"at the last number", hub.Position{Kind: hub.PositionSequence, Sequence: 9, Inclusive: true}, 9, ""},
		{"a number that is not yet", hub.Position{Kind: hub.PositionSequence, Sequence: 10, Inclusive: true}, 0, "The supplied sequence number '10' is invalid. The last sequence number in the system is '9'"},
		{"a far offset", hub.Position{Kind: hub.PositionOffset, Sequence: 1<<63 - 1}, 0, "The supplied offset '9223372036854775807' is invalid. The last offset in the system is '9'"},
		{"after a time", hub.Position{Kind: hub.PositionTime, Time: at(5)}, 6, ""},
		{"at a time", hub.Position{Kind: hub.PositionTime, Time: at(5), Inclusive: true}, 5, ""},
		{"a millisecond before", hub.Position{Kind: hub.PositionTime, Time: at(5).Add(-ms)}, 5, ""},
		{"microseconds before", hub.Position{Kind: hub.PositionTime, Time: at(5).Add(-us)}, 5, ""},
		{"microseconds after", hub.Position{Kind: hub.PositionTime, Time: at(5).Add(us)}, 6, ""},
		{"a millisecond after, inclusive", hub.Position{Kind: hub.PositionTime, Time: at(5).Add(ms), Inclusive: true}, 6, ""},
		{"a time that is gone", hub.Position{Kind: hub.PositionTime, Time: noon}, 3, ""},
		{"the newest time", hub.Position{Kind: hub.PositionTime, Time: at(9)}, 10, ""},
		{"tomorrow", hub.Position{Kind: hub.PositionTime, Time: noon.Add(24 * time.Hour)}, 10, ""},
		{"the end of days", hub.Position{Kind: hub.PositionTime, Time: time.UnixMilli(1<<63 - 1)}, 10, ""},
		{"the beginning of days", hub.Position{Kind: hub.PositionTime, Time: time.UnixMilli(-1 << 63)}, 3, ""},
		{"no time", hub.Position{Kind: hub.PositionTime}, 3, ""},
	} {
		t.Run(test.what, func(t *testing.T) {
			f := newReaderFixture(t)
			f.fill("plant", texts[:10]...)
			if err := f.log.Trim(t.Context(), hub.Partition{Hub: "plant", Endpoint: hub.EndpointEvents}, at(3)); err != nil {
				t.Fatal(err)
			}
			r, err := f.open(readerOptions{Start: test.start})
			if test.text != "" {
				var refused *hubward.Error
				if !errors.As(err, &refused) || refused.Code != hubward.CodeArgumentInvalid || refused.Message != test.text {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			f.fill("plant", texts[10])
			want := texts[test.first:]
			if got := read(t, r, len(want)); !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

func TestOpenReader_startOfAnEmptyPartition(t *testing.T) {
	f := newReaderFixture(t)
	for _, start := range []hub.Position{
		{}, {Kind: hub.PositionLatest}, {Kind: hub.PositionLatest, Inclusive: true}, {Kind: hub.PositionOffset, Sequence: -1},
		{Kind: hub.PositionSequence, Sequence: -1, Inclusive: true}, {Kind: hub.PositionTime, Time: f.clock().Add(time.Hour)},
	} {
		r := f.mustOpen(readerOptions{Start: start, ConsumerGroup: "$default", Partition: 0})
		f.fill("plant", "first")
		if got := read(t, r, 1); got[0] != "first" {
			t.Errorf("%+v: got %v", start, got)
		}
		if err := f.log.Drop(t.Context(), "plant"); err != nil {
			t.Fatal(err)
		}
		r.Close()
	}
	_, err := f.open(readerOptions{Start: hub.Position{Kind: hub.PositionSequence, Inclusive: true}})
	if err == nil || !strings.Contains(err.Error(), "The supplied sequence number '0' is invalid. The last sequence number in the system is '-1'") {
		t.Errorf("got %v", err)
	}
}
