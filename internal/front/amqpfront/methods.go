package amqpfront

import (
	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpengine"
	"github.com/hubward/hubward/internal/hub"
)

// attachMethods serves the two links on which an identity takes direct methods, and answers them: none comes yet.
func attachMethods(c *conn, l *amqpengine.Link, a *address) *amqpwire.Error {
	return attachWaiting(c, l, a)
}

// callMethod is called by the hub with a direct method. No device takes any over AMQP yet.
func (p *presence) callMethod(m *hub.MethodCall) {}
