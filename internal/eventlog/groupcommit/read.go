package groupcommit

import (
	"context"
	"time"

	"github.com/hubward/hubward/internal/hub"
)

// View is a partition as one call of a reader sees it.
type View[S any] struct {
	Part *Partition[S] // nil: it was never used
	hub.Bounds
}

// ViewLocked says what a reader of p sees. Errors: ctx's, CodeArgumentInvalid when p cannot exist,
// CodeServiceUnavailable when the log is closed.
func (l *Log[S]) ViewLocked(ctx context.Context, p hub.Partition) (View[S], error) {
	if err := ctx.Err(); err != nil {
		return View[S]{}, err
	}
	if l.closed {
		return View[S]{}, errClosed
	}
	part, ok := l.parts[p]
	if !ok {
		return View[S]{Bounds: hub.Bounds{First: l.start, Next: l.start}}, checkPartition(p)
	}
	return View[S]{Part: part, Bounds: part.BoundsLocked()}, nil
}

// Bounds is hub.EventLog's.
func (l *Log[S]) Bounds(ctx context.Context, p hub.Partition) (hub.Bounds, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	v, err := l.ViewLocked(ctx, p)
	return v.Bounds, err
}

// Seek returns the sequence number of the first event that was enqueued at or after t, v.Next when there is none. It asks
// enqueued for the times of some events, in ms: a binary search, because they never go back (I3).
func (v View[S]) Seek(t time.Time, enqueued func(sequence int64) (ms int64, err error)) (int64, error) {
	if t.After(v.LastEnqueued) {
		return v.Next, nil
	}
	// Enqueued times are whole milliseconds, so "at or after t" is "at or after t rounded up".
	ms := t.Add(time.Millisecond - time.Nanosecond).UnixMilli()
	low, high := v.First, v.Next
	for low < high {
		middle := low + (high-low)/2
		at, err := enqueued(middle)
		if err != nil {
			return 0, err
		}
		if at < ms {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low, nil
}

// Wait is hub.EventLog's.
func (l *Log[S]) Wait(ctx context.Context, p hub.Partition, from int64) error {
	l.mu.Lock()
	part, err := l.PartitionLocked(p) // of the hub as it is now: after a Drop, a new one of its name has others
	l.mu.Unlock()
	if err != nil {
		return err
	}
	for {
		news, err := l.listen(part, from)
		if news == nil || err != nil {
			return err
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// listen returns a channel that is closed when part has changed, nil when it already holds event from or a later one.
func (l *Log[S]) listen(part *Partition[S], from int64) (<-chan struct{}, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return nil, errClosed
	case part.dropped:
		return nil, droppedError()
	case from < part.Committed:
		return nil, nil
	}
	return part.news.listen(), nil
}

// notice wakes all who listen for one change. It is guarded by the log's mutex.
type notice struct {
	c chan struct{} // nil while nobody listens
}

// listen returns a channel that is closed at the next change.
func (n *notice) listen() <-chan struct{} {
	if n.c == nil {
		n.c = make(chan struct{})
	}
	return n.c
}

// take appends the channel to close, if anybody listens.
func (n *notice) take(to []chan struct{}) []chan struct{} {
	if n.c != nil {
		to = append(to, n.c)
		n.c = nil
	}
	return to
}

func closeAll(channels []chan struct{}) {
	for _, c := range channels {
		close(c)
	}
}
