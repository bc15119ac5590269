package pebblelog

import (
	"context"
	"errors"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/hubward/hubward/internal/hub"
)

// Trim implements hub.EventLog. The deleted events are out of sight at once and durably gone when it returns.
func (l *Log) Trim(ctx context.Context, p hub.Partition, t time.Time) error {
	seen, err := l.enter(ctx, p)
	if err != nil {
		return err
	}
	defer l.readers.Done()
	if seen.first == seen.committed {
		return nil
	}
	cut, err := l.seek(ctx, seen, t)
	if err != nil {
		return err
	}
	o, err := l.cut(seen.partition, cut)
	if err != nil || o == nil {
		return err
	}
	return l.wait(ctx, o)
}

// cut takes the events below sequence number cut out of sight and queues their deletion. It returns nil when there are
// none.
func (l *Log) cut(part *partition, cut int64) (*op, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.refusalLocked(); err != nil {
		return nil, err
	}
	if part.dropped || cut <= part.first {
		return nil, nil
	}
	from := eventKey(part.prefix, part.first)
	to := eventKey(part.prefix, cut)
	// All events below next are in this very batch or in an earlier one, so the marker never runs ahead of the events.
	m := marker{first: cut, next: part.next, lastMS: part.lastMS}
	key := appendMarkerKey(nil, part.Partition)
	part.first = cut
	part.forgetLocked(cut, &l.chunks)
	return l.addOpLocked(func(b *pebble.Batch) error {
		return errors.Join(b.DeleteRange(from, to, nil), b.Set(key, m.encode(), nil))
	}), nil
}

// forgetLocked takes the chunks that lie wholly below sequence number first out of the tail.
func (p *partition) forgetLocked(first int64, pool *chunkPool) {
	old := 0
	for old < len(p.tail) && p.tail[old].next() <= first {
		p.tailBytes -= cap(p.tail[old].buf)
		old++
	}
	p.cutTailLocked(old, pool)
}

// Drop implements hub.EventLog. Producers of the hub fail from then on; a hub of the same name starts with nothing.
func (l *Log) Drop(ctx context.Context, name string) error {
	if err := errors.Join(ctx.Err(), checkHub(name)); err != nil {
		return err
	}
	l.mu.Lock()
	if err := l.refusalLocked(); err != nil {
		l.mu.Unlock()
		return err
	}
	var gone []hub.Partition
	var waiting []chan struct{}
	for p, part := range l.parts {
		if p.Hub != name {
			continue
		}
		gone = append(gone, p)
		part.dropped = true
		part.forgetLocked(part.next, &l.chunks)
		waiting = part.takeWaitingLocked(waiting)
		delete(l.parts, p)
	}
	if l.room != nil { // producers of the hub may be among those who wait
		waiting = append(waiting, l.room)
		l.room = nil
	}
	o := l.addOpLocked(func(b *pebble.Batch) error { return deletePartitions(b, gone) })
	l.mu.Unlock()
	closeAll(waiting)
	return l.wait(ctx, o)
}

// deletePartitions deletes the events and the head markers of whole partitions. It deletes no more than one partition at
// a time: a deletion across partitions would make Pebble end a table at each partition number there could be.
func deletePartitions(b *pebble.Batch, parts []hub.Partition) error {
	for _, p := range parts {
		from, to := appendPartition(nil, p), appendPartitionEnd(nil, p)
		if err := b.DeleteRange(from, to, nil); err != nil {
			return err
		}
		if err := b.Delete(appendMarkerKey(nil, p), nil); err != nil {
			return err
		}
	}
	return nil
}
