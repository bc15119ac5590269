package hub

import (
	"context"
	"sync"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/c2dqueue"
)

// A feedback message is made of so many records, or of what there is so long after the last one.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-messages-c2d, message feedback.
const (
	maxFeedback      = 64
	feedbackInterval = 15 * time.Second
)

const jobFeedback = "job/feedback"

// feedbackCount is what the node that makes feedback messages knows of a hub's records.
type feedbackCount struct {
	mu      sync.Mutex // guards the fields below; a leaf
	waiting int        // records that are in no message; one too many costs a look
	last    time.Time  // when the last message was made; zero: not since the start
}

type feedbackNews struct {
	Hub     string `json:"hub"`
	Records int    `json:"records"`
}

// dueLocked returns when the next message is to be made, zero for never.
func (f *feedbackCount) dueLocked(now time.Time) time.Time {
	switch {
	case f.waiting == 0:
		return time.Time{}
	case f.waiting >= maxFeedback || f.last.IsZero():
		return now
	}
	return f.last.Add(feedbackInterval)
}

// feedbackAdded tells the nodes that records were stored: one of them makes messages of them.
func (h *Hub) feedbackAdded(hub string, records int) {
	h.announce(subjectFeedback, feedbackNews{Hub: hub, Records: records})
}

func (h *Hub) countFeedback(n feedbackNews) error {
	s, _, err := h.find(n.Hub)
	if err != nil {
		return nil // it is about to be known here, and then one look will tell
	}
	s.feedback.mu.Lock()
	s.feedback.waiting += n.Records
	due := s.feedback.dueLocked(h.now())
	s.feedback.mu.Unlock()
	h.feedbackTimer.Set(due)
	return nil
}

// batchFeedback makes feedback messages of records, until ctx ends. It begins with those that an earlier process or another
// node left. It is one node's job at a time.
func (h *Hub) batchFeedback(ctx context.Context) {
	look := h.now().Add(lookInterval)
	for {
		h.feedbackTimer.Reset()
		for _, s := range h.states() {
			h.feedbackTimer.Set(h.batchFeedbackOf(ctx, s))
		}
		if !h.feedbackTimer.Wait(ctx) {
			return
		}
		if now := h.now(); !now.Before(look) {
			h.lookForFeedback()
			look = now.Add(lookInterval)
		}
	}
}

// lookForFeedback sees to it that what may have been missed is looked for.
func (h *Hub) lookForFeedback() {
	for _, s := range h.states() {
		s.feedback.mu.Lock()
		s.feedback.waiting = max(s.feedback.waiting, 1)
		s.feedback.mu.Unlock()
	}
}

// batchFeedbackOf makes the messages of one hub that are due, and returns when the next one is.
func (h *Hub) batchFeedbackOf(ctx context.Context, s *state) (next time.Time) {
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
		}
		f.mu.Unlock()
		if made {
			h.announce(subjectNotification, hubNews{Hub: s.ref.Name})
		}
		if err != nil {
			if ctx.Err() == nil {
				h.logger.Error("feedback could not be batched", "hub", s.ref.Name, "error", err)
			}
			return now.Add(sweepRetry)
		}
	}
}

func (h *Hub) makeFeedback(ctx context.Context, s *state, now time.Time, least int) (made bool, left int, err error) {
	id, err := h.newGUID()
	if err != nil {
		return false, 0, err
	}
	n := Notification{ID: id, Enqueued: now, Expires: now.Add(h.config(s).C2D.FeedbackTTL)}
	taken, left, err := h.store.BatchFeedback(ctx, s.ref.Name, n, least, maxFeedback)
	return taken > 0, left, err
}

// feedbackOf returns records as back ends see them.
func feedbackOf(records []c2dqueue.Record) []hubward.Feedback {
	if records == nil {
		return nil
	}
	list := make([]hubward.Feedback, len(records))
	for i, r := range records {
		list[i] = hubward.Feedback{
			OriginalMessageID: r.MessageID, DeviceGenerationID: r.Generation, DeviceID: r.Identity.Device,
			EnqueuedTime: hubward.Time{Time: r.Time}, StatusCode: r.Status, Description: string(r.Status),
		}
	}
	return list
}
