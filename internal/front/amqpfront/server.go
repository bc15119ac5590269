package amqpfront

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/hubward/hubward/internal/front/amqpengine"
	"github.com/hubward/hubward/internal/hub"
)

// Options of a Server. The zero value works.
type Options struct {
	Logger   *slog.Logger     // nil: nothing is logged
	Now      func() time.Time // nil: time.Now
	Rand     io.Reader        // nil: crypto/rand.Reader
	Observer Observer         // nil: nobody is told
	// Trace says which connections' frames are written to TraceTo: remote addresses (IP), prefixes of container ids, or
	// "*". An address or "*" traces from the first byte, a container id from the open on. SetTrace changes it.
	Trace   []string
	TraceTo io.Writer // nil: nowhere. Each call writes one line; calls follow one another
	// LoggedIn is told of each connection that was given a principal, at least once. It must not block. nil: nobody is told.
	LoggedIn func(net.Conn)
}

// Observer is told what happens at the endpoint; metrics implement it. Its methods must not block.
type Observer interface {
	// EventsDelivered counts events that were handed to readers, with the bytes of their messages.
	EventsDelivered(hub, consumerGroup string, events, bytes int)
	// Readers is told the change in the number of open readers: 1 or -1.
	Readers(hub, consumerGroup string, change int)
}

// silent is the Observer that tells nobody.
type silent struct{}

func (silent) EventsDelivered(string, string, int, int) {}
func (silent) Readers(string, string, int)              {}

// Server serves AMQP connections. Make one with New.
type Server struct {
	hub       *hub.Hub
	engine    *amqpengine.Server
	logger    *slog.Logger
	now       func() time.Time
	observer  Observer
	loggedIn  func(net.Conn)
	addresses addressTable
	tracer    *tracer
	readers   openReaders
	leaving   sync.WaitGroup  // links of devices that disconnect, and looks at who is still let in
	ctx       context.Context // of what outlives a link; ends when Shutdown does not wait any longer
	cancel    context.CancelFunc

	randMu sync.Mutex // serialises reads of rand
	rand   io.Reader

	unfollow func() // ends what the hub tells of those that it lets in

	connsMu sync.Mutex // guards conns
	conns   map[*conn]struct{}
}

// ErrServerClosed is what Serve returns after Shutdown.
var ErrServerClosed = errors.New("amqpfront: server closed")

// New makes a server on h.
func New(h *hub.Hub, o Options) *Server {
	s := &Server{hub: h, logger: o.Logger, now: o.Now, rand: o.Rand, observer: o.Observer, loggedIn: o.LoggedIn, addresses: newAddressTable()}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.rand == nil {
		s.rand = rand.Reader
	}
	if s.observer == nil {
		s.observer = silent{}
	}
	if s.loggedIn == nil {
		s.loggedIn = func(net.Conn) {}
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.tracer = newTracer(o.TraceTo, s.now, o.Trace)
	s.engine = amqpengine.New(s, amqpengine.Options{Logger: s.logger, Now: s.now})
	s.conns = make(map[*conn]struct{})
	s.unfollow = h.OnAdmissionChange(func() { s.leaving.Go(s.dropInadmissible) })
	return s
}

// Serve accepts connections from l until Shutdown, then returns ErrServerClosed. It may run on several listeners. A
// *tls.Conn does its handshake on its own goroutine. Serve closes l.
func (s *Server) Serve(l net.Listener) error {
	err := s.engine.Serve(l)
	if errors.Is(err, amqpengine.ErrServerClosed) {
		return ErrServerClosed
	}
	return err
}

// ServeConn serves one connection that came another way, e.g. by WebSocket, until it ends.
func (s *Server) ServeConn(nc net.Conn) { s.engine.ServeConn(nc) }

// SetTrace replaces Options.Trace, also for the connections that are open.
func (s *Server) SetTrace(patterns []string) { s.tracer.set(patterns, s.engine.Connections) }

// Connections counts the open connections.
func (s *Server) Connections() int { return len(s.engine.Connections()) }

// Shutdown ends all connections, once what their peers have sent is settled: those that carry links of devices without a
// word, the others in good order. When ctx ends first, it cuts the rest and returns ctx's error.
func (s *Server) Shutdown(ctx context.Context) error {
	stop := context.AfterFunc(ctx, s.cancel)
	defer stop()
	s.unfollow()
	err := s.engine.Shutdown(ctx)
	s.leaving.Wait() // no presence is left that could disconnect
	s.cancel()
	return err
}

// storing returns the context of what is stored for a peer also when its link has ended meanwhile.
func (s *Server) storing() (context.Context, context.CancelFunc) {
	return context.WithTimeout(s.ctx, storeTimeout)
}

// disconnect ends a link of a device in the background: it may wait for the cluster, and neither the other devices of a
// connection nor the hub, when it closes many, are to wait with it. It is called under the connection's mutex, in the same
// moment in which the presence is over, so that who finds the presence gone finds this begun.
func (s *Server) disconnect(l *hub.Link) { s.leaving.Go(l.Disconnect) }

// disconnectAfter is disconnect once nothing is under way that was asked of a twin, nil if nothing was. It waits no longer than a peer
// would.
func (s *Server) disconnectAfter(t *twinNode, l *hub.Link) {
	s.leaving.Go(func() {
		defer l.Disconnect()
		if t == nil {
			return
		}
		ctx, cancel := s.storing()
		defer cancel()
		t.room.await(ctx)
	})
}

// Connect makes the peer of a new connection.
func (s *Server) Connect(c *amqpengine.Conn) amqpengine.Peer {
	s.tracer.connected(c)
	peer := newConn(s, c)
	s.connsMu.Lock()
	defer s.connsMu.Unlock()
	s.conns[peer] = struct{}{}
	return peer
}

func (s *Server) forget(c *conn) {
	s.connsMu.Lock()
	defer s.connsMu.Unlock()
	delete(s.conns, c)
}

// dropInadmissible has all connections look whether the hub still lets in who they have logged in.
func (s *Server) dropInadmissible() {
	s.connsMu.Lock()
	all := slices.Collect(maps.Keys(s.conns))
	s.connsMu.Unlock()
	for _, c := range all {
		c.dropInadmissible()
	}
}
