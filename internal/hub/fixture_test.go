package hub_test

import (
	"io"
	"sync"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/eventlog/memlog"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/store/sqlstore"
	"github.com/hubward/hubward/sas"
)

// fixture is a hub with memory backends and a clock that tests move.
type fixture struct {
	*hub.Hub
	t     *testing.T
	store *sqlstore.Store
	log   *memlog.Log

	mu  sync.Mutex
	now time.Time
}

// newFixture has the hub "plant", which answers to plant.example.
func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := newBareFixture(t, nil)
	f.createHub("plant", "plant.example")
	return f
}

// newBareFixture has no hub. Keys are made of what random gives; nil: of random bytes.
func newBareFixture(t *testing.T, random io.Reader) *fixture {
	t.Helper()
	f := &fixture{t: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	store, err := sqlstore.Open(t.Context(), sqlstore.Options{Path: sqlstore.Memory, Now: f.clock})
	if err != nil {
		t.Fatal(err)
	}
	f.store, f.log = store, memlog.Open(memlog.Options{Now: f.clock})
	f.Hub, err = hub.Open(t.Context(), hub.Options{Store: store, Log: f.log, Now: f.clock, Rand: random})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.log.Close()
		store.Close()
	})
	return f
}

func (f *fixture) clock() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

func (f *fixture) advance(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

func (f *fixture) createHub(name string, hosts ...string) hub.Config {
	f.t.Helper()
	c, err := f.CreateHub(f.t.Context(), hub.NewHub{Name: name, HostNames: hosts})
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

func (f *fixture) createDevice(id string) *hubward.Device {
	f.t.Helper()
	d, err := f.PutDevice(f.t.Context(), "plant", hubward.Device{DeviceID: id}, "")
	if err != nil {
		f.t.Fatal(err)
	}
	return d
}

func (f *fixture) token(d *hubward.Device) string {
	f.t.Helper()
	token, err := sas.Sign("plant.example/devices/"+d.DeviceID, string(d.Authentication.SymmetricKey.PrimaryKey), "", f.clock().Add(time.Hour))
	if err != nil {
		f.t.Fatal(err)
	}
	return token
}

// session is a hub.Session that remembers why it was closed.
type session struct {
	mu     sync.Mutex
	reason error
}

func (s *session) Close(reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reason == nil {
		s.reason = reason
	}
}

func (s *session) closed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reason
}

func (f *fixture) connect(d *hubward.Device) (*hub.Link, *session, error) {
	s := &session{}
	link, err := f.Connect(f.t.Context(), hub.ConnectRequest{
		Host: "plant.example", Identity: hubward.Identity{Device: d.DeviceID}, Token: f.token(d), Session: s,
	})
	return link, s, err
}

func wantCode(t *testing.T, what string, err error, want hubward.Code) {
	t.Helper()
	if err == nil || hubward.CodeOf(err) != want {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}
