package obs

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/internal/hub/c2d"
)

// hubCounters are the counters of one hub. They are touched once or more per message.
type hubCounters struct {
	attempts atomic.Int64
	stored   atomic.Int64
	bytes    atomic.Int64
	refused  copyOnWrite[hubward.Code, atomic.Int64]
	logins   loginCounters
	groups   copyOnWrite[string, groupCounters] // by consumer group
	c2d      [c2d.CountedKinds]atomic.Int64

	methods         results
	methodRequests  atomic.Int64 // bytes
	methodResponses atomic.Int64 // bytes
	twinReads       [hub.Initiators]sizedResults
	twinUpdates     [hub.Initiators]sizedResults
}

// results count what went well, and what did not.
type results struct{ success, failure atomic.Int64 }

func (r *results) add(ok bool) {
	if ok {
		r.success.Add(1)
	} else {
		r.failure.Add(1)
	}
}

// collect makes the two metrics, which differ in the label result, the last one.
func (r *results) collect(ch chan<- prometheus.Metric, d *prometheus.Desc, labels ...string) {
	counter(ch, d, r.success.Load(), append(slices.Clip(labels), "success")...)
	counter(ch, d, r.failure.Load(), append(slices.Clip(labels), "failure")...)
}

type sizedResults struct {
	results
	bytes atomic.Int64 // of what went well
}

func (r *sizedResults) add(ok bool, bytes int) {
	r.results.add(ok)
	if ok {
		r.bytes.Add(int64(bytes))
	}
}

// groupCounters are the counters of one consumer group. They are touched once per batch of events.
type groupCounters struct {
	events  atomic.Int64
	bytes   atomic.Int64
	readers atomic.Int64
	streams atomic.Int64
}

// refusals are the codes that telemetry is refused with, when nothing is wrong with the hub itself. They are counted from 0
// on; others appear when they occur.
var refusals = []hubward.Code{
	hubward.CodeArgumentInvalid, hubward.CodeMessageTooLarge, hubward.CodeServerError, hubward.CodeServiceUnavailable,
	hubward.CodeThrottled,
}

// expect has the counters begin at 0 instead of at the first message, so that a rate sees that one.
func (c *hubCounters) expect(groups []string) {
	for _, code := range refusals {
		c.refused.at(code)
	}
	for _, group := range groups {
		c.groups.at(group)
	}
}

// loginCounters count log-ins that were refused.
type loginCounters struct {
	byReason copyOnWrite[access.Reason, atomic.Int64]
}

func (c *loginCounters) collect(ch chan<- prometheus.Metric, hub string) {
	for _, reason := range access.Reasons() {
		counter(ch, descLogins, c.byReason.at(reason).Load(), hub, string(reason))
	}
}

// copyOnWrite is a map whose readers take no lock. It suits keys that appear once and are read for ever: hubs, codes.
type copyOnWrite[K comparable, V any] struct {
	current atomic.Pointer[map[K]*V]
	mu      sync.Mutex // serialises writers
}

// peek returns the value of key, nil when there is none.
func (m *copyOnWrite[K, V]) peek(key K) *V { return m.all()[key] }

// at returns the value of key, a new zero one at first sight.
func (m *copyOnWrite[K, V]) at(key K) *V {
	if v, ok := m.all()[key]; ok {
		return v
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.all()
	if v, ok := old[key]; ok {
		return v
	}
	next := make(map[K]*V, len(old)+1)
	for k, v := range old {
		next[k] = v
	}
	v := new(V)
	next[key] = v
	m.current.Store(&next)
	return v
}

// forget drops the keys that drop names. A counter that somebody holds on to counts for nobody.
func (m *copyOnWrite[K, V]) forget(drop func(key K) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.all()
	next := make(map[K]*V, len(old))
	for k, v := range old {
		if !drop(k) {
			next[k] = v
		}
	}
	if len(next) < len(old) {
		m.current.Store(&next)
	}
}

// all returns the map as it is now. It must not be changed.
func (m *copyOnWrite[K, V]) all() map[K]*V {
	if p := m.current.Load(); p != nil {
		return *p
	}
	return nil
}

// TelemetryAttempt counts messages that devices tried to send.
func (m *Metrics) TelemetryAttempt(hub string, n int) { m.hubs.at(hub).attempts.Add(int64(n)) }

// TelemetryStored counts messages that are durable.
func (m *Metrics) TelemetryStored(hub string, n int) { m.hubs.at(hub).stored.Add(int64(n)) }

// TelemetryRefused counts messages that were not stored, by reason.
func (m *Metrics) TelemetryRefused(hub string, code hubward.Code, n int) {
	m.hubs.at(hub).refused.at(code).Add(int64(n))
}

// DeviceBytes counts payload bytes from and to devices.
func (m *Metrics) DeviceBytes(hub string, n int) { m.hubs.at(hub).bytes.Add(int64(n)) }

// CloudToDevice counts what happened to messages to devices.
func (m *Metrics) CloudToDevice(name string, what c2d.Counted, n int) {
	m.hubs.at(name).c2d[what].Add(int64(n))
}

// MethodCalled counts calls of direct methods, with the bytes of the payloads.
func (m *Metrics) MethodCalled(name string, ok bool, request, response int) {
	c := m.hubs.at(name)
	c.methods.add(ok)
	if ok {
		c.methodRequests.Add(int64(request))
		c.methodResponses.Add(int64(response))
	}
}

// TwinRead counts reads of twins, with the bytes of the documents.
func (m *Metrics) TwinRead(name string, by hub.Initiator, ok bool, bytes int) {
	m.hubs.at(name).twinReads[by].add(ok, bytes)
}

// TwinUpdated counts writes of twins, with the bytes of what was written.
func (m *Metrics) TwinUpdated(name string, by hub.Initiator, ok bool, bytes int) {
	m.hubs.at(name).twinUpdates[by].add(ok, bytes)
}

// EventsDelivered counts events that were handed to readers, with the bytes of their messages.
func (m *Metrics) EventsDelivered(hub, consumerGroup string, events, bytes int) {
	g := m.hubs.at(hub).groups.at(consumerGroup)
	g.events.Add(int64(events))
	g.bytes.Add(int64(bytes))
}

// Readers counts the open readers; change is 1 or -1.
func (m *Metrics) Readers(hub, consumerGroup string, change int) {
	if g := m.group(hub, consumerGroup, change); g != nil {
		g.readers.Add(int64(change))
	}
}

// EventStreams counts the open event streams; change is 1 or -1.
func (m *Metrics) EventStreams(hub, consumerGroup string, change int) {
	if g := m.group(hub, consumerGroup, change); g != nil {
		g.streams.Add(int64(change))
	}
}

// group returns the counters of a consumer group. The readers of a hub or group that was forgotten close after that, which
// must not make it known again: then there are none.
func (m *Metrics) group(hub, consumerGroup string, change int) *groupCounters {
	if change > 0 {
		return m.hubs.at(hub).groups.at(consumerGroup)
	}
	if h := m.hubs.peek(hub); h != nil {
		return h.groups.peek(consumerGroup)
	}
	return nil
}

// LoginRefused counts log-ins that were refused.
func (m *Metrics) LoginRefused(hub string, reason access.Reason) {
	c := &m.strangers
	if hub != "" {
		c = &m.hubs.at(hub).logins
	}
	c.byReason.at(reason).Add(1)
}

// KeepHubs drops the counters of hubs that are not among those given, and of consumer groups that are not among those given
// with their hub, compared without case.
func (m *Metrics) KeepHubs(groups map[string][]string) {
	m.hubs.forget(func(hub string) bool {
		_, there := groups[hub]
		return !there
	})
	for hub, counters := range m.hubs.all() {
		counters.groups.forget(func(group string) bool {
			return !slices.ContainsFunc(groups[hub], func(g string) bool { return strings.EqualFold(g, group) })
		})
	}
}
