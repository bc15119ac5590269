package amqpwire

import "time"

// Descriptors of frame bodies: AMQP 1.0 part 2 §2.7 and part 5 §5.3.
const (
	CodeOpen        = 0x10
	CodeBegin       = 0x11
	CodeAttach      = 0x12
	CodeFlow        = 0x13
	CodeTransfer    = 0x14
	CodeDisposition = 0x15
	CodeDetach      = 0x16
	CodeEnd         = 0x17
	CodeClose       = 0x18

	CodeSASLMechanisms = 0x40
	CodeSASLInit       = 0x41
	CodeSASLChallenge  = 0x42
	CodeSASLResponse   = 0x43
	CodeSASLOutcome    = 0x44
)

// Every performative has two methods. Append writes all of its fields, nulls included, as a list32 behind a small-ulong
// descriptor: pyamqp reads by position. Decode reads the list behind the descriptor, which Reader.Descriptor has read,
// with fields left out at its end; it replaces all of the receiver, and keeps no slice of the input except where said.

// Uint is a uint that may be absent.
type Uint struct {
	Value uint32
	Set   bool
}

// Some returns a Uint that is set.
func Some(v uint32) Uint { return Uint{Value: v, Set: true} }

// Role is the direction of a link's end: true for the receiver.
type Role bool

// The two roles.
const (
	RoleSender   Role = false
	RoleReceiver Role = true
)

// SenderSettleMode says which deliveries a sender settles itself.
type SenderSettleMode uint8

// The modes of a sender. SenderModeUnset is ours: the field was absent.
const (
	SenderUnsettled SenderSettleMode = 0
	SenderSettled   SenderSettleMode = 1
	SenderMixed     SenderSettleMode = 2
	SenderModeUnset SenderSettleMode = 255
)

// ReceiverSettleMode says whether the receiver settles at once or waits for the sender.
type ReceiverSettleMode uint8

// The modes of a receiver. ReceiverModeUnset is ours: the field was absent.
const (
	ReceiverFirst     ReceiverSettleMode = 0
	ReceiverSecond    ReceiverSettleMode = 1
	ReceiverModeUnset ReceiverSettleMode = 255
)

// Open is the first frame of each side.
type Open struct {
	ContainerID         string
	Hostname            string        // empty: absent
	MaxFrameSize        uint32        // absent: 4294967295
	ChannelMax          uint16        // absent: 65535
	IdleTimeout         time.Duration // in milliseconds on the wire; zero: absent
	OutgoingLocales     []Symbol
	IncomingLocales     []Symbol
	OfferedCapabilities []Symbol
	DesiredCapabilities []Symbol
	Properties          Map
}

// Begin opens a session.
type Begin struct {
	RemoteChannel       Uint
	NextOutgoingID      uint32
	IncomingWindow      uint32
	OutgoingWindow      uint32
	HandleMax           uint32 // absent: 4294967295
	OfferedCapabilities []Symbol
	DesiredCapabilities []Symbol
	Properties          Map
}

// Attach opens a link.
type Attach struct {
	Name                 string
	Handle               uint32
	Role                 Role
	SenderSettleMode     SenderSettleMode
	ReceiverSettleMode   ReceiverSettleMode
	Source               *Source
	Target               *Target
	Unsettled            Map
	IncompleteUnsettled  bool
	InitialDeliveryCount Uint
	MaxMessageSize       uint64 // zero: absent, no limit
	OfferedCapabilities  []Symbol
	DesiredCapabilities  []Symbol
	Properties           Map // nil is written as null, an empty one as an empty map
}

// Flow carries credit and windows.
type Flow struct {
	NextIncomingID Uint
	IncomingWindow uint32
	NextOutgoingID uint32
	OutgoingWindow uint32
	Handle         Uint
	DeliveryCount  Uint
	LinkCredit     Uint
	Available      Uint
	Drain          bool
	Echo           bool
	Properties     Map
}

// Transfer is one frame of a delivery. Its payload follows the performative in the frame.
type Transfer struct {
	Handle             uint32
	DeliveryID         Uint
	DeliveryTag        []byte // aliases the input; nil: absent
	MessageFormat      Uint
	Settled            bool
	More               bool
	ReceiverSettleMode ReceiverSettleMode
	State              DeliveryState
	Resume             bool
	Aborted            bool
	Batchable          bool
}

// Disposition tells the state of deliveries First to Last.
type Disposition struct {
	Role      Role
	First     uint32
	Last      Uint // absent: First
	Settled   bool
	State     DeliveryState // nil: absent
	Batchable bool
}

// Detach closes a link.
type Detach struct {
	Handle uint32
	Closed bool
	Error  *Error
}

// End closes a session.
type End struct{ Error *Error }

// Close closes a connection.
type Close struct{ Error *Error }
