package mqttfront

import (
	"io"
	"sync"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/mqttwire"
)

// Limits on the remaining length of a packet.
const (
	// maxPacket holds a message of 256 KiB with the longest topic. Source: spec/device.md 3.4.
	maxPacket = hubward.MaxMessageSize + 2 + 65535 + 2
	// maxConnect holds the longest will and a long user name and token: all that a stranger can make the server keep.
	maxConnect = 80 << 10
)

// errTooLarge closes a connection whose client announced too large a packet.
var errTooLarge = hubward.Errorf(hubward.CodeMessageTooLarge, "the packet is larger than a message of %d bytes can be", hubward.MaxMessageSize)

// smallBuffer is the buffer that a connection always holds. Most telemetry fits into it.
const smallBuffer = 512

// Larger buffers are borrowed while a packet needs one. A buffer grows by these steps as bytes arrive, not as a header
// announces them, so memory follows what was really sent.
var (
	bufferSizes = [...]int{4 << 10, 16 << 10, 64 << 10, maxPacket + 5}
	bufferPools [len(bufferSizes)]sync.Pool
)

// packetReader cuts a byte stream into packets.
type packetReader struct {
	src   io.Reader
	buf   []byte // unread bytes are buf[r:w]
	r, w  int
	pool  int  // which pool buf is from, -1: it is small
	more  bool // the last read filled buf: there is probably more to read at once
	small [smallBuffer]byte
}

func (p *packetReader) init(src io.Reader) {
	p.src = src
	p.pool = -1
	p.buf = p.small[:]
}

// next returns the next packet of at most limit bytes of remaining length. The body is valid, and the caller's to
// change, until the next call.
//
// Errors: *mqttwire.Error for a malformed header, errTooLarge, or the source's; io.EOF only between packets.
func (p *packetReader) next(limit int) (mqttwire.Header, []byte, error) {
	for {
		h, n, err := mqttwire.ParseHeader(p.buf[p.r:p.w])
		if err != nil {
			return h, nil, err
		}
		if n > 0 {
			if h.Length > limit {
				return h, nil, errTooLarge
			}
			if end := p.r + n + h.Length; end <= p.w {
				body := p.buf[p.r+n : end]
				p.r = end
				return h, body, nil
			}
		}
		if err := p.fill(); err != nil {
			return h, nil, err
		}
	}
}

// fill reads once, after making room.
func (p *packetReader) fill() error {
	switch {
	case p.r == p.w:
		p.r, p.w = 0, 0
		if p.pool >= 0 && !p.more {
			p.release()
		} else if p.pool < 0 && p.more {
			p.grow()
		}
	case p.w == len(p.buf) && p.r > 0:
		p.w = copy(p.buf, p.buf[p.r:p.w])
		p.r = 0
	case p.w == len(p.buf):
		p.grow()
	}
	n, err := p.src.Read(p.buf[p.w:])
	p.w += n
	p.more = p.w == len(p.buf)
	if n > 0 {
		return nil
	}
	if err == io.EOF && p.w > p.r {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// grow moves to the next larger buffer. The largest holds any packet within the limit, so it is never outgrown.
func (p *packetReader) grow() {
	next := p.pool + 1
	var b []byte
	if v, ok := bufferPools[next].Get().(*[]byte); ok {
		b = *v
	} else {
		b = make([]byte, bufferSizes[next])
	}
	p.w = copy(b, p.buf[p.r:p.w])
	p.r = 0
	p.giveBack()
	p.buf, p.pool = b, next
}

// release goes back to the small buffer. There are no unread bytes, or few enough.
func (p *packetReader) release() {
	w := copy(p.small[:], p.buf[p.r:p.w])
	p.giveBack()
	p.buf, p.pool, p.r, p.w = p.small[:], -1, 0, w
}

func (p *packetReader) giveBack() {
	if p.pool >= 0 {
		b := p.buf
		bufferPools[p.pool].Put(&b)
	}
}

// close gives a borrowed buffer back. The reader is not used again.
func (p *packetReader) close() {
	p.r, p.w = 0, 0
	if p.pool >= 0 {
		p.release()
	}
}
