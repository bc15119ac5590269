// Package readbuf is the read buffer of a connection: small while little arrives, borrowed from a pool and larger while
// a packet or frame needs it. It knows no protocol.
package readbuf

import (
	"io"
	"sync"
)

// Max is the largest buffer: no packet or frame may be longer.
const Max = 384 << 10

// small is the buffer that a connection always holds. Most telemetry fits into it.
const small = 512

// Larger buffers are borrowed while a packet needs one. A buffer grows by these steps as bytes arrive, not as a header
// announces them, so memory follows what was really sent.
var (
	sizes = [...]int{4 << 10, 16 << 10, 64 << 10, Max}
	pools [len(sizes)]sync.Pool
)

// busy is the size, as an index, up to which a buffer grows when a read fills it, so that much is read at once.
const busy = 2

// Reader buffers what it reads from a source. Init makes it ready. It is for one goroutine.
type Reader struct {
	src   io.Reader
	buf   []byte // unread bytes are buf[r:w]
	r, w  int
	pool  int  // which pool buf is from, -1: it is small
	more  bool // the last read filled buf: there is probably more to read at once
	small [small]byte
}

// Init makes b read from src.
func (b *Reader) Init(src io.Reader) {
	b.src = src
	b.pool = -1
	b.buf = b.small[:]
}

// Unread returns the bytes that were read from the source and not taken. They are valid until the next Fill.
func (b *Reader) Unread() []byte { return b.buf[b.r:b.w] }

// Take takes the next n bytes, of those that are unread. They are valid, and the caller's to change, until the next Fill.
func (b *Reader) Take(n int) []byte {
	out := b.buf[b.r : b.r+n]
	b.r += n
	return out
}

// Fill reads once, after making room: there must be less than Max unread. The source's error is returned when nothing
// came; io.EOF becomes io.ErrUnexpectedEOF while bytes are unread.
func (b *Reader) Fill() error {
	switch {
	case b.more && b.pool < busy:
		b.grow()
	case b.r == b.w:
		b.r, b.w = 0, 0
		if b.pool >= 0 && !b.more {
			b.release()
		}
	case b.w == len(b.buf) && b.r > 0:
		b.w = copy(b.buf, b.buf[b.r:b.w])
		b.r = 0
	case b.w == len(b.buf):
		b.grow()
	}
	n, err := b.src.Read(b.buf[b.w:])
	b.w += n
	b.more = b.w == len(b.buf)
	if n > 0 {
		return nil
	}
	if err == io.EOF && b.w > b.r {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// Borrowed reports whether a pooled buffer is held.
func (b *Reader) Borrowed() bool { return b.pool >= 0 }

// Close gives a borrowed buffer back. The reader is not used again.
func (b *Reader) Close() {
	b.r, b.w = 0, 0
	if b.pool >= 0 {
		b.release()
	}
}

// grow moves to the next larger buffer.
func (b *Reader) grow() {
	next := b.pool + 1
	var larger []byte
	if v, ok := pools[next].Get().(*[]byte); ok {
		larger = *v
	} else {
		larger = make([]byte, sizes[next])
	}
	b.w = copy(larger, b.buf[b.r:b.w])
	b.r = 0
	b.giveBack()
	b.buf, b.pool = larger, next
}

// release goes back to the small buffer. Nothing is unread.
func (b *Reader) release() {
	b.giveBack()
	b.buf, b.pool, b.r, b.w = b.small[:], -1, 0, 0
}

func (b *Reader) giveBack() {
	if b.pool >= 0 {
		buf := b.buf
		pools[b.pool].Put(&buf)
	}
}
