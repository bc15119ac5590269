package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/c2dqueue"
)

var queueTests = []test{
	{"newQueueIsEmpty", func(t *testing.T, s hub.Store) {
		withHome(t, s)
		create(t, s, homeHub, aDevice("d"))
		wantNewQueue(t, s, "d")
	}},
	{"keepEveryField", testQueueFields},
	{"saveWhatChanged", testQueueChanges},
	{"tellsOfTheIdentity", testQueueIdentity},
	{"unknownDevice", testQueueUnknown},
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

func aRecord(device string, sequence int64) c2dqueue.Record {
	return c2dqueue.Record{
		Device: device, Generation: aDevice(device).GenerationID, MessageID: aMessage(sequence).ID,
		Status: hubward.FeedbackSuccess, Time: aTime,
	}
}

// editQueue runs one edit that has to succeed.
func editQueue(t *testing.T, s hub.Store, device string, change func(*c2dqueue.Queue) error) {
	t.Helper()
	e := &hub.QueueEdit{Hub: homeHub, Device: device, Edit: change}
	if err := s.EditQueues(t.Context(), []*hub.QueueEdit{e}); err != nil {
		t.Fatalf("EditQueues: %v", err)
	}
	if e.Err != nil {
		t.Fatalf("edit of the queue of %s: %v", device, e.Err)
	}
}

// fillQueue appends messages until the last one has number n.
func fillQueue(t *testing.T, s hub.Store, device string, n int64) {
	t.Helper()
	editQueue(t, s, device, func(q *c2dqueue.Queue) error {
		for q.Next <= n {
			if err := q.Append(aMessage(q.Next), []byte(numbers[q.Next])); err != nil {
				return err
			}
		}
		return nil
	})
}

// lockMessage locks the first visible message.
func lockMessage(t *testing.T, s hub.Store, device string) {
	t.Helper()
	editQueue(t, s, device, func(q *c2dqueue.Queue) error {
		_, err := q.Lock(1, aTime.Add(time.Minute), "holder", func() (string, error) { return "token", nil })
		return err
	})
}

// endMessage removes the oldest message with feedback.
func endMessage(t *testing.T, s hub.Store, device string) {
	t.Helper()
	editQueue(t, s, device, func(q *c2dqueue.Queue) error {
		q.Messages[0].Lock = c2dqueue.Lock{Token: "end", Until: aTime.Add(time.Hour)}
		return q.Settle("end", c2dqueue.Complete, aTime, 10)
	})
}

func readQueue(t *testing.T, s hub.Store, device string) c2dqueue.Queue {
	t.Helper()
	var got c2dqueue.Queue
	editQueue(t, s, device, func(q *c2dqueue.Queue) error {
		got = *q
		got.Messages = slices.Clone(q.Messages)
		return nil
	})
	return got
}

func wantNewQueue(t *testing.T, s hub.Store, device string) {
	t.Helper()
	wantEqual(t, "new queue", readQueue(t, s, device), c2dqueue.Queue{Device: device, Generation: aDevice(device).GenerationID, Next: 1})
}

func wantContents(t *testing.T, s hub.Store, device string, first, last int64, want ...string) {
	t.Helper()
	var got []string
	err := s.QueuedContents(t.Context(), homeHub, device, first, last, func(sequence int64, content []byte) {
		got = append(got, fmt.Sprintf("%d:%s", sequence, content))
	})
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "contents", got, want)
}

func wantDue(t *testing.T, s hub.Store, want ...hub.DueQueue) {
	t.Helper()
	got, err := s.DueQueues(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "due queues", got, want)
}

func testQueueFields(t *testing.T, s hub.Store) {
	withHome(t, s)
	create(t, s, homeHub, aDevice("d"))
	fillQueue(t, s, "d", 2)
	locked := aMessage(1)
	locked.DeliveryCount, locked.HandedOut = 7, true
	locked.Lock = c2dqueue.Lock{Token: "t", Until: aTime.Add(time.Minute), Holder: "h"}
	editQueue(t, s, "d", func(q *c2dqueue.Queue) error {
		q.Messages[0] = locked
		return nil
	})
	want := c2dqueue.Queue{Device: "d", Generation: aDevice("d").GenerationID, Next: 3, Messages: []c2dqueue.Message{locked, aMessage(2)}}
	wantEqual(t, "queue", readQueue(t, s, "d"), want)
}

// testQueueChanges has one edit that adds, changes and removes.
func testQueueChanges(t *testing.T, s hub.Store) {
	withHome(t, s)
	create(t, s, homeHub, aDevice("d"))
	fillQueue(t, s, "d", 4)
	changed := aMessage(3)
	changed.DeliveryCount = 1
	editQueue(t, s, "d", func(q *c2dqueue.Queue) error {
		q.Messages = []c2dqueue.Message{aMessage(2), changed}
		return q.Append(aMessage(5), []byte("five"))
	})
	got := readQueue(t, s, "d")
	wantEqual(t, "messages", got.Messages, []c2dqueue.Message{aMessage(2), changed, aMessage(5)})
	wantContents(t, s, "d", 1, 9, "2:two", "3:three", "5:five")
	editQueue(t, s, "d", func(q *c2dqueue.Queue) error { q.Messages = nil; return nil })
	got = readQueue(t, s, "d")
	wantEqual(t, "emptied queue", got, c2dqueue.Queue{Device: "d", Generation: got.Generation, Next: 6})
	wantContents(t, s, "d", 1, 9)
	wantDue(t, s)
}

func testQueueIdentity(t *testing.T, s hub.Store) {
	withHome(t, s)
	d := aDevice("d")
	d.Status = hubward.StatusDisabled
	create(t, s, homeHub, d)
	if q := readQueue(t, s, "d"); !q.Disabled || q.Generation != d.GenerationID {
		t.Errorf("queue %+v", q)
	}
}

func testQueueUnknown(t *testing.T, s hub.Store) {
	withHome(t, s)
	create(t, s, homeHub, aDevice("d"))
	failure := errors.New("no queue")
	for _, key := range []hub.QueueEdit{{Hub: homeHub, Device: "unknown"}, {Hub: "nowhere", Device: "d"}} {
		calls := 0
		key.Edit = func(q *c2dqueue.Queue) error {
			if calls++; q != nil {
				t.Errorf("%s/%s has a queue", key.Hub, key.Device)
			}
			return failure
		}
		if err := s.EditQueues(t.Context(), []*hub.QueueEdit{&key}); err != nil || key.Err != failure || calls == 0 {
			t.Errorf("%s/%s: %v, %v, %d calls", key.Hub, key.Device, err, key.Err, calls)
		}
	}
	if err := s.EditQueues(t.Context(), nil); err != nil {
		t.Errorf("no edits: %v", err)
	}
}

func testQueueFailure(t *testing.T, s hub.Store) {
	withHome(t, s)
	create(t, s, homeHub, aDevice("d"))
	create(t, s, homeHub, aDevice("e"))
	fillQueue(t, s, "d", 1)
	failure := errors.New("refused")
	appendTo := func(err error) func(*c2dqueue.Queue) error {
		return func(q *c2dqueue.Queue) error {
			q.Records = append(q.Records, aRecord(q.Device, 1))
			q.Messages = nil
			return errors.Join(q.Append(aMessage(q.Next), nil), err)
		}
	}
	edits := []*hub.QueueEdit{
		{Hub: homeHub, Device: "d", Edit: appendTo(failure)},
		{Hub: homeHub, Device: "e", Edit: appendTo(nil)},
	}
	if err := s.EditQueues(t.Context(), edits); err != nil || !errors.Is(edits[0].Err, failure) || edits[1].Err != nil {
		t.Fatalf("%v, %v, %v", err, edits[0].Err, edits[1].Err)
	}
	wantEqual(t, "refused", readQueue(t, s, "d").Messages, []c2dqueue.Message{aMessage(1)})
	wantEqual(t, "accepted", readQueue(t, s, "e").Messages, []c2dqueue.Message{aMessage(1)})
	makeBatch(t, s, 1)
	wantEqual(t, "feedback", lockBatch(t, s, "t", aTime).Records, []c2dqueue.Record{aRecord("e", 1)})
}

func testQueueNumbers(t *testing.T, s hub.Store) {
	withHome(t, s)
	create(t, s, homeHub, aDevice("d"))
	fillQueue(t, s, "d", 2)
	endMessage(t, s, "d")
	endMessage(t, s, "d")
	if q := readQueue(t, s, "d"); q.Next != 3 {
		t.Errorf("next number %d", q.Next)
	}
	edit(t, s, homeHub, "d", func(old *hubward.Device) (*hubward.Device, error) { return old, nil })
	if q := readQueue(t, s, "d"); q.Next != 3 {
		t.Errorf("next number %d after an edit of the identity", q.Next)
	}
}

func testQueueCount(t *testing.T, s hub.Store) {
	withHome(t, s)
	d := aDevice("d")
	d.CloudToDeviceMessageCount = 9
	create(t, s, homeHub, d)
	create(t, s, homeHub, aDevice("e"))
	for want := range 3 {
		fillQueue(t, s, "d", int64(want))
		if got := device(t, s, homeHub, "d").CloudToDeviceMessageCount; got != want {
			t.Errorf("%d messages, want %d", got, want)
		}
	}
	endMessage(t, s, "d")
	list, err := s.Devices(t.Context(), homeHub, 10)
	if err != nil || len(list) != 2 || list[0].CloudToDeviceMessageCount != 1 || list[1].CloudToDeviceMessageCount != 0 {
		t.Errorf("list %+v, %v", list, err)
	}
	edit(t, s, homeHub, "d", func(old *hubward.Device) (*hubward.Device, error) {
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
	withHome(t, s)
	create(t, s, homeHub, aDevice("d"))
	create(t, s, homeHub, aDevice("e"))
	fillQueue(t, s, "d", 3)
	fillQueue(t, s, "e", 3)
	endMessage(t, s, "d")
	endMessage(t, s, "e")
	makeBatch(t, s, 2)
	endMessage(t, s, "d")
	edit(t, s, homeHub, "d", remove)
	create(t, s, homeHub, aDevice("d"))
	wantNewQueue(t, s, "d")
	wantContents(t, s, "d", 1, 9)
	wantDue(t, s, hub.DueQueue{Hub: homeHub, Device: "e", Due: aMessage(2).Expires})
	wantEqual(t, "feedback", lockBatch(t, s, "t", aTime).Records, []c2dqueue.Record{aRecord("e", 1)})
	if taken, left := batch(t, s, 1, 64); taken != 0 || left != 0 {
		t.Errorf("%d and %d records of a deleted device", taken, left)
	}
}

func testQueueDue(t *testing.T, s hub.Store) {
	withHome(t, s)
	for _, id := range []string{"a", "b", "c"} {
		create(t, s, homeHub, aDevice(id))
	}
	fillQueue(t, s, "a", 1)
	fillQueue(t, s, "b", 1)
	lockMessage(t, s, "b")
	b := hub.DueQueue{Hub: homeHub, Device: "b", Due: aTime.Add(time.Minute)}
	wantDue(t, s, b, hub.DueQueue{Hub: homeHub, Device: "a", Due: aMessage(1).Expires})
	if got, err := s.DueQueues(t.Context(), 1); err != nil || len(got) != 1 || got[0] != b {
		t.Errorf("one due queue: %v, %v", got, err)
	}
	if got, err := s.DueQueues(t.Context(), 0); err != nil || len(got) != 0 {
		t.Errorf("no due queue: %v, %v", got, err)
	}
}

func testQueueContents(t *testing.T, s hub.Store) {
	withHome(t, s)
	create(t, s, homeHub, aDevice("d"))
	fillQueue(t, s, "d", 4)
	wantContents(t, s, "d", 2, 3, "2:two", "3:three")
	wantContents(t, s, "d", 4, 4, "4:four")
	wantContents(t, s, "d", 5, 9)
	wantContents(t, s, "D", 1, 9)
	long := strings.Repeat("\x00\xff", 40<<10)
	editQueue(t, s, "d", func(q *c2dqueue.Queue) error { return q.Append(aMessage(5), []byte(long)) })
	wantContents(t, s, "d", 5, 5, "5:"+long)
}

func testQueueHubs(t *testing.T, s hub.Store) {
	withHome(t, s)
	saveHub(t, s, aHub("other", aTime))
	create(t, s, homeHub, aDevice("d"))
	create(t, s, "other", aDevice("d"))
	edits := []*hub.QueueEdit{{Hub: homeHub, Device: "d"}, {Hub: "other", Device: "d"}, {Hub: homeHub, Device: "d"}}
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
