package hub

import (
	"context"
	"time"
)

// StartKind says what a Start counts in.
type StartKind int

// The kinds of start.
const (
	StartEarliest StartKind = iota // the oldest event that is kept
	StartLatest                    // only events that are enqueued from now on
	StartSequence                  // after, or at, Start.Sequence
	StartOffset                    // the same, named by offset: only error texts differ
	StartTime                      // after, or at, Start.Time
)

// Start is a position in one partition. The zero Start is the oldest event.
type Start struct {
	Kind      StartKind
	Sequence  int64
	Time      time.Time
	Inclusive bool // the event at the position too, not only those after it
}

// ReaderOptions say what a reader reads.
type ReaderOptions struct {
	Hub           string
	ConsumerGroup string // compared without case
	Partition     int
	Start         Start
	Name          string // what error texts call the reader; empty: "nil"
	Epoch         *int64 // the owner level of an exclusive reader, 0 or more; nil: one of several
}

// Reader reads one partition for one client of the Event-Hubs-compatible endpoint. It is for one goroutine at a time,
// except Close.
type Reader struct{}

// OpenReader registers a reader. Of a partition and consumer group there are five plain readers or one exclusive one:
// an exclusive reader displaces plain ones, and an exclusive one of the same or a lower epoch.
//
// Errors: CodeNoSuchHub, CodeNoSuchConsumerGroup, CodeNoSuchPartition; CodeArgumentInvalid for a start behind the last
// event; CodeReaderDisplaced when a reader that is there has precedence; CodeReaderLimit for a sixth plain one. Their
// messages are those that SDKs look into (spec/event-hubs-endpoint.md 6.2 and 9).
func (h *Hub) OpenReader(ctx context.Context, o ReaderOptions) (*Reader, error) { panic("unwritten") }

// Read waits for an event, hands visit what there is, until visit says stop or maxBytes of data have been seen, and
// goes on after it at the next call. A record's Data is valid only during the call.
//
// Errors: ctx's; CodeReaderDisplaced when another reader took over; CodeNoSuchHub or CodeNoSuchConsumerGroup when it
// was deleted; the log's.
func (r *Reader) Read(ctx context.Context, maxBytes int, visit func(Record) (more bool)) error {
	panic("unwritten")
}

// Bounds says what the reader's partition holds now.
func (r *Reader) Bounds(ctx context.Context) (Bounds, error) { panic("unwritten") }

// Close gives the reader's place free. It may be called more than once.
func (r *Reader) Close() { panic("unwritten") }

// PartitionBounds says what a partition holds now. Errors: CodeNoSuchHub, CodeNoSuchPartition.
func (h *Hub) PartitionBounds(ctx context.Context, hub string, partition int) (Bounds, error) {
	panic("unwritten")
}
