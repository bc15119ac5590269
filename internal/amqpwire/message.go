package amqpwire

import (
	"bytes"
	"time"
)

// BatchFormat is the message-format of a delivery whose data sections each hold one encoded message.
//
// Source: Azure/azure-iot-sdk-c iothub_client/src/uamqp_messaging.c.
const BatchFormat = 0x80013700

// Header is the header section: AMQP 1.0 part 3 §3.2.1. Zero fields are absent.
type Header struct {
	Durable       bool
	Priority      uint8         // zero is absent, which means 4
	TTL           time.Duration // whole milliseconds on the wire
	FirstAcquirer bool
	DeliveryCount uint32
}

// Properties is the properties section: AMQP 1.0 part 3 §3.2.4. Zero fields are absent.
// Times have milliseconds.
type Properties struct {
	MessageID          any // uint64, UUID, []byte or string; nil: absent
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

// Message is a message with all its sections. A body is data, a value or sequences. Keys of the two maps of annotations
// and of the footer are Symbols or uint64s, those of ApplicationProperties strings.
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

// Body returns the bytes of the data sections, joined; of one section without a copy. A value that is a string or binary
// counts as well. ok is false for any other body.
func (m *Message) Body() (body []byte, ok bool) {
	switch {
	case len(m.Data) == 1:
		return m.Data[0], true
	case len(m.Data) > 1:
		return bytes.Join(m.Data, nil), true
	case !m.HasValue:
		return nil, false
	}
	switch v := m.Value.(type) {
	case string:
		return []byte(v), true
	case []byte:
		return v, true
	}
	return nil, false
}
