package restfront

import "github.com/hubward/hubward"

// Doors for the black-box tests.
var (
	AppendEvent  = appendEvent
	DecodeDevice = decodeDevice
	DecodeMethod = decodeMethod
	DecodeModule = decodeModule
	DecodeTwin   = decodeTwin
	Describe     = describe
	EventQuery   = eventQuery
	IsVersion    = isVersion
)

// SplitPath is splitPath without what it says of the path's form.
func SplitPath(escaped string) ([]string, bool) {
	segments, _, ok := splitPath(escaped)
	return segments, ok
}

// DecodeBulk reads the rows of a bulk call.
var DecodeBulk = decodeBulk

// FailureStatus is the HTTP status that err gets.
func FailureStatus(err error) int { return hubward.CodeOf(err).HTTPStatus() }

// DecodeScope returns the device on whose behalf a call is.
func DecodeScope(body []byte) (origin string, err error) {
	b, err := decodeScope(body)
	return b.origin(), err
}
