package wsconn

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// maxMessage bounds the messages that Write sends, in bytes: the service client for Java buffers 65 KiB.
//
// Source: Azure/azure-iot-sdk-java, service/…/transport/amqps/AmqpConnectionHandler.java (MAX_MESSAGE_PAYLOAD_SIZE).
const maxMessage = 64 << 10

// closeWait bounds the closing handshake: our close frame out, the peer's in.
const closeWait = time.Second

// past is a deadline that has passed.
var past = time.Unix(1, 0)

// Conn is the byte stream in a WebSocket's binary messages; where a message ends means nothing. It is a net.Conn, with
// these particulars:
//
//   - after Read has returned an error, also that of a deadline, it returns the same one for ever;
//   - a Write of more than 64 KiB leaves as several messages;
//   - Close does not wait: the closing handshake goes on behind it, for up to a second.
//
// No pings are sent (paho's answer to one is malformed), those of the peer are answered while something reads.
type Conn struct {
	server *Server
	ws     *websocket.Conn
	below  net.Conn // TLS or TCP

	readMu  sync.Mutex // guards the fields below
	message io.Reader  // what is left of the message that is being read; nil: none
	readErr error      // what Read returns from now on

	writeMu sync.Mutex // held during writes

	code   atomic.Int32 // of the close frame; 0: none has been chosen
	closed atomic.Bool  // set with deadlineMu held

	deadlineMu sync.Mutex // no deadline of the user's comes after those of Close
}

var _ net.Conn = (*Conn)(nil)

// Read reads from the stream. When the peer has closed the WebSocket in good order the error is io.EOF.
func (c *Conn) Read(p []byte) (int, error) {
	c.readMu.Lock()
	defer c.readMu.Unlock()
	if len(p) == 0 || c.readErr != nil {
		return 0, c.readErr
	}
	for {
		n, err := c.read(p)
		if err != nil {
			c.readErr = err
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// read returns zero bytes without an error at the end of a message. The caller holds readMu.
func (c *Conn) read(p []byte) (int, error) {
	if c.closed.Load() {
		return 0, net.ErrClosed
	}
	if c.message == nil {
		kind, message, err := c.ws.Reader(context.Background())
		if err != nil {
			return 0, c.readError(err)
		}
		if kind != websocket.MessageBinary {
			c.code.Store(int32(websocket.StatusUnsupportedData))
			return 0, errors.New("websocket: a text message, and only binary ones are taken")
		}
		c.message = message
	}
	n, err := c.message.Read(p)
	if err == io.EOF {
		c.message, err = nil, nil
	}
	if err != nil {
		err = c.readError(err)
	}
	return n, err
}

// readError is what Read says for an error of the library.
func (c *Conn) readError(err error) error {
	if c.closed.Load() {
		return net.ErrClosed
	}
	switch websocket.CloseStatus(err) {
	case -1:
		return fmt.Errorf("websocket: %w", err)
	case websocket.StatusNormalClosure, websocket.StatusGoingAway, websocket.StatusNoStatusRcvd:
		return io.EOF
	}
	return fmt.Errorf("websocket: the peer closed it: %w", err)
}

// Write sends p in binary messages, each of one frame.
func (c *Conn) Write(p []byte) (n int, err error) {
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	for n < len(p) {
		if c.closed.Load() {
			return n, net.ErrClosed
		}
		part := p[n:min(len(p), n+maxMessage)]
		if err := c.ws.Write(context.Background(), websocket.MessageBinary, part); err != nil {
			return n, fmt.Errorf("websocket: %w", err)
		}
		n += len(part)
	}
	return n, nil
}

// Close ends Reads and Writes at once, and the WebSocket in good order if the peer plays along.
func (c *Conn) Close() error {
	c.deadlineMu.Lock()
	defer c.deadlineMu.Unlock()
	if c.closed.Swap(true) {
		return nil
	}
	c.below.SetReadDeadline(past)
	if c.writeMu.TryLock() {
		c.writeMu.Unlock()
	} else {
		c.below.SetWriteDeadline(past) // somebody is stuck in Write: there is no room for a close frame either
	}
	go c.finish() // the server waits for it
	return nil
}

// Cut is Close without the closing handshake: the peer sees that the connection breaks, as it would without a WebSocket. There are
// clients that take a WebSocket which ends in good order for one that goes on.
//
// Observed with Java's iot-device-client 2.5.0 over AMQPS_WS.
func (c *Conn) Cut() {
	c.cut(nil)
	c.Close()
}

// finish is the closing handshake, and the end of the socket.
func (c *Conn) finish() {
	defer c.server.conns.Remove(c)
	c.readMu.Lock() // whoever read or wrote has been woken
	defer c.readMu.Unlock()
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	c.below.SetDeadline(time.Now().Add(closeWait))
	code := websocket.StatusCode(c.code.Load())
	switch {
	case code != 0:
	case c.server.conns.Closing():
		code = websocket.StatusGoingAway
	default:
		code = websocket.StatusNormalClosure
	}
	c.ws.Close(code, "") // a peer that does not answer is cut off, which is no error of anybody's
}

// ConnectionState is that of the TLS connection below; the zero value when there is none.
func (c *Conn) ConnectionState() tls.ConnectionState {
	if t, ok := c.below.(interface{ ConnectionState() tls.ConnectionState }); ok {
		return t.ConnectionState()
	}
	return tls.ConnectionState{}
}

// NetConn is the connection below, to ask what it is.
func (c *Conn) NetConn() net.Conn { return c.below }

// LocalAddr is the address of the socket.
func (c *Conn) LocalAddr() net.Addr { return c.below.LocalAddr() }

// RemoteAddr is the peer's address.
func (c *Conn) RemoteAddr() net.Addr { return c.below.RemoteAddr() }

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error { return c.setDeadline(c.below.SetDeadline, t) }

// SetReadDeadline ends the reading when it passes, for good; writing goes on.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadline(c.below.SetReadDeadline, t) }

// SetWriteDeadline ends the writing when it passes, for good.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setDeadline(c.below.SetWriteDeadline, t) }

func (c *Conn) setDeadline(set func(time.Time) error, t time.Time) error {
	c.deadlineMu.Lock()
	defer c.deadlineMu.Unlock()
	if c.closed.Load() {
		return net.ErrClosed
	}
	return set(t)
}
