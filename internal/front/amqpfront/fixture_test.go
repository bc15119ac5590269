package amqpfront_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/go-amqp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/cluster/localcluster"
	"github.com/hubward/hubward/internal/eventlog/memlog"
	"github.com/hubward/hubward/internal/front/amqpfront"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/internal/hub/c2d"
	"github.com/hubward/hubward/internal/hub/eventcodec"
	"github.com/hubward/hubward/internal/hub/twindoc"
	"github.com/hubward/hubward/internal/store/sqlstore"
	"github.com/hubward/hubward/sas"
)

const host = "plant.example"

// fixture is a hub with memory backends behind an AMQP server.
type fixture struct {
	*hub.Hub
	t        *testing.T
	store    *sqlstore.Store
	log      *memlog.Log
	server   *amqpfront.Server
	cluster  *deafCluster
	queues   *stuckQueues
	process  *access.Principal // for the hub "plant"
	observed *observer
	keys     map[string]access.Policy
}

// newFixture starts a hub "plant" with four partitions. Nothing listens until listen is called.
func newFixture(t *testing.T, o amqpfront.Options) *fixture {
	t.Helper()
	return newFixtureOn(t, o, func(l *memlog.Log) hub.EventLog { return l })
}

// newFixtureOn is newFixture with something before the log.
func newFixtureOn(t *testing.T, o amqpfront.Options, before func(*memlog.Log) hub.EventLog) *fixture {
	t.Helper()
	store, err := sqlstore.Open(t.Context(), sqlstore.Options{Path: sqlstore.Memory})
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, store: store, log: memlog.Open(memlog.Options{}), observed: newObserver(), keys: map[string]access.Policy{}}
	f.queues = &stuckQueues{Store: store}
	f.cluster = &deafCluster{Cluster: localcluster.New(localcluster.Options{})}
	f.Hub, err = hub.Open(t.Context(), hub.Options{
		Store: f.queues, Log: before(f.log), Cluster: f.cluster, SASGrace: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.log.Close()
		store.Close()
	})
	f.run()
	f.createHub("plant", host)
	f.process = f.processOf("plant")
	o.Observer = f.observed
	f.server = amqpfront.New(f.Hub, o)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := f.server.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	return f
}

// deafCluster is a cluster that does not answer releases while it is deaf.
type deafCluster struct {
	hub.Cluster
	deaf atomic.Bool
}

func (c *deafCluster) Release(ctx context.Context, claim hub.Claim) (bool, error) {
	if c.deaf.Load() {
		<-ctx.Done()
		return false, ctx.Err()
	}
	return c.Cluster.Release(ctx, claim)
}

// stuckQueues is a store that does not answer changes of queues while it is stuck, nor tells desired properties while it is
// broken, nor changes the reported properties of d1 before what gate holds is closed.
type stuckQueues struct {
	hub.Store
	stuck, broken atomic.Bool
	gate          atomic.Pointer[chan struct{}]
}

func (s *stuckQueues) EditReported(ctx context.Context, name string, edits []*hub.ReportedEdit, done func(err error)) {
	gate := s.gate.Load()
	if gate == nil || edits[0].ID != d1 {
		s.Store.EditReported(ctx, name, edits, done)
		return
	}
	go func() {
		<-*gate
		s.Store.EditReported(ctx, name, edits, done)
	}()
}

func (s *stuckQueues) DesiredProperties(ctx context.Context, name string, id hubward.Identity) (twindoc.Section, []hub.DesiredChange, error) {
	if s.broken.Load() {
		return twindoc.Section{}, nil, errors.New("the disk is on fire")
	}
	return s.Store.DesiredProperties(ctx, name, id)
}

func (s *stuckQueues) EditQueues(ctx context.Context, edits []*c2d.Edit) error {
	if s.stuck.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	return s.Store.EditQueues(ctx, edits)
}

// run does the hub's background work until the test ends.
func (f *fixture) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.Run(ctx) //nolint:errcheck // it has none
	}()
	f.t.Cleanup(func() {
		cancel()
		<-done
	})
}

func (f *fixture) createHub(name string, hosts ...string) {
	f.t.Helper()
	c, err := f.CreateHub(f.t.Context(), access.Process(access.HubRef{}), hub.NewHub{Name: name, HostNames: hosts})
	if err != nil {
		f.t.Fatal(err)
	}
	for _, p := range c.Policies {
		f.keys[name+"/"+p.Name] = p
	}
}

// processOf is the principal of the program itself for a hub.
func (f *fixture) processOf(name string) *access.Principal {
	f.t.Helper()
	ref, err := f.HubFor(name + ".localhost")
	if err != nil {
		f.t.Fatal(err)
	}
	return access.Process(ref)
}

// as is the principal of the program itself for a device of "plant".
func (f *fixture) as(device string) *access.Principal {
	p := *f.process
	p.Identity.Device = device
	return &p
}

func (f *fixture) policyKey(name string) string { return f.keys["plant/"+name].PrimaryKey }

// listen serves on a loopback port and returns its address.
func (f *fixture) listen() string {
	f.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.t.Fatal(err)
	}
	f.serve(l)
	return l.Addr().String()
}

func (f *fixture) serve(l net.Listener) {
	served := make(chan error, 1)
	go func() { served <- f.server.Serve(l) }()
	f.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		f.server.Shutdown(ctx) //nolint:errcheck // the other clean-up looks at it
		if err := <-served; !errors.Is(err, amqpfront.ErrServerClosed) {
			f.t.Errorf("serve: %v", err)
		}
	})
}

// token signs a token of a policy with the decoded key, as hub clients do.
func (f *fixture) token(policy, resource string, life time.Duration) string {
	f.t.Helper()
	text, err := sas.Sign(resource, f.policyKey(policy), policy, time.Now().Add(life))
	if err != nil {
		f.t.Fatal(err)
	}
	return text
}

// append stores n events in a partition. Their bodies are "0", "1", …; it returns when they can be read.
func (f *fixture) append(partition, n int) {
	f.t.Helper()
	bodies := make([]string, n)
	for i := range bodies {
		bodies[i] = fmt.Sprint(i)
	}
	f.appendBody(partition, bodies...)
}

func (f *fixture) appendBody(partition int, bodies ...string) {
	f.t.Helper()
	stored := make(chan error, len(bodies))
	p := f.log.Producer(hub.Partition{Hub: "plant", Endpoint: hub.EndpointEvents, ID: partition}, func(n int, err error) {
		for range n {
			stored <- err
		}
	})
	for i, body := range bodies {
		if err := p.Append(f.t.Context(), record(fmt.Sprint("m", i), body)); err != nil {
			f.t.Fatal(err)
		}
	}
	for range bodies {
		if err := <-stored; err != nil {
			f.t.Fatal(err)
		}
	}
}

// record is an event of device d1 as the log keeps it.
func record(id, body string) []byte {
	stamps := eventcodec.NewStamps(eventcodec.Origin{
		Identity: hubward.Identity{Device: "d1"}, Generation: "638", Source: eventcodec.SourceTelemetry,
		AuthMethod: `{"scope":"device","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}`,
	})
	return eventcodec.Append(nil, stamps, time.Now(), &hubward.Message{
		MessageID: id, Body: []byte(body), Properties: []hubward.Property{{Name: "alert", Value: "true"}},
	})
}

// peer is a client that is one session on one connection.
type peer struct {
	t       *testing.T
	conn    *amqp.Conn
	session *amqp.Session
}

// dial connects over TCP. Without a hostname the client asks for plant.example.
func (f *fixture) dial(address string, o amqp.ConnOptions) *peer {
	f.t.Helper()
	nc, err := net.Dial("tcp", address)
	if err != nil {
		f.t.Fatal(err)
	}
	p, err := newPeer(f.t, nc, o)
	if err != nil {
		f.t.Fatal(err)
	}
	return p
}

// newPeer opens a connection on nc. The error is that of the open.
func newPeer(t *testing.T, nc net.Conn, o amqp.ConnOptions) (*peer, error) {
	t.Helper()
	if o.HostName == "" {
		o.HostName = host
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	conn, err := amqp.NewConn(ctx, nc, &o)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { conn.Close() })
	session, err := conn.NewSession(ctx, nil)
	if err != nil {
		return nil, err
	}
	return &peer{t, conn, session}, nil
}

// owner connects with the owner's policy name and key: a peer that may do all that a policy may.
func (f *fixture) owner(address string) *peer {
	f.t.Helper()
	return f.dial(address, amqp.ConnOptions{SASLType: amqp.SASLTypePlain("iothubowner", f.policyKey("iothubowner"))})
}

// pair is two links to $cbs or $management.
type pair struct {
	t        *testing.T
	sender   *amqp.Sender
	receiver *amqp.Receiver
}

// pair opens a request/response pair. The reply address may be empty.
func (p *peer) pair(address, reply string) *pair {
	p.t.Helper()
	ctx := p.context()
	sender, err := p.session.NewSender(ctx, address, nil)
	if err != nil {
		p.t.Fatalf("sender to %s: %v", address, err)
	}
	receiver, err := p.session.NewReceiver(ctx, address, &amqp.ReceiverOptions{TargetAddress: reply, Credit: 10})
	if err != nil {
		p.t.Fatalf("receiver from %s: %v", address, err)
	}
	return &pair{p.t, sender, receiver}
}

// call sends a request and returns the next response.
func (q *pair) call(m *amqp.Message) *amqp.Message {
	q.t.Helper()
	ctx, cancel := context.WithTimeout(q.t.Context(), 10*time.Second)
	defer cancel()
	if err := q.sender.Send(ctx, m, nil); err != nil {
		q.t.Fatal(err)
	}
	return q.next()
}

func (q *pair) next() *amqp.Message {
	q.t.Helper()
	return receive(q.t, q.receiver)
}

func receive(t *testing.T, r *amqp.Receiver) *amqp.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	m, err := r.Receive(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// putToken puts a token and returns status code and text.
func (p *peer) putToken(token string) (int32, string) {
	p.t.Helper()
	q := p.pair("$cbs", "")
	defer q.sender.Close(p.context())   //nolint:errcheck // the connection ends anyway
	defer q.receiver.Close(p.context()) //nolint:errcheck // as above
	m := q.call(&amqp.Message{
		ApplicationProperties: map[string]any{"operation": "put-token", "type": "servicebus.windows.net:sastoken", "name": host},
		Value:                 token,
	})
	code, _ := m.ApplicationProperties["status-code"].(int32)
	text, _ := m.ApplicationProperties["status-description"].(string)
	return code, text
}

func (p *peer) context() context.Context {
	ctx, cancel := context.WithTimeout(p.t.Context(), 10*time.Second)
	p.t.Cleanup(cancel)
	return ctx
}

// reader attaches a receiver with a selector; an empty one means none.
func (p *peer) reader(address, selector string, o amqp.ReceiverOptions) (*amqp.Receiver, error) {
	if selector != "" {
		o.Filters = append(o.Filters, amqp.NewSelectorFilter(selector))
	}
	if o.Credit == 0 {
		o.Credit = 300
	}
	return p.session.NewReceiver(p.context(), address, &o)
}

func (p *peer) mustRead(address, selector string, o amqp.ReceiverOptions) *amqp.Receiver {
	p.t.Helper()
	r, err := p.reader(address, selector, o)
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

// wantCondition checks that err is a refusal of the other side with a condition.
func wantCondition(t *testing.T, what string, err error, want string) *amqp.Error {
	t.Helper()
	remote := remoteError(err)
	if remote == nil || string(remote.Condition) != want {
		t.Errorf("%s: %v, want %s", what, err, want)
		return &amqp.Error{}
	}
	return remote
}

func remoteError(err error) *amqp.Error {
	var link *amqp.LinkError
	if errors.As(err, &link) {
		return link.RemoteErr
	}
	var conn *amqp.ConnError
	if errors.As(err, &conn) {
		return conn.RemoteErr
	}
	var plain *amqp.Error
	errors.As(err, &plain)
	return plain
}

// observer counts what it is told.
type observer struct {
	mu            sync.Mutex
	events, bytes int
	readers       map[string]int
	changed       chan struct{} // closed, and made anew, when readers changes
}

func newObserver() *observer {
	return &observer{readers: map[string]int{}, changed: make(chan struct{})}
}

func (o *observer) EventsDelivered(hub, group string, events, bytes int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.events += events
	o.bytes += bytes
}

func (o *observer) Readers(hub, group string, change int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.readers[hub+"/"+group] += change
	close(o.changed)
	o.changed = make(chan struct{})
}

// awaitReaders waits until n readers of a hub and group are counted.
func (o *observer) awaitReaders(t *testing.T, key string, n int) {
	t.Helper()
	timeout := time.After(10 * time.Second)
	for {
		o.mu.Lock()
		got, changed := o.readers[key], o.changed
		o.mu.Unlock()
		if got == n {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("%d readers of %s are counted, want %d", got, key, n)
		}
	}
}

func (o *observer) counts() (events, bytes, readers int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, n := range o.readers {
		readers += n
	}
	return o.events, o.bytes, readers
}
