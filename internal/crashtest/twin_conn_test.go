//go:build crash

package crashtest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/Azure/go-amqp"

	"github.com/hubward/hubward/internal/mqttwire"
)

// mqttTwin is a twin over MQTT.
type mqttTwin struct {
	*conn
	qos   byte // of the patches
	stop  func() bool
	after int // packet id of the last one
}

func openMQTTTwin(d *device, qos byte) func(context.Context) (twinConn, error) {
	return func(ctx context.Context) (twinConn, error) {
		nc, err := d.dial(ctx)
		if err != nil {
			return nil, err
		}
		c := &mqttTwin{conn: &conn{nc: nc, in: bufio.NewReader(nc)}, qos: qos, stop: context.AfterFunc(ctx, func() { nc.Close() })}
		if _, err = c.connect(d); err == nil {
			var out []byte
			out, err = mqttwire.AppendSubscribe(nil, &mqttwire.SubscribePacket{ID: 1, Filters: []mqttwire.Filter{
				{Topic: "$iothub/twin/res/#"}, {Topic: "$iothub/twin/PATCH/properties/desired/#"},
			}})
			if err == nil {
				_, err = nc.Write(out)
			}
		}
		if err != nil {
			c.close()
			return nil, err
		}
		return c, nil
	}
}

func (c *mqttTwin) close() {
	c.stop()
	c.nc.Close()
}

func (c *mqttTwin) get(_ context.Context, rid string) error {
	return c.publish(&mqttwire.PublishPacket{Topic: []byte("$iothub/twin/GET/?$rid=" + rid)})
}

func (c *mqttTwin) report(_ context.Context, patches []ridPatch) error {
	var packets []*mqttwire.PublishPacket
	for _, p := range patches {
		packet := &mqttwire.PublishPacket{QoS: c.qos, Topic: []byte("$iothub/twin/PATCH/properties/reported/?$rid=" + p.rid), Payload: p.patch}
		if c.qos > 0 {
			c.after++
			packet.ID = packetID(c.after)
		}
		packets = append(packets, packet)
	}
	return c.publish(packets...)
}

func (c *mqttTwin) publish(packets ...*mqttwire.PublishPacket) (err error) {
	var out []byte
	for _, p := range packets {
		if out, err = mqttwire.AppendPublish(out, p); err != nil {
			return violation{err}
		}
	}
	_, err = c.nc.Write(out)
	return err
}

func (c *mqttTwin) next(context.Context) (*twinNews, error) {
	for {
		h, body, err := c.readAny()
		if err != nil {
			return nil, err
		}
		switch h.Type {
		case mqttwire.Puback, mqttwire.Suback:
			continue
		case mqttwire.Publish:
		default:
			return nil, violated("the hub sent %s instead of a message", h.Type)
		}
		p, err := mqttwire.ParsePublish(h.Flags, body)
		if err != nil {
			return nil, violation{err}
		}
		topic := string(p.Topic)
		news := &twinNews{body: bytes.Clone(p.Payload)}
		news.rid, news.version = readRID(topic)
		if status, ok := strings.CutPrefix(topic, "$iothub/twin/res/"); ok {
			if _, err := fmt.Sscanf(status, "%d/", &news.status); err != nil || news.rid == "" {
				return nil, violated("an answer goes to %s", topic)
			}
		}
		return news, nil
	}
}

// amqpTwin is a twin over AMQP.
type amqpTwin struct {
	conn   *amqp.Conn
	sender *amqp.Sender
	in     *amqp.Receiver
}

func openAMQPTwin(d *device, address string) func(context.Context) (twinConn, error) {
	return func(ctx context.Context) (twinConn, error) {
		token, err := d.token()
		if err != nil {
			return nil, violation{err}
		}
		conn, session, err := openSession(ctx, address, d.roots, d.id+"@sas.localhost", token)
		if err != nil {
			return nil, err
		}
		c := &amqpTwin{conn: conn}
		if err := c.attach(ctx, session, "/devices/"+d.id+"/twin"); err != nil {
			conn.Close()
			return nil, err
		}
		return c, nil
	}
}

func (c *amqpTwin) attach(ctx context.Context, session *amqp.Session, node string) (err error) {
	properties := map[string]any{"com.microsoft:api-version": "2021-04-12", "com.microsoft:channel-correlation-id": "twin:1"}
	settled := amqp.SenderSettleModeSettled
	if c.sender, err = session.NewSender(ctx, node, &amqp.SenderOptions{SettlementMode: &settled, Properties: properties}); err != nil {
		return err
	}
	c.in, err = session.NewReceiver(ctx, node, &amqp.ReceiverOptions{Credit: 50, RequestedSenderSettleMode: &settled, Properties: properties})
	if err != nil {
		return err
	}
	return c.send(ctx, "follow", "PUT", "/notifications/twin/properties/desired", []byte(" "))
}

func (c *amqpTwin) send(ctx context.Context, rid, operation, resource string, body []byte) error {
	m := &amqp.Message{
		Properties: &amqp.MessageProperties{CorrelationID: rid}, Annotations: amqp.Annotations{"operation": operation}, Data: [][]byte{body},
	}
	if resource != "" {
		m.Annotations["resource"] = resource
	}
	return c.sender.Send(ctx, m, nil)
}

func (c *amqpTwin) close() { c.conn.Close() }

func (c *amqpTwin) get(ctx context.Context, rid string) error {
	return c.send(ctx, rid, "GET", "", []byte(" "))
}

func (c *amqpTwin) report(ctx context.Context, patches []ridPatch) error {
	for _, p := range patches {
		if err := c.send(ctx, p.rid, "PATCH", "/properties/reported", p.patch); err != nil {
			return err
		}
	}
	return nil
}

func (c *amqpTwin) next(ctx context.Context) (*twinNews, error) {
	for {
		m, err := c.in.Receive(ctx, nil)
		if err != nil {
			return nil, err
		}
		news := &twinNews{body: m.GetData()}
		if m.Properties != nil && m.Properties.CorrelationID != nil {
			news.rid, _ = m.Properties.CorrelationID.(string)
		}
		status, _ := m.Annotations["status"].(int32)
		news.status = int(status)
		news.version, _ = m.Annotations["version"].(int64)
		if news.rid != "follow" {
			return news, nil
		}
		if news.status/100 != 2 {
			return nil, violated("the hub does not let the device follow: %d %s", news.status, news.body)
		}
	}
}
