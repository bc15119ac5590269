//go:build crash

package crashtest

import (
	"bufio"
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/hubward/hubward/internal/mqttwire"
)

// visitMQTT receives on one connection. The hub keeps the subscription; it is only made when that is not so. PUBACK has
// no answer, and neither reject nor abandon exist: such messages are completed.
func (r *receiver) visitMQTT(ctx context.Context) error {
	nc, err := r.dial(ctx)
	if err != nil {
		return err
	}
	defer nc.Close()
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	defer stop()
	c := &conn{nc: nc, in: bufio.NewReader(nc)}
	present, err := c.connect(r.device)
	if err != nil {
		return err
	}
	if !present {
		if err := c.subscribe("devices/" + r.id + "/messages/devicebound/#"); err != nil {
			return err
		}
	}
	var acks []byte // of messages that are done
	for range r.visits() {
		h, body, err := c.readAny()
		if err != nil {
			return err
		}
		if h.Type == mqttwire.Suback {
			if err := checkSuback(body); err != nil {
				return err
			}
			continue
		}
		ack, err := r.readPublish(ctx, h, body)
		if err != nil || ack == 0 {
			return err
		}
		acks = mqttwire.AppendPuback(acks, ack)
		if c.in.Buffered() > 0 && r.rng.IntN(2) == 0 {
			continue // another one is there: they may be acknowledged together
		}
		if _, err := nc.Write(acks); err != nil {
			return err
		}
		acks = acks[:0]
	}
	_, err = nc.Write(mqttwire.AppendDisconnect(acks))
	return err
}

func (c *conn) subscribe(topic string) error {
	out, err := mqttwire.AppendSubscribe(nil, &mqttwire.SubscribePacket{ID: 1, Filters: []mqttwire.Filter{{Topic: topic, QoS: 1}}})
	if err != nil {
		return violation{err}
	}
	_, err = c.nc.Write(out)
	return err
}

func checkSuback(body []byte) error {
	ack, err := mqttwire.ParseSuback(body)
	if err != nil {
		return violation{err}
	}
	if ack.ID != 1 || len(ack.Codes) != 1 || ack.Codes[0] != 1 {
		return violated("the hub answers a subscription with %v", ack)
	}
	return nil
}

// readPublish takes a message and returns the identifier with which to acknowledge it, 0 to end the connection instead.
func (r *receiver) readPublish(ctx context.Context, h mqttwire.Header, body []byte) (ack uint16, err error) {
	if h.Type != mqttwire.Publish {
		return 0, violated("the hub sent %s instead of a message", h.Type)
	}
	p, err := mqttwire.ParsePublish(h.Flags, body)
	if err != nil {
		return 0, violation{err}
	}
	m, nth, err := r.ledger.deliver(delivery{
		device: r.id, id: messageIDOf(string(p.Topic)), body: p.Payload, asked: time.Now(), count: -1, first: !p.Dup,
	})
	if err != nil {
		return 0, err
	}
	if r.decide(m, nth) == unsettled || !r.work(ctx) {
		return 0, nil
	}
	r.ledger.settling(m, complete)
	return p.ID, nil
}

// messageIDOf takes the message id out of a topic's bag.
func messageIDOf(topic string) string {
	bag := topic[strings.LastIndex(topic, "/")+1:]
	values, err := url.ParseQuery(bag)
	if err != nil {
		return ""
	}
	return values.Get("$.mid")
}
