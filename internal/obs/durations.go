package obs

import (
	"cmp"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// durations are the histograms, and the counter of requests that goes with one of them.
type durations struct {
	commits     prometheus.Histogram
	edits       prometheus.Histogram
	requests    *prometheus.CounterVec
	requestTime *prometheus.HistogramVec
}

// Bounds of buckets, in seconds. A sync takes a fraction of a millisecond on a good disk and seconds on a dying one. There
// are some thirty calls, so theirs are fewer.
var (
	commitBuckets  = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	requestBuckets = []float64{.001, .005, .025, .1, .5, 2.5, 10, 30}
)

// expectedStatuses are counted from 0 on; others appear when they occur.
var expectedStatuses = []int{200, 204, 400, 401, 404, 500, 503}

func newDurations() *durations {
	call := []string{"method", "path"}
	return &durations{
		commits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "hubward_log_commit_duration_seconds", Buckets: commitBuckets,
			Help: "Commits of the telemetry log, each with one sync, by how long they took.",
		}),
		edits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "hubward_store_commit_duration_seconds", Buckets: commitBuckets,
			Help: "Transactions of the store, each with one sync, by how long they took.",
		}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hubward_http_requests_total", Help: "Requests over HTTPS by call and status.",
		}, append(call, "code")),
		requestTime: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "hubward_http_request_duration_seconds", Buckets: requestBuckets,
			Help: "Requests over HTTPS by how long it took until the answer began.",
		}, call),
	}
}

func (d *durations) all() []prometheus.Collector {
	return []prometheus.Collector{d.commits, d.edits, d.requests, d.requestTime}
}

// LogCommitted is told how long a commit of the telemetry log took.
func (m *Metrics) LogCommitted(took time.Duration) { m.durations.commits.Observe(took.Seconds()) }

// StoreCommitted is told how long a transaction of the store took.
func (m *Metrics) StoreCommitted(took time.Duration) { m.durations.edits.Observe(took.Seconds()) }

// Call is told of a call that there is, which is counted from 0 on.
func (m *Metrics) Call(method, path string) {
	m.durations.requestTime.WithLabelValues(method, path)
	for _, status := range expectedStatuses {
		m.durations.requests.WithLabelValues(method, path, strconv.Itoa(status))
	}
}

// Request counts a request by its call; method and path are empty for what is none.
func (m *Metrics) Request(method, path string, status int, took time.Duration) {
	method, path = cmp.Or(method, "other"), cmp.Or(path, "other")
	m.durations.requests.WithLabelValues(method, path, strconv.Itoa(status)).Inc()
	m.durations.requestTime.WithLabelValues(method, path).Observe(took.Seconds())
}
