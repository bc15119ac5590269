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
// Source: spec/event-hubs-endpoint.md 6.2.
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

// startOf reads the filter of a reader's source. Without one a reader gets all there is.
//
// Errors: *badPosition, *amqpwire.Error.
func startOf(filter amqpwire.Map) (hub.Start, error) {
	var start hub.Start
	for _, e := range filter {
		if !isSelector(e) {
			key, _ := amqpwire.Text(e.Key)
			return start, notImplemented("the filter %.64q is not supported, only %s is", key, selectorFilter)
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
			return start, notImplemented("the filter %s is no string", selectorFilter)
		}
		var err error
		if start, err = parseSelector(text); err != nil {
			return start, err
		}
	}
	return start, nil
}

// parseSelector reads "amqp.annotation.{name} {>|>=} {value}", with or without quotes and spaces, in any case.
func parseSelector(text string) (hub.Start, error) {
	name, value, inclusive, ok := splitSelector(text)
	if !ok {
		return hub.Start{}, notImplemented("the filter expression %.200q is not supported, only one comparison of an annotation by > or >= is", text)
	}
	switch {
	case strings.EqualFold(name, "x-opt-offset"):
		return offsetStart(value, inclusive)
	case strings.EqualFold(name, "x-opt-sequence-number"):
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return hub.Start{}, &badPosition{"sequence number", value}
		}
		return hub.Start{Kind: hub.StartSequence, Sequence: n, Inclusive: inclusive}, nil
	case strings.EqualFold(name, "x-opt-enqueued-time"), strings.EqualFold(name, "x-opt-enqueuedtimeutc"):
		ms, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return hub.Start{}, argumentError("the time '%.64s' in the filter is not a number of milliseconds since 1970", value)
		}
		return hub.Start{Kind: hub.StartTime, Time: time.UnixMilli(ms).UTC(), Inclusive: inclusive}, nil
	}
	return hub.Start{}, notImplemented("the filter expression %.200q compares an annotation that is no position", text)
}

// offsetStart knows the two words that are offsets: -1, the start, and @latest, the end as it is now.
func offsetStart(value string, inclusive bool) (hub.Start, error) {
	switch {
	case value == "-1":
		return hub.Start{}, nil
	case strings.EqualFold(value, "@latest"):
		return hub.Start{Kind: hub.StartLatest, Inclusive: inclusive}, nil
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 {
		return hub.Start{}, &badPosition{"offset", value}
	}
	return hub.Start{Kind: hub.StartOffset, Sequence: n, Inclusive: inclusive}, nil
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
