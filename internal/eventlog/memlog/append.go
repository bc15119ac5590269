package memlog

import (
	"bytes"
	"context"

	"github.com/hubward/hubward/internal/hub"
)

// producer implements hub.Producer.
type producer struct {
	log     *Log
	part    *partition
	done    func(n int, err error)
	invalid error // the partition cannot exist

	// Guarded by Log.mu.
	round uint64 // the round that share belongs to
	share int    // index in gathering.shares
}

// gathering is what waits for the committer.
type gathering struct {
	parts  []*partition
	shares []share
	bytes  int
}

// share is the part of one producer in one commit.
type share struct {
	p   *producer
	n   int
	err error
}

// Producer implements hub.EventLog.
func (l *Log) Producer(p hub.Partition, done func(n int, err error)) hub.Producer {
	if done == nil {
		done = func(int, error) {}
	}
	if err := checkPartition(p); err != nil {
		return &producer{log: l, invalid: err}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return &producer{log: l, part: l.partitionLocked(p), done: done}
}

// Append implements hub.Producer. Errors: CodeServiceUnavailable when the log is closed, CodeNoSuchHub when the hub was
// dropped since Producer, ctx's error.
func (p *producer) Append(ctx context.Context, data []byte) error {
	if p.invalid != nil {
		return p.invalid
	}
	l := p.log
	now := l.opts.Now().UnixMilli()
	l.mu.Lock()
	for l.gather.bytes >= l.opts.MaxGatheredBytes && p.refusalLocked() == nil {
		room := l.roomLocked()
		l.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
		now = l.opts.Now().UnixMilli()
		l.mu.Lock()
	}
	if err := p.refusalLocked(); err != nil {
		l.mu.Unlock()
		return err
	}
	l.addLocked(p, now, data)
	l.mu.Unlock()
	l.work.Signal()
	return nil
}

func (p *producer) refusalLocked() error {
	if p.log.closed {
		return errClosed
	}
	if p.part.dropped {
		return droppedError(p.part.Hub)
	}
	return nil
}

func (l *Log) roomLocked() <-chan struct{} {
	if l.room == nil {
		l.room = make(chan struct{})
	}
	return l.room
}

func (l *Log) addLocked(p *producer, now int64, data []byte) {
	part := p.part
	part.last = max(now, part.last) // I3
	part.events = append(part.events, record{ms: part.last, data: bytes.Clone(data)})
	if !part.dirty {
		part.dirty = true
		l.gather.parts = append(l.gather.parts, part)
	}
	l.gather.bytes += len(data) + eventOverhead
	if p.round != l.round {
		p.round, p.share = l.round, len(l.gather.shares)
		l.gather.shares = append(l.gather.shares, share{p: p})
	}
	l.gather.shares[p.share].n++
}

// commitAll is the committer.
func (l *Log) commitAll() {
	var spare gathering
	for {
		l.mu.Lock()
		for len(l.gather.shares) == 0 && !l.closed {
			l.work.Wait()
		}
		work := l.gather
		l.gather = spare
		l.round++
		wake := l.publishLocked(&work)
		l.mu.Unlock()
		closeAll(wake)
		if len(work.shares) == 0 {
			return
		}
		for _, s := range work.shares {
			s.p.done(s.n, s.err)
		}
		clear(work.parts)
		clear(work.shares)
		spare = gathering{parts: work.parts[:0], shares: work.shares[:0]}
	}
}

// publishLocked makes what has gathered visible. It returns the channels of those who wait for it.
func (l *Log) publishLocked(work *gathering) (wake []chan struct{}) {
	if l.room != nil {
		wake = append(wake, l.room)
		l.room = nil
	}
	for _, part := range work.parts {
		part.dirty = false
		if part.dropped {
			continue
		}
		for _, e := range part.events[part.committed-part.first:] {
			part.bytes += len(e.data) + eventOverhead
			l.bytes += len(e.data) + eventOverhead
		}
		part.committed, part.lastKnown, part.any = part.next(), part.last, true
		wake = part.takeWaitingLocked(wake)
	}
	for i, s := range work.shares {
		if s.p.part.dropped {
			work.shares[i].err = droppedError(s.p.part.Hub)
		}
	}
	l.evictLocked()
	return wake
}

// evictLocked deletes events until the log is within its bound.
func (l *Log) evictLocked() {
	for l.bytes > l.opts.MaxBytes {
		var fullest *partition
		for _, part := range l.parts {
			if fullest == nil || part.bytes > fullest.bytes {
				fullest = part
			}
		}
		if fullest.committed-fullest.first <= 1 {
			return
		}
		l.cutLocked(fullest, fullest.first+1)
	}
}

// cutLocked deletes the events of part below sequence number cut, all of them committed.
func (l *Log) cutLocked(part *partition, cut int64) {
	old := part.events[:cut-part.first]
	for _, e := range old {
		part.bytes -= len(e.data) + eventOverhead
		l.bytes -= len(e.data) + eventOverhead
	}
	clear(old)
	part.events = part.events[len(old):]
	part.first = cut
}
