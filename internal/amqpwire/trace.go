package amqpwire

import (
	"encoding/hex"
	"strconv"
	"unicode/utf8"
)

// Limits of a line of AppendTrace, in bytes.
const (
	maxTraceLine = 8192
	maxTraceText = 200 // of a string or symbol
	maxTraceHex  = 64  // of a binary, or of what cannot be decoded
)

// AppendTrace appends one line, without a newline, that shows a frame to a person: direction, channel, performative,
// its fields that are set, and the size of a payload. It shows no initial response of a log-in and no payload: they hold
// secrets and other people's data. It never fails: what cannot be decoded is shown as hex, up to 64 bytes, unless it
// belongs to a log-in or a transfer. Strings are quoted and cut at 200 bytes, the line at 8 KiB.
//
//	<- 0 attach name="r1" handle=0 role=receiver source={address="hub/ConsumerGroups/$Default/Partitions/0" …}
func AppendTrace(dst []byte, incoming bool, frame []byte) []byte {
	start := len(dst)
	if incoming {
		dst = append(dst, "<- "...)
	} else {
		dst = append(dst, "-> "...)
	}
	dst = appendTraceFrame(dst, frame)
	if len(dst)-start <= maxTraceLine {
		return dst
	}
	end := start + maxTraceLine
	for !utf8.RuneStart(dst[end]) {
		end--
	}
	return append(dst[:end], "…"...)
}

func appendTraceFrame(dst, frame []byte) []byte {
	h, ok, err := ParseFrameHeader(frame)
	if !ok || err != nil || h.Body > len(frame) || h.Type > FrameSASL {
		dst = append(dst, "no frame, "...)
		return appendUndecoded(dst, frame, len(frame) > 5 && frame[5] == FrameSASL)
	}
	dst = strconv.AppendUint(dst, uint64(h.Channel), 10)
	body := frame[h.Body:]
	if len(body) == 0 {
		return append(dst, " empty"...)
	}
	r := NewReader(body)
	code := r.Descriptor()
	names := performativeFields(code)
	if names == nil {
		return appendUndecoded(append(dst, " unknown, "...), body, h.Type == FrameSASL)
	}
	dst = append(append(dst, ' '), names[0]...)
	list, ok := r.Value().(List)
	if !ok {
		return appendUndecoded(append(dst, " undecodable, "...), body, h.Type == FrameSASL || code == CodeTransfer || code >= CodeSASLMechanisms)
	}
	dst = appendTraceFields(dst, names[1:], list, true)
	switch {
	case code == CodeTransfer:
		dst = appendSize(append(dst, " payload="...), len(r.Rest()))
	case len(r.Rest()) > 0:
		dst = appendSize(append(dst, " extra="...), len(r.Rest()))
	}
	return dst
}

// appendUndecoded appends a size, and the bytes unless they may be secret.
func appendUndecoded(dst, b []byte, secret bool) []byte {
	dst = appendSize(dst, len(b))
	if secret {
		return dst
	}
	return appendHex(append(dst, ": "...), b)
}

func appendSize(dst []byte, n int) []byte {
	return append(strconv.AppendInt(dst, int64(n), 10), " bytes"...)
}

func appendHex(dst, b []byte) []byte {
	dst = append(dst, "0x"...)
	if len(b) > maxTraceHex {
		return append(hex.AppendEncode(dst, b[:maxTraceHex]), "…"...)
	}
	return hex.AppendEncode(dst, b)
}

// appendTraceFields appends the fields that are set as name=value.
func appendTraceFields(dst []byte, names []string, list List, space bool) []byte {
	for i, v := range list {
		if v == nil {
			continue
		}
		if space {
			dst = append(dst, ' ')
		}
		space = true
		if i >= len(names) { // unknown: it may be anything
			dst = append(dst, "and unknown fields"...)
			break
		}
		dst = append(append(dst, names[i]...), '=')
		dst = appendTraceField(dst, names[i], v)
	}
	return dst
}

// appendTraceField appends a field's value in words where it has any.
func appendTraceField(dst []byte, name string, v any) []byte {
	switch name {
	case "initial-response", "challenge", "response", "additional-data":
		text, _ := Text(v)
		return appendSize(dst, len(text))
	case "role":
		if v == true {
			return append(dst, "receiver"...)
		}
		return append(dst, "sender"...)
	case "snd-settle-mode":
		return appendWord(dst, v, "unsettled", "settled", "mixed")
	case "rcv-settle-mode":
		return appendWord(dst, v, "first", "second")
	case "message-format":
		if n, ok := Integer(v); ok && n > 0 {
			return strconv.AppendInt(append(dst, "0x"...), n, 16)
		}
	}
	return appendTraceValue(dst, name, v)
}

func appendWord(dst []byte, v any, words ...string) []byte {
	if n, ok := Integer(v); ok && n >= 0 && n < int64(len(words)) {
		return append(dst, words[n]...)
	}
	return appendTraceValue(dst, "", v)
}
