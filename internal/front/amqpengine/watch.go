package amqpengine

import (
	"errors"
	"time"

	"github.com/hubward/hubward/internal/amqpwire"
)

// Time limits of a connection.
const (
	// watchInterval is how often connections are looked at.
	watchInterval = 500 * time.Millisecond
	// closeTimeout is how long a peer may take to answer a close.
	closeTimeout = time.Second
	// stallTimeout is how long a session's window may be closed by arithmetic alone before it is opened again. Some clients
	// count deliveries where frames are meant. Source: noodlefrenzy/node-amqp10, lib/session.js.
	stallTimeout = 5 * time.Second
)

// Why the watch cuts a connection.
var (
	errLate     = errors.New("amqpengine: no open within the handshake timeout")
	errStuck    = errors.New("amqpengine: the peer does not read")
	errUnclosed = errors.New("amqpengine: the peer did not answer the close")
)

// errSilent is transient for every client.
var errSilent = &amqpwire.Error{Condition: amqpwire.ConnectionForced, Description: "nothing came for one and a half idle time-outs"}

// look keeps the clock, and looks at every connection.
func (s *Server) look(open []*Conn) {
	ms := s.o.Now().UnixMilli()
	s.coarse.Store(ms)
	for _, c := range open {
		c.look(ms)
	}
}

// look does what time asks for on one connection; ms is now. The times of the connection are those of the look before
// what happened: they may be early by watchInterval, never late.
func (c *Conn) look(ms int64) {
	o := &c.srv.o
	passed := func(since int64, limit time.Duration) bool { return since != 0 && ms-since > limit.Milliseconds() }
	if passed(c.writingSince.Load(), o.WriteTimeout+watchInterval) || passed(c.heldSince.Load(), o.WriteTimeout+watchInterval) {
		c.cut(errStuck)
		return
	}
	if passed(c.closingSince.Load(), closeTimeout) {
		c.cut(errUnclosed)
		return
	}
	if !c.opened.Load() {
		if passed(c.began, o.HandshakeTimeout) {
			c.cut(errLate)
		}
		return
	}
	if passed(c.lastRead.Load(), o.IdleTimeout*3/2+watchInterval) {
		c.Close(errSilent)
	}
	if beat := c.heartbeat.Load(); beat != 0 && ms-c.lastWrite.Load()+watchInterval.Milliseconds() > beat {
		c.sendHeartbeat()
	}
	if passed(c.stalledSince.Load(), stallTimeout) {
		c.unstall(ms)
	}
	c.uncork() // the reader may be held up by a callback
}

// sendHeartbeat sends an empty frame, unless something is on its way already.
func (c *Conn) sendHeartbeat() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flushing || c.quietLocked() {
		return
	}
	c.appendEmptyLocked()
	c.startFlushLocked()
}

// unstall opens the windows of the sessions that have been stalled for too long.
func (c *Conn) unstall(ms int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := int64(0)
	for _, s := range c.sessions {
		switch {
		case s.stalledSince == 0:
		case ms-s.stalledSince > stallTimeout.Milliseconds():
			s.window = int64(s.peerWindow)
			s.openedLocked()
		case next == 0 || s.stalledSince < next:
			next = s.stalledSince
		}
	}
	c.stalledSince.Store(next)
}
