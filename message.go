package hubward

import (
	"slices"
	"strings"
	"time"
)

// Property is one application property of a message. Order is kept. Null tells a name without a value from an empty
// value.
type Property struct {
	Name  string
	Value string
	Null  bool
}

// Properties are the application properties of a message, in their order; names are compared with their case. A list that a
// hub has handled has each name once.
type Properties []Property

// Get returns the value of the property of that name, "" when it has none; ok tells whether there is one. Of a repeated name
// the last counts, as for the hub.
func (p Properties) Get(name string) (value string, ok bool) {
	for i := range slices.Backward(p) {
		if p[i].Name == name {
			return p[i].Value, true
		}
	}
	return "", false
}

// Set gives the property of that name a value, or adds one at the end. There is one of that name then, in the place of the
// first. It changes the list in place: a copy of it that shares its array sees that, too.
func (p *Properties) Set(name, value string) {
	first := slices.IndexFunc(*p, func(q Property) bool { return q.Name == name })
	if first < 0 {
		*p = append(*p, Property{Name: name, Value: value})
		return
	}
	(*p)[first] = Property{Name: name, Value: value}
	rest := slices.DeleteFunc((*p)[first+1:], func(q Property) bool { return q.Name == name })
	*p = (*p)[:first+1+len(rest)]
}

// Message is a message as its sender made it: telemetry of a device, or a message to one. Empty strings mean
// "not set".
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-messages-construct, system properties.
type Message struct {
	MessageID       string // up to 128 characters
	CorrelationID   string
	UserID          string
	To              string // counts in Size; of telemetry it is not kept
	ContentType     string // "application/json" lets routes look into the body
	ContentEncoding string // "utf-8", "utf-16" or "utf-32" for the same purpose
	CreationTime    string // ISO 8601, as the sender wrote it
	Expiry          time.Time
	TTL             time.Duration // how long after its arrival it expires; zero: as Expiry says, which counts if both are there
	OutputName      string        // module outputs
	InterfaceID     string
	Subject         string // component name, Plug and Play
	Schema          string
	TraceID         string
	TraceContext    string
	Ack             Ack // of a message to a device: which outcomes its sender wants to hear of
	Properties      Properties
	Body            []byte
}

// MaxMessageSize bounds a device-to-cloud message, in bytes, as Size counts them.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-quotas-throttling.
const MaxMessageSize = 256 << 10

// Size is the size that quotas and limits count: body, values of system properties, names and values of application
// properties, in bytes.
func (m *Message) Size() int {
	n := len(m.Body) + len(m.MessageID) + len(m.CorrelationID) + len(m.UserID) + len(m.To) + len(m.ContentType) +
		len(m.ContentEncoding) + len(m.CreationTime) + len(m.OutputName) + len(m.InterfaceID) + len(m.Subject) +
		len(m.Schema) + len(m.TraceID) + len(m.TraceContext)
	for i := range m.Properties {
		n += len(m.Properties[i].Name) + len(m.Properties[i].Value)
	}
	return n
}

// IsStamped reports whether an application property or annotation of that name is the hub's to set: what a device or a back
// end sends under it is dropped, so that nobody can forge it.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-messages-construct, anti-spoofing properties.
func IsStamped(name string) bool {
	rest, ok := strings.CutPrefix(name, "iothub-")
	if !ok {
		return false
	}
	switch rest {
	case "enqueuedtime", "message-source", "ack", "operation":
		return true
	}
	return strings.HasPrefix(rest, "connection-")
}

// Event is one telemetry message as a reader of the hub sees it: what the device sent, what the hub stamped on it,
// and where it stands in the log.
//
// JSON: see service.Events; Body is embedded by the front end, not here.
type Event struct {
	Partition      int
	SequenceNumber int64     // dense per partition, from 0
	Offset         string    // opaque, grows with SequenceNumber
	EnqueuedTime   time.Time // of the log: never goes back inside a partition; millisecond precision

	DeviceID      string
	ModuleID      string
	GenerationID  string
	AuthMethod    string    // JSON text, e.g. {"scope":"device","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}
	HubEnqueued   time.Time // iothub-enqueuedtime: when the message reached the hub
	MessageSource string    // "Telemetry" for device-to-cloud messages
	ModelID       string    // dt-dataschema
	Message       Message
}
