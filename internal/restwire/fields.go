package restwire

import (
	"strings"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/sysprops"
)

// Field is one header line. Name is spelt as it stands on the wire.
type Field struct{ Name, Value string }

// The headers of a delivery that are no properties of its message.
const (
	Sequence      = "iothub-sequencenumber"
	EnqueuedTime  = "iothub-enqueuedtime"
	DeliveryCount = "iothub-deliverycount"
	LockToken     = "iothub-messagelocktoken"
	LockTimeout   = "iothub-messagelocktimeout" // of a request to receive: whole seconds
)

// AppPrefix begins the header of an application property.
const AppPrefix = "iothub-app-"

// MaxProperties bounds the application properties of one message, as it does over MQTT.
const MaxProperties = 500

// maxMessageID bounds a message id, in bytes.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-messages-construct.
const maxMessageID = 128

// ParseMessage makes a message of header lines; it has no body yet. Lines that are no properties are left out, and so
// are those that the hub itself stamps. Of a repeated property the last one counts. Ack is in lower case and may be
// none of the four; an expiry that cannot be read is none: both matter on the way to a device alone, and are for the
// caller to check.
//
// Errors: CodeArgumentInvalid for a message id that is too long, CodeFormatError for too many properties.
func ParseMessage(fields []Field) (*hubward.Message, error) {
	m := &hubward.Message{}
	for _, f := range fields {
		if err := set(m, f, false); err != nil {
			return nil, err
		}
	}
	return m, checkID(m)
}

func checkID(m *hubward.Message) error {
	if len(m.MessageID) > maxMessageID {
		return hubward.Errorf(hubward.CodeArgumentInvalid, "the message id has %d characters, the limit is %d", len(m.MessageID), maxMessageID)
	}
	return nil
}

var (
	// known are the names of system properties, in lower case: clients differ in that.
	known = sysprops.Known(sysprops.HTTPS, toHub)
	// written are those that Fields writes.
	written = sysprops.Written(sysprops.HTTPS, toHub)
	// taken are names under which system properties reach a reader, which would find the same key twice.
	taken = sysprops.Known(sysprops.AMQPApplication, sysprops.ToReader)
)

// toHub are the ways that use all names of HTTPS. To a device there are fewer.
const toHub = sysprops.FromDevice | sysprops.FromService

// set takes one property over into m.
func set(m *hubward.Message, f Field, null bool) error {
	lower := strings.ToLower(f.Name)
	if strings.HasPrefix(lower, AppPrefix) {
		return setApplicationProperty(m, hubward.Property{Name: f.Name[len(AppPrefix):], Value: f.Value, Null: null})
	}
	switch p := known.Find(lower); p {
	case sysprops.None:
	case sysprops.Expiry:
		m.Expiry, _ = ParseTime(f.Value)
	case sysprops.Ack:
		m.Ack = hubward.Ack(strings.ToLower(f.Value))
	default:
		*p.Text(m) = f.Value
	}
	return nil
}

// setApplicationProperty adds p to m, or puts it in place of the one of its name: an AMQP map has each key once.
func setApplicationProperty(m *hubward.Message, p hubward.Property) error {
	if p.Name == "" || hubward.IsStamped(p.Name) {
		return nil
	}
	if field := taken.Find(p.Name).Text(m); field != nil {
		*field = p.Value
		return nil
	}
	for i := range m.Properties {
		if m.Properties[i].Name == p.Name {
			m.Properties[i] = p
			return nil
		}
	}
	if len(m.Properties) == MaxProperties {
		return hubward.Errorf(hubward.CodeFormatError, "the message has more than %d properties", MaxProperties)
	}
	m.Properties = append(m.Properties, p)
	return nil
}

// Fields returns the header lines of m, system properties first. A property without a value gets an empty one.
func Fields(m *hubward.Message) []Field {
	var out []Field
	for _, n := range written {
		if value := n.Property.Value(m); value != "" {
			out = append(out, Field{n.Text, value})
		}
	}
	for _, p := range m.Properties {
		out = append(out, Field{AppPrefix + p.Name, p.Value})
	}
	return out
}

// Check reports what of m cannot travel as a header, or nil: a name is made of ASCII letters, digits and
// ! # $ % & ' * + - . ^ _ ` | ~, a value holds no control character and neither begins nor ends with a blank.
//
// Errors: CodeArgumentInvalid names the property.
func Check(m *hubward.Message) error {
	if err := checkID(m); err != nil {
		return err
	}
	if len(m.Properties) > MaxProperties {
		return hubward.Errorf(hubward.CodeArgumentInvalid, "the message has %d properties, the limit is %d", len(m.Properties), MaxProperties)
	}
	for _, f := range Fields(m) {
		if f.Name == AppPrefix {
			return hubward.Errorf(hubward.CodeArgumentInvalid, "a property has no name")
		}
		if !isName(f.Name) {
			return hubward.Errorf(hubward.CodeArgumentInvalid, "property %.40q: the name cannot travel as an HTTP header", strings.TrimPrefix(f.Name, AppPrefix))
		}
		if !isValue(f.Value) {
			return hubward.Errorf(hubward.CodeArgumentInvalid, "property %.40q: the value cannot travel as an HTTP header", strings.TrimPrefix(f.Name, AppPrefix))
		}
	}
	return nil
}

// isName reports whether s is a token of RFC 9110 5.6.2.
func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		alphanumeric := c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9'
		if !alphanumeric && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// isValue reports whether s survives as a field value of RFC 9110 5.5, bytes above ASCII included.
func isValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return strings.Trim(s, " \t") == s
}
