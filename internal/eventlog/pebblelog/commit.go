package pebblelog

import (
	"encoding/binary"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// addLocked puts an event into its partition's gathering chunk.
func (l *Log) addLocked(part *partition, ms int64, data []byte) {
	s := &part.State
	if s.gathering == nil {
		s.gathering = l.chunks.get(s.usual)
	}
	s.gathering.add(ms, data)
}

// takeLocked begins a round.
func (l *Log) takeLocked(parts []*partition) {
	for _, part := range parts {
		s := &part.State
		s.taken, s.gathering = s.gathering, nil
		s.taken.first = part.Committed
		s.usual = max(len(s.taken.buf), s.usual-s.usual/16)
	}
	l.taken, l.ops = l.ops, nil
}

// commit makes a round durable, or says why that is not known: of the events, and of the operations.
func (l *Log) commit(parts []*partition) {
	err := l.write(parts)
	for _, part := range parts {
		part.Err = err
	}
	for _, o := range l.taken {
		o.done <- err
	}
	l.taken = nil
}

// write writes a round as one batch with one sync.
func (l *Log) write(parts []*partition) error {
	l.awaitPebble()
	if err := l.refusal(); err != nil {
		return err
	}
	start := time.Now()
	events, err := l.fill(parts)
	if err == nil && !l.batch.Empty() {
		err = l.batch.Commit(pebble.Sync)
	}
	if err != nil {
		l.guard.fail(err)
	}
	// The guard, not Pebble, says whether the commit reached the disk.
	if err := l.refusal(); err != nil {
		return err
	}
	l.batch.Reset()
	if events > 0 {
		l.count.commits.Add(1)
		l.count.events.Add(uint64(events))
		l.opts.Committed(time.Since(start))
	}
	return nil
}

// fill writes a round into the batch: the operations first, then the events, partition after partition.
func (l *Log) fill(parts []*partition) (events int, err error) {
	for _, o := range l.taken {
		if err := o.write(l.batch); err != nil {
			return 0, err
		}
	}
	for _, part := range parts {
		c, prefix := part.State.taken, part.State.prefix
		events += c.count
		rest := c.buf
		var record []byte
		for i := range c.count {
			record, rest = cutFrame(rest)
			set := l.batch.SetDeferred(len(prefix)+8, len(record))
			copy(set.Key, prefix)
			binary.BigEndian.PutUint64(set.Key[len(prefix):], uint64(c.first)+uint64(i))
			copy(set.Value, record)
			if err := set.Finish(); err != nil {
				return 0, err
			}
		}
	}
	return events, nil
}

// publishLocked keeps the events of a round in memory, for readers that follow. Chunks of what failed or was dropped go
// to the garbage collector.
func (l *Log) publishLocked(parts []*partition) {
	for _, part := range parts {
		s := &part.State
		s.keepLocked(s.taken, &l.chunks)
		s.taken = nil
	}
}

// awaitPebble waits while Pebble has too much to flush or to compact, so that Pebble never has to block the commit. It
// looks only after something has changed. A failing log does not wait.
func (l *Log) awaitPebble() {
	for l.guard.failure() == nil && l.pressed.CompareAndSwap(true, false) {
		m := l.db.Metrics()
		// What is damaged cannot be compacted: its table stays where it is, and the others go on above it.
		if m.MemTable.Size < maxMemTables*memTableSize && (m.Levels[0].Sublevels < maxSublevels || l.damages.any()) {
			return
		}
		<-l.relief
		l.pressed.Store(true)
	}
}

// relieve makes the committer look at Pebble before its next commit, or now if it waits.
func (l *Log) relieve() {
	l.pressed.Store(true)
	select {
	case l.relief <- struct{}{}:
	default:
	}
}

// listener hears what Pebble does in the background.
func (l *Log) listener() *pebble.EventListener {
	return &pebble.EventListener{
		WALCreated:      func(pebble.WALCreateInfo) { l.pressed.Store(true) }, // with each new memory table
		FlushEnd:        func(pebble.FlushInfo) { l.relieve() },
		CompactionEnd:   func(pebble.CompactionInfo) { l.relieve() },
		BackgroundError: l.backgroundFailed,
		DataCorruption:  l.corrupt,
	}
}

// backgroundFailed hears of a flush or a compaction that failed. Pebble starts it again as soon as this returns.
func (l *Log) backgroundFailed(err error) {
	if l.guard.failure() != nil {
		l.guard.pause()
		return
	}
	if pebble.IsCorruptionError(err) {
		l.guard.rest() // corrupt has heard of it
		return
	}
	l.opts.Logger.Warn("event log: background work failed", "error", plain(err))
}
