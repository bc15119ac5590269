package mqttfront

import (
	"bytes"
	"context"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/mqttwire"
)

// topicFamily is a row of the table of topics: those of one feature to which clients publish, or by which they get something.
type topicFamily struct {
	// match reports whether the session's identity publishes to the topic as one of this family, and returns the part of it
	// that differs from message to message. nil: no client publishes here.
	match func(s *session, topic []byte) (rest []byte, ok bool)
	// publish acts on a PUBLISH to such a topic. An error ends the connection.
	publish func(s *session, p *publication) error
	// follow is called before the session begins, and whenever its subscriptions may have changed. An error ends the
	// connection. nil: nothing depends on them.
	follow func(s *session, ctx context.Context) error
}

// topicFamilies is the table of topics. Telemetry comes first: that is what most packets are.
//
// What clients subscribe to is no part of it: they may subscribe to anything of theirs (maySubscribe), and whoever has
// something for the client asks whether it listens. Topics are compared as texts. Ids stand raw in them and may hold '+' and
// '#', which are no wildcards there.
//
// Source: learn.microsoft.com/azure/iot/iot-mqtt-connect-to-iot-hub; ids:
// learn.microsoft.com/azure/iot-hub/iot-hub-devguide-identity-registry.
var topicFamilies = [...]topicFamily{
	{match: (*session).matchTelemetry, publish: (*session).publishTelemetry},
	{follow: (*session).receiveC2D},
	{match: below("$iothub/methods/res"), publish: (*session).respondToMethod, follow: (*session).takeMethods},
	{match: below("$iothub/twin/PATCH/properties/reported"), publish: (*session).updateReported},
	{match: below("$iothub/twin/GET"), publish: (*session).getTwin},
	{follow: (*session).followDesired},
	{match: below("$iothub/credentials/POST/issueCertificate"), publish: (*session).requestCertificate, follow: (*session).followCertificates},
}

// below matches a topic and those below it, for every identity; what is left is what stands behind the slash.
func below(topic string) func(*session, []byte) ([]byte, bool) {
	return func(_ *session, t []byte) ([]byte, bool) {
		rest, ok := bytes.CutPrefix(t, []byte(topic))
		switch {
		case !ok:
			return nil, false
		case len(rest) == 0:
			return nil, true
		case rest[0] == '/':
			return rest[1:], true
		}
		return nil, false
	}
}

// identityTopic is how the topics of an identity begin.
func identityTopic(id hubward.Identity) string {
	if id.Module == "" {
		return "devices/" + id.Device + "/"
	}
	return "devices/" + id.Device + "/modules/" + id.Module + "/"
}

// publication is the PUBLISH in hand. A session uses the same one again and again: a handler keeps nothing of it.
type publication struct {
	mqttwire.PublishPacket
	rest    []byte          // what the family's match has left of the topic
	size    int             // of the packet's body
	message hubward.Message // room for telemetry, so that a message costs no allocation
}

// publish acts on a PUBLISH by the table of topics.
func (s *session) publish(flags byte, body []byte) (err error) {
	if s.publication == nil {
		s.publication = &publication{}
	}
	p := s.publication
	if p.PublishPacket, err = mqttwire.ParsePublish(flags, body); err != nil {
		return err
	}
	if p.QoS > 1 {
		return errQoS2
	}
	p.size = len(body)
	for i := range topicFamilies {
		f := &topicFamilies[i]
		if f.match == nil {
			continue
		}
		if rest, ok := f.match(s, p.Topic); ok {
			p.rest = rest
			return f.publish(s, p)
		}
	}
	return errTopic
}

// What closes the connection, as in the cloud, which says so of QoS 2 and of a SUBSCRIBE that it refuses.
//
// Source: learn.microsoft.com/azure/iot/iot-mqtt-connect-to-iot-hub; Azure/azure-iot-middleware-freertos pull request 89.
var (
	errQoS2   = hubward.Errorf(hubward.CodeInvalidOperation, "the hub does not take QoS 2")
	errTopic  = hubward.Errorf(hubward.CodeInvalidOperation, "the identity does not publish to this topic")
	errFilter = hubward.Errorf(hubward.CodeInvalidOperation, "the filter is not one of the identity's topics")
)
