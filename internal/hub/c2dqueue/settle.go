package c2dqueue

import (
	"time"

	"github.com/hubward/hubward"
)

// Outcome is what becomes of a delivered message.
type Outcome int

// The outcomes.
const (
	Complete Outcome = iota // done: it leaves the queue
	Reject                  // never again: it leaves the queue
	Abandon                 // it was given back, which counts
	Return                  // it comes back without a count: the connection ended
	Unsent                  // as Return, and it was not handed out at all
)

// Settle ends the lock of a message. An abandoned message that was delivered maxDeliveries times leaves the queue; one
// that comes back after its expiry leaves it at the next Expire.
//
// Errors: CodeDeviceMessageLockLost when the lock has ended or never was.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-messages-c2d.
func (q *Queue) Settle(token string, o Outcome, now time.Time, maxDeliveries int) error {
	found := false
	q.keep(func(m *Message) bool {
		if token == "" || m.Lock.Token != token || !now.Before(m.Lock.Until) {
			return true
		}
		found = true
		return q.settle(m, o, now, maxDeliveries)
	})
	if !found {
		return &hubward.Error{
			Code: hubward.CodeDeviceMessageLockLost, Identity: q.Identity,
			Message: "The lock of the message has ended, or the message is not there any more.",
		}
	}
	return nil
}

// settle reports whether m stays in the queue.
func (q *Queue) settle(m *Message, o Outcome, now time.Time, maxDeliveries int) bool {
	m.Lock = Lock{}
	switch o {
	case Complete:
		q.end(m, hubward.FeedbackSuccess, now)
		return false
	case Reject:
		q.end(m, hubward.FeedbackRejected, now)
		return false
	case Abandon:
		m.DeliveryCount++
		if m.DeliveryCount >= maxDeliveries {
			q.end(m, hubward.FeedbackDeliveryCountExceeded, now)
			return false
		}
	case Unsent:
		// It may have been handed out by an earlier lock, which the caller knows and then says Return.
		m.HandedOut = false
	}
	return true
}

// Return gives back all messages of a receiver.
func (q *Queue) Return(h Holder) {
	for i := range q.Messages {
		if m := &q.Messages[i]; m.Lock.Holder == h && h != (Holder{}) {
			m.Lock = Lock{}
		}
	}
}
