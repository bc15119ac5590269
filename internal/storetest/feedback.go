package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/c2dqueue"
)

var feedbackTests = []test{
	{"batchTakesTheOldest", testBatchOldest},
	{"batchWantsEnough", testBatchLeast},
	{"lockInOrder", testFeedbackLock},
	{"lockEnds", testFeedbackLockEnds},
	{"expires", testFeedbackExpires},
	{"editByToken", testFeedbackEdit},
	{"emptyBatchGoes", testFeedbackEmpty},
	{"staysInItsHub", testFeedbackHubs},
}

// aBatch expires an hour after aTime.
func aBatch() hub.FeedbackBatchStart {
	return hub.FeedbackBatchStart{ID: "batch", Enqueued: aTime, Expires: aTime.Add(time.Hour)}
}

func batch(t *testing.T, s hub.Store, least, most int) (taken, left int) {
	t.Helper()
	taken, left, err := s.BatchFeedback(t.Context(), homeHub, aBatch(), least, most)
	if err != nil {
		t.Fatalf("BatchFeedback: %v", err)
	}
	return taken, left
}

// makeBatch puts all records, of which there are n, into a batch.
func makeBatch(t *testing.T, s hub.Store, n int) {
	t.Helper()
	if taken, left := batch(t, s, 1, 64); taken != n || left != 0 {
		t.Fatalf("a batch of %d, %d left, want %d", taken, left, n)
	}
}

// lockBatch locks a batch, which there has to be, for a minute.
func lockBatch(t *testing.T, s hub.Store, token string, now time.Time) *hub.StoredFeedback {
	t.Helper()
	b, again, err := s.LockFeedback(t.Context(), homeHub, token, now, now.Add(time.Minute))
	if err != nil || b == nil {
		t.Fatalf("LockFeedback: %v, %v, %v", b, again, err)
	}
	return b
}

func wantNoBatch(t *testing.T, s hub.Store, now, again time.Time) {
	t.Helper()
	b, at, err := s.LockFeedback(t.Context(), homeHub, "none", now, now.Add(time.Minute))
	if b != nil || err != nil || !at.Equal(again) {
		t.Errorf("LockFeedback: %+v, again %v, %v, want none, again %v", b, at, err, again)
	}
}

func wantNoFeedback(t *testing.T, s hub.Store) {
	t.Helper()
	wantNoBatch(t, s, aTime, time.Time{})
	if taken, left := batch(t, s, 1, 64); taken != 0 || left != 0 {
		t.Errorf("%d and %d records", taken, left)
	}
}

// withRecords has a device "d" with n records of feedback.
func withRecords(t *testing.T, s hub.Store, n int64) {
	t.Helper()
	withHome(t, s)
	create(t, s, homeHub, aDevice("d"))
	addRecords(t, s, n)
}

func addRecords(t *testing.T, s hub.Store, n int64) {
	t.Helper()
	editQueue(t, s, "d", func(q *c2dqueue.Queue) error {
		for i := range n {
			q.Records = append(q.Records, aRecord("d", i+1))
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
	got := lockBatch(t, s, "t1", aTime)
	wantEqual(t, "first batch", got, &hub.StoredFeedback{
		FeedbackBatchStart: aBatch(), LockUntil: aTime.Add(time.Minute), Records: []c2dqueue.Record{aRecord("d", 1), aRecord("d", 2)},
	})
	wantEqual(t, "second batch", lockBatch(t, s, "t2", aTime).Records, []c2dqueue.Record{aRecord("d", 3)})
}

func testBatchLeast(t *testing.T, s hub.Store) {
	withRecords(t, s, 4)
	if taken, left := batch(t, s, 5, 5); taken != 0 || left != 4 {
		t.Errorf("too few: took %d, left %d", taken, left)
	}
	addRecords(t, s, 1)
	if taken, left := batch(t, s, 5, 5); taken != 5 || left != 0 {
		t.Errorf("enough: took %d, left %d", taken, left)
	}
	if taken, left := batch(t, s, 0, 5); taken != 0 || left != 0 {
		t.Errorf("none: took %d, left %d", taken, left)
	}
}

func testFeedbackLock(t *testing.T, s hub.Store) {
	withRecords(t, s, 3)
	for range 3 {
		batch(t, s, 1, 1)
	}
	for i := range int64(2) {
		wantEqual(t, "records", lockBatch(t, s, "t", aTime).Records, []c2dqueue.Record{aRecord("d", i+1)})
	}
}

func testFeedbackLockEnds(t *testing.T, s hub.Store) {
	withRecords(t, s, 1)
	makeBatch(t, s, 1)
	lockBatch(t, s, "t1", aTime)
	ends := aTime.Add(time.Minute)
	wantNoBatch(t, s, ends.Add(-100), ends)
	if b := lockBatch(t, s, "t2", ends); b.DeliveryCount != 0 {
		t.Errorf("delivery count %d", b.DeliveryCount)
	}
	err := s.EditFeedback(t.Context(), homeHub, "t1", func(b *hub.StoredFeedback) (*hub.StoredFeedback, error) {
		if b != nil {
			t.Errorf("a lock that ended has %+v", b)
		}
		return nil, nil
	})
	if err != nil {
		t.Error(err)
	}
}

func testFeedbackExpires(t *testing.T, s hub.Store) {
	withRecords(t, s, 2)
	batch(t, s, 1, 1)
	batch(t, s, 1, 1)
	end := aBatch().Expires
	lockBatch(t, s, "t", end.Add(-time.Second))
	wantNoBatch(t, s, end, time.Time{})
	if err := s.DropFeedback(t.Context(), end); err != nil {
		t.Fatal(err)
	}
	// The locked one is there until it is settled.
	err := s.EditFeedback(t.Context(), homeHub, "t", func(b *hub.StoredFeedback) (*hub.StoredFeedback, error) {
		if b == nil {
			t.Error("a locked batch was deleted")
		}
		return b, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.DropFeedback(t.Context(), end.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	wantNoBatch(t, s, aTime, time.Time{})
}

func testFeedbackEdit(t *testing.T, s hub.Store) {
	withRecords(t, s, 1)
	makeBatch(t, s, 1)
	edit := func(token string, change func(*hub.StoredFeedback) (*hub.StoredFeedback, error)) error {
		return s.EditFeedback(t.Context(), homeHub, token, change)
	}
	lockBatch(t, s, "t1", aTime)
	refused := errors.New("refused")
	if err := edit("t1", func(b *hub.StoredFeedback) (*hub.StoredFeedback, error) {
		b.DeliveryCount = 9
		return nil, refused
	}); !errors.Is(err, refused) {
		t.Errorf("error %v", err)
	}
	wantNoBatch(t, s, aTime, aTime.Add(time.Minute))
	if err := edit("t1", func(b *hub.StoredFeedback) (*hub.StoredFeedback, error) {
		wantEqual(t, "batch", b, &hub.StoredFeedback{FeedbackBatchStart: aBatch(), LockUntil: aTime.Add(time.Minute)})
		b.DeliveryCount, b.LockUntil = 2, time.Time{}
		return b, nil
	}); err != nil {
		t.Fatal(err)
	}
	if b := lockBatch(t, s, "t2", aTime); b.DeliveryCount != 2 || len(b.Records) != 1 {
		t.Errorf("batch %+v", b)
	}
	if err := edit("t2", func(*hub.StoredFeedback) (*hub.StoredFeedback, error) { return nil, nil }); err != nil {
		t.Fatal(err)
	}
	wantNoFeedback(t, s)
}

func testFeedbackEmpty(t *testing.T, s hub.Store) {
	withRecords(t, s, 1)
	makeBatch(t, s, 1)
	edit(t, s, homeHub, "d", remove)
	wantNoBatch(t, s, aTime, time.Time{})
}

func testFeedbackHubs(t *testing.T, s hub.Store) {
	saveHub(t, s, aHub("other", aTime))
	withRecords(t, s, 1)
	taken, left, err := s.BatchFeedback(t.Context(), "other", aBatch(), 1, 64)
	if taken != 0 || left != 0 || err != nil {
		t.Errorf("of another hub: %d, %d, %v", taken, left, err)
	}
	makeBatch(t, s, 1)
	b, _, err := s.LockFeedback(t.Context(), "other", "t", aTime, aTime.Add(time.Minute))
	if b != nil || err != nil {
		t.Errorf("of another hub: %+v, %v", b, err)
	}
}
