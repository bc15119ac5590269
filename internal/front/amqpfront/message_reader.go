package amqpfront

import (
	"encoding/base64"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/sysprops"
)

// What a connection keeps room for.
const (
	maxKeptBody       = 16 << 10 // bytes of joined data sections
	maxKeptProperties = 64
)

// messageReader reads the messages that clients send, in either direction, without a copy: this is the hot path of
// telemetry. It looks at their form alone; what they may hold is the hub's to say. It is used again and again, by one
// goroutine.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-messages-construct; AMQP 1.0 part 3 §3.2.
type messageReader struct {
	in      amqpwire.Reader
	toHub   bool // the message is telemetry; otherwise it is for a device
	names   *readerNames
	body    []byte
	parts   int // data sections so far
	failure *amqpwire.Error
}

// readerNames are the names of system properties on one way.
type readerNames struct{ annotations, application *sysprops.Index }

func namesOn(way sysprops.Way) readerNames {
	return readerNames{sysprops.Known(sysprops.AMQPAnnotation, way), sysprops.Known(sysprops.AMQPApplication, way)}
}

var (
	fromDevice  = namesOn(sysprops.FromDevice)
	fromService = namesOn(sysprops.FromService)
	properties  = sysprops.SectionOf(sysprops.FromDevice | sysprops.FromService)
)

// read makes m the message that payload encodes. m's strings and body alias payload or the reader, and are good until
// either is used again. The error is for the sender.
func (r *messageReader) read(m *hubward.Message, payload []byte, toHub bool) *amqpwire.Error {
	if cap(r.body) > maxKeptBody {
		r.body = nil
	}
	if cap(m.Properties) > maxKeptProperties {
		m.Properties = nil
	}
	*m = hubward.Message{Properties: m.Properties[:0]}
	r.toHub, r.parts, r.failure = toHub, 0, nil
	r.names = &fromService
	if toHub {
		r.names = &fromDevice
	}
	in := &r.in
	in.Reset(payload)
	var seen amqpwire.Sections
	for in.More() {
		s := in.Section()
		if in.Err() != nil {
			break
		}
		if !seen.Add(s) {
			return errSectionAgain()
		}
		if r.section(m, s); r.failure != nil {
			return r.failure
		}
	}
	if err := in.Err(); err != nil {
		return newError(amqpwire.DecodeError, "The message cannot be decoded: %s.", err)
	}
	return nil
}

func errSectionAgain() *amqpwire.Error {
	return newError(amqpwire.DecodeError, "The message has a section twice, an unknown one, or bodies of two kinds.")
}

func (r *messageReader) section(m *hubward.Message, s amqpwire.Section) {
	switch s {
	case amqpwire.SectionHeader:
		r.whole(func() { r.header(m) })
	case amqpwire.SectionMessageAnnotations:
		r.whole(func() { r.annotations(m) })
	case amqpwire.SectionProperties:
		r.whole(func() { r.properties(m) })
	case amqpwire.SectionApplicationProperties:
		r.whole(func() { r.applicationProperties(m) })
	case amqpwire.SectionData:
		r.data(m, r.in.Bytes())
	case amqpwire.SectionValue:
		r.value(m)
	case amqpwire.SectionSequence:
		r.failure = notImplemented("A body of sequences is not supported. Send data.")
	default:
		r.in.Skip()
	}
}

// whole reads a map or list by f, unless it is null, and checks that f has read all of it and nothing else.
func (r *messageReader) whole(f func()) {
	if r.in.Null() {
		return
	}
	probe := r.in
	probe.Skip()
	f()
	if r.failure == nil && r.in.Err() == nil && len(r.in.Rest()) != len(probe.Rest()) {
		r.failure = newError(amqpwire.DecodeError, "The message cannot be decoded: a map or list does not have the size that it says.")
	}
}

// header reads the section by position: AMQP 1.0 part 3 §3.2.1.
func (r *messageReader) header(m *hubward.Message) {
	for i := range r.in.List() {
		if i == 2 && !r.in.Null() {
			m.TTL = time.Duration(r.in.Uint()) * time.Millisecond
		} else if i != 2 {
			r.in.Skip()
		}
	}
}

// annotations reads system properties. What else a client puts there is dropped, the names that the hub stamps above all.
func (r *messageReader) annotations(m *hubward.Message) {
	for range r.in.Map() / 2 {
		name, _ := r.key()
		field := r.names.annotations.Find(name).Text(m)
		if field == nil {
			r.in.Skip()
			continue
		}
		if *field, _ = r.text(name); r.failure != nil {
			return
		}
	}
}

// properties reads the section by position: AMQP 1.0 part 3 §3.2.4.
func (r *messageReader) properties(m *hubward.Message) {
	for i := range r.in.List() {
		switch n := properties.At(i); n.Property {
		case sysprops.None:
			r.in.Skip()
		case sysprops.Expiry:
			// Observed with amenzhinsky/iothub for none: the year 1, and 1754, which Go makes of it in nanoseconds since 1970.
			if t := r.in.Timestamp(); t.Unix() >= 0 && t.Year() < 10000 {
				m.Expiry = t
			}
		case sysprops.CreationTime:
			if t := r.in.Timestamp(); !r.toHub && t.Year() > 1 {
				m.CreationTime = timeText(t)
			}
		default:
			*n.Property.Text(m), _ = r.text(n.Text)
		}
		if r.failure != nil {
			return
		}
	}
}

func (r *messageReader) applicationProperties(m *hubward.Message) {
	for range r.in.Map() / 2 {
		name, isText := r.key()
		if !isText {
			r.fail("The name of an application property is no text.")
			return
		}
		p := hubward.Property{Name: name}
		p.Value, p.Null = r.text(name)
		if r.failure == nil {
			r.setProperty(m, p)
		}
		if r.failure != nil {
			return
		}
	}
}

// setProperty sets what an application property stands for. Of a repeated name the last value counts: a reader's map has
// each key once.
func (r *messageReader) setProperty(m *hubward.Message, p hubward.Property) {
	if field := r.names.application.Find(p.Name).Text(m); field != nil {
		*field = p.Value
		return
	}
	if r.toHub && hubward.IsStamped(p.Name) {
		return
	}
	for i := range m.Properties {
		if m.Properties[i].Name == p.Name {
			m.Properties[i] = p
			return
		}
	}
	if len(m.Properties) == hub.MaxProperties { // more would be looked through for each other one
		r.failure = argumentError("The message has more than %d application properties.", hub.MaxProperties)
		return
	}
	m.Properties = append(m.Properties, p)
}

// data adds a data section to the body.
func (r *messageReader) data(m *hubward.Message, b []byte) {
	if r.parts++; r.parts == 1 {
		m.Body = b
		return
	}
	if r.parts == 2 {
		r.body = append(r.body[:0], m.Body...)
	}
	r.body = append(r.body, b...)
	m.Body = r.body
}

// value takes a body that is a text, a binary or null, which no SDK sends and other programs do.
func (r *messageReader) value(m *hubward.Message) {
	rest := r.in.Rest()
	switch {
	case r.in.Null():
	case len(rest) > 0 && isVariable(rest[0]):
		m.Body = r.in.Bytes()
	default:
		r.failure = notImplemented("A body that is a value of this type is not supported. Send data.")
	}
}

// key reads the key of a map.
func (r *messageReader) key() (name string, isText bool) {
	if rest := r.in.Rest(); len(rest) == 0 || !isVariable(rest[0]) {
		r.in.Skip()
		return "", false
	}
	return alias(r.in.Bytes()), true
}

// text reads any primitive as text; null is none.
func (r *messageReader) text(what string) (text string, null bool) {
	rest := r.in.Rest()
	switch {
	case r.in.Null():
		return "", true
	case len(rest) > 0 && isVariable(rest[0]):
		b := r.in.Bytes()
		if rest[0]&0xf == 0 && !utf8.Valid(b) { // a binary
			return base64.StdEncoding.EncodeToString(b), false
		}
		return alias(b), false
	}
	text, ok := textOf(r.in.Value())
	if !ok && r.in.Err() == nil {
		r.fail("The value of %.64q has a type that the hub does not take. Send text.", what)
	}
	return text, false
}

func (r *messageReader) fail(format string, args ...any) {
	if r.failure == nil {
		r.failure = newError(amqpwire.InvalidField, format, args...)
	}
}

// isVariable reports whether a constructor is that of a string, symbol or binary.
func isVariable(code byte) bool { return code>>4 == 0xa || code>>4 == 0xb }

// alias returns b as text, without a copy.
func alias(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

func timeText(t time.Time) string {
	if t.Year() < 0 || t.Year() > 9999 {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.999Z07:00")
}
