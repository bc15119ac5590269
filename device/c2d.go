package device

import (
	"context"
	"sync"
	"time"

	"github.com/hubward/hubward"
)

// C2DMessage is a cloud-to-device message. The hub has locked it for this device, for a minute: within that it should be
// settled, by Complete, Reject or Abandon. What is not settled the hub hands out again.
type C2DMessage struct {
	hubward.Message
	SequenceNumber uint64    // of the device's queue; 0 over MQTT, which does not tell
	EnqueuedTime   time.Time // when the hub got it; zero over MQTT
	DeliveryCount  int       // earlier deliveries that were given back; 0 over MQTT
	LockToken      string    // over HTTPS; else empty

	input  string           // of a module, if it is a message to one
	sender hubward.Identity // of such a message

	settle func(ctx context.Context, o settlement) error
	leave  func() // forgets the message, so that it is returned again when it comes again; nil where Abandon can say that
}

// settlement is what a device makes of a message.
type settlement int

const (
	complete settlement = iota
	reject
	abandon
)

// Complete tells the hub that the message is done with: it leaves the device's queue, and a sender who asked for that is
// told.
//
// Over AMQP and HTTPS it returns nil when the hub has stored that. MQTT has no such answer: it returns when the
// acknowledgement is written. When the connection is lost before, it waits for the next one, on which the hub sends the
// message again and the client acknowledges that; when it is lost just after, and the hub sends the message again, the
// client acknowledges it once more and does not return it twice. That needs a message id, which Hubward gives to every
// message.
//
// Errors: CodeDeviceMessageLockLost when the lock has ended, or, over AMQP, the connection on which the message came: it
// comes again. CodeInvalidOperation when it is settled already. ctx.Err(): the hub may have stored it or not.
func (m *C2DMessage) Complete(ctx context.Context) error { return m.settle(ctx, complete) }

// Reject tells the hub that the message will never be done: it leaves the queue, and a sender who asked for that is told.
// MQTT cannot say it: there the error is CodeInvalidOperation. Otherwise errors are those of Complete.
func (m *C2DMessage) Reject(ctx context.Context) error { return m.settle(ctx, reject) }

// Abandon gives the message back: the hub hands it out again at once, up to ten times by default. MQTT cannot say it: there
// the error is CodeInvalidOperation. Otherwise errors are those of Complete.
func (m *C2DMessage) Abandon(ctx context.Context) error { return m.settle(ctx, abandon) }

// maxInbox bounds the messages that have come and are not settled, whether Receive has returned them or not. A hub keeps
// at most 50 for a device. What comes beyond it is left to the hub, which hands it out again.
const maxInbox = 64

// Receive waits for the next cloud-to-device message and returns it. The hub keeps messages for a device that is not
// connected. The first call subscribes, over MQTT for good: the hub stores that. Messages come in the order of their
// queue; one that was given back or not settled in time comes again, and so do, after a reconnect, those that Receive had
// returned and that were not settled, except over MQTT, where they can still be completed.
//
// A client has either Options.OnMessage or Receive.
//
// Errors: CodeInvalidOperation before Connect, for a module, and with Options.OnMessage; ctx.Err(); once the client drains or
// has ended, the error of Err, or one that wraps net.ErrClosed.
func (c *Client) Receive(ctx context.Context) (*C2DMessage, error) {
	if c.account.identity.Module != "" {
		return nil, hubward.Errorf(hubward.CodeInvalidOperation, "a module gets no cloud-to-device messages, what an Edge hub sends it goes to OnInput")
	}
	if c.opts.OnMessage != nil {
		return nil, hubward.Errorf(hubward.CodeInvalidOperation, "messages go to Options.OnMessage")
	}
	switch up, err := c.running(); {
	case err != nil:
		return nil, err
	case !up:
		return nil, errNotConnected()
	}
	return c.next(ctx)
}

// inbox holds the messages that have come and that Receive has not returned.
type inbox struct {
	arrived chan struct{} // signalled when one has come

	mu      sync.Mutex // guards the fields below; a leaf
	wanted  bool       // Receive has been called
	waiting int        // calls of Receive
	queue   []*C2DMessage
}

// want notes that a call of Receive waits; take that gives it a message, or unwant, that it no longer does.
func (b *inbox) want() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wanted = true
	b.waiting++
}

func (b *inbox) unwant() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting--
}

// isWanted reports whether Receive was ever called, and whether it waits now for more than there is.
func (b *inbox) isWanted() (ever, now bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.wanted, b.waiting > len(b.queue)
}

func (b *inbox) put(m *C2DMessage) {
	b.mu.Lock()
	b.queue = append(b.queue, m)
	b.mu.Unlock()
	b.signal()
}

// take returns the oldest message to a call of Receive that waits, nil when there is none.
func (b *inbox) take() *C2DMessage {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queue) == 0 {
		return nil
	}
	m := b.queue[0]
	b.queue = b.queue[1:]
	b.waiting--
	if len(b.queue) > 0 {
		b.signal() // there may be another call waiting
	}
	return m
}

// clear empties the inbox, because the connection on which the messages came is lost, and returns what was there.
func (b *inbox) clear() []*C2DMessage {
	b.mu.Lock()
	defer b.mu.Unlock()
	old := b.queue
	b.queue = nil
	return old
}

func (b *inbox) signal() {
	select {
	case b.arrived <- struct{}{}:
	default: // it is signalled already
	}
}

// errLockLost is what settling a message of a lost connection returns.
func errLockLost() error {
	return hubward.Errorf(hubward.CodeDeviceMessageLockLost, "the connection on which the message came is lost, and the hub hands it out again")
}

// errSettled is what settling a message twice returns.
func errSettled() error {
	return hubward.Errorf(hubward.CodeInvalidOperation, "the message is settled already")
}
