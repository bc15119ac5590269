package restfront

import (
	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// Doors for the black-box tests.
var (
	AppendEvent  = appendEvent
	DecodeDevice = decodeDevice
	EventQuery   = eventQuery
	IsVersion    = isVersion
	SplitPath    = splitPath
)

// DecodeBulk is decodeBulk without the names of rows that bring a twin.
func DecodeBulk(body []byte) ([]hub.BulkItem, error) {
	items, _, err := decodeBulk(body)
	return items, err
}

// FailureStatus is the HTTP status that err gets.
func FailureStatus(err error) int { return hubward.CodeOf(err).HTTPStatus() }
