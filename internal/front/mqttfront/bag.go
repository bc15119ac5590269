package mqttfront

import (
	"bytes"
	"strings"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/hubward/hubward"
)

// maxProperties bounds the properties of one message. The limit is ours; the topic's length bounds the cloud's.
const maxProperties = 500

// Errors of a property bag. They close the connection: MQTT 3.1.1 cannot say more.
var (
	errBagText  = hubward.Errorf(hubward.CodeFormatError, "the property bag is not UTF-8 once it is decoded")
	errBagCount = hubward.Errorf(hubward.CodeFormatError, "the property bag has more than %d properties", maxProperties)
)

// readBag reads a property bag into m, decoding it in place: names and values alias bag.
//
// name=value pairs are joined by '&' and percent-decoded once; '+' is a plus. A name without '=' has a null value; a
// further '=' belongs to the value. Of a repeated name the last value counts. A '%' that begins no escape stands for
// itself, since the C SDK leaves values as they are. System properties have names that begin with "$.".
//
// Source: spec/device.md 3.1, 3.2.
func readBag(m *hubward.Message, bag []byte) error {
	bag = bytes.TrimSuffix(bag, []byte("/"))
	bag = bytes.TrimPrefix(bag, []byte("?"))
	for len(bag) > 0 {
		var pair []byte
		pair, bag, _ = bytes.Cut(bag, []byte("&"))
		if len(pair) == 0 {
			continue
		}
		rawName, rawValue, valued := bytes.Cut(pair, []byte("="))
		name, ok1 := decodeInPlace(rawName)
		value, ok2 := decodeInPlace(rawValue)
		if !ok1 || !ok2 {
			return errBagText
		}
		if err := setProperty(m, name, value, !valued); err != nil {
			return err
		}
	}
	return nil
}

func setProperty(m *hubward.Message, name, value string, null bool) error {
	if field := systemField(m, name); field != nil {
		*field = value
		return nil
	}
	switch {
	case name == "$.exp":
		m.Expiry = parseExpiry(value)
		return nil
	case strings.HasPrefix(name, "$.") || hubward.IsStamped(name):
		return nil // the hub's to set, or of no meaning here
	}
	return setApplicationProperty(m, hubward.Property{Name: name, Value: value, Null: null})
}

// setApplicationProperty adds p to m, or puts it in place of the one of its name: an AMQP map has each key once.
func setApplicationProperty(m *hubward.Message, p hubward.Property) error {
	for i := range m.Properties {
		if m.Properties[i].Name == p.Name {
			m.Properties[i] = p
			return nil
		}
	}
	if len(m.Properties) == maxProperties {
		return errBagCount
	}
	m.Properties = append(m.Properties, p)
	return nil
}

// systemField returns the field of m that a system property sets, or nil. Two of them have a second name, under which
// they travel as application properties (spec/amqp.md 8.1): stored twice, a reader would find the same key twice.
func systemField(m *hubward.Message, name string) *string {
	switch name {
	case "iothub-creation-time-utc":
		return &m.CreationTime
	case "iothub-message-schema":
		return &m.Schema
	}
	if !strings.HasPrefix(name, "$.") {
		return nil
	}
	switch name[2:] {
	case "mid":
		return &m.MessageID
	case "cid":
		return &m.CorrelationID
	case "uid":
		return &m.UserID
	case "to":
		return &m.To
	case "ct":
		return &m.ContentType
	case "ce":
		return &m.ContentEncoding
	case "ctime":
		return &m.CreationTime
	case "on":
		return &m.OutputName
	case "ifid":
		return &m.InterfaceID
	case "sub":
		return &m.Subject
	case "schema":
		return &m.Schema
	case "diagid":
		return &m.TraceID
	case "diagctx":
		return &m.TraceContext
	}
	return nil
}

// parseExpiry reads an ISO 8601 time as the SDKs write it. What it cannot read is no expiry: the field only informs.
func parseExpiry(value string) time.Time {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00"} {
		if t, err := time.Parse(layout, value); err == nil && t.Year() > 1 {
			return t.UTC()
		}
	}
	return time.Time{}
}

// decodeInPlace percent-decodes b over itself and returns the result as a string that aliases it. It reports false when
// the result is no UTF-8.
func decodeInPlace(b []byte) (string, bool) {
	if bytes.IndexByte(b, '%') >= 0 {
		b = unescape(b)
		if !utf8.Valid(b) {
			return "", false
		}
	}
	return unsafe.String(unsafe.SliceData(b), len(b)), true // b is not changed again before the message is encoded
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
