package restfront

import (
	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// Doors for the black-box tests.
var (
	AppendEvent  = appendEvent
	DecodeDevice = decodeDevice
	Describe     = describe
	EventQuery   = eventQuery
	IsVersion    = isVersion
)

// SplitPath is splitPath without what it says of the path's form.
func SplitPath(escaped string) ([]string, bool) {
	segments, _, ok := splitPath(escaped)
	return segments, ok
}

// DecodeBulk is decodeBulk without the names of rows that bring a twin.
func DecodeBulk(body []byte) ([]hub.BulkItem, error) {
	items, _, err := decodeBulk(body)
	return items, err
}

// FailureStatus is the HTTP status that err gets.
func FailureStatus(err error) int { return hubward.CodeOf(err).HTTPStatus() }
