package device

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hubward/hubward"
)

// pollTransport makes a Client of an HTTPSClient: a call for each message, one after another, and a call from time to time
// while Receive waits.
type pollTransport struct {
	client *Client
	https  *HTTPSClient
}

// pollInterval is the pause between calls that found no message. The cloud service asks for 25 minutes; this is for people
// who watch.
const pollInterval = time.Second

func (t *pollTransport) batches() bool { return true }

// encode checks messages by the rules of all transports; that a name cannot travel as a header is told when it is sent.
func (t *pollTransport) encode(messages []*hubward.Message) (*pending, error) {
	return clonePending(t.client.account.identity, messages)
}

// open checks the credentials; there is no connection.
func (t *pollTransport) open(ctx context.Context) (connection, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	defer context.AfterFunc(t.client.life, cancel)()
	if err := t.https.logIn(ctx); err != nil {
		if ctx.Err() != nil {
			err = unreachable(t.client.account.address, ctx.Err())
		}
		return nil, err
	}
	return &poller{client: t.client, https: t.https, born: time.Now(), wake: make(chan struct{}, 1)}, nil
}

// poller is the connection that is none. It ends when a call fails in a way that a later one may not.
type poller struct {
	client *Client
	https  *HTTPSClient
	born   time.Time
	wake   chan struct{} // tells the sending goroutine that there is something to send

	mu     sync.Mutex // guards the field below
	useful bool       // the hub has answered
}

func (o *poller) discard() {}

func (o *poller) proven(lifetime time.Duration) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.useful || time.Since(o.born) >= lifetime
}

func (o *poller) answered() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.useful = true
}

// serve implements connection.
func (o *poller) serve() error {
	c := o.client
	ctx, cancel := context.WithCancel(c.life)
	failed := make(chan error, 2) // one of each goroutine
	poll := make(chan struct{}, 1)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { failed <- o.send(ctx) })
	wg.Go(func() { failed <- o.receive(ctx, poll) })
	for {
		for _, goroutine := range []chan struct{}{o.wake, poll} { // what was there before goes out at once
			select {
			case goroutine <- struct{}{}:
			default:
			}
		}
		select {
		case <-c.wake:
		case err := <-failed:
			return err
		case <-c.life.Done():
			o.https.Close()
			return errClosing
		}
	}
}

// send sends what comes into the outbox, in its order, until a call fails for a reason that is not the message's.
func (o *poller) send(ctx context.Context) error {
	c := o.client
	for {
		p, err := c.nextToSend(ctx, o.wake)
		if err != nil {
			return err
		}
		err = o.sendOne(ctx, p.messages)
		if err != nil && !isRefusal(err) {
			return err
		}
		o.answered()
		c.confirm(p.settled, err)
	}
}

func (o *poller) sendOne(ctx context.Context, messages []*hubward.Message) error {
	if len(messages) == 1 {
		return o.https.SendTelemetry(ctx, messages[0])
	}
	return o.https.SendTelemetryBatch(ctx, messages)
}

// isRefusal reports whether an error is the hub's word on a message, after which the next one may do better.
func isRefusal(err error) bool {
	var e *hubward.Error
	if !errors.As(err, &e) || e.Code == hubward.CodeUnauthorizedAccess || e.Code == hubward.CodeThrottled {
		return false
	}
	return e.Code.HTTPStatus()/100 == 4
}

// receive asks for messages while Receive waits for one.
func (o *poller) receive(ctx context.Context, poll <-chan struct{}) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		if _, now := o.client.in.isWanted(); now {
			m, err := o.https.ReceiveC2D(ctx)
			if err != nil {
				return err
			}
			o.answered()
			if m != nil {
				o.client.in.put(m)
				continue
			}
		}
		select {
		case <-poll:
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
