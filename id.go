package hubward

import (
	"fmt"
	"strings"
)

// MaxIDLength is the longest device or module id, in bytes.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-identity-registry.
const MaxIDLength = 128

// idMarks are the characters other than ASCII letters and digits that an id may hold.
const idMarks = "-:.+%_#*?!(),=@;$'"

// Identity names who is connected: a device, or a module of a device. The zero Module means the device itself.
// Identities are compared byte for byte: ids are case-sensitive.
type Identity struct {
	Device string
	Module string
}

// String returns "device" or "device/module", the form of the MQTT client id.
func (i Identity) String() string {
	if i.Module == "" {
		return i.Device
	}
	return i.Device + "/" + i.Module
}

// ValidateID reports whether id is a legal device or module id: 1 to 128 ASCII letters, digits and - : . + % _ # * ?
// ! ( ) , = @ ; $ '. The error says which character is wrong and has CodeArgumentInvalid.
func ValidateID(id string) error {
	if id == "" || len(id) > MaxIDLength {
		return Errorf(CodeArgumentInvalid, "an id has 1 to %d characters, this one has %d", MaxIDLength, len(id))
	}
	for i := range len(id) {
		if c := id[i]; !isAlphanumeric(c) && strings.IndexByte(idMarks, c) < 0 {
			return Errorf(CodeArgumentInvalid, "an id may not hold the character %s", quoteByte(c))
		}
	}
	return nil
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// quoteByte prints one byte of untrusted input without letting it break a header, a log line or the error text, in
// which SDKs give ';' a meaning of its own.
func quoteByte(c byte) string {
	if c <= ' ' || c >= 0x7f || c == ';' {
		return fmt.Sprintf("0x%02x", c)
	}
	return "'" + string(rune(c)) + "'"
}
