package amqpfront

import (
	"net"
	"testing"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/hub"
)

// Address is a parsed address as tests see it.
type Address struct {
	Family                     string // its pattern
	EventHub, Group, Partition string
	Identity                   hubward.Identity
	Rest                       string
}

// AddressParser returns a function that parses addresses, and returns the segments of their paths too.
func AddressParser() func(text string) (Address, []string) {
	table := newAddressTable()
	return func(text string) (Address, []string) {
		a := table.parse(text)
		return Address{a.family.pattern, a.eventHub, a.group, a.partition, a.identity, a.rest}, a.path
	}
}

// ParseSelector parses a selector. bad is the text of a position that is none.
func ParseSelector(text string) (start hub.Position, bad string, err error) {
	start, err = parseSelector(text)
	if e, ok := err.(*badPosition); ok {
		return start, e.text("41"), err
	}
	return start, "", err
}

// PositionOf reads a filter.
func PositionOf(filter amqpwire.Map) (hub.Position, error) { return positionOf(filter) }

// HostOf takes the host out of an open's hostname.
func HostOf(hostname string) string { return hostOf(hostname) }

// ConditionOf maps a code.
func ConditionOf(code hubward.Code) amqpwire.Symbol { return conditionOf(code) }

// MatchesTrace reports whether patterns name a connection.
func MatchesTrace(patterns []string, remote, container string) bool {
	a, err := net.ResolveTCPAddr("tcp", remote)
	if err != nil {
		return false
	}
	return matchesTrace(trimPatterns(patterns), a, container)
}

// NewTaker returns what a reader link does per event, with so many events in a batch.
func NewTaker(t testing.TB, batch int) func(hub.Record) {
	r := &readerLink{limit: batch}
	return func(record hub.Record) {
		if !r.take(record) {
			r.buffer, r.ends = r.buffer[:0], r.ends[:0]
		}
		if r.failure != nil {
			t.Fatal(r.failure)
		}
	}
}

// NewPresence returns the session of an identity none of whose links receives.
func NewPresence(id hubward.Identity) hub.Session { return &presence{conn: &conn{}, id: id} }

// ReadMessage reads what a client sends.
func ReadMessage(payload []byte, toHub bool) (*hubward.Message, error) {
	r, m := &messageReader{}, &hubward.Message{}
	if e := r.read(m, payload, toHub); e != nil {
		return nil, e
	}
	return m, nil
}

// GUIDTag makes a delivery tag.
func GUIDTag(text string) []byte { return guidTag(text) }

// NewReader returns what a telemetry link does per message.
func NewReader() func(payload []byte) error {
	r, m := &messageReader{}, &hubward.Message{}
	return func(payload []byte) error {
		if e := r.read(m, payload, true); e != nil {
			return e
		}
		return nil
	}
}

// TextOf writes a primitive as text.
func TextOf(v any) (string, bool) { return textOf(v) }

// CallUUID writes the id of a call.
func CallUUID(id uint64) [16]byte { return callUUID(id) }

// ReadMethodResponse reads an answer to a call.
func ReadMethodResponse(b []byte, truncated bool) (call uint64, known bool, status int, payload []byte, err error) {
	r, e := readMethodResponse(b, truncated)
	if e != nil {
		err = e
	}
	return r.call, r.known, r.status, r.payload, err
}

// ReadTwinRequest reads a request to a twin.
func ReadTwinRequest(b []byte, truncated bool) (operation string, patch []byte, ifVersion int64, err error) {
	if truncated {
		b, _ = cutBody(b)
	}
	m, err := amqpwire.DecodeMessage(b)
	if err != nil {
		return "", nil, 0, err
	}
	r, err := readTwinRequest(m)
	return string(r.operation), r.patch, r.ifVersion, err
}

// CutBody splits an encoded message before its body.
func CutBody(payload []byte) (head, rest []byte) { return cutBody(payload) }

// Held counts the principals of all connections.
func (s *Server) Held() (n int) {
	s.connsMu.Lock()
	defer s.connsMu.Unlock()
	for c := range s.conns {
		c.mu.Lock()
		n += len(c.principals)
		c.mu.Unlock()
	}
	return n
}
