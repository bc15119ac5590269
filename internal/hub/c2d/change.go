package c2d

import (
	"context"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/c2dqueue"
)

// change is one edit of a queue, and what there is to tell once it is durable.
type change struct {
	Edit
	due     time.Time
	ended   c2dqueue.Ended
	records int
}

// newChange prepares a change. rule gets the stored queue and the time; it may run more than once.
func (q *Queues) newChange(key Key, rule func(stored *c2dqueue.Queue, now time.Time) error) *change {
	c := &change{Edit: Edit{Key: key}}
	c.Edit.Edit = func(stored *c2dqueue.Queue) error {
		c.due, c.ended, c.records = time.Time{}, nil, 0
		if stored == nil {
			return NotFound(key.Identity)
		}
		if err := rule(stored, q.o.Now().UTC()); err != nil {
			return err
		}
		c.due, c.ended, c.records = stored.Due(), stored.Ended, len(stored.Records)
		return nil
	}
	return c
}

// NotFound is the error of an identity that is not registered: CodeDeviceNotFound or CodeModuleNotFound.
func NotFound(id hubward.Identity) *hubward.Error {
	e := &hubward.Error{Code: hubward.CodeDeviceNotFound, Identity: id, Message: "The device '" + id.Device + "' is not registered."}
	if id.Module != "" {
		e.Code, e.Message = hubward.CodeModuleNotFound, "The module '"+id.String()+"' is not registered."
	}
	return e
}

func (q *Queues) makeOne(ctx context.Context, c *change) error {
	if err := q.make(ctx, []*change{c}); err != nil {
		return err
	}
	return c.Err
}

// make makes changes in one transaction, and tells those that they concern.
func (q *Queues) make(ctx context.Context, changes []*change) error {
	edits := make([]*Edit, len(changes))
	for i, c := range changes {
		edits[i] = &c.Edit
	}
	if err := q.o.Store.EditQueues(ctx, edits); err != nil {
		return err
	}
	for _, c := range changes {
		if c.Err != nil {
			continue
		}
		for status, n := range c.ended {
			q.o.Observer.CloudToDevice(c.Key.Hub, countedEndings[status], n)
		}
		if c.records > 0 {
			q.o.Feedback(c.Key.Hub, c.records)
		}
		if !c.due.IsZero() {
			q.o.Due(c.due)
		}
	}
	return nil
}

// Send puts a message into a queue and returns once it is durable there.
//
// Errors: CodeDeviceNotFound, also for a disabled device; CodeModuleNotFound; CodeDeviceMaximumQueueDepth; the store's.
func (q *Queues) Send(ctx context.Context, key Key, m c2dqueue.Message, content []byte) error {
	err := q.makeOne(ctx, q.newChange(key, func(stored *c2dqueue.Queue, now time.Time) error {
		if stored.Disabled {
			return &hubward.Error{
				Code: hubward.CodeDeviceNotFound, Identity: key.Identity, Message: "The device '" + key.Identity.String() + "' is disabled.",
			}
		}
		stored.Expire(now)
		return stored.Append(m, content)
	}))
	if err != nil {
		return err
	}
	q.o.Observer.CloudToDevice(key.Hub, Sent, 1)
	q.o.Visible(key)
	return nil
}

// Take locks a queue's next message for lock, for an identity that polls. It returns nil when there is none. What a
// connection held that is no more, as after a crash of its node, is taken too.
//
// Errors: CodeDeviceNotFound; CodeModuleNotFound; the store's; the directory's.
func (q *Queues) Take(ctx context.Context, key Key, lock time.Duration) (*Delivery, error) {
	locked, heldBy, err := q.takeOne(ctx, key, lock, 0)
	if err == nil && len(locked) == 0 && heldBy != 0 {
		locked, err = q.takeOver(ctx, key, lock, heldBy)
	}
	if err != nil || len(locked) == 0 {
		return nil, err
	}
	deliveries, err := q.load(ctx, key, locked)
	if err != nil || len(deliveries) == 0 {
		return nil, err
	}
	q.countDelivered(key.Hub, deliveries[0])
	return deliveries[0], nil
}

// takeOver takes a message from the connection that holds all that there are, if it is no more.
func (q *Queues) takeOver(ctx context.Context, key Key, lock time.Duration, heldBy uint64) ([]c2dqueue.Message, error) {
	connected, err := q.o.ConnectedBy(ctx, key)
	if err != nil || connected >= heldBy {
		return nil, err
	}
	locked, _, err := q.takeOne(ctx, key, lock, heldBy)
	return locked, err
}

// takeOne locks the next message that is visible once receivers whose fence is at most gone hold nothing. When there is none,
// heldBy is the greatest fence of those who hold some.
func (q *Queues) takeOne(ctx context.Context, key Key, lock time.Duration, gone uint64) (locked []c2dqueue.Message, heldBy uint64, err error) {
	token, err := q.o.NewGUID()
	if err != nil {
		return nil, 0, err
	}
	err = q.makeOne(ctx, q.newChange(key, func(stored *c2dqueue.Queue, now time.Time) (err error) {
		if gone != 0 {
			stored.TakeOver(c2dqueue.Holder{Fence: gone + 1})
		}
		stored.Expire(now)
		locked, err = stored.Lock(1, now.Add(lock), c2dqueue.Holder{}, func() (string, error) { return token, nil })
		heldBy = stored.HeldBy()
		return err
	}))
	return locked, heldBy, err
}

// Settle ends the lock of a message and returns once that is durable.
//
// Errors: CodeDeviceMessageLockLost when the lock has ended or never was; CodeDeviceNotFound; CodeModuleNotFound; the
// store's.
func (q *Queues) Settle(ctx context.Context, key Key, lockToken string, outcome Outcome) error {
	err := q.makeOne(ctx, q.newChange(key, func(stored *c2dqueue.Queue, now time.Time) error {
		if err := stored.Settle(lockToken, outcome, now, q.o.MaxDeliveries(key.Hub)); err != nil {
			return err
		}
		stored.Expire(now)
		return nil
	}))
	if err != nil {
		return err
	}
	if outcome == Abandon {
		q.o.Observer.CloudToDevice(key.Hub, Abandoned, 1)
	}
	q.o.Visible(key)
	return nil
}

// Purge empties a queue, locked messages included, and returns how many there were.
//
// Errors: CodeDeviceNotFound; CodeModuleNotFound; the store's.
func (q *Queues) Purge(ctx context.Context, key Key) (int, error) {
	purged := 0
	err := q.makeOne(ctx, q.newChange(key, func(stored *c2dqueue.Queue, now time.Time) error {
		stored.Expire(now)
		purged = stored.Purge(now)
		return nil
	}))
	if err != nil {
		return 0, err
	}
	return purged, nil
}
