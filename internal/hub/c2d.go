package hub

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/c2dqueue"
)

// Bounds of cloud-to-device messages.
//
// Source: spec/device.md 4.3, spec/features.md CD5, CD6, CD12; the bounds of a lock are those of a feedback lock.
const (
	MaxC2DSize = 64 << 10 // bytes, as hubward.Message.Size counts them
	maxC2DTTL  = 48 * time.Hour
	c2dLock    = time.Minute
	minC2DLock = 5 * time.Second
	maxC2DLock = 5 * time.Minute
)

// C2DDelivery is one message on its way to a device. It is locked: nobody else gets it until it is settled or the lock
// ends.
type C2DDelivery struct {
	Message       *hubward.Message // with a message id and an expiry, whether or not its sender gave them
	Sequence      int64            // of the device's queue, from 1
	Enqueued      time.Time
	DeliveryCount int    // earlier deliveries that were abandoned
	LockToken     string // a GUID, new with each lock
	LockedUntil   time.Time
	Redelivered   bool // it was handed to a device before
}

// C2DOutcome is what a device makes of a message.
type C2DOutcome = c2dqueue.Outcome

// The outcomes. C2DReturn is the hub's: the connection ended, and the message goes back without a count.
const (
	C2DComplete = c2dqueue.Complete // done: it leaves the queue
	C2DReject   = c2dqueue.Reject   // never again: it leaves the queue
	C2DAbandon  = c2dqueue.Abandon  // give it back, and count that
	C2DReturn   = c2dqueue.Return
)

// SendC2D puts a message into a device's queue and returns once it is durable there. It keeps nothing of m. A message
// without an id gets a GUID; one whose expiry is zero or in the year 1, which some clients send for "none", gets the hub's
// default.
//
// Errors: CodeDeviceNotFound, also for a disabled device; CodeDeviceMaximumQueueDepth; CodeMessageTooLarge;
// CodeArgumentInvalid for an expiry in the past or more than two days ahead, or an unknown ack; CodeNoSuchHub; the
// store's.
//
// Source: spec/amqp.md 5.4, 6.1, spec/clients.md 8.9.
func (h *Hub) SendC2D(ctx context.Context, hub, device string, m *hubward.Message) error {
	_, config, err := h.find(hub)
	if err != nil {
		return err
	}
	now := h.now().UTC()
	message, content, err := h.newC2D(m, now, config.C2D.DefaultTTL)
	if err != nil {
		return err
	}
	change := h.changeQueue(hub, device, func(q *c2dqueue.Queue, live string) error {
		if q.Disabled {
			return &hubward.Error{Code: hubward.CodeDeviceNotFound, Device: device, Message: "The device '" + device + "' is disabled."}
		}
		q.Tidy(now, live)
		return q.Append(message, content)
	})
	if err := h.changeOne(ctx, change); err != nil {
		return err
	}
	h.observer.CloudToDevice(hub, C2DSent, 1)
	h.c2d.wake(change.key())
	return nil
}

// newC2D checks a message and returns what is stored of it.
func (h *Hub) newC2D(m *hubward.Message, now time.Time, ttl time.Duration) (c2dqueue.Message, []byte, error) {
	var none c2dqueue.Message
	if size := m.Size(); size > MaxC2DSize {
		return none, nil, hubward.Errorf(hubward.CodeMessageTooLarge, "the message has %d bytes, the limit is %d", size, MaxC2DSize)
	}
	ack := hubward.Ack(strings.ToLower(string(m.Ack)))
	switch ack {
	case "":
		ack = hubward.AckNone
	case hubward.AckNone, hubward.AckPositive, hubward.AckNegative, hubward.AckFull:
	default:
		return none, nil, hubward.Errorf(hubward.CodeArgumentInvalid, "iothub-ack: %.40q is not none, positive, negative or full", m.Ack)
	}
	expires := now.Add(ttl)
	if m.Expiry.Year() > 1 {
		expires = m.Expiry.UTC()
	}
	if !expires.After(now) {
		return none, nil, hubward.Errorf(hubward.CodeArgumentInvalid, "the message's expiry %s is in the past", hubward.Time{Time: expires})
	}
	if expires.After(now.Add(maxC2DTTL)) {
		return none, nil, hubward.Errorf(hubward.CodeArgumentInvalid, "the message's expiry %s is more than %s ahead", hubward.Time{Time: expires}, maxC2DTTL)
	}
	stored := *m
	stored.Ack = ack
	if stored.MessageID == "" {
		id, err := h.newGUID()
		if err != nil {
			return none, nil, err
		}
		stored.MessageID = id
	}
	return c2dqueue.Message{ID: stored.MessageID, Ack: ack, Enqueued: now, Expires: expires}, c2dqueue.Encode(&stored), nil
}

// TakeC2D locks a device's next message for lock (zero: 60 s), for a device that polls. It returns nil when there is none.
//
// Errors: CodeArgumentInvalid for a lock outside 5 s to 5 min; CodeDeviceNotFound; CodeNoSuchHub; the store's.
func (h *Hub) TakeC2D(ctx context.Context, hub, device string, lock time.Duration) (*C2DDelivery, error) {
	if _, _, err := h.find(hub); err != nil {
		return nil, err
	}
	lock = cmp.Or(lock, c2dLock)
	if lock < minC2DLock || lock > maxC2DLock {
		return nil, hubward.Errorf(hubward.CodeArgumentInvalid, "the message's lock: %s is not within %s to %s", lock, minC2DLock, maxC2DLock)
	}
	token, err := h.newGUID()
	if err != nil {
		return nil, err
	}
	var locked []c2dqueue.Message
	change := h.changeQueue(hub, device, func(q *c2dqueue.Queue, live string) (err error) {
		now := h.now().UTC()
		q.Tidy(now, live)
		locked, err = q.Lock(1, now.Add(lock), "", func() (string, error) { return token, nil })
		return err
	})
	if err := h.changeOne(ctx, change); err != nil || len(locked) == 0 {
		return nil, err
	}
	deliveries, err := h.loadC2D(ctx, change.key(), locked)
	if err != nil || len(deliveries) == 0 {
		return nil, err
	}
	h.handedOut(hub, deliveries[0])
	return deliveries[0], nil
}

// loadC2D reads the contents of locked messages, which are in order. One that was purged meanwhile is left out.
func (h *Hub) loadC2D(ctx context.Context, key queueKey, locked []c2dqueue.Message) ([]*C2DDelivery, error) {
	var deliveries []*C2DDelivery
	var damaged error
	rest := locked
	err := h.store.QueuedContents(ctx, key.hub, key.device, locked[0].Sequence, locked[len(locked)-1].Sequence, func(sequence int64, content []byte) {
		for len(rest) > 0 && rest[0].Sequence < sequence {
			rest = rest[1:]
		}
		if len(rest) == 0 || rest[0].Sequence != sequence {
			return
		}
		l := &rest[0]
		m, err := c2dqueue.Decode(content)
		if err != nil {
			damaged = hubward.Wrap(hubward.CodeServerError, "hub.loadC2D", err)
			return
		}
		m.Expiry = l.Expires
		deliveries = append(deliveries, &C2DDelivery{
			Message: m, Sequence: sequence, Enqueued: l.Enqueued, DeliveryCount: l.DeliveryCount,
			LockToken: l.Lock.Token, LockedUntil: l.Lock.Until, Redelivered: l.HandedOut,
		})
	})
	return deliveries, cmp.Or(err, damaged)
}

func (h *Hub) handedOut(hub string, d *C2DDelivery) {
	h.observer.CloudToDevice(hub, C2DDelivered, 1)
	h.observer.DeviceBytes(hub, d.Message.Size())
}

// SettleC2D ends the lock of a message and returns once that is durable.
//
// Errors: CodeDeviceMessageLockLost when the lock has ended or never was; CodeDeviceNotFound; CodeNoSuchHub; the store's.
func (h *Hub) SettleC2D(ctx context.Context, hub, device, lockToken string, outcome C2DOutcome) error {
	_, config, err := h.find(hub)
	if err != nil {
		return err
	}
	change := h.changeQueue(hub, device, func(q *c2dqueue.Queue, live string) error {
		now := h.now().UTC()
		if err := q.Settle(lockToken, outcome, now, config.C2D.MaxDeliveryCount); err != nil {
			return err
		}
		q.Tidy(now, live)
		return nil
	})
	if err := h.changeOne(ctx, change); err != nil {
		return err
	}
	if outcome == C2DAbandon {
		h.observer.CloudToDevice(hub, C2DAbandoned, 1)
	}
	h.c2d.wake(change.key())
	return nil
}

// PurgeC2D empties a device's queue, locked messages included, and returns how many there were.
//
// Errors: CodeDeviceNotFound; CodeNoSuchHub; the store's.
func (h *Hub) PurgeC2D(ctx context.Context, hub, device string) (int, error) {
	if _, _, err := h.find(hub); err != nil {
		return 0, err
	}
	purged := 0
	err := h.changeOne(ctx, h.changeQueue(hub, device, func(q *c2dqueue.Queue, live string) error {
		now := h.now().UTC()
		q.Tidy(now, live)
		purged = q.Purge(now)
		return nil
	}))
	if err != nil {
		return 0, err
	}
	return purged, nil
}
