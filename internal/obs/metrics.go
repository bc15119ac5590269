package obs

import (
	"context"
	"log/slog"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// Bounds of one reading of the metrics.
const (
	lookUpTimeout = 2 * time.Second // for what is counted in the store
	maxReaders    = 4               // at a time
	scrapeTimeout = 10 * time.Second
)

// HubStats are the numbers of one hub that are looked up when metrics are read.
type HubStats struct {
	Hub       string
	Devices   int // registered
	Connected int // over MQTT or AMQP, now
}

// Connections are the numbers of the process's listeners.
type Connections struct {
	Open    int   // now
	Max     int   // the bound
	Refused int64 // since the start, because of the bound
}

// LogStats are the numbers of the telemetry log since it was opened.
type LogStats struct {
	Commits    uint64        // shared commits, each with one sync
	Events     uint64        // committed
	CommitTime time.Duration // sum over all commits, sync included
	DiskBytes  uint64        // on disk now; zero: not known
}

// Options are where Metrics gets what it does not count itself. Nil functions leave their metrics out.
type Options struct {
	Version     string // of this program, for hubward_build_info
	Connections func() Connections
	Log         func() LogStats // of a log on disk
	// Hubs looks the numbers of all hubs up; ctx ends after two seconds.
	Hubs   func(ctx context.Context) ([]HubStats, error)
	Logger *slog.Logger // nil: nothing is logged
}

// Metrics counts what happens in the hubs of a process. It is a hub.Observer, and safe for concurrent use.
type Metrics struct {
	hubs     copyOnWrite[string, hubCounters]
	o        Options
	registry *prometheus.Registry
}

var _ hub.Observer = (*Metrics)(nil)

// NewMetrics returns metrics of their own: two of them in one process do not meet.
func NewMetrics(o Options) *Metrics {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	m := &Metrics{o: o, registry: prometheus.NewRegistry()}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "hubward_build_info", Help: "1, labelled with what runs.",
		ConstLabels: prometheus.Labels{"version": o.Version, "goversion": runtime.Version()},
	})
	build.Set(1)
	m.registry.MustRegister(build, m, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler serves the metrics in the formats that Prometheus asks for.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: maxReaders,
		Timeout:             scrapeTimeout,
	})
}

// The metrics that are computed when they are read.
//
// Source: spec/routing-and-events.md Part G. iothub_d2c_refused_total and hubward_* are ours.
var (
	descAttempts  = perHub("iothub_d2c_ingress_attempts_total", "Telemetry messages that devices tried to send.")
	descStored    = perHub("iothub_d2c_ingress_total", "Telemetry messages that were stored.")
	descThrottled = perHub("iothub_d2c_throttled_total", "Telemetry messages that were refused by a limit.")
	descRefused   = perHub("iothub_d2c_refused_total", "Telemetry messages that were not stored, by error code.", "code")
	descBytes     = perHub("iothub_device_bytes_total", "Payload bytes from and to devices.")
	descDevices   = perHub("iothub_devices", "Registered devices.")
	descConnected = perHub("iothub_devices_connected", "Devices that are connected now.")

	descOpen    = prometheus.NewDesc("hubward_connections", "Connections of all public listeners.", nil, nil)
	descMax     = prometheus.NewDesc("hubward_connections_max", "The most connections that are accepted.", nil, nil)
	descTooMany = prometheus.NewDesc("hubward_connections_refused_total", "Connections that were closed because there were too many.", nil, nil)

	descCommits    = prometheus.NewDesc("hubward_log_commits_total", "Commits of the telemetry log, each with one sync.", nil, nil)
	descEvents     = prometheus.NewDesc("hubward_log_events_total", "Events that were committed to the telemetry log.", nil, nil)
	descCommitTime = prometheus.NewDesc("hubward_log_commit_seconds_total", "Time spent on commits of the telemetry log, syncs included.", nil, nil)
	descDiskBytes  = prometheus.NewDesc("hubward_log_disk_bytes", "Bytes of the telemetry log on disk.", nil, nil)
)

func perHub(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, append([]string{"hub"}, labels...), nil)
}

// Describe lists the metrics that Collect makes.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descAttempts, descStored, descThrottled, descRefused, descBytes, descDevices, descConnected, descOpen, descMax, descTooMany,
		descCommits, descEvents, descCommitTime, descDiskBytes,
	} {
		ch <- d
	}
}

// Collect makes the metrics of this moment.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, v int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v int, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
	}
	// Gauges first: a hub that the look-up meets gets its counters from zero, so that rates see its first message.
	for _, s := range m.lookUp() {
		gauge(descDevices, s.Devices, s.Hub)
		gauge(descConnected, s.Connected, s.Hub)
		m.hubs.at(s.Hub)
	}
	for name, c := range m.hubs.all() {
		counter(descAttempts, c.attempts.Load(), name)
		counter(descStored, c.stored.Load(), name)
		counter(descBytes, c.bytes.Load(), name)
		var throttled int64
		for code, n := range c.refused.all() {
			counter(descRefused, n.Load(), name, code.String())
			if code == hubward.CodeThrottled || code == hubward.CodeQuotaExceeded {
				throttled += n.Load()
			}
		}
		counter(descThrottled, throttled, name)
	}
	if m.o.Connections != nil {
		c := m.o.Connections()
		gauge(descOpen, c.Open)
		gauge(descMax, c.Max)
		counter(descTooMany, c.Refused)
	}
	m.collectLog(ch)
}

// collectLog makes the metrics of the telemetry log. A log that has failed does not know its size.
func (m *Metrics) collectLog(ch chan<- prometheus.Metric) {
	if m.o.Log == nil {
		return
	}
	s := m.o.Log()
	ch <- prometheus.MustNewConstMetric(descCommits, prometheus.CounterValue, float64(s.Commits))
	ch <- prometheus.MustNewConstMetric(descEvents, prometheus.CounterValue, float64(s.Events))
	ch <- prometheus.MustNewConstMetric(descCommitTime, prometheus.CounterValue, s.CommitTime.Seconds())
	if s.DiskBytes > 0 {
		ch <- prometheus.MustNewConstMetric(descDiskBytes, prometheus.GaugeValue, float64(s.DiskBytes))
	}
}

// lookUp asks for the numbers of the hubs. Without an answer in time the gauges are absent from this reading: a stale
// number would look like a fact.
func (m *Metrics) lookUp() []HubStats {
	if m.o.Hubs == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookUpTimeout)
	defer cancel()
	stats, err := m.o.Hubs(ctx)
	if err != nil {
		m.o.Logger.Warn("metrics: hubs could not be looked up", "error", err)
	}
	return stats
}
