package storetest

import (
	"context"
	"errors"
	"testing"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/c2d"
	"github.com/hubward/hubward/internal/hub/c2dqueue"
	"github.com/hubward/hubward/internal/hub/certrequest"
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
	home := saveHub(t, s, aHub(homeHub, aTime))
	create(t, s, homeHub, aDevice("d"))
	tell(t, s, homeHub, dev("d"), "kept")
	kept := outboxBatches(t, s, homeHub, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	id, key := dev("d"), c2d.Key{Hub: homeHub, Identity: dev("d")}
	calls := map[string]func() error{
		"Hubs":              func() error { _, err := s.Hubs(ctx); return err },
		"SaveHub":           func() error { return s.SaveHub(ctx, aHub("late", aTime)) },
		"DeleteHub":         func() error { return s.DeleteHub(ctx, homeHub) },
		"DeletedLogs":       func() error { _, err := s.DeletedLogs(ctx); return err },
		"ForgetDeletedLog":  func() error { return s.ForgetDeletedLog(ctx, homeHub) },
		"Identity":          func() error { _, err := s.Identity(ctx, homeHub, id); return err },
		"Devices":           func() error { _, err := s.Devices(ctx, homeHub, "", 1); return err },
		"EditIdentities":    func() error { return s.EditIdentities(ctx, homeHub, []*hub.IdentityEdit{identityEdit(id, remove)}) },
		"DeviceStatistics":  func() error { _, err := s.DeviceStatistics(ctx, homeHub); return err },
		"EditConnections":   func() error { return s.EditConnections(ctx, homeHub, []*hub.ConnectionEdit{connectionEdit(id, keep)}) },
		"Connected":         func() error { _, err := s.Connected(ctx, homeHub, hubward.Identity{}, 1); return err },
		"Outbox":            func() error { _, err := s.Outbox(ctx, homeHub, 1); return err },
		"DeleteOutbox":      func() error { return s.DeleteOutbox(ctx, homeHub, []int64{kept[0].ID}) },
		"Twin":              func() error { _, err := s.Twin(ctx, homeHub, id); return err },
		"Twins":             func() error { _, err := s.Twins(ctx, homeHub, "", 1); return err },
		"DesiredProperties": func() error { _, _, err := s.DesiredProperties(ctx, homeHub, id); return err },
		"EditTwins":         func() error { return s.EditTwins(ctx, homeHub, []*hub.TwinEdit{twinEdit(id, fill)}) },
		"EditReported":      func() error { return EditReported(ctx, s, homeHub, []*hub.ReportedEdit{reportedEdit(id, report)}) },
		"Session":           func() error { _, _, err := s.Session(ctx, homeHub, id); return err },
		"SaveSession":       func() error { return s.SaveSession(ctx, homeHub, id, 1, aState) },
		"EditCertificateRequest": func() error {
			return s.EditCertificateRequest(ctx, homeHub, id, func(slot *certrequest.Slot) error { slot.ID = "late"; return nil })
		},
		"CertificateRequest": func() error {
			_, err := s.CertificateRequest(ctx, homeHub, id)
			return err
		},
		"EditQueues": func() error {
			return s.EditQueues(ctx, []*c2d.Edit{{Key: key, Edit: func(*c2dqueue.Queue) error { return nil }}})
		},
		"QueuedContents": func() error { return s.QueuedContents(ctx, key, 1, 2, func(int64, []byte) {}) },
		"DueQueues":      func() error { _, err := s.DueQueues(ctx, 1); return err },
		"BatchFeedback":  func() error { _, _, err := s.BatchFeedback(ctx, homeHub, aNotification(), 1, 64); return err },
		"LockNotification": func() error {
			_, _, err := s.LockNotification(ctx, homeHub, feedback, "t", aTime, aTime)
			return err
		},
		"EditNotification": func() error {
			return s.EditNotification(ctx, homeHub, feedback, "t", func(n *hub.Notification) (*hub.Notification, error) { return n, nil })
		},
		"DropNotifications": func() error { return s.DropNotifications(ctx, aTime) },
		"Ping":              func() error { return s.Ping(ctx) },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error %v, want %v", name, err, context.Canceled)
		}
	}
	wantHubs(t, s, home)
	wantEqual(t, "device", device(t, s, homeHub, "d"), aDevice("d"))
	wantNoSession(t, s, homeHub, id)
	wantSlot(t, s, homeHub, id, &certrequest.Slot{})
	wantOutbox(t, s, homeHub, told(id, "kept"))
}
