package device

import (
	"bytes"
	"context"

	"github.com/Azure/go-amqp"
)

// The application properties of calls and answers.
//
// Source: Azure/azure-iot-sdk-node device/transport/amqp/src/amqp_device_method_client.ts.
const (
	propertyMethodName   = "IoThub-methodname"
	propertyMethodStatus = "IoThub-status"
)

// serveMethods attaches the links of direct methods and takes calls.
func (ac *amqpConn) serveMethods(ctx context.Context) error {
	pair, err := ac.openPair(ctx, "methods/devicebound", "methods:")
	if err != nil {
		return err
	}
	for {
		m, err := pair.next(ctx)
		if err != nil {
			return err
		}
		name, _ := m.ApplicationProperties[propertyMethodName].(string)
		if name == "" || m.Properties == nil || m.Properties.CorrelationID == nil {
			ac.client.log.Debug("device client ignores a message from the hub")
			continue
		}
		ac.client.call(&methodCall{
			MethodRequest: MethodRequest{Name: name, Payload: bytes.Join(m.Data, nil)},
			answer: func(status int, payload []byte, written func()) {
				defer written()
				if err := pair.answer(ctx, m.Properties.CorrelationID, status, payload); err != nil {
					ac.client.log.Info("device client: the answer to a method is dropped", "method", name, "reason", err)
				}
			},
			lost: func() bool { return ctx.Err() != nil },
		})
	}
}

// answer sends the answer to a call. When the connection is lost the hub tells the caller.
func (p *amqpPair) answer(ctx context.Context, id any, status int, payload []byte) error {
	return p.sender.Send(ctx, &amqp.Message{
		Properties:            &amqp.MessageProperties{CorrelationID: id},
		ApplicationProperties: map[string]any{propertyMethodStatus: int32(status)},
		Data:                  [][]byte{payload},
	}, nil)
}
