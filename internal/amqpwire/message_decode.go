package amqpwire

import "time"

// maxBodyParts is how many data sections and sequences a message may have.
const maxBodyParts = 1024

// sectionNames are what errors call the sections.
var sectionNames = [...]string{
	"header", "delivery-annotations", "message-annotations", "properties", "application-properties", "data",
	"amqp-sequence", "amqp-value", "footer",
}

// DecodeMessage reads the sections of b. The maximum is 1,024 data sections and sequences together; more are ErrCount.
// Sections may come in any order; those that come again are ErrSection, as Sections says. Errors name the section.
func DecodeMessage(b []byte) (*Message, error) {
	var r Reader
	r.Reset(b)
	m := &Message{}
	var seen Sections
	for r.More() {
		s := r.Section()
		if r.err != nil || s < SectionHeader || s > SectionFooter {
			r.fail(ErrSection)
			return nil, inField("message", "", r.err)
		}
		if !seen.Add(s) {
			r.fail(ErrSection)
		}
		if m.decode(&r, s); r.err != nil {
			return nil, inField("message", sectionNames[s-SectionHeader], r.err)
		}
	}
	return m, nil
}

// Sections notes which sections of a message have come. AMQP 1.0 part 3 §3.2 wants them in order; they are taken in any, as
// some clients write them. The zero value is that of none.
//
// Source: Azure/azure-iot-sdk-c iothub_client/src/uamqp_messaging.c, which puts annotations behind application properties.
type Sections uint16

const bodySections Sections = 1<<(SectionData-SectionHeader) | 1<<(SectionSequence-SectionHeader) | 1<<(SectionValue-SectionHeader)

// Add notes another section, and reports false for one that a message does not have or that cannot come again: each comes
// once, but for data and sequences, and a body is of one kind.
func (s *Sections) Add(next Section) bool {
	if next < SectionHeader || next > SectionFooter {
		return false
	}
	bit := Sections(1) << (next - SectionHeader)
	conflict := bit
	if bit&bodySections != 0 {
		conflict = bodySections
	}
	if next == SectionData || next == SectionSequence {
		conflict &^= bit
	}
	ok := *s&conflict == 0
	*s |= bit
	return ok
}

func (m *Message) decode(r *Reader, s Section) {
	switch s {
	case SectionHeader:
		m.Header = r.header()
	case SectionDeliveryAnnotations:
		m.DeliveryAnnotations = r.annotations()
	case SectionMessageAnnotations:
		m.Annotations = r.annotations()
	case SectionProperties:
		m.Properties = r.properties()
	case SectionApplicationProperties:
		m.ApplicationProperties = r.applicationProperties()
	case SectionFooter:
		m.Footer = r.annotations()
	default:
		m.decodeBody(r, s)
	}
}

func (m *Message) decodeBody(r *Reader, s Section) {
	if len(m.Data)+len(m.Sequences) == maxBodyParts {
		r.fail(ErrCount)
		return
	}
	switch s {
	case SectionData:
		m.Data = append(m.Data, r.Bytes())
	case SectionValue:
		m.Value, m.HasValue = r.Value(), true
	case SectionSequence:
		v := r.Value()
		list, ok := v.(List)
		if !ok {
			r.fail(ErrType)
			return
		}
		m.Sequences = append(m.Sequences, list)
	}
}

// annotations reads a map whose keys are symbols or ulongs. Some clients write strings; they are read as symbols.
func (r *Reader) annotations() Map {
	m := r.MapValue()
	for i := range m {
		switch key := m[i].Key.(type) {
		case Symbol, uint64:
		case string:
			m[i].Key = Symbol(key)
		default:
			r.fail(ErrType)
			return nil
		}
	}
	return m
}

// applicationProperties reads a map whose keys are strings, or symbols that are read as such.
func (r *Reader) applicationProperties() Map {
	m := r.MapValue()
	for i := range m {
		switch key := m[i].Key.(type) {
		case string:
		case Symbol:
			m[i].Key = string(key)
		default:
			r.fail(ErrType)
			return nil
		}
	}
	return m
}

func (r *Reader) header() *Header {
	if r.Null() {
		return nil
	}
	f := r.fields("header")
	h := &Header{Durable: f.bool("durable")}
	if f.has("priority") {
		h.Priority = r.Ubyte()
	}
	h.TTL = time.Duration(f.uint("ttl").Value) * time.Millisecond
	h.FirstAcquirer = f.bool("first-acquirer")
	h.DeliveryCount = f.uint("delivery-count").Value
	_ = f.end() // the reader keeps it
	return h
}

func (r *Reader) properties() *Properties {
	if r.Null() {
		return nil
	}
	f := r.fields("properties")
	p := &Properties{MessageID: f.messageID("message-id")}
	if f.has("user-id") {
		p.UserID = append([]byte{}, r.Bytes()...)
	}
	p.To = f.text("to")
	p.Subject = f.text("subject")
	p.ReplyTo = f.text("reply-to")
	p.CorrelationID = f.messageID("correlation-id")
	p.ContentType = f.text("content-type")
	p.ContentEncoding = f.text("content-encoding")
	p.AbsoluteExpiryTime = f.time("absolute-expiry-time")
	p.CreationTime = f.time("creation-time")
	p.GroupID = f.text("group-id")
	p.GroupSequence = f.uint("group-sequence")
	p.ReplyToGroupID = f.text("reply-to-group-id")
	_ = f.end()
	return p
}

func (f *fields) time(field string) time.Time {
	if f.has(field) {
		return f.r.Timestamp()
	}
	return time.Time{}
}

// messageID reads a message id: a ulong, uuid, binary or string; a uint is read as a ulong, a symbol as a string.
func (f *fields) messageID(field string) any {
	if !f.has(field) {
		return nil
	}
	if f.r.More() && f.r.b[0]>>4 > 0xb { // no map of thousands, to be thrown away
		f.r.fail(ErrType)
		return nil
	}
	switch v := f.r.Value().(type) {
	case uint64, UUID, []byte, string:
		return v
	case uint32:
		return uint64(v)
	case Symbol:
		return string(v)
	}
	f.r.fail(ErrType)
	return nil
}
