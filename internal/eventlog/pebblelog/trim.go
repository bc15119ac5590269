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
	cut, err := l.seek(ctx, seen, t)
	if err != nil || cut == seen.First {
		return err
	}
	o, err := l.cut(seen.Part, cut)
	if err != nil || o == nil {
		return err
	}
	return o.wait(ctx)
}

// cut takes the events below sequence number cut out of sight and queues their deletion. It returns nil when there are
// none.
func (l *Log) cut(part *partition, cut int64) (*op, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.group.RefusalLocked(); err != nil || cut <= part.First {
		return nil, err
	}
	from := eventKey(part.State.prefix, part.First)
	to := eventKey(part.State.prefix, cut)
	now := part.BoundsLocked()
	m := marker{first: cut, next: now.Next, lastMS: now.LastEnqueued.UnixMilli()}
	key := appendMarkerKey(nil, part.Partition)
	part.First = cut
	part.State.forgetLocked(cut, &l.chunks)
	return l.addOpLocked(func(b *pebble.Batch) error {
		return errors.Join(b.DeleteRange(from, to, nil), b.Set(key, m.encode(), nil))
	}), nil
}

// forgetLocked takes the chunks that lie wholly below sequence number first out of the tail.
func (s *state) forgetLocked(first int64, pool *chunkPool) {
	old := 0
	for old < len(s.tail) && s.tail[old].next() <= first {
		s.tailBytes -= cap(s.tail[old].buf)
		old++
	}
	s.cutTailLocked(old, pool)
}

// dropLocked gives back all chunks but the one that is being committed.
func (s *state) dropLocked(pool *chunkPool) {
	s.tailBytes = 0
	s.cutTailLocked(len(s.tail), pool)
	if s.gathering != nil {
		pool.put(s.gathering)
		s.gathering = nil
	}
}

// Drop implements hub.EventLog. Producers of the hub fail from then on; a hub of the same name starts with nothing.
func (l *Log) Drop(ctx context.Context, name string) error {
	var o *op
	err := l.group.Drop(ctx, name, func(gone []*partition) {
		for _, part := range gone {
			part.State.dropLocked(&l.chunks)
		}
		o = l.addOpLocked(func(b *pebble.Batch) error { return deletePartitions(b, gone) })
	})
	if err != nil {
		return err
	}
	return o.wait(ctx)
}

// deletePartitions deletes the events and the head markers of whole partitions. It deletes no more than one partition at
// a time: a deletion across partitions would make Pebble end a table at each partition number there could be.
func deletePartitions(b *pebble.Batch, parts []*partition) error {
	for _, part := range parts {
		p := part.Partition
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
