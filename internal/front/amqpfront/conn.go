package amqpfront

import (
	"log/slog"
	"sync"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpengine"
	"github.com/hubward/hubward/internal/front/peer"
	"github.com/hubward/hubward/internal/hub/access"
)

// conn is one connection. It is the engine's Peer.
type conn struct {
	// Set before the first call of the engine, never changed after.
	server *Server
	engine *amqpengine.Conn
	logger *slog.Logger

	// Touched by the connection's reader only, and by links that were attached after Open.
	hub    access.HubRef    // zero until Open
	host   string           // how the client calls the hub, without port
	nobody access.Principal // of the hub; may do nothing

	cbs        *node
	management *node

	in      messageReader   // touched by the reader only
	message hubward.Message // the reader's scratch space
	workers keyedWorkers    // for what the connection waits for, off its reader

	mu         sync.Mutex                        // guards the fields below; never held across a call of engine or hub
	presences  map[hubward.Identity]*presence    // who is connected here
	principals map[string]*heldPrincipal         // by scope
	links      map[*amqpengine.Link]*restingLink // those that require a principal
	timer      *time.Timer                       // of checkPrincipals; nil until it is needed
	closed     bool
	// unauthenticatedSince is since when the open connection has no principal; zero: it has one, or is not open.
	unauthenticatedSince time.Time
}

var _ amqpengine.Peer = (*conn)(nil)

func newConn(s *Server, e *amqpengine.Conn) *conn {
	c := &conn{
		server: s, engine: e, logger: s.logger.With("connection", e.ID(), "remote", addressText(e)),
		principals: make(map[string]*heldPrincipal), links: make(map[*amqpengine.Link]*restingLink),
		presences: make(map[hubward.Identity]*presence),
	}
	c.cbs = newStatusNode(c, c.putToken)
	c.management = newStatusNode(c, c.manage)
	return c
}

func addressText(e *amqpengine.Conn) string {
	if a := e.RemoteAddr(); a != nil {
		return a.String()
	}
	return ""
}

// peer is where the connection comes from.
func (c *conn) peer() access.Peer { return peer.Of(c.engine.NetConn()) }

// Closed implements amqpengine.Peer.
func (c *conn) Closed(err error) {
	c.server.forget(c)
	c.mu.Lock()
	c.closed = true
	if c.timer != nil {
		c.timer.Stop()
	}
	clear(c.principals)
	clear(c.links)
	c.mu.Unlock()
	c.workers.wait()
	c.logger.Debug("amqp connection closed", "error", err)
}

// fail closes the connection.
func (c *conn) fail(e *amqpwire.Error) {
	c.logger.Info("amqp connection ended by the hub", "error", e.Error(), "tracking", c.server.track(e))
	c.engine.Close(e)
}
