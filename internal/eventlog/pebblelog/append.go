package pebblelog

import (
	"context"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// maxEvent bounds one event, in bytes. The hub's own limit is far below.
const maxEvent = 64 << 20

// producer implements hub.Producer.
type producer struct {
	// Set by Producer, never changed after.
	log     *Log
	part    *partition
	done    func(n int, err error)
	invalid error // the partition cannot exist

	// Guarded by Log.mu.
	round uint64 // the round that share belongs to
	share int    // index in gathering.shares
}

// gathering is what waits for the next commit.
type gathering struct {
	chunks []*chunk // one for each partition that has new events
	shares []share  // one for each producer that has new events
	ops    []*op
	bytes  int
}

// share is the part of one producer in one commit.
type share struct {
	p   *producer
	n   int
	err error
}

func (g *gathering) empty() bool { return len(g.shares) == 0 && len(g.ops) == 0 }

// maxKeptShares is the capacity up to which a gathering keeps its lists when they are far from full.
const maxKeptShares = 1024

// reset empties g for reuse.
func (g *gathering) reset() {
	if cap(g.shares) > maxKeptShares && len(g.shares) < cap(g.shares)/8 {
		g.shares = nil
	}
	clear(g.chunks)
	clear(g.shares)
	clear(g.ops)
	*g = gathering{chunks: g.chunks[:0], shares: g.shares[:0], ops: g.ops[:0]}
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

// Append implements hub.Producer. Errors: CodeServiceUnavailable when the log is closed or has failed, CodeNoSuchHub
// when the hub was dropped since Producer, CodeMessageTooLarge above 64 MiB, ctx's error.
func (p *producer) Append(ctx context.Context, data []byte) error {
	if p.invalid != nil {
		return p.invalid
	}
	if len(data) > maxEvent {
		return hubward.Errorf(hubward.CodeMessageTooLarge, "event of %d bytes", len(data))
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
	wake := l.idle
	l.idle = false
	l.mu.Unlock()
	if wake {
		l.work.Signal()
	}
	return nil
}

// refusalLocked says why p may not append; nil when it may.
func (p *producer) refusalLocked() error {
	if p.part.dropped {
		return droppedError(p.part.Hub)
	}
	return p.log.refusalLocked()
}

func droppedError(name string) error {
	return hubward.Errorf(hubward.CodeNoSuchHub, "hub %s was deleted", name)
}

// roomLocked returns a channel that is closed when the committer takes what has gathered.
func (l *Log) roomLocked() <-chan struct{} {
	if l.room == nil {
		l.room = make(chan struct{})
	}
	return l.room
}

// addLocked puts an event into its partition's gathering chunk.
func (l *Log) addLocked(p *producer, now int64, data []byte) {
	part := p.part
	c := part.gathering
	if c == nil {
		c = l.chunks.get(part.usual)
		c.part, c.first = part, part.next
		part.gathering = c
		l.gather.chunks = append(l.gather.chunks, c)
	}
	part.lastMS = max(now, part.lastMS) // I3
	c.add(part.lastMS, data)
	part.next++
	l.gather.bytes += len(data) + eventOverhead
	if p.round != l.round {
		p.round, p.share = l.round, len(l.gather.shares)
		l.gather.shares = append(l.gather.shares, share{p: p})
	}
	l.gather.shares[p.share].n++
}
