// Package sysprops is the table of system properties: which field of hubward.Message each one is, and under which names it
// travels, place by place and way by way. Codecs take their names from here, those that they read by Known and those that
// they write by Written:
//
//	var bagNames = sysprops.Known(sysprops.MQTT, sysprops.FromDevice)
//
//	switch p := bagNames.Find("$.mid"); p {
//	case sysprops.None: // a property of the application, perhaps
//	case sysprops.Expiry: // a time, which clients write in several ways
//	default: *p.Text(m) = value
//	}
//
// What the hub stamps on a message, such as who sent it and when, is no property that its sender sets, and not in the table:
// hubward.IsStamped knows those names.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-messages-construct; of the names, see table.
package sysprops

import (
	"github.com/hubward/hubward"
)

// Property is a system property. The zero Property is none.
type Property uint8

// The system properties: each is the field of hubward.Message of its name.
const (
	None Property = iota
	OutputName
	MessageID
	CorrelationID
	UserID
	To
	ContentType
	ContentEncoding
	Expiry
	CreationTime
	InterfaceID
	Subject
	Schema
	TraceID
	TraceContext
	Ack
)

// Text returns the field of m that holds p; nil for None, and for Expiry, which is a time.
func (p Property) Text(m *hubward.Message) *string {
	switch p {
	case OutputName:
		return &m.OutputName
	case MessageID:
		return &m.MessageID
	case CorrelationID:
		return &m.CorrelationID
	case UserID:
		return &m.UserID
	case To:
		return &m.To
	case ContentType:
		return &m.ContentType
	case ContentEncoding:
		return &m.ContentEncoding
	case CreationTime:
		return &m.CreationTime
	case InterfaceID:
		return &m.InterfaceID
	case Subject:
		return &m.Subject
	case Schema:
		return &m.Schema
	case TraceID:
		return &m.TraceID
	case TraceContext:
		return &m.TraceContext
	case Ack:
		return (*string)(&m.Ack)
	}
	return nil
}

// Value returns p of m as MQTT and HTTPS write it, "" when it is not set.
func (p Property) Value(m *hubward.Message) string {
	if field := p.Text(m); field != nil {
		return *field
	}
	if p == None || m.Expiry.IsZero() {
		return ""
	}
	return hubward.Time{Time: m.Expiry}.String()
}

// Place says where a name stands.
type Place uint8

// The places.
const (
	MQTT            Place = iota // in the property bag of a topic, once it is decoded
	HTTPS                        // a header line, or a key of a batch; compared without case
	AMQPProperties               // the section of that name: fields, told apart by their position
	AMQPAnnotation               // a message annotation
	AMQPApplication              // an application property
)

// Way is the way that a message is on; a set of bits.
type Way uint8

// The ways.
const (
	FromDevice  Way = 1 << iota // telemetry, to the hub
	ToReader                    // telemetry, from the hub's log
	FromService                 // a message to a device, to the hub
	ToDevice                    // a message to a device, from the hub

	telemetry = FromDevice | ToReader
	c2d       = FromService | ToDevice
	toHub     = FromDevice | FromService
	all       = telemetry | c2d
)

// Name is one name of a system property.
type Name struct {
	Property Property
	Text     string
}

// Written returns the names under which a message's system properties are written in one place and on one way, in order: one
// for each property that is written there.
func Written(place Place, way Way) []Name {
	var names []Name
	var written [Ack + 1]bool
	for _, r := range table[place] {
		if r.ways&way != 0 && !written[r.property] {
			names = append(names, Name{r.property, r.name})
			written[r.property] = true
		}
	}
	return names
}

// Section is the AMQP section of properties by position, up to the last that is a system property. The Property of other
// fields is None.
type Section []Name

// SectionOf returns the section as it is on any of ways.
func SectionOf(ways Way) Section {
	var s Section
	end := 0
	for i, r := range table[AMQPProperties] {
		s = append(s, Name{Text: r.name})
		if r.ways&ways != 0 {
			s[i].Property = r.property
			end = i + 1
		}
	}
	return s[:end]
}

// At returns the field at a position, also behind the end.
func (s Section) At(i int) Name {
	if i < len(s) {
		return s[i]
	}
	return Name{}
}
