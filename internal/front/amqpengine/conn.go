package amqpengine

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/minrate"
)

// Why a connection or a link ended without an error of AMQP: causes of their contexts.
var (
	ErrClosed   = errors.New("amqpengine: the connection was closed")
	ErrEnded    = errors.New("amqpengine: the session was ended")
	ErrDetached = errors.New("amqpengine: the link was detached")
)

// stage is how far a connection has come.
type stage uint8

const (
	stageLogin   stage = iota // headers, log-in, until the peer's open was answered
	stageOpen                 // frames go both ways
	stageClosing              // our close is queued, or all that comes before a cut: nothing is sent behind it
	stageEnded                // nothing is written or read any more
)

// Conn is one connection. Its methods may be called from any goroutine.
type Conn struct {
	// Set before serve starts, never changed after.
	srv    *Server
	nc     net.Conn
	id     uint64
	began  int64 // coarse time, as all times here: Unix milliseconds
	ctx    context.Context
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when all of the connection has ended

	// Touched only by the reader.
	in       frameReader
	peer     Peer
	incoming incoming

	tracer atomic.Pointer[tracer]

	// For the watch; 0 means never, or not now.
	reading      atomic.Bool     // the reader waits for bytes, and for nothing else
	lastRead     atomic.Int64    // bytes came last, or the reader began to wait for them
	deaf         atomic.Int64    // milliseconds, all in all, in which the reader was busy with something else
	frame        minrate.Arrival // what the reader waits for
	lastWrite    atomic.Int64
	writingSince atomic.Int64 // the present write began then
	heldSince    atomic.Int64 // the reader waits since then until the peer reads
	closingSince atomic.Int64 // our last frame was written then
	stalledSince atomic.Int64 // the earliest of the sessions'
	heartbeat    atomic.Int64 // half of the peer's idle time-out, in milliseconds
	opened       atomic.Bool

	runs sync.WaitGroup // goroutines of senders

	mu          sync.Mutex // guards the fields below and all sessions and links; never held across I/O or a callback
	changed     sync.Cond  // of mu: the outbox was emptied, deliveries were settled, the flush went to rest, or the end
	stage       stage
	reason      error // why the connection ends; the first counts
	wasCut      bool
	opening     bool            // Peer.Open runs: a close waits for the answer
	refusal     *amqpwire.Error // what to close with once open is answered, if refused
	refused     bool
	container   string
	maxFrame    uint32 // the peer's maximum
	sessions    map[uint16]*session
	top         int32 // highest channel that was ever begun; -1: none
	links       int
	attachBytes int                 // of all links
	partial     int                 // bytes of deliveries that have begun
	unfinished  map[*receiver]int64 // links with such a delivery, and when it began, without the time in which the reader was deaf
	inFlight    int                 // deliveries of the peer that are not settled
	draining    bool
	hangingUp   bool // the flush cuts once all is written
	lastTag     uint64
	tagPrefix   [8]byte
	outbox
}

func newConn(s *Server, nc net.Conn) *Conn {
	c := &Conn{
		srv: s, nc: nc, id: s.lastID.Add(1), began: s.coarse.Load(), done: make(chan struct{}),
		maxFrame: amqpwire.MinMaxFrameSize, top: -1,
	}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	c.changed.L = &c.mu
	c.in.init(c)
	rand.Read(c.tagPrefix[:]) // never fails
	c.lastWrite.Store(c.began)
	c.lastRead.Store(c.began)
	return c
}

// ID is unique in the process: what logs and traces name the connection by.
func (c *Conn) ID() uint64 { return c.id }

// NetConn is the connection below, to ask what it is; only the engine reads, writes or closes it.
func (c *Conn) NetConn() net.Conn { return c.nc }

// RemoteAddr is the peer's address.
func (c *Conn) RemoteAddr() net.Addr { return c.nc.RemoteAddr() }

// TLS returns the state of the TLS connection, or nil: also for a connection by WebSocket unless its net.Conn has a
// method ConnectionState() tls.ConnectionState.
func (c *Conn) TLS() *tls.ConnectionState {
	if t, ok := c.nc.(interface{ ConnectionState() tls.ConnectionState }); ok {
		state := t.ConnectionState()
		return &state
	}
	return nil
}

// Context ends when the connection does, with the reason as its cause.
func (c *Conn) Context() context.Context { return c.ctx }

// ContainerID is what the peer's open said; empty before.
func (c *Conn) ContainerID() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.container
}

// Close closes the connection with err, or without one for nil. It does not wait. The first call counts.
func (c *Conn) Close(err *amqpwire.Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closeLocked(err)
}

// closeLocked queues a close, behind the answer to open if that is still to come. Without either, it cuts.
func (c *Conn) closeLocked(err *amqpwire.Error) {
	switch {
	case c.stage >= stageClosing || c.refused:
	case c.opening:
		c.refused, c.refusal = true, err
	case c.stage == stageLogin:
		c.cutLocked(causeOf(err, ErrClosed))
	default:
		c.append(0, &amqpwire.Close{Error: c.fitting(err)})
		c.stage = stageClosing
		c.endedLocked(causeOf(err, ErrClosed))
		if c.draining {
			c.closingSince.Store(c.srv.coarse.Load())
		}
		c.startFlushLocked()
	}
}

// causeOf returns err as an error, or other for nil.
func causeOf(err *amqpwire.Error, other error) error {
	if err != nil {
		return err
	}
	return other
}

// cut ends the connection without a word.
func (c *Conn) cut(reason error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cutLocked(reason)
}

func (c *Conn) cutLocked(reason error) {
	c.stage, c.wasCut = stageEnded, true
	c.endedLocked(reason)
	c.nc.SetDeadline(time.Unix(1, 0)) // wakes the reader and the flush, and unlike Close never waits for anything
}

// endedLocked notes why the connection ends and tells everybody who waits for it.
func (c *Conn) endedLocked(reason error) {
	if c.reason == nil {
		c.reason = reason
	}
	c.cancel(c.reason)
	c.changed.Broadcast()
}

// quietLocked reports whether nothing may be sent any more.
func (c *Conn) quietLocked() bool { return c.stage >= stageClosing }

// Read reads from the socket and notes when: it is the frame reader's source. The time that the reader was busy before does
// not count as the peer's silence.
func (c *Conn) Read(b []byte) (int, error) {
	now := c.srv.coarse.Load()
	c.deaf.Add(now - c.lastRead.Load())
	c.lastRead.Store(now)
	c.reading.Store(true)
	n, err := c.nc.Read(b)
	c.reading.Store(false)
	if n > 0 {
		c.lastRead.Store(c.srv.coarse.Load())
	}
	return n, err
}

// serve runs the connection up to the peer's open, and then on a goroutine of its own: a TLS handshake leaves a deep
// stack behind, which an idle connection would keep.
func (c *Conn) serve() {
	err := c.guard(c.login)
	if err != nil {
		c.finish(err)
		return
	}
	go c.run() // forget ends it: Shutdown waits for that
}

func (c *Conn) run() { c.finish(c.guard(c.readFrames)) }

// guard turns a panic, which is a bug of ours or of the Peer, into the end of this one connection.
func (c *Conn) guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			c.srv.o.Logger.Error("panic", "connection", c.id, "panic", p, "stack", string(debug.Stack()))
			err = &amqpwire.Error{Condition: amqpwire.InternalError, Description: "internal error"}
		}
	}()
	return f()
}

// errRefused ends a connection whose peer was told already: by a header, an outcome or a close.
var errRefused = errors.New("amqpengine: refused")

// finish ends the connection. err is an *amqpwire.Error when the peer must still be told, nil after its close.
func (c *Conn) finish(err error) {
	var told *amqpwire.Error
	switch {
	case errors.As(err, &told) && told != nil:
		c.refuse(told)
		c.linger()
	case errors.Is(err, errRefused):
		c.linger()
	}
	c.mu.Lock()
	if err == nil || errors.Is(err, errRefused) || told != nil {
		c.awaitFlushLocked() // the last frames leave
	}
	good := c.reason == nil && err == nil
	if err == nil {
		err = ErrClosed
	}
	c.stage = stageEnded
	c.endedLocked(err)
	reason, wasCut := c.reason, c.wasCut
	c.mu.Unlock()
	c.closeSocket(wasCut)
	c.mu.Lock()
	c.awaitFlushLocked() // its write has failed
	c.dropOutputLocked()
	links := c.allLinksLocked()
	c.mu.Unlock()
	for _, l := range links {
		l.finish()
	}
	c.runs.Wait()
	c.in.buf.Close()
	c.tellClosed(reason, good)
	c.srv.forget(c)
}

// tellClosed calls Peer.Closed.
func (c *Conn) tellClosed(reason error, good bool) {
	c.srv.o.Logger.Debug("connection ended", "connection", c.id, "reason", reason)
	if c.peer == nil {
		return
	}
	if good || errors.Is(reason, ErrClosed) {
		reason = nil
	}
	c.guard(func() error { c.peer.Closed(reason); return nil })
}

// closeSocket closes the socket. The close of a TLS connection or a WebSocket tells the peer, and may wait for it: not so after a
// cut.
func (c *Conn) closeSocket(wasCut bool) {
	if ws, ok := c.nc.(interface{ Cut() }); ok && wasCut {
		ws.Cut()
		return
	}
	if tc, ok := c.nc.(*tls.Conn); ok && wasCut {
		tc.NetConn().Close()
		return
	}
	c.nc.Close()
}

// refuse closes with err, answering the peer's open first if that has not happened.
func (c *Conn) refuse(err *amqpwire.Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stage == stageLogin {
		if !c.in.amqp {
			c.cutLocked(err) // no open can be sent before the headers were exchanged
			return
		}
		c.sendOpenLocked()
	}
	c.opening, c.refused = false, false
	c.closeLocked(err)
}

// linger lets the peer read what it was told: it discards what still comes until the peer closes. Closing at once would
// reset the connection, which can take the last frames with it.
func (c *Conn) linger() {
	c.mu.Lock()
	if c.stage < stageClosing {
		c.stage = stageClosing
	}
	c.startFlushLocked()
	c.awaitFlushLocked()
	ended := c.stage == stageEnded
	c.mu.Unlock()
	if ended {
		return
	}
	c.closingSince.Store(c.srv.coarse.Load())
	c.guard(func() error { _, err := io.Copy(io.Discard, c.nc); return err })
}
