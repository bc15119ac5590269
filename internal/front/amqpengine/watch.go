package amqpengine

import (
	"errors"
	"time"

	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/minrate"
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
	// busyTimeout is how long the program may take for what a peer has sent, while nothing more is read.
	busyTimeout = 30 * time.Minute
)

// Why the watch cuts a connection.
var (
	errLate     = errors.New("amqpengine: no open within the handshake timeout")
	errStuck    = errors.New("amqpengine: the peer does not read")
	errUnclosed = errors.New("amqpengine: the peer did not answer the close")
)

// Why the watch closes a connection: transient for every client.
var (
	errSilent = &amqpwire.Error{Condition: amqpwire.ConnectionForced, Description: "nothing came for one and a half idle time-outs"}
	errSlow   = &amqpwire.Error{Condition: amqpwire.ConnectionForced, Description: "a frame came too slowly"}
	errBusy   = &amqpwire.Error{Condition: amqpwire.ConnectionForced, Description: "the server has had no room for what the peer sent for half an hour"}
)

// errSlowDelivery detaches a link.
var errSlowDelivery = &amqpwire.Error{Condition: amqpwire.DetachForced, Description: "a delivery came too slowly"}

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
	c.lookAtReader(ms)
	if beat := c.heartbeat.Load(); beat != 0 && ms-c.lastWrite.Load()+watchInterval.Milliseconds() > beat {
		c.sendHeartbeat()
	}
	if passed(c.stalledSince.Load(), stallTimeout) {
		c.unstall(ms)
	}
	c.uncork() // the reader may be held up by a callback
}

// lookAtReader closes a connection whose peer is silent, or too slow with a frame that it has begun. While the reader is busy
// it does not hear the peer, which is the peer's fault only when that does not read; see heldSince.
func (c *Conn) lookAtReader(ms int64) {
	quiet := time.Duration(ms-c.lastRead.Load())*time.Millisecond - watchInterval
	if !c.reading.Load() {
		if quiet > busyTimeout {
			c.Close(errBusy)
		}
		return
	}
	switch {
	case quiet > c.srv.o.IdleTimeout*3/2:
		c.Close(errSilent)
	case c.frame.Late(ms, watchInterval):
		c.Close(errSlow)
	}
	c.endSlowDeliveries(ms - c.deaf.Load())
}

// endSlowDeliveries detaches the links on which a delivery has begun and does not come.
func (c *Conn) endSlowDeliveries(ms int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for rc, began := range c.unfinished {
		allowed := minrate.Allowed(len(rc.partial.payload.b)) + watchInterval
		if ms-began > allowed.Milliseconds() {
			rc.link.detachLocked(errSlowDelivery)
			c.startFlushLocked()
		}
	}
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
