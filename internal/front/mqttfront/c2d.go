package mqttfront

import (
	"context"
	"slices"
	"sync"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/mqttwire"
)

// maxInFlight bounds the messages to a device that are sent and not completed. With what a topic and a body can be, a
// connection queues at most 2 MiB of them. The cloud's number is not documented: this is that of Azure/iotedge's EdgeHub.
const maxInFlight = 16

// devicebound is the messages to a device on one connection. It is made with the first subscription; a connection
// without one has none. The hub hands over as many messages as there is room for, and room is made when the hub has
// stored that one is done with.
//
// Lock order: mu, then outgoing.mu. The hub is called without mu.
type devicebound struct {
	// Set before the hub knows it, never changed after.
	conn   *conn
	device string

	// Touched only by the reading goroutine.
	receiver *hub.C2DReceiver // set behind the first deliveries

	mu       sync.Mutex // guards the fields below; never held across I/O or calls of the hub
	qos      byte
	paused   bool       // there is no subscription now
	inFlight []inFlight // oldest first
}

// inFlight is a message that was sent and is not completed. Its id is 0 at QoS 0.
type inFlight struct {
	sequence int64
	id       uint16
	settling bool // acknowledged: the hub stores that
	token    string
}

// receiveC2D begins, goes on or ends to deliver messages to the device, as its subscriptions say.
//
// Source: learn.microsoft.com/azure/iot/iot-mqtt-connect-to-iot-hub, receiving cloud-to-device messages.
func (s *session) receiveC2D(context.Context) error {
	if s.identity.Module != "" {
		return nil
	}
	qos, wanted := s.listens(identityTopic(s.identity) + "messages/devicebound/" + anyBag)
	switch {
	case s.c2d == nil && wanted:
		s.c2d = &devicebound{conn: s.conn, device: s.identity.Device, qos: qos}
		s.c2d.receiver = s.link.ReceiveC2D(maxInFlight)
	case s.c2d != nil && wanted:
		s.c2d.resume(qos)
	case s.c2d != nil:
		s.c2d.pause()
	}
	return nil
}

// anyBag stands for the property bag of a topic. No filter names it, which cannot hold a NUL [MQTT-1.5.3-2]: whoever wants
// messages to the device takes them with any bag.
const anyBag = "\x00"

// pause ends the delivery. What is in flight can still be acknowledged.
func (d *devicebound) pause() {
	d.mu.Lock()
	d.paused = true
	d.mu.Unlock()
	d.receiver.SetCredit(0)
}

// resume goes on at that QoS. Nothing that is in flight is sent again.
func (d *devicebound) resume(qos byte) {
	d.mu.Lock()
	was := d.paused
	d.qos, d.paused = qos, false
	room := maxInFlight - len(d.inFlight)
	d.mu.Unlock()
	if was {
		d.receiver.SetCredit(room)
	}
}

// deliver sends one message, or gives it back at once. The hub calls it, and may do so before receiver is set.
func (d *devicebound) deliver(m *hub.C2DDelivery) {
	outcome, err := d.send(m)
	if err == nil {
		return
	}
	if err != errNoRoom {
		d.conn.srv.logger.Warn("message to a device not sent", append(d.conn.session.attrs(), "sequence", m.Sequence, "error", err)...)
	}
	d.settle(m.Receiver, m.LockToken, outcome)
}

// send queues one message for the writer. After an error the message has to be given back with that outcome.
func (d *devicebound) send(m *hub.C2DDelivery) (hub.C2DOutcome, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	// The hub hands out what is in flight when its lock has ended. It is the same delivery to the client, as after a
	// connection that broke: it keeps its identifier and its place, and an acknowledgement of either completes it. The first
	// one would hold its place for as long as the connection lasts.
	id, again := d.takeBackLocked(m.Sequence)
	if again {
		defer m.Receiver.Credit(1)
	}
	if d.paused || len(d.inFlight) >= maxInFlight {
		return hub.C2DReturn, errNoRoom // credit that was on its way when the subscription changed
	}
	p := mqttwire.PublishPacket{Topic: deviceboundTopic(d.device, m.Message), Payload: m.Message.Body, QoS: d.qos}
	if p.QoS > 0 {
		p.ID, p.Dup = id, m.Redelivered
		if !again {
			p.ID = d.idLocked(m.Sequence)
		}
	}
	packet, err := mqttwire.AppendPublish(nil, &p)
	if err != nil {
		// Its properties do not fit a topic. A device that comes by another protocol may still take it; the count ends it
		// otherwise.
		d.inFlight = append(d.inFlight, inFlight{sequence: m.Sequence, token: m.LockToken, settling: true})
		return hub.C2DAbandon, err
	}
	d.inFlight = append(d.inFlight, inFlight{sequence: m.Sequence, id: p.ID, token: m.LockToken, settling: p.QoS == 0})
	var written func()
	if p.QoS == 0 { // without PUBACK nothing else can complete it; when the cloud does is not documented
		written = func() { d.settle(m.Receiver, m.LockToken, hub.C2DComplete) }
	}
	d.conn.out.push(packet, written)
	return 0, nil
}

var errNoRoom = hubward.Errorf(hubward.CodeInvalidOperation, "the subscription has ended")

// takeBackLocked takes a message out of those in flight that the client has not acknowledged, and returns its identifier.
func (d *devicebound) takeBackLocked(sequence int64) (id uint16, ok bool) {
	i := slices.IndexFunc(d.inFlight, func(f inFlight) bool { return f.sequence == sequence && !f.settling })
	if i < 0 {
		return 0, false
	}
	id = d.inFlight[i].id
	d.inFlight = slices.Delete(d.inFlight, i, i+1)
	return id, true
}

// idLocked returns a packet identifier that is not in flight. A message has the same one on the next connection, without
// anybody keeping it [MQTT-4.4.0-1], unless another message in flight is as many messages away as there are identifiers.
func (d *devicebound) idLocked(sequence int64) uint16 {
	const ids = firstCertificateID - 1
	id := uint16((sequence-1)%ids) + 1
	for slices.ContainsFunc(d.inFlight, func(f inFlight) bool { return f.id == id }) {
		id = id%ids + 1
	}
	return id
}

// acknowledged acts on a PUBACK: the message is completed. An identifier that is not in flight is nobody's: it may be of
// a connection before this one.
func (d *devicebound) acknowledged(id uint16) {
	d.mu.Lock()
	i := slices.IndexFunc(d.inFlight, func(f inFlight) bool { return f.id == id })
	if i < 0 || d.inFlight[i].settling {
		d.mu.Unlock()
		return
	}
	d.inFlight[i].settling = true
	token := d.inFlight[i].token
	d.mu.Unlock()
	d.settle(d.receiver, token, hub.C2DComplete)
}

// settle has the hub store an outcome; then there is room for another message. A lock that has ended meanwhile is no
// failure: the hub hands the message out again.
func (d *devicebound) settle(r *hub.C2DReceiver, token string, outcome hub.C2DOutcome) {
	r.Settle(token, outcome, func(err error) {
		if err != nil && hubward.CodeOf(err) != hubward.CodeDeviceMessageLockLost {
			d.conn.Close(err) // MQTT 3.1.1 cannot say it; the message comes again on the next connection
			return
		}
		if d.forget(token) {
			r.Credit(1)
		}
	})
}

// forget takes a message out of those in flight, and reports whether another one may come.
func (d *devicebound) forget(token string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := slices.IndexFunc(d.inFlight, func(f inFlight) bool { return f.token == token })
	if i < 0 {
		return false
	}
	d.inFlight = slices.Delete(d.inFlight, i, i+1)
	return !d.paused
}
