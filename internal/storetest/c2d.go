package storetest

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/c2d"
	"github.com/hubward/hubward/internal/hub/c2dqueue"
)

var queueTests = []test{
	{"newQueueIsEmpty", func(t *testing.T, s hub.Store) {
		withHome(t, s, "d")
		wantNewQueue(t, s, dev("d"))
	}},
	{"keepEveryField", testQueueFields},
	{"keepTheNewestReceiver", testQueueNewest},
	{"saveWhatChanged", testQueueChanges},
	{"tellsOfTheIdentity", testQueueIdentity},
	{"unknownIdentity", testQueueUnknown},
	{"failureIsItsOwn", testQueueFailure},
	{"numbersAreNotUsedAgain", testQueueNumbers},
	{"countInTheIdentity", testQueueCount},
	{"goWithTheIdentity", testQueueDelete},
	{"dueFirst", testQueueDue},
	{"contentsOfARange", testQueueContents},
	{"ofSeveralHubs", testQueueHubs},
}

// numbers name messages, and are their contents.
var numbers = []string{"", "one", "two", "three", "four", "five"}

// aMessage is the message with a sequence number; fields that a store keeps are set.
func aMessage(sequence int64) c2dqueue.Message {
	return c2dqueue.Message{
		Sequence: sequence, ID: "id \u00fc '" + numbers[sequence] + "'", Ack: hubward.AckFull,
		Enqueued: aTime.Add(time.Duration(sequence) * 100), Expires: aTime.Add(time.Duration(sequence) * time.Hour),
	}
}

func aRecord(id hubward.Identity, sequence int64) c2dqueue.Record {
	return c2dqueue.Record{
		Identity: id, Generation: anIdentity(id).GenerationID, MessageID: aMessage(sequence).ID,
		Status: hubward.FeedbackSuccess, Time: aTime,
	}
}

// home names a queue of the home hub.
func home(id hubward.Identity) c2d.Key { return c2d.Key{Hub: homeHub, Identity: id} }

// editQueue runs one edit that has to succeed.
func editQueue(t *testing.T, s hub.Store, id hubward.Identity, change func(*c2dqueue.Queue) error) {
	t.Helper()
	e := &c2d.Edit{Key: home(id), Edit: change}
	if err := s.EditQueues(t.Context(), []*c2d.Edit{e}); err != nil {
		t.Fatalf("EditQueues: %v", err)
	}
	if e.Err != nil {
		t.Fatalf("edit of the queue of %s: %v", id, e.Err)
	}
}

// fillQueue appends messages until the last one has number n.
func fillQueue(t *testing.T, s hub.Store, id hubward.Identity, n int64) {
	t.Helper()
	editQueue(t, s, id, func(q *c2dqueue.Queue) error {
		for q.Next <= n {
			if err := q.Append(aMessage(q.Next), []byte(numbers[q.Next])); err != nil {
				return err
			}
		}
		return nil
	})
}

// aHolder is a receiver of the newest claim that there can be.
var aHolder = c2dqueue.Holder{Fence: math.MaxInt64, Receiver: 2}

// lockMessage locks the first visible message for a minute.
func lockMessage(t *testing.T, s hub.Store, id hubward.Identity, holder c2dqueue.Holder) {
	t.Helper()
	editQueue(t, s, id, func(q *c2dqueue.Queue) error {
		_, err := q.Lock(1, aTime.Add(time.Minute), holder, func() (string, error) { return "token", nil })
		return err
	})
}

// endMessage removes the oldest message with feedback.
func endMessage(t *testing.T, s hub.Store, id hubward.Identity) {
	t.Helper()
	editQueue(t, s, id, func(q *c2dqueue.Queue) error {
		q.Messages[0].Lock = c2dqueue.Lock{Token: "end", Until: aTime.Add(time.Hour)}
		return q.Settle("end", c2dqueue.Complete, aTime, 10)
	})
}

func readQueue(t *testing.T, s hub.Store, id hubward.Identity) c2dqueue.Queue {
	t.Helper()
	var got c2dqueue.Queue
	editQueue(t, s, id, func(q *c2dqueue.Queue) error {
		got = *q
		got.Messages = slices.Clone(q.Messages)
		return nil
	})
	return got
}

// aQueue is what is stored of a queue with these messages.
func aQueue(id hubward.Identity, next int64, messages ...c2dqueue.Message) c2dqueue.Queue {
	return c2dqueue.Queue{Identity: id, Generation: anIdentity(id).GenerationID, Next: next, Messages: messages}
}

func wantNewQueue(t *testing.T, s hub.Store, id hubward.Identity) {
	t.Helper()
	wantEqual(t, "new queue", readQueue(t, s, id), aQueue(id, 1))
}

func wantContents(t *testing.T, s hub.Store, id hubward.Identity, first, last int64, want ...string) {
	t.Helper()
	var got []string
	err := s.QueuedContents(t.Context(), home(id), first, last, func(sequence int64, content []byte) {
		got = append(got, fmt.Sprintf("%d:%s", sequence, content))
	})
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "contents", got, want)
}

func wantDue(t *testing.T, s hub.Store, want ...c2d.Due) {
	t.Helper()
	got, err := s.DueQueues(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "due queues", got, want)
}

func testQueueFields(t *testing.T, s hub.Store) {
	withHome(t, s, "d")
	create(t, s, homeHub, anIdentity(mod("d", "m")))
	for _, id := range []hubward.Identity{dev("d"), mod("d", "m")} {
		fillQueue(t, s, id, 3)
		locked, polled := aMessage(1), aMessage(2)
		locked.DeliveryCount, locked.HandedOut = 7, true
		locked.Lock = c2dqueue.Lock{Token: "t", Until: aTime.Add(time.Minute), Holder: aHolder}
		polled.HandedOut = true
		polled.Lock = c2dqueue.Lock{Token: "u", Until: aTime.Add(time.Second)}
		editQueue(t, s, id, func(q *c2dqueue.Queue) error {
			q.Messages[0], q.Messages[1] = locked, polled
			return nil
		})
		wantEqual(t, "queue", readQueue(t, s, id), aQueue(id, 4, locked, polled, aMessage(3)))
	}
}

// testQueueNewest: the newest receiver is remembered when what it locked is gone, until the identity is.
func testQueueNewest(t *testing.T, s hub.Store) {
	withHome(t, s, "d", "e")
	fillQueue(t, s, dev("d"), 1)
	lockMessage(t, s, dev("d"), aHolder)
	endMessage(t, s, dev("d"))
	want := aQueue(dev("d"), 2)
	want.Newest = aHolder
	wantEqual(t, "queue", readQueue(t, s, dev("d")), want)

	editQueue(t, s, dev("e"), func(q *c2dqueue.Queue) error { // before its first message
		q.Newest = c2dqueue.Holder{Fence: 1, Receiver: 1}
		return nil
	})
	if got := readQueue(t, s, dev("e")).Newest; got != (c2dqueue.Holder{Fence: 1, Receiver: 1}) {
		t.Errorf("newest receiver %v", got)
	}
	edit(t, s, homeHub, dev("d"), remove)
	create(t, s, homeHub, aDevice("d"))
	wantNewQueue(t, s, dev("d"))
}

// testQueueChanges has one edit that adds, changes and removes.
func testQueueChanges(t *testing.T, s hub.Store) {
	withHome(t, s, "d")
	fillQueue(t, s, dev("d"), 4)
	changed := aMessage(3)
	changed.DeliveryCount = 1
	editQueue(t, s, dev("d"), func(q *c2dqueue.Queue) error {
		q.Messages = []c2dqueue.Message{aMessage(2), changed}
		return q.Append(aMessage(5), []byte("five"))
	})
	got := readQueue(t, s, dev("d"))
	wantEqual(t, "messages", got.Messages, []c2dqueue.Message{aMessage(2), changed, aMessage(5)})
	wantContents(t, s, dev("d"), 1, 9, "2:two", "3:three", "5:five")
	editQueue(t, s, dev("d"), func(q *c2dqueue.Queue) error { q.Messages = nil; return nil })
	wantEqual(t, "emptied queue", readQueue(t, s, dev("d")), aQueue(dev("d"), 6))
	wantContents(t, s, dev("d"), 1, 9)
	wantDue(t, s)
}

func testQueueIdentity(t *testing.T, s hub.Store) {
	withHome(t, s)
	d := aDevice("d")
	d.Status = hubward.StatusDisabled
	create(t, s, homeHub, d)
	if q := readQueue(t, s, dev("d")); !q.Disabled || q.Generation != d.GenerationID {
		t.Errorf("queue %+v", q)
	}
}

func testQueueUnknown(t *testing.T, s hub.Store) {
	withHome(t, s, "d")
	failure := errors.New("no queue")
	for _, key := range []c2d.Key{home(dev("unknown")), home(mod("d", "m")), {Hub: "nowhere", Identity: dev("d")}} {
		calls := 0
		e := &c2d.Edit{Key: key, Edit: func(q *c2dqueue.Queue) error {
			if calls++; q != nil {
				t.Errorf("%v has a queue", key)
			}
			return failure
		}}
		if err := s.EditQueues(t.Context(), []*c2d.Edit{e}); err != nil || e.Err != failure || calls == 0 {
			t.Errorf("%v: %v, %v, %d calls", key, err, e.Err, calls)
		}
	}
	if err := s.EditQueues(t.Context(), nil); err != nil {
		t.Errorf("no edits: %v", err)
	}
}

func testQueueFailure(t *testing.T, s hub.Store) {
	withHome(t, s, "d", "e")
	fillQueue(t, s, dev("d"), 1)
	failure := errors.New("refused")
	appendTo := func(err error) func(*c2dqueue.Queue) error {
		return func(q *c2dqueue.Queue) error {
			q.Records = append(q.Records, aRecord(q.Identity, 1))
			q.Messages = nil
			return errors.Join(q.Append(aMessage(q.Next), nil), err)
		}
	}
	edits := []*c2d.Edit{
		{Key: home(dev("d")), Edit: appendTo(failure)},
		{Key: home(dev("e")), Edit: appendTo(nil)},
	}
	if err := s.EditQueues(t.Context(), edits); err != nil || !errors.Is(edits[0].Err, failure) || edits[1].Err != nil {
		t.Fatalf("%v, %v, %v", err, edits[0].Err, edits[1].Err)
	}
	wantEqual(t, "refused", readQueue(t, s, dev("d")).Messages, []c2dqueue.Message{aMessage(1)})
	wantEqual(t, "accepted", readQueue(t, s, dev("e")).Messages, []c2dqueue.Message{aMessage(1)})
	batchAll(t, s, 1)
	wantEqual(t, "feedback", lockFeedback(t, s, "t", aTime).Feedback, []c2dqueue.Record{aRecord(dev("e"), 1)})
}

func testQueueNumbers(t *testing.T, s hub.Store) {
	withHome(t, s, "d")
	fillQueue(t, s, dev("d"), 2)
	endMessage(t, s, dev("d"))
	endMessage(t, s, dev("d"))
	if q := readQueue(t, s, dev("d")); q.Next != 3 {
		t.Errorf("next number %d", q.Next)
	}
	edit(t, s, homeHub, dev("d"), func(old *hub.Registration) (*hub.Registration, error) { return old, nil })
	if q := readQueue(t, s, dev("d")); q.Next != 3 {
		t.Errorf("next number %d after an edit of the identity", q.Next)
	}
}

func testQueueCount(t *testing.T, s hub.Store) {
	withHome(t, s, "e")
	d := aDevice("d")
	d.CloudToDeviceMessageCount = 9
	create(t, s, homeHub, d)
	for want := range 3 {
		fillQueue(t, s, dev("d"), int64(want))
		if got := device(t, s, homeHub, "d").CloudToDeviceMessageCount; got != want {
			t.Errorf("%d messages, want %d", got, want)
		}
	}
	endMessage(t, s, dev("d"))
	list, err := s.Devices(t.Context(), homeHub, "", 10)
	if err != nil || len(list) != 2 || list[0].CloudToDeviceMessageCount != 1 || list[1].CloudToDeviceMessageCount != 0 {
		t.Errorf("list %+v, %v", list, err)
	}
	edit(t, s, homeHub, dev("d"), func(old *hub.Registration) (*hub.Registration, error) {
		if old.CloudToDeviceMessageCount != 1 {
			t.Errorf("an edit sees %d messages", old.CloudToDeviceMessageCount)
		}
		old.CloudToDeviceMessageCount = 5
		return old, nil
	})
	if got := device(t, s, homeHub, "d").CloudToDeviceMessageCount; got != 1 {
		t.Errorf("%d messages after an edit of the identity", got)
	}
}

func testQueueDelete(t *testing.T, s hub.Store) {
	withHome(t, s, "d", "e")
	fillQueue(t, s, dev("d"), 3)
	fillQueue(t, s, dev("e"), 3)
	endMessage(t, s, dev("d"))
	endMessage(t, s, dev("e"))
	batchAll(t, s, 2)
	endMessage(t, s, dev("d"))
	edit(t, s, homeHub, dev("d"), remove)
	create(t, s, homeHub, aDevice("d"))
	wantNewQueue(t, s, dev("d"))
	wantContents(t, s, dev("d"), 1, 9)
	wantDue(t, s, c2d.Due{Key: home(dev("e")), At: aMessage(2).Expires})
	wantEqual(t, "feedback", lockFeedback(t, s, "t", aTime).Feedback, []c2dqueue.Record{aRecord(dev("e"), 1)})
	if taken, left := batch(t, s, 1, 64); taken != 0 || left != 0 {
		t.Errorf("%d and %d records of a deleted device", taken, left)
	}
}

func testQueueDue(t *testing.T, s hub.Store) {
	withHome(t, s, "a", "b", "c")
	create(t, s, homeHub, anIdentity(mod("c", "m")))
	fillQueue(t, s, dev("a"), 1)
	fillQueue(t, s, dev("b"), 1)
	lockMessage(t, s, dev("b"), c2dqueue.Holder{})
	fillQueue(t, s, mod("c", "m"), 2)
	endMessage(t, s, mod("c", "m"))
	b := c2d.Due{Key: home(dev("b")), At: aTime.Add(time.Minute)}
	wantDue(t, s, b, c2d.Due{Key: home(dev("a")), At: aMessage(1).Expires}, c2d.Due{Key: home(mod("c", "m")), At: aMessage(2).Expires})
	if got, err := s.DueQueues(t.Context(), 1); err != nil || len(got) != 1 || got[0] != b {
		t.Errorf("one due queue: %v, %v", got, err)
	}
	if got, err := s.DueQueues(t.Context(), 0); err != nil || len(got) != 0 {
		t.Errorf("no due queue: %v, %v", got, err)
	}
}

func testQueueContents(t *testing.T, s hub.Store) {
	withHome(t, s, "d")
	fillQueue(t, s, dev("d"), 4)
	wantContents(t, s, dev("d"), 2, 3, "2:two", "3:three")
	wantContents(t, s, dev("d"), 4, 4, "4:four")
	wantContents(t, s, dev("d"), 5, 9)
	wantContents(t, s, dev("D"), 1, 9)
	wantContents(t, s, mod("d", "m"), 1, 9)
	long := strings.Repeat("\x00\xff", 40<<10)
	editQueue(t, s, dev("d"), func(q *c2dqueue.Queue) error { return q.Append(aMessage(5), []byte(long)) })
	wantContents(t, s, dev("d"), 5, 5, "5:"+long)
}

func testQueueHubs(t *testing.T, s hub.Store) {
	withHome(t, s, "d")
	saveHub(t, s, aHub("other", aTime))
	create(t, s, "other", aDevice("d"))
	edits := []*c2d.Edit{{Key: home(dev("d"))}, {Key: c2d.Key{Hub: "other", Identity: dev("d")}}, {Key: home(dev("d"))}}
	for _, e := range edits {
		e.Edit = func(q *c2dqueue.Queue) error { return q.Append(aMessage(q.Next), nil) }
	}
	if err := s.EditQueues(t.Context(), edits); err != nil {
		t.Fatal(err)
	}
	if n := device(t, s, homeHub, "d").CloudToDeviceMessageCount; n != 2 {
		t.Errorf("%d messages, want 2: edits of one call see one another", n)
	}
	if n := device(t, s, "other", "d").CloudToDeviceMessageCount; n != 1 {
		t.Errorf("%d messages in the other hub, want 1", n)
	}
}
