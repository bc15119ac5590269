package obs

import (
	"sync"
	"sync/atomic"

	"github.com/hubward/hubward"
)

// hubCounters are the counters of one hub. They are touched once or more per message.
type hubCounters struct {
	attempts atomic.Int64
	stored   atomic.Int64
	bytes    atomic.Int64
	refused  copyOnWrite[hubward.Code, atomic.Int64]
}

// copyOnWrite is a map whose readers take no lock. It suits keys that appear once and are read for ever: hubs, codes.
type copyOnWrite[K comparable, V any] struct {
	current atomic.Pointer[map[K]*V]
	mu      sync.Mutex // serialises writers
}

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

// forget drops a key. A counter that somebody holds on to counts for nobody.
func (m *copyOnWrite[K, V]) forget(key K) {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := make(map[K]*V)
	for k, v := range m.all() {
		if k != key {
			next[k] = v
		}
	}
	m.current.Store(&next)
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

// ForgetHub drops the counters of a hub that was deleted.
func (m *Metrics) ForgetHub(hub string) { m.hubs.forget(hub) }
