package device

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/Azure/go-amqp"

	"github.com/hubward/hubward"
)

// The words of requests about the twin.
//
// Source: Azure/azure-iot-sdk-node device/transport/amqp/src/amqp_twin_client.ts.
const (
	annotationOperation = "operation"
	annotationResource  = "resource"
	annotationStatus    = "status"
	annotationVersion   = "version"
	resourceReported    = "/properties/reported"
	resourceDesired     = "/notifications/twin/properties/desired"
)

// amqpTwin is the pair of links of the twin.
type amqpTwin struct {
	*amqpPair
	conn   *amqpConn
	follow string // correlation id of the request to be told of changes
}

// serveTwin attaches the links of the twin, and sends requests.
func (ac *amqpConn) serveTwin(ctx context.Context) error {
	c := ac.client
	pair, err := ac.openPair(ctx, "twin", "twin:")
	if err != nil {
		var refused *amqp.Error
		if errors.As(err, &refused) {
			c.twin.fail(hubward.Errorf(hubward.CodeInvalidOperation, "%v", err))
		}
		return err
	}
	t := &amqpTwin{pair, ac, rand.Text()}
	ac.start(func() error { return t.receive(ctx) })
	following := false
	for {
		if !following && c.desired.wanted() {
			following = true
			if err := t.send(ctx, t.follow, "PUT", resourceDesired, nil); err != nil {
				return err
			}
		}
		call := c.twin.next()
		switch {
		case call == nil:
			select {
			case <-ac.wakeTwin:
			case <-ctx.Done():
				return ctx.Err()
			}
		case call.patch == nil:
			err = t.send(ctx, call.id, "GET", "", nil)
		default:
			err = t.send(ctx, call.id, "PATCH", resourceReported, call.patch)
		}
		if err != nil {
			return err
		}
	}
}

// send sends a request.
func (t *amqpTwin) send(ctx context.Context, id, operation, resource string, body []byte) error {
	m := &amqp.Message{
		Properties:  &amqp.MessageProperties{CorrelationID: id},
		Annotations: amqp.Annotations{annotationOperation: operation},
		Data:        [][]byte{body},
	}
	if resource != "" {
		m.Annotations[annotationResource] = resource
	}
	if body == nil {
		m.Data[0] = []byte(" ") // as in the Node SDK: a message has a body
	}
	return t.sender.Send(ctx, m, nil)
}

// receive takes answers, which have the correlation id of their requests, and changes of the desired properties, which have none.
func (t *amqpTwin) receive(ctx context.Context) error {
	c := t.conn.client
	for {
		m, err := t.next(ctx)
		if err != nil {
			return err
		}
		body := bytes.Join(m.Data, nil)
		if m.Properties == nil || m.Properties.CorrelationID == nil {
			c.desired.arrive(body)
			continue
		}
		id, _ := m.Properties.CorrelationID.(string)
		status, known := toInt(m.Annotations[annotationStatus])
		a := twinAnswer{body: body}
		a.version, _ = toInt(m.Annotations[annotationVersion])
		if known && status/100 != 2 {
			a.err = refusedTwinCall(int(status), body)
		}
		if id == t.follow {
			if a.err != nil {
				return fmt.Errorf("the hub refused the subscription to changes of the desired properties: %v", a.err) // not %w: it ends the connection, not the client
			}
			c.desired.missed() // what has changed until now the hub has told nobody
			continue
		}
		t.conn.useful.Store(true)
		c.twin.settle(id, a)
	}
}

// amqpPair is a sender and a receiver of one node, which the hub sees as belonging together.
type amqpPair struct {
	sender   *amqp.Sender
	receiver *amqp.Receiver
}

// amqpPairCredit bounds the messages of such a node that have come and are not looked at.
const amqpPairCredit = 100

// openPair attaches both links. They say so by an id with that prefix, whatever is on them is settled when it is sent.
//
// Source: Azure/azure-iot-sdk-node device/transport/amqp/src/amqp_twin_client.ts, amqp_device_method_client.ts.
func (ac *amqpConn) openPair(ctx context.Context, node, prefix string) (*amqpPair, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	properties := ac.linkProperties()
	properties["com.microsoft:channel-correlation-id"] = prefix + rand.Text()
	mode := amqp.SenderSettleModeSettled
	sender, err := ac.session.NewSender(ctx, ac.address(node), &amqp.SenderOptions{SettlementMode: &mode, Properties: properties})
	if err != nil {
		return nil, fmt.Errorf("the hub did not take the link to %s: %w", node, err)
	}
	receiver, err := ac.session.NewReceiver(ctx, ac.address(node), &amqp.ReceiverOptions{
		Credit: amqpPairCredit, RequestedSenderSettleMode: &mode, Properties: properties,
	})
	if err != nil {
		return nil, fmt.Errorf("the hub did not take the link from %s: %w", node, err)
	}
	return &amqpPair{sender, receiver}, nil
}

// next returns the next message that the hub sends.
func (p *amqpPair) next(ctx context.Context) (*amqp.Message, error) {
	m, err := p.receiver.Receive(ctx, nil)
	if err != nil {
		return nil, err
	}
	return m, p.receiver.AcceptMessage(ctx, m) // does nothing for what is settled
}

// toInt reads a whole number of whatever AMQP type.
func toInt(v any) (n int64, ok bool) {
	switch v := v.(type) {
	case int32:
		return int64(v), true
	case int64:
		return v, true
	case uint32:
		return int64(v), true
	}
	return 0, false
}
