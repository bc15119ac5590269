package hub

import (
	"context"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/internal/hub/c2d"
	"github.com/hubward/hubward/internal/hub/c2dqueue"
	"github.com/hubward/hubward/internal/hub/certrequest"
	"github.com/hubward/hubward/internal/hub/twindoc"
)

// Config is one hub's durable configuration: a row of the registry store.
type Config struct {
	Name           string   // the hub's name and Event-Hubs-compatible name: letters, digits and '-', unique without case
	HostNames      []string // canonical, see sas.CanonicalHost; unique over all hubs
	Partitions     int      // 1 to 32, fixed at creation
	Retention      time.Duration
	Policies       []access.Policy
	ConsumerGroups []string // "$Default" first
	C2D            C2DSettings
	Switches       access.Switches
	Authorities    []Authority // that let devices in, by name; up to 25
	Issuing        Issuing
	Created        time.Time
	Version        int64  // grows with each change, from 1; see HubStore.SaveHub
	LogName        string // what the event log calls the hub, fixed at creation; empty: Name
}

// HubStore keeps the hubs. The contract of all stores is tested by storetest.
type HubStore interface {
	// Hubs returns all hubs, oldest first.
	Hubs(ctx context.Context) ([]Config, error)
	// SaveHub compares and sets: it stores c with the version c.Version+1 if c.Version is the stored version, or if it is 0
	// and there is no hub of that name, and returns when that is durable.
	//
	// Errors: CodePreconditionFailed when the stored version is another one, or the hub is gone; CodeHubAlreadyExists for a
	// new hub whose name is taken, compared without case; CodeArgumentInvalid, naming the host, when a host name belongs to
	// another hub. Then nothing was changed.
	SaveHub(ctx context.Context, c Config) error
	// DeleteHub removes a hub with every row that belongs to it, and notes in the same transaction that its events are to be
	// deleted. An unknown name is no error.
	DeleteHub(ctx context.Context, name string) error
	// DeletedLogs returns the hubs that were deleted and whose events may still be in the log.
	DeletedLogs(ctx context.Context) ([]DeletedLog, error)
	// ForgetDeletedLog takes a name off that list. An unknown name is no error.
	ForgetDeletedLog(ctx context.Context, name string) error
}

// DeletedLog is the log of a hub that was deleted.
type DeletedLog struct {
	Name    string    // Config's LogName, or Name
	Deleted time.Time // when the hub was
}

// Registration is one identity as the registry keeps it. Of a module, Device holds what modules have in common with
// devices.
type Registration struct {
	hubward.Device
	ModuleID  string      // empty for a device
	ManagedBy string      // who manages a module, up to its creator
	ModelID   string      // that the identity named last when it connected
	Twin      *StoredTwin // nil where it was not asked for, and not touched where a Registration is stored without one

	Modules []Registration // of a device, by id; nil where they were not asked for, and never stored
}

// Identity returns whom r registers.
func (r *Registration) Identity() hubward.Identity {
	return hubward.Identity{Device: r.DeviceID, Module: r.ModuleID}
}

// IdentityStore keeps the identity registry. Every call names the hub first.
type IdentityStore interface {
	// Identity returns one identity, with the number of messages in its queue, or CodeDeviceNotFound, CodeModuleNotFound.
	Identity(ctx context.Context, hub string, id hubward.Identity) (*Registration, error)
	// Devices returns up to limit devices whose ids lie behind after, ordered by the bytes of their ids; modules are left out.
	// Each call sees what is committed by then: a device that is there all the time is in exactly one of the pages that follow
	// one another, whatever else comes and goes.
	Devices(ctx context.Context, hub, after string, limit int) ([]Registration, error)
	// Modules returns a device's modules, ordered by the bytes of their ids, or CodeDeviceNotFound.
	Modules(ctx context.Context, hub, device string) ([]Registration, error)
	// AllModules is as Devices, for the modules of all devices, ordered by device and module id.
	AllModules(ctx context.Context, hub string, after hubward.Identity, limit int) ([]Registration, error)
	// Children is as Devices, for those whose parent has the scope.
	Children(ctx context.Context, hub, scope, after string, limit int) ([]Registration, error)
	// EditIdentities runs edits in order, in one write transaction that may be shared with other callers, and returns when
	// it is durable: the identities, and the events that the edits add. An edit whose function fails leaves its own row as
	// it was and says so in its Err; the other edits stand. The returned error is that of the transaction as a whole: then
	// nothing was changed. A device takes its modules with it when it is deleted; a module without its device is
	// CodeDeviceNotFound.
	EditIdentities(ctx context.Context, hub string, edits []*IdentityEdit) error
	// DeviceStatistics counts the devices of a hub.
	DeviceStatistics(ctx context.Context, hub string) (hubward.RegistryStatistics, error)
}

// IdentityEdit is one read-modify-write of an identity.
type IdentityEdit struct {
	ID          hubward.Identity
	WithTwin    bool // Edit gets the twin too, and those of the modules if it gets them
	WithModules bool // Edit gets a device's modules too
	// MostModules refuses a new module, with CodeTooManyModulesOnDevice, whose device has so many. Those whose ids begin with $ are
	// not counted. 0: no limit.
	MostModules int
	// Edit gets a copy of the stored identity, nil when there is none, and returns what is to be stored: nil deletes the
	// identity with all that belongs to it. events are appended to the hub's own events in the same transaction. Edit has
	// no side effects beyond its edit, calls no store, and may run more than once.
	Edit func(old *Registration) (next *Registration, events []HubEvent, err error)

	// Then is what Edit has set: edits that are run right behind it, in the same transaction, if it has not failed. They fail by
	// themselves alone.
	Then []*IdentityEdit

	Err error // set by EditIdentities
}

// StoredTwin is a twin as the store keeps it. One that nobody has written to is the zero value with the ETag 1 and sections of
// version 1.
type StoredTwin struct {
	ETag     int64 // grows by one with each write of tags or desired properties
	Tags     twindoc.Section
	Desired  twindoc.Section
	Reported twindoc.Section
	// DesiredChanges are the newest changes of the desired properties, the oldest first, one for each version: what connected
	// devices are told of, in order, whichever node it happened on. The hub bounds them.
	DesiredChanges []DesiredChange
}

// NewTwin returns the twin of an identity that is new.
func NewTwin() *StoredTwin {
	return &StoredTwin{ETag: 1, Desired: twindoc.Section{Version: 1}, Reported: twindoc.Section{Version: 1}}
}

// Version returns the version of the twin as a whole: it grows by one with each write.
func (t *StoredTwin) Version() int64 { return t.ETag + t.Reported.Version }

// TwinStore keeps the twins. Each identity has one from its registration to its deletion.
type TwinStore interface {
	// Twin returns an identity with its twin, as both are at one moment; errors are those of IdentityStore.Identity.
	Twin(ctx context.Context, hub string, id hubward.Identity) (*Registration, error)
	// Twins is as Devices, with the twins, modules left out.
	Twins(ctx context.Context, hub, after string, limit int) ([]Registration, error)
	// DesiredProperties returns the desired properties of an identity, and their newest changes, oldest first.
	//
	// Errors: CodeDeviceNotFound, CodeModuleNotFound.
	DesiredProperties(ctx context.Context, hub string, id hubward.Identity) (twindoc.Section, []DesiredChange, error)
	// EditTwins is as EditIdentities, for twins. It touches nothing else of an identity.
	EditTwins(ctx context.Context, hub string, edits []*TwinEdit) error
	// EditReported is EditTwins for the reported properties alone, which devices write all the time: nothing else of the twin
	// is read or written but its ETag, which is read. It does not wait: done is called when the edits are durable or have failed,
	// perhaps before the return; it neither blocks nor calls the store. ctx ends the wait for their turn. Calls that are under way
	// at the same time are carried out in any order.
	EditReported(ctx context.Context, hub string, edits []*ReportedEdit, done func(err error))
}

// TwinEdit is one read-modify-write of a twin.
type TwinEdit struct {
	ID hubward.Identity
	// Edit gets a copy of the identity, with its Twin, which it changes in place: of the identity, only Twin is stored. events
	// are as those of IdentityEdit.Edit. It has no side effects beyond its edit, calls no store, and may run more than once.
	Edit func(r *Registration) (events []HubEvent, err error)

	Err error // set by EditTwins; CodeDeviceNotFound or CodeModuleNotFound for an identity that is not registered
}

// ReportedEdit is one read-modify-write of an identity's reported properties.
type ReportedEdit struct {
	ID hubward.Identity
	// Fence is that of the claim by which the identity is connected. It is stored with what is changed: when a newer claim has
	// changed the properties, Edit is not called.
	Fence uint64
	// Edit gets the reported properties, and the ETag of the twin, and returns what is to be stored. The bytes of either are not
	// changed any more, by nobody. The rest is as for TwinEdit.
	Edit func(etag int64, old twindoc.Section) (next twindoc.Section, events []HubEvent, err error)

	Err error // set by EditReported; CodeConnectionClosedOnNewOne for an older claim
}

// Connection is what is stored of an identity's connection.
type Connection struct {
	ID           hubward.Identity
	Fence        uint64 // of the newest claim that is known
	State        hubward.ConnectionState
	StateUpdated time.Time // zero: never connected
	LastActivity time.Time
	ModelID      string // that the identity named last; an empty one leaves what is stored
}

// ConnectionStore keeps who was connected when. The truth about now is the Directory's.
type ConnectionStore interface {
	// EditConnections is as EditIdentities, for the connection fields. Identities that are not registered are left out,
	// without an error. It touches neither etag nor generation.
	EditConnections(ctx context.Context, hub string, edits []*ConnectionEdit) error
	// Connected returns up to limit identities of a hub whose state is Connected, ordered by device and module id, behind
	// after.
	Connected(ctx context.Context, hub string, after hubward.Identity, limit int) ([]Connection, error)
}

// ConnectionEdit is one read-modify-write of an identity's connection fields.
type ConnectionEdit struct {
	ID hubward.Identity
	// Edit gets what is stored and returns what is to be stored, and events as IdentityEdit.Edit does. It has no side
	// effects and may run more than once. It is not called for an identity that is not registered.
	Edit func(old Connection) (next Connection, events []HubEvent)
}

// HubEvent is something that the hub itself has to tell: it is stored with the change that it tells of, and moved into the
// hub's own events (EndpointHubEvents) behind it, so that neither is without the other.
type HubEvent struct {
	Identity hubward.Identity // whose event it is: the events of one identity keep their order
	ID       string           // a GUID: tells whether the event was moved already
	Data     []byte           // what eventcodec encoded
}

// OutboxStore keeps events until they are moved into the log.
type OutboxStore interface {
	// Outbox returns batches of a hub's events that are not moved yet, the oldest first, until they hold limit events or 1 MiB;
	// at least one if there is one. The events of one identity are in the order in which they were stored.
	Outbox(ctx context.Context, hub string, limit int) ([]HubEventBatch, error)
	// DeleteOutbox deletes batches by their ids. Unknown ones are no error.
	DeleteOutbox(ctx context.Context, hub string, ids []int64) error
}

// Bounds of a HubEventBatch. One event that is larger is a batch of its own.
const (
	MaxEventBatch      = 256     // events
	MaxEventBatchBytes = 1 << 18 // bytes of their Data
)

// HubEventBatch is events that were stored together.
type HubEventBatch struct {
	ID     int64 // no other batch ever has it; it says nothing of the order
	Events []HubEvent
}

// SessionStore keeps what an identity's session leaves behind when its connection ends. What that is, front ends know: it
// is kept as it is given. Several SDKs never subscribe again after a reconnect, so MQTT subscriptions outlive connections
// and restarts.
type SessionStore interface {
	// Session returns the stored state, and false when there is none.
	Session(ctx context.Context, hub string, id hubward.Identity) (state []byte, present bool, err error)
	// SaveSession stores a state, an empty one too; nil forgets what is stored. fence is that of the claim by which the
	// identity is connected. It returns when that is durable.
	//
	// Errors: CodeConnectionClosedOnNewOne when a newer claim has stored a state; CodeDeviceNotFound or CodeModuleNotFound
	// when the identity is not registered and state is not nil.
	SaveSession(ctx context.Context, hub string, id hubward.Identity, fence uint64, state []byte) error
}

// CertificateRequestStore keeps what devices have asked for that want a certificate. It goes with the device.
type CertificateRequestStore interface {
	// CertificateRequest returns a device's slot, an empty one when there is none, also of a device that is not registered.
	CertificateRequest(ctx context.Context, hub string, id hubward.Identity) (*certrequest.Slot, error)
	// EditCertificateRequest changes a device's slot in one transaction, and returns when that is durable. edit gets what is stored,
	// and changes it in place; an empty slot is not kept. An error of edit's is returned, and nothing changed. edit has no side
	// effects and may run more than once.
	//
	// Errors: CodeDeviceNotFound or CodeModuleNotFound when the identity is not registered and the slot is not empty.
	EditCertificateRequest(ctx context.Context, hub string, id hubward.Identity, edit func(*certrequest.Slot) error) error
}

// NotificationKind says what a notification tells a back end of.
type NotificationKind string

// NotificationFeedback tells what became of cloud-to-device messages.
const NotificationFeedback NotificationKind = "feedback"

// Notification is one message of a hub to its back ends, which compete for it: whoever locks it has to settle it.
type Notification struct {
	ID            string // a GUID
	Enqueued      time.Time
	Expires       time.Time
	DeliveryCount int               // deliveries that were given back
	LockUntil     time.Time         // zero: it is not locked
	Feedback      []c2dqueue.Record // of NotificationFeedback: 1 to 64
}

// NotificationStore keeps the hubs' notifications. A feedback record goes with its identity, a notification with its hub.
type NotificationStore interface {
	// BatchFeedback moves the oldest feedback records of a hub that are in no notification, up to most, into n, unless they
	// are fewer than least or none. Of n, ID, Enqueued and Expires count. It returns how many it took, and how many are
	// left, counted no further than most.
	BatchFeedback(ctx context.Context, hub string, n Notification, least, most int) (taken, left int, err error)
	// LockNotification locks the oldest notification of a hub and kind that is neither locked nor expired at now, and
	// returns it. Without one it returns nil, and when the next lock ends, zero for never.
	LockNotification(ctx context.Context, hub string, kind NotificationKind, token string, now, until time.Time) (n *Notification, again time.Time, err error)
	// EditNotification changes a notification by the token of its lock: edit gets it without its content, nil when there is
	// none, and returns what is to be stored, nil to delete it. An error of edit's is returned, and nothing changed. edit
	// has no side effects and may run more than once.
	EditNotification(ctx context.Context, hub string, kind NotificationKind, token string, edit func(*Notification) (*Notification, error)) error
	// DropNotifications deletes the notifications of all hubs that are expired and not locked at now.
	DropNotifications(ctx context.Context, now time.Time) error
}

// TicketKey is a key of TLS session tickets, sealed: the store never sees what it is.
type TicketKey struct {
	ID      int64 // given by the store, growing, from 1
	Created time.Time
	Sealed  []byte
}

// TicketKeyStore keeps the keys of TLS session tickets, which the nodes of one store share. They are no hub's.
type TicketKeyStore interface {
	// TicketKeys returns them, the newest first.
	TicketKeys(ctx context.Context) ([]TicketKey, error)
	// AddTicketKey compares and adds: if newest is the ID of the newest key, 0 without any, it stores key, which gets the next
	// ID, deletes those that were created before oldest, and returns when that is durable. Otherwise it changes nothing, which
	// is no error: another node was quicker.
	AddTicketKey(ctx context.Context, newest int64, key TicketKey, oldest time.Time) error
}

// Store is all that the hub, and the process around it, ask of their SQL store. Several hubs, in one process or in many, may use one database: nothing
// in an implementation relies on being the only writer.
type Store interface {
	HubStore
	IdentityStore
	TwinStore
	ConnectionStore
	OutboxStore
	SessionStore
	CertificateRequestStore
	NotificationStore
	TicketKeyStore
	c2d.Store
	// Ping makes one durable write: the readiness probe.
	Ping(ctx context.Context) error
}

// Observer is told what happens in the hub; metrics implement it. Its methods must not block.
type Observer interface {
	// TelemetryAttempt counts messages that devices tried to send, before any check.
	TelemetryAttempt(hub string, n int)
	// TelemetryStored counts messages that are durable.
	TelemetryStored(hub string, n int)
	// TelemetryRefused counts messages that were not stored, by reason.
	TelemetryRefused(hub string, code hubward.Code, n int)
	// LoginRefused counts log-ins. hub is empty when no hub answers to what the peer names.
	LoginRefused(hub string, reason access.Reason)
	// EventStreams is told the change in the number of readers that ReadEvents serves: 1 or -1.
	EventStreams(hub, consumerGroup string, change int)
	// MethodCalled counts calls of direct methods, with the bytes of the payloads, of those that were answered.
	MethodCalled(hub string, ok bool, request, response int)
	// TwinRead and TwinUpdated count reads and writes of twins, with the bytes of those that were done: of the document that was
	// read, of what was written.
	TwinRead(hub string, by Initiator, ok bool, bytes int)
	TwinUpdated(hub string, by Initiator, ok bool, bytes int)
	c2d.Observer // DeviceBytes counts both directions
}

// Initiator is the side that reads or writes a twin.
type Initiator int

// The initiators.
const (
	ByDevice  Initiator = iota // or a module
	ByService                  // a back end
)

// Initiators are how many there are.
const Initiators = 2

// String returns the initiator as metrics name it.
func (i Initiator) String() string { return [Initiators]string{"device", "service"}[i] }
