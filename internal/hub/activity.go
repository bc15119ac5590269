package hub

import (
	"context"
	"sync"
	"time"

	"github.com/hubward/hubward"
)

// activityInterval is how often connection states go to the store.
const activityInterval = time.Second

// activityBatch bounds one write of connection states.
const activityBatch = 500

// activityRecorder gathers what is known of connections until it is stored: the newest state per device, so it holds
// no more than there are devices.
type activityRecorder struct {
	mu      sync.Mutex // guards pending
	pending map[string]map[string]Activity
}

func newActivityRecorder() *activityRecorder {
	return &activityRecorder{pending: make(map[string]map[string]Activity)}
}

func (r *activityRecorder) connected(l *Link, now time.Time) {
	r.put(l, Activity{State: hubward.Connected, StateUpdated: now, LastActivity: now})
}

func (r *activityRecorder) disconnected(l *Link, now time.Time) {
	r.put(l, Activity{State: hubward.Disconnected, StateUpdated: now, LastActivity: l.lastActive()})
}

func (r *activityRecorder) put(l *Link, a Activity) {
	id := l.Principal.Device
	if id.Module != "" {
		return
	}
	a.ID = id.Device
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pending[l.state.name] == nil {
		r.pending[l.state.name] = make(map[string]Activity)
	}
	r.pending[l.state.name][a.ID] = a
}

func (r *activityRecorder) take() map[string]map[string]Activity {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.pending
	r.pending = make(map[string]map[string]Activity)
	return out
}

func (h *Hub) recordActivityUntil(ctx context.Context) {
	tick := time.NewTicker(activityInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			h.recordActivity(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			h.recordActivity(last)
			return
		}
	}
}

// recordActivity stores what has gathered. These fields are for debugging: a failed write is logged and its rows stay
// as they were until the device connects again.
func (h *Hub) recordActivity(ctx context.Context) {
	for hub, devices := range h.activity.take() {
		rows := make([]Activity, 0, min(len(devices), activityBatch))
		for _, a := range devices {
			if rows = append(rows, a); len(rows) == activityBatch {
				h.recordRows(ctx, hub, rows)
				rows = rows[:0]
			}
		}
		if len(rows) > 0 {
			h.recordRows(ctx, hub, rows)
		}
	}
}

func (h *Hub) recordRows(ctx context.Context, hub string, rows []Activity) {
	if err := h.store.RecordActivity(ctx, hub, rows); err != nil {
		h.logger.Warn("connection states not stored", "hub", hub, "devices", len(rows), "error", err)
	}
}
