package mqttfront

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/mqttwire"
)

// subscription is one filter of a session. The JSON of a list of them is what is stored of a session that outlives its
// connection: several SDKs never subscribe again after a reconnect.
//
// Source: MQTT 3.1.1 section 3.1.2.4; Azure/azure-iot-sdk-python
// azure-iot-device/azure/iot/device/iothub/pipeline/mqtt_pipeline.py, MqttTwin.java and MqttDirectMethod.java of
// Azure/azure-iot-sdk-java.
type subscription struct {
	Filter string `json:"filter"`
	QoS    byte   `json:"qos"`
}

// loadSubscriptions begins the session: a clean one has no filters, another those that its last connection left. present
// says whether there was anything.
func (s *session) loadSubscriptions(ctx context.Context) (present bool, err error) {
	state, present, err := s.link.LoadSession(ctx, s.clean)
	if err != nil || !present {
		return false, err
	}
	if err := json.Unmarshal(state, &s.subscriptions); err != nil {
		return false, hubward.Wrap(hubward.CodeServerError, "mqttfront.loadSubscriptions", err)
	}
	return true, nil
}

// storeSubscriptions makes next the session's filters, durably unless the session is a clean one.
func (s *session) storeSubscriptions(ctx context.Context, next []subscription) error {
	if slices.Equal(next, s.subscriptions) {
		return nil // Java subscribes on every connect: that need not cost a write
	}
	if !s.clean {
		state, err := json.Marshal(next)
		if err != nil {
			return hubward.Wrap(hubward.CodeServerError, "mqttfront.storeSubscriptions", err)
		}
		if err := s.link.SaveSession(ctx, state); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subscriptions = next
	return nil
}

// listens reports whether the session gets what is sent on a topic, and at which QoS: the highest of the filters that cover
// it. It gets that once, however many they are [MQTT-3.3.5-1]. Only the reading goroutine calls it, or who holds mu.
func (s *session) listens(topic string) (qos byte, ok bool) {
	for _, sub := range s.subscriptions {
		if covers(sub.Filter, topic) {
			qos, ok = max(qos, sub.QoS), true
		}
	}
	return qos, ok
}

// ifListening calls send if the session gets what is sent on a topic, and reports whether. No answer to a change of the
// subscriptions leaves meanwhile: what comes to a topic is before UNSUBACK. send does not block.
func (s *session) ifListening(topic string, send func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.listens(topic)
	if ok {
		send()
	}
	return ok
}

// follow tells the features that the session is about to begin, or that its subscriptions may have changed. ctx bounds what it
// waits.
func (s *session) follow(ctx context.Context) error {
	for i := range topicFamilies {
		if follow := topicFamilies[i].follow; follow != nil {
			if err := follow(s, ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// subscribe acts on a SUBSCRIBE. The filters of a session that outlives its connection are durable before SUBACK.
// Repetitions are idempotent; QoS 2 is granted as 1. A filter of somebody else's ends the connection.
func (s *session) subscribe(body []byte) error {
	p, err := mqttwire.ParseSubscribe(body)
	if err != nil {
		return err
	}
	next := slices.Clone(s.subscriptions)
	codes := make([]byte, len(p.Filters))
	for i, f := range p.Filters {
		if !maySubscribe(s.identity, f.Topic) {
			return errFilter
		}
		next, codes[i] = addSubscription(next, f)
	}
	ctx, cancel := context.WithTimeout(s.conn.ctx, storeTimeout)
	defer cancel()
	if err := s.storeSubscriptions(ctx, next); err != nil {
		return err
	}
	// What the subscription brings comes from now on, and behind SUBACK: who has seen that, misses nothing.
	s.conn.out.hold()
	var ack []byte
	if err = s.follow(ctx); err == nil {
		ack = mqttwire.AppendSuback(nil, p.ID, codes...)
	}
	s.conn.out.answer(ack, false)
	return err
}

// addSubscription adds a subscription to a list, or puts it in the place of the one to the same filter, and returns the code
// that SUBACK has for it.
func addSubscription(list []subscription, f mqttwire.Filter) ([]subscription, byte) {
	sub := subscription{Filter: f.Topic, QoS: min(f.QoS, 1)}
	at := slices.IndexFunc(list, func(old subscription) bool { return old.Filter == f.Topic })
	switch {
	case at >= 0:
		list[at] = sub
	case len(list) == maxSubscriptions || len(f.Topic) > maxFilter:
		return list, mqttwire.SubackFailure
	default:
		list = append(list, sub)
	}
	return list, sub.QoS
}

// unsubscribe acts on an UNSUBSCRIBE, which names filters exactly as they were subscribed to [MQTT-3.10.4-1]. Filters that
// are not there are acknowledged all the same [MQTT-3.10.4-5].
func (s *session) unsubscribe(body []byte) error {
	p, err := mqttwire.ParseUnsubscribe(body)
	if err != nil {
		return err
	}
	next := slices.DeleteFunc(slices.Clone(s.subscriptions), func(old subscription) bool {
		return slices.Contains(p.Topics, old.Filter)
	})
	ctx, cancel := context.WithTimeout(s.conn.ctx, storeTimeout)
	defer cancel()
	if err := s.storeSubscriptions(ctx, next); err != nil {
		return err
	}
	if err := s.follow(ctx); err != nil { // before the answer: nothing comes after it
		return err
	}
	s.conn.out.send(mqttwire.AppendUnsuback(nil, p.ID))
	return nil
}
