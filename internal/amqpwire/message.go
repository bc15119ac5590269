package amqpwire

import "time"

// BatchFormat is the message-format of a delivery whose data sections each hold one encoded message.
//
// Source: spec/amqp.md 5.3.
const BatchFormat = 0x80013700

// Header is the header section: AMQP 1.0 part 3 §3.2.1. Zero fields are absent.
type Header struct {
	Durable       bool
	Priority      uint8 // absent: 4
	TTL           time.Duration
	FirstAcquirer bool
	DeliveryCount uint32
}

// Properties is the properties section: AMQP 1.0 part 3 §3.2.4. Zero fields are absent.
type Properties struct {
	MessageID          any // uint64, UUID, []byte or string
	UserID             []byte
	To                 string
	Subject            string
	ReplyTo            string
	CorrelationID      any // as MessageID
	ContentType        string
	ContentEncoding    string
	AbsoluteExpiryTime time.Time
	CreationTime       time.Time
	GroupID            string
	GroupSequence      Uint
	ReplyToGroupID     string
}

// Message is a message with all its sections. A body is data, a value or sequences.
type Message struct {
	Header                *Header
	DeliveryAnnotations   Map
	Annotations           Map
	Properties            *Properties
	ApplicationProperties Map
	Data                  [][]byte // alias the input
	Value                 any
	HasValue              bool // there is an amqp-value section, be it null
	Sequences             []List
	Footer                Map
}

// DecodeMessage reads the sections of b. The maximum is 1,024 data sections and sequences together; more are ErrCount.
// Sections that are repeated or out of order are ErrSection.
func DecodeMessage(b []byte) (*Message, error) { panic("unwritten") }

// Append appends the sections that are set. A value of a Go type that AMQP lacks is an error.
func (m *Message) Append(dst []byte) ([]byte, error) { panic("unwritten") }

// Body returns the bytes of the data sections, joined; of one section without a copy. A value that is a string or binary
// counts as well. ok is false for any other body.
func (m *Message) Body() (body []byte, ok bool) { panic("unwritten") }
