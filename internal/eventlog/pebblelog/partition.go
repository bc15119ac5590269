package pebblelog

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// partition is what the log knows of one partition. All fields but the first two are guarded by Log.mu.
type partition struct {
	hub.Partition
	prefix []byte // of its events' keys

	// I1: readers see [first, committed); [committed, next) gathers or is being committed.
	first, committed, next int64
	committedMS            int64 // enqueued time of the newest committed event; the clock never goes below lastMS (I3)
	lastMS                 int64
	any                    bool // an event was ever committed: committedMS says something

	gathering *chunk        // nil: no event has gathered since the last swap
	usual     int           // bytes that the next chunk may come to hold: a maximum that decays
	tail      []*chunk      // the newest committed events, oldest chunk first, without gaps, up to committed
	tailBytes int           // sum of the tail's buffers, at most maxTailBytes
	waiting   chan struct{} // closed at the next commit; nil while nobody waits
	dropped   bool          // the hub is gone; a new one of its name has other partitions
}

func newPartition(p hub.Partition) *partition {
	p.Hub, p.Endpoint = strings.Clone(p.Hub), hub.Endpoint(strings.Clone(string(p.Endpoint)))
	return &partition{Partition: p, prefix: appendPartition(nil, p)}
}

// takeWaitingLocked appends the channel that p's waiters listen on, if there are any.
func (p *partition) takeWaitingLocked(to []chan struct{}) []chan struct{} {
	if p.waiting != nil {
		to = append(to, p.waiting)
		p.waiting = nil
	}
	return to
}

// keepLocked makes a committed chunk the newest part of the tail, and lets go of what is too old then.
func (p *partition) keepLocked(c *chunk, pool *chunkPool) {
	p.tail = append(p.tail, c)
	p.tailBytes += cap(c.buf)
	c.refs++
	old := 0
	for p.tailBytes > maxTailBytes && old < len(p.tail) {
		p.tailBytes -= cap(p.tail[old].buf)
		old++
	}
	p.cutTailLocked(old, pool)
}

// cutTailLocked removes the oldest chunks of the tail; their bytes are already subtracted.
func (p *partition) cutTailLocked(chunks int, pool *chunkPool) {
	for _, c := range p.tail[:chunks] {
		releaseLocked(c, pool)
	}
	left := copy(p.tail, p.tail[chunks:])
	clear(p.tail[left:])
	p.tail = p.tail[:left]
}

// tailChunkLocked returns the chunk of the tail that holds sequence number from, nil when the tail does not.
func (p *partition) tailChunkLocked(from int64) *chunk {
	for i := len(p.tail) - 1; i >= 0; i-- {
		if c := p.tail[i]; c.first <= from {
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

// checkPartition says whether keys can name p.
func checkPartition(p hub.Partition) error {
	if err := checkHub(p.Hub); err != nil {
		return err
	}
	if !goodEndpoint(p.Endpoint) {
		return hubward.Errorf(hubward.CodeArgumentInvalid, "%.60q cannot name an endpoint", p.Endpoint)
	}
	if p.ID < 0 || p.ID > maxPartition {
		return hubward.Errorf(hubward.CodeArgumentInvalid, "partition %d is not in 0 to %d", p.ID, maxPartition)
	}
	return nil
}

// checkHub refuses a hub name that keys could not tell from the rest of them.
func checkHub(name string) error {
	if name == "" || len(name) > 255 || strings.ContainsAny(name, "\x00\x01") {
		return hubward.Errorf(hubward.CodeArgumentInvalid, "hub name of %d bytes cannot name a log", len(name))
	}
	return nil
}

func goodEndpoint(e hub.Endpoint) bool {
	for _, c := range []byte(e) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return e != "" && len(e) <= 50
}

// partitionLocked returns the state of p, making it if need be: what has no state holds no events.
func (l *Log) partitionLocked(p hub.Partition) *partition {
	part, ok := l.parts[p]
	if !ok {
		part = newPartition(p)
		l.parts[part.Partition] = part
	}
	return part
}

// scan finds the partitions of a folder that was just opened. It jumps from partition to partition.
func (l *Log) scan() error {
	it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: []byte{eventSpace}, UpperBound: []byte{eventSpace + 1}})
	if err != nil {
		return err
	}
	err = l.scanEvents(it)
	if err = errors.Join(err, it.Close()); err != nil {
		return err
	}
	prefix := []byte{metaSpace, 'h'}
	if it, err = l.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: []byte{metaSpace, 'h' + 1}}); err != nil {
		return err
	}
	err = l.scanMarkers(it)
	return errors.Join(err, it.Close())
}

func (l *Log) scanEvents(it *pebble.Iterator) error {
	for ok := it.First(); ok; {
		p, first, err := parseEventKey(it.Key())
		if err != nil {
			return err
		}
		part := newPartition(p)
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
		if part.lastMS, err = recordTime(p, last, value); err != nil {
			return err
		}
		part.first, part.committed, part.next = first, last+1, last+1
		part.committedMS, part.any = part.lastMS, true
		l.parts[part.Partition] = part
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
		part := l.partitionLocked(p)
		if part.any && part.next < m.next {
			return fmt.Errorf("partition %v: events %d to %d are missing", p, part.next, m.next-1)
		}
		if !part.any { // retention has emptied it
			part.first, part.committed, part.next = m.next, m.next, m.next
		}
		part.lastMS = max(part.lastMS, m.lastMS)
		part.committedMS, part.any = part.lastMS, true
	}
	return it.Error()
}
