package groupcommit

import (
	"context"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// maxEvent bounds one event, in bytes. The hub's own limit is far below.
const maxEvent = 64 << 20

// producer implements hub.Producer.
type producer[S any] struct {
	// Set by Producer, never changed after.
	log     *Log[S]
	part    *Partition[S]
	done    func(n int, err error)
	invalid error // the partition cannot exist

	// Guarded by the log's mutex.
	round uint64 // the round that share belongs to
	share int    // index in round.shares
}

// Producer is hub.EventLog's. Errors of its Append: the engine's refusal, CodeServiceUnavailable when the log is closed,
// CodeNoSuchHub when the hub was dropped since, CodeMessageTooLarge above 64 MiB, ctx's error.
func (l *Log[S]) Producer(p hub.Partition, done func(n int, err error)) hub.Producer {
	if done == nil {
		done = func(int, error) {}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	part, err := l.PartitionLocked(p)
	return &producer[S]{log: l, part: part, done: done, invalid: err}
}

// Append implements hub.Producer.
func (p *producer[S]) Append(ctx context.Context, data []byte) error {
	if p.invalid != nil {
		return p.invalid
	}
	if len(data) > maxEvent {
		return hubward.Errorf(hubward.CodeMessageTooLarge, "event of %d bytes", len(data))
	}
	l := p.log
	now := l.engine.Now().UnixMilli()
	l.mu.Lock()
	for l.gather.bytes >= l.engine.MaxBytes && p.refusalLocked() == nil {
		room := l.room.listen()
		l.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
		now = l.engine.Now().UnixMilli()
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
func (p *producer[S]) refusalLocked() error {
	if p.part.dropped {
		return droppedError()
	}
	return p.log.RefusalLocked()
}

// addLocked has an event gather.
func (l *Log[S]) addLocked(p *producer[S], now int64, data []byte) {
	part := p.part
	if part.gathered == 0 {
		l.gather.parts = append(l.gather.parts, part)
	}
	part.gathered++
	part.clock = max(now, part.clock) // I3
	l.engine.Add(part, part.clock, data)
	l.gather.bytes += len(data) + l.engine.Overhead
	if p.round != l.number {
		p.round, p.share = l.number, len(l.gather.shares)
		l.gather.shares = append(l.gather.shares, share[S]{p: p})
	}
	l.gather.shares[p.share].n++
}
