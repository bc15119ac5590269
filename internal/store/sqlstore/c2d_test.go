package sqlstore_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/c2dqueue"
	"github.com/hubward/hubward/internal/store/sqlstore"
)

// readQueue returns a device's queue as an edit sees it.
func readQueue(t *testing.T, s *sqlstore.Store, hubName, device string) (got c2dqueue.Queue) {
	t.Helper()
	editQueue(t, s, hubName, device, func(q *c2dqueue.Queue) error {
		got = *q
		return nil
	})
	return got
}

func editQueue(t testing.TB, s *sqlstore.Store, hubName, device string, change func(*c2dqueue.Queue) error) {
	t.Helper()
	e := &hub.QueueEdit{Hub: hubName, Device: device, Edit: change}
	if err := s.EditQueues(t.Context(), []*hub.QueueEdit{e}); err != nil || e.Err != nil {
		t.Fatalf("EditQueues: %v, %v", err, e.Err)
	}
}

// wantOldMessages looks for what testdata/sqlite/0002.sql has.
func wantOldMessages(t *testing.T, s *sqlstore.Store) {
	t.Helper()
	at := time.Date(2024, 1, 31, 8, 11, 45, 123456700, time.UTC)
	want := c2dqueue.Queue{Device: "d", Generation: "1", Next: 8, Messages: []c2dqueue.Message{{
		Sequence: 7, ID: "m", Ack: hubward.AckFull, Enqueued: at, Expires: at.Add(time.Second), DeliveryCount: 2, HandedOut: true,
		Lock: c2dqueue.Lock{Token: "t", Until: at, Holder: "h"},
	}}}
	if diff := cmp.Diff(want, readQueue(t, s, "old", "d")); diff != "" {
		t.Errorf("queue (-want +got):\n%s", diff)
	}
	err := s.QueuedContents(t.Context(), "old", "d", 7, 7, func(_ int64, content []byte) {
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
	b, _, err := s.LockFeedback(t.Context(), "old", "t", at, at.Add(time.Minute))
	if err != nil || b == nil || b.DeliveryCount != 1 || len(b.Records) != 1 || b.Records[0].MessageID != "m0" {
		t.Errorf("feedback %+v, %v", b, err)
	}
	if taken, _, err := s.BatchFeedback(t.Context(), "old", hub.FeedbackBatchStart{}, 1, 64); taken != 1 || err != nil {
		t.Errorf("%d records in no batch, %v", taken, err)
	}
}

// TestEditQueues_afterCrash opens what is on disk after each of many acknowledged edits: a message that was sent is there
// with its content, one that was settled is not, and has its record.
func TestEditQueues_afterCrash(t *testing.T) {
	path := file(t.TempDir())
	s := withHub(t, path)
	expires := now.Add(time.Hour)
	for i := range 12 {
		editQueue(t, s, "h", "d", func(q *c2dqueue.Queue) error {
			return q.Append(c2dqueue.Message{ID: fmt.Sprint(q.Next), Ack: hubward.AckFull, Enqueued: now, Expires: expires}, []byte(strings.Repeat("x", 60_000)))
		})
		if i%3 == 2 {
			editQueue(t, s, "h", "d", func(q *c2dqueue.Queue) error {
				if _, err := q.Lock(1, expires, "", func() (string, error) { return "t", nil }); err != nil {
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
	left := file(t.TempDir())
	for _, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(left+suffix, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, left)
	settled := sent / 3
	q := readQueue(t, s, "h", "d")
	if q.Next != int64(sent+1) || len(q.Messages) != sent-settled || q.Messages[0].Sequence != int64(settled+1) {
		t.Errorf("after %d messages: next %d, %d left", sent, q.Next, len(q.Messages))
	}
	contents := 0
	err := s.QueuedContents(t.Context(), "h", "d", 1, 100, func(_ int64, content []byte) {
		if len(content) == 60_000 {
			contents++
		}
	})
	if err != nil || contents != sent-settled {
		t.Errorf("after %d messages: %d contents, %v", sent, contents, err)
	}
	if taken, _, err := s.BatchFeedback(t.Context(), "h", hub.FeedbackBatchStart{}, 1, 64); taken != settled || err != nil {
		t.Errorf("after %d messages: %d records, %v", sent, taken, err)
	}
}

// TestSchema_messagesReadIndexes: none of the queries that run all the time may grow with the number of devices.
func TestSchema_messagesReadIndexes(t *testing.T) {
	s := withHub(t, sqlstore.Memory)
	for text, want := range map[string]string{
		`SELECT hub, device_id, due FROM c2d_queues WHERE due IS NOT NULL ORDER BY due LIMIT 9`: "SEARCH c2d_queues USING COVERING INDEX c2d_queues_due (due>?)",
		`SELECT id FROM feedback_records WHERE hub = 'h' AND batch IS NULL ORDER BY id LIMIT 9`: "SEARCH feedback_records USING INDEX feedback_records_waiting (hub=?)",
		`SELECT status FROM feedback_records WHERE batch = 1 ORDER BY id`:                       "SEARCH feedback_records USING INDEX feedback_records_by_batch (batch=?)",
		`SELECT id FROM feedback_batches WHERE hub = 'h' AND lock_token = 't' AND lock_token <> ''`: "SEARCH feedback_batches USING COVERING INDEX feedback_batches_locked " +
			"(hub=? AND lock_token=?)",
		`SELECT expires FROM feedback_batches WHERE hub = 'h' AND lock_until <= 5 AND expires > 5 ORDER BY id LIMIT 1`: "SEARCH feedback_batches USING INDEX feedback_batches_by_hub (hub=?)",
		`DELETE FROM feedback_batches WHERE expires <= 5 AND lock_until <= 5`:                                          "SEARCH feedback_batches USING INDEX feedback_batches_expiry (expires<?)",
	} {
		if got := sqlstore.Plan(t, s, text); got != want {
			t.Errorf("%s\nplan %q, want %q", text, got, want)
		}
	}
}
