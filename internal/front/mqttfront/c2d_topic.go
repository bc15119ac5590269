package mqttfront

import (
	"strings"

	"github.com/hubward/hubward"
)

// deviceboundTopic returns the topic of a message to a device: a fixed beginning, then the property bag. The bag is never
// empty and begins with "%24.", system properties come first; all but unreserved characters are percent-encoded.
//
//	devices/{d}/messages/devicebound/%24.to=%2Fdevices%2F{d}%2Fmessages%2FdeviceBound&%24.mid=m1&a=b
//
// A property without a value is its name alone. Properties that would be taken for the hub's own are left out. The topic may
// be longer than MQTT allows.
//
// Source: spec/device.md 4.2.
func deviceboundTopic(device string, m *hubward.Message) []byte {
	b := make(topicBag, 0, 256)
	b = append(append(append(b, "devices/"...), device...), "/messages/devicebound/%24.to="...)
	b.escape("/devices/")
	b.escape(device)
	b.escape("/messages/deviceBound")
	b.system("%24.mid", m.MessageID)
	b.system("%24.cid", m.CorrelationID)
	b.system("%24.uid", m.UserID)
	b.system("%24.ct", m.ContentType)
	b.system("%24.ce", m.ContentEncoding)
	if !m.Expiry.IsZero() {
		b.system("%24.exp", hubward.Time{Time: m.Expiry}.String()) // seven digits: row 25
	}
	if t := parseExpiry(m.CreationTime); !t.IsZero() {
		b.system("%24.ctime", hubward.Time{Time: t}.String())
	}
	if m.Ack != hubward.AckNone { // Node shows it among the application properties
		b.system(propertyAck, string(m.Ack))
	}
	for i := range m.Properties {
		b.application(&m.Properties[i])
	}
	return b
}

// propertyAck is the one system property whose name has no "$.".
const propertyAck = "iothub-ack"

// topicBag is a topic to whose bag properties are added.
type topicBag []byte

// system adds a system property that is set. Its name is encoded already.
func (b *topicBag) system(name, value string) {
	if value == "" {
		return
	}
	*b = append(append(append(*b, '&'), name...), '=')
	b.escape(value)
}

func (b *topicBag) application(p *hubward.Property) {
	if strings.HasPrefix(p.Name, "$.") || p.Name == propertyAck {
		return
	}
	*b = append(*b, '&')
	b.escape(p.Name)
	if !p.Null {
		*b = append(*b, '=')
		b.escape(p.Value)
	}
}

// escape adds text with all but unreserved characters percent-encoded: what every SDK decodes alike.
func (b *topicBag) escape(text string) {
	const hex = "0123456789ABCDEF"
	for i := range len(text) {
		c := text[i]
		if isUnreserved(c) {
			*b = append(*b, c)
		} else {
			*b = append(*b, '%', hex[c>>4], hex[c&15])
		}
	}
}

func isUnreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}
