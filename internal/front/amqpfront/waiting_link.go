package amqpfront

import (
	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpengine"
)

// attachWaiting serves a link of an identity for which there is nothing to do: nothing is ever sent on it, and what comes on
// it is accepted and dropped. Clients open such links unasked, and give up all of the connection when one is refused. A link
// that waits has no goroutine and no buffer.
//
// Observed with Azure/azure-iot-sdk-c 1.15.0 and Java's iot-device-client 2.5: they connect again and again, or not at all.
func attachWaiting(c *conn, l *amqpengine.Link, a *address) *amqpwire.Error {
	p, err := c.join(l, a)
	if err != nil {
		return deviceError(err)
	}
	acceptWaiting(l, func() { p.leave(l) })
	return nil
}

// acceptWaiting accepts a link of either direction. closed is called when it has ended.
func acceptWaiting(l *amqpengine.Link, closed func()) {
	if l.Attach().Role == amqpwire.RoleReceiver {
		l.AcceptSender(amqpengine.SenderOptions{Closed: closed})
		return
	}
	l.AcceptReceiver(amqpengine.ReceiverOptions{
		Deliver: func(d *amqpengine.Delivery) { d.Settle(accepted) }, Closed: closed, Credit: requestCredit, MaxMessageSize: maxDelivery,
	})
}
