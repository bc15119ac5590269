package amqpwire

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
func ParseFrameHeader(b []byte) (h FrameHeader, ok bool, err error) { panic("unwritten") }

// BeginFrame appends a frame's head; EndFrame, with the position where it began, writes the size.
func BeginFrame(dst []byte, frameType byte, channel uint16) []byte { panic("unwritten") }

// EndFrame completes the frame that began at start.
func EndFrame(dst []byte, start int) []byte { panic("unwritten") }

// AppendEmptyFrame appends a heartbeat.
func AppendEmptyFrame(dst []byte) []byte { panic("unwritten") }

// Descriptor reads the descriptor of a described value: its code, also where a symbol such as "amqp:open:list" stands
// for it. Unknown ones are ErrDescriptor.
func (r *Reader) Descriptor() byte { panic("unwritten") }

// AppendTrace appends one line, without a newline, that shows a frame to a person: direction, channel, performative,
// its fields that are set, and the size of a payload. It shows no initial response of a log-in and no payload: they hold
// secrets and other people's data. It never fails: what cannot be decoded is shown as hex, up to 64 bytes.
//
//	<- 0 attach name="r1" handle=0 role=receiver source={address="hub/ConsumerGroups/$Default/Partitions/0" …}
func AppendTrace(dst []byte, incoming bool, frame []byte) []byte { panic("unwritten") }
