package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/c2d"
	"github.com/hubward/hubward/internal/hub/c2dqueue"
)

var concurrentTests = []test{
	{"identityEditsLoseNothing", testConcurrentIdentities},
	{"oneCreatesADevice", testConcurrentCreate},
	{"modulesHaveTheirDevice", testConcurrentModules},
	{"modulesUpToALimit", testConcurrentModuleLimit},
	{"connectionEditsLoseNothing", testConcurrentConnections},
	{"hubVersionsLoseNothing", testConcurrentHubs},
	{"oneCreatesAHub", testConcurrentHubNames},
	{"oneGetsAHostName", testConcurrentHubHosts},
	{"newestSessionStays", testConcurrentSessions},
	{"queueEditsLoseNothing", testConcurrentQueues},
	{"messagesAreLockedOnce", testConcurrentLocks},
	{"newestReceiverStays", testConcurrentReceivers},
	{"feedbackIsBatchedAndLockedOnce", testConcurrentFeedback},
	{"twinEditsLoseNothing", testConcurrentTwins},
	{"twinsAreOfTheirIdentity", testConcurrentTwinOwners},
	{"eventsAreMovedInOrder", testConcurrentMover},
}

// What concurrent tests do.
const (
	writers = 4 // at once: half of them at each of two handles
	rounds  = 12
)

// race has all writers work at once, and ends the test when one of them fails.
func race(t *testing.T, s hub.Store, work func(s hub.Store, writer int) error) {
	t.Helper()
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			if err := work(handles(s)[w%2], w); err != nil {
				t.Errorf("writer %d: %v", w, err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// editOne runs one edit, and returns either error.
func editOne(t *testing.T, s hub.Store, e *hub.IdentityEdit) error {
	return errors.Join(s.EditIdentities(t.Context(), homeHub, []*hub.IdentityEdit{e}), e.Err)
}

func editOneQueue(t *testing.T, s hub.Store, id hubward.Identity, change func(*c2dqueue.Queue) error) error {
	e := &c2d.Edit{Key: home(id), Edit: change}
	return errors.Join(s.EditQueues(t.Context(), []*c2d.Edit{e}), e.Err)
}

// testConcurrentIdentities: read-modify-writes of one row by several writers all count, whoever else writes, and what a
// writer was told is there for every reader.
func testConcurrentIdentities(t *testing.T, s hub.Store) {
	withHome(t, s)
	d := aDevice("shared")
	d.ETag = "0"
	create(t, s, homeHub, d)
	increment := func(old *hub.Registration) (*hub.Registration, error) {
		n, err := strconv.Atoi(old.ETag)
		old.ETag = strconv.Itoa(n + 1)
		return old, err
	}
	race(t, s, func(at hub.Store, w int) error {
		for i := range rounds {
			own := dev(fmt.Sprintf("own-%d-%d", w, i))
			edits := []*hub.IdentityEdit{identityEdit(dev("shared"), increment), put(own)}
			if err := errors.Join(at.EditIdentities(t.Context(), homeHub, edits), edits[0].Err, edits[1].Err); err != nil {
				return err
			}
			for _, reader := range handles(s) {
				if _, err := reader.Identity(t.Context(), homeHub, own); err != nil {
					return fmt.Errorf("what was written is not read: %w", err)
				}
			}
		}
		return nil
	})
	if got := device(t, s, homeHub, "shared").ETag; got != strconv.Itoa(writers*rounds) {
		t.Errorf("%s edits counted, want %d", got, writers*rounds)
	}
	wantStatistics(t, s, homeHub, hubward.RegistryStatistics{TotalDeviceCount: 1 + writers*rounds, EnabledDeviceCount: 1 + writers*rounds})
}

// winners counts who wins a round that one of all writers can win.
type winners struct{ won [rounds]atomic.Int32 }

// count notes what came of a round, and returns the error of one that was neither won nor lost.
func (w *winners) count(round int, err error, lost hubward.Code) error {
	if err == nil {
		w.won[round].Add(1)
		return nil
	}
	if hubward.CodeOf(err) == lost {
		return nil
	}
	return err
}

// check wants each round to have one winner.
func (w *winners) check(t *testing.T) {
	t.Helper()
	for round := range w.won {
		if n := w.won[round].Load(); n != 1 {
			t.Errorf("round %d was won %d times", round, n)
		}
	}
}

func testConcurrentCreate(t *testing.T, s hub.Store) {
	withHome(t, s)
	exists := hubward.Errorf(hubward.CodeDeviceAlreadyExists, "it exists")
	var won winners
	race(t, s, func(at hub.Store, w int) error {
		for i := range rounds {
			id := dev(fmt.Sprint("d", i))
			err := editOne(t, at, telling(identityEdit(id, func(old *hub.Registration) (*hub.Registration, error) {
				if old != nil {
					return nil, exists
				}
				return anIdentity(id), nil
			}), fmt.Sprint(i, " by ", w)))
			if err := won.count(i, err, exists.Code); err != nil {
				return err
			}
		}
		return nil
	})
	won.check(t)
	if events := eventsOf(outboxBatches(t, s, homeHub, 1000)); len(events) != rounds {
		t.Errorf("%d devices told of", len(events))
	}
}

// testConcurrentModules: while some delete and create a device, others create its module. Each module that came is gone
// with its device, or there, with a device.
func testConcurrentModules(t *testing.T, s hub.Store) {
	withHome(t, s, "d")
	var created, deleted atomic.Int32
	race(t, s, func(at hub.Store, w int) error {
		for range rounds {
			if w < writers/2 {
				e, gone := removal(dev("d"))
				if err := errors.Join(editOne(t, at, e), editOne(t, at, put(dev("d")))); err != nil {
					return err
				}
				deleted.Add(int32(len(*gone)))
				continue
			}
			isNew := false
			err := editOne(t, at, identityEdit(mod("d", "m"), func(old *hub.Registration) (*hub.Registration, error) {
				isNew = old == nil
				return anIdentity(mod("d", "m")), nil
			}))
			if err == nil && isNew {
				created.Add(1)
			} else if err != nil && hubward.CodeOf(err) != hubward.CodeDeviceNotFound {
				return err
			}
		}
		return nil
	})
	e, gone := removal(dev("d"))
	mustEdit(t, s, homeHub, e)
	if c, d := created.Load(), deleted.Load()+int32(len(*gone)); c != d {
		t.Errorf("%d modules were created, %d deleted", c, d)
	}
	wantNoIdentity(t, s, homeHub, mod("d", "m"))
}

// testConcurrentModuleLimit: a device has no module too many, whoever creates them.
func testConcurrentModuleLimit(t *testing.T, s hub.Store) {
	const limit = 2 * rounds
	withHome(t, s, "d")
	var created, refused atomic.Int32
	race(t, s, func(at hub.Store, w int) error {
		for i := range rounds {
			e := put(mod("d", fmt.Sprint(w, "-", i)))
			e.MostModules = limit
			switch err := editOne(t, at, e); {
			case err == nil:
				created.Add(1)
			case hubward.CodeOf(err) == hubward.CodeTooManyModulesOnDevice:
				refused.Add(1)
			default:
				return err
			}
		}
		return nil
	})
	if c, r := created.Load(), refused.Load(); c != limit || r != writers*rounds-limit {
		t.Errorf("%d modules were created, %d refused", c, r)
	}
}

// testConcurrentConnections: each edit sees the one before, and events stand in the order of the edits.
func testConcurrentConnections(t *testing.T, s hub.Store) {
	withHome(t, s, "d")
	race(t, s, func(at hub.Store, w int) error {
		for range rounds {
			e := &hub.ConnectionEdit{ID: dev("d"), Edit: func(old hub.Connection) (hub.Connection, []hub.HubEvent) {
				old.Fence++
				return old, []hub.HubEvent{told(dev("d"), fmt.Sprint(old.Fence))}
			}}
			if err := at.EditConnections(t.Context(), homeHub, []*hub.ConnectionEdit{e}); err != nil {
				return err
			}
		}
		return nil
	})
	if got := connection(t, s, dev("d")).Fence; got != writers*rounds {
		t.Errorf("%d edits counted, want %d", got, writers*rounds)
	}
	var want []hub.HubEvent
	for i := range writers * rounds {
		want = append(want, told(dev("d"), fmt.Sprint(i+1)))
	}
	wantOutbox(t, s, homeHub, want...)
}

// testConcurrentHubs: whoever changes a hub that was changed meanwhile is told, and tries again.
func testConcurrentHubs(t *testing.T, s hub.Store) {
	withHome(t, s)
	race(t, s, func(at hub.Store, w int) error {
		for i := 0; i < rounds; {
			hubs, err := at.Hubs(t.Context())
			if err != nil {
				return err
			}
			c := hubs[0]
			c.ConsumerGroups = append(c.ConsumerGroups, fmt.Sprintf("%d-%d", w, i))
			c.HostNames = []string{"home.example.org", "changed.example.org"}[:1+i%2]
			err = at.SaveHub(t.Context(), c)
			switch {
			case err == nil:
				i++
			case hubward.CodeOf(err) != hubward.CodePreconditionFailed:
				return err
			}
		}
		return nil
	})
	hubs, err := s.Hubs(t.Context())
	if err != nil || len(hubs) != 1 {
		t.Fatal(hubs, err)
	}
	groups := hubs[0].ConsumerGroups[len(aHub(homeHub, aTime).ConsumerGroups):]
	if hubs[0].Version != 1+writers*rounds || len(groups) != writers*rounds {
		t.Errorf("version %d, %d groups, want %d changes", hubs[0].Version, len(groups), writers*rounds)
	}
	slices.Sort(groups)
	if len(slices.Compact(groups)) != writers*rounds {
		t.Errorf("groups %v", groups)
	}
}

func testConcurrentHubNames(t *testing.T, s hub.Store) {
	var won winners
	race(t, s, func(at hub.Store, w int) error {
		for i := range rounds {
			name := fmt.Sprint("Hub-", i)
			if w >= writers/2 {
				name = strings.ToLower(name)
			}
			err := at.SaveHub(t.Context(), hub.Config{Name: name, Partitions: 1, HostNames: []string{fmt.Sprintf("w%d-%d", w, i)}})
			if err := won.count(i, err, hubward.CodeHubAlreadyExists); err != nil {
				return err
			}
		}
		return nil
	})
	won.check(t)
}

func testConcurrentHubHosts(t *testing.T, s hub.Store) {
	var won winners
	race(t, s, func(at hub.Store, w int) error {
		for i := range rounds {
			c := hub.Config{Name: fmt.Sprintf("h-%d-%d", w, i), Partitions: 1, HostNames: []string{ofWriter(w, i), fmt.Sprint("shared-", i)}}
			if err := won.count(i, at.SaveHub(t.Context(), c), hubward.CodeArgumentInvalid); err != nil {
				return err
			}
		}
		return nil
	})
	won.check(t)
	if hubs, err := s.Hubs(t.Context()); err != nil || len(hubs) != rounds {
		t.Errorf("%d hubs, %v", len(hubs), err)
	}
}

// ofWriter names something of one writer's.
func ofWriter(writer, i int) string { return fmt.Sprintf("writer-%d-%d", writer, i) }

// testConcurrentSessions: in whatever order claims come to save, the newest one's state stays.
func testConcurrentSessions(t *testing.T, s hub.Store) {
	withHome(t, s, "d")
	race(t, s, func(at hub.Store, w int) error {
		for i := range rounds {
			fence := uint64(i*writers + w + 1)
			state := []byte(fmt.Sprint(fence))
			if i != rounds-1 && i%3 == 0 {
				state = nil
			}
			err := at.SaveSession(t.Context(), homeHub, dev("d"), fence, state)
			if err != nil && hubward.CodeOf(err) != hubward.CodeConnectionClosedOnNewOne {
				return err
			}
		}
		return nil
	})
	wantSession(t, s, homeHub, dev("d"), []byte(fmt.Sprint(writers*rounds)))
}

// testConcurrentQueues: no message is lost, and no number is given twice.
func testConcurrentQueues(t *testing.T, s hub.Store) {
	withHome(t, s, "d")
	race(t, s, func(at hub.Store, w int) error {
		for i := range rounds {
			name := ofWriter(w, i)
			err := editOneQueue(t, at, dev("d"), func(q *c2dqueue.Queue) error {
				return q.Append(c2dqueue.Message{ID: name, Enqueued: aTime, Expires: aTime.Add(time.Hour)}, []byte(name))
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	q := readQueue(t, s, dev("d"))
	var contents []string
	for i, m := range q.Messages {
		if m.Sequence != int64(i+1) {
			t.Fatalf("message %d has number %d", i+1, m.Sequence)
		}
		contents = append(contents, fmt.Sprintf("%d:%s", m.Sequence, m.ID))
	}
	if len(contents) != writers*rounds {
		t.Errorf("%d messages, want %d", len(contents), writers*rounds)
	}
	wantContents(t, s, dev("d"), 1, 1000, contents...)
}

// withMessages has a device "d" with as many messages as writers and rounds.
func withMessages(t *testing.T, s hub.Store) {
	t.Helper()
	withHome(t, s, "d")
	editQueue(t, s, dev("d"), func(q *c2dqueue.Queue) error {
		for range writers * rounds {
			if err := q.Append(c2dqueue.Message{Enqueued: aTime, Expires: aTime.Add(time.Hour)}, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// testConcurrentLocks: a message is locked for one of those that poll.
func testConcurrentLocks(t *testing.T, s hub.Store) {
	withMessages(t, s)
	var mu sync.Mutex
	var got []int64
	race(t, s, func(at hub.Store, w int) error {
		for i := 0; ; i++ {
			var locked []c2dqueue.Message
			err := editOneQueue(t, at, dev("d"), func(q *c2dqueue.Queue) (err error) {
				q.Expire(aTime)
				locked, err = q.Lock(1, aTime.Add(time.Minute), c2dqueue.Holder{}, func() (string, error) { return ofWriter(w, i), nil })
				return err
			})
			if err != nil || len(locked) == 0 {
				return err
			}
			mu.Lock()
			got = append(got, locked[0].Sequence)
			mu.Unlock()
		}
	})
	slices.Sort(got)
	if len(got) != writers*rounds || len(slices.Compact(got)) != writers*rounds {
		t.Errorf("locked %v", got)
	}
}

// testConcurrentReceivers: once a receiver has locked messages, none before it does.
func testConcurrentReceivers(t *testing.T, s hub.Store) {
	withMessages(t, s)
	race(t, s, func(at hub.Store, w int) error {
		holder := c2dqueue.Holder{Fence: uint64(w/2 + 1), Receiver: uint64(w%2 + 1)}
		for i := range rounds {
			err := editOneQueue(t, at, dev("d"), func(q *c2dqueue.Queue) error {
				if !q.TakeOver(holder) {
					return nil
				}
				_, err := q.Lock(3, aTime.Add(time.Minute), holder, func() (string, error) { return ofWriter(w, i), nil })
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	q := readQueue(t, s, dev("d"))
	newest := c2dqueue.Holder{Fence: writers / 2, Receiver: 2}
	if q.Newest != newest {
		t.Errorf("newest %v", q.Newest)
	}
	for _, m := range q.Messages {
		if m.Lock.Token != "" && m.Lock.Holder != newest {
			t.Errorf("message %d is locked by %v", m.Sequence, m.Lock.Holder)
		}
	}
}

// testConcurrentFeedback: each record comes into one notification, and each of those is locked for one receiver.
func testConcurrentFeedback(t *testing.T, s hub.Store) {
	withHome(t, s, "d")
	var taken atomic.Int64
	takeSome := func(at hub.Store, w, i int) error {
		n := aNotification()
		n.ID = ofWriter(w, i)
		k, _, err := at.BatchFeedback(t.Context(), homeHub, n, 2, 3)
		taken.Add(int64(k))
		return err
	}
	race(t, s, func(at hub.Store, w int) error {
		for i := range rounds {
			err := editOneQueue(t, at, dev("d"), func(q *c2dqueue.Queue) error {
				r := aRecord(dev("d"), 1)
				r.MessageID = ofWriter(w, i)
				q.Records = append(q.Records, r)
				return nil
			})
			if err := errors.Join(err, takeSome(at, w, i)); err != nil {
				return err
			}
		}
		return nil
	})
	rest, _ := batch(t, s, 1, 1000)
	if n := taken.Load() + int64(rest); n != writers*rounds {
		t.Errorf("%d records were taken, want %d", n, writers*rounds)
	}

	var mu sync.Mutex
	var got []string
	race(t, s, func(at hub.Store, w int) error {
		for i := 0; ; i++ {
			token := ofWriter(w, i)
			n, _, err := at.LockNotification(t.Context(), homeHub, feedback, token, aTime, aTime.Add(time.Minute))
			if err != nil || n == nil {
				return err
			}
			mu.Lock()
			for _, r := range n.Feedback {
				got = append(got, r.MessageID)
			}
			mu.Unlock()
			err = at.EditNotification(t.Context(), homeHub, feedback, token, func(n *hub.Notification) (*hub.Notification, error) {
				if n == nil {
					return nil, errors.New("the lock is gone")
				}
				return nil, nil
			})
			if err != nil {
				return err
			}
		}
	})
	slices.Sort(got)
	if len(got) != writers*rounds || len(slices.Compact(got)) != writers*rounds {
		t.Errorf("%d records were delivered: %v", len(got), got)
	}
	wantNoFeedback(t, s)
}
