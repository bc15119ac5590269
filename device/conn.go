package device

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/hubward/hubward/internal/mqttwire"
)

const (
	connectTimeout = 30 * time.Second // from dialling to CONNACK
	writeTimeout   = 30 * time.Second // of one write: a hub that takes no bytes for so long is gone
	goodbyeTimeout = time.Second      // for DISCONNECT

	// maxInbound bounds a packet from the hub: a message to a device has at most 64 KiB and a topic of as much.
	maxInbound = 256 << 10
)

// errNoPong is the loss of a connection on which a ping was not answered.
var errNoPong = errors.New("no answer to a ping")

// conn is one MQTT connection, logged in.
type conn struct {
	// Set before the reader starts, never changed after.
	nc    net.Conn
	in    *bufio.Reader
	life  context.Context // of the client
	born  time.Time
	renew time.Duration // after born; 0: never

	// Touched only by the writer.
	out       []byte
	lastWrite time.Duration // after born
	pinged    time.Duration // after born; 0: never

	lastRead atomic.Int64 // a time.Duration after born
	useful   atomic.Bool  // a message was confirmed on it

	readDone chan struct{} // closed when the reader has ended
	readErr  error         // why; set before readDone is closed
}

// open connects and logs in. It gives up when ctx ends and when the client is closed.
func (c *Client) open(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()

	nc, err := c.dial(ctx)
	if err != nil {
		return nil, unreachable(c.account.address, err)
	}
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) }) // ends a blocked read or write
	cn, err := c.logIn(nc)
	if !stop() {
		err = unreachable(c.account.address, ctx.Err())
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	return cn, nil
}

func (c *Client) dial(ctx context.Context) (net.Conn, error) {
	nc, err := c.opts.Dial(ctx, "tcp", c.account.address)
	if err != nil || c.opts.plain {
		return nc, err
	}
	secure := tls.Client(nc, c.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		nc.Close()
		return nil, err
	}
	return secure, nil
}

// logIn sends CONNECT and waits for CONNACK.
func (c *Client) logIn(nc net.Conn) (*conn, error) {
	cn := &conn{nc: nc, in: bufio.NewReader(nc), life: c.life, born: time.Now(), readDone: make(chan struct{})}
	token, renew, err := c.account.token(c.opts.Now(), c.opts.TokenTTL)
	if err != nil {
		return nil, err
	}
	cn.renew = renew
	cn.out, err = mqttwire.AppendConnect(nil, &mqttwire.ConnectPacket{
		ClientID:    c.account.identity.String(),
		KeepAlive:   c.opts.KeepAlive,
		HasUser:     true,
		User:        c.account.userName(c.opts.Product, c.opts.ModelID),
		HasPassword: true,
		Password:    []byte(token),
	})
	if err != nil {
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
		return nil, refusal(ack.Code)
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
func (cn *conn) write(b []byte) error {
	cn.nc.SetWriteDeadline(time.Now().Add(writeTimeout))
	if cn.life.Err() != nil {
		cn.hurry()
	}
	_, err := cn.nc.Write(b)
	cn.lastWrite = time.Since(cn.born)
	return err
}

// hurry leaves the connection goodbyeTimeout for all that is still to be done.
func (cn *conn) hurry() { cn.nc.SetDeadline(time.Now().Add(goodbyeTimeout)) }

// goodbye sends DISCONNECT, so that the hub does not take the end for a failure. [MQTT-3.14.4-1]
func (cn *conn) goodbye() {
	cn.hurry()
	cn.nc.Write(mqttwire.AppendDisconnect(nil)) // if it fails, the hub sees the closed connection
}

// keepAlive pings when nothing was written or nothing was read for three quarters of the interval, and fails when the
// hub has sent nothing for a quarter of it after a ping. next is when to call it again.
func (cn *conn) keepAlive(interval time.Duration) (next time.Duration, err error) {
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

// proven reports whether the connection was of use, so that losing it is no reason to wait before the next attempt.
func (cn *conn) proven(lifetime time.Duration) bool {
	return cn.useful.Load() || time.Since(cn.born) >= lifetime
}
