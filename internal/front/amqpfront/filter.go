package amqpfront

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/hub"
)

// selectorFilter is the key of the one filter that readers use, and its registered descriptor, beside a number. Event
// Hubs clients agree on the key and describe the value as they like; plain AMQP libraries call it "selector" or
// "jms-selector" and describe it as registered. Either is enough.
//
// Source: Azure/azure-sdk-for-net sdk/eventhub AmqpFilter.cs; Azure/azure-sdk-for-go sdk/messaging/azeventhubs;
// Azure/azure-event-hubs-node send_receive/lib/client.js (0.0.8).
const (
	selectorFilter     = "apache.org:selector-filter:string"
	selectorDescriptor = uint64(0x468C00000004)
)

// isSelector reports whether an entry of a filter set is the one that we know.
func isSelector(e amqpwire.Entry) bool {
	if key, _ := amqpwire.Text(e.Key); strings.EqualFold(key, selectorFilter) {
		return true
	}
	d, ok := e.Value.(amqpwire.Described)
	return ok && (d.Descriptor == amqpwire.Symbol(selectorFilter) || d.Descriptor == selectorDescriptor)
}

// badPosition is the error of a selector whose value is no position. The partition's last one belongs into the text,
// which whoever knows the partition adds.
type badPosition struct{ what, value string }

func (e *badPosition) Error() string {
	return fmt.Sprintf("the %s %.64q is no position", e.what, e.value)
}

// text is what the client reads. SDKs look into it.
func (e *badPosition) text(last string) string {
	return fmt.Sprintf("The supplied %s '%.64s' is invalid. The last %s in the system is '%s'", e.what, e.value, e.what, last)
}

// positionOf reads the filter of a reader's source. Without one a reader gets all there is.
//
// Errors: *badPosition, *amqpwire.Error.
func positionOf(filter amqpwire.Map) (hub.Position, error) {
	var position hub.Position
	for _, e := range filter {
		if !isSelector(e) {
			key, _ := amqpwire.Text(e.Key)
			return position, notImplemented("the filter %.64q is not supported, only %s is", key, selectorFilter)
		}
		value := e.Value
		if d, ok := value.(amqpwire.Described); ok {
			value = d.Value
		}
		if value == nil {
			continue
		}
		text, ok := amqpwire.Text(value)
		if !ok {
			return position, notImplemented("the filter %s is no string", selectorFilter)
		}
		var err error
		if position, err = parseSelector(text); err != nil {
			return position, err
		}
	}
	return position, nil
}

// parseSelector reads "amqp.annotation.{name} {>|>=} {value}", with or without quotes and spaces, in any case.
func parseSelector(text string) (hub.Position, error) {
	name, value, inclusive, ok := splitSelector(text)
	if !ok {
		return hub.Position{}, notImplemented("the filter expression %.200q is not supported, only one comparison of an annotation by > or >= is", text)
	}
	switch {
	case strings.EqualFold(name, "x-opt-offset"):
		return offsetPosition(value, inclusive)
	case strings.EqualFold(name, "x-opt-sequence-number"):
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return hub.Position{}, &badPosition{"sequence number", value}
		}
		return hub.Position{Kind: hub.PositionSequence, Sequence: n, Inclusive: inclusive}, nil
	case strings.EqualFold(name, "x-opt-enqueued-time"), strings.EqualFold(name, "x-opt-enqueuedtimeutc"):
		ms, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return hub.Position{}, argumentError("the time '%.64s' in the filter is not a number of milliseconds since 1970", value)
		}
		return hub.Position{Kind: hub.PositionTime, Time: time.UnixMilli(ms).UTC(), Inclusive: inclusive}, nil
	}
	return hub.Position{}, notImplemented("the filter expression %.200q compares an annotation that is no position", text)
}

// offsetPosition knows the two words that are offsets: -1, the start, and @latest, the end as it is now.
func offsetPosition(value string, inclusive bool) (hub.Position, error) {
	switch {
	case value == "-1":
		return hub.Position{}, nil
	case strings.EqualFold(value, "@latest"):
		return hub.Position{Kind: hub.PositionLatest, Inclusive: inclusive}, nil
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 {
		return hub.Position{}, &badPosition{"offset", value}
	}
	return hub.Position{Kind: hub.PositionOffset, Sequence: n, Inclusive: inclusive}, nil
}

const selectorPrefix = "amqp.annotation."

func splitSelector(text string) (name, value string, inclusive, ok bool) {
	text = strings.TrimSpace(text)
	if len(text) < len(selectorPrefix) || !strings.EqualFold(text[:len(selectorPrefix)], selectorPrefix) {
		return "", "", false, false
	}
	name, value, ok = strings.Cut(text[len(selectorPrefix):], ">")
	if !ok {
		return "", "", false, false
	}
	name = strings.TrimSpace(name)
	value, inclusive = strings.CutPrefix(value, "=")
	value = strings.TrimSpace(value)
	if n := len(value); n >= 2 && (value[0] == '\'' || value[0] == '"') && value[n-1] == value[0] {
		value = value[1 : n-1]
	}
	if name == "" || value == "" || strings.ContainsAny(value, " \t\r\n'\"<>=") {
		return "", "", false, false
	}
	return name, value, inclusive, true
}
