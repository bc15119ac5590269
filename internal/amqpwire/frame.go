package amqpwire

import "encoding/binary"

// Protocol headers: AMQP 1.0 part 2 §2.2.
const (
	HeaderAMQP = "AMQP\x00\x01\x00\x00"
	HeaderSASL = "AMQP\x03\x01\x00\x00"
	HeaderTLS  = "AMQP\x02\x01\x00\x00"
	HeaderSize = 8
)

// Frame types and sizes: AMQP 1.0 part 2 §2.3.
const (
	FrameAMQP       = 0
	FrameSASL       = 1
	FrameHeaderSize = 8
	MinMaxFrameSize = 512 // the least that a peer may set as its maximum
)

// FrameHeader is the head of a frame.
type FrameHeader struct {
	Size    uint32 // of the whole frame, header included
	Body    int    // where the body begins: 8, or more with an extended header
	Type    byte
	Channel uint16
}

// ParseFrameHeader reads the first eight bytes of b. ok is false when there are fewer. A size below 8, or a body that
// begins before byte 8 or behind the frame's end, is ErrFrame.
func ParseFrameHeader(b []byte) (h FrameHeader, ok bool, err error) {
	if len(b) < FrameHeaderSize {
		return FrameHeader{}, false, nil
	}
	h = FrameHeader{
		Size: binary.BigEndian.Uint32(b), Body: 4 * int(b[4]), Type: b[5], Channel: binary.BigEndian.Uint16(b[6:]),
	}
	if h.Body < FrameHeaderSize || uint32(h.Body) > h.Size {
		return FrameHeader{}, false, ErrFrame
	}
	return h, true, nil
}

// BeginFrame appends a frame's head; EndFrame, with the position where it began, writes the size.
func BeginFrame(dst []byte, frameType byte, channel uint16) []byte {
	return append(dst, 0, 0, 0, 0, FrameHeaderSize/4, frameType, byte(channel>>8), byte(channel))
}

// EndFrame completes the frame that began at start.
func EndFrame(dst []byte, start int) []byte {
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start))
	return dst
}

// AppendEmptyFrame appends a heartbeat.
func AppendEmptyFrame(dst []byte) []byte {
	return append(dst, 0, 0, 0, FrameHeaderSize, FrameHeaderSize/4, FrameAMQP, 0, 0)
}
