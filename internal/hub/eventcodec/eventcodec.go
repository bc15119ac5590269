// Package eventcodec is the form in which the telemetry log keeps an event: its AMQP 1.0 sections, encoded once when
// the message arrives, so that a reader's link can copy them. A record is
//
//	version     1 byte, 1
//	count       uvarint, number of annotations
//	size        uvarint, bytes of annotations
//	annotations size bytes: key (symbol) and value in turn, the entries of the message-annotations map without its head
//	sections    the rest: properties and application-properties where there are any, and one data section
//
// A reader's link writes the map's head, adds x-opt-sequence-number, x-opt-offset and x-opt-enqueued-time, and copies
// the annotations and the sections. Content type and encoding are symbols, hence ASCII: other bytes of theirs are
// percent-encoded. Ids and application properties are strings, the user id is binary, expiry and enqueued times are
// timestamps: some clients assert these types.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-messages-construct; EventHubMessageSerializer.java of
// Azure/azure-sdk-for-java; amenzhinsky/iothub iotservice/message.go.
package eventcodec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/amqpwire"
)

const version = 1

// Names of annotations.
const (
	nameDevice      = "iothub-connection-device-id"
	nameModule      = "iothub-connection-module-id"
	nameGeneration  = "iothub-connection-auth-generation-id"
	nameAuthMethod  = "iothub-connection-auth-method"
	nameEnqueued    = "iothub-enqueuedtime"
	nameSource      = "iothub-message-source"
	nameModel       = "dt-dataschema"
	nameSubject     = "dt-subject"
	nameInterface   = "iothub-interface-id"
	nameOutput      = "iothub-outputname"
	nameTrace       = "Diagnostic-Id"
	nameTraceValues = "Correlation-Context"
)

// Names of application properties that system properties travel in.
const (
	nameCreationTime = "iothub-creation-time-utc"
	nameSchema       = "iothub-message-schema"
)

// What an event is of: its iothub-message-source.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-non-telemetry-event-schema.
const (
	SourceTelemetry       = "Telemetry" // a device-to-cloud message
	SourceTwinChange      = "twinChangeEvents"
	SourceLifecycle       = "deviceLifecycleEvents" // an identity was created or deleted
	SourceConnectionState = "deviceConnectionStateEvents"
	SourceJob             = "deviceJobLifecycleEvents"
	SourceDigitalTwin     = "digitalTwinChangeEvents"
)

// Stamps are the annotations that are the same for all messages of one connection, encoded.
type Stamps struct {
	bytes []byte
	count int
}

// Origin is what the hub knows of a sender.
type Origin struct {
	Identity   hubward.Identity
	Generation string
	AuthMethod string
	ModelID    string
	Source     string
}

// NewStamps encodes what a connection stamps on each message. The device comes first: DeviceID relies on it.
func NewStamps(o Origin) Stamps {
	var s Stamps
	s.add(nameDevice, o.Identity.Device)
	s.add(nameModule, o.Identity.Module)
	s.add(nameGeneration, o.Generation)
	s.add(nameAuthMethod, o.AuthMethod)
	s.add(nameSource, o.Source)
	s.add(nameModel, o.ModelID)
	return s
}

func (s *Stamps) add(name, value string) {
	if value == "" {
		return
	}
	s.bytes = amqpwire.AppendString(amqpwire.AppendSymbol(s.bytes, name), value)
	s.count++
}

// Append appends the record of one message, which reached the hub at arrived. It keeps nothing of m.
func Append(dst []byte, s Stamps, arrived time.Time, m *hubward.Message) []byte {
	own := [...]struct{ name, value string }{
		{nameSubject, m.Subject}, {nameInterface, m.InterfaceID}, {nameOutput, m.OutputName},
		{nameTrace, m.TraceID}, {nameTraceValues, m.TraceContext},
	}
	count := s.count + 1
	size := len(s.bytes) + enqueuedSize
	for i := range own {
		if own[i].value != "" {
			count++
			size += variableSize(len(own[i].name)) + variableSize(len(own[i].value))
		}
	}
	dst = append(dst, version)
	dst = binary.AppendUvarint(dst, uint64(count))
	dst = binary.AppendUvarint(dst, uint64(size))
	dst = append(dst, s.bytes...)
	dst = amqpwire.AppendTimestamp(amqpwire.AppendSymbol(dst, nameEnqueued), arrived)
	for i := range own {
		if own[i].value != "" {
			dst = amqpwire.AppendString(amqpwire.AppendSymbol(dst, own[i].name), own[i].value)
		}
	}
	dst = appendProperties(dst, m)
	dst = appendApplicationProperties(dst, m)
	return amqpwire.AppendBinary(amqpwire.AppendSection(dst, amqpwire.SectionData), m.Body)
}

// enqueuedSize is the size of the iothub-enqueuedtime entry: symbol head, name, timestamp.
const enqueuedSize = 2 + len(nameEnqueued) + 9

func variableSize(n int) int {
	if n <= 0xff {
		return 2 + n
	}
	return 5 + n
}

// appendProperties appends the properties section, up to its last field that is set, or nothing.
func appendProperties(dst []byte, m *hubward.Message) []byte {
	fields := 0
	switch {
	case !m.Expiry.IsZero():
		fields = 9
	case m.ContentEncoding != "":
		fields = 8
	case m.ContentType != "":
		fields = 7
	case m.CorrelationID != "":
		fields = 6
	case m.UserID != "":
		fields = 2
	case m.MessageID != "":
		fields = 1
	default:
		return dst
	}
	dst, list := amqpwire.BeginList(amqpwire.AppendSection(dst, amqpwire.SectionProperties))
	for i := range fields {
		dst = appendProperty(dst, m, i)
	}
	return list.End(dst, fields)
}

// appendProperty appends field i of the properties section, AMQP 1.0 part 3 §3.2.4: message-id, user-id, to, subject,
// reply-to, correlation-id, content-type, content-encoding, absolute-expiry-time.
func appendProperty(dst []byte, m *hubward.Message, i int) []byte {
	switch {
	case i == 0 && m.MessageID != "":
		return amqpwire.AppendString(dst, m.MessageID)
	case i == 1 && m.UserID != "":
		return amqpwire.AppendBinary(dst, m.UserID)
	case i == 5 && m.CorrelationID != "":
		return amqpwire.AppendString(dst, m.CorrelationID)
	case i == 6 && m.ContentType != "":
		return amqpwire.AppendSymbol(dst, symbolText(m.ContentType))
	case i == 7 && m.ContentEncoding != "":
		return amqpwire.AppendSymbol(dst, symbolText(m.ContentEncoding))
	case i == 8:
		return amqpwire.AppendTimestamp(dst, m.Expiry)
	}
	return amqpwire.AppendNull(dst)
}

// symbolText returns s with the bytes that are not ASCII percent-encoded. A symbol holds nothing else, and a reader may
// drop its connection over one that does; that a sender cannot spell its content type is no reason to lose its message.
func symbolText(s string) string {
	if isASCII(s) {
		return s
	}
	const digits = "0123456789ABCDEF"
	b := make([]byte, 0, 3*len(s))
	for i := range len(s) {
		if c := s[i]; c < utf8.RuneSelf {
			b = append(b, c)
		} else {
			b = append(b, '%', digits[c>>4], digits[c&0xf])
		}
	}
	return string(b)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// appendApplicationProperties appends the application properties, or nothing.
func appendApplicationProperties(dst []byte, m *hubward.Message) []byte {
	if len(m.Properties) == 0 && m.CreationTime == "" && m.Schema == "" {
		return dst
	}
	dst, section := amqpwire.BeginMap(amqpwire.AppendSection(dst, amqpwire.SectionApplicationProperties))
	count := 0
	for i := range m.Properties {
		p := &m.Properties[i]
		dst = amqpwire.AppendString(dst, p.Name)
		if p.Null {
			dst = amqpwire.AppendNull(dst)
		} else {
			dst = amqpwire.AppendString(dst, p.Value)
		}
		count++
	}
	if m.CreationTime != "" {
		dst = amqpwire.AppendString(amqpwire.AppendString(dst, nameCreationTime), m.CreationTime)
		count++
	}
	if m.Schema != "" {
		dst = amqpwire.AppendString(amqpwire.AppendString(dst, nameSchema), m.Schema)
		count++
	}
	return section.End(dst, 2*count)
}

// errRecord is the error of bytes that are no record.
var errRecord = errors.New("eventcodec: not an event record")

// Split takes a record apart without decoding it. The results alias data.
func Split(data []byte) (count int, annotations, sections []byte, err error) {
	if len(data) == 0 || data[0] != version {
		return 0, nil, nil, errRecord
	}
	rest := data[1:]
	n, used := binary.Uvarint(rest)
	if used <= 0 {
		return 0, nil, nil, errRecord
	}
	rest = rest[used:]
	size, used := binary.Uvarint(rest)
	if used <= 0 || size > uint64(len(rest)-used) || n > size {
		return 0, nil, nil, errRecord
	}
	rest = rest[used:]
	return int(n), rest[:size], rest[size:], nil
}

// DeviceID returns the sender's device id without decoding the rest. The result aliases data.
func DeviceID(data []byte) ([]byte, error) {
	_, annotations, _, err := Split(data)
	if err != nil {
		return nil, err
	}
	r := amqpwire.NewReader(annotations)
	if name := r.Bytes(); string(name) != nameDevice {
		return nil, errRecord
	}
	id := r.Bytes()
	return id, r.Err()
}

// Decode takes a record apart into an event. Strings are copies; the body aliases data.
func Decode(data []byte) (*hubward.Event, error) {
	count, annotations, sections, err := Split(data)
	if err != nil {
		return nil, err
	}
	e := &hubward.Event{}
	if err := decodeAnnotations(e, count, annotations); err != nil {
		return nil, fmt.Errorf("annotations: %w", err)
	}
	r := amqpwire.NewReader(sections)
	for r.More() {
		decodeSection(r, &e.Message)
	}
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("sections: %w", err)
	}
	return e, nil
}

func decodeAnnotations(e *hubward.Event, count int, annotations []byte) error {
	r := amqpwire.NewReader(annotations)
	texts := map[string]*string{
		nameDevice: &e.DeviceID, nameModule: &e.ModuleID, nameGeneration: &e.GenerationID, nameAuthMethod: &e.AuthMethod,
		nameSource: &e.MessageSource, nameModel: &e.ModelID, nameSubject: &e.Message.Subject,
		nameInterface: &e.Message.InterfaceID, nameOutput: &e.Message.OutputName, nameTrace: &e.Message.TraceID,
		nameTraceValues: &e.Message.TraceContext,
	}
	for range count {
		name := r.String()
		if name == nameEnqueued {
			e.HubEnqueued = r.Timestamp()
			continue
		}
		value := r.String()
		if field, ok := texts[name]; ok {
			*field = value
		}
		if r.Err() != nil {
			return r.Err()
		}
	}
	return r.Err()
}

func decodeSection(r *amqpwire.Reader, m *hubward.Message) {
	switch r.Section() {
	case amqpwire.SectionProperties:
		decodeProperties(r, m)
	case amqpwire.SectionApplicationProperties:
		decodeApplicationProperties(r, m)
	case amqpwire.SectionData:
		m.Body = r.Bytes()
	default:
		r.Bytes() // fails, unless a later version wrote a section that is one value
	}
}

func decodeProperties(r *amqpwire.Reader, m *hubward.Message) {
	for i := range r.List() {
		switch i {
		case 0:
			m.MessageID = r.String()
		case 1:
			m.UserID = r.String()
		case 5:
			m.CorrelationID = r.String()
		case 6:
			m.ContentType = r.String()
		case 7:
			m.ContentEncoding = r.String()
		case 8:
			m.Expiry = r.Timestamp()
		default:
			r.Bytes()
		}
	}
}

func decodeApplicationProperties(r *amqpwire.Reader, m *hubward.Message) {
	for range r.Map() / 2 {
		name := r.String()
		null := r.Null()
		value := ""
		if !null {
			value = r.String()
		}
		if r.Err() != nil {
			return
		}
		switch name {
		case nameCreationTime:
			m.CreationTime = value
		case nameSchema:
			m.Schema = value
		default:
			m.Properties = append(m.Properties, hubward.Property{Name: name, Value: value, Null: null})
		}
	}
}
