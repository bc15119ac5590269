package hub

import (
	"context"
	"fmt"
	"time"
)

// Partition names one partition of one endpoint of a hub.
type Partition struct {
	Hub      string
	Endpoint Endpoint
	ID       int
}

// String returns hub, endpoint and number with slashes between them.
func (p Partition) String() string { return fmt.Sprintf("%s/%s/%d", p.Hub, p.Endpoint, p.ID) }

// Endpoint names what a hub's events are appended to and read from: 1 to 50 lower-case letters, digits and hyphens.
type Endpoint string

const (
	// EndpointEvents is telemetry: the built-in, Event-Hubs-compatible endpoint.
	EndpointEvents Endpoint = "events"
	// EndpointHubEvents is what the hub itself reports: life cycle, connection state, twin changes. It is kept whether or
	// not a route leads it anywhere, and Event Hubs clients cannot read it.
	EndpointHubEvents Endpoint = "hub-events"
)

// EventLog keeps events: per partition, a sequence of encoded events with dense sequence numbers from 0. The
// contract is tested by logtest.
//
//	I1: an event is visible to readers, and its producer told so, only once it is durable.
//	I2: a sequence number is never used twice, nor left out, whatever crashes.
//	I3: enqueued times never go back inside a partition.
type EventLog interface {
	// Producer returns a producer on p. done runs after a shared commit, once for each commit that held events of this
	// producer: its n oldest unconfirmed events are durable, or, with an error, are not known to be. Calls of done
	// follow one another in order and must not block: they run on the committer's goroutine.
	Producer(p Partition, done func(n int, err error)) Producer
	// Bounds says what p holds now.
	Bounds(ctx context.Context, p Partition) (Bounds, error)
	// Seek returns the sequence number of the first event that was enqueued at or after t; the number that the next
	// event will get when all are older.
	Seek(ctx context.Context, p Partition, t time.Time) (int64, error)
	// All that reads returns a DamageError for what cannot be read as it was written. Seek goes round it where it can.
	//
	// Read hands visit the events of p from sequence number from on, in order, until visit says stop, maxBytes of data
	// have been seen, or there are no more; at least one event is handed out if there is one. It starts at the oldest
	// event if from is below it. The record's Data is valid only during the call. It returns the sequence number to go on from.
	Read(ctx context.Context, p Partition, from int64, maxBytes int, visit func(Record) (more bool)) (next int64, err error)
	// Wait returns when p holds an event with sequence number from or above, with ctx's error, or with CodeNoSuchHub when
	// the hub is dropped meanwhile, also if there is a new one of its name by then. The log does not know which hubs there
	// are: a Wait that begins after the Drop waits for the events of that new one.
	Wait(ctx context.Context, p Partition, from int64) error
	// Trim deletes the events of p that were enqueued before t, from the oldest on.
	Trim(ctx context.Context, p Partition, t time.Time) error
	// Drop deletes all events of a hub, and the memory of its sequence numbers. It ends what waits for more of them; its
	// producers fail with CodeNoSuchHub from then on. A hub of the same name starts with nothing.
	Drop(ctx context.Context, hub string) error
	// Hubs returns the names of the hubs of which the log holds events, or remembers sequence numbers, in order.
	Hubs(ctx context.Context) ([]string, error)
	// Ping makes one durable write: the readiness probe.
	Ping(ctx context.Context) error
	// Failed is closed once the log takes no more events until the process is started again, as after a write to a full disk;
	// Ping says why. Nil: that cannot be.
	Failed() <-chan struct{}
	// Damage lists the partitions in which something is known to be unreadable, with the first finding in each: what readers
	// or the engine itself have met since the log was opened, and what was not deleted since.
	Damage() []*DamageError
}

// Producer appends the events of one connection to one partition. It is for one goroutine at a time.
type Producer interface {
	// Append queues one encoded event and copies data. It blocks while the log's queue is full, until ctx ends. After an
	// error nothing was queued; otherwise done will account for the event exactly once.
	Append(ctx context.Context, data []byte) error
}

// Record is one event as the log keeps it. Data is what eventcodec encoded.
type Record struct {
	SequenceNumber int64
	Enqueued       time.Time // UTC, millisecond precision
	Data           []byte
}

// Bounds describes a partition. An empty one has First == Next.
type Bounds struct {
	First        int64     // sequence number of the oldest event
	Next         int64     // the number that the next event will get
	LastEnqueued time.Time // of the newest event ever appended; zero when there was none
}
