package hub

import (
	"context"
	"fmt"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/internal/hub/c2dqueue"
)

// Config is one hub's durable configuration: a row of the registry store.
type Config struct {
	Name           string   // the hub's name and Event-Hubs-compatible name: letters, digits and '-', unique
	HostNames      []string // lower case, without port; unique over all hubs
	Partitions     int      // 1 to 32, fixed at creation
	Retention      time.Duration
	Policies       []access.Policy
	ConsumerGroups []string // "$Default" first
	C2D            C2DSettings
	Created        time.Time
}

// HubStore keeps the hubs of a process. The contract of all stores is tested by storetest.
type HubStore interface {
	// Hubs returns all hubs, oldest first.
	Hubs(ctx context.Context) ([]Config, error)
	// SaveHub stores c, replacing the hub of that name if there is one. It returns when that is durable.
	SaveHub(ctx context.Context, c Config) error
	// DeleteHub removes a hub with every row that belongs to it. An unknown name is no error.
	DeleteHub(ctx context.Context, name string) error
}

// DeviceStore keeps the identity registry. Every call names the hub first.
type DeviceStore interface {
	// Device returns one identity, with the number of messages in its queue, or an Error with CodeDeviceNotFound.
	Device(ctx context.Context, hub, id string) (*hubward.Device, error)
	// Devices returns up to limit identities, ordered by id.
	Devices(ctx context.Context, hub string, limit int) ([]hubward.Device, error)
	// EditDevices runs edits in order, in one write transaction that may be shared with other callers, and returns when
	// it is durable. An edit whose function fails leaves its own row as it was and says so in its Err; the other
	// edits stand. The returned error is that of the transaction as a whole: then nothing was changed.
	EditDevices(ctx context.Context, hub string, edits []*DeviceEdit) error
	// DeviceStatistics counts the identities of a hub.
	DeviceStatistics(ctx context.Context, hub string) (hubward.RegistryStatistics, error)
	// RecordActivity stores the connection fields of identities. It is called in the background with what has
	// gathered; unknown ids are ignored. It touches neither etag nor generation.
	RecordActivity(ctx context.Context, hub string, activity []Activity) error
}

// DeviceEdit is one read-modify-write of an identity.
type DeviceEdit struct {
	ID string
	// Edit gets a copy of the stored identity, nil when there is none, and returns what is to be stored: nil deletes the
	// identity with all that belongs to it (twin, sessions). It has no side effects, calls no store, and may run more
	// than once.
	Edit func(old *hubward.Device) (*hubward.Device, error)
	// Err is the outcome, set by EditDevices.
	Err error
}

// Activity is what is known of a device's connection at one moment.
type Activity struct {
	ID           string
	State        hubward.ConnectionState
	StateUpdated time.Time // zero: leave State and its time as they are
	LastActivity time.Time // zero: leave as it is
}

// SessionStore keeps what an MQTT client with CleanSession=0 leaves behind: its subscriptions. Several SDKs never
// subscribe again after a reconnect, so these outlive connections and restarts (spec/device.md 2.6).
type SessionStore interface {
	// Subscriptions returns the stored session's filters, and false when there is no stored session.
	Subscriptions(ctx context.Context, hub string, id hubward.Identity) ([]Subscription, bool, error)
	// SaveSubscriptions stores the filters of a session, creating it if needed; an empty list is a session too. It
	// returns when that is durable. An identity that is not registered is CodeDeviceNotFound or CodeModuleNotFound.
	SaveSubscriptions(ctx context.Context, hub string, id hubward.Identity, subs []Subscription) error
	// DeleteSession forgets a session. An unknown one is no error.
	DeleteSession(ctx context.Context, hub string, id hubward.Identity) error
}

// Subscription is one MQTT topic filter and the QoS that was granted for it: 0 or 1.
type Subscription struct {
	Filter string `json:"filter"`
	QoS    byte   `json:"qos"`
}

// QueueStore keeps the devices' queues of cloud-to-device messages. A queue goes with its identity.
type QueueStore interface {
	// EditQueues runs edits in order, in one write transaction that may be shared with other callers, and returns when
	// it is durable: messages, and the feedback records that the edits add. An edit whose function fails leaves its own
	// queue as it was and says so in its Err; the other edits stand. The returned error is that of the transaction as a
	// whole: then nothing was changed.
	EditQueues(ctx context.Context, edits []*QueueEdit) error
	// QueuedContents hands the contents of a device's messages with sequence numbers from first to last to visit, in
	// order. A message that is gone is left out. visit keeps what it likes.
	QueuedContents(ctx context.Context, hub, device string, first, last int64, visit func(sequence int64, content []byte)) error
	// DueQueues returns up to limit queues of all hubs in which a lock or a message ends, the earliest first.
	DueQueues(ctx context.Context, limit int) ([]DueQueue, error)
}

// QueueEdit is one read-modify-write of a queue.
type QueueEdit struct {
	Hub    string
	Device string
	// Edit gets the stored queue, nil when there is no such device, and changes it. It has no side effects, calls no
	// store, and may run more than once.
	Edit func(q *c2dqueue.Queue) error
	// Err is the outcome, set by EditQueues.
	Err error
}

// DueQueue says when something ends in a queue.
type DueQueue struct {
	Hub    string
	Device string
	Due    time.Time // as c2dqueue.Queue.Due, to 100 ns
}

// FeedbackStore keeps the hubs' feedback: records that EditQueues has added, and batches of them. A record goes with its
// identity, a batch with its hub.
type FeedbackStore interface {
	// BatchFeedback moves the oldest records of a hub that are in no batch, up to most, into a new one, unless they are
	// fewer than least or none. It returns how many it took, and how many are left, counted no further than most.
	BatchFeedback(ctx context.Context, hub string, b FeedbackBatchStart, least, most int) (taken, left int, err error)
	// LockFeedback locks the oldest batch of a hub that is neither locked nor expired at now, and returns it with its
	// records. Without one it returns nil, and when the next lock ends, zero for never.
	LockFeedback(ctx context.Context, hub, token string, now, until time.Time) (b *StoredFeedback, again time.Time, err error)
	// EditFeedback changes a batch by the token of its lock: edit gets it without its records, nil when there is none,
	// and returns what is to be stored, nil to delete it. An error of edit's is returned, and nothing changed. edit has
	// no side effects and may run more than once.
	EditFeedback(ctx context.Context, hub, token string, edit func(*StoredFeedback) (*StoredFeedback, error)) error
	// DropFeedback deletes the batches of all hubs that are expired and not locked at now.
	DropFeedback(ctx context.Context, now time.Time) error
}

// FeedbackBatchStart is a batch as it is made.
type FeedbackBatchStart struct {
	ID       string // a GUID
	Enqueued time.Time
	Expires  time.Time
}

// StoredFeedback is one batch of feedback records.
type StoredFeedback struct {
	FeedbackBatchStart
	DeliveryCount int       // deliveries that were given back
	LockUntil     time.Time // zero: it is not locked
	Records       []c2dqueue.Record
}

// Store is all that the hub asks of its SQL store.
type Store interface {
	HubStore
	DeviceStore
	SessionStore
	QueueStore
	FeedbackStore
	// Ping makes one durable write: the readiness probe.
	Ping(ctx context.Context) error
}

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

// EventLog keeps events: per partition of an endpoint, a sequence of encoded events with dense sequence numbers from 0.
// The contract is tested by logtest.
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
	// Drop deletes all events of a hub, whatever their endpoint, and the memory of their sequence numbers. It ends what
	// waits for more of them; the hub's producers fail with CodeNoSuchHub from then on. A hub of the same name starts
	// with nothing.
	Drop(ctx context.Context, hub string) error
	// Ping makes one durable write: the readiness probe.
	Ping(ctx context.Context) error
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

// Observer is told what happens in the hub; metrics implement it. Its methods must not block.
type Observer interface {
	// TelemetryAttempt counts messages that devices tried to send, before any check.
	TelemetryAttempt(hub string, n int)
	// TelemetryStored counts messages that are durable.
	TelemetryStored(hub string, n int)
	// TelemetryRefused counts messages that were not stored, by reason.
	TelemetryRefused(hub string, code hubward.Code, n int)
	// DeviceBytes counts payload bytes from and to devices.
	DeviceBytes(hub string, n int)
	// CloudToDevice counts what happened to messages to devices.
	CloudToDevice(hub string, what C2DEvent, n int)
}
