package twindoc

import (
	"fmt"

	"github.com/hubward/hubward"
)

// What a section may hold. A size counts names and strings by their UTF-8 bytes without control characters, numbers with 8,
// booleans with 4.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-device-twins, device twin size, tags and properties format.
const (
	maxTagsSize     = 8 << 10
	maxPropertySize = 32 << 10 // of desired and of reported properties
	maxName         = 1024     // bytes
	maxString       = 4096     // bytes
	maxObjects      = 10       // nested objects below the section; arrays do not count
	minInteger      = -4503599627370496
	maxInteger      = 4503599627370495
)

// Safety bounds of our own.
const (
	maxDepth  = 32        // nested objects and arrays
	maxNumber = 64        // characters
	maxText   = 256 << 10 // bytes of a canonical document: control characters, brackets and null cost nothing of a size
)

func (k Kind) maxSize() int {
	if k == Tags {
		return maxTagsSize
	}
	return maxPropertySize
}

// checkGrowth refuses a section that is larger than it may be, unless it is no larger than before.
func checkGrowth(k Kind, before, after *Section) error {
	if after.Size > k.maxSize() && after.Size > before.Size {
		return hubward.Errorf(hubward.CodeArgumentInvalid, "%s: it would have a size of %d, the limit is %d", k, after.Size, k.maxSize())
	}
	if len(after.Document) > maxText && len(after.Document) > len(before.Document) {
		return hubward.Errorf(hubward.CodeArgumentInvalid, "%s: its text would have %d bytes, the limit is %d", k, len(after.Document), maxText)
	}
	return nil
}

// sizeOf returns the size of a piece of canonical text: values and members.
func sizeOf(text []byte) int {
	size := 0
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '"':
			n, length := stringSize(text[i+1:])
			size += n
			i += 1 + length
		case c == '-' || c >= '0' && c <= '9':
			size += 8
			for i++; i < len(text) && isNumberByte(text[i]); i++ {
			}
		case c == 't' || c == 'f':
			size += 4
			i += len("true")
		case c == 'n':
			i += len("null")
		default: // {}[]:, and the end of false
			i++
		}
	}
	return size
}

// stringSize returns the size of the canonical string that text begins with, behind its first quote, and its length with its
// last quote.
func stringSize(text []byte) (size, length int) {
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			return size, i + 1
		case c == '\\':
			i++
			if i < len(text) && (text[i] == '"' || text[i] == '\\') {
				size++
			} else if i < len(text) && text[i] == 'u' {
				i += 4 // a control character, as the short escapes are
			}
		case c == 0x7F:
		case c == 0xC2 && i+1 < len(text) && text[i+1] < 0xA0:
			i++ // U+0080 to U+009F
		default:
			size++
		}
	}
	return size, len(text)
}

func isNumberByte(c byte) bool {
	return c >= '0' && c <= '9' || c == '.' || c == 'e' || c == 'E' || c == '+' || c == '-'
}

// nameFault says what is wrong with a name, given in canonical form and with its length; "" for nothing.
func nameFault(name []byte, length int) string {
	if length > maxName {
		return fmt.Sprintf("a name has %d bytes, the limit is %d", length, maxName)
	}
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c == '.' || c == '$' || c == '#':
			return "a name may not contain '" + string(rune(c)) + "'"
		case c == ' ':
			return "a name may not contain a blank"
		case c == 0x7F, c == 0xC2 && name[i+1] < 0xA0:
			return "a name may not contain a control character"
		case c == '\\':
			if i++; name[i] != '"' && name[i] != '\\' {
				return "a name may not contain a control character"
			}
		}
	}
	return ""
}
