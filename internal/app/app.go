// Package app is the composition root: it builds a hub with its stores, its front ends and its certificate from a
// configuration, starts them in order and stops them in reverse.
//
// The data folder of a process, mode 0700:
//
//	hubward.lock             held while the process runs; holds its process id, and where its admin listener is
//	format                   version of this layout, a decimal number
//	registry.db              hubs, devices, sessions (SQLite)
//	log/                     telemetry (Pebble)
//	tls/                     certificate authority, the default certificate, those of further hubs in hubs/
//	connection-strings.env   for scripts and for the client commands, mode 0600
//	snapshot-*/              what a backup is copied from, while it is made
//	restore-unfinished       while a backup is restored into the folder
//
// A backup is a folder with the same files but the lock, and with backup.json; see manifest.go.
package app

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/config"
	"github.com/hubward/hubward/internal/front/adminfront"
	"github.com/hubward/hubward/internal/front/listen"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/internal/obs"
	"github.com/hubward/hubward/internal/revocation"
)

// Options are what a configuration does not say.
type Options struct {
	Version string    // of the program; empty: not told to anybody
	LogTo   io.Writer // where log lines and traces go; nil: nowhere
	// OnReady is called once by Run, when every listener is open and served.
	OnReady func([]Listener)
	// Reconfigure reads the configuration again, for Reload; nil: it never changes.
	Reconfigure func() (config.Config, error)
	// Memory keeps hubs, devices and telemetry in memory, for tests. Certificates and connection strings still go into
	// the data folder.
	Memory bool
	Now    func() time.Time // nil: time.Now
	Rand   io.Reader        // nil: crypto/rand.Reader
}

// Listener is one open listener.
type Listener struct {
	Name    string // its flag: "mqtts", "amqps", "https", "amqp", "admin"
	Address string // as the system reports it, e.g. "[::]:8883"
}

// App is one hub process in the making or running. Open makes it, Run serves until its context ends.
type App struct {
	// Set by Open, never changed after.
	o          Options
	logger     *slog.Logger
	level      *slog.LevelVar
	lock       *folderLock
	engines    engines
	backups    sync.Mutex // held while a snapshot is made
	hub        *hub.Hub
	operator   *access.Principal // with which the program manages hubs
	metrics    *obs.Metrics
	certs      *listen.Certificates
	revoked    *revocation.List // nil without Config.Revoked
	limits     limits
	tickets    *listen.Tickets
	handshakes *listen.Handshakes // of all listeners with TLS
	changed    chan struct{}      // a hub was created, changed or deleted; holds one
	admin      *adminfront.Front  // set before it is served; nil without the operator's port
	draining   context.Context    // ends when Run begins to stop
	startDrain context.CancelFunc

	mu    sync.Mutex // guards the fields below; held while derived files are written
	cfg   config.Config
	names []listen.HubNames // that the certificates were last asked to hold; never changed in place
	wrote []byte            // what connection-strings.env was last given
	// plainAMQP is the address of the AMQP listener without TLS; empty until it is open.
	plainAMQP string
	setTrace  func(patterns []string) // changes the AMQP trace; nil until there is the front end

	closeOnce sync.Once
	closeErr  error
	closers   []func() error // run last to first
}

// Open prepares everything but the listeners: it locks the data folder, opens store and log, creates the first hub or
// brings it up to date, and writes certificate and connection strings. The caller calls Run, which closes the App, or
// Close.
//
// Errors are for the operator: they name what was wrong and what to do.
func Open(ctx context.Context, cfg config.Config, o Options) (*App, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if o.LogTo == nil {
		o.LogTo = io.Discard
	}
	o.LogTo = &lockedWriter{to: o.LogTo} // the log has a lock of its own, but traces do not know of it
	if o.Now == nil {
		o.Now = time.Now
	}
	a := &App{
		o: o, cfg: cfg, level: new(slog.LevelVar), operator: access.Process(access.HubRef{}),
		changed: make(chan struct{}, 1),
	}
	a.draining, a.startDrain = context.WithCancel(context.Background())
	if level, err := obs.ParseLevel(cfg.Log.Level); err == nil { // Validate has seen it
		a.level.Set(level)
	}
	a.logger = obs.NewLogger(o.LogTo, cfg.Log.Format, a.level)
	if err := a.open(ctx); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

// open takes the steps of Open in their order.
func (a *App) open(ctx context.Context) (err error) {
	a.lock, err = openFolder(a.cfg.Data, a.logger)
	if err != nil {
		return err
	}
	a.closers = append(a.closers, a.lock.Close)
	if err := a.openRevoked(); err != nil {
		return err
	}
	a.limits = a.newLimits()
	a.metrics = obs.NewMetrics(obs.Options{
		Version: a.o.Version, Logger: a.logger, Hubs: a.hubStats,
		Connections: a.limits.stats, Log: a.logStats(), Certificates: a.certificateEnds, Revocation: a.revocationStats(),
		Ready: a.readiness, Handshakes: a.handshakeStats,
	})
	if err := a.openEngines(ctx); err != nil {
		return err
	}
	a.hub, err = hub.Open(ctx, hub.Options{
		Store: a.engines.store, Log: a.engines.log, Cluster: a.engines.cluster, Observer: a.metrics,
		Logger: a.logger, Now: a.o.Now, Rand: a.o.Rand, HubsChanged: a.hubsChanged,
		Revoked: a.isRevoked(), MaxConnected: a.cfg.Listen.MaxPerHub,
	})
	if err != nil {
		return err
	}
	if err := a.checkBelonging(ctx); err != nil {
		return err
	}
	if err := a.prepareFirstHub(ctx); err != nil {
		return err
	}
	if err := a.openCertificates(); err != nil {
		return err
	}
	a.openHandshakes(ctx)
	return a.refresh(true)
}

// lockedWriter lets one Write at a time through.
type lockedWriter struct {
	mu sync.Mutex
	to io.Writer
}

func (w *lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(p)
}

// Hub is the running hub, for programs that have one inside them.
func (a *App) Hub() *hub.Hub { return a.hub }

// CAFile is the file that clients need to trust; empty when the operator gave a certificate and named none.
func (a *App) CAFile() string { return a.caFile() }

// Logger is where the process logs, in the format and from the level on that the configuration names.
func (a *App) Logger() *slog.Logger { return a.logger }

// Close gives everything back. Run does so itself; further calls return what the first one did.
func (a *App) Close() error {
	a.closeOnce.Do(func() {
		for _, c := range slices.Backward(a.closers) {
			a.closeErr = errors.Join(a.closeErr, c())
		}
	})
	return a.closeErr
}

// hubStats is what the metrics look up.
func (a *App) hubStats(ctx context.Context) ([]obs.HubStats, error) {
	hubs, err := a.hub.Hubs(a.operator)
	if err != nil {
		return nil, err
	}
	var stats []obs.HubStats
	for i := range hubs {
		s, err := a.statsOfHub(ctx, &hubs[i])
		if hubward.CodeOf(err) == hubward.CodeNoSuchHub {
			continue // it was deleted meanwhile
		}
		if err != nil {
			return stats, err
		}
		stats = append(stats, s)
	}
	return stats, nil
}

func (a *App) statsOfHub(ctx context.Context, c *hub.Config) (obs.HubStats, error) {
	p := access.Process(access.HubRef{Name: c.Name, Created: c.Created})
	registry, err := a.hub.DeviceStatistics(ctx, p)
	if err != nil {
		return obs.HubStats{}, err
	}
	live, err := a.hub.ServiceStatistics(ctx, p)
	return obs.HubStats{
		Hub: c.Name, Devices: registry.TotalDeviceCount, Connected: live.ConnectedDeviceCount, ConsumerGroups: c.ConsumerGroups,
	}, err
}
