package amqpengine

import (
	"fmt"
	"io"

	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/readbuf"
)

// maxLoginFrame bounds a frame of the log-in: room for the longest token, and all that a stranger can make the server
// keep.
const maxLoginFrame = 8 << 10

// frameReader cuts a byte stream into protocol headers and frames.
type frameReader struct {
	buf    readbuf.Reader
	amqp   bool            // the headers of AMQP were exchanged
	before func(begun int) // called before each read that may block, with the bytes that are there of a frame that has begun
}

func (f *frameReader) init(src io.Reader) { f.buf.Init(src) }

// header returns the next eight bytes. They are valid until the next call.
func (f *frameReader) header() ([]byte, error) {
	for len(f.buf.Unread()) < amqpwire.HeaderSize {
		if err := f.buf.Fill(); err != nil {
			return nil, err
		}
	}
	return f.buf.Take(amqpwire.HeaderSize), nil
}

// next returns the next frame of at most limit bytes. It is valid, and the caller's to change, until the next call.
//
// Errors: *amqpwire.Error for a malformed or too large frame, or the source's; io.EOF only between frames.
func (f *frameReader) next(limit uint32) (h amqpwire.FrameHeader, frame []byte, err error) {
	for {
		unread := f.buf.Unread()
		h, ok, err := amqpwire.ParseFrameHeader(unread)
		if err != nil {
			return h, nil, framingError(err.Error())
		}
		if ok && h.Size > limit {
			return h, nil, framingError(fmt.Sprintf("a frame of %d bytes is larger than the maximum of %d", h.Size, limit))
		}
		if ok && int(h.Size) <= len(unread) {
			return h, f.buf.Take(int(h.Size)), nil
		}
		if f.before != nil {
			f.before(len(unread))
		}
		if err := f.buf.Fill(); err != nil {
			return h, nil, err
		}
	}
}

func framingError(text string) *amqpwire.Error {
	return &amqpwire.Error{Condition: amqpwire.FramingError, Description: text}
}

func decodeError(what string, err error) *amqpwire.Error {
	return &amqpwire.Error{Condition: amqpwire.DecodeError, Description: what + ": " + err.Error()}
}
