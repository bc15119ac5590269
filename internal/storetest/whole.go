package storetest

import (
	"context"
	"errors"
	"testing"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/c2dqueue"
)

var wholeTests = []test{
	{"pingWrites", testPing},
	{"endedContextEndsEveryCall", testEndedContext},
}

func testPing(t *testing.T, s hub.Store) {
	for range 3 {
		if err := s.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func testEndedContext(t *testing.T, s hub.Store) {
	withHome(t, s)
	create(t, s, homeHub, aDevice("d"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	id := hubward.Identity{Device: "d"}
	calls := map[string]func() error{
		"Hubs":              func() error { _, err := s.Hubs(ctx); return err },
		"SaveHub":           func() error { return s.SaveHub(ctx, aHub("late", aTime)) },
		"DeleteHub":         func() error { return s.DeleteHub(ctx, homeHub) },
		"Device":            func() error { _, err := s.Device(ctx, homeHub, "d"); return err },
		"Devices":           func() error { _, err := s.Devices(ctx, homeHub, 1); return err },
		"DeviceStatistics":  func() error { _, err := s.DeviceStatistics(ctx, homeHub); return err },
		"RecordActivity":    func() error { return s.RecordActivity(ctx, homeHub, []hub.Activity{{ID: "d"}}) },
		"Subscriptions":     func() error { _, _, err := s.Subscriptions(ctx, homeHub, id); return err },
		"SaveSubscriptions": func() error { return s.SaveSubscriptions(ctx, homeHub, id, someFilters) },
		"DeleteSession":     func() error { return s.DeleteSession(ctx, homeHub, id) },
		"EditQueues": func() error {
			return s.EditQueues(ctx, []*hub.QueueEdit{{Hub: homeHub, Device: "d", Edit: func(*c2dqueue.Queue) error { return nil }}})
		},
		"QueuedContents": func() error { return s.QueuedContents(ctx, homeHub, "d", 1, 2, func(int64, []byte) {}) },
		"DueQueues":      func() error { _, err := s.DueQueues(ctx, 1); return err },
		"BatchFeedback": func() error {
			_, _, err := s.BatchFeedback(ctx, homeHub, hub.FeedbackBatchStart{}, 1, 64)
			return err
		},
		"LockFeedback": func() error { _, _, err := s.LockFeedback(ctx, homeHub, "t", aTime, aTime); return err },
		"EditFeedback": func() error {
			return s.EditFeedback(ctx, homeHub, "t", func(b *hub.StoredFeedback) (*hub.StoredFeedback, error) { return b, nil })
		},
		"DropFeedback": func() error { return s.DropFeedback(ctx, aTime) },
		"Ping":         func() error { return s.Ping(ctx) },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error %v, want %v", name, err, context.Canceled)
		}
	}
	wantHubs(t, s, aHub(homeHub, aTime))
	wantNoSession(t, s, homeHub, id)
}
