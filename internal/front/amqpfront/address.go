package amqpfront

import (
	"net/url"
	"strings"

	"github.com/hubward/hubward"
)

// kind is what an address names. The table of services says how each kind is served.
type kind int

// The kinds. In {braces} stands what a client fills in; words are compared without case.
const (
	kindUnknown           kind = iota
	kindCBS                    // $cbs
	kindManagement             // $management, {eh}/$management
	kindEvents                 // messages/events…, messages/operationsMonitoringEvents…
	kindPartition              // {eh}/ConsumerGroups/{group}/Partitions/{id}
	kindEventHub               // {eh}, {eh}/Partitions/{id}
	kindTelemetry              // devices/{d}/messages/events, devices/{d}/modules/{m}/messages/events
	kindDeviceBound            // …/messages/devicebound of a device or module
	kindTwin                   // …/twin
	kindMethods                // …/methods/devicebound
	kindStreams                // …/streams
	kindServiceSend            // messages/devicebound
	kindFeedback               // messages/serviceBound/feedback
	kindFileNotifications      // messages/serviceBound/filenotifications
)

// maxAddress bounds an address, in bytes: a device and a module id of 128 characters, all of them encoded, and a host
// name fit with room to spare.
const maxAddress = 2048

// address is the address of a link, taken apart.
type address struct {
	kind      kind
	path      []string         // its segments below the host, decoded
	entity    string           // of event hub kinds and of $management: the event hub's name as written; may be empty for the latter
	group     string           // of kindPartition
	partition string           // of kindPartition, and of kindEventHub if it names one
	device    hubward.Identity // of the device kinds
	rest      string           // of kindEvents: what followed the word, byte for byte

	scope string // of the grant that a link to it stands on; set once that is known
}

// parseAddress takes any text apart. It may be a path, with or without a slash before it, or a whole URI: clients write
// all three.
//
// Source: spec/amqp.md 5.1 and 6, spec/event-hubs-endpoint.md 6.1.
func parseAddress(text string) address {
	raw, ok := pathOf(text)
	if !ok {
		return address{}
	}
	segments := strings.Split(strings.TrimRight(raw, "/"), "/")
	a := address{path: make([]string, len(segments))}
	for i, s := range segments {
		a.path[i] = decodeSegment(s)
	}
	switch {
	case a.is(0, "messages"):
		a.parseService(raw)
	case a.is(0, "devices"):
		a.parseDevice()
	case a.is(len(a.path)-1, "$management") && len(a.path) <= 2:
		a.kind = kindManagement
		if len(a.path) == 2 {
			a.entity = a.path[0]
		}
	case a.is(0, "$cbs") && len(a.path) == 1:
		a.kind = kindCBS
	default:
		a.parseEventHub()
	}
	return a
}

// pathOf drops scheme and host, and one slash.
func pathOf(text string) (string, bool) {
	if len(text) > maxAddress {
		return "", false
	}
	if scheme, after, ok := strings.Cut(text, "://"); ok && isScheme(scheme) {
		_, text, _ = strings.Cut(after, "/")
	} else {
		text = strings.TrimPrefix(text, "/")
	}
	return text, text != ""
}

func isScheme(text string) bool {
	for i := range len(text) {
		if c := text[i] | 0x20; c < 'a' || c > 'z' {
			return false
		}
	}
	return text != ""
}

// decodeSegment decodes once. What is not percent-encoded stays as it is: some clients write ids raw, and '%' is legal in
// an id.
func decodeSegment(s string) string {
	if d, err := url.PathUnescape(s); err == nil {
		return d
	}
	return s
}

// is reports whether segment i is word.
func (a *address) is(i int, word string) bool {
	return i >= 0 && i < len(a.path) && strings.EqualFold(a.path[i], word)
}

// ends reports whether the segments from i on are words and there are no others.
func (a *address) ends(i int, words ...string) bool {
	if len(a.path) != i+len(words) {
		return false
	}
	for k, w := range words {
		if !a.is(i+k, w) {
			return false
		}
	}
	return true
}

// parseService parses messages/…
func (a *address) parseService(raw string) {
	switch {
	case a.is(1, "events"), a.is(1, "operationsMonitoringEvents"):
		a.kind = kindEvents
		_, rest, _ := strings.Cut(raw, "/")
		_, a.rest, _ = strings.Cut(rest, "/")
	case a.ends(1, "devicebound"):
		a.kind = kindServiceSend
	case a.ends(1, "servicebound", "feedback"):
		a.kind = kindFeedback
	case a.ends(1, "servicebound", "filenotifications"):
		a.kind = kindFileNotifications
	}
}

// parseDevice parses devices/{d}/… and devices/{d}/modules/{m}/…
func (a *address) parseDevice() {
	if len(a.path) < 3 || a.path[1] == "" {
		return
	}
	at := 2
	a.device.Device = a.path[1]
	if a.is(2, "modules") && len(a.path) > 4 && a.path[3] != "" {
		a.device.Module = a.path[3]
		at = 4
	}
	switch {
	case a.ends(at, "messages", "events"):
		a.kind = kindTelemetry
	case a.ends(at, "messages", "devicebound"):
		a.kind = kindDeviceBound
	case a.ends(at, "twin"):
		a.kind = kindTwin
	case a.ends(at, "methods", "devicebound"):
		a.kind = kindMethods
	case a.ends(at, "streams"):
		a.kind = kindStreams
	default:
		a.device = hubward.Identity{}
	}
}

// parseEventHub parses {eh}, {eh}/Partitions/{id} and {eh}/ConsumerGroups/{group}/Partitions/{id}.
func (a *address) parseEventHub() {
	if name := a.path[0]; name == "" || strings.HasPrefix(name, "$") {
		return
	}
	switch {
	case len(a.path) == 1:
		a.kind = kindEventHub
	case len(a.path) == 3 && a.is(1, "partitions"):
		a.kind, a.partition = kindEventHub, a.path[2]
	case len(a.path) == 5 && a.is(1, "consumergroups") && a.is(3, "partitions"):
		a.kind, a.group, a.partition = kindPartition, a.path[2], a.path[4]
	default:
		return
	}
	a.entity = a.path[0]
}
