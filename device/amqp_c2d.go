package device

import (
	"context"
	"errors"
	"sync"

	"github.com/Azure/go-amqp"

	"github.com/hubward/hubward"
)

// amqpCredit bounds the messages that come and are not settled.
const amqpCredit = 16

// receive attaches the link of messages to the device and puts what comes into the inbox.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-amqp-support.
func (ac *amqpConn) receive(ctx context.Context) error {
	mode := amqp.ReceiverSettleModeSecond // the hub confirms an outcome when it has stored it
	r, err := ac.session.NewReceiver(ctx, ac.address("messages/devicebound"), &amqp.ReceiverOptions{
		Credit: amqpCredit, SettlementMode: &mode, Properties: ac.linkProperties(),
	})
	if err != nil {
		return err
	}
	for {
		m, err := r.Receive(ctx, nil)
		if err != nil {
			return err
		}
		came := &C2DMessage{Message: *c2dFromAMQP(m)}
		readAnnotations(came, m)
		settle := &amqpSettle{client: ac.client, receiver: r, m: m}
		came.settle = settle.settle
		ac.client.in.put(came)
	}
}

// readAnnotations reads what the hub stamps on a message.
func readAnnotations(c *C2DMessage, m *amqp.Message) {
	for key, value := range m.Annotations {
		switch v, _ := key.(string); v {
		case "x-opt-sequence-number":
			c.SequenceNumber = toUint(value)
		case "iothub-enqueuedtime":
			c.EnqueuedTime = toTime(value)
		}
	}
	if m.Header != nil {
		c.DeliveryCount = int(m.Header.DeliveryCount)
	}
}

// amqpSettle settles one message.
type amqpSettle struct {
	client   *Client
	receiver *amqp.Receiver
	m        *amqp.Message

	mu      sync.Mutex // held across the call: one outcome at a time
	settled bool
}

func (s *amqpSettle) settle(ctx context.Context, o settlement) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.settled {
		return errSettled()
	}
	var err error
	switch o {
	case complete:
		err = s.receiver.AcceptMessage(ctx, s.m)
	case reject:
		err = s.receiver.RejectMessage(ctx, s.m, nil)
	case abandon:
		err = s.receiver.ReleaseMessage(ctx, s.m)
	}
	var refused *amqp.Error
	var link *amqp.LinkError
	var conn *amqp.ConnError
	var session *amqp.SessionError
	switch {
	case err == nil:
		s.settled = true
		return nil
	case errors.As(err, &link), errors.As(err, &conn), errors.As(err, &session):
		return errLockLost()
	case errors.As(err, &refused):
		s.settled = true
		return hubward.Errorf(codeOfCondition(refused.Condition), "the hub did not take the outcome: %s", refused.Description)
	}
	return err
}
