//go:build crash

package crashtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hubward/hubward"
)

// maxDeliveries is how often a letter may be abandoned: the hub's default.
const maxDeliveries = 10

// batch is one feedback message.
type batch struct {
	body  string
	ended bool // the hub has confirmed that it is completed
}

// feedback notes a feedback message and checks D6. It reports whether the message is new.
func (p *post) feedback(id string, body []byte) (isNew bool, err error) {
	var records []*hubward.Feedback
	if err := json.Unmarshal(body, &records); err != nil || len(records) == 0 {
		return false, violated("D6: the feedback message %s: %.200q (%v)", id, body, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if known := p.batches[id]; known != nil {
		switch {
		case known.ended:
			return false, violated("D6: the feedback message %s comes again after it was completed", id)
		case known.body != string(body):
			return false, violated("D6: the feedback message %s was %s and is %s now", id, known.body, body)
		}
		return false, nil
	}
	p.batches[id] = &batch{body: string(body)}
	for _, r := range records {
		if err := p.recordLocked(id, r); err != nil {
			return false, err
		}
	}
	return true, nil
}

// recordLocked notes what became of a letter.
func (p *post) recordLocked(batch string, r *hubward.Feedback) error {
	number := -1
	if _, err := fmt.Sscanf(r.OriginalMessageID, "letter-%d", &number); err != nil || number < 0 || number >= len(p.letters) {
		return violated("D6: feedback on %q, which nobody sent", r.OriginalMessageID)
	}
	l := p.letters[number]
	switch {
	case r.DeviceID != l.device:
		return violated("D6: feedback on %s of %s, which is for %s", l.id(), r.DeviceID, l.device)
	case l.fate == unsent:
		return violated("D1: feedback %s on %s, which was refused", r.StatusCode, l.id())
	case l.record != nil:
		return violated("D1: %s ends twice: %s, and %s of %s in %s", l.id(), l.storyLocked(), r.StatusCode, r.EnqueuedTime, batch)
	}
	l.record, l.recorded, l.batch = r, time.Now(), batch
	return nil
}

// feedbackEnded notes that the hub has confirmed that a feedback message is completed.
func (p *post) feedbackEnded(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.batches[id].ended = true
	p.promisedLocked(forgets)
}

// told reports whether there is feedback on every letter that is known to be stored.
func (p *post) told() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.letters {
		if l.storedLocked() && l.record == nil {
			return false
		}
	}
	return true
}

// storedLocked says whether the letter was in a queue for certain.
func (l *letter) storedLocked() bool { return l.fate == accepted || l.deliveries > 0 }

// tally is how many letters ended in which way.
type tally struct {
	unknown int // of the senders' calls
	pending int
	ends    map[hubward.FeedbackStatus]int
}

// verdict checks D1, D3 and D5 for all letters, when all is over.
func (p *post) verdict() (tally, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	sum := tally{ends: make(map[hubward.FeedbackStatus]int)}
	for _, l := range p.letters {
		if err := l.checkLocked(); err != nil {
			errs = append(errs, err)
		}
		if l.record != nil {
			sum.ends[l.record.StatusCode]++
		}
		if l.pending {
			sum.pending++
		}
		if l.fate == unknown {
			sum.unknown++
		}
	}
	return sum, errors.Join(append(errs, p.orderLocked()...)...)
}

// checkLocked compares what the hub says became of a letter with what its device did.
func (l *letter) checkLocked() error {
	r := l.record
	switch {
	case l.fate == unsent:
		return fmt.Errorf("%s was never sent", l.id())
	case r == nil && l.storedLocked():
		return fmt.Errorf("D1: %s has vanished: %s", l.id(), l.storyLocked())
	case r == nil:
		return nil // it was not stored
	}
	ok, done := false, l.confirmed[complete]+l.confirmed[reject]
	switch r.StatusCode {
	case hubward.FeedbackSuccess:
		ok = l.tried[complete] > 0 && l.confirmed[reject] == 0
	case hubward.FeedbackRejected:
		ok = l.tried[reject] > 0 && l.confirmed[complete] == 0
	case hubward.FeedbackDeliveryCountExceeded:
		ok = l.confirmed[abandon] <= maxDeliveries && l.tried[abandon] >= maxDeliveries && done == 0
	case hubward.FeedbackExpired:
		ok = !l.expires.IsZero() && !r.EnqueuedTime.Before(l.expires) && done == 0
	}
	if l.confirmed[abandon] >= maxDeliveries && r.StatusCode != hubward.FeedbackDeliveryCountExceeded {
		ok = false
	}
	if !ok {
		return fmt.Errorf("D3: the feedback on %s is not what became of it: %s", l.id(), l.storyLocked())
	}
	return nil
}

// orderLocked compares the places in a queue with the order in which letters were accepted.
func (p *post) orderLocked() (errs []error) {
	for _, a := range p.letters {
		for _, b := range p.letters {
			known := a.sequence > 0 && b.sequence > 0 && a.device == b.device && a.fate == accepted
			if known && a.ended.Before(b.begun) && a.sequence > b.sequence {
				errs = append(errs, fmt.Errorf("D5: %s was accepted before %s was sent, but their numbers are %d and %d", a.id(), b.id(), a.sequence, b.sequence))
			}
		}
	}
	return errs
}
