package c2dqueue_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/c2dqueue"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// Receivers, in the order in which they came: two of one connection, and one of the next. The zero Holder polls.
var (
	first  = c2dqueue.Holder{Fence: 7, Receiver: 1}
	second = c2dqueue.Holder{Fence: 7, Receiver: 2}
	third  = c2dqueue.Holder{Fence: 8, Receiver: 1}
	polls  = c2dqueue.Holder{}
)

const (
	ttl  = time.Hour
	lock = time.Minute
)

// queue returns a queue with n messages, m1 to mN, whose sender wants to hear of everything.
func queue(n int) *c2dqueue.Queue {
	q := &c2dqueue.Queue{Identity: hubward.Identity{Device: "d"}, Generation: "g", Next: 1}
	for i := range n {
		m := c2dqueue.Message{ID: fmt.Sprint("m", i+1), Ack: hubward.AckFull, Enqueued: now, Expires: now.Add(ttl)}
		if err := q.Append(m, []byte(m.ID)); err != nil {
			panic(err)
		}
	}
	return q
}

// tokens makes t1, t2 and so on.
func tokens() func() (string, error) {
	n := 0
	return func() (string, error) {
		n++
		return fmt.Sprint("t", n), nil
	}
}

func mustLock(t *testing.T, q *c2dqueue.Queue, n int, at time.Time, holder c2dqueue.Holder) []c2dqueue.Message {
	t.Helper()
	locked, err := q.Lock(n, at.Add(lock), holder, tokens())
	if err != nil {
		t.Fatal(err)
	}
	return locked
}

func ids(messages []c2dqueue.Message) (ids []string) {
	for _, m := range messages {
		ids = append(ids, m.ID)
	}
	return ids
}

func wantIDs(t *testing.T, what string, got []c2dqueue.Message, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, ids(got), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestAppend_depth(t *testing.T) {
	q := queue(c2dqueue.MaxDepth - 1)
	mustLock(t, q, 3, now, polls) // locked ones count
	extra := c2dqueue.Message{ID: "extra", Expires: now.Add(2 * ttl)}
	if err := q.Append(extra, nil); err != nil {
		t.Errorf("the 50th message: %v", err)
	}
	if err := q.Append(extra, nil); hubward.CodeOf(err) != hubward.CodeDeviceMaximumQueueDepth {
		t.Errorf("the 51st message: %v", err)
	}
	if q.Next != c2dqueue.MaxDepth+1 || len(q.Messages) != c2dqueue.MaxDepth {
		t.Errorf("next %d, %d messages after a refusal", q.Next, len(q.Messages))
	}
	q.Expire(now.Add(ttl))
	if err := q.Append(extra, nil); err != nil {
		t.Errorf("expired messages count: %v", err)
	}
	if q.Messages[1].Sequence != c2dqueue.MaxDepth+1 {
		t.Errorf("sequence number %d was used before", q.Messages[1].Sequence)
	}
}

func TestLock_oldestVisibleFirst(t *testing.T) {
	q := queue(4)
	wantIDs(t, "first lock", mustLock(t, q, 1, now, first), "m1")
	wantIDs(t, "second lock", mustLock(t, q, 2, now, polls), "m2", "m3")
	q.Return(first)
	got := mustLock(t, q, 9, now, first)
	wantIDs(t, "third lock", got, "m1", "m4")
	if !got[0].HandedOut || got[1].HandedOut {
		t.Errorf("handed out before: %v, %v", got[0].HandedOut, got[1].HandedOut)
	}
	if q.Visible() {
		t.Error("a message is visible")
	}
	if want := (c2dqueue.Lock{Token: "t2", Until: now.Add(lock), Holder: first}); got[1].Lock != want {
		t.Errorf("lock %v", got[1].Lock)
	}
}

func TestLock_noToken(t *testing.T) {
	none := errors.New("none")
	if _, err := queue(1).Lock(1, now, polls, func() (string, error) { return "", none }); !errors.Is(err, none) {
		t.Errorf("error %v", err)
	}
}

func TestSettle_outcomes(t *testing.T) {
	for _, c := range []struct {
		name    string
		outcome c2dqueue.Outcome
		earlier int // deliveries that were abandoned
		left    []string
		status  hubward.FeedbackStatus
		count   int // of m1
	}{
		{"complete", c2dqueue.Complete, 0, []string{"m2"}, hubward.FeedbackSuccess, 0},
		{"reject", c2dqueue.Reject, 0, []string{"m2"}, hubward.FeedbackRejected, 0},
		{"abandon", c2dqueue.Abandon, 0, []string{"m1", "m2"}, "", 1},
		{"one before the last abandon", c2dqueue.Abandon, 1, []string{"m1", "m2"}, "", 2},
		{"the last abandon", c2dqueue.Abandon, 2, []string{"m2"}, hubward.FeedbackDeliveryCountExceeded, 0},
		{"return", c2dqueue.Return, 2, []string{"m1", "m2"}, "", 2},
		{"unsent", c2dqueue.Unsent, 0, []string{"m1", "m2"}, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := queue(2)
			q.Messages[0].DeliveryCount = c.earlier
			mustLock(t, q, 1, now, first)
			if err := q.Settle("t1", c.outcome, now.Add(lock-1), 3); err != nil {
				t.Fatal(err)
			}
			wantIDs(t, "left", q.Messages, c.left...)
			var want []c2dqueue.Record
			if c.status != "" {
				want = []c2dqueue.Record{{Identity: hubward.Identity{Device: "d"}, Generation: "g", MessageID: "m1", Status: c.status, Time: now.Add(lock - 1)}}
			} else if m := q.Messages[0]; m.DeliveryCount != c.count || m.Lock != (c2dqueue.Lock{}) || m.HandedOut != (c.outcome != c2dqueue.Unsent) {
				t.Errorf("message %+v", m)
			}
			if diff := cmp.Diff(want, q.Records); diff != "" {
				t.Errorf("feedback (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSettle_lockLost(t *testing.T) {
	for name, settle := range map[string]func(q *c2dqueue.Queue) error{
		"unknown token": func(q *c2dqueue.Queue) error { return q.Settle("t9", c2dqueue.Complete, now, 3) },
		"no token":      func(q *c2dqueue.Queue) error { return q.Settle("", c2dqueue.Complete, now, 3) },
		"lock ended":    func(q *c2dqueue.Queue) error { return q.Settle("t1", c2dqueue.Complete, now.Add(lock), 3) },
		"settled twice": func(q *c2dqueue.Queue) error {
			return errors.Join(q.Settle("t1", c2dqueue.Return, now, 3), q.Settle("t1", c2dqueue.Complete, now, 3))
		},
		"purged": func(q *c2dqueue.Queue) error {
			q.Purge(now)
			return q.Settle("t1", c2dqueue.Complete, now, 3)
		},
	} {
		q := queue(2)
		mustLock(t, q, 1, now, polls)
		if err := settle(q); hubward.CodeOf(err) != hubward.CodeDeviceMessageLockLost {
			t.Errorf("%s: %v", name, err)
		}
		if q.Ended[hubward.FeedbackSuccess] != 0 {
			t.Errorf("%s: a message was completed", name)
		}
	}
}

func TestExpire(t *testing.T) {
	for _, c := range []struct {
		name    string
		locked  bool
		holder  c2dqueue.Holder
		at      time.Duration
		visible bool
		gone    bool
	}{
		{"visible before expiry", false, polls, ttl - 1, true, false},
		{"visible at expiry", false, polls, ttl, false, true},
		{"polled, lock lasts", true, polls, lock - 1, false, false},
		{"polled, lock ends", true, polls, lock, true, false},
		{"received, lock lasts", true, first, lock - 1, false, false},
		{"received, lock ends", true, first, lock, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := queue(1)
			if c.locked {
				mustLock(t, q, 1, now, c.holder)
			}
			q.Expire(now.Add(c.at))
			if gone := len(q.Messages) == 0; gone != c.gone || q.Visible() != c.visible {
				t.Errorf("gone %v, visible %v", gone, q.Visible())
			}
			if n := q.Ended[hubward.FeedbackExpired]; (n == 1) != c.gone {
				t.Errorf("%d expired", n)
			}
		})
	}
}

// Who takes over gets what receivers before it hold, and nothing of one that polls. One that was taken over gets nothing
// any more once its successor has locked a message, whatever it believes (I4).
func TestTakeOver(t *testing.T) {
	for _, c := range []struct {
		name         string
		holder, next c2dqueue.Holder
		takes, gets  bool
	}{
		{"of the same", first, first, true, false},
		{"of an earlier receiver of the connection", first, second, true, true},
		{"of an earlier connection", second, third, true, true},
		{"of a later receiver of the connection", second, first, false, false},
		{"of a later connection", third, second, false, false},
		{"of one that polls", polls, third, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := queue(1)
			mustLock(t, q, 1, now, c.holder)
			if takes := q.TakeOver(c.next); takes != c.takes || q.Visible() != c.gets {
				t.Errorf("takes over %v, message visible %v", takes, q.Visible())
			}
		})
	}
	q := queue(2)
	if !q.TakeOver(third) || !q.TakeOver(second) {
		t.Error("who has locked nothing has deposed nobody")
	}
	mustLock(t, q, 1, now, third)
	if q.Return(third); q.TakeOver(first) || q.Newest != third {
		t.Errorf("after a lock that was given back: newest %v", q.Newest)
	}
	mustLock(t, q, 1, now, polls)
	if q.Newest != third {
		t.Errorf("one that polls is the newest receiver: %v", q.Newest)
	}
}

// A locked message is its holder's, also past its expiry; nobody gets it after that.
func TestExpire_whileLocked(t *testing.T) {
	late := now.Add(ttl - lock/2)
	hold := func() *c2dqueue.Queue {
		q := queue(1)
		mustLock(t, q, 1, late, first)
		q.Expire(now.Add(ttl))
		if len(q.Messages) != 1 || q.Visible() {
			t.Fatal("a locked message expired")
		}
		return q
	}
	q := hold()
	if err := q.Settle("t1", c2dqueue.Complete, now.Add(ttl), 3); err != nil || q.Ended[hubward.FeedbackSuccess] != 1 {
		t.Errorf("complete after the expiry: %v, %v", err, q.Ended)
	}
	q = hold()
	if err := q.Settle("t1", c2dqueue.Abandon, now.Add(ttl), 3); err != nil {
		t.Error(err)
	}
	q.Expire(now.Add(ttl))
	if q.Ended[hubward.FeedbackExpired] != 1 || len(q.Messages) != 0 {
		t.Errorf("abandoned after the expiry: %v", q.Ended)
	}
	q = hold()
	if q.Expire(late.Add(lock)); q.Ended[hubward.FeedbackExpired] != 1 {
		t.Errorf("lock ended after the expiry: %v", q.Ended)
	}
}

func TestPurge(t *testing.T) {
	q := queue(3)
	mustLock(t, q, 1, now, first)
	if n := q.Purge(now); n != 3 || len(q.Messages) != 0 || q.Ended[hubward.FeedbackPurged] != 3 || len(q.Records) != 3 {
		t.Errorf("%d purged, %v, %d records", n, q.Ended, len(q.Records))
	}
	if n := q.Purge(now); n != 0 {
		t.Errorf("%d purged of nothing", n)
	}
}

func TestRecords_asAsked(t *testing.T) {
	for ack, want := range map[hubward.Ack][2]int{ // of a success, of a failure
		hubward.AckNone: {0, 0}, hubward.AckPositive: {1, 0}, hubward.AckNegative: {0, 1}, hubward.AckFull: {1, 1},
	} {
		for i, outcome := range []c2dqueue.Outcome{c2dqueue.Complete, c2dqueue.Reject} {
			q := queue(1)
			q.Messages[0].Ack = ack
			mustLock(t, q, 1, now, polls)
			if err := q.Settle("t1", outcome, now, 3); err != nil || len(q.Records) != want[i] {
				t.Errorf("%s: %d records, %v, want %d", ack, len(q.Records), err, want[i])
			}
		}
	}
}

func TestDue(t *testing.T) {
	q := queue(0)
	if due := q.Due(); !due.IsZero() {
		t.Errorf("empty: %v", due)
	}
	q = queue(2)
	q.Messages[1].Expires = now.Add(time.Second)
	if due := q.Due(); !due.Equal(now.Add(time.Second)) {
		t.Errorf("visible: %v", due)
	}
	mustLock(t, q, 2, now, polls)
	if due := q.Due(); !due.Equal(now.Add(lock)) {
		t.Errorf("locked: %v", due)
	}
}

func TestReturn_ofItsHolderOnly(t *testing.T) {
	q := queue(3)
	mustLock(t, q, 1, now, polls)
	mustLock(t, q, 1, now, first)
	mustLock(t, q, 1, now, second)
	q.Return(polls)
	q.Return(first)
	wantIDs(t, "visible", mustLock(t, q, 9, now, third), "m2")
}
