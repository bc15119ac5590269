package hub_test

import (
	"context"
	"errors"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/cluster/localcluster"
	"github.com/hubward/hubward/internal/eventlog/memlog"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/c2d"
	"github.com/hubward/hubward/internal/store/sqlstore"
)

// plant is a running hub "plant" in a bubble of testing/synctest: its clock is the bubble's. With two nodes, back ends call
// the first, and connections come to both in turn, the second first.
type plant struct {
	api
	t     *testing.T
	nodes []api
	store *faultyStore
	seen  *counter
	stop  func()       // ends the hub's Run and waits for it
	next  atomic.Int64 // the node that the next connection comes to
}

// faultyStore fails queue edits while it is broken.
type faultyStore struct {
	hub.Store
	broken atomic.Bool
	edits  atomic.Int64 // calls of EditQueues
}

var errBroken = errors.New("the disk is full")

func (s *faultyStore) EditQueues(ctx context.Context, edits []*c2d.Edit) error {
	s.edits.Add(1)
	if s.broken.Load() {
		return errBroken
	}
	return s.Store.EditQueues(ctx, edits)
}

// counter is the part of an Observer that counts messages to devices.
type counter struct {
	hub.Observer
	mu     sync.Mutex
	counts map[c2d.Counted]int
}

func (c *counter) CloudToDevice(_ string, what c2d.Counted, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[what] += n
}

func (c *counter) DeviceBytes(string, int) {}

func (c *counter) all() map[c2d.Counted]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.counts)
}

// inPlant runs a test in a bubble.
func inPlant(t *testing.T, test func(t *testing.T, p *plant)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		store, err := sqlstore.Open(t.Context(), sqlstore.Options{Path: sqlstore.Memory})
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		p := openPlant(t, store)
		defer func() { p.stop() }()
		if _, err := p.CreateHub(t.Context(), hub.NewHub{Name: "plant"}); err != nil {
			t.Fatal(err)
		}
		test(t, p)
	})
}

// epochs makes the epochs of the processes of a test.
var epochs atomic.Uint64

// openPlant opens and runs a hub on a store.
func openPlant(t *testing.T, store hub.Store) *plant {
	t.Helper()
	p := &plant{t: t, store: &faultyStore{Store: store}, seen: &counter{counts: make(map[c2d.Counted]int)}}
	log := memlog.Open(memlog.Options{})
	cluster := localcluster.New(localcluster.Options{Epoch: epochs.Add(1)})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for range nodeCount() {
		h, err := hub.Open(t.Context(), hub.Options{Store: p.store, Log: log, Cluster: cluster, Observer: p.seen})
		if err != nil {
			t.Fatal(err)
		}
		p.nodes = append(p.nodes, api{h, synctest.Wait})
		running.Go(func() { h.Run(ctx) })
	}
	p.api = p.nodes[0]
	p.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		log.Close()
	})
	return p
}

// other is the node that the next connection comes to.
func (p *plant) other() api {
	return p.nodes[p.next.Add(1)%int64(len(p.nodes))]
}

// restart ends the hub's Run and opens another hub on the same store.
func (p *plant) restart() {
	p.t.Helper()
	p.stop()
	*p = *openPlant(p.t, p.store.Store)
}

func (p *plant) device(id string) *hubward.Device {
	p.t.Helper()
	d, err := p.PutDevice(p.t.Context(), "plant", hubward.Device{DeviceID: id}, "")
	if err != nil {
		p.t.Fatal(err)
	}
	return d
}

// send sends a message with its name as id and body, and full feedback.
func (p *plant) send(device string, names ...string) {
	p.t.Helper()
	for _, name := range names {
		m := &hubward.Message{MessageID: name, Body: []byte(name), Ack: hubward.AckFull}
		if err := p.SendC2D(p.t.Context(), "plant", device, m); err != nil {
			p.t.Fatalf("send %s: %v", name, err)
		}
	}
}

// connection is a device's link with its session.
type connection struct {
	*hub.Link
	session  *session
	receiver *hub.C2DReceiver
}

// receive has the connection's messages handed to deliver.
func (c *connection) receive(credit int, deliver func(*hub.C2DDelivery)) {
	c.session.mu.Lock()
	c.session.deliver = func(d hub.Delivery) { deliver(d.(*hub.C2DDelivery)) }
	c.session.mu.Unlock()
	c.receiver = c.ReceiveC2D(credit)
}

func (p *plant) connect(d *hubward.Device) connection {
	p.t.Helper()
	token, err := sign("plant.localhost", d, time.Now().Add(100*time.Hour))
	if err != nil {
		p.t.Fatal(err)
	}
	s := &session{}
	link, err := p.other().logIn(p.t.Context(), logIn{
		Host: "plant.localhost", Identity: hubward.Identity{Device: d.DeviceID}, Token: token, Session: s,
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return connection{Link: link, session: s}
}

// inbox is what a connected device has got.
type inbox struct {
	*hub.C2DReceiver
	t  *testing.T
	mu sync.Mutex
	in []*hub.C2DDelivery
}

func (p *plant) receive(c connection, credit int) *inbox {
	b := &inbox{t: p.t}
	c.receive(credit, func(d *hub.C2DDelivery) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.in = append(b.in, d)
	})
	b.C2DReceiver = c.receiver
	return b
}

// want waits until the hub rests, and takes what has come, which has to have these names.
func (b *inbox) want(names ...string) []*hub.C2DDelivery {
	b.t.Helper()
	synctest.Wait()
	b.mu.Lock()
	in := b.in
	b.in = nil
	b.mu.Unlock()
	var got []string
	for _, d := range in {
		got = append(got, string(d.Message.Body))
	}
	if len(got) != len(names) {
		b.t.Fatalf("the device got %q, want %q", got, names)
	}
	for i := range got {
		if got[i] != names[i] {
			b.t.Fatalf("the device got %q, want %q", got, names)
		}
	}
	return in
}

// settle settles a delivery and returns the outcome.
func (b *inbox) settle(d *hub.C2DDelivery, o hub.C2DOutcome) error {
	done := make(chan error, 1)
	b.Settle(d.LockToken, o, func(err error) { done <- err })
	return <-done
}

func (b *inbox) mustSettle(d *hub.C2DDelivery, o hub.C2DOutcome) {
	b.t.Helper()
	if err := b.settle(d, o); err != nil {
		b.t.Fatalf("settle %s: %v", d.Message.Body, err)
	}
}

// poll takes the next message as a polling device does; nil when there is none.
func (p *plant) poll(device string) *hub.C2DDelivery {
	p.t.Helper()
	d, err := p.TakeC2D(p.t.Context(), "plant", device, 0)
	if err != nil {
		p.t.Fatal(err)
	}
	return d
}

func (p *plant) wantPending(device string, want int) {
	p.t.Helper()
	d, err := p.Device(p.t.Context(), "plant", device)
	if err != nil {
		p.t.Fatal(err)
	}
	if d.CloudToDeviceMessageCount != want {
		p.t.Errorf("%d messages are pending, want %d", d.CloudToDeviceMessageCount, want)
	}
}
