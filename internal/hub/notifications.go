package hub

import (
	"context"
	"sync"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
)

// A hub's notifications wait in the store for its back ends, which compete for them: feedback is the first kind. A
// notification is locked by who takes it, and settled as a message to a device is.

// NotificationDelivery is a notification on its way to a back end.
type NotificationDelivery struct {
	ID            string // a GUID
	Enqueued      time.Time
	LockToken     string             // a GUID
	DeliveryCount int                // earlier deliveries that were abandoned
	Feedback      []hubward.Feedback // of NotificationFeedback: 1 to 64
}

// notificationWaiters are those of a hub on this node who wait for a notification.
type notificationWaiters struct {
	mu      sync.Mutex    // guards the fields below; a leaf
	changed chan struct{} // closed when there may be something; then there is a new one
	closed  error         // why nobody may wait any more
}

// watch returns what is closed at the next change. It comes before looking.
func (w *notificationWaiters) watch() (<-chan struct{}, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.changed == nil {
		w.changed = make(chan struct{})
	}
	return w.changed, w.closed
}

func (w *notificationWaiters) wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.changed != nil {
		close(w.changed)
		w.changed = nil
	}
}

func (w *notificationWaiters) close(reason error) {
	w.mu.Lock()
	w.closed = reason
	w.mu.Unlock()
	w.wake()
}

func (h *Hub) wakeNotificationWaiters(n hubNews) error {
	if s, _, err := h.find(n.Hub); err == nil {
		s.notifications.wake()
	}
	return nil
}

// notificationPath is what a token for notifications may be limited to.
func notificationPath(kind NotificationKind) []string {
	return []string{"messages", "servicebound", string(kind)}
}

// TakeNotification locks the hub's next notification of a kind. It returns nil when there is none. p has ServiceConnect.
//
// Errors: CodeUnauthorizedAccess; CodeNoSuchHub; the store's.
func (h *Hub) TakeNotification(ctx context.Context, p *access.Principal, kind NotificationKind) (*NotificationDelivery, error) {
	s, c, err := h.permit(p, access.ServiceConnect, notificationPath(kind))
	if err != nil {
		return nil, err
	}
	d, _, err := h.lockNotification(ctx, s, c, kind)
	return d, err
}

// WaitNotification is TakeNotification, but waits until there is one. Several callers compete, on all nodes.
//
// Errors: as TakeNotification; CodeNoSuchHub also when the hub is deleted meanwhile; ctx's.
func (h *Hub) WaitNotification(ctx context.Context, p *access.Principal, kind NotificationKind) (*NotificationDelivery, error) {
	for {
		s, c, err := h.permit(p, access.ServiceConnect, notificationPath(kind))
		if err != nil {
			return nil, err
		}
		changed, err := s.notifications.watch()
		if err != nil {
			return nil, err
		}
		d, again, err := h.lockNotification(ctx, s, c, kind)
		if d != nil || err != nil {
			return d, err
		}
		if err := h.sleep(ctx, changed, again); err != nil {
			return nil, err
		}
	}
}

// sleep returns at changed, at until, zero for never, or after lookInterval. Its error is ctx's.
func (h *Hub) sleep(ctx context.Context, changed <-chan struct{}, until time.Time) error {
	wait := lookInterval
	if !until.IsZero() {
		wait = min(wait, max(until.Sub(h.now()), time.Millisecond))
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-changed:
		return nil
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lockNotification locks the next notification; without one it says when the next lock ends.
func (h *Hub) lockNotification(ctx context.Context, s *state, c *Config, kind NotificationKind) (*NotificationDelivery, time.Time, error) {
	token, err := h.newGUID()
	if err != nil {
		return nil, time.Time{}, err
	}
	now := h.now().UTC()
	n, again, err := h.store.LockNotification(ctx, s.ref.Name, kind, token, now, now.Add(c.C2D.FeedbackLock))
	if err != nil || n == nil {
		return nil, again, err
	}
	return &NotificationDelivery{
		ID: n.ID, Enqueued: n.Enqueued, LockToken: token, DeliveryCount: n.DeliveryCount, Feedback: feedbackOf(n.Feedback),
	}, time.Time{}, nil
}

// SettleNotification ends the lock of a notification and returns once that is durable. Complete and reject delete it;
// abandon does too when it was abandoned as often as the hub's settings allow. p has ServiceConnect.
//
// Errors: CodeUnauthorizedAccess; CodeDeviceMessageLockLost; CodeNoSuchHub; the store's.
func (h *Hub) SettleNotification(ctx context.Context, p *access.Principal, kind NotificationKind, lockToken string, outcome C2DOutcome) error {
	s, c, err := h.permit(p, access.ServiceConnect, notificationPath(kind))
	if err != nil {
		return err
	}
	err = h.store.EditNotification(ctx, s.ref.Name, kind, lockToken, func(n *Notification) (*Notification, error) {
		if n == nil || !h.now().Before(n.LockUntil) {
			return nil, hubward.Errorf(hubward.CodeDeviceMessageLockLost, "the lock of the notification has ended")
		}
		switch outcome {
		case C2DComplete, C2DReject:
			return nil, nil
		case C2DAbandon:
			n.DeliveryCount++
			if n.DeliveryCount >= c.C2D.FeedbackMaxDeliveryCount {
				return nil, nil
			}
		}
		n.LockUntil = time.Time{}
		return n, nil
	})
	if err == nil && (outcome == C2DAbandon || outcome == C2DReturn) {
		h.announce(subjectNotification, hubNews{Hub: s.ref.Name})
	}
	return err
}
