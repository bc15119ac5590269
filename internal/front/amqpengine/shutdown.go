package amqpengine

import (
	"context"

	"github.com/hubward/hubward/internal/amqpwire"
)

// errShutdown is what connections are closed with when the server ends: every client takes it for transient.
//
// Source: AMQP 1.0 part 2 §2.8.16; amqp/rhea, lib/connection.js (non_fatal_errors).
var errShutdown = &amqpwire.Error{Condition: amqpwire.ConnectionForced, Description: "the server is shutting down"}

// Shutdown stops accepting, ends the senders, lets deliveries that peers have sent be settled, closes every connection with
// amqp:connection:forced, and waits up to a second for the peers to answer; a connection with a link that says so (see
// Link.CutAtShutdown) it cuts instead, once it is told how its deliveries were settled. When ctx ends first, it cuts the
// rest. It returns when everything has ended: nil, or ctx's error if it had to.
func (s *Server) Shutdown(ctx context.Context) error { return s.conns.Shutdown(ctx) }

// drain ends the connection in good order: its senders at once, the rest when all deliveries of the peer are settled.
func (c *Conn) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stage == stageLogin {
		c.cutLocked(errShutdown)
	}
	if c.stage != stageOpen {
		return
	}
	c.draining = true
	for _, s := range c.sessions {
		for _, l := range s.links {
			if l.send != nil {
				l.cancel(errShutdown)
			}
		}
	}
	c.closeIfDrainedLocked()
}

// closeIfDrainedLocked ends a draining connection once nothing of its peer waits to be settled.
func (c *Conn) closeIfDrainedLocked() {
	switch {
	case !c.draining || c.inFlight > 0 || c.stage != stageOpen:
	case c.cutAtShutdownLocked():
		c.hangUpLocked(errShutdown)
	default:
		c.closeLocked(errShutdown)
	}
}

func (c *Conn) cutAtShutdownLocked() bool {
	for _, s := range c.sessions {
		for _, l := range s.links {
			if l.cutAtShutdown {
				return true
			}
		}
	}
	return false
}

// hangUpLocked ends the connection without a close, once what is queued is written.
func (c *Conn) hangUpLocked(reason error) {
	if c.pending.on != nil {
		c.writePendingLocked()
	}
	c.stage, c.hangingUp = stageClosing, true
	c.endedLocked(reason)
	c.closingSince.Store(c.srv.coarse.Load())
	c.startFlushLocked()
	if !c.flushing {
		c.cutLocked(reason)
	}
}
