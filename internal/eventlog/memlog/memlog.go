// Package memlog is the event log in memory: hub.EventLog with the same rules as the durable one, for tests, for
// demonstrations, and wherever events may be lost with the process. "Durable" means here: taken over by the committer of
// groupcommit, so done never runs inside Append, when the producer's caller may hold locks of its own.
//
// It is bounded. When the committed events outgrow Options.MaxBytes, the oldest events of the partition that holds the
// most bytes are deleted, as by a Trim, until they fit. The newest event of a partition always stays.
//
// Log.mu guards everything and is a leaf: no callback or channel operation happens under it.
package memlog

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/hubward/hubward/internal/eventlog/groupcommit"
	"github.com/hubward/hubward/internal/hub"
)

var _ hub.EventLog = (*Log)(nil)

// Options say how to open a log. The zero value of each field is its default.
type Options struct {
	Now func() time.Time // nil: time.Now
	// MaxBytes bounds the committed events, in bytes; each counts with its length plus eventOverhead. Zero: 64 MiB.
	MaxBytes int
	// MaxGatheredBytes bounds the events that wait for the committer; Append blocks above it. Zero: 8 MiB.
	MaxGatheredBytes int
}

const (
	defaultMaxBytes         = 64 << 20
	defaultMaxGatheredBytes = 8 << 20
	eventOverhead           = 64
)

// Log is an event log in memory. It is safe for concurrent use.
type Log struct {
	group    *groupcommit.Log[state]
	maxBytes int

	mu    sync.Mutex // guards bytes, group, and its partitions
	bytes int        // of all committed events
}

type (
	partition = groupcommit.Partition[state]
	view      = groupcommit.View[state]
)

// state is what the log holds of one partition.
type state struct {
	events []record // from the partition's First on, also those that are not committed yet
	bytes  int      // of the committed events
}

type record struct {
	ms   int64
	data []byte
}

func (r record) size() int { return len(r.data) + eventOverhead }

// Open returns an empty log. The caller closes it.
func Open(o Options) *Log {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = defaultMaxBytes
	}
	if o.MaxGatheredBytes <= 0 {
		o.MaxGatheredBytes = defaultMaxGatheredBytes
	}
	l := &Log{maxBytes: o.MaxBytes}
	l.group = groupcommit.New(&l.mu, groupcommit.Engine[state]{
		Now: o.Now, MaxBytes: o.MaxGatheredBytes, Overhead: eventOverhead,
		Add: addLocked, Publish: l.publishLocked,
	})
	l.group.Start()
	return l
}

// Close commits what has gathered and ends the committer. What the log holds is gone. It may be called more than once.
func (l *Log) Close() error {
	l.group.Close()
	return nil
}

// Hubs implements hub.EventLog.
func (l *Log) Hubs(ctx context.Context) ([]string, error) { return l.group.Hubs(ctx) }

// Failed implements hub.EventLog: memory does not fail.
func (l *Log) Failed() <-chan struct{} { return nil }

// Damage implements hub.EventLog: there is none in memory.
func (l *Log) Damage() []*hub.DamageError { return nil }

// Ping implements hub.EventLog.
func (l *Log) Ping(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.group.RefusalLocked(); err != nil {
		return err
	}
	return ctx.Err()
}

// Producer implements hub.EventLog.
func (l *Log) Producer(p hub.Partition, done func(n int, err error)) hub.Producer {
	return l.group.Producer(p, done)
}

func addLocked(part *partition, ms int64, data []byte) {
	part.State.events = append(part.State.events, record{ms: ms, data: bytes.Clone(data)})
}

// publishLocked counts the events of a round, and deletes others until the log is within its bound.
func (l *Log) publishLocked(parts []*partition) {
	for _, part := range parts {
		end := part.Committed - part.First
		for _, e := range part.State.events[end-int64(part.Taken) : end] {
			part.State.bytes += e.size()
			l.bytes += e.size()
		}
	}
	for l.bytes > l.maxBytes {
		var fullest *partition
		for part := range l.group.PartitionsLocked() {
			if fullest == nil || part.State.bytes > fullest.State.bytes {
				fullest = part
			}
		}
		if fullest.Committed-fullest.First <= 1 {
			return
		}
		l.cutLocked(fullest, fullest.First+1)
	}
}

// cutLocked deletes the events of part below sequence number cut, all of them committed.
func (l *Log) cutLocked(part *partition, cut int64) {
	s := &part.State
	old := s.events[:cut-part.First]
	for _, e := range old {
		s.bytes -= e.size()
		l.bytes -= e.size()
	}
	clear(old)
	s.events = s.events[len(old):]
	part.First = cut
}

// Bounds implements hub.EventLog.
func (l *Log) Bounds(ctx context.Context, p hub.Partition) (hub.Bounds, error) {
	return l.group.Bounds(ctx, p)
}

// Wait implements hub.EventLog.
func (l *Log) Wait(ctx context.Context, p hub.Partition, from int64) error {
	return l.group.Wait(ctx, p, from)
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
	seen, err := l.group.ViewLocked(ctx, p)
	if err != nil {
		return from, 0, err
	}
	from = max(from, seen.First)
	if from >= seen.Next {
		return from, 0, nil
	}
	return from, copy(to, seen.Part.State.events[from-seen.First:seen.Next-seen.First]), nil
}

// Seek implements hub.EventLog.
func (l *Log) Seek(ctx context.Context, p hub.Partition, t time.Time) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, at, err := l.seekLocked(ctx, p, t)
	return at, err
}

func (l *Log) seekLocked(ctx context.Context, p hub.Partition, t time.Time) (seen view, at int64, err error) {
	if seen, err = l.group.ViewLocked(ctx, p); err != nil {
		return seen, 0, err
	}
	at, err = seen.Seek(t, func(sequence int64) (int64, error) {
		return seen.Part.State.events[sequence-seen.First].ms, nil
	})
	return seen, at, err
}

// Trim implements hub.EventLog.
func (l *Log) Trim(ctx context.Context, p hub.Partition, t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen, cut, err := l.seekLocked(ctx, p, t)
	if err != nil || seen.Part == nil {
		return err
	}
	l.cutLocked(seen.Part, cut)
	return nil
}

// Drop implements hub.EventLog. Producers of the hub fail from then on; a hub of the same name starts with nothing.
func (l *Log) Drop(ctx context.Context, name string) error {
	return l.group.Drop(ctx, name, func(gone []*partition) {
		for _, part := range gone {
			l.bytes -= part.State.bytes
			part.State = state{}
		}
	})
}
