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

// receive attaches the link of messages to the device, or to the module's inputs, and puts what comes into the inbox.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-amqp-support; for modules Azure/azure-iot-sdk-node
// device/transport/amqp/src/amqp.ts.
func (ac *amqpConn) receive(ctx context.Context) error {
	node := "messages/devicebound"
	if ac.client.account.identity.Module != "" {
		node = "messages/events"
	}
	mode := amqp.ReceiverSettleModeSecond // the hub confirms an outcome when it has stored it
	r, err := ac.session.NewReceiver(ctx, ac.address(node), &amqp.ReceiverOptions{
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
		case "x-opt-input-name":
			c.input, _ = value.(string)
		case "iothub-connection-device-id":
			c.sender.Device, _ = value.(string)
		case "iothub-connection-module-id":
			c.sender.Module, _ = value.(string)
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
