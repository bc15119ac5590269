package pebblelog

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/hubward/hubward/internal/eventlog/groupcommit"
	"github.com/hubward/hubward/internal/hub"
)

type (
	partition = groupcommit.Partition[state]
	view      = groupcommit.View[state]
)

// state is what the log keeps in memory of a partition, besides its numbers. It is guarded by Log.mu.
type state struct {
	prefix []byte // of its events' keys; never changed

	gathering *chunk   // nil: no event has gathered since the last round was taken
	taken     *chunk   // part of the round that is being committed
	usual     int      // bytes that the next chunk may come to hold: a maximum that decays
	tail      []*chunk // the newest committed events, oldest chunk first, without gaps, up to Committed
	tailBytes int      // sum of the tail's buffers, at most maxTailBytes
}

func newState(p hub.Partition) state { return state{prefix: appendPartition(nil, p)} }

// keepLocked makes a committed chunk the newest part of the tail, and lets go of what is too old then.
func (s *state) keepLocked(c *chunk, pool *chunkPool) {
	s.tail = append(s.tail, c)
	s.tailBytes += cap(c.buf)
	c.refs++
	old := 0
	for s.tailBytes > maxTailBytes && old < len(s.tail) {
		s.tailBytes -= cap(s.tail[old].buf)
		old++
	}
	s.cutTailLocked(old, pool)
}

// cutTailLocked removes the oldest chunks of the tail; their bytes are already subtracted.
func (s *state) cutTailLocked(chunks int, pool *chunkPool) {
	for _, c := range s.tail[:chunks] {
		releaseLocked(c, pool)
	}
	left := copy(s.tail, s.tail[chunks:])
	clear(s.tail[left:])
	s.tail = s.tail[:left]
}

// tailChunkLocked returns the chunk of the tail that holds sequence number from, nil when the tail does not.
func (s *state) tailChunkLocked(from int64) *chunk {
	for i := len(s.tail) - 1; i >= 0; i-- {
		if c := s.tail[i]; c.first <= from {
			return c
		}
	}
	return nil
}

func releaseLocked(c *chunk, pool *chunkPool) {
	if c.refs--; c.refs == 0 {
		pool.put(c)
	}
}

// scan finds the partitions of a folder that was just opened. It jumps from partition to partition.
func (l *Log) scan() error {
	it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: []byte{eventSpace}, UpperBound: []byte{eventSpace + 1}})
	if err != nil {
		return err
	}
	err = l.scanEvents(it)
	if closeErr := it.Close(); err == nil { // which repeats what the iterator has said
		err = closeErr
	}
	if err != nil {
		return plain(err)
	}
	prefix := []byte{metaSpace, 'h'}
	if it, err = l.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: []byte{metaSpace, 'h' + 1}}); err != nil {
		return err
	}
	err = l.scanMarkers(it)
	if closeErr := it.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return plain(err)
	}
	return nil
}

func (l *Log) scanEvents(it *pebble.Iterator) error {
	for ok := it.First(); ok; {
		p, first, err := parseEventKey(it.Key())
		if err != nil {
			return err
		}
		end := appendPartitionEnd(nil, p)
		if !it.SeekLT(end) {
			return fmt.Errorf("partition %v: its last event cannot be found: %w", p, it.Error())
		}
		_, last, err := parseEventKey(it.Key())
		if err != nil {
			return err
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		ms, err := recordTime(p, last, value)
		if err != nil {
			return err
		}
		part, err := l.group.PartitionLocked(p)
		if err != nil {
			return err
		}
		part.RestoreLocked(first, last+1, ms)
		ok = it.SeekGE(end)
	}
	return it.Error()
}

func (l *Log) scanMarkers(it *pebble.Iterator) error {
	for ok := it.First(); ok; ok = it.Next() {
		p, err := parseMarkerKey(it.Key())
		if err != nil {
			return err
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		m, err := decodeMarker(p, value)
		if err != nil {
			return err
		}
		part, err := l.group.PartitionLocked(p)
		if err != nil {
			return err
		}
		if part.First == part.Committed { // retention has emptied it
			part.RestoreLocked(m.next, m.next, m.lastMS)
		} else if part.Committed < m.next {
			return fmt.Errorf("partition %v: events %d to %d are missing", p, part.Committed, m.next-1)
		}
	}
	return it.Error()
}
