package pebblelog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/hubward/hubward/internal/hub"
)

// view is a partition as one call of a reader sees it.
type view struct {
	*partition       // nil: the partition was never used
	first, committed int64
	last             time.Time
}

// enter registers a reader and returns what it may see. The caller calls l.readers.Done unless there is an error.
func (l *Log) enter(ctx context.Context, p hub.Partition) (view, error) {
	if err := errors.Join(ctx.Err(), checkPartition(p)); err != nil {
		return view{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return view{}, errClosed
	}
	l.readers.Add(1)
	return l.viewLocked(p), nil
}

func (l *Log) viewLocked(p hub.Partition) view {
	part, ok := l.parts[p]
	if !ok {
		return view{}
	}
	v := view{partition: part, first: part.first, committed: part.committed}
	if part.any {
		v.last = time.UnixMilli(part.committedMS).UTC()
	}
	return v
}

// Bounds implements hub.EventLog.
func (l *Log) Bounds(ctx context.Context, p hub.Partition) (hub.Bounds, error) {
	v, err := l.enter(ctx, p)
	if err != nil {
		return hub.Bounds{}, err
	}
	l.readers.Done()
	return hub.Bounds{First: v.first, Next: v.committed, LastEnqueued: v.last}, nil
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
	from = max(from, seen.first)
	v := &visitor{fn: visit, maxBytes: maxBytes}
	for from < seen.committed && !v.stopped && err == nil {
		if err = ctx.Err(); err != nil {
			break
		}
		if c := l.hold(seen.partition, from); c != nil {
			from, err = c.visit(v, from, seen.committed)
			l.letGo(c)
			continue
		}
		from, err = l.readTables(ctx, v, seen, from)
	}
	return from, err
}

// hold returns the chunk of the tail that holds sequence number from, nil when it is older than the tail. The caller
// lets go of it.
func (l *Log) hold(part *partition, from int64) *chunk {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := part.tailChunkLocked(from)
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

// readTables hands out the events in [from, seen.committed) from Pebble. It returns seen.committed when it was not
// stopped.
func (l *Log) readTables(ctx context.Context, v *visitor, seen view, from int64) (next int64, err error) {
	it, err := l.db.NewIter(&pebble.IterOptions{
		LowerBound: eventKey(seen.prefix, from),
		UpperBound: eventKey(seen.prefix, seen.committed),
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
		sequence, err := sequenceOf(seen.prefix, it.Key())
		if err != nil {
			return next, err
		}
		if sequence != next && next >= l.firstOf(seen.partition) {
			return next, missingError(seen.Partition, next, sequence)
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return next, err
		}
		r, err := decodeRecord(seen.Partition, sequence, value)
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
	if next != seen.committed && next >= l.firstOf(seen.partition) {
		return next, missingError(seen.Partition, next, seen.committed)
	}
	return seen.committed, nil // what is not there was trimmed meanwhile
}

func missingError(p hub.Partition, from, to int64) error {
	return fmt.Errorf("pebblelog: partition %v: events %d to %d are missing", p, from, to-1)
}

// firstOf returns the partition's first sequence number as it is now; above everything when the hub was dropped.
func (l *Log) firstOf(part *partition) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if part.dropped {
		return 1<<63 - 1
	}
	return part.first
}

// Wait implements hub.EventLog.
func (l *Log) Wait(ctx context.Context, p hub.Partition, from int64) error {
	if err := checkPartition(p); err != nil {
		return err
	}
	l.mu.Lock()
	part := l.partitionLocked(p) // of the hub as it is now: after a Drop, a new one of its name has others
	l.mu.Unlock()
	for {
		waiting, err := l.listen(part, from)
		if waiting == nil || err != nil {
			return err
		}
		select {
		case <-waiting:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// listen returns a channel that is closed when part has changed, nil when it already holds event from or a later one.
func (l *Log) listen(part *partition, from int64) (<-chan struct{}, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return nil, errClosed
	case part.dropped:
		return nil, droppedError(part.Hub)
	case from < part.committed:
		return nil, nil
	}
	if part.waiting == nil {
		part.waiting = make(chan struct{})
	}
	return part.waiting, nil
}

// Seek implements hub.EventLog: a binary search over sequence numbers, because enqueued times never go back (I3).
func (l *Log) Seek(ctx context.Context, p hub.Partition, t time.Time) (int64, error) {
	seen, err := l.enter(ctx, p)
	if err != nil {
		return 0, err
	}
	defer l.readers.Done()
	return l.seek(ctx, seen, t)
}

func (l *Log) seek(ctx context.Context, seen view, t time.Time) (int64, error) {
	low, high := seen.first, seen.committed
	if low == high || t.After(seen.last) {
		return high, nil
	}
	// Enqueued times are whole milliseconds, so "at or after t" is "at or after t rounded up".
	ms := t.Add(time.Millisecond - time.Nanosecond).UnixMilli()
	for low < high {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		middle := low + (high-low)/2
		at, err := l.enqueuedAt(seen, middle)
		switch {
		case errors.Is(err, pebble.ErrNotFound): // trimmed meanwhile: older than what is left
			low = middle + 1
		case err != nil:
			return 0, err
		case at < ms:
			low = middle + 1
		default:
			high = middle
		}
	}
	return low, nil
}

// enqueuedAt returns the enqueued time of one event, in ms.
func (l *Log) enqueuedAt(seen view, sequence int64) (int64, error) {
	value, closer, err := l.db.Get(eventKey(seen.prefix, sequence))
	if err != nil {
		return 0, err
	}
	defer closer.Close()
	return recordTime(seen.Partition, sequence, value)
}
