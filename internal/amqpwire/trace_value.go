package amqpwire

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"
)

// appendTraceValue appends any value. field is the name of the field that it stands in.
func appendTraceValue(dst []byte, field string, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...)
	case string:
		return appendQuoted(dst, v)
	case Symbol:
		if isPlain(string(v)) {
			return append(dst, v...)
		}
		return appendQuoted(dst, string(v))
	case []byte:
		return appendHex(dst, v)
	case Decimal:
		return appendHex(dst, v)
	case UUID:
		for i, part := range [...][]byte{v[:4], v[4:6], v[6:8], v[8:10], v[10:]} {
			if i > 0 {
				dst = append(dst, '-')
			}
			dst = hex.AppendEncode(dst, part)
		}
		return dst
	case time.Time:
		return v.AppendFormat(dst, "2006-01-02T15:04:05.000Z07:00")
	case Char:
		return strconv.AppendQuoteRune(dst, rune(v))
	case List:
		return appendTraceList(dst, v)
	case Array:
		return appendTraceList(dst, v)
	case Map:
		return appendTraceMap(dst, v)
	case Described:
		return appendTraceDescribed(dst, field, v)
	}
	return fmt.Append(dst, v) // booleans and numbers
}

func appendQuoted(dst []byte, s string) []byte {
	if len(s) <= maxTraceText {
		return strconv.AppendQuote(dst, s)
	}
	end := maxTraceText
	for end > maxTraceText-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return append(strconv.AppendQuote(dst, s[:end]), "…"...)
}

// isPlain reports whether a symbol can stand without quotes.
func isPlain(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || c == '"' || c == '=' || c == '{' || c == '}' || c == '[' || c == ']' {
			return false
		}
	}
	return len(s) > 0 && len(s) <= maxTraceText
}

func appendTraceList(dst []byte, items []any) []byte {
	dst = append(dst, '[')
	for i, item := range items {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = appendTraceValue(dst, "", item)
	}
	return append(dst, ']')
}

func appendTraceMap(dst []byte, m Map) []byte {
	dst = append(dst, '{')
	for i, e := range m {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = append(appendTraceValue(dst, "", e.Key), '=')
		dst = appendTraceValue(dst, "", e.Value)
	}
	return append(dst, '}')
}

// appendTraceDescribed appends a part of a performative as name{fields}, without the name in a field of that name, and
// any other described value as descriptor(value).
func appendTraceDescribed(dst []byte, field string, d Described) []byte {
	var code byte
	switch descriptor := d.Descriptor.(type) {
	case uint64:
		code = known(descriptor)
	case Symbol:
		code = codeOf([]byte(descriptor))
	}
	list, ok := d.Value.(List)
	if names := partFields(code); names != nil && ok {
		if names[0] != field {
			dst = append(dst, names[0]...)
			if len(list) == 0 {
				return dst
			}
		}
		return append(appendTraceFields(append(dst, '{'), names[1:], list, false), '}')
	}
	if n, ok := d.Descriptor.(uint64); ok {
		dst = strconv.AppendUint(append(dst, "0x"...), n, 16)
	} else {
		dst = appendTraceValue(dst, "", d.Descriptor)
	}
	return append(appendTraceValue(append(dst, '('), "", d.Value), ')')
}

// performativeFields returns the name of a performative and those of its fields; nil for an unknown one.
func performativeFields(code byte) []string {
	switch code {
	case CodeOpen:
		return []string{"open", "container-id", "hostname", "max-frame-size", "channel-max", "idle-time-out",
			"outgoing-locales", "incoming-locales", "offered-capabilities", "desired-capabilities", "properties"}
	case CodeBegin:
		return []string{"begin", "remote-channel", "next-outgoing-id", "incoming-window", "outgoing-window", "handle-max",
			"offered-capabilities", "desired-capabilities", "properties"}
	case CodeAttach:
		return []string{"attach", "name", "handle", "role", "snd-settle-mode", "rcv-settle-mode", "source", "target",
			"unsettled", "incomplete-unsettled", "initial-delivery-count", "max-message-size", "offered-capabilities",
			"desired-capabilities", "properties"}
	case CodeFlow:
		return []string{"flow", "next-incoming-id", "incoming-window", "next-outgoing-id", "outgoing-window", "handle",
			"delivery-count", "link-credit", "available", "drain", "echo", "properties"}
	case CodeTransfer:
		return []string{"transfer", "handle", "delivery-id", "delivery-tag", "message-format", "settled", "more",
			"rcv-settle-mode", "state", "resume", "aborted", "batchable"}
	case CodeDisposition:
		return []string{"disposition", "role", "first", "last", "settled", "state", "batchable"}
	case CodeDetach:
		return []string{"detach", "handle", "closed", "error"}
	case CodeEnd:
		return []string{"end", "error"}
	case CodeClose:
		return []string{"close", "error"}
	case CodeSASLMechanisms:
		return []string{"sasl-mechanisms", "sasl-server-mechanisms"}
	case CodeSASLInit:
		return []string{"sasl-init", "mechanism", "initial-response", "hostname"}
	case CodeSASLChallenge:
		return []string{"sasl-challenge", "challenge"}
	case CodeSASLResponse:
		return []string{"sasl-response", "response"}
	case CodeSASLOutcome:
		return []string{"sasl-outcome", "code", "additional-data"}
	}
	return nil
}

// partFields is performativeFields for what stands inside them.
func partFields(code byte) []string {
	switch code {
	case codeError:
		return []string{"error", "condition", "description", "info"}
	case codeReceived:
		return []string{"received", "section-number", "section-offset"}
	case codeAccepted:
		return []string{"accepted"}
	case codeRejected:
		return []string{"rejected", "error"}
	case codeReleased:
		return []string{"released"}
	case codeModified:
		return []string{"modified", "delivery-failed", "undeliverable-here", "message-annotations"}
	case codeSource:
		return []string{"source", "address", "durable", "expiry-policy", "timeout", "dynamic", "dynamic-node-properties",
			"distribution-mode", "filter", "default-outcome", "outcomes", "capabilities"}
	case codeTarget:
		return []string{"target", "address", "durable", "expiry-policy", "timeout", "dynamic", "dynamic-node-properties",
			"capabilities"}
	case codeCoordinator:
		return []string{"coordinator", "capabilities"}
	}
	return nil
}
