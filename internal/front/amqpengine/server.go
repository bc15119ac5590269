package amqpengine

import (
	"errors"
	"log/slog"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/connset"
)

// ErrServerClosed is what Serve returns after Shutdown.
var ErrServerClosed = errors.New("amqpengine: server closed")

// Options of a Server. Zero members mean their defaults.
type Options struct {
	ContainerID      string           // of the server's open; default "hubward"
	Mechanisms       []string         // default MSSBCBS, PLAIN, ANONYMOUS, EXTERNAL
	MaxFrameSize     uint32           // default 65,536; at least 512, at most 262,144
	ChannelMax       uint16           // default 8,191: pools of devices open a session each
	MaxLinks         int              // of a connection; default 16,384
	MaxPartialBytes  int              // of a connection: bytes of deliveries that have begun; default 4 MiB
	IdleTimeout      time.Duration    // that peers are told; default 240 s; never below 5 s: some clients refuse that
	HandshakeTimeout time.Duration    // from accept to open, TLS included; default 20 s
	WriteTimeout     time.Duration    // how long a peer may read nothing while there is something for it; default 60 s
	Logger           *slog.Logger     // nil: nothing is logged
	Now              func() time.Time // nil: time.Now
}

// withDefaults returns o with every member set and within its bounds.
func (o Options) withDefaults() Options {
	if o.ContainerID == "" {
		o.ContainerID = "hubward"
	}
	if len(o.Mechanisms) == 0 {
		o.Mechanisms = []string{"MSSBCBS", "PLAIN", "ANONYMOUS", "EXTERNAL"}
	}
	if o.MaxFrameSize == 0 {
		o.MaxFrameSize = 65536
	}
	o.MaxFrameSize = min(max(o.MaxFrameSize, amqpwire.MinMaxFrameSize), maxMaxFrameSize)
	if o.ChannelMax == 0 {
		o.ChannelMax = 8191
	}
	if o.MaxLinks <= 0 {
		o.MaxLinks = 16384
	}
	if o.MaxPartialBytes <= 0 {
		o.MaxPartialBytes = 4 << 20
	}
	if o.IdleTimeout <= 0 {
		o.IdleTimeout = 240 * time.Second
	}
	o.IdleTimeout = max(o.IdleTimeout, minIdleTimeout)
	if o.HandshakeTimeout <= 0 {
		o.HandshakeTimeout = 20 * time.Second
	}
	if o.WriteTimeout <= 0 {
		o.WriteTimeout = 60 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Bounds of Options.
const (
	// maxMaxFrameSize is what a read buffer holds with room to spare.
	maxMaxFrameSize = 256 << 10
	// minIdleTimeout is the least idle time-out that .NET clients accept.
	// Source: Azure/azure-amqp, src/AmqpConnection.cs and src/AmqpConstants.cs (MinimumHeartBeatIntervalMs).
	minIdleTimeout = 5 * time.Second
)

// Server serves AMQP connections. Make one with New.
type Server struct {
	handler Handler
	o       Options
	conns   *connset.Set[*Conn]
	lastID  atomic.Uint64
	coarse  atomic.Int64 // the time in Unix milliseconds, kept by look: good enough for every limit here
}

// New makes a server whose connections h decides about.
func New(h Handler, o Options) *Server {
	s := &Server{handler: h, o: o.withDefaults()}
	s.coarse.Store(s.o.Now().UnixMilli())
	s.conns = connset.New(connset.Options[*Conn]{
		Closed: ErrServerClosed, Drain: (*Conn).drain, Abort: (*Conn).cut, Look: s.look, Interval: watchInterval,
	})
	return s
}

// Serve accepts connections from l until Shutdown, then returns ErrServerClosed. It may run on several listeners. A
// *tls.Conn does its handshake on its own goroutine. Serve closes l. An error of l ends it: to go on after a failure that
// passes, e.g. for want of file descriptors, is the listener's business.
func (s *Server) Serve(l net.Listener) error {
	return s.conns.Serve(l, func(nc net.Conn) { s.start(nc) })
}

// ServeConn serves one connection, e.g. one that came by WebSocket, until it ends, and closes it.
func (s *Server) ServeConn(nc net.Conn) {
	if c := s.start(nc); c != nil {
		<-c.done
	}
}

// start owns nc from here on. It returns nil, with nc closed, when the server is closing.
func (s *Server) start(nc net.Conn) *Conn {
	c := newConn(s, nc)
	if !s.conns.Go(c, c.serve) {
		nc.Close()
		return nil
	}
	return c
}

func (s *Server) forget(c *Conn) {
	s.conns.Remove(c)
	close(c.done)
}

// Connections returns the open connections, those that are still logging in included.
func (s *Server) Connections() []*Conn { return s.conns.All() }

// offers reports whether a log-in mechanism is one of Options.Mechanisms.
func (s *Server) offers(mechanism string) bool { return slices.Contains(s.o.Mechanisms, mechanism) }
