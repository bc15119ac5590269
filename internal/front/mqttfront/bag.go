package mqttfront

import (
	"bytes"
	"strings"
	"time"
	"unsafe"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/sysprops"
)

// errBagCount closes the connection: MQTT 3.1.1 cannot say more.
var errBagCount = hubward.Errorf(hubward.CodeFormatError, "the property bag has more than %d properties", hub.MaxProperties)

// readBag reads a property bag into m, decoding it in place: names and values alias bag.
//
// name=value pairs are joined by '&' and percent-decoded once; '+' is a plus. A name without '=' has a null value; a
// further '=' belongs to the value. Of a repeated name the last value counts. A '%' that begins no escape stands for
// itself, since the C SDK leaves values as they are. System properties have names that begin with "$.", a few of them a
// second one that begins with "iothub-". Whether what was decoded is UTF-8, the hub looks.
//
// Source: learn.microsoft.com/azure/iot/iot-mqtt-connect-to-iot-hub, sending device-to-cloud messages; raw values:
// Azure/azure-iot-sdk-c iothub_client/src/iothubtransport_mqtt_common.c.
func readBag(m *hubward.Message, bag []byte) error {
	bag = bytes.TrimSuffix(bag, []byte("/"))
	bag = bytes.TrimPrefix(bag, []byte("?"))
	for len(bag) > 0 {
		var pair []byte
		pair, bag, _ = cut(bag, '&')
		if len(pair) == 0 {
			continue
		}
		rawName, rawValue, valued := cut(pair, '=')
		if err := setProperty(m, decodeInPlace(rawName), decodeInPlace(rawValue), !valued); err != nil {
			return err
		}
	}
	return nil
}

// cut is bytes.Cut with a separator of one byte, of which each property has two: that much cheaper is it.
func cut(b []byte, separator byte) (before, after []byte, found bool) {
	if i := bytes.IndexByte(b, separator); i >= 0 {
		return b[:i], b[i+1:], true
	}
	return b, nil, false
}

// bagNames are the names of the system properties that a device may set.
var bagNames = sysprops.Known(sysprops.MQTT, sysprops.FromDevice)

func setProperty(m *hubward.Message, name, value string, null bool) error {
	system := strings.HasPrefix(name, "$.")
	if !system && !strings.HasPrefix(name, "iothub-") {
		return setApplicationProperty(m, hubward.Property{Name: name, Value: value, Null: null})
	}
	switch p := bagNames.Find(name); {
	case p == sysprops.Expiry:
		m.Expiry = parseExpiry(value)
	case p != sysprops.None:
		*p.Text(m) = value
	case system || hubward.IsStamped(name): // the hub's to set, or of no meaning here
	default:
		return setApplicationProperty(m, hubward.Property{Name: name, Value: value, Null: null})
	}
	return nil
}

// setApplicationProperty adds p to m, or puts it in place of the one of its name: an AMQP map has each key once.
func setApplicationProperty(m *hubward.Message, p hubward.Property) error {
	for i := range m.Properties {
		if m.Properties[i].Name == p.Name {
			m.Properties[i] = p
			return nil
		}
	}
	if len(m.Properties) == hub.MaxProperties { // the hub would refuse it; a topic has room for many more to compare
		return errBagCount
	}
	m.Properties = append(m.Properties, p)
	return nil
}

// parseExpiry reads an ISO 8601 time as the SDKs write it. What it cannot read, and what is before 1970, is no
// expiry: the field only informs.
func parseExpiry(value string) time.Time {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00"} {
		if t, err := time.Parse(layout, value); err == nil && t.Unix() >= 0 {
			return t.UTC()
		}
	}
	return time.Time{}
}

// decodeInPlace percent-decodes b over itself and returns the result as a string that aliases it.
func decodeInPlace(b []byte) string {
	if bytes.IndexByte(b, '%') >= 0 {
		b = unescape(b)
	}
	return unsafe.String(unsafe.SliceData(b), len(b)) // b is not changed again before the message is encoded
}

func unescape(b []byte) []byte {
	w := 0
	for r := 0; r < len(b); r++ {
		c := b[r]
		if c == '%' && r+2 < len(b) {
			hi, ok1 := unhex(b[r+1])
			lo, ok2 := unhex(b[r+2])
			if ok1 && ok2 {
				c = hi<<4 | lo
				r += 2
			}
		}
		b[w] = c
		w++
	}
	return b[:w]
}

func unhex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
