package mqttfront

import (
	"io"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/front/readbuf"
	"github.com/hubward/hubward/internal/mqttwire"
)

// Limits on the remaining length of a packet.
const (
	// maxPacket holds the largest message with the longest topic.
	// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-quotas-throttling; MQTT 3.1.1 section 1.5.3.
	maxPacket = hubward.MaxMessageSize + 2 + 65535 + 2
	// maxConnect holds the longest will and a long user name and token: all that a stranger can make the server keep.
	maxConnect = 80 << 10
)

// errTooLarge closes a connection whose client announced too large a packet.
var errTooLarge = hubward.Errorf(hubward.CodeMessageTooLarge, "the packet is larger than a message of %d bytes can be", hubward.MaxMessageSize)

// packetReader cuts a byte stream into packets.
type packetReader struct {
	buf readbuf.Reader
	// before is called before each read, with the bytes that are there of a packet that has begun; nil: nobody is.
	before func(begun int)
}

func (p *packetReader) init(src io.Reader) { p.buf.Init(src) }

// next returns the next packet of at most limit bytes of remaining length. The body is valid, and the caller's to
// change, until the next call.
//
// Errors: *mqttwire.Error for a malformed header, errTooLarge, or the source's; io.EOF only between packets.
func (p *packetReader) next(limit int) (mqttwire.Header, []byte, error) {
	for {
		unread := p.buf.Unread()
		h, n, err := mqttwire.ParseHeader(unread)
		if err != nil {
			return h, nil, err
		}
		if n > 0 {
			if h.Length > limit {
				return h, nil, errTooLarge
			}
			if end := n + h.Length; end <= len(unread) {
				return h, p.buf.Take(end)[n:], nil
			}
		}
		if p.before != nil {
			p.before(len(unread))
		}
		if err := p.buf.Fill(); err != nil {
			return h, nil, err
		}
	}
}

// close gives a borrowed buffer back. The reader is not used again.
func (p *packetReader) close() { p.buf.Close() }
