package memlog

import (
	"context"
	"errors"
	"sort"
	"time"

	"github.com/hubward/hubward/internal/hub"
)

// lookupLocked returns the state of p, nil when it was never used.
func (l *Log) lookupLocked(ctx context.Context, p hub.Partition) (*partition, error) {
	if err := errors.Join(ctx.Err(), checkPartition(p)); err != nil {
		return nil, err
	}
	if l.closed {
		return nil, errClosed
	}
	return l.parts[p], nil
}

// Bounds implements hub.EventLog.
func (l *Log) Bounds(ctx context.Context, p hub.Partition) (hub.Bounds, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	part, err := l.lookupLocked(ctx, p)
	if err != nil || part == nil {
		return hub.Bounds{}, err
	}
	b := hub.Bounds{First: part.first, Next: part.committed}
	if part.any {
		b.LastEnqueued = time.UnixMilli(part.lastKnown).UTC()
	}
	return b, nil
}

// readStep is how many events are copied out of the log under one lock.
const readStep = 128

// Read implements hub.EventLog. It visits at least one event if there is one, whatever maxBytes is.
func (l *Log) Read(
	ctx context.Context, p hub.Partition, from int64, maxBytes int, visit func(hub.Record) (more bool),
) (next int64, err error) {
	var step [readStep]record
	seen := 0
	for {
		var n int
		if from, n, err = l.copyOut(ctx, p, from, step[:]); n == 0 || err != nil {
			return from, err
		}
		for _, e := range step[:n] {
			r := hub.Record{SequenceNumber: from, Enqueued: time.UnixMilli(e.ms).UTC(), Data: e.data[:len(e.data):len(e.data)]}
			seen += len(e.data)
			from++
			if !visit(r) || seen >= maxBytes {
				return from, nil
			}
		}
	}
}

// copyOut copies the first visible events at or above from, n of them, and returns the number of the first one.
func (l *Log) copyOut(ctx context.Context, p hub.Partition, from int64, to []record) (first int64, n int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	part, err := l.lookupLocked(ctx, p)
	if err != nil {
		return from, 0, err
	}
	if part == nil {
		return max(from, 0), 0, nil
	}
	from = max(from, part.first)
	if from >= part.committed {
		return from, 0, nil
	}
	return from, copy(to, part.events[from-part.first:part.committed-part.first]), nil
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

// Seek implements hub.EventLog.
func (l *Log) Seek(ctx context.Context, p hub.Partition, t time.Time) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	part, err := l.lookupLocked(ctx, p)
	if err != nil || part == nil {
		return 0, err
	}
	return part.seekLocked(t), nil
}

func (p *partition) seekLocked(t time.Time) int64 {
	// Enqueued times are whole milliseconds, so "at or after t" is "at or after t rounded up".
	ms := t.Add(time.Millisecond - time.Nanosecond).UnixMilli()
	committed := p.events[:p.committed-p.first]
	return p.first + int64(sort.Search(len(committed), func(i int) bool { return committed[i].ms >= ms }))
}

// Trim implements hub.EventLog.
func (l *Log) Trim(ctx context.Context, p hub.Partition, t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	part, err := l.lookupLocked(ctx, p)
	if err != nil || part == nil {
		return err
	}
	l.cutLocked(part, part.seekLocked(t))
	return nil
}

// Drop implements hub.EventLog. Producers of the hub fail from then on; a hub of the same name starts with nothing.
func (l *Log) Drop(ctx context.Context, name string) error {
	if err := errors.Join(ctx.Err(), checkHub(name)); err != nil {
		return err
	}
	l.mu.Lock()
	var waiting []chan struct{}
	err := errClosed
	if !l.closed {
		err = nil
		for p, part := range l.parts {
			if p.Hub != name {
				continue
			}
			l.bytes -= part.bytes
			part.dropped, part.events = true, nil
			waiting = part.takeWaitingLocked(waiting)
			delete(l.parts, p)
		}
		if l.room != nil { // producers of the hub may be among those who wait
			waiting = append(waiting, l.room)
			l.room = nil
		}
	}
	l.mu.Unlock()
	closeAll(waiting)
	return err
}
