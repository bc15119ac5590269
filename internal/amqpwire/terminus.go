package amqpwire

// Source is where a link's messages come from: AMQP 1.0 part 3 §3.5.3. It is written with all eleven fields.
type Source struct {
	Address               string // empty: absent; dynamic addresses are of no use here
	Durable               uint32
	ExpiryPolicy          Symbol // empty: absent
	Timeout               uint32
	Dynamic               bool
	DynamicNodeProperties Map
	DistributionMode      Symbol
	Filter                Map
	DefaultOutcome        DeliveryState
	Outcomes              []Symbol
	Capabilities          []Symbol
}

// Target is where a link's messages go: AMQP 1.0 part 3 §3.5.4. It is written with all seven fields.
type Target struct {
	Address               string
	Durable               uint32
	ExpiryPolicy          Symbol
	Timeout               uint32
	Dynamic               bool
	DynamicNodeProperties Map
	Capabilities          []Symbol
	Coordinator           bool // the target is a transaction coordinator (part 4 §4.5.1); the other fields are zero. Never written
}

// DeliveryState is *Accepted, *Rejected, *Released, *Modified, *Received or *UnknownState: AMQP 1.0 part 3 §3.4.
type DeliveryState interface {
	Append(dst []byte) []byte
	deliveryState()
}

// The delivery states.
type (
	Accepted struct{}
	Rejected struct{ Error *Error }
	Released struct{}
	Modified struct {
		DeliveryFailed    bool
		UndeliverableHere bool
		Annotations       Map
	}
	Received struct {
		SectionNumber uint32
		SectionOffset uint64
	}
	// UnknownState is a state of an extension, e.g. of transactions. It is read and never written.
	UnknownState struct{ Descriptor any }
)

func (*Accepted) deliveryState()     {}
func (*Rejected) deliveryState()     {}
func (*Released) deliveryState()     {}
func (*Modified) deliveryState()     {}
func (*Received) deliveryState()     {}
func (*UnknownState) deliveryState() {}

func (s *Accepted) Append(dst []byte) []byte     { panic("unwritten") }
func (s *Rejected) Append(dst []byte) []byte     { panic("unwritten") }
func (s *Released) Append(dst []byte) []byte     { panic("unwritten") }
func (s *Modified) Append(dst []byte) []byte     { panic("unwritten") }
func (s *Received) Append(dst []byte) []byte     { panic("unwritten") }
func (s *UnknownState) Append(dst []byte) []byte { panic("unwritten") }

// Append appends the source with all fields; a nil one as null.
func (s *Source) Append(dst []byte) []byte { panic("unwritten") }

// Append appends the target with all fields; a nil one as null.
func (t *Target) Append(dst []byte) []byte { panic("unwritten") }
