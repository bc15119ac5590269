package mqttfront_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/cluster/localcluster"
	"github.com/hubward/hubward/internal/eventlog/memlog"
	"github.com/hubward/hubward/internal/front/mqttfront"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/internal/mqttwire"
	"github.com/hubward/hubward/internal/store/sqlstore"
	"github.com/hubward/hubward/sas"
)

// fixture is a front end over a hub in memory, reached through pipes: it works inside a synctest bubble. The hub is "plant".
type fixture struct {
	t      *testing.T
	hub    *hub.Hub
	plant  *access.Principal // the program itself, in the hub
	store  *sqlstore.Store
	log    *memlog.Log
	server *mqttfront.Server
	pipes  *pipes
	epoch  uint64 // of the cluster: how often the hub was started again
}

// pipes is a net.Listener whose connections tests make.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	return newFixtureOn(t, func(log hub.EventLog) hub.EventLog { return log })
}

// newFixtureOn makes a fixture whose hub writes to what wrap puts around its log.
func newFixtureOn(t *testing.T, wrap func(hub.EventLog) hub.EventLog) *fixture {
	t.Helper()
	return newFixtureOver(t, wrap, func(store hub.Store) hub.Store { return store })
}

// newFixtureOver makes a fixture whose hub works with what is put around its log and its store.
func newFixtureOver(t *testing.T, wrapLog func(hub.EventLog) hub.EventLog, wrapStore func(hub.Store) hub.Store) *fixture {
	t.Helper()
	f := &fixture{t: t}
	f.hub, f.plant, f.store, f.log = newHubOver(t, wrapLog, wrapStore)
	f.serve()
	return f
}

// serve starts the front end.
func (f *fixture) serve() {
	f.t.Helper()
	f.pipes = &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	f.server = mqttfront.New(f.hub, mqttfront.Options{})
	server, served := f.server, make(chan error, 1)
	go func() { served <- server.Serve(f.pipes) }()
	f.t.Cleanup(func() {
		f.shutdown(server)
		if err := <-served; !errors.Is(err, mqttfront.ErrServerClosed) {
			f.t.Errorf("Serve: %v", err)
		}
	})
}

// newHub makes a hub in memory. wrap may put something around its log.
func newHub(t testing.TB, wrap func(hub.EventLog) hub.EventLog) (*hub.Hub, *access.Principal, *sqlstore.Store, *memlog.Log) {
	t.Helper()
	return newHubOver(t, wrap, func(store hub.Store) hub.Store { return store })
}

func newHubOver(t testing.TB, wrapLog func(hub.EventLog) hub.EventLog, wrapStore func(hub.Store) hub.Store) (*hub.Hub, *access.Principal, *sqlstore.Store, *memlog.Log) {
	t.Helper()
	store, err := sqlstore.Open(t.Context(), sqlstore.Options{Path: sqlstore.Memory})
	if err != nil {
		t.Fatal(err)
	}
	log := memlog.Open(memlog.Options{})
	t.Cleanup(func() {
		log.Close()
		store.Close()
	})
	h, err := hub.Open(t.Context(), hub.Options{Store: wrapStore(store), Log: wrapLog(log), Cluster: localcluster.New(localcluster.Options{})})
	if err != nil {
		t.Fatal(err)
	}
	c, err := h.CreateHub(t.Context(), access.Process(access.HubRef{}), hub.NewHub{Name: "plant"})
	if err != nil {
		t.Fatal(err)
	}
	return h, access.Process(access.HubRef{Name: c.Name, Created: c.Created}), store, log
}

func (f *fixture) stop() { f.shutdown(f.server) }

func (f *fixture) shutdown(server *mqttfront.Server) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		f.t.Errorf("Shutdown: %v", err)
	}
}

// restart ends the front end, and serves the same store and log with another hub.
func (f *fixture) restart() {
	f.t.Helper()
	f.stop()
	f.epoch++
	cluster := localcluster.New(localcluster.Options{Epoch: f.epoch})
	h, err := hub.Open(f.t.Context(), hub.Options{Store: f.store, Log: f.log, Cluster: cluster})
	if err != nil {
		f.t.Fatal(err)
	}
	f.hub = h
	f.serve()
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case nc := <-p.conns:
		return nc, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (f *fixture) createDevice(id string) *hubward.Device {
	f.t.Helper()
	return f.put(hubward.Device{DeviceID: id}, "")
}

func (f *fixture) put(d hubward.Device, ifMatch string) *hubward.Device {
	f.t.Helper()
	stored, err := f.hub.PutDevice(f.t.Context(), f.plant, d, ifMatch)
	if err != nil {
		f.t.Fatal(err)
	}
	return stored
}

// createModule registers a module of a device, with whatever credentials.
func (f *fixture) createModule(id hubward.Identity, auth *hubward.Authentication) {
	f.t.Helper()
	r := &hub.Registration{ModuleID: id.Module, Device: hubward.Device{
		DeviceID: id.Device, GenerationID: "1", Status: hubward.StatusEnabled, Authentication: auth,
	}}
	edit := &hub.IdentityEdit{ID: id, Edit: func(*hub.Registration) (*hub.Registration, []hub.HubEvent, error) { return r, nil, nil }}
	if err := f.store.EditIdentities(f.t.Context(), "plant", []*hub.IdentityEdit{edit}); err != nil || edit.Err != nil {
		f.t.Fatal(err, edit.Err)
	}
}

// client is a device or module that is spoken for packet by packet.
type client struct {
	t  *testing.T
	nc net.Conn
	in *bufio.Reader
}

func (f *fixture) dial() *client {
	f.t.Helper()
	near, far := net.Pipe()
	f.pipes.conns <- far
	f.t.Cleanup(func() { near.Close() })
	return newClient(f.t, near)
}

// run runs a test of a part with the same hub.
func (f *fixture) run(name string, test func(t *testing.T)) {
	f.t.Helper()
	whole := f.t
	whole.Run(name, func(t *testing.T) {
		f.t = t
		defer func() { f.t = whole }()
		test(t)
	})
}

// connected returns a client that p has let in.
func (f *fixture) connected(p *mqttwire.ConnectPacket) *client {
	f.t.Helper()
	c := f.dial()
	c.connect(p)
	return c
}

func newClient(t *testing.T, nc net.Conn) *client {
	return &client{t, nc, bufio.NewReader(nc)}
}

// token is good for an hour.
func token(t testing.TB, d *hubward.Device) []byte {
	t.Helper()
	return tokenOf(t, hubward.Identity{Device: d.DeviceID}, d.Authentication)
}

func tokenOf(t testing.TB, id hubward.Identity, auth *hubward.Authentication) []byte {
	t.Helper()
	resource := "localhost/" + strings.Join(access.PathOf(id), "/")
	text, err := sas.Sign(resource, string(auth.SymmetricKey.PrimaryKey), "", time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return []byte(text)
}

// login is the CONNECT of a usual SDK.
func login(t testing.TB, d *hubward.Device) *mqttwire.ConnectPacket {
	t.Helper()
	return loginAs(hubward.Identity{Device: d.DeviceID}, token(t, d))
}

func loginAs(id hubward.Identity, password []byte) *mqttwire.ConnectPacket {
	return &mqttwire.ConnectPacket{
		KeepAlive: time.Minute, ClientID: id.String(), HasUser: true, HasPassword: len(password) > 0,
		User: "localhost/" + id.String() + "/?api-version=2021-04-12", Password: password,
	}
}

func (c *client) send(packet []byte, err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.nc.Write(packet); err != nil {
		c.t.Errorf("write: %v", err)
	}
}

func (c *client) ping() {
	c.t.Helper()
	c.send(mqttwire.AppendPingreq(nil), nil)
	c.expect(mqttwire.Pingresp)
}

// askToSubscribe sends a SUBSCRIBE, subscribe waits for its answer as well.
func (c *client) askToSubscribe(qos byte, filter string) {
	c.t.Helper()
	c.send(mqttwire.AppendSubscribe(nil, &mqttwire.SubscribePacket{ID: 77, Filters: []mqttwire.Filter{{Topic: filter, QoS: qos}}}))
}

func (c *client) subscribe(qos byte, filter string) {
	c.t.Helper()
	c.askToSubscribe(qos, filter)
	c.expect(mqttwire.Suback)
}

func (c *client) unsubscribe(filter string) {
	c.t.Helper()
	c.send(mqttwire.AppendUnsubscribe(nil, &mqttwire.UnsubscribePacket{ID: 78, Topics: []string{filter}}))
	c.expect(mqttwire.Unsuback)
}

func (c *client) publish(qos byte, id uint16, topic, payload string) {
	c.t.Helper()
	c.send(mqttwire.AppendPublish(nil, &mqttwire.PublishPacket{QoS: qos, ID: id, Topic: []byte(topic), Payload: []byte(payload)}))
}

// next reads one packet.
func (c *client) next() (mqttwire.Type, []byte, error) {
	first, err := c.in.ReadByte()
	if err != nil {
		return 0, nil, err
	}
	length, err := c.in.ReadByte()
	if err != nil {
		return 0, nil, err
	}
	if length > 127 {
		more, err := c.in.ReadByte()
		if err != nil {
			return 0, nil, err
		}
		body := make([]byte, int(length&127)|int(more)<<7)
		_, err = io.ReadFull(c.in, body)
		return mqttwire.Type(first >> 4), body, err
	}
	body := make([]byte, length)
	_, err = io.ReadFull(c.in, body)
	return mqttwire.Type(first >> 4), body, err
}

func (c *client) expect(want mqttwire.Type) []byte {
	c.t.Helper()
	got, body, err := c.next()
	if err != nil || got != want {
		c.t.Fatalf("got %v, %v; want %v", got, err, want)
	}
	return body
}

// expectEnd checks that the server closes without another packet.
func (c *client) expectEnd() {
	c.t.Helper()
	if got, _, err := c.next(); !errors.Is(err, io.EOF) {
		c.t.Errorf("got %v, %v; want the end", got, err)
	}
}

// connect logs in and returns SessionPresent.
func (c *client) connect(p *mqttwire.ConnectPacket) bool {
	c.t.Helper()
	c.send(mqttwire.AppendConnect(nil, p))
	ack, err := mqttwire.ParseConnack(c.expect(mqttwire.Connack))
	if err != nil || ack.Code != mqttwire.Accepted {
		c.t.Fatalf("CONNACK %+v, %v", ack, err)
	}
	return ack.SessionPresent
}

func (c *client) expectPuback(want uint16) {
	c.t.Helper()
	if id, err := mqttwire.ParseID(c.expect(mqttwire.Puback)); err != nil || id != want {
		c.t.Errorf("PUBACK %d, %v; want %d", id, err, want)
	}
}

// events reads what the hub has stored, n events.
func (f *fixture) events(n int) []*hubward.Event {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), 10*time.Second)
	defer cancel()
	var got []*hubward.Event
	if n == 0 {
		return nil
	}
	enough := errors.New("enough")
	err := f.hub.ReadEvents(ctx, f.plant, hub.EventQuery{}, func(e *hubward.Event) error {
		if e != nil {
			got = append(got, e)
		}
		if len(got) == n {
			return enough
		}
		return nil
	})
	if err != enough {
		f.t.Fatalf("%d of %d events: %v", len(got), n, err)
	}
	return got
}

// stored counts the events that the hub has.
func (f *fixture) stored() (n int64) {
	f.t.Helper()
	for id := range 4 {
		bounds, err := f.log.Bounds(context.Background(), hub.Partition{Hub: "plant", Endpoint: hub.EndpointEvents, ID: id})
		if err != nil {
			f.t.Fatal(err)
		}
		n += bounds.Next
	}
	return n
}
