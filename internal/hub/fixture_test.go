package hub_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/cluster/localcluster"
	"github.com/hubward/hubward/internal/eventlog/memlog"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/internal/store/sqlstore"
)

// nodesVariable says on how many nodes the tests run: 1, unless it is set.
const nodesVariable = "HUBWARD_TEST_NODES"

func nodeCount() int {
	if os.Getenv(nodesVariable) == "2" {
		return 2
	}
	return 1
}

// TestMain runs the tests, and then, when all of them are asked for, runs them once more on two nodes: two hubs in one
// process over one store, one log and one cluster.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 && nodeCount() == 1 {
		again := exec.Command(os.Args[0], os.Args[1:]...)
		again.Env = append(os.Environ(), nodesVariable+"=2")
		again.Stdout, again.Stderr = os.Stdout, os.Stderr
		if err := again.Run(); err != nil {
			fmt.Fprintln(os.Stderr, "on two nodes:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// fixture is a hub with memory backends and a clock that tests move. With two nodes, back ends call the first, and
// connections come to both in turn, the second first.
type fixture struct {
	api
	t     *testing.T
	store *sqlstore.Store
	log   *memlog.Log
	nodes []api
	seen  observer

	mu   sync.Mutex
	now  time.Time
	next int // the node that the next connection comes to

	revoked map[string]bool // serial numbers
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
	t.Cleanup(func() {
		f.log.Close()
		store.Close()
	})
	cluster := localcluster.New(localcluster.Options{Epoch: 1})
	for i := range nodeCount() {
		h, err := hub.Open(t.Context(), hub.Options{
			Store: store, Log: f.log, Cluster: cluster, Node: fmt.Sprint("node ", i), Now: f.clock, Rand: random,
			Observer: &f.seen, Revoked: f.isRevoked,
		})
		if err != nil {
			t.Fatal(err)
		}
		f.nodes = append(f.nodes, api{h, f.awaitChange})
	}
	f.api = f.nodes[0]
	f.run()
	return f
}

// run runs the nodes until the test ends.
func (f *fixture) run() {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, n := range f.nodes {
		running.Go(func() { n.Run(ctx) })
	}
	f.t.Cleanup(func() {
		cancel()
		running.Wait()
	})
}

// awaitChange waits until all nodes know the same configurations.
func (f *fixture) awaitChange() {
	f.t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		same := true
		for _, n := range f.nodes[1:] {
			same = same && sameVersions(f.nodes[0], n)
		}
		if same {
			return
		}
		if time.Now().After(end) {
			f.t.Fatal("the nodes do not agree on the configurations")
		}
	}
}

func sameVersions(a, b api) bool {
	hubs, others := a.AllHubs(), b.AllHubs()
	if len(hubs) != len(others) {
		return false
	}
	for i := range hubs {
		if hubs[i].Name != others[i].Name || hubs[i].Version != others[i].Version {
			return false
		}
	}
	return true
}

// other is the node that the next device or reader comes to.
func (f *fixture) other() api {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next++
	return f.nodes[f.next%len(f.nodes)]
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

// revoke has the nodes know of revoked certificates, and look at their connections.
func (f *fixture) revoke(serials ...*big.Int) {
	f.mu.Lock()
	f.revoked = make(map[string]bool)
	for _, s := range serials {
		f.revoked[s.String()] = true
	}
	f.mu.Unlock()
	for _, n := range f.nodes {
		n.CheckCertificates()
	}
}

func (f *fixture) isRevoked(p *access.Path) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.ContainsFunc(p.Certificates, func(c *x509.Certificate) bool { return f.revoked[c.SerialNumber.String()] })
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
	token, err := sign("plant.example", d, f.clock().Add(time.Hour))
	if err != nil {
		f.t.Fatal(err)
	}
	return token
}

// session is a hub.Session that remembers why it was closed, and hands what is delivered to a function.
type session struct {
	mu      sync.Mutex
	reason  error
	deliver func(hub.Delivery)
}

func (s *session) Deliver(d hub.Delivery) {
	s.mu.Lock()
	deliver := s.deliver
	s.mu.Unlock()
	if deliver != nil {
		deliver(d)
	}
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
	link, err := f.other().logIn(f.t.Context(), logIn{
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

// record has the nodes store what is known of connections.
func (f *fixture) record(t *testing.T) {
	t.Helper()
	for _, n := range f.nodes {
		if err := n.RecordNow(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
