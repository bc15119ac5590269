package mqttfront

import (
	"bytes"
	"strings"

	"github.com/hubward/hubward"
)

// topics are the topics of one identity. Ids stand raw in them and may hold '+' and '#', which are no wildcards there
// (spec/device.md 10.3, row 42): topics are compared as texts.
type topics struct {
	telemetry   []byte   // without the slash behind "events"
	devicebound string   // the filter of messages to the device; "" for a module, which gets none
	filters     []string // what the identity may subscribe to, besides the $iothub ones
}

// The filters of responses and requests, the same for all identities.
const (
	filterTwinResponse = "$iothub/twin/res/#"
	filterDesired      = "$iothub/twin/PATCH/properties/desired/#"
	filterMethods      = "$iothub/methods/POST/#"
)

// Source: spec/device.md 3.1, 4.1.
func topicsOf(id hubward.Identity) topics {
	base := "devices/" + id.Device + "/"
	if id.Module == "" {
		devicebound := base + "messages/devicebound/#"
		return topics{telemetry: []byte(base + "messages/events"), devicebound: devicebound, filters: []string{devicebound}}
	}
	base += "modules/" + id.Module + "/"
	return topics{
		telemetry: []byte(base + "messages/events"),
		filters:   []string{base + "messages/devicebound/#", base + "inputs/#", base + "#"},
	}
}

// telemetryBag returns the property bag of a telemetry topic: everything behind "events/". It reports false when the
// topic is another one.
func (t *topics) telemetryBag(topic []byte) ([]byte, bool) {
	rest, ok := bytes.CutPrefix(topic, t.telemetry)
	if !ok || len(rest) > 0 && rest[0] != '/' {
		return nil, false
	}
	if len(rest) > 0 {
		rest = rest[1:]
	}
	return rest, true
}

func (t *topics) allowsFilter(filter string) bool {
	switch filter {
	case filterTwinResponse, filterDesired, filterMethods:
		return true
	}
	for _, f := range t.filters {
		if filter == f {
			return true
		}
	}
	return false
}

// twinRequest reports whether topic asks for a twin or patches one, and returns its request id.
//
// Source: spec/device.md 5.1.
func twinRequest(topic string) (rid string, ok bool) {
	query, ok := strings.CutPrefix(topic, "$iothub/twin/GET/?")
	if !ok {
		query, ok = strings.CutPrefix(topic, "$iothub/twin/PATCH/properties/reported/?")
	}
	if !ok {
		return "", false
	}
	for part := range strings.SplitSeq(query, "&") {
		if rid, found := strings.CutPrefix(part, "$rid="); found {
			return rid, true
		}
	}
	return "", true
}
