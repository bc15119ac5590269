package device

import (
	"context"
	"errors"

	"github.com/Azure/go-amqp"

	"github.com/hubward/hubward"
)

// amqpReceipt is a message that was sent and has no outcome yet.
type amqpReceipt struct {
	p       *pending
	receipt amqp.SendReceipt
}

// send sends what comes into the outbox, in its order.
func (ac *amqpConn) send(ctx context.Context, receipts chan<- amqpReceipt) error {
	c := ac.client
	for {
		p, err := c.nextToSend(ctx, ac.wake)
		if err != nil {
			return err
		}
		m, err := amqpTelemetry(p.messages)
		if err != nil {
			c.confirm(p.settled, err)
			continue
		}
		receipt, err := ac.events.SendWithReceipt(ctx, m, nil)
		if tooLarge(err) {
			c.confirm(p.settled, hubward.Errorf(hubward.CodeMessageTooLarge, "the encoded message is larger than the hub takes"))
			continue
		}
		if err != nil {
			return err
		}
		receipts <- amqpReceipt{p, receipt} // there is room for all that the outbox can hold
	}
}

// tooLarge reports whether the library refused a message because of the link's limit, before anything was sent.
func tooLarge(err error) bool {
	var e *amqp.Error
	return errors.As(err, &e) && e.Condition == amqp.ErrCondMessageSizeExceeded
}

// confirm waits for the outcomes, in the order of sending, and tells the senders.
func (ac *amqpConn) confirm(ctx context.Context, receipts <-chan amqpReceipt) error {
	for {
		var r amqpReceipt
		select {
		case r = <-receipts:
		case <-ctx.Done():
			return ctx.Err()
		}
		state, err := r.receipt.Wait(ctx)
		if err != nil {
			return err
		}
		switch s := state.(type) {
		case *amqp.StateAccepted:
			ac.useful.Store(true)
			ac.client.confirm(r.p.settled, nil)
		case *amqp.StateRejected:
			ac.client.confirm(r.p.settled, rejection(s.Error))
		default: // released or modified: the hub does not take it now. A new connection sends it again, in its place
			return errors.New("the hub gave a message back")
		}
	}
}

// settled takes p out of the outbox.
func (p *pending) settled(o *outbox) (*pending, int) { return p, o.settle(p) }

// rejection is the error for a message that the hub refused.
func rejection(e *amqp.Error) error {
	if e == nil {
		return hubward.Errorf(hubward.CodeArgumentInvalid, "the hub refused the message")
	}
	return hubward.Errorf(codeOfCondition(e.Condition), "the hub refused the message: %s", e.Description)
}
