package groupcommit

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// Engine is what a log adds to the shared half. S is what the engine knows of a partition. A function that is nil does
// nothing; Now and Add are needed.
type Engine[S any] struct {
	Now      func() time.Time
	MaxBytes int // bounds what gathers
	Overhead int // what an event counts besides its data, in bytes

	// NewState begins a partition's state. Locked.
	NewState func(hub.Partition) S
	// Refusal says why the engine takes no events; nil when it does. Locked.
	Refusal func() error
	// Add puts an event behind those that gather of its partition, and copies data. Locked.
	Add func(part *Partition[S], ms int64, data []byte)
	// Take hears what a round holds: of each of parts all events that have gathered, Taken of them, numbered from Committed
	// on. What Add adds from now on belongs to the next round. Locked.
	Take func(parts []*Partition[S])
	// Commit makes the round durable, and sets the Err of those of parts for which that is not known. The next round of
	// such a partition has the same numbers, unless the engine finds out what is stored and restores that. Not locked.
	Commit func(parts []*Partition[S])
	// Publish hears which partitions have got Taken more committed events. Locked.
	Publish func(parts []*Partition[S])
}

// Log is the shared half of an event log. It is safe for concurrent use; methods whose names end in Locked are called
// under the mutex.
type Log[S any] struct {
	engine    Engine[S]
	committer sync.WaitGroup
	wake      []chan struct{} // touched only by the committer: room for the channels it closes

	mu        *sync.Mutex // the engine's; guards the fields below, and those of partitions and producers
	work      sync.Cond   // on mu: the committer sleeps here
	idle      bool        // the committer sleeps
	requested bool        // a round is wanted even if it has no events
	closed    bool
	parts     map[hub.Partition]*Partition[S]
	gather    round[S]
	number    uint64 // of the round that gathers, from 1; a producer's share belongs to one round
	room      notice // of the next take
	start     int64  // the first sequence number of new partitions
}

// New returns a log that uses the engine's mutex. Until Start, nothing is committed.
func New[S any](mu *sync.Mutex, e Engine[S]) *Log[S] {
	if e.NewState == nil {
		e.NewState = func(hub.Partition) (zero S) { return zero }
	}
	if e.Refusal == nil {
		e.Refusal = func() error { return nil }
	}
	for _, step := range []*func([]*Partition[S]){&e.Take, &e.Commit, &e.Publish} {
		if *step == nil {
			*step = func([]*Partition[S]) {}
		}
	}
	l := &Log[S]{engine: e, mu: mu, parts: map[hub.Partition]*Partition[S]{}, number: 1}
	l.work.L = mu
	return l
}

// Start starts the committer. Close ends it.
func (l *Log[S]) Start() { l.committer.Go(l.commitAll) }

// Close commits what has gathered and ends the committer and all waiting. It may be called more than once.
func (l *Log[S]) Close() {
	var wake []chan struct{}
	l.mu.Lock()
	l.closed = true
	for _, part := range l.parts {
		wake = part.news.take(wake)
	}
	l.work.Signal()
	l.mu.Unlock()
	closeAll(wake)
	l.committer.Wait()
}

// Drop ends the partitions of a hub: their producers and all waiting for their events. Partitions of the same names are
// new ones from then on. forget hears what is gone, locked.
func (l *Log[S]) Drop(ctx context.Context, name string, forget func(gone []*Partition[S])) error {
	if err := errors.Join(ctx.Err(), checkHub(name)); err != nil {
		return err
	}
	l.mu.Lock()
	if err := l.RefusalLocked(); err != nil {
		l.mu.Unlock()
		return err
	}
	var gone []*Partition[S]
	wake := l.room.take(nil) // producers of the hub may be among those who wait for room
	for p, part := range l.parts {
		if p.Hub != name {
			continue
		}
		part.dropped, part.First = true, part.Committed
		wake = part.news.take(wake)
		gone = append(gone, part)
		delete(l.parts, p)
	}
	forget(gone)
	l.mu.Unlock()
	closeAll(wake)
	return nil
}

// RequestLocked asks for a round, whether or not events gather: the engine has something else to commit.
func (l *Log[S]) RequestLocked() {
	l.requested = true
	l.work.Signal()
}

// RefusalLocked says why the log takes no writes; nil when it does.
func (l *Log[S]) RefusalLocked() error {
	if err := l.engine.Refusal(); err != nil {
		return err
	}
	if l.closed {
		return errClosed
	}
	return nil
}

// PartitionLocked returns what is known of p, beginning it if need be. Its error is CodeArgumentInvalid: p cannot exist.
func (l *Log[S]) PartitionLocked(p hub.Partition) (*Partition[S], error) {
	if part, ok := l.parts[p]; ok {
		return part, nil
	}
	if err := checkPartition(p); err != nil {
		return nil, err
	}
	part := newPartition(p, l.engine.NewState)
	part.First, part.Committed = l.start, l.start
	l.parts[part.Partition] = part
	return part, nil
}

// Hubs is hub.EventLog's.
func (l *Log[S]) Hubs(ctx context.Context) ([]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, errClosed
	}
	names := make(map[string]bool)
	for p, part := range l.parts {
		if part.any {
			names[p.Hub] = true
		}
	}
	return slices.Sorted(maps.Keys(names)), ctx.Err()
}

// StartLocked has partitions of which nothing is known begin with a sequence number. It comes before all use of the log.
func (l *Log[S]) StartLocked(at int64) { l.start = at }

// PartitionsLocked returns the partitions of which something is known, in no order.
func (l *Log[S]) PartitionsLocked() iter.Seq[*Partition[S]] { return maps.Values(l.parts) }

var errClosed error = hubward.Errorf(hubward.CodeServiceUnavailable, "the event log is closed")

func droppedError() error {
	return hubward.Errorf(hubward.CodeNoSuchHub, "the hub was deleted")
}
