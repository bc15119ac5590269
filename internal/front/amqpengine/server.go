package amqpengine

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"
)

// ErrServerClosed is what Serve returns after Shutdown.
var ErrServerClosed = errors.New("amqpengine: server closed")

// Options of a Server. Zero members mean their defaults.
type Options struct {
	ContainerID      string           // of the server's open; default "hubward"
	Mechanisms       []string         // default MSSBCBS, PLAIN, ANONYMOUS, EXTERNAL
	MaxFrameSize     uint32           // default 65,536; at least 512
	ChannelMax       uint16           // default 8,191: pools of devices open a session each
	MaxLinks         int              // of a connection; default 16,384
	MaxPartialBytes  int              // of a connection: bytes of deliveries that have begun; default 4 MiB
	IdleTimeout      time.Duration    // that peers are told; default 240 s; never below 5 s: some clients refuse that
	HandshakeTimeout time.Duration    // from accept to open, TLS included; default 20 s
	WriteTimeout     time.Duration    // how long a peer may read nothing while there is something for it; default 60 s
	Logger           *slog.Logger     // nil: nothing is logged
	Now              func() time.Time // nil: time.Now
}

// Server serves AMQP connections. Make one with New.
type Server struct{}

// New makes a server whose connections h decides about.
func New(h Handler, o Options) *Server { panic("unwritten") }

// Serve accepts connections from l until Shutdown, then returns ErrServerClosed. It may run on several listeners. A
// *tls.Conn does its handshake on its own goroutine. Serve closes l.
func (s *Server) Serve(l net.Listener) error { panic("unwritten") }

// ServeConn serves one connection, e.g. one that came by WebSocket, until it ends, and closes it.
func (s *Server) ServeConn(nc net.Conn) { panic("unwritten") }

// Connections returns the open connections.
func (s *Server) Connections() []*Conn { panic("unwritten") }

// Shutdown stops accepting, ends the senders, lets deliveries that peers have sent be settled, closes every connection with
// amqp:connection:forced, and waits up to a second for the peers to answer; when ctx ends first, it cuts the rest.
func (s *Server) Shutdown(ctx context.Context) error { panic("unwritten") }
