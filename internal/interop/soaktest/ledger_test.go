//go:build soak

package soaktest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
)

// ledger remembers what was seen of a partition, whoever saw it first.
type ledger struct {
	partition int
	target    atomic.Int64 // how many events there are, once ended is closed
	ended     chan struct{}

	mu      sync.Mutex
	entries []entry // the index is the sequence number
}

// entry is what must be the same for everybody.
type entry struct {
	device string
	number int
	size   int
}

// note checks S3.
func (l *ledger) note(sequence int64, e entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch n := int64(len(l.entries)); {
	case sequence == n:
		l.entries = append(l.entries, e)
	case sequence > n: // every reader begins at 0 and leaves nothing out
		return fmt.Errorf("S2: event %d of partition %d is shown, and nobody saw event %d", sequence, l.partition, n)
	case l.entries[sequence] != e:
		return fmt.Errorf("S3: event %d of partition %d is %v for one reader and %v for another", sequence, l.partition, l.entries[sequence], e)
	}
	return nil
}

// complete reports whether next is behind the last event there will ever be.
func (l *ledger) complete(next int64) bool { return l.hasEnded() && next >= l.target.Load() }

// hasEnded reports whether nothing more will be sent.
func (l *ledger) hasEnded() bool {
	select {
	case <-l.ended:
		return true
	default:
		return false
	}
}

// bound returns a context that ends with ctx, or when nothing more will be sent; if that is so already, with ctx only.
func (l *ledger) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	if l.hasEnded() {
		return ctx, cancel
	}
	go func() {
		select {
		case <-l.ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}
