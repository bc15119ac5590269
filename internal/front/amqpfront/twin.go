package amqpfront

import (
	"bytes"
	"math"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpengine"
	"github.com/hubward/hubward/internal/front/errorbody"
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
func (p *presence) twinNode() *twinNode {
	p.conn.mu.Lock()
	defer p.conn.mu.Unlock()
	if p.twin == nil {
		p.twin = newTwinNode(p)
	}
	return p.twin
}

// twinNode is the twin of an identity as one connection sees it, which may have several pairs of links to it.
type twinNode struct {
	*node
	presence *presence
	feed     desiredFeed
	room     twinRoom
}

func newTwinNode(p *presence) *twinNode {
	t := &twinNode{presence: p}
	t.node = newNode(p.conn, t.request, t.leave)
	t.node.opened = t.feed.pump
	// What the hub says of a document is more than what a detach says: it is given the chance.
	t.node.maxRequest, t.node.truncate = maxDelivery, true
	t.node.credit = twinCredit
	t.feed.twin = t
	return t
}

// leave is called when a link has ended.
func (t *twinNode) leave(l *amqpengine.Link) {
	t.feed.drop(l)
	t.presence.leave(l)
}

// request answers a request, now or later. A response is told from the notification of a change by its correlation id alone,
// so a request needs one.
//
// Source: Azure/azure-iot-sdk-c iothub_client/src/iothubtransport_amqp_twin_messenger.c.
func (t *twinNode) request(q *request) {
	id := correlationOf(q.message)
	if id == nil {
		q.reject(argumentError("A request to a twin needs a correlation id."))
		return
	}
	r, err := readTwinRequest(q.message)
	if err == nil && q.tooLarge {
		err = hubward.Errorf(hubward.CodeMessageTooLarge, "The request is larger than %d bytes.", t.maxRequest)
	}
	if err != nil {
		t.fail(q, id, err)
		return
	}
	switch r.operation {
	case twinGet, twinPatch:
		t.ask(q, id, &r)
	case twinPut:
		t.feed.subscribe(q, func(err error) { t.answer(q, id, err, &amqpwire.Message{Annotations: withStatus(200)}) })
	case twinDelete:
		t.feed.unsubscribe(q, func() { t.answer(q, id, nil, &amqpwire.Message{Annotations: withStatus(200)}) })
	}
}

// ask has the hub carry out a GET or a PATCH, also when the link ends meanwhile, or refuses it when too much is under way.
func (t *twinNode) ask(q *request, id any, r *twinRequest) {
	size := len(r.patch)
	if err := t.room.enter(size); err != nil {
		t.fail(q, id, err)
		return
	}
	ctx, link := q.link.Context(), t.presence.link
	if r.operation == twinGet {
		link.GetTwin(ctx, func(document []byte, err error) {
			t.answer(q, id, err, &amqpwire.Message{Annotations: withStatus(200), Data: [][]byte{document}})
			t.room.leave(size)
		})
		return
	}
	link.UpdateReported(ctx, r.patch, r.ifVersion, func(version int64, err error) {
		t.answer(q, id, err, &amqpwire.Message{Annotations: withVersion(withStatus(204), version)})
		t.room.leave(size)
	})
}

// answer sends a response, or that of a failure.
func (t *twinNode) answer(q *request, id any, err error, response *amqpwire.Message) {
	if err != nil {
		t.fail(q, id, err)
		return
	}
	response.Properties = &amqpwire.Properties{CorrelationID: id}
	q.reply(response)
}

// withStatus makes the annotations of a response: the status is an int, and no value is null.
//
// Source: Azure/azure-iot-sdk-c iothub_client/src/iothubtransport_amqp_twin_messenger.c (int); Azure/azure-iot-sdk-java
// AmqpsTwinReceiverLinkHandler.java (no null); Azure/iotedge edge-hub sends the same statuses.
func withStatus(status int32) amqpwire.Map {
	return amqpwire.Map{{Key: amqpwire.Symbol("status"), Value: status}}
}

// withVersion adds a version, which is a long to C. Java reads it as an int: it is told none beyond that.
//
// Source: as of withStatus.
func withVersion(annotations amqpwire.Map, version int64) amqpwire.Map {
	if version > math.MaxInt32 {
		return annotations
	}
	return append(annotations, amqpwire.Entry{Key: amqpwire.Symbol("version"), Value: version})
}

// correlationOf returns what a request wants to find in its response. Java sends it in both places.
func correlationOf(m *amqpwire.Message) any {
	if m.Properties == nil {
		return nil
	}
	id := m.Properties.CorrelationID
	if id == nil {
		id = m.Properties.MessageID
	}
	if b, ok := id.([]byte); ok {
		return bytes.Clone(b) // it lies in the frame
	}
	return id
}

// fail answers a request that failed. The response has a body, and that is JSON, whatever was asked for: Node reads the error
// from it, and C# throws at one without a body. C takes any body for the twin that it asked for, but without one it calls the
// program with a null pointer, and takes the connection for broken after a few.
//
// Source: Azure/azure-iot-sdk-node device/transport/amqp/src/amqp_twin_client.ts; Azure/azure-iot-sdk-csharp
// iothub/device/src/Transport/AmqpIot/AmqpIotReceivingLink.cs; Azure/azure-iot-sdk-c
// iothub_client/src/iothubtransport_amqp_twin_messenger.c.
func (t *twinNode) fail(q *request, id any, err error) {
	c, code := t.conn, hubward.CodeOf(err)
	tracking := c.server.newTrackingID()
	log := c.logger.Debug
	if conditionOf(code) == amqpwire.InternalError && q.link.Context().Err() == nil {
		log = c.logger.Error
	}
	log("amqp twin request failed", "hub", c.hub.Name, "device", t.presence.id.String(), "error", err, "tracking", tracking)
	body, err := errorbody.Encode(code, tracking, errorText(err), c.server.now())
	if err != nil { // the clock's year has more than four digits
		body = []byte("{}")
	}
	q.reply(&amqpwire.Message{
		Annotations: withStatus(int32(code.HTTPStatus())), Properties: &amqpwire.Properties{CorrelationID: id}, Data: [][]byte{body},
	})
}
