package device

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/mqttwire"
)

const (
	connectTimeout = 30 * time.Second // from dialling to CONNACK
	writeTimeout   = 30 * time.Second // of one write: a hub that takes no bytes for so long is gone
	goodbyeTimeout = time.Second      // for DISCONNECT

	// maxInbound bounds a packet from the hub: a message to a device has at most 64 KiB and a topic of as much, a call of a
	// method 128 KiB, and both sections of a twin 64 KiB of names and values, which may be several times as much JSON.
	maxInbound = 1 << 20
)

// errNoPong is the loss of a connection on which a ping was not answered.
var errNoPong = errors.New("no answer to a ping")

// mqttTransport speaks MQTT 3.1.1.
type mqttTransport struct {
	client *Client
	c2d    mqttC2D
}

func (t *mqttTransport) batches() bool { return false }

// encode makes a message the PUBLISH that sends it.
func (t *mqttTransport) encode(messages []*hubward.Message) (*pending, error) {
	m := messages[0]
	topic, err := telemetryTopic(t.client.account.identity, m)
	if err != nil {
		return nil, err
	}
	return &pending{packet: mqttwire.PublishPacket{QoS: 1, Topic: topic, Payload: bytes.Clone(m.Body)}}, nil
}

// mqttConn is one MQTT connection, logged in.
type mqttConn struct {
	// Set before the reader starts, never changed after.
	client *Client
	c2d    *mqttC2D
	nc     net.Conn
	in     *bufio.Reader
	life   context.Context // of the client
	born   time.Time
	renew  time.Duration // after born; 0: never

	// Touched only by the writer.
	out       []byte
	lastWrite time.Duration // after born
	pinged    time.Duration // after born; 0: never
	asked     feed          // what was subscribed to

	lastRead atomic.Int64 // a time.Duration after born
	useful   atomic.Bool  // a message was confirmed on it

	subscriptions mqttSubscriptions
	answers       mqttAnswers

	readDone chan struct{} // closed when the reader has ended
	readErr  error         // why; set before readDone is closed
}

// open connects and logs in. It gives up when ctx ends and when the client is closed.
func (t *mqttTransport) open(ctx context.Context) (connection, error) {
	c := t.client
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()

	nc, err := t.dial(ctx)
	if err != nil {
		return nil, unreachable(c.account.address, err)
	}
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) }) // ends a blocked read or write
	cn, err := t.logIn(nc)
	if !stop() {
		err = unreachable(c.account.address, ctx.Err())
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	return cn, nil
}

// logIn sends CONNECT and waits for CONNACK.
func (t *mqttTransport) logIn(nc net.Conn) (*mqttConn, error) {
	c := t.client
	cn := &mqttConn{client: c, c2d: &t.c2d, nc: nc, in: bufio.NewReader(nc), life: c.life, born: time.Now(), readDone: make(chan struct{})}
	packet := mqttwire.ConnectPacket{
		ClientID:  c.account.identity.String(),
		KeepAlive: c.opts.KeepAlive,
		HasUser:   true,
		User:      c.account.userName(c.opts.Product, c.opts.ModelID),
	}
	if !c.account.byCertificate { // else there is no password: Azure/azure-iot-sdk-node device/transport/mqtt/src/mqtt.ts
		token, renew, err := c.account.token(c.opts.Now(), c.opts.TokenTTL)
		if err != nil {
			return nil, err
		}
		cn.renew = renew
		packet.HasPassword, packet.Password = true, []byte(token)
	}
	var err error
	if cn.out, err = mqttwire.AppendConnect(nil, &packet); err != nil {
		return nil, err
	}
	if _, err := nc.Write(cn.out); err != nil {
		return nil, unreachable(c.account.address, err)
	}
	h, body, err := readPacket(cn.in, nil)
	if err != nil {
		return nil, unreachable(c.account.address, err)
	}
	if h.Type != mqttwire.Connack {
		return nil, unreachable(c.account.address, fmt.Errorf("the answer to CONNECT is a %v", h.Type))
	}
	ack, err := mqttwire.ParseConnack(body)
	if err != nil {
		return nil, unreachable(c.account.address, err)
	}
	if ack.Code != mqttwire.Accepted {
		return nil, refusal(&c.account, ack.Code)
	}
	return cn, nil
}

// readPacket reads one packet. The body is in buf or, when that is too small, in a new slice.
func readPacket(in *bufio.Reader, buf []byte) (h mqttwire.Header, body []byte, err error) {
	n := 0
	for want := 2; n == 0; want++ {
		var start []byte
		if start, err = in.Peek(want); err != nil {
			return h, nil, err
		}
		if h, n, err = mqttwire.ParseHeader(start); err != nil {
			return h, nil, err
		}
	}
	if h.Length > maxInbound {
		return h, nil, fmt.Errorf("the hub sent a %v of %d bytes", h.Type, h.Length)
	}
	in.Discard(n) // they are buffered: Peek returned them
	if cap(buf) < h.Length {
		buf = make([]byte, h.Length)
	}
	body = buf[:h.Length]
	_, err = io.ReadFull(in, body)
	return h, body, err
}

// write writes b. When the client is being closed it has little time for that: serve shortens the deadline of a write
// that is under way, and write that of one that begins.
func (cn *mqttConn) write(b []byte) error {
	cn.nc.SetWriteDeadline(time.Now().Add(writeTimeout))
	if cn.life.Err() != nil {
		cn.hurry()
	}
	_, err := cn.nc.Write(b)
	cn.lastWrite = time.Since(cn.born)
	return err
}

// hurry leaves the connection goodbyeTimeout for all that is still to be done.
func (cn *mqttConn) hurry() { cn.nc.SetDeadline(time.Now().Add(goodbyeTimeout)) }

// goodbye sends DISCONNECT, so that the hub does not take the end for a failure [MQTT-3.14.4-1], and waits for the hub to
// close the connection: to close it under data that the hub sends may cost the hub what it has not read yet, such as
// acknowledgements.
func (cn *mqttConn) goodbye() {
	cn.hurry()
	if _, err := cn.nc.Write(mqttwire.AppendDisconnect(nil)); err == nil { // else the hub sees the closed connection
		<-cn.readDone // at the deadline, if the hub does not close
	}
}

// keepAlive pings when nothing was written or nothing was read for three quarters of the interval, and fails when the
// hub has sent nothing for a quarter of it after a ping. next is when to call it again.
func (cn *mqttConn) keepAlive(interval time.Duration) (next time.Duration, err error) {
	now, read := time.Since(cn.born), time.Duration(cn.lastRead.Load())
	if cn.pinged > read {
		if left := cn.pinged + interval/4 - now; left > 0 {
			return left, nil
		}
		return 0, errNoPong
	}
	if left := min(read, cn.lastWrite) + interval*3/4 - now; left > 0 {
		return left, nil
	}
	cn.pinged = now
	return interval / 4, cn.write(mqttwire.AppendPingreq(cn.out[:0]))
}

// discard closes a connection that is not served.
func (cn *mqttConn) discard() { cn.nc.Close() }

// proven reports whether the connection was of use, so that losing it is no reason to wait before the next attempt.
func (cn *mqttConn) proven(lifetime time.Duration) bool {
	return cn.useful.Load() || time.Since(cn.born) >= lifetime
}

func (t *mqttTransport) dial(ctx context.Context) (net.Conn, error) {
	if t.client.opts.Protocol == MQTTWebSocket {
		return t.client.dialWebSocket(ctx, subprotocolMQTT)
	}
	return t.client.dial(ctx)
}
