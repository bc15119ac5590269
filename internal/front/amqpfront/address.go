package amqpfront

import (
	"net/url"
	"strings"

	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpengine"
)

// family is the addresses of one kind: how they are written, what a link to one of them requires, and who serves it.
type family struct {
	pattern  string
	requires func(c *conn, a *address) requirement // nil: no log-in
	fromPeer handler                               // the peer sends; nil: refused
	toPeer   handler                               // the peer receives; nil: refused

	segments pattern // pattern taken apart
}

// handler serves a link: it accepts it, or returns the error that refuses it.
type handler func(c *conn, l *amqpengine.Link, a *address) *amqpwire.Error

// addressTable is all families. The first one that an address matches counts, the last one takes what is left.
type addressTable []family

func newAddressTable() addressTable {
	table := addressTable{
		{pattern: "$cbs", fromPeer: attachCBS, toPeer: attachCBS},

		{pattern: "{identity}/messages/events", requires: deviceConnect, fromPeer: attachTelemetry, toPeer: attachModuleInput},
		{pattern: "{identity}/messages/devicebound", requires: deviceConnect, toPeer: attachDeviceBound},
		{pattern: "{identity}/methods/devicebound", requires: deviceConnect, fromPeer: attachMethods, toPeer: attachMethods},
		{pattern: "{identity}/twin", requires: deviceConnect, fromPeer: attachTwin, toPeer: attachTwin},
		{pattern: "{identity}/streams", requires: deviceConnect, fromPeer: attachWaiting, toPeer: attachWaiting},

		{pattern: "messages/devicebound", requires: serviceConnect, fromPeer: attachServiceSend},
		{pattern: "messages/serviceBound/feedback", requires: serviceConnect, toPeer: attachFeedback},
		{pattern: "messages/serviceBound/filenotifications", requires: serviceConnect, toPeer: attachFileNotifications},

		{pattern: "messages/events/…", requires: serviceConnect, fromPeer: redirect, toPeer: redirect},
		{pattern: "messages/operationsMonitoringEvents/…", requires: serviceConnect, fromPeer: redirect, toPeer: redirect},
		{pattern: "{eventHub}/ConsumerGroups/{group}/Partitions/{partition}", requires: readEvents, toPeer: attachReader},
		{pattern: "{eventHub}", requires: readEvents, fromPeer: refuseSender},
		{pattern: "{eventHub}/Partitions/{partition}", requires: readEvents, fromPeer: refuseSender},
		{pattern: "$management", fromPeer: attachManagement, toPeer: attachManagement},
		{pattern: "{eventHub}/$management", fromPeer: attachManagement, toPeer: attachManagement},

		{pattern: "…", requires: anyPrincipal, fromPeer: noSuchEntity, toPeer: noSuchEntity},
	}
	for i := range table {
		table[i].segments = strings.Split(table[i].pattern, "/")
	}
	return table
}

// maxAddress bounds an address, in bytes: a device and a module id of 128 characters, all of them encoded, and a host
// name fit with room to spare.
const maxAddress = 2048

// address is the address of a link, taken apart.
type address struct {
	family *family
	path   []string // its segments below the host, decoded
	captured
	rest string // what stands where the pattern ends with "…", byte for byte
}

// parse takes any text apart. It may be a path, with or without a slash before it, or a whole URI: clients write all
// three.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-amqp-support; whole URIs: Azure/azure-iot-sdk-csharp
// iothub/device/src/Transport/AmqpIot/AmqpIotConstants.cs; readers: azeventhubs, azure-eventhub.
func (t addressTable) parse(text string) address {
	last := len(t) - 1
	raw, ok := pathOf(text)
	if !ok {
		return address{family: &t[last]}
	}
	segments := strings.Split(strings.TrimRight(raw, "/"), "/")
	path := make([]string, len(segments))
	for i, s := range segments {
		path[i] = decodeSegment(s)
	}
	for i := range t[:last] {
		if c, ok := t[i].segments.match(path); ok {
			return address{family: &t[i], path: path, captured: c, rest: restOf(raw, c.restAt)}
		}
	}
	return address{family: &t[last], path: path}
}

// restOf returns what follows the first n segments of a path; nothing for none.
func restOf(raw string, n int) string {
	if n == 0 {
		return ""
	}
	for range n {
		_, raw, _ = strings.Cut(raw, "/")
	}
	return raw
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
