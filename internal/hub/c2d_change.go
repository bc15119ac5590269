package hub

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/c2dqueue"
)

// C2DEvent is something that happened to a message to a device.
type C2DEvent int

// The events. A message that leaves its queue does so by exactly one of those from C2DCompleted on, unless its device is
// deleted; C2DAbandoned comes besides C2DExceeded.
const (
	C2DSent      C2DEvent = iota // it was stored
	C2DDelivered                 // it was handed to a device, not for the first time perhaps
	C2DAbandoned                 // the device gave it back
	C2DCompleted
	C2DRejected
	C2DExpired
	C2DExceeded // it was abandoned as often as may be
	C2DPurged
	C2DEvents // how many there are
)

var endings = map[hubward.FeedbackStatus]C2DEvent{
	hubward.FeedbackSuccess: C2DCompleted, hubward.FeedbackRejected: C2DRejected, hubward.FeedbackExpired: C2DExpired,
	hubward.FeedbackDeliveryCountExceeded: C2DExceeded, hubward.FeedbackPurged: C2DPurged,
}

// queueKey names a device's queue.
type queueKey struct{ hub, device string }

// queueChange is one edit of a queue, and what there is to do once it is durable.
type queueChange struct {
	QueueEdit
	due     time.Time
	ended   c2dqueue.Ended
	records int
}

func (c *queueChange) key() queueKey { return queueKey{c.Hub, c.Device} }

// changeQueue prepares a change. rule gets the stored queue and who is the device's connected receiver at that moment:
// the locks of all other connections are void. It may run more than once.
func (h *Hub) changeQueue(hub, device string, rule func(q *c2dqueue.Queue, live string) error) *queueChange {
	c := &queueChange{QueueEdit: QueueEdit{Hub: hub, Device: device}}
	c.Edit = func(q *c2dqueue.Queue) error {
		c.due, c.ended, c.records = time.Time{}, nil, 0
		if q == nil {
			return deviceNotFound(device)
		}
		if err := rule(q, h.c2d.holder(c.key())); err != nil {
			return err
		}
		c.due, c.ended, c.records = q.Due(), q.Ended, len(q.Records)
		return nil
	}
	return c
}

func (h *Hub) changeOne(ctx context.Context, c *queueChange) error {
	if err := h.changeQueues(ctx, []*queueChange{c}); err != nil {
		return err
	}
	return c.Err
}

// changeQueues makes changes in one transaction, and tells those that they concern: the observer, the timer and the
// feedback.
func (h *Hub) changeQueues(ctx context.Context, changes []*queueChange) error {
	edits := make([]*QueueEdit, len(changes))
	for i, c := range changes {
		edits[i] = &c.QueueEdit
	}
	if err := h.store.EditQueues(ctx, edits); err != nil {
		return err
	}
	for _, c := range changes {
		if c.Err != nil {
			continue
		}
		for status, n := range c.ended {
			h.observer.CloudToDevice(c.Hub, endings[status], n)
		}
		if c.records > 0 {
			h.feedbackAdded(c.Hub, c.records)
		}
		h.c2d.alarm.set(c.due)
	}
	return nil
}

// newGUID makes a random GUID in its usual form.
func (h *Hub) newGUID() (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(h.rand, b[:]); err != nil {
		return "", hubward.Wrap(hubward.CodeServerError, "hub.newGUID", err)
	}
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]), nil
}
