package sqlstore_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/c2d"
	"github.com/hubward/hubward/internal/hub/c2dqueue"
	"github.com/hubward/hubward/internal/store/sqlstore"
)

// readQueue returns a device's queue as an edit sees it.
func readQueue(t *testing.T, s *sqlstore.Store, key c2d.Key) (got c2dqueue.Queue) {
	t.Helper()
	editQueue(t, s, key, func(q *c2dqueue.Queue) error {
		got = *q
		return nil
	})
	return got
}

func editQueue(t testing.TB, s *sqlstore.Store, key c2d.Key, change func(*c2dqueue.Queue) error) {
	t.Helper()
	e := &c2d.Edit{Key: key, Edit: change}
	if err := s.EditQueues(t.Context(), []*c2d.Edit{e}); err != nil || e.Err != nil {
		t.Fatalf("EditQueues: %v, %v", err, e.Err)
	}
}

// wantOldMessages looks for what testdata/sqlite/0002.sql and its successors have. Until schema 2, locks of receivers
// named connections, and are void; those of devices that poll are not.
func wantOldMessages(t *testing.T, s *sqlstore.Store, version int) {
	t.Helper()
	at := time.Date(2024, 1, 31, 8, 11, 45, 123456700, time.UTC)
	key := c2d.Key{Hub: "old", Identity: dev("d")}
	want := c2dqueue.Queue{Identity: key.Identity, Generation: "1", Next: 9, Messages: []c2dqueue.Message{
		{Sequence: 7, ID: "m", Ack: hubward.AckFull, Enqueued: at, Expires: at.Add(time.Second), DeliveryCount: 2, HandedOut: true},
		{
			Sequence: 8, ID: "n", Ack: hubward.AckNone, Enqueued: at, Expires: at.Add(94 * time.Second), HandedOut: true,
			Lock: c2dqueue.Lock{Token: "u", Until: at.Add(2 * time.Second)},
		},
	}}
	due := want.Messages[0].Expires
	if version > 2 {
		want.Newest = c2dqueue.Holder{Fence: 40, Receiver: 2}
		want.Messages[0].Lock = c2dqueue.Lock{Token: "t", Until: at, Holder: want.Newest}
		due = at
	}
	if diff := cmp.Diff(want, readQueue(t, s, key)); diff != "" {
		t.Errorf("queue (-want +got):\n%s", diff)
	}
	if got, err := s.DueQueues(t.Context(), 10); err != nil || len(got) != 1 || got[0] != (c2d.Due{Key: key, At: due}) {
		t.Errorf("due %v, %v, want %v", got, err, due)
	}
	err := s.QueuedContents(t.Context(), key, 7, 7, func(_ int64, content []byte) {
		if m, err := c2dqueue.Decode(content); err != nil || string(m.Body) != "hello" {
			t.Errorf("message %+v, %v", m, err)
		}
	})
	if err != nil {
		t.Error(err)
	}
	hubs, err := s.Hubs(t.Context())
	if err != nil || hubs[0].C2D != (hub.C2DSettings{DefaultTTL: time.Minute, MaxDeliveryCount: 3}) {
		t.Errorf("settings %+v, %v", hubs[0].C2D, err)
	}
	n, _, err := s.LockNotification(t.Context(), "old", hub.NotificationFeedback, "t", at, at.Add(time.Minute))
	if err != nil || n == nil || n.ID != "b" || n.DeliveryCount != 1 || len(n.Feedback) != 1 || n.Feedback[0].MessageID != "m0" {
		t.Errorf("feedback %+v, %v", n, err)
	}
	if taken, _, err := s.BatchFeedback(t.Context(), "old", hub.Notification{}, 1, 64); taken != 1 || err != nil {
		t.Errorf("%d records in no notification, %v", taken, err)
	}
}

// queueOfD is the queue of the device that withHub makes.
var queueOfD = c2d.Key{Hub: "h", Identity: dev("d")}

// TestEditQueues_afterCrash opens what is on disk after each of many acknowledged edits: a message that was sent is there
// with its content, one that was settled is not, and has its record.
func TestEditQueues_afterCrash(t *testing.T) {
	path := file(t.TempDir())
	s := withHub(t, path)
	expires := now.Add(time.Hour)
	for i := range 12 {
		editQueue(t, s, queueOfD, func(q *c2dqueue.Queue) error {
			return q.Append(c2dqueue.Message{ID: fmt.Sprint(q.Next), Ack: hubward.AckFull, Enqueued: now, Expires: expires}, []byte(strings.Repeat("x", 60_000)))
		})
		if i%3 == 2 {
			editQueue(t, s, queueOfD, func(q *c2dqueue.Queue) error {
				if _, err := q.Lock(1, expires, c2dqueue.Holder{}, func() (string, error) { return "t", nil }); err != nil {
					return err
				}
				return q.Settle("t", c2dqueue.Complete, now, 10)
			})
		}
		wantAfterCrash(t, path, i+1)
	}
}

func wantAfterCrash(t *testing.T, path string, sent int) {
	t.Helper()
	s := open(t, copyFile(t, path))
	settled := sent / 3
	q := readQueue(t, s, queueOfD)
	if q.Next != int64(sent+1) || len(q.Messages) != sent-settled || q.Messages[0].Sequence != int64(settled+1) {
		t.Errorf("after %d messages: next %d, %d left", sent, q.Next, len(q.Messages))
	}
	contents := 0
	err := s.QueuedContents(t.Context(), queueOfD, 1, 100, func(_ int64, content []byte) {
		if len(content) == 60_000 {
			contents++
		}
	})
	if err != nil || contents != sent-settled {
		t.Errorf("after %d messages: %d contents, %v", sent, contents, err)
	}
	if taken, _, err := s.BatchFeedback(t.Context(), "h", hub.Notification{}, 1, 64); taken != settled || err != nil {
		t.Errorf("after %d messages: %d records, %v", sent, taken, err)
	}
}

// TestSchema_messagesReadIndexes: none of the queries that run all the time may grow with the number of devices.
func TestSchema_messagesReadIndexes(t *testing.T) {
	s := withHub(t, sqlstore.Memory)
	for text, want := range map[string]string{
		`SELECT hub, device_id, module_id, due FROM c2d_queues WHERE due IS NOT NULL ORDER BY due LIMIT 9`: "SEARCH c2d_queues USING COVERING INDEX c2d_queues_due (due>?)",
		`SELECT id FROM feedback_records WHERE hub = 'h' AND notification IS NULL ORDER BY id LIMIT 9`:     "SEARCH feedback_records USING INDEX feedback_records_waiting (hub=?)",
		`SELECT status FROM feedback_records WHERE notification = 1 ORDER BY id`:                           "SEARCH feedback_records USING INDEX feedback_records_by_notification (notification=?)",
		`SELECT id FROM notifications WHERE hub = 'h' AND kind = 'k' AND lock_token = 't' AND lock_token <> ''`: "SEARCH notifications USING COVERING INDEX notifications_locked " +
			"(hub=? AND kind=? AND lock_token=?)",
		`SELECT expires FROM notifications WHERE hub = 'h' AND kind = 'k' AND lock_until <= 5 AND expires > 5 ORDER BY id LIMIT 1`: "SEARCH notifications USING INDEX notifications_in_order (hub=? AND kind=?)",
		`DELETE FROM notifications WHERE expires <= 5 AND lock_until <= 5`:                                                         "SEARCH notifications USING INDEX notifications_expiry (expires<?)",
		`SELECT events FROM outbox WHERE hub = 'h' ORDER BY id LIMIT 9`:                                                            "SEARCH outbox USING INDEX outbox_in_order (hub=?)",
		`DELETE FROM outbox WHERE id = 5 AND hub = 'h'`:                                                                            "SEARCH outbox USING INTEGER PRIMARY KEY (rowid=?)",
	} {
		if got := sqlstore.Plan(t, s, text); got != want {
			t.Errorf("%s\nplan %q, want %q", text, got, want)
		}
	}
}
