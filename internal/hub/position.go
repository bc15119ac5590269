package hub

import (
	"context"
	"time"

	"github.com/hubward/hubward"
)

// PositionKind says what a Position counts in.
type PositionKind int

// The kinds of position.
const (
	PositionEarliest PositionKind = iota // the oldest event that is kept
	PositionLatest                       // only events that are enqueued from now on; Inclusive: the newest one too
	PositionSequence                     // after, or at, Position.Sequence
	PositionOffset                       // the same, named by offset: only error texts differ
	PositionTime                         // after, or at, Position.Time
)

// Position is where a reader starts in a partition. The zero Position is the oldest event.
type Position struct {
	Kind      PositionKind
	Sequence  int64 // an event that is not kept any more stands for the oldest one that is
	Time      time.Time
	Inclusive bool // the event at the position too, not only those after it
}

// seek turns a position into the sequence number to read from, as the partition is now.
//
// A time behind the newest event means what is enqueued from now on, whatever its time: a client whose clock is ahead
// gets the events that it waits for, as in the cloud, instead of nothing until the hub's clock has caught up.
//
// Errors: CodeArgumentInvalid for a sequence number or an offset behind the newest event's; the log's.
func (h *Hub) seek(ctx context.Context, p Partition, at Position) (int64, error) {
	if at.Kind == PositionTime {
		return h.log.Seek(ctx, p, at.firstTime())
	}
	b, err := h.log.Bounds(ctx, p)
	if err != nil {
		return 0, err
	}
	last := b.Next - 1 // -1 when there never was one
	switch {
	case at.Kind == PositionEarliest:
		return b.First, nil
	case at.Kind == PositionLatest && at.Inclusive:
		return max(last, b.First), nil
	case at.Kind == PositionLatest:
		return b.Next, nil
	case at.Sequence > last:
		return 0, behindTheLast(at, last)
	case at.Inclusive:
		return max(at.Sequence, b.First), nil
	}
	return max(at.Sequence+1, b.First), nil
}

// behindTheLast has the words of the cloud service.
func behindTheLast(at Position, last int64) error {
	what := "sequence number"
	if at.Kind == PositionOffset {
		what = "offset"
	}
	return hubward.Errorf(hubward.CodeArgumentInvalid, "The supplied %s '%d' is invalid. The last %s in the system is '%d'", what, at.Sequence, what, last)
}

// No event is older than the first of these, nor newer than the second. Clients send any number of milliseconds; logs
// count in as many bits.
var (
	firstInstant = time.Unix(0, 0).UTC()
	lastInstant  = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
)

// firstTime returns the earliest enqueued time, in whole milliseconds, that a reader from the position gets.
func (p Position) firstTime() time.Time {
	t := p.Time
	if t.Before(firstInstant) {
		return firstInstant
	}
	if t.After(lastInstant) {
		return lastInstant
	}
	if p.Inclusive {
		return t
	}
	return t.Truncate(time.Millisecond).Add(time.Millisecond)
}
