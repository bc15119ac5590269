package device

import (
	"errors"
	"fmt"
	"sync"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/mqttwire"
)

// feeds are all kinds, in the order of SUBSCRIBE.
var feeds = [...]struct {
	feed feed
	qos  byte
	name string
}{
	{feedMessages, 1, "messages to the device or module"},
	{feedTwin, 0, "answers about the twin"},
	{feedDesired, 0, "changes of the desired properties"},
	{feedMethods, 0, "direct methods"},
	{feedCertificates, 1, "answers about certificates"},
}

// filter is what a device subscribes to for a kind.
//
// Source: learn.microsoft.com/azure/iot/iot-mqtt-connect-to-iot-hub.
func (c *Client) filter(f feed) string {
	switch f {
	case feedTwin:
		return twinAnswerPrefix + "#"
	case feedDesired:
		return desiredPrefix + "#"
	case feedMethods:
		return methodPrefix + "#"
	case feedCertificates:
		return certificateAnswerPrefix + "#"
	}
	if c.account.identity.Module != "" {
		return inputPrefix(c.account.identity) + "#"
	}
	return deviceboundFilter(c.account.identity.Device)
}

// mqttSubscriptions are those of one connection.
type mqttSubscriptions struct {
	mu      sync.Mutex // guards the fields below; a leaf
	granted feed
	open    map[uint16]*mqttSubscription // not answered, by the identifier of SUBSCRIBE
}

// mqttSubscription is a SUBSCRIBE that is not answered.
type mqttSubscription struct {
	holder *pending // holds the identifier
	feeds  []feed
}

func (s *mqttSubscriptions) has(f feed) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.granted&f == f
}

func (s *mqttSubscriptions) add(o *mqttSubscription) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = make(map[uint16]*mqttSubscription)
	}
	s.open[o.holder.packet.ID] = o
}

// take returns the SUBSCRIBE with that identifier, once; nil when there is none.
func (s *mqttSubscriptions) take(id uint16) *mqttSubscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.open[id]
	delete(s.open, id)
	return o
}

func (s *mqttSubscriptions) grant(f feed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.granted |= f
}

// flushSubscriptions writes SUBSCRIBE for what the program wants and this connection has not asked for. A repeated one does
// no harm, and a session that the hub has forgotten needs it.
func (cn *mqttConn) flushSubscriptions() (err error) {
	c := cn.client
	missing := c.wantedFeeds() &^ cn.asked
	if missing == 0 {
		return nil
	}
	cn.asked |= missing
	if missing&feedCertificates != 0 {
		c.certificates.try()
	}
	o := &mqttSubscription{holder: &pending{}}
	c.mu.Lock()
	c.out.assignID(o.holder)
	c.mu.Unlock()
	packet := mqttwire.SubscribePacket{ID: o.holder.packet.ID}
	for _, f := range feeds {
		if missing&f.feed != 0 {
			o.feeds = append(o.feeds, f.feed)
			packet.Filters = append(packet.Filters, mqttwire.Filter{Topic: c.filter(f.feed), QoS: f.qos})
		}
	}
	cn.subscriptions.add(o)
	if cn.out, err = mqttwire.AppendSubscribe(cn.out[:0], &packet); err != nil {
		return err
	}
	return cn.write(cn.out)
}

// suback takes the answer to SUBSCRIBE.
func (cn *mqttConn) suback(body []byte) error {
	p, err := mqttwire.ParseSuback(body)
	if err != nil {
		return err
	}
	o := cn.subscriptions.take(p.ID)
	if o == nil || len(p.Codes) != len(o.feeds) {
		return errors.New("the hub sent an unexpected SUBACK")
	}
	cn.forget(o)
	for i, code := range p.Codes {
		if code > 1 && o.feeds[i] == feedCertificates { // the rest of the connection is none the worse
			cn.client.certificates.fail(errNoIssuing())
			continue
		}
		if code > 1 {
			return cn.refused(o.feeds[i])
		}
		cn.subscriptions.grant(o.feeds[i])
		if o.feeds[i] == feedDesired { // what has changed until now the hub has told nobody
			cn.client.desired.missed()
		}
	}
	cn.client.nudge() // requests can go out
	return nil
}

// refused returns the error for a subscription that the hub has refused.
func (cn *mqttConn) refused(f feed) error {
	for _, known := range feeds {
		if known.feed == f {
			err := fmt.Errorf("the hub refused the subscription to %s", known.name)
			if f == feedTwin {
				cn.client.twin.fail(hubward.Errorf(hubward.CodeInvalidOperation, "%v", err))
			}
			return err
		}
	}
	return nil // there is no other
}

// forget frees the identifier of a SUBSCRIBE.
func (cn *mqttConn) forget(o *mqttSubscription) {
	c := cn.client
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out.forget(o.holder)
}

// forgetSubscriptions frees those that were not answered on this connection. Its reader has ended.
func (cn *mqttConn) forgetSubscriptions() {
	for _, o := range cn.subscriptions.open {
		cn.forget(o)
	}
}
