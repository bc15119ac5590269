package pebblelog

// What tests look at from outside.
var (
	DecodeRecord   = decodeRecord
	PutRecord      = putRecord
	EventKey       = eventKey
	PartitionStart = appendPartition
	MarkerKey      = appendMarkerKey
	ParseEventKey  = parseEventKey
	TableBorder    = tableBorder
	FormatKey      = formatKey
)

const (
	RecordHeader = recordHeader
	MaxTailBytes = maxTailBytes
)
