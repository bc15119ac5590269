package replaytest

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hubward/hubward/internal/amqpwire"
)

// textOf shows a protocol header or a frame; of a transfer of the hub's also the message, as far as it is in this frame.
func textOf(from string, unit []byte) string {
	if len(unit) == amqpwire.HeaderSize && string(unit[:4]) == amqpwire.HeaderAMQP[:4] {
		return fmt.Sprintf("header %d %d.%d.%d", unit[4], unit[5], unit[6], unit[7])
	}
	text := string(amqpwire.AppendTrace(nil, from == fromClient, unit)[len("-> "):])
	if from == fromClient {
		return text
	}
	text += shapeOf(unit)
	if payload, ok := payloadOf(unit); ok {
		text += " message=" + showMessage(payload)
	}
	return mask(text)
}

// shapeOf tells how many fields a frame has, those included that are null, and the same of what is described in them:
// pyamqp counts on every field being there.
func shapeOf(frame []byte) string {
	h, ok, err := amqpwire.ParseFrameHeader(frame)
	if !ok || err != nil {
		return ""
	}
	r := amqpwire.NewReader(frame[h.Body:])
	if r.Descriptor(); !r.More() {
		return ""
	}
	list, _ := r.Value().(amqpwire.List)
	return " fields=" + shape(list)
}

func shape(list amqpwire.List) string {
	text := strconv.Itoa(len(list))
	for _, v := range list {
		if d, ok := v.(amqpwire.Described); ok {
			if inner, ok := d.Value.(amqpwire.List); ok {
				text += "(" + shape(inner) + ")"
			}
		}
	}
	return text
}

// payloadOf returns what a transfer carries.
func payloadOf(frame []byte) ([]byte, bool) {
	h, ok, err := amqpwire.ParseFrameHeader(frame)
	if !ok || err != nil || h.Type != amqpwire.FrameAMQP {
		return nil, false
	}
	r := amqpwire.NewReader(frame[h.Body:])
	if r.Descriptor() != amqpwire.CodeTransfer {
		return nil, false
	}
	r.Skip()
	return r.Rest(), r.Err() == nil
}

// The parts of a frame's text that are no matter of one link, and those that are different each time: how links share
// the numbers of a session, and the tags.
var masked = []*regexp.Regexp{
	regexp.MustCompile(`( delivery-id=)\d+`),
	regexp.MustCompile(`( delivery-tag=)0x[0-9a-f]+`),
	regexp.MustCompile(`( flow\b.* next-incoming-id=)\d+`),
	regexp.MustCompile(`( flow\b.* incoming-window=)\d+`),
	regexp.MustCompile(`( flow\b.* next-outgoing-id=)\d+`),
	regexp.MustCompile(`( flow\b.* outgoing-window=)\d+`),
}

func mask(text string) string {
	for _, m := range masked {
		text = m.ReplaceAllString(text, "${1}*")
	}
	return text
}

// sections are the names of a message's, by descriptor less 0x70.
var sections = [...]string{
	"header", "delivery-annotations", "message-annotations", "properties", "application-properties", "data", "sequence", "value", "footer",
}

// showMessage shows all there is in a message, with the types of numbers: a client may insist on one.
func showMessage(payload []byte) string {
	var text strings.Builder
	r := amqpwire.NewReader(payload)
	for r.More() {
		section, ok := r.Value().(amqpwire.Described)
		code, isNumber := section.Descriptor.(uint64)
		if !ok || !isNumber || code < 0x70 || int(code-0x70) >= len(sections) {
			return text.String() + fmt.Sprintf("[no section, %d bytes left]", len(r.Rest()))
		}
		fmt.Fprintf(&text, "[%s %s]", sections[code-0x70], show(section.Value))
	}
	return text.String()
}

func show(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return strconv.Quote(v)
	case amqpwire.Symbol:
		return "'" + string(v) + "'"
	case []byte:
		if utf8.Valid(v) {
			return "b" + strconv.Quote(string(v))
		}
		return fmt.Sprintf("0x%x", v)
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	case bool:
		return strconv.FormatBool(v)
	case amqpwire.List:
		return "[" + showAll(v) + "]"
	case amqpwire.Array:
		return "array[" + showAll(v) + "]"
	case amqpwire.Map:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = show(e.Key) + "=" + show(e.Value)
		}
		return "{" + strings.Join(parts, " ") + "}"
	case amqpwire.Described:
		return show(v.Descriptor) + "(" + show(v.Value) + ")"
	}
	return fmt.Sprintf("%T(%v)", v, v)
}

func showAll(items []any) string {
	parts := make([]string, len(items))
	for i, item := range items {
		parts[i] = show(item)
	}
	return strings.Join(parts, " ")
}

// What the text of a frame says about where it belongs.
var (
	inLink        = regexp.MustCompile(`^(\d+) (?:attach|flow|transfer|detach)\b.*? handle=(\d+)`)
	inSession     = regexp.MustCompile(`^(\d+) (begin|end|flow)\b`)
	inDisposition = regexp.MustCompile(`^(\d+) disposition role=(\w+) first=(\d+)(?: last=(\d+))?(.*)$`)
)

// stream says which of the hub's streams a frame belongs to: that of a link, of a session or of the connection. A
// heartbeat belongs to none.
func stream(text string) string {
	if m := inLink.FindStringSubmatch(text); m != nil {
		return "channel " + m[1] + " handle " + m[2]
	}
	if m := inDisposition.FindStringSubmatch(text); m != nil {
		return "channel " + m[1] + " settled as " + m[2]
	}
	if m := inSession.FindStringSubmatch(text); m != nil {
		if m[2] == "flow" {
			return "" // of the session alone: the window
		}
		return "channel " + m[1]
	}
	if strings.HasSuffix(text, " empty") {
		return ""
	}
	return "connection"
}

// single splits a disposition into one line for each delivery; any other frame stays as it is.
func single(text string) []string {
	m := inDisposition.FindStringSubmatch(text)
	if m == nil {
		return []string{text}
	}
	first, errFirst := strconv.Atoi(m[3])
	last, errLast := first, error(nil)
	if m[4] != "" {
		last, errLast = strconv.Atoi(m[4])
	}
	if errFirst != nil || errLast != nil || last-first > 10_000 {
		return []string{text}
	}
	var all []string
	for n := first; n <= last; n++ {
		all = append(all, fmt.Sprintf("%s disposition role=%s of %d%s", m[1], m[2], n, m[5]))
	}
	return all
}

// streams sorts what the hub has said by stream.
func streams(texts []string) map[string][]string {
	all := map[string][]string{}
	for _, text := range texts {
		if key := stream(text); key != "" {
			all[key] = append(all[key], single(text)...)
		}
	}
	return all
}
