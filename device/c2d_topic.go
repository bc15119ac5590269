package device

import (
	"net/url"
	"strings"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/sysprops"
)

// deviceboundFilter is what a device subscribes to for its messages.
//
// Source: learn.microsoft.com/azure/iot/iot-mqtt-connect-to-iot-hub.
func deviceboundFilter(device string) string { return "devices/" + device + "/messages/devicebound/#" }

// deviceboundMessage returns the message that came on a topic, without its body, or false when that is not a topic of
// messages to the device.
//
// Source: learn.microsoft.com/azure/iot/iot-mqtt-connect-to-iot-hub, receiving messages.
func deviceboundMessage(device, topic string) (*hubward.Message, bool) {
	bag, ok := strings.CutPrefix(topic, strings.TrimSuffix(deviceboundFilter(device), "#"))
	if !ok {
		return nil, false
	}
	return readBag(bag), true
}

// readBag reads the property bag of a topic. What it cannot read it leaves out.
func readBag(bag string) *hubward.Message {
	m := &hubward.Message{}
	for pair := range strings.SplitSeq(bag, "&") {
		rawName, rawValue, valued := strings.Cut(pair, "=")
		name, err1 := url.PathUnescape(rawName)
		value, err2 := url.PathUnescape(rawValue)
		if name == "" || err1 != nil || err2 != nil {
			continue
		}
		setProperty(m, name, value, !valued)
	}
	return m
}

// deviceboundNames are the names of system properties in such a topic.
var deviceboundNames = sysprops.Known(sysprops.MQTT, sysprops.ToDevice)

func setProperty(m *hubward.Message, name, value string, null bool) {
	switch p := deviceboundNames.Find(name); p {
	case sysprops.None:
		m.Properties = append(m.Properties, hubward.Property{Name: name, Value: value, Null: null})
	case sysprops.Expiry:
		m.Expiry, _ = time.Parse(time.RFC3339Nano, value)
	default:
		*p.Text(m) = value
	}
}
