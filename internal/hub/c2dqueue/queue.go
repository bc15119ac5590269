// Package c2dqueue holds the rules of a device's queue of cloud-to-device messages, and the form in which a message is
// stored. It is pure: the clock, the tokens and the stored queue are passed in, and what a rule changes is written by
// somebody else, in the same transaction in which the queue was read.
//
// A message goes this way; "visible" and "locked" are all the states that are stored:
//
//	Append ──▶ visible ──Lock──▶ locked ──complete, reject──▶ gone
//	              ▲                │
//	              ├── lock ends, return: the count stays
//	              └── abandon: one more delivery counts; at the bound it is gone
//
// A visible message whose time is over is gone: Tidy sees to that before any other rule looks. A locked one belongs to
// who holds it until the lock ends, so it may still be completed after its expiry, but it is not delivered again.
//
//	I1: sequence numbers grow with each Append and are never used twice while the identity lives.
//	I2: messages are locked in order of their sequence numbers, among those that are visible.
//	I3: whatever leaves the queue leaves a record if its sender asked for one, in the same change.
package c2dqueue

import (
	"time"

	"github.com/hubward/hubward"
)

// MaxDepth is how many messages may wait in one queue, locked ones included.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-messages-c2d.
const MaxDepth = 50

// Queue is what is stored of one device's queue, without the content of its messages. A rule changes it in place.
type Queue struct {
	Device     string
	Generation string // of the identity
	Disabled   bool   // the identity
	Next       int64  // the sequence number of the next message, from 1
	Messages   []Message

	// What the rules add, for the store to write and for the hub to count.
	Contents map[int64][]byte // of the messages that were appended, by sequence number
	Records  []Record         // feedback
	Ended    Ended
}

// Message is one message of a queue, without its content. It is comparable.
type Message struct {
	Sequence      int64
	ID            string // the message id, which feedback refers to
	Ack           hubward.Ack
	Enqueued      time.Time
	Expires       time.Time
	DeliveryCount int  // deliveries that were abandoned
	HandedOut     bool // it was delivered before
	Lock          Lock // zero: it is visible
}

// Lock keeps a message for whom it was delivered to.
type Lock struct {
	Token  string // a GUID
	Until  time.Time
	Holder string // whose connection it is; empty: of a device that polls
}

// Record is the outcome of one message whose sender asked for it.
type Record struct {
	Device     string
	Generation string
	MessageID  string
	Status     hubward.FeedbackStatus
	Time       time.Time
}

// Ended counts what left the queue, by why.
type Ended map[hubward.FeedbackStatus]int

// Append puts a message with its content at the end. Its sequence number is given here.
//
// Errors: CodeDeviceMaximumQueueDepth.
func (q *Queue) Append(m Message, content []byte) error {
	if len(q.Messages) >= MaxDepth {
		return &hubward.Error{
			Code: hubward.CodeDeviceMaximumQueueDepth, Device: q.Device,
			Message: "The device has as many messages waiting as its queue can hold.",
		}
	}
	m.Sequence = q.Next
	q.Next++
	q.Messages = append(q.Messages, m)
	if q.Contents == nil {
		q.Contents = make(map[int64][]byte)
	}
	q.Contents[m.Sequence] = content
	return nil
}

// Tidy ends the locks whose time is over and those of connections other than live, and removes visible messages that
// have expired. Every other rule but Settle and Return comes after it.
func (q *Queue) Tidy(now time.Time, live string) {
	q.keep(func(m *Message) bool {
		if m.Lock.ended(now, live) {
			m.Lock = Lock{}
		}
		if m.visible() && !now.Before(m.Expires) {
			q.end(m, hubward.FeedbackExpired, now)
			return false
		}
		return true
	})
}

func (l *Lock) ended(now time.Time, live string) bool {
	return l.Token != "" && (!now.Before(l.Until) || l.Holder != "" && l.Holder != live)
}

func (m *Message) visible() bool { return m.Lock.Token == "" }

// Lock locks up to n visible messages, the oldest first, and returns them with their locks, and with HandedOut as it was
// before. token makes a token for each.
func (q *Queue) Lock(n int, until time.Time, holder string, token func() (string, error)) ([]Message, error) {
	var locked []Message
	for i := range q.Messages {
		m := &q.Messages[i]
		if len(locked) == n {
			break
		}
		if !m.visible() {
			continue
		}
		t, err := token()
		if err != nil {
			return nil, err
		}
		m.Lock = Lock{Token: t, Until: until, Holder: holder}
		locked = append(locked, *m)
		m.HandedOut = true
	}
	return locked, nil
}

// Visible reports whether a message waits that nobody holds.
func (q *Queue) Visible() bool {
	for i := range q.Messages {
		if q.Messages[i].visible() {
			return true
		}
	}
	return false
}

// Purge removes all messages, locked or not, and returns how many there were.
func (q *Queue) Purge(now time.Time) int {
	n := len(q.Messages)
	q.keep(func(m *Message) bool {
		q.end(m, hubward.FeedbackPurged, now)
		return false
	})
	return n
}

// Due returns when Tidy has something to do, zero for never.
func (q *Queue) Due() time.Time {
	var due time.Time
	for i := range q.Messages {
		m := &q.Messages[i]
		at := m.Expires
		if !m.visible() {
			at = m.Lock.Until
		}
		if due.IsZero() || at.Before(due) {
			due = at
		}
	}
	return due
}

// keep removes the messages that keep refuses. keep may change a message.
func (q *Queue) keep(keep func(*Message) bool) {
	left := q.Messages[:0]
	for i := range q.Messages {
		if m := q.Messages[i]; keep(&m) {
			left = append(left, m)
		}
	}
	q.Messages = left
}

// end notes that a message leaves the queue.
func (q *Queue) end(m *Message, status hubward.FeedbackStatus, now time.Time) {
	if q.Ended == nil {
		q.Ended = make(Ended)
	}
	q.Ended[status]++
	if wants(m.Ack, status) {
		q.Records = append(q.Records, Record{
			Device: q.Device, Generation: q.Generation, MessageID: m.ID, Status: status, Time: now,
		})
	}
}

// wants says whether a sender who asked for ack hears of an outcome.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-messages-c2d, message feedback.
func wants(ack hubward.Ack, status hubward.FeedbackStatus) bool {
	if status == hubward.FeedbackSuccess {
		return ack == hubward.AckPositive || ack == hubward.AckFull
	}
	return ack == hubward.AckNegative || ack == hubward.AckFull
}
