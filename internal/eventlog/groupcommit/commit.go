package groupcommit

import "runtime"

// round is what gathers, and then shares one commit.
type round[S any] struct {
	parts  []*Partition[S] // those that have new events
	shares []share[S]      // one for each producer that has new events
	bytes  int
}

// share is the part of one producer in a round.
type share[S any] struct {
	p   *producer[S]
	n   int
	err error
}

// maxKeptShares is the capacity up to which a round keeps its lists when they are far from full.
const maxKeptShares = 1024

// reset empties r for reuse.
func (r *round[S]) reset() {
	if cap(r.shares) > maxKeptShares && len(r.shares) < cap(r.shares)/8 {
		r.shares = nil
	}
	clear(r.parts)
	clear(r.shares)
	*r = round[S]{parts: r.parts[:0], shares: r.shares[:0]}
}

// commitAll is the committer: it commits round after round, until the log is closed and nothing is left.
func (l *Log[S]) commitAll() {
	var taken, spare round[S]
	for l.take(&taken, spare) {
		l.engine.Commit(taken.parts)
		l.publish(&taken)
		for _, s := range taken.shares {
			s.p.done(s.n, s.err)
		}
		taken.reset()
		spare = taken
	}
}

// take waits until there is something to commit and moves it to taken; spare gathers from now on. It returns false when
// the log is closed and nothing is left.
func (l *Log[S]) take(taken *round[S], spare round[S]) bool {
	l.mu.Lock()
	for len(l.gather.shares) == 0 && !l.requested && !l.closed {
		l.idle = true
		l.work.Wait()
	}
	l.idle = false
	l.mu.Unlock()
	// Connections that have something to append and are ready to run go first: they share this commit instead of waiting
	// for the next one. With one message in flight per connection that costs a tenth less CPU per message.
	runtime.Gosched()
	l.mu.Lock()
	*taken, l.gather = l.gather, spare
	more := len(taken.shares) > 0 || l.requested
	l.requested = false
	l.number++
	taken.parts = begin(taken.parts)
	l.engine.Take(taken.parts)
	l.wake = l.room.take(l.wake)
	l.mu.Unlock()
	l.wakeAll()
	return more
}

// begin makes what has gathered of parts their part of a round. It leaves out those of hubs that are gone: the deletion
// of their keys may be in this very commit.
func begin[S any](parts []*Partition[S]) []*Partition[S] {
	kept := parts[:0]
	for _, part := range parts {
		if part.dropped {
			continue
		}
		part.Taken, part.takenMS, part.Err = part.gathered, part.clock, nil
		part.gathered = 0
		kept = append(kept, part)
	}
	clear(parts[len(kept):])
	return kept
}

// publish makes the events of a round visible and wakes everyone who waits for them.
func (l *Log[S]) publish(taken *round[S]) {
	l.mu.Lock()
	durable := taken.parts[:0]
	for _, part := range taken.parts {
		if part.Err != nil || part.dropped {
			continue
		}
		part.Committed += int64(part.Taken)
		part.newest, part.any = part.takenMS, true
		l.wake = part.news.take(l.wake)
		durable = append(durable, part)
	}
	l.engine.Publish(durable)
	for i := range taken.shares {
		s := &taken.shares[i]
		s.err = s.p.part.Err
		if s.p.part.dropped {
			s.err = droppedError()
		}
	}
	l.mu.Unlock()
	l.wakeAll()
}

func (l *Log[S]) wakeAll() {
	closeAll(l.wake)
	clear(l.wake)
	l.wake = l.wake[:0]
}
