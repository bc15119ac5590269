package twindoc

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hubward/hubward"
)

// fault is what is wrong with a text, and where. The path is gathered on the way out, so that a sound text pays nothing for it.
type fault struct {
	code  hubward.Code
	text  string
	steps []string // of the path, innermost first: ".name" or "[index]"
}

func invalid(format string, args ...any) *fault {
	return &fault{code: hubward.CodeArgumentInvalid, text: fmt.Sprintf(format, args...)}
}

// inMember says that the fault lies in the member with that canonical name, inElement in that element of an array.
func (f *fault) inMember(name []byte) *fault {
	f.steps = append(f.steps, "."+showName(name))
	return f
}

func (f *fault) inElement(i int) *fault {
	f.steps = append(f.steps, "["+strconv.Itoa(i)+"]")
	return f
}

// of returns the error for the peer that has written to a section.
func (f *fault) of(k Kind) error { return f.at(k.String(), f.code) }

// ofValue returns the error for the peer that has sent a payload.
func (f *fault) ofValue() error { return f.at("payload", hubward.CodeFormatError) }

func (f *fault) at(path string, code hubward.Code) error {
	var b strings.Builder
	b.WriteString(path)
	for i := len(f.steps) - 1; i >= 0; i-- {
		b.WriteString(f.steps[i])
	}
	return hubward.Errorf(code, "%s: %s", b.String(), f.text)
}

// showName returns a canonical name for an error text, at most 64 bytes of it and nothing that an error text cannot hold:
// clients split it at ';'.
func showName(name []byte) string {
	const most = 64
	var b strings.Builder
	for i := 0; i < len(name); {
		if name[i] == '\\' && i+1 < len(name) && (name[i+1] == '"' || name[i+1] == '\\') {
			i++
		}
		r, n := utf8.DecodeRune(name[i:])
		if b.Len()+n > most {
			return b.String() + "…"
		}
		if r == ';' || r == utf8.RuneError || !unicode.IsPrint(r) {
			r = '?'
		}
		b.WriteRune(r)
		i += n
	}
	return b.String()
}
