package mqttfront

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubward/hubward/internal/hub"
)

// ErrServerClosed is what Serve returns after Shutdown.
var ErrServerClosed = errors.New("mqttfront: server closed")

// Options of a Server. Nil members mean: no log, time.Now.
type Options struct {
	Logger *slog.Logger
	Now    func() time.Time
}

// Server serves MQTT connections. Make one with New.
type Server struct {
	hub    *hub.Hub
	logger *slog.Logger
	now    func() time.Time
	ctx    context.Context // ends when the server must: connections live in it
	cancel context.CancelFunc
	wg     sync.WaitGroup // connections

	watching sync.WaitGroup // the watch
	writers  *writers

	mu        sync.Mutex // guards the fields below
	conns     map[*conn]struct{}
	listeners map[net.Listener]struct{}
	closing   bool

	coarse atomic.Int64 // the time in Unix milliseconds, kept by watch: good enough for keep-alive
}

// New makes a server on h.
func New(h *hub.Hub, o Options) *Server {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{
		hub: h, logger: o.Logger, now: o.Now, ctx: ctx, cancel: cancel,
		conns: make(map[*conn]struct{}), listeners: make(map[net.Listener]struct{}),
	}
	s.coarse.Store(o.Now().UnixMilli())
	s.writers = newWriters(o.Now)
	s.watching.Go(s.watch)
	return s
}

// Serve accepts connections from l until Shutdown, then returns ErrServerClosed. It may run on several listeners. A
// *tls.Conn does its handshake on its own goroutine. Serve closes l. An error of l ends it: to go on after a
// failure that passes is the listener's business.
func (s *Server) Serve(l net.Listener) error {
	if !s.track(l) {
		l.Close()
		return ErrServerClosed
	}
	defer s.untrack(l)
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			s.start(nc)
		case s.isClosing():
			return ErrServerClosed
		default:
			return err
		}
	}
}

// ServeConn serves one connection that came another way, e.g. by WebSocket. It returns at once, and closes nc when the
// connection ends.
func (s *Server) ServeConn(nc net.Conn) { s.start(nc) }

func (s *Server) track(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.listeners[l] = struct{}{}
	return true
}

func (s *Server) untrack(l net.Listener) {
	l.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// start owns nc from here on.
func (s *Server) start(nc net.Conn) {
	c := newConn(s, nc)
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		nc.Close()
		return
	}
	s.conns[c] = struct{}{} // visible to Shutdown before c can run
	s.wg.Add(1)             // forget takes it back
	s.mu.Unlock()
	go c.serve()
}

func (s *Server) forget(c *conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	s.wg.Done()
}

// Connections counts the open connections, those that are still logging in included.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Shutdown stops accepting and reading, lets the acknowledgements of messages that are on their way to the disk leave,
// and closes all connections; when ctx ends first, it closes the rest at once. There is no server DISCONNECT in MQTT
// 3.1.1: clients see the socket close and come back.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	for l := range s.listeners {
		l.Close()
	}
	conns := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, c := range conns {
		c.Close(errDraining)
	}
	stop := context.AfterFunc(ctx, func() {
		for _, c := range conns {
			c.abort()
		}
	})
	defer stop()
	s.wg.Wait()
	s.cancel()
	s.watching.Wait()
	s.writers.close()
	return ctx.Err()
}
