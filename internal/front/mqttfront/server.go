package mqttfront

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/hubward/hubward/internal/front/connset"
	"github.com/hubward/hubward/internal/hub"
)

// ErrServerClosed is what Serve returns after Shutdown.
var ErrServerClosed = errors.New("mqttfront: server closed")

// Options of a Server. Nil members mean: no log, time.Now, nobody is told.
type Options struct {
	Logger *slog.Logger
	Now    func() time.Time
	// LoggedIn is told of each connection that has logged in. It must not block.
	LoggedIn func(net.Conn)
}

// Server serves MQTT connections. Make one with New.
type Server struct {
	hub      *hub.Hub
	logger   *slog.Logger
	now      func() time.Time
	loggedIn func(net.Conn)
	ctx      context.Context // of what outlives a connection's socket; ends when Shutdown does not wait any longer
	cancel   context.CancelFunc

	writers *writers
	conns   *connset.Set[*conn]

	coarse atomic.Int64 // the time in Unix milliseconds, kept by look: good enough for keep-alive
}

// New makes a server on h.
func New(h *hub.Hub, o Options) *Server {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.LoggedIn == nil {
		o.LoggedIn = func(net.Conn) {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{hub: h, logger: o.Logger, now: o.Now, loggedIn: o.LoggedIn, ctx: ctx, cancel: cancel, writers: newWriters(o.Now)}
	s.coarse.Store(o.Now().UnixMilli())
	s.conns = connset.New(connset.Options[*conn]{
		Closed: ErrServerClosed,
		Drain:  func(c *conn) { c.Close(errDraining) },
		Abort: func(c *conn, _ error) {
			s.cancel()
			c.abort()
		},
		Look: s.look, Interval: watchInterval,
	})
	return s
}

// Serve accepts connections from l until Shutdown, then returns ErrServerClosed. It may run on several listeners. A
// *tls.Conn does its handshake on its own goroutine. Serve closes l. An error of l ends it: to go on after a
// failure that passes is the listener's business.
func (s *Server) Serve(l net.Listener) error { return s.conns.Serve(l, s.ServeConn) }

// ServeConn serves one connection that came another way, e.g. by WebSocket. It returns at once, and closes nc when the
// connection ends.
func (s *Server) ServeConn(nc net.Conn) {
	c := newConn(s, nc)
	if !s.conns.Go(c, c.serve) {
		nc.Close()
	}
}

// Connections counts the open connections, those that are still logging in included.
func (s *Server) Connections() int { return s.conns.Len() }

// Shutdown stops accepting and reading, lets the acknowledgements of messages that are on their way to the disk leave,
// and closes all connections; when ctx ends first, it closes the rest at once. There is no server DISCONNECT in MQTT
// 3.1.1: clients see the socket close and come back.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.conns.Shutdown(ctx)
	s.cancel()
	s.writers.close()
	return err
}
