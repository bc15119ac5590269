package hub

import (
	"context"
	"sync"
	"time"

	"github.com/hubward/hubward/internal/hub/c2dqueue"
)

// Bounds of the sweep.
const (
	maxSwept   = 256         // queues in one transaction
	maxAlarm   = time.Minute // the longest sleep: a clock that was set forward is noticed by then
	sweepRetry = time.Second
)

// alarm is a clock for one goroutine that others set: it rings at the earliest time that was set since it last began to
// wait.
type alarm struct {
	earlier chan struct{} // at is earlier than it was; holds one

	mu sync.Mutex
	at time.Time // guarded by mu; zero: never
}

func newAlarm() *alarm { return &alarm{earlier: make(chan struct{}, 1)} }

// set makes the alarm ring at t at the latest; zero changes nothing.
func (a *alarm) set(t time.Time) {
	if t.IsZero() {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.at.IsZero() && !t.Before(a.at) {
		return
	}
	a.at = t
	select {
	case a.earlier <- struct{}{}:
	default:
	}
}

// reset forgets what was set. It comes before looking up what is due: what is set from then on may be news.
func (a *alarm) reset() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at = time.Time{}
}

// left returns how long the goroutine may sleep.
func (a *alarm) left(now time.Time) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.at.IsZero() {
		return maxAlarm
	}
	return min(max(a.at.Sub(now), 0), maxAlarm)
}

// wait returns when it is time, and false when ctx has ended.
func (a *alarm) wait(ctx context.Context, now func() time.Time) bool {
	for ctx.Err() == nil {
		d := a.left(now())
		if d == 0 {
			return true
		}
		t := time.NewTimer(d)
		select {
		case <-t.C:
		case <-a.earlier:
		case <-ctx.Done():
		}
		t.Stop()
	}
	return false
}

// sweepC2DUntil ends locks and messages at their time, until ctx ends. What is due stands in the store: a restart forgets
// nothing.
func (h *Hub) sweepC2DUntil(ctx context.Context) {
	a := h.c2d.alarm
	for {
		a.reset()
		next, err := h.sweepC2D(ctx)
		if err != nil {
			next = h.now().Add(sweepRetry)
			if ctx.Err() == nil {
				h.logger.Error("messages to devices: locks and expiries are late", "error", err)
			}
		}
		a.set(next)
		if !a.wait(ctx, h.now) {
			return
		}
	}
}

// sweepC2D tidies all queues in which something is due, and returns when the next one is.
func (h *Hub) sweepC2D(ctx context.Context) (next time.Time, err error) {
	for {
		now := h.now().UTC()
		queues, err := h.store.DueQueues(ctx, maxSwept)
		if err != nil || len(queues) == 0 {
			return time.Time{}, err
		}
		var changes []*queueChange
		for _, q := range queues {
			if q.Due.After(now) {
				next = q.Due
				break
			}
			changes = append(changes, h.changeQueue(q.Hub, q.Device, func(q *c2dqueue.Queue, live string) error {
				q.Tidy(now, live)
				return nil
			}))
		}
		if len(changes) == 0 {
			return next, nil
		}
		if err := h.changeQueues(ctx, changes); err != nil {
			return time.Time{}, err
		}
		for _, c := range changes {
			h.c2d.wake(c.key())
		}
	}
}
