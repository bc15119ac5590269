package mqttfront

import (
	"sync"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/mqttwire"
)

// session is the state of a logged-in connection, of a device or of a module. Only the reading goroutine changes it.
type session struct {
	conn     *conn
	identity hubward.Identity
	link     *hub.Link
	ingest   *hub.Ingest
	clean    bool
	will     *mqttwire.Will

	telemetryTopic []byte       // without the slash behind "events"
	publication    *publication // nil until something is published

	c2d     *devicebound // nil until there is a subscription to messages for the device; set before the hub delivers
	desired bool         // the hub tells of changes of desired properties

	// subscriptions are replaced, with mu locked, and never changed. mu is held while what depends on them is queued.
	mu            sync.Mutex
	subscriptions []subscription
	certificates  certificatesInFlight // guarded by mu
}

func newSession(c *conn, id hubward.Identity, p *mqttwire.ConnectPacket) *session {
	return &session{
		conn: c, identity: id, clean: p.CleanSession, will: p.Will,
		telemetryTopic: []byte(identityTopic(id) + "messages/events"),
	}
}

// handle acts on one packet. An error ends the connection: MQTT 3.1.1 has no other way to say no.
func (s *session) handle(h mqttwire.Header, body []byte) error {
	switch h.Type {
	case mqttwire.Publish:
		return s.publish(h.Flags, body)
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

// puback acts on a PUBACK: the device has a message, or an answer.
func (s *session) puback(body []byte) error {
	id, err := mqttwire.ParseID(body)
	if err == nil && !s.certificateAcked(id) && s.c2d != nil {
		s.c2d.acknowledged(id)
	}
	return err
}

// leave has the hub hand over nothing more that wants an answer: the client is about to lose its connection.
func (s *session) leave() {
	s.link.TakeMethods(false)
	s.link.UnfollowDesired()
}

// end waits for what the client asked for before it left, publishes the will, if there is one and the identity may still
// speak, and gives the link back.
func (s *session) end(reason error) {
	defer s.conn.recover()
	defer s.link.Disconnect()
	if s.c2d != nil {
		s.c2d.receiver.Stop()
	}
	s.conn.out.awaitRequests(s.conn.srv.ctx)
	if s.will != nil && mayPublishWill(reason) {
		s.publishWill()
	}
}

// mayPublishWill reports whether a connection that ended for reason leaves its will: not when the identity lost its right
// to speak, nor when the server went away under it.
func mayPublishWill(reason error) bool {
	if reason == errDraining {
		return false
	}
	switch hubward.CodeOf(reason) {
	case hubward.CodeUnauthorized, hubward.CodeUnauthorizedAccess, hubward.CodeDeviceNotFound, hubward.CodeModuleNotFound,
		hubward.CodeHubNotFound:
		return false
	}
	return true
}
