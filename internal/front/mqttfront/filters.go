package mqttfront

import (
	"strings"

	"github.com/hubward/hubward"
)

// Bounds of a session's subscriptions. What is beyond them is refused in SUBACK, and the connection goes on.
//
// Source: learn.microsoft.com/azure/iot/iot-mqtt-5-preview has 50 subscriptions. The length is ours: it is room for every topic
// that has an identity in it.
const (
	maxSubscriptions = 50
	maxFilter        = 1024 // bytes
)

// maySubscribe reports whether an identity may subscribe to a filter: to any that reaches its own topics or those of the
// hub's features, whether or not anything ever comes by them. Published clients subscribe to more than the documentation
// lists, and a session that got a feature's filter refused would not live for the others.
//
// Source: Azure-Samples/IoTMQTTSample (mosquitto_sub with "#", "devices/{id}/messages/#"), Adafruit_CircuitPython_AzureIoT,
// and the filters of a feature in Azure/azure-iot-sdk-csharp, branch feature/iot-csr-preview.
func maySubscribe(id hubward.Identity, filter string) bool {
	return wellFormed(id, filter) && (reaches(filter, identityTopic(id)) || reaches(filter, featureTopics))
}

// featureTopics is how the topics of the hub's features begin: those of twins, methods, certificates and what will come.
const featureTopics = "$iothub/"

// covers reports whether a filter covers a topic. A level of the filter that is as the topic's is that level, also where it
// looks like a wildcard: ids may.
//
// Source: MQTT 3.1.1 section 4.7.
func covers(filter, topic string) bool {
	f, t := strings.Split(filter, "/"), strings.Split(topic, "/")
	ok, everything := descend(f, t)
	return ok && (everything || len(f) == len(t))
}

// reaches reports whether a filter covers topics that begin with prefix, whose last level ends with "/".
func reaches(filter, prefix string) bool {
	f, p := strings.Split(filter, "/"), strings.Split(strings.TrimSuffix(prefix, "/"), "/")
	ok, everything := descend(f, p)
	return ok && (everything || len(f) > len(p))
}

// descend follows a filter down the levels of a topic. ok: it leads there. everything: it covers all that is below, too.
func descend(filter, topic []string) (ok, everything bool) {
	for i, level := range topic {
		wild := i > 0 || !strings.HasPrefix(level, "$") // [MQTT-4.7.2-1]
		switch {
		case i == len(filter):
			return false, false
		case wild && filter[i] == "#" && i == len(filter)-1:
			return true, true
		case filter[i] == level || wild && filter[i] == "+":
		default:
			return false, false
		}
	}
	return true, len(filter) == len(topic)+1 && filter[len(topic)] == "#" // "sport/#" covers "sport"
}

// wellFormed reports whether wildcards stand in a filter where they may: alone in their level, "#" in the last one. Ids of
// the identity hold what they like. [MQTT-4.7.1-2] [MQTT-4.7.1-3]
func wellFormed(id hubward.Identity, filter string) bool {
	levels := strings.Split(filter, "/")
	for i, level := range levels {
		switch {
		case level == "+", level == "#" && i == len(levels)-1:
		case i == 1 && level == id.Device, i == 3 && level == id.Module:
		case strings.ContainsAny(level, "+#"):
			return false
		}
	}
	return true
}
