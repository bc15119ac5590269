package device

import (
	"strings"

	"github.com/hubward/hubward"
)

// Protocol is how a Client talks to its hub.
type Protocol int

// The protocols. All use TLS. Over HTTPS a client polls for messages, and has no connection that could be lost.
const (
	MQTT          Protocol = iota // MQTT 3.1.1, port 8883
	MQTTWebSocket                 // the same by WebSocket, port 443
	AMQP                          // AMQP 1.0, port 5671
	AMQPWebSocket                 // the same by WebSocket, port 443
	HTTPS                         // a request for each message, port 443
)

var protocolNames = [...]string{"mqtt", "mqtt-ws", "amqp", "amqp-ws", "https"}

// String returns the name that ParseProtocol reads, such as "mqtt-ws".
func (p Protocol) String() string {
	if p < 0 || int(p) >= len(protocolNames) {
		return "unknown"
	}
	return protocolNames[p]
}

// ParseProtocol reads "mqtt", "mqtt-ws", "amqp", "amqp-ws" or "https". Error: CodeArgumentInvalid.
func ParseProtocol(name string) (Protocol, error) {
	for p, known := range protocolNames {
		if name == known {
			return Protocol(p), nil
		}
	}
	return 0, hubward.Errorf(hubward.CodeArgumentInvalid, "there is no protocol %.20q, only %s", name, strings.Join(protocolNames[:], ", "))
}

// port is where hubs speak the protocol.
func (p Protocol) port() string {
	switch p {
	case MQTT:
		return "8883"
	case AMQP:
		return "5671"
	}
	return "443"
}

// transport returns what speaks the protocol for c.
func (p Protocol) transport(c *Client) transport {
	switch p {
	case AMQP, AMQPWebSocket:
		return &amqpTransport{client: c}
	case HTTPS:
		return &pollTransport{client: c, https: newHTTPSClient(c.account, &c.opts, c.tls)}
	}
	return &mqttTransport{client: c}
}
