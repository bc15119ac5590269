package amqpfront

import (
	"strings"

	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpengine"
)

// redirectPort is the one port that clients come back to; several look for ":5671/" in the address.
const redirectPort = 5671

// redirect refuses a link to messages/events and says where the events are: on the same host, under the hub's name.
// Clients take the address apart as text: what followed messages/events/ comes back byte for byte.
//
// Source: AMQP 1.0 part 2 §2.8.18; azure-event-hubs for Node 0.0.8 and 0.2, amenzhinsky/iothub iotservice/client.go and
// Azure/azure-iot-cli-extension azext_iot/monitor/builders/hub_target_builder.py take it apart.
func redirect(c *conn, _ *amqpengine.Link, a *address) *amqpwire.Error {
	authority := c.host
	if strings.Contains(authority, ":") {
		authority = "[" + authority + "]" // an IPv6 address
	}
	return &amqpwire.Error{
		Condition:   amqpwire.LinkRedirect,
		Description: "An AMQP error occurred (condition='amqp:link:redirect').",
		Info: amqpwire.Map{
			{Key: amqpwire.Symbol("hostname"), Value: c.host},
			{Key: amqpwire.Symbol("network-host"), Value: c.host},
			{Key: amqpwire.Symbol("port"), Value: int32(redirectPort)},
			{Key: amqpwire.Symbol("address"), Value: "amqps://" + authority + ":5671/" + c.hub.Name + "/" + a.rest},
		},
	}
}
