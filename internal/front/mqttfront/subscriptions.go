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
func (s *session) storeSubscriptions(next []subscription) error {
	if slices.Equal(next, s.subscriptions) {
		return nil // Java subscribes on every connect: that need not cost a write
	}
	if !s.clean {
		state, err := json.Marshal(next)
		if err != nil {
			return hubward.Wrap(hubward.CodeServerError, "mqttfront.storeSubscriptions", err)
		}
		ctx, cancel := context.WithTimeout(s.conn.srv.ctx, storeTimeout)
		defer cancel()
		if err := s.link.SaveSession(ctx, state); err != nil {
			return err
		}
	}
	s.subscriptions = next
	return nil
}

// subscription returns the subscription to a filter.
func (s *session) subscription(filter string) (subscription, bool) {
	i := slices.IndexFunc(s.subscriptions, func(sub subscription) bool { return sub.Filter == filter })
	if i < 0 {
		return subscription{}, false
	}
	return s.subscriptions[i], true
}

// follow tells the features that the session has begun, or that its subscriptions may have changed.
func (s *session) follow() {
	for i := range topicFamilies {
		if follow := topicFamilies[i].follow; follow != nil {
			follow(s)
		}
	}
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
		if !maySubscribe(s.identity, f.Topic) {
			return errFilter
		}
		codes[i] = min(f.QoS, 1)
		sub := subscription{Filter: f.Topic, QoS: codes[i]}
		if at := slices.IndexFunc(next, func(old subscription) bool { return old.Filter == f.Topic }); at >= 0 {
			next[at] = sub
		} else {
			next = append(next, sub)
		}
	}
	if err := s.storeSubscriptions(next); err != nil {
		return err
	}
	s.conn.out.send(mqttwire.AppendSuback(nil, p.ID, codes...))
	s.follow()
	return nil
}

// unsubscribe acts on an UNSUBSCRIBE. Filters that are not there are acknowledged all the same [MQTT-3.10.4-5].
func (s *session) unsubscribe(body []byte) error {
	p, err := mqttwire.ParseUnsubscribe(body)
	if err != nil {
		return err
	}
	next := slices.DeleteFunc(slices.Clone(s.subscriptions), func(old subscription) bool {
		return slices.Contains(p.Topics, old.Filter)
	})
	if err := s.storeSubscriptions(next); err != nil {
		return err
	}
	s.follow() // before the answer: nothing comes after it
	s.conn.out.send(mqttwire.AppendUnsuback(nil, p.ID))
	return nil
}
