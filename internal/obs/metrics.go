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
	"github.com/hubward/hubward/internal/hub/c2d"
)

// Bounds of one reading of the metrics.
const (
	lookUpTimeout = 2 * time.Second // for what is counted in the store
	maxReaders    = 4               // at a time
	scrapeTimeout = 10 * time.Second
)

// HubStats are the numbers of one hub that are looked up when metrics are read.
type HubStats struct {
	Hub            string
	Devices        int      // registered
	Connected      int      // over MQTT or AMQP, now
	ConsumerGroups []string // that there are
}

// Connections are the numbers of what speaks one protocol, by WebSocket or not.
type Connections struct {
	Open    int   // now
	Max     int   // the bound
	Refused int64 // since the start, because of the bound
	Crowded int64 // since the start, because too many came from one address
}

// LogStats are the numbers of the telemetry log since it was opened.
type LogStats struct {
	Events    uint64 // committed
	DiskBytes uint64 // on disk now; zero: not known
	Damaged   int    // partitions in which something is known to be unreadable
}

// Options are where Metrics gets what it does not count itself. Nil functions leave their metrics out.
type Options struct {
	Version     string                        // of this program, for hubward_build_info
	Connections func() map[string]Connections // by protocol
	Handshakes  func() Handshakes             // of all listeners with TLS
	Log         func() LogStats               // of a log on disk
	// Hubs looks the numbers of all hubs up; ctx ends after two seconds.
	Hubs func(ctx context.Context) ([]HubStats, error)
	// Ready asks the parts of the process whether they can do their work; ctx ends after two seconds.
	Ready        func(ctx context.Context) map[string]bool
	Certificates func() []CertificateEnd
	Revocation   func() Revocation // of lists of revoked certificates
	Logger       *slog.Logger      // nil: nothing is logged
}

// CertificateEnd says when a certificate ends that servers show.
type CertificateEnd struct {
	Hub      string // whose it is; empty: the default certificate
	NotAfter time.Time
}

// Revocation are the numbers of the lists of revoked certificates.
type Revocation struct {
	Broken       int       // files that cannot be read
	Certificates int       // that are revoked
	NextUpdate   time.Time // the earliest at which a list is out of date; zero: none is ever
}

// Metrics counts what happens in the hubs of a process. It observes the hub, the front ends and the engines, and is safe
// for concurrent use.
type Metrics struct {
	hubs      copyOnWrite[string, hubCounters]
	strangers loginCounters // log-ins that name no hub of ours
	durations *durations
	o         Options
	registry  *prometheus.Registry
}

var _ hub.Observer = (*Metrics)(nil)

// NewMetrics returns metrics of their own: two of them in one process do not meet.
func NewMetrics(o Options) *Metrics {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	m := &Metrics{o: o, registry: prometheus.NewRegistry(), durations: newDurations()}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "hubward_build_info", Help: "1, labelled with what runs.",
		ConstLabels: prometheus.Labels{"version": o.Version, "goversion": runtime.Version()},
	})
	build.Set(1)
	m.registry.MustRegister(m.durations.all()...)
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
// Those of IoT Hub are named after its own, such as d2c.telemetry.ingress.success. iothub_d2c_refused_total,
// iothub_c2d_enqueued_total, iothub_c2d_deliveries_total, the outcomes purged and deliveryCountExceeded, and hubward_* are
// ours; eventhub_* are spelt as the metrics OutgoingMessages and OutgoingBytes of Event Hubs would be there.
//
// Source: learn.microsoft.com/azure/iot-hub/monitor-iot-hub-reference.
var (
	descAttempts  = perHub("iothub_d2c_ingress_attempts_total", "Telemetry messages that devices tried to send.")
	descStored    = perHub("iothub_d2c_ingress_total", "Telemetry messages that were stored.")
	descThrottled = perHub("iothub_d2c_throttled_total", "Telemetry messages that were refused by a limit.")
	descRefused   = perHub("iothub_d2c_refused_total", "Telemetry messages that were not stored, by error code.", "code")
	descBytes     = perHub("iothub_device_bytes_total", "Payload bytes from and to devices.")
	descDevices   = perHub("iothub_devices", "Registered devices.")
	descConnected = perHub("iothub_devices_connected", "Devices that are connected now.")

	descEnqueued   = perHub("iothub_c2d_enqueued_total", "Messages to devices that were stored.")
	descDeliveries = perHub("iothub_c2d_deliveries_total", "Times that a message was handed to a device.")
	descSettled    = perHub("iothub_c2d_settled_total", "Outcomes of messages to devices.", "outcome")

	descMethods         = perHub("iothub_methods_total", "Calls of direct methods.", "result")
	descMethodRequests  = perHub("iothub_method_request_bytes_total", "Bytes of the payloads of calls that were answered.")
	descMethodResponses = perHub("iothub_method_response_bytes_total", "Bytes of the payloads of the answers.")
	descTwinReads       = perHub("iothub_twin_reads_total", "Reads of twins.", "initiator", "result")
	descTwinReadBytes   = perHub("iothub_twin_read_bytes_total", "Bytes of the twins that were read.", "initiator")
	descTwinUpdates     = perHub("iothub_twin_updates_total", "Writes of twins.", "initiator", "result")
	descTwinUpdateBytes = perHub("iothub_twin_update_bytes_total", "Bytes that were written to twins.", "initiator")

	descLogins = perHub("hubward_logins_refused_total", "Log-ins that were refused, by reason; without a hub, to none of ours.", "reason")

	descDelivered      = perHub("eventhub_outgoing_messages_total", "Events that were handed to readers.", "consumer_group")
	descDeliveredBytes = perHub("eventhub_outgoing_bytes_total", "Bytes of the messages of these events.", "consumer_group")
	descReaders        = perHub("hubward_eventhub_readers", "Readers over AMQP that are open now.", "consumer_group")
	descStreams        = perHub("hubward_event_streams", "Event streams over HTTPS that are open now.", "consumer_group")

	descOpen    = prometheus.NewDesc("hubward_connections", "Connections of all public listeners.", nil, nil)
	descMax     = prometheus.NewDesc("hubward_connections_max", "The most connections that are accepted.", nil, nil)
	descSpeak   = perProtocol("hubward_protocol_connections", "Connections by what they speak, by WebSocket or not.")
	descMost    = perProtocol("hubward_protocol_connections_max", "The most connections that may speak it.")
	descSpurned = perProtocol("hubward_protocol_connections_refused_total", "Connections that were closed because too many speak it, or come from one address.", "reason")
	descTooMany = prometheus.NewDesc("hubward_connections_refused_total", "Connections that were closed because there were too many.", nil, nil)

	descReady       = prometheus.NewDesc("hubward_ready", "1 if a part of the process can do its work, as the readiness call says, 0 if it cannot.", []string{"part"}, nil)
	descCertificate = perHub("hubward_certificate_expiry_timestamp_seconds", "When the certificate that is shown to clients of a hub ends; without a hub, the default one.")

	descRevoked   = prometheus.NewDesc("hubward_revoked_certificates", "Client certificates that the lists of revoked ones name.", nil, nil)
	descUnread    = prometheus.NewDesc("hubward_revocation_files_broken", "Files of revoked certificates that cannot be read: what was read of them before counts.", nil, nil)
	descNextLists = prometheus.NewDesc("hubward_revocation_next_update_timestamp_seconds", "When the first of the authorities' lists of revoked certificates is out of date.", nil, nil)

	descEvents    = prometheus.NewDesc("hubward_log_events_total", "Events that were committed to the telemetry log.", nil, nil)
	descDamaged   = prometheus.NewDesc("hubward_log_damaged_partitions", "Partitions of the telemetry log in which something cannot be read.", nil, nil)
	descDiskBytes = prometheus.NewDesc("hubward_log_disk_bytes", "Bytes of the telemetry log on disk.", nil, nil)
)

// c2dOutcomes are the values of the label outcome: complete, abandon, reject and expired stand for IoT Hub's
// c2d.commands.egress.{complete,abandon,reject}.success and C2DMessagesExpired.
var c2dOutcomes = map[c2d.Counted]string{
	c2d.Completed: "complete", c2d.Abandoned: "abandon", c2d.Rejected: "reject", c2d.Expired: "expired",
	c2d.Exceeded: "deliveryCountExceeded", c2d.Purged: "purged",
}

func perHub(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, append([]string{"hub"}, labels...), nil)
}

func perProtocol(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, append([]string{"protocol"}, labels...), nil)
}

// Describe lists the metrics that Collect makes.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descAttempts, descStored, descThrottled, descRefused, descBytes, descDevices, descConnected, descOpen, descMax, descTooMany,
		descSpeak, descMost, descSpurned, descEnqueued, descDeliveries, descSettled, descMethods, descMethodRequests,
		descMethodResponses, descTwinReads, descTwinReadBytes, descTwinUpdates, descTwinUpdateBytes, descLogins, descDelivered, descDeliveredBytes, descReaders,
		descStreams, descHandshakes, descUnshaken, descWaiting, descReady, descCertificate, descRevoked, descUnread, descNextLists, descEvents, descDiskBytes, descDamaged,
	} {
		ch <- d
	}
}

// Collect makes the metrics of this moment.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	// Gauges first: a hub that the look-up meets gets its counters from zero, so that rates see its first message.
	for _, s := range m.lookUp() {
		gauge(ch, descDevices, int64(s.Devices), s.Hub)
		gauge(ch, descConnected, int64(s.Connected), s.Hub)
		m.hubs.at(s.Hub).expect(s.ConsumerGroups)
	}
	m.strangers.collect(ch, "")
	for name, c := range m.hubs.all() {
		c.collect(ch, name)
	}
	if m.o.Connections != nil {
		collectConnections(ch, m.o.Connections())
	}
	if m.o.Handshakes != nil {
		collectHandshakes(ch, m.o.Handshakes())
	}
	m.collectLog(ch)
	m.collectState(ch)
}

// collectState makes the metrics of what an operator has to act on.
func (m *Metrics) collectState(ch chan<- prometheus.Metric) {
	if m.o.Ready != nil {
		ctx, cancel := context.WithTimeout(context.Background(), lookUpTimeout)
		defer cancel()
		for part, ready := range m.o.Ready(ctx) {
			value := int64(0)
			if ready {
				value = 1
			}
			gauge(ch, descReady, value, part)
		}
	}
	if m.o.Certificates != nil {
		for _, end := range m.o.Certificates() {
			gauge(ch, descCertificate, end.NotAfter.Unix(), end.Hub)
		}
	}
	if m.o.Revocation != nil {
		r := m.o.Revocation()
		gauge(ch, descRevoked, int64(r.Certificates))
		gauge(ch, descUnread, int64(r.Broken))
		if !r.NextUpdate.IsZero() {
			gauge(ch, descNextLists, r.NextUpdate.Unix())
		}
	}
}

func collectConnections(ch chan<- prometheus.Metric, byProtocol map[string]Connections) {
	var all Connections
	for protocol, c := range byProtocol {
		all = Connections{Open: all.Open + c.Open, Max: all.Max + c.Max, Refused: all.Refused + c.Refused + c.Crowded}
		gauge(ch, descSpeak, int64(c.Open), protocol)
		gauge(ch, descMost, int64(c.Max), protocol)
		counter(ch, descSpurned, c.Refused, protocol, "protocol")
		counter(ch, descSpurned, c.Crowded, protocol, "address")
	}
	gauge(ch, descOpen, int64(all.Open))
	gauge(ch, descMax, int64(all.Max))
	counter(ch, descTooMany, all.Refused)
}

func counter(ch chan<- prometheus.Metric, d *prometheus.Desc, v int64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}

func gauge(ch chan<- prometheus.Metric, d *prometheus.Desc, v int64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
}

// collect makes the metrics of one hub.
func (c *hubCounters) collect(ch chan<- prometheus.Metric, name string) {
	counter(ch, descAttempts, c.attempts.Load(), name)
	counter(ch, descStored, c.stored.Load(), name)
	counter(ch, descBytes, c.bytes.Load(), name)
	var throttled int64
	for code, n := range c.refused.all() {
		counter(ch, descRefused, n.Load(), name, code.String())
		if code == hubward.CodeThrottled || code == hubward.CodeQuotaExceeded {
			throttled += n.Load()
		}
	}
	counter(ch, descThrottled, throttled, name)
	c.logins.collect(ch, name)
	counter(ch, descEnqueued, c.c2d[c2d.Sent].Load(), name)
	counter(ch, descDeliveries, c.c2d[c2d.Delivered].Load(), name)
	for what, outcome := range c2dOutcomes {
		counter(ch, descSettled, c.c2d[what].Load(), name, outcome)
	}
	c.collectMethodsAndTwins(ch, name)
	for group, g := range c.groups.all() {
		counter(ch, descDelivered, g.events.Load(), name, group)
		counter(ch, descDeliveredBytes, g.bytes.Load(), name, group)
		gauge(ch, descReaders, g.readers.Load(), name, group)
		gauge(ch, descStreams, g.streams.Load(), name, group)
	}
}

func (c *hubCounters) collectMethodsAndTwins(ch chan<- prometheus.Metric, name string) {
	c.methods.collect(ch, descMethods, name)
	counter(ch, descMethodRequests, c.methodRequests.Load(), name)
	counter(ch, descMethodResponses, c.methodResponses.Load(), name)
	for by := range hub.Initiator(hub.Initiators) {
		reads, updates := &c.twinReads[by], &c.twinUpdates[by]
		reads.collect(ch, descTwinReads, name, by.String())
		counter(ch, descTwinReadBytes, reads.bytes.Load(), name, by.String())
		updates.collect(ch, descTwinUpdates, name, by.String())
		counter(ch, descTwinUpdateBytes, updates.bytes.Load(), name, by.String())
	}
}

// collectLog makes the metrics of the telemetry log. A log that has failed does not know its size.
func (m *Metrics) collectLog(ch chan<- prometheus.Metric) {
	if m.o.Log == nil {
		return
	}
	s := m.o.Log()
	counter(ch, descEvents, int64(s.Events))
	gauge(ch, descDamaged, int64(s.Damaged))
	if s.DiskBytes > 0 {
		gauge(ch, descDiskBytes, int64(s.DiskBytes))
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
