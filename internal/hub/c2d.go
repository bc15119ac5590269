package hub

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/internal/hub/c2d"
	"github.com/hubward/hubward/internal/hub/c2dqueue"
)

// Bounds of cloud-to-device messages. The bounds of a lock are those of a feedback lock.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-messages-c2d and iot-hub-devguide-quotas-throttling.
const (
	maxC2DTTL  = 48 * time.Hour
	c2dLock    = time.Minute
	minC2DLock = 5 * time.Second
	maxC2DLock = 5 * time.Minute
)

// The words of package c2d that front ends use.
type (
	C2DDelivery = c2d.Delivery
	C2DOutcome  = c2d.Outcome
	C2DReceiver = c2d.Receiver
)

// What an identity makes of a message.
const (
	C2DComplete = c2d.Complete // done: it leaves the queue
	C2DReject   = c2d.Reject   // never again: it leaves the queue
	C2DAbandon  = c2d.Abandon  // give it back, and count that
	C2DReturn   = c2d.Return   // the connection ended: give it back without a count
)

// c2dPaths are what a back end's token may be limited to when it sends to an identity: over HTTPS its path, over AMQP the
// node that takes messages for all.
func c2dPaths(id hubward.Identity) [][]string {
	return [][]string{append(access.PathOf(id), "messages", "devicebound"), {"messages", "devicebound"}}
}

// SendC2D puts a message into an identity's queue and returns once it is durable there. It keeps nothing of m. A message
// without an id gets a GUID. One without an expiry, or with one before 1970, which some clients send for "none", ends by the
// hub's default, and reaches the identity without an expiry. p has ServiceConnect.
//
// Errors: CodeUnauthorizedAccess; CodeDeviceNotFound, also for a disabled device; CodeModuleNotFound;
// CodeDeviceMaximumQueueDepth; CodeMessageTooLarge; CodeArgumentInvalid for what checkC2D refuses, and with ErrExpiry;
// CodeNoSuchHub; the store's.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-messages-c2d.
func (h *Hub) SendC2D(ctx context.Context, p *access.Principal, to hubward.Identity, m *hubward.Message) error {
	_, config, err := h.permit(p, access.ServiceConnect, c2dPaths(to)...)
	if err != nil {
		return err
	}
	message, content, err := h.newC2D(m, h.now().UTC(), config.C2D.DefaultTTL)
	if err != nil {
		return err
	}
	return h.queues.Send(ctx, c2d.Key{Hub: config.Name, Identity: to}, message, content)
}

// newC2D checks a message and returns what is stored of it.
func (h *Hub) newC2D(m *hubward.Message, now time.Time, ttl time.Duration) (c2dqueue.Message, []byte, error) {
	if err := checkC2D(m); err != nil {
		return c2dqueue.Message{}, nil, err
	}
	expires, err := c2dExpiry(m, now, ttl)
	if err != nil {
		return c2dqueue.Message{}, nil, err
	}
	stored := *m
	stored.Expiry = time.Time{}
	if hasExpiry(m) {
		stored.Expiry = expires
	}
	stored.Ack, _ = ackOf(m.Ack) // checked above; .NET reads no other spelling
	if stored.MessageID == "" {
		if stored.MessageID, err = h.newGUID(); err != nil {
			return c2dqueue.Message{}, nil, err
		}
	}
	return c2dqueue.Message{ID: stored.MessageID, Ack: stored.Ack, Enqueued: now, Expires: expires}, c2dqueue.Encode(&stored), nil
}

// ErrExpiry is in the chain of the error of a message to a device whose expiry is in the past or too far ahead: AMQP has a
// condition of its own for that.
var ErrExpiry = errors.New("the expiry is out of range")

// c2dExpiry is when a message that was sent now expires.
func c2dExpiry(m *hubward.Message, now time.Time, ttl time.Duration) (time.Time, error) {
	expires := now.Add(cmp.Or(m.TTL, ttl))
	if m.Expiry.Unix() >= 0 {
		expires = m.Expiry.UTC()
	}
	if !expires.After(now) {
		return expires, badExpiry("the message's expiry %s is in the past", hubward.Time{Time: expires})
	}
	if expires.After(now.Add(maxC2DTTL)) {
		return expires, badExpiry("the message's expiry %s is more than %s ahead", hubward.Time{Time: expires}, maxC2DTTL)
	}
	return expires, nil
}

// hasExpiry reports whether the sender of a message said when it expires.
func hasExpiry(m *hubward.Message) bool { return m.TTL > 0 || m.Expiry.Unix() >= 0 }

func badExpiry(format string, args ...any) error {
	e := hubward.Errorf(hubward.CodeArgumentInvalid, format, args...)
	e.Err = ErrExpiry
	return e
}

// PurgeC2D empties an identity's queue, locked messages included, and returns how many there were. p has ServiceConnect.
//
// Errors: CodeUnauthorizedAccess; CodeDeviceNotFound; CodeModuleNotFound; CodeNoSuchHub; the store's.
func (h *Hub) PurgeC2D(ctx context.Context, p *access.Principal, id hubward.Identity) (int, error) {
	s, _, err := h.permit(p, access.ServiceConnect, access.PathOf(id))
	if err != nil {
		return 0, err
	}
	return h.queues.Purge(ctx, c2d.Key{Hub: s.ref.Name, Identity: id})
}

// TakeC2D locks the next message of an identity that polls, for lock (zero: 60 s). It returns nil when there is none. p
// speaks for the identity.
//
// Errors: CodeUnauthorizedAccess; CodeArgumentInvalid for a lock outside 5 s to 5 min; CodeDeviceNotFound;
// CodeModuleNotFound; CodeNoSuchHub; the store's; the cluster's.
func (h *Hub) TakeC2D(ctx context.Context, p *access.Principal, lock time.Duration) (*C2DDelivery, error) {
	s, _, err := h.permitIdentity(p)
	if err != nil {
		return nil, err
	}
	lock = cmp.Or(lock, c2dLock)
	if lock < minC2DLock || lock > maxC2DLock {
		return nil, hubward.Errorf(hubward.CodeArgumentInvalid, "the message's lock: %s is not within %s to %s", lock, minC2DLock, maxC2DLock)
	}
	return h.queues.Take(ctx, c2d.Key{Hub: s.ref.Name, Identity: p.Identity}, lock)
}

// SettleC2D ends the lock of a message and returns once that is durable. p speaks for the identity whose message it is.
//
// Errors: CodeUnauthorizedAccess; CodeDeviceMessageLockLost when the lock has ended or never was; CodeDeviceNotFound;
// CodeModuleNotFound; CodeNoSuchHub; the store's.
func (h *Hub) SettleC2D(ctx context.Context, p *access.Principal, lockToken string, outcome C2DOutcome) error {
	s, _, err := h.permitIdentity(p)
	if err != nil {
		return err
	}
	return h.queues.Settle(ctx, c2d.Key{Hub: s.ref.Name, Identity: p.Identity}, lockToken, outcome)
}

// ReceiveC2D has the identity's messages delivered to the link's Session: at most credit of them at first, and as many more
// as the receiver's Credit grants. Messages that an earlier connection held come first, at once. A second receiver of a link
// replaces the first. The link's end ends it: what is not settled then goes back without a count.
func (l *Link) ReceiveC2D(credit int) *C2DReceiver {
	r := l.hub.queues.Receive(c2d.ReceiverOptions{
		Key: c2d.Key{Hub: l.state.ref.Name, Identity: l.Principal.Identity}, Fence: l.claim.Fence,
		Generation: l.Principal.Generation, Credit: credit, Active: l.isActive,
		Deliver: func(d *C2DDelivery) { l.session.Deliver(d) },
	})
	l.receiver.Store(r)
	if l.hub.links.live(l.key()) != l {
		r.Stop() // it was taken over, or has ended: perhaps before it was stored here
	}
	return r
}

// connectedBy returns the fence of the claim by which an identity is connected; 0 when it is not.
func (h *Hub) connectedBy(ctx context.Context, key c2d.Key) (uint64, error) {
	owner, err := h.cluster.Owner(ctx, key.Hub, key.Identity)
	if err != nil || owner == nil {
		return 0, err
	}
	return owner.Fence, nil
}

// messagesVisible wakes the node that an identity is connected to: it may have messages.
func (h *Hub) messagesVisible(key c2d.Key) {
	ctx, cancel := context.WithTimeout(context.Background(), tellTimeout)
	defer cancel()
	owner, err := h.cluster.Owner(ctx, key.Hub, key.Identity)
	if err == nil && owner != nil {
		if owner.Node == h.node {
			h.queues.Wake(key)
			return
		}
		err = h.tell(ctx, owner.Node, subjectVisible, key)
	}
	if err != nil {
		h.logger.Warn("a message to a device waits for its next connection", "hub", key.Hub, "device", key.Identity.String(), "error", err)
	}
}

// messagesDue sets the timer of the node that ends locks and messages. Later times it finds in the store when it looks.
func (h *Hub) messagesDue(at time.Time) {
	if at.Before(h.now().Add(c2d.MaxSleep)) {
		h.announce(subjectDue, at)
	}
}

// sweepC2D ends locks and messages at their time, until ctx ends. It is one node's job at a time.
func (h *Hub) sweepC2D(ctx context.Context) {
	for {
		h.sweepTimer.Reset()
		next, err := h.queues.Sweep(ctx)
		if err != nil {
			next = h.now().Add(sweepRetry)
			if ctx.Err() == nil {
				h.logger.Error("messages to devices: locks and expiries are late", "error", err)
			}
		}
		h.sweepTimer.Set(next)
		if !h.sweepTimer.Wait(ctx) {
			return
		}
	}
}

const sweepRetry = time.Second
