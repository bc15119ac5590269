package amqpengine

import (
	"context"
	"crypto/tls"
	"io"
	"net"

	"github.com/hubward/hubward/internal/amqpwire"
)

// Conn is one connection. Its methods may be called from any goroutine.
type Conn struct{}

// ID is unique in the process: what logs and traces name the connection by.
func (c *Conn) ID() uint64 { panic("unwritten") }

// RemoteAddr is the peer's address.
func (c *Conn) RemoteAddr() net.Addr { panic("unwritten") }

// TLS returns the state of the TLS connection, or nil: also for a connection by WebSocket unless its net.Conn has a
// method ConnectionState() tls.ConnectionState.
func (c *Conn) TLS() *tls.ConnectionState { panic("unwritten") }

// Context ends when the connection does, with the reason as its cause.
func (c *Conn) Context() context.Context { panic("unwritten") }

// ContainerID is what the peer's open said; empty before.
func (c *Conn) ContainerID() string { panic("unwritten") }

// Trace has the connection's frames written to w, a line each, from now on; nil ends that. Lines are written by two
// goroutines, so w must be safe for concurrent use. See amqpwire.AppendTrace for what they show.
func (c *Conn) Trace(w io.Writer) { panic("unwritten") }

// Close closes the connection with err, or without one for nil. It does not wait. The first call counts.
func (c *Conn) Close(err *amqpwire.Error) { panic("unwritten") }
