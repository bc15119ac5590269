package hub

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/internal/hub/c2d"
)

// Options are what a Hub is made of. Store, Log and Cluster are required.
type Options struct {
	Store   Store
	Log     EventLog
	Cluster Cluster
	// Node names this process among those of the cluster; empty: a GUID. Two running processes have different names.
	Node     string
	Observer Observer         // nil: nobody is told
	Logger   *slog.Logger     // nil: nothing is logged
	Now      func() time.Time // nil: time.Now
	Rand     io.Reader        // nil: crypto/rand.Reader; where keys and generation ids come from
	// SASGrace is how long a connection outlives its token; zero means five minutes.
	SASGrace time.Duration
	// MaxConnected bounds the devices and modules of one hub that are connected to this node, so that no hub takes the places of
	// the others. Zero: any number.
	MaxConnected int
	// Revoked says which client certificates are revoked, now. nil: none.
	Revoked access.Revoked
	// CertificateDelay is how long a device waits for the certificate that it has asked for, so that tests can look at what happens
	// meanwhile; zero: no longer than it takes.
	CertificateDelay time.Duration
	// HubsChanged is called when a hub was created, changed or deleted, by whatever node. It must not block. nil: nobody is
	// told.
	HubsChanged func()
}

const defaultSASGrace = 5 * time.Minute

// Hub serves the hubs of a cluster, as one of its nodes. It is safe for concurrent use.
type Hub struct {
	store       Store
	log         EventLog
	cluster     Cluster
	node        string
	observer    Observer
	logger      *slog.Logger
	now         func() time.Time
	rand        io.Reader
	sasGrace    time.Duration
	revoked     access.Revoked
	mostLinks   int64 // of one hub; 0: any number
	hubsChanged func()

	certificateDelay time.Duration

	links       *links
	connections *connectionRecorder
	queues      *c2d.Queues
	owned       *ownedPartitions

	sweepTimer    *c2d.Timer    // of the job that ends locks and messages
	feedbackTimer *c2d.Timer    // of the job that makes notifications of feedback
	reload        chan struct{} // configurations may have changed; holds one
	outbox        *outboxNews   // of all nodes, for who moves it
	unannounced   *outboxNews   // of this node, for the others
	untold        *untold
	actorsDue     chan struct{} // links that Edge hubs have made for others may have to end; holds one

	admissionFollowers followers

	leave func() // leaves the cluster
	tasks tasks  // what works in the background of readers and calls

	methodCalls    atomic.Uint64 // how many this node has made at others
	callsForOthers callsForOthers
	tokens         knownTokens

	editing sync.Mutex // serialises changes and loads of configurations in this process; held across ports

	mu    sync.RWMutex // guards the fields below
	order []*state     // oldest first
	hosts map[string]*state
}

// state is one hub in memory. A hub that is made anew under the same name has another one.
type state struct {
	ref    access.HubRef
	gone   chan struct{}     // closed when the hub was deleted
	config *Config           // guarded by Hub.mu; replaced as a whole, never changed in place
	admits *access.Admission // of config; guarded and replaced as it is

	checked *access.Admission // guarded by Hub.mu: what the links of this node were compared with last

	links         atomic.Int64  // of this node, with those that are being made
	readers       readers       // of this node
	registrations registrations // of the partitions that this node owns
	feedback      feedbackCount
	notifications notificationWaiters
	methods       methodWaiters
}

func newState(c *Config, admits *access.Admission) *state {
	return &state{ref: access.HubRef{Name: c.Name, Created: c.Created}, gone: make(chan struct{}), config: c, admits: admits, checked: admits}
}

// isGone reports whether the hub was deleted.
func (s *state) isGone() bool {
	select {
	case <-s.gone:
		return true
	default:
		return false
	}
}

// Open joins the cluster and loads the hubs from the store. The caller runs Run until the hub is no longer needed.
func Open(ctx context.Context, o Options) (*Hub, error) {
	h := &Hub{
		store: o.Store, log: o.Log, cluster: o.Cluster, node: o.Node, observer: o.Observer, logger: o.Logger, now: o.Now,
		rand: o.Rand, sasGrace: o.SASGrace, revoked: o.Revoked, mostLinks: int64(o.MaxConnected), hubsChanged: o.HubsChanged, certificateDelay: o.CertificateDelay,
		links: newLinks(), connections: newConnectionRecorder(), owned: newOwnedPartitions(),
		reload: make(chan struct{}, 1), outbox: newOutboxNews(), unannounced: newOutboxNews(), untold: newUntold(),
		actorsDue: make(chan struct{}, 1),
	}
	if err := h.setDefaults(); err != nil {
		return nil, err
	}
	h.tasks.ctx, h.tasks.cancel = context.WithCancel(context.WithoutCancel(ctx))
	h.sweepTimer, h.feedbackTimer = c2d.NewTimer(h.now), c2d.NewTimer(h.now)
	h.queues = c2d.New(c2d.Options{
		Store: h.store, Observer: h.observer, Logger: h.logger, Now: h.now, NewGUID: h.newGUID,
		MaxDeliveries: h.maxDeliveries, ConnectedBy: h.connectedBy, Visible: h.messagesVisible, Due: h.messagesDue, Feedback: h.feedbackAdded,
	})
	leave, err := h.cluster.Join(ctx, h.node, node{h})
	if err != nil {
		return nil, err
	}
	h.leave = leave
	if err := h.load(ctx); err != nil {
		leave()
		return nil, err
	}
	return h, nil
}

func (h *Hub) setDefaults() (err error) {
	if h.observer == nil {
		h.observer = silent{}
	}
	if h.logger == nil {
		h.logger = slog.New(slog.DiscardHandler)
	}
	if h.now == nil {
		h.now = time.Now
	}
	if h.rand == nil {
		h.rand = rand.Reader
	}
	if h.sasGrace == 0 {
		h.sasGrace = defaultSASGrace
	}
	if h.hubsChanged == nil {
		h.hubsChanged = func() {}
	}
	if h.node == "" {
		h.node, err = h.newGUID()
	}
	return err
}

// Run does the hub's background work: it follows the configurations, stores what is known of connections, closes
// those that are claimed no more or may not be any more, delivers messages to devices, and does its share of the cluster's jobs. It blocks until
// ctx ends, stores what has gathered, leaves the cluster, and returns. It runs once.
func (h *Hub) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { h.followConfigs(ctx) })
	wg.Go(func() { h.recordConnections(ctx) })
	wg.Go(func() { h.checkLinks(ctx) })
	wg.Go(func() { h.checkActors(ctx) })
	wg.Go(func() { h.queues.Run(ctx) })
	wg.Go(func() { h.tellUntold(ctx) })
	wg.Go(func() { h.announceEvents(ctx) })
	for _, j := range h.jobs() {
		wg.Go(func() { h.doJob(ctx, j) })
	}
	wg.Wait()
	h.tasks.end()
	h.announceAdded()
	h.leave()
	return nil
}

// tasks are what ends with the hub's Run.
type tasks struct {
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu   sync.Mutex
	over bool // guarded by mu: no more begin
}

// background runs f on a goroutine of its own, with a context that ends with Run; not any more once Run has ended, and then it
// returns false.
func (h *Hub) background(f func(ctx context.Context)) bool {
	if !h.beginTask() {
		return false
	}
	go func() {
		defer h.endTask()
		f(h.tasks.ctx)
	}()
	return true
}

// beginTask begins what Run is to wait for; not any more once Run has ended, and then it returns false. endTask follows.
func (h *Hub) beginTask() bool {
	t := &h.tasks
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return false
	}
	t.running.Add(1)
	return true
}

func (h *Hub) endTask() { h.tasks.running.Done() }

func (t *tasks) end() {
	t.mu.Lock()
	t.over = true
	t.mu.Unlock()
	t.cancel()
	t.running.Wait()
}

// Ping makes one durable write in the store and one in the log, and returns the first failure: the readiness probe.
func (h *Hub) Ping(ctx context.Context) error {
	if err := h.store.Ping(ctx); err != nil {
		return err
	}
	return h.log.Ping(ctx)
}

// SASGrace is how long a connection outlives its token.
func (h *Hub) SASGrace() time.Duration { return h.sasGrace }

// newGUID makes a random GUID in its usual form.
func (h *Hub) newGUID() (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(h.rand, b[:]); err != nil {
		return "", hubward.Wrap(hubward.CodeServerError, "hub.newGUID", err)
	}
	return guid(b), nil
}

// guid makes one of bytes that look random.
func guid(b [16]byte) string {
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	text := make([]byte, 0, 36)
	for i, part := range [][]byte{b[:4], b[4:6], b[6:8], b[8:10], b[10:]} {
		if i > 0 {
			text = append(text, '-')
		}
		text = hex.AppendEncode(text, part)
	}
	return string(text)
}

// silent is the Observer that tells nobody.
type silent struct{}

func (silent) TelemetryAttempt(string, int)               {}
func (silent) TelemetryStored(string, int)                {}
func (silent) TelemetryRefused(string, hubward.Code, int) {}
func (silent) LoginRefused(string, access.Reason)         {}
func (silent) EventStreams(string, string, int)           {}
func (silent) MethodCalled(string, bool, int, int)        {}
func (silent) TwinRead(string, Initiator, bool, int)      {}
func (silent) TwinUpdated(string, Initiator, bool, int)   {}
func (silent) DeviceBytes(string, int)                    {}
func (silent) CloudToDevice(string, c2d.Counted, int)     {}
