package mqttfront

import (
	"bytes"
	"strings"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/sysprops"
)

// deviceboundTopic returns the topic of a message to a device: a fixed beginning, then the property bag, in which system
// properties come first, in the order of the cloud's topics. Those that nobody set are not there; "to", which m always has,
// keeps the bag from being empty, and begins with "%24." whatever comes first. All but unreserved characters are
// percent-encoded.
//
//	devices/{d}/messages/devicebound/%24.mid=m1&%24.to=%2Fdevices%2F{d}%2Fmessages%2Fdevicebound&iothub-ack=none&a=b
//
// A property without a value is its name alone. Properties that would be taken for the hub's own are left out. The topic may
// be longer than MQTT allows.
//
// Source: learn.microsoft.com/azure/iot/iot-mqtt-connect-to-iot-hub; Mqtt.java of Azure/azure-iot-sdk-java, which reads from
// the first "%24" on, MqttIotHubAdapter.cs of -csharp, which fails without a bag, mqtt_topic_iothub.py of -python,
// device/transport/mqtt/src/mqtt.ts of -node.
func deviceboundTopic(device string, m *hubward.Message) []byte {
	b := make(topicBag, 0, 256)
	b = append(append(append(b, "devices/"...), device...), "/messages/devicebound/"...)
	for _, n := range deviceboundNames {
		b.add(n.Text, deviceboundValue(n.Property, m))
	}
	for i := range m.Properties {
		b.application(&m.Properties[i])
	}
	return bytes.TrimSuffix(b, []byte("&"))
}

// deviceboundNames are the system properties of a message to a device, in order.
var deviceboundNames = sysprops.Written(sysprops.MQTT, sysprops.ToDevice)

// deviceboundIndex knows them by name.
var deviceboundIndex = sysprops.Known(sysprops.MQTT, sysprops.ToDevice)

// deviceboundValue returns the text of a system property, "" when it is not to stand in the bag. Times have the seven digits
// that .NET reads ("o").
func deviceboundValue(p sysprops.Property, m *hubward.Message) string {
	switch p {
	case sysprops.Expiry:
		return timeText(m.Expiry)
	case sysprops.CreationTime:
		return timeText(parseExpiry(m.CreationTime))
	}
	return *p.Text(m)
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return hubward.Time{Time: t}.String()
}

// topicBag is a topic to whose bag properties are added, each with a "&" behind it.
type topicBag []byte

// add adds a system property that is set.
func (b *topicBag) add(name, value string) {
	if value == "" {
		return
	}
	b.escape(name)
	*b = append(*b, '=')
	b.escape(value)
	*b = append(*b, '&')
}

// application adds a property of the application, unless its name is the hub's.
func (b *topicBag) application(p *hubward.Property) {
	if strings.HasPrefix(p.Name, "$.") || deviceboundIndex.Find(p.Name) != sysprops.None {
		return
	}
	b.escape(p.Name)
	if !p.Null {
		*b = append(*b, '=')
		b.escape(p.Value)
	}
	*b = append(*b, '&')
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
