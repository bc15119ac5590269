package amqpengine

import (
	"sync"

	"github.com/hubward/hubward/internal/amqpwire"
)

// Marks of the outbox.
const (
	// senderMark is how much may wait for the flush before senders wait.
	senderMark = 128 << 10
	// answerMark is how much may wait before the reader stops reading. As much again may be in the flush's hands.
	answerMark = 1 << 20
	// maxWrite is the most that one write holds: over WebSocket it becomes a message, and Java's service client reads those
	// into 65 KiB.
	maxWrite = 64 << 10
	// lazyMark is how many bytes of answers start a flush while the reader has more frames to handle.
	lazyMark = 16 << 10
	// firstBuffer is the capacity of a new buffer, maxKeep the largest that is kept for later use.
	firstBuffer = 2 << 10
	maxKeep     = 512 << 10
)

// outbox is what a connection has to say. It holds whole frames, so that other frames may follow at any time. The
// connection's mutex guards it.
type outbox struct {
	out      *buffer // nil: nothing waits
	flushing bool    // a flush is at work or about to be
	corked   bool    // the reader has more frames at hand: its answers wait for the last of them
	waiting  []*Sender
	pending  dispositions // not in out yet
	scratch  struct {     // reused, so that frames cost no allocation
		flow        amqpwire.Flow
		disposition amqpwire.Disposition
	}
}

// buffer is a pooled slice.
type buffer struct{ b []byte }

var buffers = sync.Pool{New: func() any { return &buffer{make([]byte, 0, firstBuffer)} }}

func (b *buffer) free() {
	if cap(b.b) <= maxKeep {
		b.b = b.b[:0]
		buffers.Put(b)
	}
}

// bufferLocked returns the buffer that the next frame is appended to, behind the dispositions that were given before.
func (c *Conn) bufferLocked() *buffer {
	if c.pending.on != nil {
		c.writePendingLocked()
	}
	if c.out == nil {
		c.out = buffers.Get().(*buffer)
	}
	return c.out
}

// queuedLocked is how many bytes wait for the flush.
func (c *Conn) queuedLocked() int {
	if c.out == nil {
		return 0
	}
	return len(c.out.b)
}

// performative is the body of a frame.
type performative interface{ Append(dst []byte) []byte }

// append queues a frame. Behind a close it is dropped.
func (c *Conn) append(channel uint16, p performative) {
	if c.quietLocked() {
		return
	}
	b := c.bufferLocked()
	start := len(b.b)
	b.b = amqpwire.BeginFrame(b.b, amqpwire.FrameAMQP, channel)
	b.b = p.Append(b.b)
	b.b = amqpwire.EndFrame(b.b, start)
}

func (c *Conn) appendEmptyLocked() {
	b := c.bufferLocked()
	b.b = amqpwire.AppendEmptyFrame(b.b)
}

// say queues what is no frame of AMQP, a header or a frame of the log-in, and starts the flush.
func (c *Conn) say(f func(dst []byte) []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.quietLocked() {
		return
	}
	b := c.bufferLocked()
	b.b = f(b.b)
	c.startFlushLocked()
}

// startFlushLocked starts a flush if there is something to write and none is under way.
func (c *Conn) startFlushLocked() {
	if c.flushing || c.stage == stageEnded || (c.out == nil && c.pending.on == nil) {
		return
	}
	c.flushing = true
	go c.flush() // finish waits for it
}

// answerLocked starts a flush, a little later if the reader has more frames at hand.
func (c *Conn) answerLocked() {
	if !c.corked || c.queuedLocked() >= lazyMark {
		c.startFlushLocked()
	}
}

// uncork lets the answers of the reader leave as they come, while it is busy with something else.
func (c *Conn) uncork() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.corked = false
	c.startFlushLocked()
}

// flush writes what is queued until nothing is.
func (c *Conn) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.takeLocked() {
		b := c.out
		c.out = nil
		c.releaseLocked()
		c.mu.Unlock()
		err := c.write(b.b)
		b.free()
		c.mu.Lock()
		if err != nil {
			c.cutLocked(err)
		}
	}
	c.flushing = false
	if c.hangingUp && c.stage == stageClosing {
		c.cutLocked(c.reason)
	}
	if c.stage == stageClosing && c.closingSince.Load() == 0 {
		c.closingSince.Store(c.srv.coarse.Load())
	}
	c.changed.Broadcast()
}

// takeLocked reports whether there is something to write.
func (c *Conn) takeLocked() bool {
	if c.stage == stageEnded {
		return false
	}
	if c.pending.on != nil && (c.out != nil || !c.corked) {
		c.bufferLocked() // alone, they wait for more while the reader has frames at hand
	}
	return c.out != nil
}

// releaseLocked tells those who wait for room in the outbox that there is some.
func (c *Conn) releaseLocked() {
	waiting := c.waiting
	c.waiting = nil
	for i, s := range waiting {
		if c.queuedLocked() >= senderMark {
			c.waiting = append(waiting[i:], c.waiting...) // before those that wait again
			break
		}
		s.inOutbox = false
		s.resumeLocked()
	}
	c.changed.Broadcast()
}

// write writes whole frames, in pieces that are not too large.
func (c *Conn) write(b []byte) error {
	if t := c.tracer.Load(); t != nil {
		t.outgoing(b)
	}
	for len(b) > 0 {
		piece := b[:min(len(b), maxWrite)]
		now := c.srv.coarse.Load()
		c.writingSince.Store(now)
		_, err := c.nc.Write(piece)
		c.writingSince.Store(0)
		if err != nil {
			return err
		}
		c.lastWrite.Store(now)
		b = b[len(piece):]
	}
	return nil
}

// awaitFlushLocked waits until everything is written, or cannot be.
func (c *Conn) awaitFlushLocked() {
	c.corked = false
	c.startFlushLocked()
	for c.flushing {
		c.changed.Wait()
	}
}

func (c *Conn) dropOutputLocked() {
	if c.out != nil {
		c.out.free()
	}
	c.out, c.waiting, c.pending = nil, nil, dispositions{}
}

// rest is called by the reader before it waits for the peer: it lets the answers leave, and waits until there is room
// for more. So many bytes are there of a frame that has begun.
func (c *Conn) rest(begun int) {
	defer func() { c.frame.Await(begun, c.srv.coarse.Load()) }()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.corked = false
	c.startFlushLocked()
	for c.queuedLocked() >= answerMark && c.stage != stageEnded {
		c.heldSince.Store(c.srv.coarse.Load())
		c.changed.Wait()
	}
	c.heldSince.Store(0)
}
