package device

import (
	"bytes"
	"slices"
	"unicode/utf8"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/sysprops"
)

const (
	maxTopicLength     = 65_535 // an MQTT string: MQTT 3.1.1 section 1.5.3
	maxMessageIDLength = 128    // learn.microsoft.com/azure/iot-hub/iot-hub-devguide-messages-construct
)

// telemetryTopic returns the topic that telemetry m of an identity goes to: a fixed beginning, then the property bag.
// It fails when m breaks a rule on which the hub would close the connection without a word.
//
// Source: learn.microsoft.com/azure/iot/iot-mqtt-connect-to-iot-hub, sending messages.
func telemetryTopic(id hubward.Identity, m *hubward.Message) ([]byte, error) {
	if n := m.Size(); n > hubward.MaxMessageSize {
		return nil, hubward.Errorf(hubward.CodeMessageTooLarge, "the message has %d bytes, the limit is %d", n, hubward.MaxMessageSize)
	}
	if len(m.MessageID) > maxMessageIDLength {
		return nil, hubward.Errorf(hubward.CodeArgumentInvalid, "the message id has %d characters, the limit is %d", len(m.MessageID), maxMessageIDLength)
	}
	b := bag{topic: append(make([]byte, 0, 256), "devices/"...)}
	b.topic = append(b.topic, id.Device...)
	if id.Module != "" {
		b.topic = append(b.topic, "/modules/"...)
		b.topic = append(b.topic, id.Module...)
	}
	b.topic = append(b.topic, "/messages/events/"...)
	b.start = len(b.topic)
	b.addSystem(m)
	for i := range m.Properties {
		b.addProperty(&m.Properties[i])
	}
	if b.err == nil && len(b.topic) > maxTopicLength {
		return nil, hubward.Errorf(hubward.CodeMessageTooLarge, "the encoded properties have %d bytes, the limit is %d", len(b.topic), maxTopicLength)
	}
	return b.topic, b.err
}

// clonePending checks messages by the same rules as telemetryTopic, and keeps copies: a lost connection has them sent again.
func clonePending(id hubward.Identity, messages []*hubward.Message) (*pending, error) {
	p := &pending{}
	size := 0
	for _, m := range messages {
		if _, err := telemetryTopic(id, m); err != nil {
			return nil, err
		}
		own := *m
		own.Body, own.Properties = bytes.Clone(m.Body), slices.Clone(m.Properties)
		p.messages = append(p.messages, &own)
		size += m.Size()
	}
	if size > hubward.MaxMessageSize {
		return nil, hubward.Errorf(hubward.CodeMessageTooLarge, "the batch has %d bytes, the limit is %d", size, hubward.MaxMessageSize)
	}
	return p, nil
}

// bag writes a property bag behind the beginning of a topic. The first error sticks.
type bag struct {
	topic []byte
	start int // where the bag begins
	err   error
}

// telemetryNames are the system properties of telemetry, in order.
var telemetryNames = sysprops.Written(sysprops.MQTT, sysprops.FromDevice)

// addSystem writes the system properties that are set.
func (b *bag) addSystem(m *hubward.Message) {
	for _, n := range telemetryNames {
		if value := n.Property.Value(m); value != "" {
			b.add(n.Text, value)
		}
	}
}

func (b *bag) addProperty(p *hubward.Property) {
	if p.Name == "" {
		b.fail("a property has no name")
		return
	}
	if len(p.Name) > 1 && p.Name[:2] == "$." {
		b.fail("a property name begins with \"$.\", which the hub keeps for itself: use the fields of the message")
		return
	}
	if p.Null {
		b.separate()
		b.escape(p.Name)
		return
	}
	b.add(p.Name, p.Value)
}

func (b *bag) add(name, value string) {
	b.separate()
	b.escape(name)
	b.topic = append(b.topic, '=')
	b.escape(value)
}

func (b *bag) separate() {
	if len(b.topic) > b.start {
		b.topic = append(b.topic, '&')
	}
}

// escape percent-encodes all but unreserved characters.
func (b *bag) escape(text string) {
	const hex = "0123456789ABCDEF"
	if !utf8.ValidString(text) {
		b.fail("a property is not UTF-8")
		return
	}
	for i := range len(text) {
		c := text[i]
		if isUnreserved(c) {
			b.topic = append(b.topic, c)
		} else {
			b.topic = append(b.topic, '%', hex[c>>4], hex[c&15])
		}
	}
}

func (b *bag) fail(reason string) {
	if b.err == nil {
		b.err = hubward.Errorf(hubward.CodeArgumentInvalid, "%s", reason)
	}
}

func isUnreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}
