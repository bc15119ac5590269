package amqpfront

import (
	"bytes"
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpengine"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
)

// serviceSendCredit is how many messages of a link may be on their way into queues.
const serviceSendCredit = 100

// attachServiceSend serves a link on which a back end sends to devices.
func attachServiceSend(c *conn, l *amqpengine.Link, _ *address) *amqpwire.Error {
	s := &serviceSendLink{conn: c, link: l}
	l.AcceptReceiver(amqpengine.ReceiverOptions{
		Deliver: s.deliver, Closed: func() { c.forget(l) }, Credit: serviceSendCredit, MaxMessageSize: maxDelivery,
	})
	return nil
}

// serviceSendLink puts messages into the queues of devices. A delivery is accepted when the message is durable there.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-amqp-support.
type serviceSendLink struct {
	conn *conn
	link *amqpengine.Link
}

// deliver takes one message. Those for one device stay in order.
func (s *serviceSendLink) deliver(d *amqpengine.Delivery) {
	m := &hubward.Message{}
	e := s.conn.in.read(m, bytes.Clone(d.Payload), false) // the message outlives the call
	var ids []string
	if e == nil {
		m.Body = s.ownBody(m.Body)
		ids, e = targetsOf(m.To)
	}
	if e != nil {
		s.reject(e, d)
		return
	}
	p := s.conn.principalOf(s.link)
	s.conn.workers.do(ids[0], func() {
		if err := s.send(p, ids, m); err != nil {
			s.reject(sendError(err), d)
			return
		}
		d.Settle(accepted)
	})
}

// ownBody copies a body that lies in the reader.
func (s *serviceSendLink) ownBody(body []byte) []byte {
	if s.conn.in.parts > 1 {
		return bytes.Clone(body)
	}
	return body
}

// send sends to the first of the ids that there is.
func (s *serviceSendLink) send(p *access.Principal, ids []string, m *hubward.Message) error {
	ctx, cancel := s.conn.server.storing()
	defer cancel()
	var first error
	for _, id := range ids {
		err := s.conn.server.hub.SendC2D(ctx, p, hubward.Identity{Device: id}, m)
		if hubward.CodeOf(err) != hubward.CodeDeviceNotFound || err == nil {
			return err
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// reject tells the sender why a message was not queued.
func (s *serviceSendLink) reject(e *amqpwire.Error, d *amqpengine.Delivery) {
	tracking := s.conn.server.track(e)
	if e.Condition == amqpwire.InternalError {
		s.conn.logger.Error("message to a device not queued", "hub", s.conn.hub.Name, "error", e.Error(), "tracking", tracking)
	} else {
		s.conn.logger.Debug("message to a device refused", "hub", s.conn.hub.Name, "error", e.Error(), "tracking", tracking)
	}
	d.Settle(&amqpwire.Rejected{Error: e})
}

// sendError is deviceError, with the condition of its own that an expiry has.
func sendError(err error) *amqpwire.Error {
	e := deviceError(err)
	if errors.Is(err, hub.ErrExpiry) {
		e.Condition = conditionOutOfRange
	}
	return e
}

// c2dTarget is what the property "to" of a message names.
var c2dTarget = pattern{identityPart, "messages", "devicebound"}

// targetsOf returns the ids that the property "to" can mean, the likeliest first: some clients write an id as it is, some
// encode it, .NET encodes it twice.
func targetsOf(to string) ([]string, *amqpwire.Error) {
	if to == "" {
		return nil, argumentError("The property 'to' is missing. It is /devices/{id}/messages/devicebound.")
	}
	raw, _ := pathOf(to)
	c, ok := c2dTarget.match(strings.Split(strings.TrimRight(raw, "/"), "/"))
	switch {
	case !ok:
		return nil, argumentError("The property 'to' is '%s'. It should be /devices/{id}/messages/devicebound.", clip(to))
	case c.identity.Module != "":
		return nil, newError(amqpwire.NotFound, "Cloud-to-device messages are for devices, not for their modules.")
	}
	ids := []string{c.identity.Device}
	for range 2 {
		id, err := url.PathUnescape(ids[len(ids)-1])
		if err != nil || slices.Contains(ids, id) {
			break
		}
		ids = append(ids, id)
	}
	return ids, nil
}
