package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/c2dqueue"
)

// A feedback message is made of so many records, or of what there is so long after the last one.
//
// Source: spec/amqp.md 6.2.
const (
	maxFeedback      = 64
	feedbackInterval = 15 * time.Second
)

// FeedbackBatch is one feedback message: 1 to 64 records.
type FeedbackBatch struct {
	ID        string // a GUID
	Enqueued  time.Time
	LockToken string // a GUID
	Count     int    // earlier deliveries that were abandoned
	Body      []byte // a JSON array of hubward.Feedback, in ASCII
}

// feedback is what a hub knows of its feedback in memory.
type feedback struct {
	mu      sync.Mutex    // guards the fields below
	changed chan struct{} // closed when there may be a message for those who wait; then there is a new one
	closed  error         // why nobody may wait any more
	waiting int           // records that are in no batch; one too many costs a look
	last    time.Time     // when the last batch was made; zero: not since the start
}

// watch returns what is closed at the next change. It comes before looking.
func (f *feedback) watch() (<-chan struct{}, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.changed == nil {
		f.changed = make(chan struct{})
	}
	return f.changed, f.closed
}

func (f *feedback) notifyLocked() {
	if f.changed != nil {
		close(f.changed)
		f.changed = nil
	}
}

func (f *feedback) notify() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.notifyLocked()
}

func (f *feedback) close(reason error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = reason
	f.notifyLocked()
}

// dueLocked returns when the next batch is to be made, zero for never.
func (f *feedback) dueLocked(now time.Time) time.Time {
	switch {
	case f.waiting == 0:
		return time.Time{}
	case f.waiting >= maxFeedback || f.last.IsZero():
		return now
	}
	return f.last.Add(feedbackInterval)
}

// feedbackAdded notes that records were stored.
func (h *Hub) feedbackAdded(hub string, n int) {
	s, _, err := h.find(hub)
	if err != nil {
		return
	}
	s.feedback.mu.Lock()
	s.feedback.waiting += n
	due := s.feedback.dueLocked(h.now())
	s.feedback.mu.Unlock()
	h.feedbackAlarm.set(due)
}

// batchFeedbackUntil makes feedback messages of records, until ctx ends. It begins with those that an earlier process
// left.
func (h *Hub) batchFeedbackUntil(ctx context.Context) {
	a := h.feedbackAlarm
	for {
		a.reset()
		h.mu.RLock()
		hubs := append([]*state(nil), h.order...)
		h.mu.RUnlock()
		for _, s := range hubs {
			a.set(h.batchFeedback(ctx, s))
		}
		if !a.wait(ctx, h.now) {
			return
		}
	}
}

// batchFeedback makes the messages of one hub that are due, and returns when the next one is.
func (h *Hub) batchFeedback(ctx context.Context, s *state) (next time.Time) {
	f := &s.feedback
	for {
		now := h.now().UTC()
		f.mu.Lock()
		due := f.dueLocked(now)
		if due.IsZero() || due.After(now) {
			f.mu.Unlock()
			return due
		}
		least := 1
		if !f.last.IsZero() && now.Before(f.last.Add(feedbackInterval)) {
			least = maxFeedback
		}
		waiting := f.waiting
		f.waiting = 0 // from here on, what others add is counted again
		f.mu.Unlock()
		made, left, err := h.makeFeedback(ctx, s, now, least)
		f.mu.Lock()
		f.waiting += left
		if err != nil {
			f.waiting += waiting
		}
		if made {
			f.last = now
			f.notifyLocked()
		}
		f.mu.Unlock()
		if err != nil {
			if ctx.Err() == nil {
				h.logger.Error("feedback could not be batched", "hub", s.name, "error", err)
			}
			return now.Add(sweepRetry)
		}
	}
}

func (h *Hub) makeFeedback(ctx context.Context, s *state, now time.Time, least int) (made bool, left int, err error) {
	h.mu.RLock()
	ttl := s.config.C2D.FeedbackTTL
	h.mu.RUnlock()
	id, err := h.newGUID()
	if err != nil {
		return false, 0, err
	}
	b := FeedbackBatchStart{ID: id, Enqueued: now, Expires: now.Add(ttl)}
	taken, left, err := h.store.BatchFeedback(ctx, s.name, b, least, maxFeedback)
	return taken > 0, left, err
}

// TakeFeedback locks the hub's next feedback message. It returns nil when there is none.
//
// Errors: CodeNoSuchHub; the store's.
func (h *Hub) TakeFeedback(ctx context.Context, hub string) (*FeedbackBatch, error) {
	s, _, err := h.find(hub)
	if err != nil {
		return nil, err
	}
	b, _, err := h.lockFeedback(ctx, s)
	return b, err
}

// WaitFeedback is TakeFeedback, but waits until there is one. Several callers compete.
//
// Errors: as TakeFeedback; CodeNoSuchHub also when the hub is deleted meanwhile; ctx's.
func (h *Hub) WaitFeedback(ctx context.Context, hub string) (*FeedbackBatch, error) {
	s, _, err := h.find(hub)
	if err != nil {
		return nil, err
	}
	for {
		changed, err := s.feedback.watch()
		if err != nil {
			return nil, err
		}
		b, again, err := h.lockFeedback(ctx, s)
		if b != nil || err != nil {
			return b, err
		}
		if err := h.sleep(ctx, changed, again); err != nil {
			return nil, err
		}
	}
}

// sleep returns at changed, or at until, zero for never. Its error is ctx's.
func (h *Hub) sleep(ctx context.Context, changed <-chan struct{}, until time.Time) error {
	var timer <-chan time.Time
	if !until.IsZero() {
		t := time.NewTimer(max(until.Sub(h.now()), time.Millisecond))
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-changed:
		return nil
	case <-timer:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lockFeedback locks the next feedback message; without one it says when the next lock ends.
func (h *Hub) lockFeedback(ctx context.Context, s *state) (*FeedbackBatch, time.Time, error) {
	token, err := h.newGUID()
	if err != nil {
		return nil, time.Time{}, err
	}
	h.mu.RLock()
	lock := s.config.C2D.FeedbackLock
	h.mu.RUnlock()
	now := h.now().UTC()
	stored, again, err := h.store.LockFeedback(ctx, s.name, token, now, now.Add(lock))
	if err != nil || stored == nil {
		return nil, again, err
	}
	body, err := feedbackBody(stored.Records)
	return &FeedbackBatch{
		ID: stored.ID, Enqueued: stored.Enqueued, LockToken: token, Count: stored.DeliveryCount, Body: body,
	}, time.Time{}, err
}

// SettleFeedback ends the lock of a feedback message and returns once that is durable. Complete and reject delete it;
// abandon does too when it was abandoned as often as the hub's settings allow.
//
// Errors: CodeDeviceMessageLockLost; CodeNoSuchHub; the store's.
func (h *Hub) SettleFeedback(ctx context.Context, hub, lockToken string, outcome C2DOutcome) error {
	s, config, err := h.find(hub)
	if err != nil {
		return err
	}
	err = h.store.EditFeedback(ctx, hub, lockToken, func(b *StoredFeedback) (*StoredFeedback, error) {
		if b == nil || !h.now().Before(b.LockUntil) {
			return nil, hubward.Errorf(hubward.CodeDeviceMessageLockLost, "the lock of the feedback message has ended")
		}
		switch outcome {
		case C2DComplete, C2DReject:
			return nil, nil
		case C2DAbandon:
			b.DeliveryCount++
			if b.DeliveryCount >= config.C2D.FeedbackMaxDeliveryCount {
				return nil, nil
			}
		}
		b.LockUntil = time.Time{}
		return b, nil
	})
	if err == nil && (outcome == C2DAbandon || outcome == C2DReturn) {
		s.feedback.notify()
	}
	return err
}

// feedbackBody writes records as the service does. The Java SDK reads the body in a form in which everything but plain
// ASCII is escaped once more, so there is nothing else in it.
//
// Source: spec/amqp.md 6.2.
func feedbackBody(records []c2dqueue.Record) ([]byte, error) {
	list := make([]hubward.Feedback, len(records))
	for i, r := range records {
		list[i] = hubward.Feedback{
			OriginalMessageID: r.MessageID, DeviceGenerationID: r.Generation, DeviceID: r.Device,
			EnqueuedTime: hubward.Time{Time: r.Time}, StatusCode: r.Status, Description: string(r.Status),
		}
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(list); err != nil {
		return nil, hubward.Wrap(hubward.CodeServerError, "hub.feedbackBody", err)
	}
	return ascii(bytes.TrimSuffix(text.Bytes(), []byte("\n"))), nil
}

// ascii escapes what is not ASCII in JSON.
func ascii(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		text = text[n:]
		switch {
		case r < 0x7f:
			out = append(out, byte(r))
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, hi, lo)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}
