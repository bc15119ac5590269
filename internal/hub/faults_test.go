package hub_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/cluster/localcluster"
	"github.com/hubward/hubward/internal/eventlog/memlog"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/internal/hub/twindoc"
	"github.com/hubward/hubward/internal/store/sqlstore"
)

// hookedStore is a store in whose calls a test steps: behind what a hook is named for, or, where it says so, in front of it; then
// the hook's error keeps it from being done.
type hookedStore struct {
	hub.Store
	identity        atomic.Pointer[func()]
	editIdentities  atomic.Pointer[func()]
	deleteHub       atomic.Pointer[func()]
	saveHub         atomic.Pointer[func()]
	editConnections atomic.Pointer[func() error]     // in front
	deleteOutbox    atomic.Pointer[func() error]     // in front
	batchFeedback   atomic.Pointer[func(hub string)] // in front
	hubs            atomic.Pointer[func()]
	twin            atomic.Pointer[func()]
	desired         atomic.Pointer[func()]
	desiredFails    atomic.Pointer[func() error] // in front
	editReported    atomic.Pointer[func() error] // in front
}

func call(hook *atomic.Pointer[func()]) {
	if f := hook.Load(); f != nil {
		(*f)()
	}
}

func try(hook *atomic.Pointer[func() error]) error {
	if f := hook.Load(); f != nil {
		return (*f)()
	}
	return nil
}

func (s *hookedStore) Identity(ctx context.Context, name string, id hubward.Identity) (*hub.Registration, error) {
	r, err := s.Store.Identity(ctx, name, id)
	call(&s.identity)
	return r, err
}

func (s *hookedStore) EditIdentities(ctx context.Context, name string, edits []*hub.IdentityEdit) error {
	err := s.Store.EditIdentities(ctx, name, edits)
	call(&s.editIdentities)
	return err
}

func (s *hookedStore) DeleteHub(ctx context.Context, name string) error {
	err := s.Store.DeleteHub(ctx, name)
	call(&s.deleteHub)
	return err
}

func (s *hookedStore) Hubs(ctx context.Context) ([]hub.Config, error) {
	hubs, err := s.Store.Hubs(ctx)
	call(&s.hubs)
	return hubs, err
}

func (s *hookedStore) SaveHub(ctx context.Context, c hub.Config) error {
	err := s.Store.SaveHub(ctx, c)
	call(&s.saveHub)
	return err
}

func (s *hookedStore) EditConnections(ctx context.Context, name string, edits []*hub.ConnectionEdit) error {
	if err := try(&s.editConnections); err != nil {
		return err
	}
	return s.Store.EditConnections(ctx, name, edits)
}

func (s *hookedStore) DeleteOutbox(ctx context.Context, name string, ids []int64) error {
	if err := try(&s.deleteOutbox); err != nil {
		return err
	}
	return s.Store.DeleteOutbox(ctx, name, ids)
}

func (s *hookedStore) Twin(ctx context.Context, name string, id hubward.Identity) (*hub.Registration, error) {
	r, err := s.Store.Twin(ctx, name, id)
	call(&s.twin)
	return r, err
}

func (s *hookedStore) DesiredProperties(ctx context.Context, name string, id hubward.Identity) (twindoc.Section, []hub.DesiredChange, error) {
	if err := try(&s.desiredFails); err != nil {
		return twindoc.Section{}, nil, err
	}
	section, changes, err := s.Store.DesiredProperties(ctx, name, id)
	call(&s.desired)
	return section, changes, err
}

func (s *hookedStore) EditReported(ctx context.Context, name string, edits []*hub.ReportedEdit, done func(err error)) {
	if s.editReported.Load() == nil {
		s.Store.EditReported(ctx, name, edits, done)
		return
	}
	go func() { // a hook may wait
		if err := try(&s.editReported); err != nil {
			done(err)
			return
		}
		s.Store.EditReported(ctx, name, edits, done)
	}()
}

func (s *hookedStore) BatchFeedback(ctx context.Context, name string, n hub.Notification, least, most int) (taken, left int, err error) {
	if f := s.batchFeedback.Load(); f != nil {
		(*f)(name)
	}
	return s.Store.BatchFeedback(ctx, name, n, least, most)
}

// once fails the first time.
func once() *func() error {
	failed := false
	f := func() error {
		if failed {
			return nil
		}
		failed = true
		return errors.New("the disk is full")
	}
	return &f
}

// hookedCluster is a cluster in whose calls a test steps.
type hookedCluster struct {
	hub.Cluster
	call     atomic.Pointer[func(subject string) error] // in front
	lease    atomic.Pointer[func()]
	detached atomic.Bool  // handlers are not told when the caller gives up, which does not wait for them
	late     atomic.Int64 // a time.Duration by which announcements come later than they are made
}

func (h *hookedCluster) Call(ctx context.Context, node, subject string, request []byte) ([]byte, error) {
	if f := h.call.Load(); f != nil {
		if err := (*f)(subject); err != nil {
			return nil, err
		}
	}
	if h.detached.Load() {
		return h.callDetached(ctx, node, subject, request)
	}
	return h.Cluster.Call(ctx, node, subject, request)
}

func (h *hookedCluster) Announce(ctx context.Context, subject string, message []byte) error {
	if late := time.Duration(h.late.Load()); late > 0 {
		time.AfterFunc(late, func() { h.Cluster.Announce(context.WithoutCancel(ctx), subject, message) })
		return nil
	}
	return h.Cluster.Announce(ctx, subject, message)
}

func (h *hookedCluster) callDetached(ctx context.Context, node, subject string, request []byte) (response []byte, err error) {
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		response, err = h.Cluster.Call(context.WithoutCancel(ctx), node, subject, request)
	}()
	select {
	case <-answered:
		return response, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (h *hookedCluster) Lease(ctx context.Context, name, node string) (hub.Lease, error) {
	l, err := h.Cluster.Lease(ctx, name, node)
	call(&h.lease)
	return l, err
}

// An event is told once, also when it could not be taken out of the outbox after it was moved.
func TestHubEvents_outboxFails(t *testing.T) {
	inCrew(t, 1, func(t *testing.T, c *crew) {
		c.device("before")
		c.events()
		c.hooks.deleteOutbox.Store(once())
		c.device("d1")
		c.wantOperations("d1", "createDeviceIdentity")
	})
}

// What happens to connections is told also when the store fails for a while.
func TestHubEvents_storeFails(t *testing.T) {
	inCrew(t, 1, func(t *testing.T, c *crew) {
		d := c.device("d1")
		c.events()
		c.hooks.editConnections.Store(once())
		conn := c.connect(0, d)
		c.wantOperations("d1", "createDeviceIdentity", "deviceConnected")
		c.hooks.editConnections.Store(once())
		conn.Disconnect()
		c.wantOperations("d1", "createDeviceIdentity", "deviceConnected", "deviceDisconnected")
	})
}

// A store that fails is asked from time to time, not once for each connection that comes.
func TestHubEvents_storeIsNotHurried(t *testing.T) {
	inCrew(t, 1, func(t *testing.T, c *crew) {
		devices := make([]*hubward.Device, 20)
		for i := range devices {
			devices[i] = c.device(fmt.Sprint("d", i))
		}
		c.events()
		asked := 0
		fail := func() error {
			asked++
			return errBroken
		}
		c.hooks.editConnections.Store(&fail)
		for _, d := range devices {
			c.connect(0, d)
			synctest.Wait()
		}
		c.hooks.editConnections.Store(nil)
		if asked > 2 {
			t.Errorf("it was asked %d times within a moment", asked)
		}
		for _, d := range devices {
			c.wantOperations(d.DeviceID, "createDeviceIdentity", "deviceConnected")
		}
	})
}

// Who has deleted a device and does not wait for the answer has it disconnected all the same.
func TestDeleteDevice_callerLeaves(t *testing.T) {
	onOneAndTwo(t, func(t *testing.T, c *crew) {
		conn := c.connect(c.other(), c.device("d1"))
		ctx, cancel := context.WithCancel(t.Context())
		leave := func() { cancel() }
		c.hooks.editIdentities.Store(&leave)
		if err := c.nodes[0].DeleteDevice(ctx, "plant", "d1", "*"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		wantCode(t, "the connection of a deleted device", conn.session.closed(), hubward.CodeDeviceNotFound)
	})
}

// A hub that is deleted, or made, by somebody who does not wait for the answer is gone, or there, as a whole.
func TestHubs_callerLeaves(t *testing.T) {
	inCrew(t, 1, func(t *testing.T, c *crew) {
		time.Sleep(time.Second)
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		left := func() { leave() }
		c.hooks.saveHub.Store(&left)
		if _, err := c.nodes[0].CreateHub(ctx, hub.NewHub{Name: "second"}); err != nil {
			t.Errorf("a hub that was stored: %v", err)
		}
		c.hooks.saveHub.Store(nil)
		time.Sleep(time.Minute)
		done := make(chan error, 1)
		p := hub.Partition{Hub: c.nodes[0].LogName("second"), Endpoint: hub.EndpointHubEvents}
		if err := errors.Join(c.log.Producer(p, func(_ int, err error) { done <- err }).Append(t.Context(), []byte("event")), <-done); err != nil {
			t.Fatal(err)
		}
		ctx, leave = context.WithCancel(t.Context())
		defer leave()
		c.hooks.deleteHub.Store(&left)
		if err := c.nodes[0].DeleteHub(ctx, "second"); err != nil {
			t.Error(err)
		}
		if b, err := c.log.Bounds(t.Context(), p); err != nil || b.Next != 0 {
			t.Errorf("the log of a deleted hub holds %+v, %v", b, err)
		}
	})
}

// Nobody is connected to a hub that was deleted while he connected.
func TestConnect_hubIsDeletedMeanwhile(t *testing.T) {
	onOneAndTwo(t, func(t *testing.T, c *crew) {
		token := c.second()
		node := c.nodes[c.other()]
		id := hubward.Identity{Device: "d1"}
		p, err := node.Authenticate(t.Context(), access.Credential{Hub: "second", Identity: id, Token: token})
		if err != nil {
			t.Fatal(err)
		}
		removed := false
		remove := func() {
			if removed {
				return
			}
			removed = true
			if err := c.nodes[0].DeleteHub(t.Context(), "second"); err != nil { // waits until all nodes know
				t.Error(err)
			}
		}
		c.hooks.identity.Store(&remove)
		s := &session{}
		link, err := node.Connect(t.Context(), &p, hub.ConnectRequest{Identity: id, Session: s})
		if err == nil && s.closed() == nil {
			t.Errorf("connected to a hub that is no more")
		}
		if link != nil {
			link.Disconnect()
		}
	})
}

// A reader whose node does not answer in time is not taken for gone.
func TestReaders_nodeDoesNotAnswer(t *testing.T) {
	inCrew(t, 2, func(t *testing.T, c *crew) {
		open := func(node int, epoch int64) (*hub.Reader, error) {
			return c.nodes[node].OpenReader(t.Context(), "plant", hub.ReaderOptions{ConsumerGroup: "$Default", Name: fmt.Sprint("r", node), Epoch: &epoch})
		}
		first, err := open(0, 1)
		if err != nil {
			t.Fatal(err)
		}
		first.Close() // node 0 stays the owner
		abroad, err := open(1, 9)
		if err != nil {
			t.Fatal(err)
		}
		late := func(subject string) error {
			if subject == "reader.alive" {
				return context.DeadlineExceeded
			}
			return nil
		}
		c.nodes[0].hooks.call.Store(&late)
		_, err = open(0, 1)
		wantCode(t, "beside a higher epoch", err, hubward.CodeReaderDisplaced)
		if err := context.Cause(abroad.Context()); err != nil {
			t.Errorf("the reader that is there: %v", err)
		}
	})
}

// A reader that is displaced ends, also when the one that displaces it leaves in that moment.
func TestReaders_displacedByWhoLeaves(t *testing.T) {
	onOneAndTwo(t, func(t *testing.T, c *crew) {
		epoch := int64(1)
		first, err := c.nodes[0].OpenReader(t.Context(), "plant", hub.ReaderOptions{ConsumerGroup: "$Default"})
		if err != nil {
			t.Fatal(err)
		}
		first.Close() // node 0 stays the owner
		displaced, err := c.nodes[c.other()].OpenReader(t.Context(), "plant", hub.ReaderOptions{ConsumerGroup: "$Default"})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		leases := 0
		leave := func() {
			if leases++; leases == 2 { // the owner knows that it is: it admits the reader
				cancel()
			}
		}
		c.nodes[0].hooks.lease.Store(&leave)
		_, err = c.nodes[0].OpenReader(ctx, "plant", hub.ReaderOptions{ConsumerGroup: "$Default", Epoch: &epoch})
		c.nodes[0].hooks.lease.Store(nil)
		if err != nil {
			t.Fatal(err)
		}
		wantCode(t, "the displaced reader", context.Cause(displaced.Context()), hubward.CodeReaderDisplaced)
	})
}

// News of one hub's feedback costs the others nothing.
func TestFeedback_idleHubsAreLeftAlone(t *testing.T) {
	inCrew(t, 1, func(t *testing.T, c *crew) {
		time.Sleep(time.Second)
		if _, err := c.nodes[0].CreateHub(t.Context(), hub.NewHub{Name: "idle"}); err != nil {
			t.Fatal(err)
		}
		c.device("d1")
		time.Sleep(5 * time.Minute)
		looks := 0
		count := func(name string) {
			if name == "idle" {
				looks++
			}
		}
		c.hooks.batchFeedback.Store(&count)
		began := time.Now()
		for range 20 {
			m := &hubward.Message{Ack: hubward.AckFull}
			if err := c.nodes[0].SendC2D(t.Context(), "plant", "d1", m); err != nil {
				t.Fatal(err)
			}
			if _, err := c.nodes[0].PurgeC2D(t.Context(), "plant", "d1"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(16 * time.Second)
		}
		synctest.Wait()
		if most := int(time.Since(began)/(30*time.Second)) + 1; looks > most {
			t.Errorf("%d looks at an idle hub within %s", looks, time.Since(began))
		}
	})
}

// Readers of a hub that is deleted are told so, also on a node that hears later of it than of the end of the owner's lease.
func TestReaders_hubIsDeletedElsewhere(t *testing.T) {
	inCrew(t, 2, func(t *testing.T, c *crew) {
		time.Sleep(time.Second)
		if _, err := c.nodes[0].CreateHub(t.Context(), hub.NewHub{Name: "second"}); err != nil {
			t.Fatal(err)
		}
		owned, err := c.nodes[0].OpenReader(t.Context(), "second", hub.ReaderOptions{ConsumerGroup: "$Default"})
		if err != nil {
			t.Fatal(err)
		}
		abroad, err := c.nodes[1].OpenReader(t.Context(), "second", hub.ReaderOptions{ConsumerGroup: "$Default"})
		if err != nil {
			t.Fatal(err)
		}
		late := func() { time.Sleep(time.Second) }
		c.hooks.hubs.Store(&late)
		if err := c.nodes[0].DeleteHub(t.Context(), "second"); err != nil {
			t.Fatal(err)
		}
		<-abroad.Context().Done()
		wantCode(t, "on the owner's node", context.Cause(owned.Context()), hubward.CodeNoSuchHub)
		wantCode(t, "on the other node", context.Cause(abroad.Context()), hubward.CodeNoSuchHub)
	})
}

// closing is a Session that calls a function when it is closed.
type closing struct{ closed func() }

func (closing) Deliver(hub.Delivery) {}
func (c closing) Close(error)        { c.closed() }

// A node that has forgotten a hub has ended it: nobody there finds the next one of its name while somebody is in the old one.
func TestDeleteHub_endsBeforeItIsForgotten(t *testing.T) {
	onOneAndTwo(t, func(t *testing.T, c *crew) {
		token := c.second()
		there := c.nodes[c.other()].api
		known := 0
		link, err := there.logIn(t.Context(), logIn{
			Host: "second.localhost", Identity: hubward.Identity{Device: "d1"}, Token: token,
			Session: closing{func() { known = len(there.AllHubs()) }},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.nodes[0].DeleteHub(t.Context(), "second"); err != nil {
			t.Fatal(err)
		}
		link.Disconnect()
		if left := len(there.AllHubs()); known != 2 || left != 1 {
			t.Errorf("%d hubs when the connection was told, %d after that", known, left)
		}
	})
}

// stuckLog confirms nothing of the hub's own events.
type stuckLog struct{ hub.EventLog }

func (l stuckLog) Producer(p hub.Partition, done func(int, error)) hub.Producer {
	if p.Endpoint == hub.EndpointHubEvents {
		done = func(int, error) {}
	}
	return l.EventLog.Producer(p, done)
}

// Run ends although the log does not say what became of an event.
func TestHubEvents_logIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, err := sqlstore.Open(t.Context(), sqlstore.Options{Path: sqlstore.Memory})
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		log := memlog.Open(memlog.Options{})
		defer log.Close()
		h, err := hub.Open(t.Context(), hub.Options{Store: store, Log: stuckLog{log}, Cluster: localcluster.New(localcluster.Options{})})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			h.Run(ctx)
		}()
		process := access.Process(access.HubRef{})
		config, err := h.CreateHub(ctx, process, hub.NewHub{Name: "plant"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.PutDevice(ctx, access.Process(access.HubRef{Name: config.Name, Created: config.Created}), hubward.Device{DeviceID: "d"}, ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		cancel()
		<-ended
	})
}

// undeletedLog is a log that the process has no time to delete from: as if it went in that moment.
type undeletedLog struct {
	hub.EventLog
	undone atomic.Bool
}

func (l *undeletedLog) Drop(ctx context.Context, name string) error {
	if l.undone.Load() {
		return errors.New("the process ends")
	}
	return l.EventLog.Drop(ctx, name)
}

// A crash may come behind the deletion of the hub's row, or behind that of its events: who starts next ends it, and neither a
// hub that is made anew in between nor one that comes later sees an old event.
func TestDeleteHub_crash(t *testing.T) {
	for _, step := range []string{"events are still there", "deletion is still noted"} {
		t.Run(step, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { deleteHubAndCrash(t, step == "events are still there") })
		})
	}
}

func deleteHubAndCrash(t *testing.T, undone bool) {
	ctx := t.Context()
	store, err := sqlstore.Open(ctx, sqlstore.Options{Path: sqlstore.Memory})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	log := &undeletedLog{EventLog: memlog.Open(memlog.Options{})}
	defer log.EventLog.(*memlog.Log).Close()
	process := access.Process(access.HubRef{})
	open := func(epoch uint64) *hub.Hub {
		h, err := hub.Open(ctx, hub.Options{Store: store, Log: log, Cluster: localcluster.New(localcluster.Options{Epoch: epoch})})
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	h := open(1) // its Run never begins: what it leaves undone, it leaves
	for _, name := range []string{"plant", "second"} {
		if _, err := h.CreateHub(ctx, process, hub.NewHub{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	old := hub.Partition{Hub: h.LogName("second"), Endpoint: hub.EndpointEvents}
	done := make(chan error, 1)
	if err := errors.Join(log.Producer(old, func(_ int, err error) { done <- err }).Append(ctx, []byte("old")), <-done); err != nil {
		t.Fatal(err)
	}
	log.undone.Store(undone)
	if err := h.DeleteHub(ctx, process, "second"); err != nil {
		t.Fatal(err)
	}
	log.undone.Store(false)

	h = open(2)
	if stray, err := h.StrayLogs(ctx); err != nil || len(stray) > 0 {
		t.Errorf("stray: %v, %v", stray, err)
	}
	if _, err := h.CreateHub(ctx, process, hub.NewHub{Name: "second"}); err != nil {
		t.Fatal(err)
	}
	anew := hub.Partition{Hub: h.LogName("second"), Endpoint: hub.EndpointEvents}
	if b, err := log.Bounds(ctx, anew); err != nil || b != (hub.Bounds{}) {
		t.Errorf("a hub of the same name sees %v, %v", b, err)
	}
	if err := errors.Join(log.Producer(anew, func(_ int, err error) { done <- err }).Append(ctx, []byte("new")), <-done); err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		h.Run(running)
	}()
	synctest.Wait()
	if names, err := log.Hubs(ctx); err != nil || len(names) != 1 || names[0] != anew.Hub {
		t.Errorf("at once, the log knows %v, %v", names, err)
	}
	// A node that had not heard of the deletion goes on for a while.
	if err := errors.Join(log.Producer(old, func(_ int, err error) { done <- err }).Append(ctx, []byte("late")), <-done); err != nil {
		t.Fatal(err)
	}
	time.Sleep(10 * time.Minute)
	if names, err := log.Hubs(ctx); err != nil || len(names) != 1 || names[0] != anew.Hub {
		t.Errorf("in the end, the log knows %v, %v", names, err)
	}
	if b, err := log.Bounds(ctx, anew); err != nil || b.Next != 1 {
		t.Errorf("the new hub has %v, %v", b, err)
	}
	if left, err := store.DeletedLogs(ctx); err != nil || len(left) > 0 {
		t.Errorf("in the end, deletions are noted: %v, %v", left, err)
	}
	stop()
	<-ended
}
