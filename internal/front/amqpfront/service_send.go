package amqpfront

import (
	"bytes"
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpengine"
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
// Source: spec/amqp.md 6.1.
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
	s.conn.lanes.do(ids[0], func() {
		if err := s.send(ids, m); err != nil {
			s.reject(sendError(m, err, s.conn.server.now()), d)
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
func (s *serviceSendLink) send(ids []string, m *hubward.Message) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.link.Context()), storeTimeout)
	defer cancel()
	var first error
	for _, id := range ids {
		err := s.conn.server.hub.SendC2D(ctx, s.conn.hub, id, m)
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
		s.conn.logger.Error("message to a device not queued", "hub", s.conn.hub, "error", e.Error(), "tracking", tracking)
	} else {
		s.conn.logger.Debug("message to a device refused", "hub", s.conn.hub, "error", e.Error(), "tracking", tracking)
	}
	d.Settle(&amqpwire.Rejected{Error: e})
}

// sendError is deviceError, with the condition of its own that an expiry has.
func sendError(m *hubward.Message, err error, now time.Time) *amqpwire.Error {
	e := deviceError(err)
	const most = 48 * time.Hour
	if e.Condition == conditionArgument && !m.Expiry.IsZero() && (!m.Expiry.After(now) || m.Expiry.After(now.Add(most))) {
		e.Condition = conditionOutOfRange
	}
	return e
}

// targetsOf returns the ids that the property "to" can mean, the likeliest first: some clients write an id as it is, some
// encode it, .NET encodes it twice.
func targetsOf(to string) ([]string, *amqpwire.Error) {
	if to == "" {
		return nil, argumentError("The property 'to' is missing. It is /devices/{id}/messages/devicebound.")
	}
	raw, _ := pathOf(to)
	segments := strings.Split(strings.TrimRight(raw, "/"), "/")
	a := address{path: segments}
	if !a.is(0, "devices") || len(segments) < 2 || segments[1] == "" {
		return nil, badTarget(to)
	}
	if a.is(2, "modules") && len(segments) == 6 && a.ends(4, "messages", "devicebound") {
		return nil, newError(amqpwire.NotFound, "This hub does not have module identities yet.")
	}
	if !a.ends(2, "messages", "devicebound") {
		return nil, badTarget(to)
	}
	ids := []string{segments[1]}
	for range 2 {
		id, err := url.PathUnescape(ids[len(ids)-1])
		if err != nil || slices.Contains(ids, id) {
			break
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func badTarget(to string) *amqpwire.Error {
	return argumentError("The property 'to' is '%s'. It should be /devices/{id}/messages/devicebound.", clip(to))
}
