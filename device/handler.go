package device

import (
	"context"
	"errors"

	"github.com/hubward/hubward"
)

// ErrReject is what Options.OnMessage returns, alone or in the chain of an error, for a message that will never be done.
var ErrReject = errors.New("device: the message is rejected")

// handle hands messages to Options.OnMessage, one after another in the order of their queue, until the client ends or
// stops taking any.
func (c *Client) handle() {
	defer c.handlers.end()
	for {
		m, err := c.next(c.taking)
		if err != nil {
			return
		}
		c.settleBy(m, c.opts.OnMessage(c.life, m))
	}
}

// settleBy settles a message by what the handler has returned, unless the handler has settled it.
func (c *Client) settleBy(m *C2DMessage, outcome error) {
	var err error
	switch {
	case outcome == nil:
		err = m.Complete(c.life)
	case m.leave != nil: // over MQTT there is no other word than PUBACK
		m.leave()
	case errors.Is(outcome, ErrReject):
		err = m.Reject(c.life)
	default:
		err = m.Abandon(c.life)
	}
	if outcome != nil || err != nil && hubward.CodeOf(err) != hubward.CodeInvalidOperation {
		c.log.Info("device client: a message is not completed", "message", m.MessageID, "reason", outcome, "error", err)
	}
}

// next waits for the next message, until ctx ends.
func (c *Client) next(ctx context.Context) (*C2DMessage, error) {
	c.in.want()
	c.nudge()
	for {
		if ctx.Err() != nil {
			c.in.unwant()
			return nil, ctx.Err()
		}
		if m := c.in.take(); m != nil {
			return m, nil
		}
		select {
		case <-c.in.arrived:
		case <-ctx.Done():
		case <-c.taking.Done():
			c.in.unwant()
			return nil, closedError()
		case <-c.done:
			c.in.unwant()
			_, err := c.running()
			return nil, err
		}
	}
}

// Drain ends the client in an orderly way: no further message is taken, neither by Options.OnMessage nor by Receive, no
// change by OnDesired, and no call by HandleMethod, which is answered with status 503; the calls of these that are under way
// end, may send telemetry and update the twin until then, and are answered; what was sent is confirmed; then the client
// is closed. What Receive has returned is the caller's to settle before. Messages that came and were not handed over go back
// to the hub.
//
// Errors: those of Close; when ctx ends before the handlers do, CodeRequestTimeout that wraps ctx.Err(). The client is closed
// then, too.
func (c *Client) Drain(ctx context.Context) error {
	c.stopHandlers()
	select {
	case <-c.handlers.idle:
	case <-c.done:
	case <-ctx.Done():
	}
	return c.Close(ctx)
}

// stopHandlers has no handler called any more.
func (c *Client) stopHandlers() {
	c.stopTaking()
	c.handlers.stop()
}

// awaitHandlers waits for the end of all handlers, whose context has ended, and reports false when ctx ends before.
func (c *Client) awaitHandlers(ctx context.Context) bool {
	select {
	case <-c.handlers.idle:
		return true
	default:
	}
	select {
	case <-c.handlers.idle:
		return true
	case <-ctx.Done():
		return false
	}
}
