// Package amqpfront serves the hub's AMQP surfaces: log-in, and the Event-Hubs-compatible endpoint.
package amqpfront

import (
	"context"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/hubward/hubward/internal/hub"
)

// Options of a Server. The zero value works.
type Options struct {
	Logger   *slog.Logger     // nil: nothing is logged
	Now      func() time.Time // nil: time.Now
	Rand     io.Reader        // nil: crypto/rand.Reader
	Observer Observer         // nil: nobody is told
	// Trace says which connections' frames are written to TraceTo: remote addresses (IP), prefixes of container ids, or
	// "*". SetTrace changes it.
	Trace   []string
	TraceTo io.Writer
}

// Observer is told what happens at the endpoint; metrics implement it. Its methods must not block.
type Observer interface {
	// EventsDelivered counts events that were handed to readers, with the bytes of their messages.
	EventsDelivered(hub, consumerGroup string, events, bytes int)
	// Readers is told the change in the number of open readers: 1 or -1.
	Readers(hub, consumerGroup string, change int)
}

// Server serves AMQP connections. Make one with New.
type Server struct{}

// ErrServerClosed is what Serve returns after Shutdown.
var ErrServerClosed error

// New makes a server on h.
func New(h *hub.Hub, o Options) *Server { panic("unwritten") }

// Serve accepts connections from l until Shutdown, then returns ErrServerClosed. It may run on several listeners.
func (s *Server) Serve(l net.Listener) error { panic("unwritten") }

// ServeConn serves one connection that came another way, e.g. by WebSocket, until it ends.
func (s *Server) ServeConn(nc net.Conn) { panic("unwritten") }

// SetTrace replaces Options.Trace, also for the connections that are open.
func (s *Server) SetTrace(patterns []string) { panic("unwritten") }

// Connections counts the open connections.
func (s *Server) Connections() int { panic("unwritten") }

// Shutdown closes all connections in good order; when ctx ends first, it cuts the rest.
func (s *Server) Shutdown(ctx context.Context) error { panic("unwritten") }
