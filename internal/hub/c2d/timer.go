package c2d

import (
	"context"
	"sync"
	"time"
)

// MaxSleep is the longest that a Timer sleeps: by then it notices a clock that was set forward, and what nobody told it.
const MaxSleep = 30 * time.Second

// Timer wakes one goroutine at the earliest time that others have set since it last began to look.
type Timer struct {
	now     func() time.Time
	earlier chan struct{} // at is earlier than it was; holds one

	mu sync.Mutex
	at time.Time // guarded by mu; zero: never
}

// NewTimer makes a timer that goes by a clock.
func NewTimer(now func() time.Time) *Timer { return &Timer{now: now, earlier: make(chan struct{}, 1)} }

// Set makes the timer wake at t at the latest; zero changes nothing.
func (t *Timer) Set(at time.Time) {
	if at.IsZero() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.at.IsZero() && !at.Before(t.at) {
		return
	}
	t.at = at
	select {
	case t.earlier <- struct{}{}:
	default:
	}
}

// Reset forgets what was set. It comes before looking up what is due: what is set from then on may be news.
func (t *Timer) Reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.at = time.Time{}
}

func (t *Timer) left() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.at.IsZero() {
		return MaxSleep
	}
	return min(max(t.at.Sub(t.now()), 0), MaxSleep)
}

// Wait returns true when it is time, or after MaxSleep, and false when ctx has ended.
func (t *Timer) Wait(ctx context.Context) bool {
	deadline := t.now().Add(MaxSleep)
	for ctx.Err() == nil {
		d := min(t.left(), max(deadline.Sub(t.now()), 0))
		if d == 0 {
			return true
		}
		timer := time.NewTimer(d)
		select {
		case <-timer.C:
		case <-t.earlier:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return false
}
