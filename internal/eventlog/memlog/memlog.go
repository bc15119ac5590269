// Package memlog is the event log in memory: hub.EventLog with the same rules as the durable one, for tests, for
// demonstrations, and wherever events may be lost with the process. "Durable" means here: taken over by the committer.
//
// It is bounded. When the committed events outgrow Options.MaxBytes, the oldest events of the partition that holds the
// most bytes are deleted, as by a Trim, until they fit. The newest event of a partition always stays.
//
// One goroutine, the committer, makes what has gathered visible and calls the producers back, so done never runs inside
// Append, when the producer's caller may hold locks of its own. Log.mu guards everything and is a leaf: no callback or
// channel operation happens under it.
package memlog

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/hubward/hubward"
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
	maxPartition            = 1<<16 - 1
)

// Log is an event log in memory. It is safe for concurrent use.
type Log struct {
	opts      Options
	committer sync.WaitGroup

	mu     sync.Mutex // guards the fields below, and those of partitions and producers
	work   sync.Cond  // on mu: the committer sleeps here
	closed bool
	parts  map[hub.Partition]*partition
	bytes  int // of all committed events
	gather gathering
	round  uint64        // counts swaps of gather, from 1
	room   chan struct{} // closed at the next swap; nil while nobody waits for room
}

// partition is what the log holds of one partition.
type partition struct {
	hub.Partition
	events    []record // from first on; those at or above committed are not visible yet
	first     int64
	committed int64
	bytes     int // of the committed events
	last      int64
	lastKnown int64 // enqueued time of the newest committed event
	any       bool  // an event was ever committed
	dirty     bool  // in gathering.parts
	dropped   bool
	waiting   chan struct{} // closed when something changes; nil while nobody waits
}

type record struct {
	ms   int64
	data []byte
}

func (p *partition) next() int64 { return p.first + int64(len(p.events)) }

// takeWaitingLocked appends the channel that p's waiters listen on, if there are any.
func (p *partition) takeWaitingLocked(to []chan struct{}) []chan struct{} {
	if p.waiting != nil {
		to = append(to, p.waiting)
		p.waiting = nil
	}
	return to
}

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
	l := &Log{opts: o, parts: map[hub.Partition]*partition{}, round: 1}
	l.work.L = &l.mu
	l.committer.Go(l.commitAll)
	return l
}

// Close commits what has gathered and ends the committer. What the log holds is gone. It may be called more than once.
func (l *Log) Close() error {
	l.mu.Lock()
	l.closed = true
	var waiting []chan struct{}
	for _, part := range l.parts {
		waiting = part.takeWaitingLocked(waiting)
	}
	l.mu.Unlock()
	closeAll(waiting)
	l.work.Signal()
	l.committer.Wait()
	return nil
}

var errClosed error = hubward.Errorf(hubward.CodeServiceUnavailable, "the event log is closed")

func droppedError(name string) error {
	return hubward.Errorf(hubward.CodeNoSuchHub, "hub %s was deleted", name)
}

// Ping implements hub.EventLog.
func (l *Log) Ping(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return errClosed
	}
	return ctx.Err()
}

// checkPartition holds partitions to what the durable log can store.
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

func (l *Log) partitionLocked(p hub.Partition) *partition {
	part, ok := l.parts[p]
	if !ok {
		part = &partition{Partition: p}
		l.parts[p] = part
	}
	return part
}

func closeAll(channels []chan struct{}) {
	for _, c := range channels {
		close(c)
	}
}
