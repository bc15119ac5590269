package amqpfront

import (
	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpengine"
	"github.com/hubward/hubward/internal/hub"
)

// attachTwin refuses a link on which a device asks for its twin, or is told of it.
func attachTwin(*conn, *amqpengine.Link, *address) *amqpwire.Error {
	return notYet("The device twin over AMQP")
}

// desiredChanged is called by the hub when desired properties have changed. No device listens over AMQP yet.
func (p *presence) desiredChanged(*hub.DesiredChange) {}
