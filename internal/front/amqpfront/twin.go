package amqpfront

import (
	"encoding/json"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpengine"
	"github.com/hubward/hubward/internal/hub"
)

// attachTwin serves the two links of a twin: on one an identity asks for its twin, or changes it; on the other it gets the
// answers, and is told of changes. Clients open both unasked, some before they do anything else.
func attachTwin(c *conn, l *amqpengine.Link, a *address) *amqpwire.Error {
	p, err := c.join(l, a)
	if err != nil {
		return deviceError(err)
	}
	p.twinNode().attach(l)
	return nil
}

// twinNode is the node of the identity's twin on this connection. It is made for the first link to it.
func (p *presence) twinNode() *node {
	p.conn.mu.Lock()
	defer p.conn.mu.Unlock()
	if p.twin == nil {
		p.twin = newNode(p.conn, p.requestTwin, p.leave)
	}
	return p.twin
}

// requestTwin answers a request for the twin, or for a change of it: this hub cannot serve it yet. A response is told from
// the notification of a change by its correlation id alone, so a request needs one.
//
// Source: Azure/azure-iot-sdk-c iothub_client/src/iothubtransport_amqp_twin_messenger.c.
func (p *presence) requestTwin(q *request) {
	id := correlationOf(q.message)
	if id == nil {
		q.reject(argumentError("A request to a twin needs a correlation id."))
		return
	}
	q.reply(p.conn.twinFailure(id, 501, hubward.CodeInvalidOperation, "this hub does not serve device twins yet"))
}

// correlationOf returns what a request wants to find in its response. Java sends it in both places.
func correlationOf(m *amqpwire.Message) any {
	switch {
	case m.Properties == nil:
		return nil
	case m.Properties.CorrelationID != nil:
		return m.Properties.CorrelationID
	}
	return m.Properties.MessageID
}

// twinFailure is the response to a request that failed. It has a body, and that is JSON: Node reads the error from it, and
// C takes a response to GET without one for a fault of the connection.
//
// Source: Azure/azure-iot-sdk-node device/transport/amqp/src/amqp_twin_client.ts; Azure/azure-iot-sdk-c
// iothub_client/src/iothubtransport_amqp_twin_messenger.c.
func (c *conn) twinFailure(id any, status int32, code hubward.Code, text string) *amqpwire.Message {
	tracking := c.server.newTrackingID()
	c.logger.Debug("amqp twin request refused", "hub", c.hub.Name, "status", status, "tracking", tracking)
	body, err := json.Marshal(struct {
		Code     int       `json:"errorCode"`
		Tracking string    `json:"trackingId"`
		Text     string    `json:"message"`
		Time     time.Time `json:"timestampUtc"`
	}{int(code), tracking, text, c.server.now().UTC()})
	if err != nil { // the clock's year has more than four digits
		body = []byte("{}")
	}
	return &amqpwire.Message{
		Annotations: amqpwire.Map{{Key: amqpwire.Symbol("status"), Value: status}},
		Properties:  &amqpwire.Properties{CorrelationID: id},
		Data:        [][]byte{body},
	}
}

// desiredChanged is called by the hub when desired properties have changed. No device listens over AMQP yet.
func (p *presence) desiredChanged(*hub.DesiredChange) {}
