package restfront

import (
	"bytes"
	"encoding/json"
	"mime"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/hubward/hubward"
)

// eventLine is one event of the stream. body is a JSON value when the message holds one, else text, else absent with
// bodyBase64 in its place. White space between the tokens of a JSON body is not kept.
type eventLine struct {
	Partition        string           `json:"partition"`
	SequenceNumber   int64            `json:"sequenceNumber"`
	Offset           string           `json:"offset"`
	EnqueuedTime     string           `json:"enqueuedTime"`
	Body             json.RawMessage  `json:"body,omitempty"`
	BodyBase64       []byte           `json:"bodyBase64,omitempty"`
	Properties       properties       `json:"properties"`
	SystemProperties systemProperties `json:"systemProperties"`
	Annotations      annotations      `json:"annotations"`
}

// systemProperties are those that the sender set.
type systemProperties struct {
	MessageID       string `json:"messageId,omitempty"`
	CorrelationID   string `json:"correlationId,omitempty"`
	UserID          string `json:"userId,omitempty"`
	ContentType     string `json:"contentType,omitempty"`
	ContentEncoding string `json:"contentEncoding,omitempty"`
	CreationTimeUTC string `json:"creationTimeUtc,omitempty"`
	ExpiryTimeUTC   string `json:"expiryTimeUtc,omitempty"`
	Schema          string `json:"messageSchema,omitempty"`
}

// annotations are what the hub stamped, under the names that readers of the Event-Hubs-compatible endpoint see. Times
// are milliseconds since 1970.
type annotations struct {
	DeviceID       string `json:"iothub-connection-device-id"`
	ModuleID       string `json:"iothub-connection-module-id,omitempty"`
	GenerationID   string `json:"iothub-connection-auth-generation-id,omitempty"`
	AuthMethod     string `json:"iothub-connection-auth-method,omitempty"`
	HubEnqueued    int64  `json:"iothub-enqueuedtime"`
	MessageSource  string `json:"iothub-message-source,omitempty"`
	ModelID        string `json:"dt-dataschema,omitempty"`
	Subject        string `json:"dt-subject,omitempty"`
	InterfaceID    string `json:"iothub-interface-id,omitempty"`
	OutputName     string `json:"iothub-outputname,omitempty"`
	TraceID        string `json:"Diagnostic-Id,omitempty"`
	TraceContext   string `json:"Correlation-Context,omitempty"`
	SequenceNumber int64  `json:"x-opt-sequence-number"`
	Offset         string `json:"x-opt-offset"`
	EnqueuedTime   int64  `json:"x-opt-enqueued-time"`
}

const millisecondTime = "2006-01-02T15:04:05.000Z"

// appendEvent appends e and a line feed to b.
func appendEvent(b []byte, e *hubward.Event) ([]byte, error) {
	m := &e.Message
	line := eventLine{
		Partition: strconv.Itoa(e.Partition), SequenceNumber: e.SequenceNumber, Offset: e.Offset,
		EnqueuedTime: e.EnqueuedTime.UTC().Format(millisecondTime), Properties: properties(m.Properties),
		SystemProperties: systemProperties{
			MessageID: m.MessageID, CorrelationID: m.CorrelationID, UserID: m.UserID, ContentType: m.ContentType,
			ContentEncoding: m.ContentEncoding, CreationTimeUTC: m.CreationTime, Schema: m.Schema,
		},
		Annotations: annotations{
			DeviceID: e.DeviceID, ModuleID: e.ModuleID, GenerationID: e.GenerationID, AuthMethod: e.AuthMethod,
			HubEnqueued: milliseconds(e.HubEnqueued), MessageSource: e.MessageSource, ModelID: e.ModelID, Subject: m.Subject,
			InterfaceID: m.InterfaceID, OutputName: m.OutputName, TraceID: m.TraceID, TraceContext: m.TraceContext,
			SequenceNumber: e.SequenceNumber, Offset: e.Offset, EnqueuedTime: milliseconds(e.EnqueuedTime),
		},
	}
	if !m.Expiry.IsZero() {
		line.SystemProperties.ExpiryTimeUTC = m.Expiry.UTC().Format(millisecondTime)
	}
	if err := line.setBody(m); err != nil {
		return b, err
	}
	text, err := marshal(&line)
	return append(append(b, text...), '\n'), err
}

func milliseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// maxBodyDepth is how deeply a body's objects and arrays may nest to be shown as JSON; a deeper one is shown as text,
// since readers of the line have bounds too, encoding/json 10,000 levels.
const maxBodyDepth = 1000

func (l *eventLine) setBody(m *hubward.Message) error {
	if !utf8.Valid(m.Body) {
		l.BodyBase64 = m.Body
		return nil
	}
	if isJSONBody(m) {
		l.Body = m.Body
		return nil
	}
	var err error
	l.Body, err = marshal(string(m.Body))
	return err
}

// isJSONBody reports whether the body, valid UTF-8, is to be shown as a JSON value: an object or array, or anything
// that the sender calls JSON.
func isJSONBody(m *hubward.Message) bool {
	body := bytes.TrimLeft(m.Body, " \t\r\n")
	if len(body) == 0 {
		return false
	}
	structured := body[0] == '{' || body[0] == '['
	return (structured || isJSONType(m.ContentType)) && depth(body) <= maxBodyDepth && json.Valid(body)
}

func isJSONType(contentType string) bool {
	mediaType, _, err := mime.ParseMediaType(contentType)
	return err == nil && mediaType == "application/json"
}

// depth counts how deeply brackets nest outside of strings. For text that is no JSON it is some number.
func depth(text []byte) int {
	deepest, level, quoted := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch b := text[i]; {
		case quoted && b == '\\':
			i++
		case b == '"':
			quoted = !quoted
		case quoted:
		case b == '{' || b == '[':
			level++
			deepest = max(deepest, level)
		case b == '}' || b == ']':
			level--
		}
	}
	return deepest
}

// properties are application properties as a JSON object in the sender's order. Of a repeated name the last value
// stays; a name without a value is null.
type properties []hubward.Property

// MarshalJSON writes the object.
func (p properties) MarshalJSON() ([]byte, error) {
	last := make(map[string]int, len(p))
	for i := range p {
		last[p[i].Name] = i
	}
	b := []byte{'{'}
	for i := range p {
		if last[p[i].Name] != i {
			continue
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		name, err := marshal(p[i].Name)
		if err != nil {
			return nil, err
		}
		value := []byte("null")
		if !p[i].Null {
			if value, err = marshal(p[i].Value); err != nil {
				return nil, err
			}
		}
		b = append(append(append(b, name...), ':'), value...)
	}
	return append(b, '}'), nil
}
