// Package c2dqueue holds the rules of an identity's queue of cloud-to-device messages, and the form in which a message is
// stored. It is pure: the clock, the tokens and the stored queue are passed in, and what a rule changes is written by
// somebody else, in the same transaction in which the queue was read.
//
// A message goes this way; "visible" and "locked" are all the states that are stored:
//
//	Append ──▶ visible ──Lock──▶ locked ──complete, reject──▶ gone
//	              ▲                │
//	              ├── lock ends, return, a newer receiver: the count stays
//	              └── abandon: one more delivery counts; at the bound it is gone
//
// A visible message whose time is over is gone: Expire sees to that before any other rule looks. A locked one belongs to
// its holder until the lock ends, so it may still be completed after its expiry, but it is not delivered again.
//
//	I1: sequence numbers grow with each Append and are never used twice while the identity lives.
//	I2: messages are locked in order of their sequence numbers, among those that are visible.
//	I3: whatever leaves the queue leaves a record if its sender asked for one, in the same change.
//	I4: once a receiver has locked messages, no receiver before it locks any.
package c2dqueue

import (
	"time"

	"github.com/hubward/hubward"
)

// MaxDepth is how many messages may wait in one queue, locked ones included.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-messages-c2d.
const MaxDepth = 50

// Queue is what is stored of one identity's queue, without the content of its messages. A rule changes it in place.
type Queue struct {
	Identity   hubward.Identity
	Generation string // of the identity
	Disabled   bool   // the identity
	Next       int64  // the sequence number of the next message, from 1
	Newest     Holder // the newest receiver that has locked messages
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
	Holder Holder
}

// Holder is a receiver of a connected identity: the fence of the claim by which it is connected, and the receiver's number
// within that, from 1. The zero Holder is a device that polls.
type Holder struct {
	Fence    uint64
	Receiver uint64
}

// Before reports whether h came before o. A device that polls came before nobody, and nobody before it.
func (h Holder) Before(o Holder) bool {
	if h.Fence != o.Fence {
		return h.Fence != 0 && h.Fence < o.Fence
	}
	return h.Receiver < o.Receiver
}

// Record is the outcome of one message whose sender asked for it.
type Record struct {
	Identity   hubward.Identity
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
			Code: hubward.CodeDeviceMaximumQueueDepth, Identity: q.Identity,
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

// Expire ends the locks whose time is over, and removes visible messages that have expired. Every other rule but Settle
// and the two that give messages back comes after it.
func (q *Queue) Expire(now time.Time) {
	q.keep(func(m *Message) bool {
		if m.Lock.Token != "" && !now.Before(m.Lock.Until) {
			m.Lock = Lock{}
		}
		if m.visible() && !now.Before(m.Expires) {
			q.end(m, hubward.FeedbackExpired, now)
			return false
		}
		return true
	})
}

// TakeOver makes visible what receivers before h hold: h has taken their place. It reports false, and does nothing, when
// it is h whose place was taken (I4).
func (q *Queue) TakeOver(h Holder) bool {
	if h.Before(q.Newest) {
		return false
	}
	for i := range q.Messages {
		if m := &q.Messages[i]; m.Lock.Holder.Before(h) {
			m.Lock = Lock{}
		}
	}
	return true
}

func (m *Message) visible() bool { return m.Lock.Token == "" }

// Lock locks up to n visible messages, the oldest first, and returns them with their locks, and with HandedOut as it was
// before. token makes a token for each. For a receiver it comes after TakeOver.
func (q *Queue) Lock(n int, until time.Time, holder Holder, token func() (string, error)) ([]Message, error) {
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
	if len(locked) > 0 && holder != (Holder{}) {
		q.Newest = holder
	}
	return locked, nil
}

// HeldBy returns the greatest fence of the receivers that hold messages; 0 when none does.
func (q *Queue) HeldBy() uint64 {
	var fence uint64
	for i := range q.Messages {
		fence = max(fence, q.Messages[i].Lock.Holder.Fence)
	}
	return fence
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

// Due returns when Expire has something to do, zero for never.
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
			Identity: q.Identity, Generation: q.Generation, MessageID: m.ID, Status: status, Time: now,
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
