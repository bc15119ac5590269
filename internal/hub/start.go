package hub

import (
	"context"
	"time"

	"github.com/hubward/hubward"
)

// StartKind says what a Start counts in.
type StartKind int

// The kinds of start.
const (
	StartEarliest StartKind = iota // the oldest event that is kept
	StartLatest                    // only events that are enqueued from now on; Inclusive: the newest one too
	StartSequence                  // after, or at, Start.Sequence
	StartOffset                    // the same, named by offset: only error texts differ
	StartTime                      // after, or at, Start.Time
)

// Start is a position in one partition. The zero Start is the oldest event.
type Start struct {
	Kind      StartKind
	Sequence  int64 // an event that is not kept any more stands for the oldest one that is
	Time      time.Time
	Inclusive bool // the event at the position too, not only those after it
}

// seek turns a start into the sequence number to read from, as the partition is now.
//
// A time behind the newest event means what is enqueued from now on, whatever its time: a client whose clock is ahead
// gets the events that it waits for, as in the cloud, instead of nothing until the hub's clock has caught up.
//
// Errors: CodeArgumentInvalid for a sequence number or an offset behind the newest event's; the log's.
//
// Source: spec/event-hubs-endpoint.md 6.2, 10.
func (h *Hub) seek(ctx context.Context, p Partition, s Start) (int64, error) {
	if s.Kind == StartTime {
		return h.log.Seek(ctx, p, s.firstTime())
	}
	b, err := h.log.Bounds(ctx, p)
	if err != nil {
		return 0, err
	}
	last := b.Next - 1 // -1 when there never was one
	switch {
	case s.Kind == StartEarliest:
		return b.First, nil
	case s.Kind == StartLatest && s.Inclusive:
		return max(last, b.First), nil
	case s.Kind == StartLatest:
		return b.Next, nil
	case s.Sequence > last:
		return 0, behindTheLast(s, last)
	case s.Inclusive:
		return max(s.Sequence, b.First), nil
	}
	return max(s.Sequence+1, b.First), nil
}

// behindTheLast has the words of the cloud service.
func behindTheLast(s Start, last int64) error {
	what := "sequence number"
	if s.Kind == StartOffset {
		what = "offset"
	}
	return hubward.Errorf(hubward.CodeArgumentInvalid, "The supplied %s '%d' is invalid. The last %s in the system is '%d'", what, s.Sequence, what, last)
}

// No event is older than the first of these, nor newer than the second. Clients send any number of milliseconds; logs
// count in as many bits.
var (
	firstInstant = time.Unix(0, 0).UTC()
	lastInstant  = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
)

// firstTime returns the earliest enqueued time, in whole milliseconds, that a reader from s gets.
func (s Start) firstTime() time.Time {
	t := s.Time
	if t.Before(firstInstant) {
		return firstInstant
	}
	if t.After(lastInstant) {
		return lastInstant
	}
	if s.Inclusive {
		return t
	}
	return t.Truncate(time.Millisecond).Add(time.Millisecond)
}
