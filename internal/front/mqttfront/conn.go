package mqttfront

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/front/minrate"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/mqttwire"
)

// errDisconnected is the end that the client announced: no will.
var errDisconnected = errors.New("the client disconnected")

// conn is one connection.
type conn struct {
	// Set before serve starts, never changed after.
	srv    *Server
	nc     net.Conn
	ctx    context.Context // of what the reader waits for behind the connection; ends when it is to wait no longer
	cancel context.CancelFunc
	began  int64 // coarse Unix milliseconds, as all times here

	// Touched only by the reading goroutine, which changes once: after CONNECT.
	reader  packetReader
	session *session // nil until CONNECT was accepted

	out    outgoing
	limits atomic.Pointer[limits] // nil until CONNECT was accepted

	// For the watch.
	reading  atomic.Bool     // the reader waits for bytes, and for nothing else
	lastRead atomic.Int64    // when bytes came last, or the reader began to wait for them
	packet   minrate.Arrival // what the reader waits for
	aborted  atomic.Bool

	mu     sync.Mutex // guards reason
	reason error      // why the connection ends, set once
}

// limits are when the watch must close a logged-in connection.
type limits struct {
	silence time.Duration // longest time without a byte
	expires time.Time     // zero: never
}

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{srv: s, nc: nc, began: s.coarse.Load()}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.reader.init(c)
	c.reader.before = func(begun int) { c.packet.Await(begun, s.coarse.Load()) }
	c.out.init(c)
	return c
}

// Read reads from the socket and notes when. The time that the reader was busy before does not count as the client's silence.
func (c *conn) Read(b []byte) (int, error) {
	c.lastRead.Store(c.srv.coarse.Load())
	c.reading.Store(true)
	n, err := c.nc.Read(b)
	c.reading.Store(false)
	if n > 0 {
		c.lastRead.Store(c.srv.coarse.Load())
	}
	return n, err
}

// Close ends the connection for a reason; the first one counts. It returns at once: the reader wakes up and ends the
// rest. It implements hub.Session.
func (c *conn) Close(reason error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason == nil {
		c.reason = reason
		c.nc.SetReadDeadline(past) // wakes the reader, whatever it waits for on the socket
		if reason != errDraining {
			c.giveUp() // and whoever waits for room
		}
	} else if reason == errStuck {
		c.giveUp() // it was draining to a client that does not read
	}
}

// past is a deadline that has passed.
var past = time.Unix(1, 0)

// giveUp makes everybody who waits for something on behalf of the connection wait no longer.
func (c *conn) giveUp() {
	c.out.stop()
	c.cancel()
}

// Deliver hands something to the client. It implements hub.Session. The hub calls it on goroutines of its own, with calls of
// methods, changes of the twin and certificates from the moment that login has connected the link on.
func (c *conn) Deliver(d hub.Delivery) {
	switch d := d.(type) {
	case *hub.C2DDelivery:
		c.session.c2d.deliver(d)
	case *hub.MethodCall:
		c.session.callMethod(d)
	case *hub.DesiredChange:
		c.session.desiredChanged(d)
	case *hub.CertificateResult:
		c.session.deliverCertificate(d)
	}
}

// abort ends the connection under whoever uses it: the orderly end took too long. It does not wait, as the close of a TLS
// connection may.
func (c *conn) abort() {
	c.aborted.Store(true)
	c.giveUp()
	c.nc.SetDeadline(past)
}

// closeSocket closes the socket. The close of a TLS connection tells the client, and waits up to five seconds for room to do
// so: not so when the client is known not to play along, or there is no time.
func (c *conn) closeSocket(reason error) {
	if tc, ok := c.nc.(*tls.Conn); ok && (reason == errLate || reason == errStuck || c.aborted.Load()) {
		tc.NetConn().Close()
		return
	}
	c.nc.Close()
}

// closed returns why the connection ends, nil while it goes on.
func (c *conn) closed() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reason
}

// serve runs the connection up to its CONNECT, and then on a goroutine of its own: the handshake leaves a deep stack
// behind, which an idle connection would keep.
func (c *conn) serve() {
	err := c.open()
	if err != nil {
		c.finish(err)
		return
	}
	go c.run() // finish ends it: Shutdown waits for that
}

func (c *conn) open() error {
	defer c.recover()
	if tc, ok := c.nc.(*tls.Conn); ok {
		if err := tc.HandshakeContext(c.ctx); err != nil {
			return err
		}
	}
	h, body, err := c.reader.next(maxConnect)
	if err != nil {
		return err
	}
	if h.Type != mqttwire.Connect { // [MQTT-3.1.0-1]
		return errors.New("the first packet is a " + h.Type.String())
	}
	return c.connect(body)
}

// run reads packets until the end.
func (c *conn) run() {
	c.finish(c.readPackets())
}

func (c *conn) readPackets() error {
	defer c.recover()
	for {
		h, body, err := c.reader.next(maxPacket)
		if reason := c.closed(); reason != nil {
			return reason
		}
		if err != nil {
			return err
		}
		if err := c.session.handle(h, body); err != nil {
			return err
		}
	}
}

// recover turns a panic, which is a bug of ours, into the end of this one connection.
func (c *conn) recover() {
	if p := recover(); p != nil {
		c.srv.logPanic(p)
		c.Close(hubward.Errorf(hubward.CodeServerError, "internal error"))
	}
}

// finish ends the connection: acknowledgements on their way leave if the end is an orderly one, the will is published
// if it is not.
func (c *conn) finish(err error) {
	c.Close(err)
	reason := c.closed()
	if c.session != nil {
		c.session.leave() // before the client can see the end: who calls a method from then on waits for the next connection
	}
	if c.session != nil && reason == errDraining {
		c.drain()
	}
	c.giveUp()
	c.closeSocket(reason)
	c.out.join()
	c.reader.close()
	if c.session != nil {
		c.session.end(reason)
	}
	c.srv.logEnd(c, reason)
	c.srv.conns.Remove(c)
}

// drain waits for the last acknowledgements, for a bounded time.
func (c *conn) drain() {
	timer := time.AfterFunc(maxDrain, c.out.stop)
	defer timer.Stop()
	c.out.drain()
}

// isNetworkEnd reports whether err is only the other side going away.
func isNetworkEnd(err error) bool {
	var ne net.Error
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &ne)
}

var _ hub.Session = (*conn)(nil)
