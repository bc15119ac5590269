package amqpfront

import (
	"log/slog"
	"sync"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpengine"
)

// conn is one connection. It is the engine's Peer.
type conn struct {
	// Set before the first call of the engine, never changed after.
	server *Server
	engine *amqpengine.Conn
	logger *slog.Logger

	// Touched by the connection's reader only, and by links that were attached after Open.
	hub     string    // the hub's name; empty until Open
	created time.Time // when that hub was made: a later one of its name is another hub
	host    string    // how the client calls the hub, without port

	cbs        *node
	management *node

	in      messageReader   // touched by the reader only
	message hubward.Message // the reader's scratch space
	lanes   lanes           // what the connection waits for, off its reader

	mu        sync.Mutex                     // guards the fields below; never held across a call of engine or hub
	devices   map[hubward.Identity]*presence // that are connected here
	grants    map[string]*heldGrant          // by scope
	standing  map[*amqpengine.Link]*standing // links that need a grant
	bareSince time.Time                      // since when the open connection has no grant; zero: it has one, or is not open
	timer     *time.Timer                    // of checkGrants; nil until it is needed
	closed    bool
}

var _ amqpengine.Peer = (*conn)(nil)

func newConn(s *Server, e *amqpengine.Conn) *conn {
	c := &conn{
		server: s, engine: e, logger: s.logger.With("connection", e.ID(), "remote", addressText(e)),
		grants: make(map[string]*heldGrant), standing: make(map[*amqpengine.Link]*standing),
		devices: make(map[hubward.Identity]*presence),
	}
	c.cbs = newNode(c, c.putToken)
	c.management = newNode(c, c.manage)
	return c
}

func addressText(e *amqpengine.Conn) string {
	if a := e.RemoteAddr(); a != nil {
		return a.String()
	}
	return ""
}

// Closed implements amqpengine.Peer.
func (c *conn) Closed(err error) {
	c.mu.Lock()
	c.closed = true
	if c.timer != nil {
		c.timer.Stop()
	}
	clear(c.grants)
	clear(c.standing)
	c.mu.Unlock()
	c.lanes.wait()
	c.logger.Debug("amqp connection closed", "error", err)
}

// fail closes the connection.
func (c *conn) fail(e *amqpwire.Error) {
	c.logger.Info("amqp connection ended by the hub", "error", e.Error(), "tracking", c.server.track(e))
	c.engine.Close(e)
}
