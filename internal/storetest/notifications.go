package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/c2d"
	"github.com/hubward/hubward/internal/hub/c2dqueue"
)

var notificationTests = []test{
	{"batchTakesTheOldest", testBatchOldest},
	{"batchWantsEnough", testBatchLeast},
	{"lockInOrder", testNotificationLock},
	{"lockEnds", testNotificationLockEnds},
	{"expire", testNotificationExpires},
	{"editByToken", testNotificationEdit},
	{"feedbackOfModules", testFeedbackOfModules},
	{"emptyOneGoes", testNotificationEmpty},
	{"kindsAreApart", testNotificationKinds},
	{"stayInTheirHub", testNotificationHubs},
	{"dropInEveryHub", testNotificationDrop},
}

const feedback = hub.NotificationFeedback

// aNotification expires an hour after aTime.
func aNotification() hub.Notification {
	return hub.Notification{ID: "notification", Enqueued: aTime, Expires: aTime.Add(time.Hour)}
}

func batch(t *testing.T, s hub.Store, least, most int) (taken, left int) {
	t.Helper()
	taken, left, err := s.BatchFeedback(t.Context(), homeHub, aNotification(), least, most)
	if err != nil {
		t.Fatalf("BatchFeedback: %v", err)
	}
	return taken, left
}

// batchAll puts all records, of which there are n, into a notification.
func batchAll(t *testing.T, s hub.Store, n int) {
	t.Helper()
	if taken, left := batch(t, s, 1, 64); taken != n || left != 0 {
		t.Fatalf("%d records, %d left, want %d", taken, left, n)
	}
}

// lockFeedback locks a notification of feedback, which there has to be, for a minute.
func lockFeedback(t *testing.T, s hub.Store, token string, now time.Time) *hub.Notification {
	t.Helper()
	n, again, err := s.LockNotification(t.Context(), homeHub, feedback, token, now, now.Add(time.Minute))
	if err != nil || n == nil {
		t.Fatalf("LockNotification: %v, %v, %v", n, again, err)
	}
	return n
}

// wantNone looks for a notification of feedback where there is none.
func wantNone(t *testing.T, s hub.Store, now, again time.Time) {
	t.Helper()
	n, at, err := s.LockNotification(t.Context(), homeHub, feedback, "none", now, now.Add(time.Minute))
	if n != nil || err != nil || !at.Equal(again) {
		t.Errorf("LockNotification: %+v, again %v, %v, want none, again %v", n, at, err, again)
	}
}

func wantNoFeedback(t *testing.T, s hub.Store) {
	t.Helper()
	wantNone(t, s, aTime, time.Time{})
	if taken, left := batch(t, s, 1, 64); taken != 0 || left != 0 {
		t.Errorf("%d and %d records", taken, left)
	}
}

// editNotification runs an edit of a notification of feedback that must not fail.
func editNotification(t *testing.T, s hub.Store, token string, edit func(*hub.Notification) *hub.Notification) {
	t.Helper()
	err := s.EditNotification(t.Context(), homeHub, feedback, token, func(n *hub.Notification) (*hub.Notification, error) { return edit(n), nil })
	if err != nil {
		t.Fatalf("EditNotification: %v", err)
	}
}

// withRecords has a device "d" with n records of feedback.
func withRecords(t *testing.T, s hub.Store, n int64) {
	t.Helper()
	withHome(t, s, "d")
	addRecords(t, s, dev("d"), n)
}

func addRecords(t *testing.T, s hub.Store, id hubward.Identity, n int64) {
	t.Helper()
	editQueue(t, s, id, func(q *c2dqueue.Queue) error {
		for i := range n {
			q.Records = append(q.Records, aRecord(id, i+1))
		}
		return nil
	})
}

func testBatchOldest(t *testing.T, s hub.Store) {
	withRecords(t, s, 3)
	if taken, left := batch(t, s, 1, 2); taken != 2 || left != 1 {
		t.Errorf("took %d, left %d", taken, left)
	}
	if taken, left := batch(t, s, 1, 2); taken != 1 || left != 0 {
		t.Errorf("took %d, left %d", taken, left)
	}
	want := aNotification()
	want.LockUntil, want.Feedback = aTime.Add(time.Minute), []c2dqueue.Record{aRecord(dev("d"), 1), aRecord(dev("d"), 2)}
	wantEqual(t, "first", lockFeedback(t, s, "t1", aTime), &want)
	wantEqual(t, "second", lockFeedback(t, s, "t2", aTime).Feedback, []c2dqueue.Record{aRecord(dev("d"), 3)})
}

func testBatchLeast(t *testing.T, s hub.Store) {
	withRecords(t, s, 4)
	if taken, left := batch(t, s, 5, 5); taken != 0 || left != 4 {
		t.Errorf("too few: took %d, left %d", taken, left)
	}
	addRecords(t, s, dev("d"), 1)
	if taken, left := batch(t, s, 5, 5); taken != 5 || left != 0 {
		t.Errorf("enough: took %d, left %d", taken, left)
	}
	if taken, left := batch(t, s, 0, 5); taken != 0 || left != 0 {
		t.Errorf("none: took %d, left %d", taken, left)
	}
}

func testNotificationLock(t *testing.T, s hub.Store) {
	withRecords(t, s, 3)
	for range 3 {
		batch(t, s, 1, 1)
	}
	for i := range int64(2) {
		wantEqual(t, "records", lockFeedback(t, s, "t", aTime).Feedback, []c2dqueue.Record{aRecord(dev("d"), i+1)})
	}
}

func testNotificationLockEnds(t *testing.T, s hub.Store) {
	withRecords(t, s, 1)
	batchAll(t, s, 1)
	lockFeedback(t, s, "t1", aTime)
	ends := aTime.Add(time.Minute)
	wantNone(t, s, ends.Add(-100), ends)
	if n := lockFeedback(t, s, "t2", ends); n.DeliveryCount != 0 {
		t.Errorf("delivery count %d", n.DeliveryCount)
	}
	editNotification(t, s, "t1", func(n *hub.Notification) *hub.Notification {
		if n != nil {
			t.Errorf("a lock that ended has %+v", n)
		}
		return nil
	})
}

func testNotificationExpires(t *testing.T, s hub.Store) {
	withRecords(t, s, 2)
	batch(t, s, 1, 1)
	batch(t, s, 1, 1)
	end := aNotification().Expires
	lockFeedback(t, s, "t", end.Add(-time.Second))
	wantNone(t, s, end, time.Time{})
	if err := s.DropNotifications(t.Context(), end); err != nil {
		t.Fatal(err)
	}
	// The locked one is there until it is settled.
	editNotification(t, s, "t", func(n *hub.Notification) *hub.Notification {
		if n == nil {
			t.Error("a locked notification was deleted")
		}
		return n
	})
	if err := s.DropNotifications(t.Context(), end.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	wantNone(t, s, aTime, time.Time{})
}

func testNotificationEdit(t *testing.T, s hub.Store) {
	withRecords(t, s, 1)
	batchAll(t, s, 1)
	lockFeedback(t, s, "t1", aTime)
	refused := errors.New("refused")
	err := s.EditNotification(t.Context(), homeHub, feedback, "t1", func(n *hub.Notification) (*hub.Notification, error) {
		n.DeliveryCount = 9
		return nil, refused
	})
	if !errors.Is(err, refused) {
		t.Errorf("error %v", err)
	}
	wantNone(t, s, aTime, aTime.Add(time.Minute))
	editNotification(t, s, "t1", func(n *hub.Notification) *hub.Notification {
		want := aNotification()
		want.LockUntil = aTime.Add(time.Minute)
		wantEqual(t, "notification", n, &want)
		n.LockUntil = aTime.Add(2 * time.Minute)
		return n
	})
	wantNone(t, s, aTime, aTime.Add(2*time.Minute))
	editNotification(t, s, "t1", func(n *hub.Notification) *hub.Notification {
		n.DeliveryCount, n.LockUntil = 2, time.Time{}
		return n
	})
	if n := lockFeedback(t, s, "t2", aTime); n.DeliveryCount != 2 || len(n.Feedback) != 1 {
		t.Errorf("notification %+v", n)
	}
	editNotification(t, s, "t2", func(*hub.Notification) *hub.Notification { return nil })
	wantNoFeedback(t, s)
}

func testFeedbackOfModules(t *testing.T, s hub.Store) {
	withRecords(t, s, 1)
	create(t, s, homeHub, anIdentity(mod("d", "m")))
	addRecords(t, s, mod("d", "m"), 2)
	batchAll(t, s, 3)
	edit(t, s, homeHub, mod("d", "m"), remove)
	wantEqual(t, "records", lockFeedback(t, s, "t", aTime).Feedback, []c2dqueue.Record{aRecord(dev("d"), 1)})
}

// testNotificationEmpty: what is left of a notification when its identities are gone is no reason to wake anybody.
func testNotificationEmpty(t *testing.T, s hub.Store) {
	withRecords(t, s, 1)
	batchAll(t, s, 1)
	create(t, s, homeHub, aDevice("e"))
	addRecords(t, s, dev("e"), 1)
	batchAll(t, s, 1)
	edit(t, s, homeHub, dev("d"), remove)
	wantEqual(t, "records", lockFeedback(t, s, "t", aTime).Feedback, []c2dqueue.Record{aRecord(dev("e"), 1)})
	edit(t, s, homeHub, dev("e"), remove)
	wantNone(t, s, aTime.Add(time.Minute), time.Time{})
}

func testNotificationKinds(t *testing.T, s hub.Store) {
	withRecords(t, s, 1)
	batchAll(t, s, 1)
	n, again, err := s.LockNotification(t.Context(), homeHub, "other kind", "t", aTime, aTime.Add(time.Minute))
	if n != nil || !again.IsZero() || err != nil {
		t.Errorf("of another kind: %+v, %v, %v", n, again, err)
	}
	lockFeedback(t, s, "t", aTime)
	err = s.EditNotification(t.Context(), homeHub, "other kind", "t", func(n *hub.Notification) (*hub.Notification, error) {
		if n != nil {
			t.Errorf("of another kind: %+v", n)
		}
		return nil, nil
	})
	if err != nil {
		t.Error(err)
	}
	wantNone(t, s, aTime, aTime.Add(time.Minute))
}

func testNotificationHubs(t *testing.T, s hub.Store) {
	saveHub(t, s, aHub("other", aTime))
	withRecords(t, s, 1)
	for _, name := range []string{"other", "nowhere"} {
		taken, left, err := s.BatchFeedback(t.Context(), name, aNotification(), 1, 64)
		if taken != 0 || left != 0 || err != nil {
			t.Errorf("of hub %s: %d, %d, %v", name, taken, left, err)
		}
	}
	batchAll(t, s, 1)
	lockFeedback(t, s, "t", aTime)
	for _, name := range []string{"other", "nowhere"} {
		n, again, err := s.LockNotification(t.Context(), name, feedback, "t", aTime, aTime.Add(time.Minute))
		if n != nil || !again.IsZero() || err != nil {
			t.Errorf("of hub %s: %+v, %v, %v", name, n, again, err)
		}
		err = s.EditNotification(t.Context(), name, feedback, "t", func(n *hub.Notification) (*hub.Notification, error) {
			if n != nil {
				t.Errorf("of hub %s: %+v", name, n)
			}
			return nil, nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	wantNone(t, s, aTime, aTime.Add(time.Minute))
}

func testNotificationDrop(t *testing.T, s hub.Store) {
	hubs := []string{homeHub, "other"}
	for _, name := range hubs {
		saveHub(t, s, aHub(name, aTime))
		create(t, s, name, aDevice("d"))
		e := &c2d.Edit{Key: c2d.Key{Hub: name, Identity: dev("d")}, Edit: func(q *c2dqueue.Queue) error {
			q.Records = []c2dqueue.Record{aRecord(dev("d"), 1), aRecord(dev("d"), 2)}
			return nil
		}}
		if err := s.EditQueues(t.Context(), []*c2d.Edit{e}); err != nil || e.Err != nil {
			t.Fatal(err, e.Err)
		}
		for i := range 2 {
			n := aNotification()
			n.Expires = n.Expires.Add(time.Duration(i) * time.Hour)
			if taken, _, err := s.BatchFeedback(t.Context(), name, n, 1, 1); taken != 1 || err != nil {
				t.Fatal(taken, err)
			}
		}
	}
	if err := s.DropNotifications(t.Context(), aNotification().Expires); err != nil {
		t.Fatal(err)
	}
	for _, name := range hubs {
		n, _, err := s.LockNotification(t.Context(), name, feedback, "t", aTime, aTime.Add(time.Minute)) // as if it were not later
		if err != nil || n == nil || len(n.Feedback) != 1 || n.Feedback[0] != aRecord(dev("d"), 2) {
			t.Errorf("hub %s: %+v, %v, want what has not expired", name, n, err)
		}
	}
}
