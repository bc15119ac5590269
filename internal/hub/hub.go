package hub

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/hubward/hubward"
)

// Options are what a Hub is made of. Store and Log are required.
type Options struct {
	Store    Store
	Log      EventLog
	Observer Observer         // nil: nobody is told
	Logger   *slog.Logger     // nil: nothing is logged
	Now      func() time.Time // nil: time.Now
	Rand     io.Reader        // nil: crypto/rand.Reader; where keys and generation ids come from
	// SASGrace is how long a connection outlives its token; zero means five minutes.
	//
	// Source: spec/device.md 8.4.
	SASGrace time.Duration
}

const defaultSASGrace = 5 * time.Minute

// Hub serves the hubs of one process. It is safe for concurrent use.
type Hub struct {
	store    Store
	log      EventLog
	observer Observer
	logger   *slog.Logger
	now      func() time.Time
	rand     io.Reader
	sasGrace time.Duration

	sessions *sessions
	activity *activityRecorder
	c2d      *c2dPumps

	feedbackAlarm *alarm // of batchFeedbackUntil

	editing sync.Mutex // serialises changes of hub configurations, so that store and memory agree; held across ports

	mu    sync.RWMutex // guards the fields below
	order []*state     // oldest first
	hosts map[string]*state
}

// state is one hub in memory. A hub that is made anew under the same name has another one.
type state struct {
	name   string
	places places  // who reads it; closed by DeleteHub, before the log drops the hub's events
	config *Config // guarded by Hub.mu; replaced as a whole, never changed in place

	feedback feedback // closed by DeleteHub
}

func newState(c *Config) *state {
	return &state{name: c.Name, config: c}
}

// Open loads the hubs from the store. The caller runs Run until the hub is no longer needed.
func Open(ctx context.Context, o Options) (*Hub, error) {
	h := &Hub{store: o.Store, log: o.Log, observer: o.Observer, logger: o.Logger, now: o.Now, rand: o.Rand, sasGrace: o.SASGrace}
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
	h.sessions = newSessions()
	h.activity = newActivityRecorder()
	h.feedbackAlarm = newAlarm()
	epoch, err := h.newGUID()
	if err != nil {
		return nil, err
	}
	h.c2d = newC2DPumps(epoch)
	configs, err := h.store.Hubs(ctx)
	if err != nil {
		return nil, err
	}
	for i := range configs {
		configs[i].C2D = configs[i].C2D.or(defaultC2DSettings)
		s := newState(&configs[i])
		s.feedback.waiting = 1 // perhaps: one look will tell
		h.order = append(h.order, s)
	}
	h.indexHostsLocked()
	return h, nil
}

// Run does the hub's background work: it trims telemetry that has outlived its retention, stores what is known of
// connections, and delivers, expires and reports messages to devices. It blocks until ctx ends, stores what has gathered,
// and returns. It runs once.
func (h *Hub) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { h.trimUntil(ctx) })
	wg.Go(func() { h.recordActivityUntil(ctx) })
	wg.Go(func() { h.pumpC2DUntil(ctx) })
	wg.Go(func() { h.sweepC2DUntil(ctx) })
	wg.Go(func() { h.batchFeedbackUntil(ctx) })
	wg.Wait()
	return nil
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

// silent is the Observer that tells nobody.
type silent struct{}

func (silent) TelemetryAttempt(string, int)               {}
func (silent) TelemetryStored(string, int)                {}
func (silent) TelemetryRefused(string, hubward.Code, int) {}
func (silent) DeviceBytes(string, int)                    {}
func (silent) CloudToDevice(string, C2DEvent, int)        {}
