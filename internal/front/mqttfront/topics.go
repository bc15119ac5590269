package mqttfront

import (
	"bytes"
	"slices"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/mqttwire"
)

// topicFamily is a row of the table of topics: those of one feature, to which clients publish, subscribe, or both.
type topicFamily struct {
	// match reports whether the session's identity publishes to the topic as one of this family, and returns the part of it
	// that differs from message to message. nil: no client publishes here.
	match func(s *session, topic []byte) (rest []byte, ok bool)
	// publish acts on a PUBLISH to such a topic. An error ends the connection.
	publish func(s *session, p *publication) error
	// filters returns those by which an identity subscribes to the family. nil: no client subscribes here.
	filters func(id hubward.Identity) []string
	// follow is called when the session has begun, and whenever its subscriptions have changed. nil: nothing depends on them.
	follow func(s *session)
}

// topicFamilies is the table of topics. Telemetry comes first: that is what most packets are.
//
// Topics and filters are compared as texts. Ids stand raw in them and may hold '+' and '#', which are no wildcards there.
//
// Source: learn.microsoft.com/azure/iot/iot-mqtt-connect-to-iot-hub; ids:
// learn.microsoft.com/azure/iot-hub/iot-hub-devguide-identity-registry.
var topicFamilies = [...]topicFamily{
	{match: (*session).matchTelemetry, publish: (*session).publishTelemetry},
	{filters: deviceboundFilters, follow: (*session).receiveC2D},
	{filters: moduleFilters},
	{match: below("$iothub/twin/GET/?"), publish: (*session).requestTwin, filters: just(filterTwinResponse)},
	{match: below("$iothub/twin/PATCH/properties/reported/?"), publish: (*session).requestTwin},
	{filters: just(filterDesired)},
	{match: below("$iothub/methods/res/"), publish: (*session).respondToMethod, filters: just(filterMethods)},
}

// below matches the topics that begin so, for every identity.
func below(prefix string) func(*session, []byte) ([]byte, bool) {
	return func(_ *session, topic []byte) ([]byte, bool) { return bytes.CutPrefix(topic, []byte(prefix)) }
}

// just is one filter for every identity.
func just(filter string) func(hubward.Identity) []string {
	return func(hubward.Identity) []string { return []string{filter} }
}

// moduleFilters are those of messages that are routed to a module. None are, for now.
func moduleFilters(id hubward.Identity) []string {
	if id.Module == "" {
		return nil
	}
	base := identityTopic(id)
	return []string{base + "messages/devicebound/#", base + "inputs/#", base + "#"}
}

// identityTopic is how the topics of an identity begin.
func identityTopic(id hubward.Identity) string {
	if id.Module == "" {
		return "devices/" + id.Device + "/"
	}
	return "devices/" + id.Device + "/modules/" + id.Module + "/"
}

// maySubscribe reports whether an identity may subscribe to a filter.
func maySubscribe(id hubward.Identity, filter string) bool {
	return slices.ContainsFunc(topicFamilies[:], func(f topicFamily) bool {
		return f.filters != nil && slices.Contains(f.filters(id), filter)
	})
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

// What closes the connection, as in the cloud.
//
// Source: learn.microsoft.com/azure/iot/iot-mqtt-connect-to-iot-hub.
var (
	errQoS2   = hubward.Errorf(hubward.CodeInvalidOperation, "the hub does not take QoS 2")
	errTopic  = hubward.Errorf(hubward.CodeInvalidOperation, "the identity does not publish to this topic")
	errFilter = hubward.Errorf(hubward.CodeInvalidOperation, "the identity does not subscribe to this filter")
)

// acknowledge answers a PUBLISH that is dealt with.
func (s *session) acknowledge(p *publication) {
	if p.QoS == 1 {
		s.conn.out.send(mqttwire.AppendPuback(nil, p.ID))
	}
}
