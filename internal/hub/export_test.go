package hub

import (
	"context"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
)

// RecordNow stores what has gathered of connections.
func (h *Hub) RecordNow(ctx context.Context) error {
	h.recordOnce(ctx)
	return nil
}

// EnterMethodWaiters has n calls with payloads of so many bytes wait for an identity to take methods, until leave is called.
func EnterMethodWaiters(h *Hub, name string, id hubward.Identity, n, size int) (leave func()) {
	s, _, err := h.find(name)
	if err != nil {
		panic(err)
	}
	var all []func()
	for range n {
		one, err := s.methods.enter(id, size)
		if err != nil {
			panic(err)
		}
		all = append(all, one)
	}
	return func() {
		for _, one := range all {
			one()
		}
	}
}

// WaitingCalls is what the calls under way to a link take of its bounds.
func WaitingCalls(l *Link) (n, bytes int) {
	l.calls.mu.Lock()
	defer l.calls.mu.Unlock()
	return len(l.calls.waiting), l.calls.bytes
}

// The parsers of scopes and queries, for fuzzing.
var (
	NewEdgeScope      = newEdgeScope
	EdgeDeviceOf      = edgeDeviceOf
	NewContinuation   = newContinuation
	ParseContinuation = parseContinuation
	IsAllDevices      = isAllDevices
)

// LogName is what the event log calls a hub.
func (h *Hub) LogName(name string) string {
	_, c, err := h.find(name)
	if err != nil {
		return name
	}
	return c.logName()
}

// OutboxRound is what the mover of events asks for.
const OutboxRound = outboxRound

// KnownTokens is how many tokens the hub remembers, MaxKnownTokens how many at most.
func KnownTokens(h *Hub) int {
	h.tokens.mu.RLock()
	defer h.tokens.mu.RUnlock()
	return len(h.tokens.known)
}

const MaxKnownTokens = maxKnownTokens

// AdmissionOf returns what a hub lets in.
func (h *Hub) AdmissionOf(name string) *access.Admission {
	s, _, err := h.find(name)
	if err != nil {
		panic(err)
	}
	return h.admission(s)
}

// MaxEdgeLevels is how many Edge devices may be above one another.
const MaxEdgeLevels = maxEdgeLevels

// MaxScopePage is how many devices a page of a scope has.
const MaxScopePage = maxScopePage

// The continuations of scopes, for fuzzing.
var (
	NewScopeContinuation   = newScopeContinuation
	ParseScopeContinuation = parseScopeContinuation
)

// SetMaxConnected bounds the links of a hub on this node.
func (h *Hub) SetMaxConnected(n int) { h.mostLinks = int64(n) }
