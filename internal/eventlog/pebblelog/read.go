package pebblelog

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/hubward/hubward/internal/hub"
)

// enter registers a reader and returns what it sees. The caller calls l.readers.Done unless there is an error.
func (l *Log) enter(ctx context.Context, p hub.Partition) (view, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen, err := l.group.ViewLocked(ctx, p)
	if err == nil {
		l.readers.Add(1)
	}
	return seen, err
}

// Read implements hub.EventLog. It visits at least one event if there is one, whatever maxBytes is.
func (l *Log) Read(
	ctx context.Context, p hub.Partition, from int64, maxBytes int, visit func(hub.Record) (more bool),
) (next int64, err error) {
	seen, err := l.enter(ctx, p)
	if err != nil {
		return from, err
	}
	defer l.readers.Done()
	from = max(from, seen.First)
	v := &visitor{part: p, fn: visit, maxBytes: maxBytes}
	for from < seen.Next && !v.stopped && err == nil {
		if err = ctx.Err(); err != nil {
			break
		}
		if c := l.hold(seen.Part, from); c != nil {
			from, err = c.visit(v, from, seen.Next)
			l.letGo(c)
			continue
		}
		from, err = l.readTables(ctx, v, seen, from)
	}
	return from, l.unreadable(p, from, err)
}

// hold returns the chunk of the tail that holds sequence number from, nil when it is older than the tail. The caller
// lets go of it.
func (l *Log) hold(part *partition, from int64) *chunk {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := part.State.tailChunkLocked(from)
	if c != nil {
		c.refs++
	}
	return c
}

func (l *Log) letGo(c *chunk) {
	l.mu.Lock()
	releaseLocked(c, &l.chunks)
	l.mu.Unlock()
}

// checkEvery is how many events pass between two looks at the context.
const checkEvery = 256

// readTables hands out the events in [from, seen.Next) from Pebble. It returns seen.Next when it was not stopped.
func (l *Log) readTables(ctx context.Context, v *visitor, seen view, from int64) (next int64, err error) {
	it, err := l.db.NewIter(&pebble.IterOptions{
		LowerBound: eventKey(seen.Part.State.prefix, from),
		UpperBound: eventKey(seen.Part.State.prefix, seen.Next),
	})
	if err != nil {
		return from, err
	}
	next, err = l.visitTables(ctx, v, seen, from, it)
	return next, errors.Join(err, it.Close())
}

func (l *Log) visitTables(
	ctx context.Context, v *visitor, seen view, from int64, it *pebble.Iterator,
) (next int64, err error) {
	next = from
	for ok := it.First(); ok; ok = it.Next() {
		sequence, err := sequenceOf(seen.Part.State.prefix, it.Key())
		if err != nil {
			return next, err
		}
		if sequence != next && next >= l.firstOf(seen.Part) {
			return next, missingError(v.part, next, sequence)
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return next, err
		}
		r, err := decodeRecord(v.part, sequence, value)
		if err != nil {
			return next, err
		}
		next = sequence + 1
		if !v.visit(r) {
			return next, nil
		}
		if next%checkEvery == 0 && ctx.Err() != nil {
			return next, ctx.Err()
		}
	}
	if err := it.Error(); err != nil {
		return next, err
	}
	if next != seen.Next && next >= l.firstOf(seen.Part) {
		return next, missingError(v.part, next, seen.Next)
	}
	return seen.Next, nil // what is not there was trimmed meanwhile
}

func missingError(p hub.Partition, from, to int64) error {
	return fmt.Errorf("pebblelog: partition %v: events %d to %d are missing", p, from, to-1)
}

// firstOf returns the partition's first sequence number as it is now, above all others when its hub was dropped.
func (l *Log) firstOf(part *partition) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return part.First
}

// Seek implements hub.EventLog.
func (l *Log) Seek(ctx context.Context, p hub.Partition, t time.Time) (int64, error) {
	seen, err := l.enter(ctx, p)
	if err != nil {
		return 0, err
	}
	defer l.readers.Done()
	return l.seek(ctx, seen, t)
}

func (l *Log) seek(ctx context.Context, seen view, t time.Time) (int64, error) {
	return seen.Seek(t, func(sequence int64) (int64, error) {
		// What is damaged is taken to be as old as the next event that can be read: so retention gets past it in the end.
		// It costs to try: Pebble looks for the bits that may have changed in a block.
		for step := int64(64); sequence < seen.Next; step *= 2 {
			if err := ctx.Err(); err != nil {
				return 0, err
			}
			ms, err := l.enqueuedAt(seen.Part, sequence)
			switch {
			case err == nil:
				return ms, nil
			case errors.Is(err, pebble.ErrNotFound): // trimmed meanwhile: older than what is left
				return math.MinInt64, nil
			}
			_ = l.unreadable(seen.Part.Partition, sequence, err) // noted
			sequence += step
		}
		return math.MaxInt64, nil
	})
}

// enqueuedAt returns the enqueued time of one event, in ms.
func (l *Log) enqueuedAt(part *partition, sequence int64) (int64, error) {
	value, closer, err := l.db.Get(eventKey(part.State.prefix, sequence))
	if err != nil {
		return 0, err
	}
	defer closer.Close()
	return recordTime(part.Partition, sequence, value)
}
