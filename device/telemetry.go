package device

import (
	"context"

	"github.com/hubward/hubward"
)

// SendTelemetry sends m to the hub and returns nil when the hub has confirmed it, which Hubward does when it is on
// disk. It blocks while Options.MaxInFlight messages are unconfirmed. The client may send the message more than once,
// when a connection breaks before the confirmation comes.
//
// Fields that are not set are not sent. SendTelemetry does not keep m or m.Body.
//
// Errors: CodeMessageTooLarge when m.Size() is above 262,144 bytes or the properties do not fit a topic;
// CodeArgumentInvalid for a message id of more than 128 characters, a property without a name or with one that begins
// with "$.", and text that is no UTF-8; CodeInvalidOperation before Connect. The message was not sent then. ctx.Err():
// the message may still reach the hub. Once the client has ended, the error of Err, or one that wraps net.ErrClosed:
// a message that was waiting may have reached the hub.
func (c *Client) SendTelemetry(ctx context.Context, m *hubward.Message) error {
	p, err := c.transport.encode([]*hubward.Message{m})
	if err != nil {
		return err
	}
	return c.await(ctx, p)
}

// await sends p and waits for the confirmation.
func (c *Client) await(ctx context.Context, p *pending) error {
	result := make(chan error, 1)
	if err := c.enqueue(ctx, p, func(err error) { result <- err }); err != nil {
		return err
	}
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
	}
	c.abandon(p)
	select {
	case err := <-result: // it came at the last moment
		return err
	default:
		return ctx.Err()
	}
}

// SendTelemetryBatch sends several messages and returns nil when the hub has confirmed all. Over AMQP and HTTPS they are one
// batch, of at most 262,144 bytes by Message.Size; over MQTT they are sent one after another, as many at a time as
// Options.MaxInFlight allows.
//
// Errors are those of SendTelemetry. Over MQTT some of the messages may have been stored then.
func (c *Client) SendTelemetryBatch(ctx context.Context, messages []*hubward.Message) error {
	if len(messages) == 0 {
		return nil
	}
	if c.transport.batches() {
		p, err := c.transport.encode(messages)
		if err != nil {
			return err
		}
		return c.await(ctx, p)
	}
	results := make(chan error, len(messages))
	for _, m := range messages {
		if err := c.SendTelemetryAsync(ctx, m, func(err error) { results <- err }); err != nil {
			return err
		}
	}
	for range messages {
		select {
		case err := <-results:
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// SendTelemetryAsync sends m like SendTelemetry and returns without waiting for the confirmation, so that one
// goroutine can have many messages under way; the hub gets them in the order of the calls. It blocks while
// Options.MaxInFlight messages are unconfirmed, until ctx ends.
//
// When it returns nil, done is called once: with nil when the hub has confirmed m, with an error when the client has
// ended before; nil is allowed. It runs on a goroutine of the client and must neither block nor send. The end of ctx after the call
// has returned has no effect. When SendTelemetryAsync returns an error, m was not sent and done is not called.
func (c *Client) SendTelemetryAsync(ctx context.Context, m *hubward.Message, done func(error)) error {
	if done == nil {
		done = func(error) {}
	}
	p, err := c.transport.encode([]*hubward.Message{m})
	if err != nil {
		return err
	}
	return c.enqueue(ctx, p, done)
}

// enqueue puts p into the outbox, as soon as there is a place.
func (c *Client) enqueue(ctx context.Context, p *pending, done func(error)) error {
	p.done = done
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-c.done:
		_, err := c.running()
		return err
	}
	if err := c.push(p); err != nil {
		c.free(1)
		return err
	}
	c.nudge()
	return nil
}

func (c *Client) push(p *pending) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.endedLocked(); err != nil {
		return err
	}
	if !c.started {
		return errNotConnected()
	}
	c.out.push(p)
	return nil
}

// abandon notes that the sender of p no longer waits.
func (c *Client) abandon(p *pending) {
	c.mu.Lock()
	left := c.out.abandon(p)
	if left && c.closing && len(c.out.queue) == 0 {
		close(c.idle)
	}
	c.mu.Unlock()
	if left {
		c.free(1)
	}
}
