package hub_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/cluster/localcluster"
	"github.com/hubward/hubward/internal/eventlog/memlog"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/eventcodec"
	"github.com/hubward/hubward/internal/store/sqlstore"
)

// crew is some nodes over one store, one log and one cluster, in a bubble of testing/synctest. Any of them can be killed.
type crew struct {
	t     *testing.T
	store *sqlstore.Store
	hooks *hookedStore // the store as the nodes call it
	log   *memlog.Log
	nodes []*member
}

type member struct {
	api
	name    string
	cluster *localcluster.Member
	hooks   *hookedCluster // the cluster as the node calls it
	stop    func()         // ends its Run in good order
}

// inCrew runs a test with n nodes and a hub "plant".
func inCrew(t *testing.T, n int, test func(t *testing.T, c *crew)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		store, err := sqlstore.Open(t.Context(), sqlstore.Options{Path: sqlstore.Memory})
		if err != nil {
			t.Fatal(err)
		}
		c := &crew{t: t, store: store, hooks: &hookedStore{Store: store}, log: memlog.Open(memlog.Options{})}
		shared := localcluster.New(localcluster.Options{Epoch: epochs.Add(1)})
		for i := range n {
			c.join(fmt.Sprint("node ", i), shared)
		}
		defer func() {
			for _, m := range c.nodes {
				m.stop()
			}
			c.log.Close()
			store.Close()
		}()
		if _, err := c.nodes[0].CreateHub(t.Context(), hub.NewHub{Name: "plant"}); err != nil {
			t.Fatal(err)
		}
		test(t, c)
	})
}

func (c *crew) join(name string, shared *localcluster.Cluster) {
	c.t.Helper()
	m := &member{name: name, cluster: shared.Member()}
	m.hooks = &hookedCluster{Cluster: m.cluster}
	h, err := hub.Open(c.t.Context(), hub.Options{Store: c.hooks, Log: c.log, Cluster: m.hooks, Node: name})
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { h.Run(ctx) })
	m.api = api{h, synctest.Wait}
	m.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
	c.nodes = append(c.nodes, m)
}

// module registers a module.
func (c *crew) module(id hubward.Identity) {
	c.t.Helper()
	if _, err := c.nodes[0].PutModule(c.t.Context(), "plant", hubward.Module{DeviceID: id.Device, ModuleID: id.Module}, ""); err != nil {
		c.t.Fatal(err)
	}
}

// device registers a device.
func (c *crew) device(id string) *hubward.Device {
	c.t.Helper()
	d, err := c.nodes[0].PutDevice(c.t.Context(), "plant", hubward.Device{DeviceID: id}, "")
	if err != nil {
		c.t.Fatal(err)
	}
	return d
}

func (c *crew) tryConnect(node int, d *hubward.Device) (connection, error) {
	token, err := sign("plant.localhost", d, time.Now().Add(100*time.Hour))
	if err != nil {
		return connection{}, err
	}
	s := &session{}
	link, err := c.nodes[node].logIn(c.t.Context(), logIn{
		Host: "plant.localhost", Identity: hubward.Identity{Device: d.DeviceID}, Token: token, Session: s,
	})
	return connection{Link: link, session: s}, err
}

func (c *crew) connect(node int, d *hubward.Device) connection {
	c.t.Helper()
	conn, err := c.tryConnect(node, d)
	if err != nil {
		c.t.Fatal(err)
	}
	return conn
}

// events returns the hub's own events of all partitions, after the time that their storing takes.
func (c *crew) events() []*hubward.Event {
	c.t.Helper()
	time.Sleep(3 * time.Second)
	synctest.Wait()
	return hubEvents(c.t, c.log)
}

// hubEvents returns the hub's own events of all partitions of plant.
func hubEvents(t *testing.T, log *memlog.Log) (events []*hubward.Event) {
	t.Helper()
	for i := range 4 {
		p := hub.Partition{Hub: "plant", Endpoint: hub.EndpointHubEvents, ID: i}
		b, err := log.Bounds(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		for from := b.First; from < b.Next; {
			from, err = log.Read(t.Context(), p, from, 1<<20, func(r hub.Record) bool {
				e, err := eventcodec.Decode(append([]byte(nil), r.Data...))
				if err != nil {
					t.Fatal(err)
				}
				events = append(events, e)
				return true
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return events
}

func property(e *hubward.Event, name string) string {
	for _, p := range e.Message.Properties {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

// operations are what happened to an identity, in order.
func operations(events []*hubward.Event, id hubward.Identity) (ops []string) {
	for _, e := range events {
		if e.DeviceID == id.Device && e.ModuleID == id.Module {
			ops = append(ops, property(e, "opType"))
		}
	}
	return ops
}

func (c *crew) wantOperations(device string, want ...string) []*hubward.Event {
	c.t.Helper()
	events := c.events()
	if diff := cmp.Diff(want, operations(events, hubward.Identity{Device: device})); diff != "" {
		c.t.Errorf("events of %s (-want +got):\n%s", device, diff)
	}
	return events
}

// onOneAndTwo runs a test on one node and on two.
func onOneAndTwo(t *testing.T, test func(t *testing.T, c *crew)) {
	for _, n := range []int{1, 2} {
		t.Run(fmt.Sprintf("nodes=%d", n), func(t *testing.T) { inCrew(t, n, test) })
	}
}

func (c *crew) other() int { return len(c.nodes) - 1 }

// What the hub tells of an identity's life and connections is in its own endpoint, in order, as the cloud words it.
func TestHubEvents(t *testing.T) {
	onOneAndTwo(t, func(t *testing.T, c *crew) {
		d := c.device("d1")
		first := c.connect(c.other(), d)
		time.Sleep(time.Minute)
		second := c.connect(0, d) // takes over
		first.Disconnect()
		second.Disconnect()
		synctest.Wait()
		if err := c.nodes[c.other()].DeleteDevice(t.Context(), "plant", "d1", "*"); err != nil {
			t.Fatal(err)
		}
		events := c.wantOperations("d1", "createDeviceIdentity", "deviceConnected", "deviceDisconnected", "deviceConnected",
			"deviceDisconnected", "deleteDeviceIdentity")
		last := ""
		for i, e := range events {
			m := &e.Message
			if m.MessageID == "" || m.ContentType != "application/json" || m.ContentEncoding != "utf-8" || m.UserID != "plant" ||
				property(e, "hubName") != "plant" || property(e, "deviceId") != "d1" || len(property(e, "operationTimestamp")) != 28 {
				t.Errorf("event %+v", e)
			}
			if i == 0 || i == 5 {
				if e.MessageSource != "deviceLifecycleEvents" || m.Schema != "deviceLifecycleNotification" || !strings.HasPrefix(string(m.Body), `{"deviceId":"d1","etag":"`) {
					t.Errorf("life cycle: %+v, %s", e, m.Body)
				}
				continue
			}
			var body struct{ SequenceNumber string }
			if err := json.Unmarshal(m.Body, &body); err != nil {
				t.Fatal(err)
			}
			if e.MessageSource != "deviceConnectionStateEvents" || m.Schema != "deviceConnectionStateNotification" ||
				len(body.SequenceNumber) != 64 || body.SequenceNumber <= last {
				t.Errorf("connection state: %+v, %s after %s", e, m.Body, last)
			}
			last = body.SequenceNumber
		}
	})
}

// Whatever races, the events of one identity are connects and disconnects in turn, and the last one tells the truth.
func TestHubEvents_connectionsRace(t *testing.T) {
	onOneAndTwo(t, func(t *testing.T, c *crew) {
		random := rand.New(rand.NewPCG(1, uint64(len(c.nodes))))
		var devices []*hubward.Device
		for i := range 5 {
			devices = append(devices, c.device(fmt.Sprint("d", i)))
		}
		for round := range 40 {
			var racing sync.WaitGroup
			for _, d := range devices {
				for range 1 + random.IntN(3) {
					node, wait, stays := random.IntN(len(c.nodes)), time.Duration(random.IntN(3))*400*time.Millisecond, random.IntN(2) == 0
					racing.Go(func() {
						conn, err := c.tryConnect(node, d)
						if hubward.CodeOf(err) == hubward.CodeConnectionClosedOnNewOne && err != nil {
							return // another one was faster
						}
						if err != nil {
							t.Error(err)
							return
						}
						time.Sleep(wait)
						if !stays || conn.session.closed() != nil {
							conn.Disconnect()
						}
					})
				}
			}
			racing.Wait()
			if round%10 == 0 {
				time.Sleep(2 * time.Second)
			}
		}
		events := c.events()
		for _, d := range devices {
			ops := operations(events, hubward.Identity{Device: d.DeviceID})[1:]
			for i, op := range ops {
				if want := []string{"deviceConnected", "deviceDisconnected"}[i%2]; op != want {
					t.Fatalf("%s: event %d of %d is %s", d.DeviceID, i, len(ops), op)
				}
			}
			now, err := c.nodes[0].Device(t.Context(), "plant", d.DeviceID)
			if err != nil {
				t.Fatal(err)
			}
			if connected := len(ops)%2 == 1; connected != (now.ConnectionState == hubward.Connected) {
				t.Errorf("%s is %s after %d events", d.DeviceID, now.ConnectionState, len(ops))
			}
		}
	})
}

// A node that is gone without a word has no connections any more: that is told too.
func TestHubEvents_nodeKilled(t *testing.T) {
	inCrew(t, 2, func(t *testing.T, c *crew) {
		d, calm := c.device("d1"), c.device("calm")
		c.connect(1, d)
		c.connect(0, calm)
		c.wantOperations("d1", "createDeviceIdentity", "deviceConnected")
		c.nodes[1].cluster.Kill(c.nodes[1].name)
		if now, err := c.nodes[0].Device(t.Context(), "plant", "d1"); err != nil || now.ConnectionState != hubward.Disconnected {
			t.Errorf("%+v, %v", now, err)
		}
		time.Sleep(time.Minute)
		c.wantOperations("d1", "createDeviceIdentity", "deviceConnected", "deviceDisconnected")
		c.wantOperations("calm", "createDeviceIdentity", "deviceConnected")
	})
}

// Connections that a crash left in the store are ended by the next process.
func TestHubEvents_afterACrash(t *testing.T) {
	inCrew(t, 1, func(t *testing.T, c *crew) {
		c.connect(0, c.device("d1"))
		c.wantOperations("d1", "createDeviceIdentity", "deviceConnected")
		c.nodes[0].cluster.Kill(c.nodes[0].name) // what it still writes, a crash would have kept it from
		c.nodes[0].stop()
		c.nodes = nil
		c.join("next", localcluster.New(localcluster.Options{Epoch: epochs.Add(1)}))
		c.wantOperations("d1", "createDeviceIdentity", "deviceConnected", "deviceDisconnected")
	})
}

// When the node goes that knows a partition's readers, they are told, and register with the next one; a registration whose
// reader is no more is in nobody's way.
func TestReaders_ownerGoes(t *testing.T) {
	inCrew(t, 3, func(t *testing.T, c *crew) {
		open := func(node int, epoch *int64) (*hub.Reader, error) {
			return c.nodes[node].OpenReader(t.Context(), "plant", hub.ReaderOptions{ConsumerGroup: "$Default", Name: fmt.Sprint("r", node), Epoch: epoch})
		}
		owned, err := open(1, nil) // its node becomes the owner
		if err != nil {
			t.Fatal(err)
		}
		abroad, err := open(2, nil)
		if err != nil {
			t.Fatal(err)
		}
		c.nodes[1].stop()
		<-abroad.Context().Done()
		wantCode(t, "a reader of another node", context.Cause(abroad.Context()), hubward.CodeServiceUnavailable)
		owned.Close()
		seven := int64(7)
		exclusive, err := open(2, &seven)
		if err != nil {
			t.Fatal(err)
		}
		_, err = open(0, nil)
		wantCode(t, "beside an exclusive one", err, hubward.CodeReaderDisplaced)
		exclusive.Close()
		synctest.Wait()
		if r, err := open(0, nil); err != nil {
			t.Errorf("after the exclusive one has left: %v", err)
		} else {
			r.Close()
		}
	})
}

// A reader on a node that is gone without a word gives way.
func TestReaders_readerGone(t *testing.T) {
	inCrew(t, 2, func(t *testing.T, c *crew) {
		nine, one := int64(9), int64(1)
		first, err := c.nodes[0].OpenReader(t.Context(), "plant", hub.ReaderOptions{ConsumerGroup: "$Default"})
		if err != nil {
			t.Fatal(err)
		}
		first.Close() // node 0 stays the owner
		if _, err := c.nodes[1].OpenReader(t.Context(), "plant", hub.ReaderOptions{ConsumerGroup: "$Default", Epoch: &nine}); err != nil {
			t.Fatal(err)
		}
		c.nodes[1].cluster.Kill(c.nodes[1].name)
		if _, err := c.nodes[0].OpenReader(t.Context(), "plant", hub.ReaderOptions{ConsumerGroup: "$Default", Epoch: &one}); err != nil {
			t.Errorf("a lower epoch after the higher one's node is gone: %v", err)
		}
	})
}

// Two nodes that change one hub at a time lose neither change.
func TestEditHub_race(t *testing.T) {
	inCrew(t, 2, func(t *testing.T, c *crew) {
		var editing sync.WaitGroup
		for i := range 20 {
			editing.Go(func() {
				h := c.nodes[i%2].api
				if err := h.Hub.CreateConsumerGroup(t.Context(), h.of("plant"), "plant", fmt.Sprint("g", i)); err != nil {
					t.Error(err)
				}
			})
		}
		editing.Wait()
		synctest.Wait()
		for _, m := range c.nodes {
			groups, err := m.ConsumerGroups("plant")
			if err != nil || len(groups) != 21 {
				t.Errorf("%s knows %d groups, %v", m.name, len(groups), err)
			}
		}
	})
}

// second makes another hub, which can be deleted, and returns a token of its device "d1".
func (c *crew) second() string {
	c.t.Helper()
	time.Sleep(time.Second) // the oldest hub is the first one
	if _, err := c.nodes[0].CreateHub(c.t.Context(), hub.NewHub{Name: "second"}); err != nil {
		c.t.Fatal(err)
	}
	d, err := c.nodes[0].PutDevice(c.t.Context(), "second", hubward.Device{DeviceID: "d1"}, "")
	if err != nil {
		c.t.Fatal(err)
	}
	token, err := sign("second.localhost", d, time.Now().Add(time.Hour))
	if err != nil {
		c.t.Fatal(err)
	}
	return token
}

// A hub that one node deletes ends on the others: connections, readers, and whoever waits for feedback.
func TestDeleteHub_everywhere(t *testing.T) {
	inCrew(t, 2, func(t *testing.T, c *crew) {
		token := c.second()
		s := &session{}
		there := c.nodes[1].api
		link, err := there.logIn(t.Context(), logIn{Host: "second.localhost", Identity: hubward.Identity{Device: "d1"}, Token: token, Session: s})
		if err != nil {
			t.Fatal(err)
		}
		reader, err := there.OpenReader(t.Context(), "second", hub.ReaderOptions{ConsumerGroup: "$Default"})
		if err != nil {
			t.Fatal(err)
		}
		waited := make(chan error, 1)
		go func() {
			_, err := there.WaitFeedback(t.Context(), "second")
			waited <- err
		}()
		synctest.Wait()
		if err := c.nodes[0].DeleteHub(t.Context(), "second"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		wantCode(t, "the connection", s.closed(), hubward.CodeHubNotFound)
		wantCode(t, "the reader", context.Cause(reader.Context()), hubward.CodeNoSuchHub)
		wantCode(t, "who waits for feedback", <-waited, hubward.CodeNoSuchHub)
		_, err = there.HubFor("second.localhost")
		wantCode(t, "its name", err, hubward.CodeHubNotFound)
		link.Disconnect()
	})
}

// A message waits for no lock to end when the node that held it is gone.
func TestC2D_nodeKilled(t *testing.T) {
	inCrew(t, 2, func(t *testing.T, c *crew) {
		d := c.device("d1")
		var got []string
		receive := func(conn connection) {
			conn.receive(9, func(d *hub.C2DDelivery) { got = append(got, string(d.Message.Body)) })
			synctest.Wait()
		}
		receive(c.connect(1, d))
		if err := c.nodes[0].SendC2D(t.Context(), "plant", "d1", &hubward.Message{Body: []byte("m")}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		c.nodes[1].cluster.Kill(c.nodes[1].name)
		receive(c.connect(0, d))
		if diff := cmp.Diff([]string{"m", "m"}, got); diff != "" {
			t.Errorf("deliveries (-want +got):\n%s", diff)
		}
	})
}

// Jobs go on when the node that did them is gone: locks end, feedback is made, on the other one.
func TestJobs_nodeKilled(t *testing.T) {
	inCrew(t, 2, func(t *testing.T, c *crew) {
		c.device("d1")
		c.nodes[0].cluster.Kill(c.nodes[0].name)
		left := c.nodes[1]
		m := &hubward.Message{MessageID: "m", Ack: hubward.AckFull, Expiry: time.Now().Add(time.Second)}
		if err := left.SendC2D(t.Context(), "plant", "d1", m); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		f, err := left.TakeFeedback(t.Context(), "plant")
		if err != nil || f == nil || f.Feedback[0].StatusCode != hubward.FeedbackExpired {
			t.Errorf("%+v, %v", f, err)
		}
	})
}
