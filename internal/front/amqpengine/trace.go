package amqpengine

import (
	"encoding/binary"
	"io"

	"github.com/hubward/hubward/internal/amqpwire"
)

// tracer writes a line for each frame.
type tracer struct{ w io.Writer }

// Trace has the connection's frames written to w, a line each, from now on; nil ends that. Lines are written by two
// goroutines, so w must be safe for concurrent use. See amqpwire.AppendTrace for what they show; a protocol header is
// shown as
//
//	<- header AMQP 3 1.0.0
func (c *Conn) Trace(w io.Writer) {
	if w == nil {
		c.tracer.Store(nil)
		return
	}
	c.tracer.Store(&tracer{w})
}

// incoming writes one frame or header that came.
func (t *tracer) incoming(b []byte) { t.line(true, b) }

// outgoing writes the frames and headers of b.
func (t *tracer) outgoing(b []byte) {
	for len(b) >= amqpwire.FrameHeaderSize {
		n := amqpwire.HeaderSize
		if !isHeader(b) {
			n = int(binary.BigEndian.Uint32(b))
		}
		t.line(false, b[:n])
		b = b[n:]
	}
}

func (t *tracer) line(incoming bool, b []byte) {
	var line []byte
	if isHeader(b) {
		line = append(line, "-> header AMQP "...)
		if incoming {
			copy(line, "<-")
		}
		line = append(line, '0'+b[4]%10, ' ', '0'+b[5]%10, '.', '0'+b[6]%10, '.', '0'+b[7]%10)
	} else {
		line = amqpwire.AppendTrace(line, incoming, b)
	}
	t.w.Write(append(line, '\n'))
}

// isHeader reports whether b begins with a protocol header. No frame does: it would be larger than any may be.
func isHeader(b []byte) bool { return len(b) >= amqpwire.HeaderSize && string(b[:4]) == "AMQP" }
