package mqttfront

import (
	"context"
	"slices"
	"strings"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/mqttwire"
)

// session is the state of a logged-in connection. Only the reading goroutine touches it.
type session struct {
	conn   *conn
	link   *hub.Link
	ingest *hub.Ingest
	clean  bool
	will   *mqttwire.Will
	topics topics

	subscriptions []hub.Subscription
	c2d           *devicebound // nil until there is a subscription to messages for the device
}

func newSession(c *conn, user userName, p *mqttwire.ConnectPacket) *session {
	return &session{conn: c, clean: p.CleanSession, will: p.Will, topics: topicsOf(user.identity)}
}

// handle acts on one packet. m is scratch space. An error ends the connection: MQTT 3.1.1 has no other way to say no.
func (s *session) handle(h mqttwire.Header, body []byte, m *hubward.Message) error {
	switch h.Type {
	case mqttwire.Publish:
		return s.publish(h.Flags, body, m)
	case mqttwire.Puback:
		return s.puback(body)
	case mqttwire.Subscribe:
		return s.subscribe(body)
	case mqttwire.Unsubscribe:
		return s.unsubscribe(body)
	case mqttwire.Pingreq:
		s.conn.out.send(mqttwire.AppendPingresp(nil))
		return nil
	case mqttwire.Disconnect:
		s.will = nil // [MQTT-3.14.4-3]
		return errDisconnected
	}
	return hubward.Errorf(hubward.CodeInvalidOperation, "a client does not send %s", h.Type)
}

// publish acts on a PUBLISH: telemetry goes to the hub, which acknowledges it when it is durable.
func (s *session) publish(flags byte, body []byte, m *hubward.Message) error {
	p, err := mqttwire.ParsePublish(flags, body)
	if err != nil {
		return err
	}
	if p.QoS > 1 {
		return errQoS2
	}
	bag, ok := s.topics.telemetryBag(p.Topic)
	if !ok {
		return s.publishOther(&p)
	}
	if err := readTelemetry(m, bag, p.Payload, p.Retain); err != nil {
		return err
	}
	return s.telemetry(m, p.ID, len(body))
}

// errQoS2 closes the connection, as the real hub does (spec/device.md 2.7).
var errQoS2 = hubward.Errorf(hubward.CodeInvalidOperation, "the hub does not take QoS 2")

// telemetry hands a message to the hub; id is 0 when no acknowledgement is wanted.
func (s *session) telemetry(m *hubward.Message, id uint16, size int) error {
	if !s.conn.out.expect(id, size) {
		return s.conn.closed()
	}
	return s.ingest.Telemetry(s.conn.srv.ctx, m)
}

// publishOther acts on a PUBLISH that is no telemetry. Topics of features that this hub does not have yet are answered
// so that the SDK reports an error; foreign topics close the connection (spec/device.md 2.7).
func (s *session) publishOther(p *mqttwire.PublishPacket) error {
	topic := string(p.Topic)
	rid, isTwin := twinRequest(topic)
	if !isTwin && !strings.HasPrefix(topic, "$iothub/methods/res/") {
		return hubward.Errorf(hubward.CodeInvalidOperation, "a device does not publish to this topic")
	}
	if p.QoS == 1 {
		s.conn.out.send(mqttwire.AppendPuback(nil, p.ID))
	}
	if isTwin && s.subscribed(filterTwinResponse) {
		packet, err := refuseTwin(rid)
		if err != nil {
			return err
		}
		s.conn.out.send(packet)
	}
	return nil
}

// puback acts on a PUBACK: the device has a message.
func (s *session) puback(body []byte) error {
	id, err := mqttwire.ParseID(body)
	if err == nil && s.c2d != nil {
		s.c2d.acknowledged(id)
	}
	return err
}

func (s *session) subscribed(filter string) bool {
	_, ok := s.subscription(filter)
	return ok
}

// subscription returns the subscription to a filter. The filter "" is nobody's.
func (s *session) subscription(filter string) (hub.Subscription, bool) {
	i := slices.IndexFunc(s.subscriptions, func(sub hub.Subscription) bool { return sub.Filter == filter })
	if i < 0 {
		return hub.Subscription{}, false
	}
	return s.subscriptions[i], true
}

// subscribe acts on a SUBSCRIBE. The filters of a session that outlives its connection are durable before SUBACK.
// Repetitions are idempotent; QoS 2 is granted as 1.
func (s *session) subscribe(body []byte) error {
	p, err := mqttwire.ParseSubscribe(body)
	if err != nil {
		return err
	}
	next := slices.Clone(s.subscriptions)
	codes := make([]byte, len(p.Filters))
	for i, f := range p.Filters {
		if !s.topics.allowsFilter(f.Topic) {
			return hubward.Errorf(hubward.CodeInvalidOperation, "a device does not subscribe to this filter")
		}
		codes[i] = min(f.QoS, 1)
		sub := hub.Subscription{Filter: f.Topic, QoS: codes[i]}
		if at := slices.IndexFunc(next, func(old hub.Subscription) bool { return old.Filter == f.Topic }); at >= 0 {
			next[at] = sub
		} else {
			next = append(next, sub)
		}
	}
	if err := s.store(next); err != nil {
		return err
	}
	s.conn.out.send(mqttwire.AppendSuback(nil, p.ID, codes...))
	s.receiveC2D()
	return nil
}

// unsubscribe acts on an UNSUBSCRIBE. Filters that are not there are acknowledged all the same [MQTT-3.10.4-5].
func (s *session) unsubscribe(body []byte) error {
	p, err := mqttwire.ParseUnsubscribe(body)
	if err != nil {
		return err
	}
	next := slices.DeleteFunc(slices.Clone(s.subscriptions), func(old hub.Subscription) bool {
		return slices.Contains(p.Topics, old.Filter)
	})
	if err := s.store(next); err != nil {
		return err
	}
	s.receiveC2D() // before the answer: nothing comes after it
	s.conn.out.send(mqttwire.AppendUnsuback(nil, p.ID))
	return nil
}

// store makes next the session's filters, durably unless the session is a clean one.
func (s *session) store(next []hub.Subscription) error {
	if slices.Equal(next, s.subscriptions) {
		return nil // Java subscribes on every connect: that need not cost a write
	}
	if !s.clean {
		ctx, cancel := context.WithTimeout(s.conn.srv.ctx, storeTimeout)
		defer cancel()
		if err := s.link.SaveSubscriptions(ctx, next); err != nil {
			return err
		}
	}
	s.subscriptions = next
	return nil
}

// end publishes the will, if there is one and the device may still speak, and gives the link back.
func (s *session) end(reason error) {
	defer s.conn.recover()
	defer s.link.Disconnect()
	if s.will != nil && mayPublishWill(reason) {
		s.publishWill()
	}
}

// mayPublishWill reports whether a connection that ended for reason leaves its will: not when the device lost its
// right to speak, nor when the server went away under it.
func mayPublishWill(reason error) bool {
	if reason == errDraining {
		return false
	}
	switch hubward.CodeOf(reason) {
	case hubward.CodeUnauthorized, hubward.CodeUnauthorizedAccess, hubward.CodeDeviceNotFound, hubward.CodeHubNotFound:
		return false
	}
	return true
}
