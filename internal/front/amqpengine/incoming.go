package amqpengine

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/hubward/hubward/internal/amqpwire"
)

// incoming is what the reader decodes into: reused, so that the frequent frames cost no allocation.
type incoming struct {
	reader      amqpwire.Reader
	transfer    amqpwire.Transfer
	flow        amqpwire.Flow
	disposition amqpwire.Disposition
}

// readFrames handles frames until the peer's close, which returns nil, or the end.
func (c *Conn) readFrames() error {
	for {
		h, frame, err := c.in.next(c.srv.o.MaxFrameSize)
		if err != nil {
			return err
		}
		if t := c.tracer.Load(); t != nil {
			t.incoming(frame)
		}
		if h.Type != amqpwire.FrameAMQP {
			return framingError(fmt.Sprintf("a frame of type %d", h.Type))
		}
		if len(frame) == h.Body {
			continue // a heartbeat
		}
		c.incoming.reader = *amqpwire.NewReader(frame[h.Body:])
		r := &c.incoming.reader
		code := r.Descriptor()
		if r.Err() != nil {
			return decodeError("the frame's body", r.Err())
		}
		if err := c.handle(h.Channel, code, r); err != nil {
			if errors.Is(err, errPeerClosed) {
				return nil
			}
			return err
		}
	}
}

// errPeerClosed is the peer's close.
var errPeerClosed = errors.New("amqpengine: the peer closed the connection")

// handle handles one frame. Its error ends the connection.
func (c *Conn) handle(channel uint16, code byte, r *amqpwire.Reader) error {
	if code == amqpwire.CodeClose {
		return c.onClose(r)
	}
	c.mu.Lock()
	stage := c.stage
	c.corked = true // until rest
	c.mu.Unlock()
	switch {
	case stage >= stageClosing:
		return nil // we have said all, and wait for the peer's close
	case stage == stageLogin && code == amqpwire.CodeOpen:
		return c.onOpen(r)
	case stage == stageLogin || code == amqpwire.CodeOpen:
		return &amqpwire.Error{Condition: amqpwire.IllegalState, Description: "open must be the first frame, and come once"}
	case channel > c.srv.o.ChannelMax:
		return framingError(fmt.Sprintf("channel %d is above the maximum of %d", channel, c.srv.o.ChannelMax))
	}
	switch code {
	case amqpwire.CodeBegin:
		return c.onBegin(channel, r)
	case amqpwire.CodeAttach:
		return c.onAttach(channel, r)
	case amqpwire.CodeFlow:
		return c.onFlow(channel, r)
	case amqpwire.CodeTransfer:
		return c.onTransfer(channel, r)
	case amqpwire.CodeDisposition:
		return c.onDisposition(channel, r)
	case amqpwire.CodeDetach:
		return c.onDetach(channel, r)
	case amqpwire.CodeEnd:
		return c.onEnd(channel, r)
	}
	return decodeError("the frame's body", fmt.Errorf("descriptor 0x%02x is no performative", code))
}

// onOpen answers the peer's open, and closes if the Peer refuses it.
func (c *Conn) onOpen(r *amqpwire.Reader) error {
	o := &amqpwire.Open{}
	if err := o.Decode(r); err != nil {
		return decodeError("open", err)
	}
	if o.MaxFrameSize < amqpwire.MinMaxFrameSize {
		return &amqpwire.Error{Condition: amqpwire.InvalidField, Description: "open: max-frame-size is below 512"}
	}
	c.mu.Lock()
	c.container = o.ContainerID
	c.maxFrame = o.MaxFrameSize
	c.opening = true
	c.mu.Unlock()
	refusal := c.peer.Open(o)

	c.mu.Lock()
	defer c.mu.Unlock()
	c.opening = false
	if c.stage == stageEnded {
		return nil
	}
	c.sendOpenLocked()
	c.heartbeat.Store(min(o.IdleTimeout/2, math.MaxInt32*time.Millisecond).Milliseconds())
	switch {
	case refusal != nil:
		c.closeLocked(refusal)
	case c.refused:
		c.refused = false
		c.closeLocked(c.refusal)
	}
	return nil
}

// sendOpenLocked sends our open. The frame size is in it always: pyamqp and uamqp fail without one.
func (c *Conn) sendOpenLocked() {
	o := &c.srv.o
	c.append(0, &amqpwire.Open{
		ContainerID: o.ContainerID, MaxFrameSize: o.MaxFrameSize, ChannelMax: o.ChannelMax, IdleTimeout: o.IdleTimeout,
	})
	c.stage = stageOpen
	c.opened.Store(true)
	c.startFlushLocked()
}

// onClose answers the peer's close, unless it is the answer to ours.
func (c *Conn) onClose(r *amqpwire.Reader) error {
	closing := &amqpwire.Close{}
	if err := closing.Decode(r); err != nil {
		return decodeError("close", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stage == stageLogin {
		return &amqpwire.Error{Condition: amqpwire.IllegalState, Description: "open must be the first frame"}
	}
	if c.stage == stageOpen {
		c.append(0, &amqpwire.Close{})
		c.stage = stageClosing
		if closing.Error != nil {
			c.endedLocked(closing.Error)
		}
	}
	return errPeerClosed
}

// fitting returns err with its description cut to what surely fits into the smallest frame that a peer may ask for.
func (c *Conn) fitting(err *amqpwire.Error) *amqpwire.Error {
	const most = 128
	if err == nil || c.maxFrame > 4096 && len(err.Description) <= 1024 || len(err.Description) <= most {
		return err
	}
	short := *err
	short.Description = shorten(err.Description, most)
	if c.maxFrame > 4096 {
		short.Description = shorten(err.Description, 1024)
	}
	return &short
}

// shorten cuts s to at most n bytes, between characters.
func shorten(s string, n int) string {
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n]
}
