package amqpfront

import (
	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpengine"
	"github.com/hubward/hubward/internal/hub"
)

// attachMethods refuses a link on which a device takes direct methods, or answers them.
func attachMethods(*conn, *amqpengine.Link, *address) *amqpwire.Error {
	return notYet("Direct methods over AMQP")
}

// callMethod is called by the hub with a direct method. No device takes any over AMQP yet.
func (p *presence) callMethod(m *hub.MethodCall) {
	m.Respond(hub.MethodResult{}, &hubward.Error{
		Code: hubward.CodeDeviceNotOnline, Identity: p.id, Message: "The device '" + p.id.String() + "' does not take direct methods.",
	})
}
