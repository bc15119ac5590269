//go:build crash

package crashtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hubward/hubward"
)

// maxDeliveries is how often a message may be abandoned: the hub's default.
const maxDeliveries = 10

// batch is one feedback message.
type batch struct {
	body  string
	ended bool // the hub has confirmed that it is completed
}

// feedback notes a feedback message and checks D6. It reports whether the message is new.
func (l *c2dLedger) feedback(id string, body []byte) (isNew bool, err error) {
	var records []*hubward.Feedback
	if err := json.Unmarshal(body, &records); err != nil || len(records) == 0 {
		return false, violated("D6: the feedback message %s: %.200q (%v)", id, body, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if known := l.batches[id]; known != nil {
		switch {
		case known.ended:
			return false, violated("D6: the feedback message %s comes again after it was completed", id)
		case known.body != string(body):
			return false, violated("D6: the feedback message %s was %s and is %s now", id, known.body, body)
		}
		return false, nil
	}
	l.batches[id] = &batch{body: string(body)}
	for _, r := range records {
		if err := l.recordLocked(id, r); err != nil {
			return false, err
		}
	}
	return true, nil
}

// recordLocked notes what became of a message.
func (l *c2dLedger) recordLocked(batch string, r *hubward.Feedback) error {
	number := -1
	if _, err := fmt.Sscanf(r.OriginalMessageID, "message-%d", &number); err != nil || number < 0 || number >= len(l.messages) {
		return violated("D6: feedback on %q, which nobody sent", r.OriginalMessageID)
	}
	m := l.messages[number]
	switch {
	case r.DeviceID != m.device:
		return violated("D6: feedback on %s of %s, which is for %s", m.id(), r.DeviceID, m.device)
	case m.state == unsent:
		return violated("D1: feedback %s on %s, which was refused", r.StatusCode, m.id())
	case m.record != nil:
		return violated("D1: %s ends twice: %s, and %s of %s in %s", m.id(), m.historyLocked(), r.StatusCode, r.EnqueuedTime, batch)
	}
	m.record, m.recorded, m.batch = r, time.Now(), batch
	return nil
}

// feedbackEnded notes that the hub has confirmed that a feedback message is completed.
func (l *c2dLedger) feedbackEnded(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.batches[id].ended = true
	l.confirmedLocked(feedbackConfirmed)
}

// allTold reports whether there is feedback on every message that is known to be stored.
func (l *c2dLedger) allTold() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.messages {
		if m.storedLocked() && m.record == nil {
			return false
		}
	}
	return true
}

// storedLocked says whether the message was in a queue for certain.
func (m *message) storedLocked() bool { return m.state == accepted || m.deliveries > 0 }

// tally counts messages by how they ended.
type tally struct {
	unknown int // those whose sender got no answer
	pending int // those that were in their queues in the end
	ends    map[hubward.FeedbackStatus]int
}

// checkAll checks D1, D3 and D5 for all messages, when all is over.
func (l *c2dLedger) checkAll() (tally, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	sum := tally{ends: make(map[hubward.FeedbackStatus]int)}
	for _, m := range l.messages {
		if err := m.checkLocked(); err != nil {
			errs = append(errs, err)
		}
		if m.record != nil {
			sum.ends[m.record.StatusCode]++
		}
		if m.pending {
			sum.pending++
		}
		if m.state == unknown {
			sum.unknown++
		}
	}
	return sum, errors.Join(append(errs, l.orderLocked()...)...)
}

// checkLocked compares what the hub says became of a message with what its device did.
func (m *message) checkLocked() error {
	r := m.record
	switch {
	case m.state == unsent:
		return fmt.Errorf("%s was never sent", m.id())
	case r == nil && m.storedLocked():
		return fmt.Errorf("D1: %s has vanished: %s", m.id(), m.historyLocked())
	case r == nil:
		return nil // it was not stored
	}
	ok, done := false, m.confirmed[complete]+m.confirmed[reject]
	switch r.StatusCode {
	case hubward.FeedbackSuccess:
		ok = m.tried[complete] > 0 && m.confirmed[reject] == 0
	case hubward.FeedbackRejected:
		ok = m.tried[reject] > 0 && m.confirmed[complete] == 0
	case hubward.FeedbackDeliveryCountExceeded:
		ok = m.confirmed[abandon] <= maxDeliveries && m.tried[abandon] >= maxDeliveries && done == 0
	case hubward.FeedbackExpired:
		ok = !m.expires.IsZero() && !r.EnqueuedTime.Before(m.expires) && done == 0
	}
	if m.confirmed[abandon] >= maxDeliveries && r.StatusCode != hubward.FeedbackDeliveryCountExceeded {
		ok = false
	}
	if !ok {
		return fmt.Errorf("D3: the feedback on %s is not what became of it: %s", m.id(), m.historyLocked())
	}
	return nil
}

// orderLocked compares the places in a queue with the order in which messages were accepted.
func (l *c2dLedger) orderLocked() (errs []error) {
	for _, a := range l.messages {
		for _, b := range l.messages {
			known := a.sequence > 0 && b.sequence > 0 && a.device == b.device && a.state == accepted
			if known && a.ended.Before(b.begun) && a.sequence > b.sequence {
				errs = append(errs, fmt.Errorf("D5: %s was accepted before %s was sent, but their numbers are %d and %d", a.id(), b.id(), a.sequence, b.sequence))
			}
		}
	}
	return errs
}
