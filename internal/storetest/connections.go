package storetest

import (
	"math"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

var connectionTests = []test{
	{"keepEveryField", testConnectionFields},
	{"touchNothingElse", testConnectionAlone},
	{"keepTheModel", testConnectionModel},
	{"ofANewIdentity", testConnectionNew},
	{"leaveOutWhoIsNotRegistered", testConnectionUnknown},
	{"runInOrderOnOneAnothersRows", testConnectionOrder},
	{"tellEvents", testConnectionEvents},
	{"panicFailsTheCallAlone", testConnectionPanic},
	{"connectedInPages", testConnectedPages},
	{"connectedNow", testConnectedNow},
}

// connectionEdit is an edit that tells events that bear names.
func connectionEdit(id hubward.Identity, change func(old hub.Connection) hub.Connection, names ...string) *hub.ConnectionEdit {
	return &hub.ConnectionEdit{ID: id, Edit: func(old hub.Connection) (hub.Connection, []hub.HubEvent) {
		var events []hub.HubEvent
		for _, name := range names {
			events = append(events, told(id, name))
		}
		return change(old), events
	}}
}

// keep is a change that makes none.
func keep(old hub.Connection) hub.Connection { return old }

func editConnections(t *testing.T, s hub.Store, hubName string, edits ...*hub.ConnectionEdit) {
	t.Helper()
	if err := s.EditConnections(t.Context(), hubName, edits); err != nil {
		t.Fatalf("EditConnections: %v", err)
	}
}

// connect stores connections as they are.
func connect(t *testing.T, s hub.Store, hubName string, connections ...hub.Connection) {
	t.Helper()
	var edits []*hub.ConnectionEdit
	for _, c := range connections {
		edits = append(edits, connectionEdit(c.ID, func(hub.Connection) hub.Connection { return c }))
	}
	editConnections(t, s, hubName, edits...)
}

// connection reads what is stored of the connection of an identity of the home hub, which has to be there.
func connection(t *testing.T, s hub.Store, id hubward.Identity) (got hub.Connection) {
	t.Helper()
	calls := 0
	editConnections(t, s, homeHub, connectionEdit(id, func(old hub.Connection) hub.Connection {
		calls++
		got = old
		return old
	}))
	if calls == 0 {
		t.Errorf("%s has no connection fields", id)
	}
	return got
}

func wantConnected(t *testing.T, s hub.Store, hubName string, want ...hub.Connection) {
	t.Helper()
	got, err := s.Connected(t.Context(), hubName, hubward.Identity{}, 100)
	if err != nil {
		t.Fatalf("Connected: %v", err)
	}
	wantEqual(t, "connected in "+hubName, got, want)
}

func testConnectionFields(t *testing.T, s hub.Store) {
	withHome(t, s, "d")
	create(t, s, homeHub, anIdentity(mod("d", "m")))
	for _, id := range []hubward.Identity{dev("d"), mod("d", "m")} {
		for _, c := range []hub.Connection{
			{ID: id, Fence: 1, State: hubward.Connected, StateUpdated: aTime.Add(time.Hour), LastActivity: aTime.Add(2 * time.Hour)},
			{ID: id, Fence: math.MaxInt64, State: hubward.Connected, StateUpdated: aTime.Add(time.Hour), LastActivity: aTime.Add(2 * time.Hour)},
			{ID: id, Fence: math.MaxInt64 - 1, State: hubward.Disconnected, StateUpdated: aTime, LastActivity: aTime.Add(100)},
			{ID: id, State: hubward.Disconnected},
			{ID: id, State: hubward.Disconnected, LastActivity: aTime},
		} {
			connect(t, s, homeHub, c)
			wantEqual(t, "connection", connection(t, s, id), c)
			r := identity(t, s, homeHub, id)
			if r.ConnectionState != c.State || !r.ConnectionStateUpdatedTime.Equal(c.StateUpdated) || !r.LastActivityTime.Equal(c.LastActivity) {
				t.Errorf("the identity says %s since %v, active %v, want %+v", r.ConnectionState, r.ConnectionStateUpdatedTime, r.LastActivityTime, c)
			}
		}
	}
}

func testConnectionAlone(t *testing.T, s hub.Store) {
	withHome(t, s, "a", "b")
	connected, active := aTime.Add(time.Hour), aTime.Add(2*time.Hour)
	connect(t, s, homeHub,
		hub.Connection{ID: dev("a"), Fence: 1, State: hubward.Connected, StateUpdated: connected, LastActivity: active},
		hub.Connection{ID: dev("b"), Fence: 2, State: hubward.Connected, StateUpdated: active, LastActivity: connected})
	editConnections(t, s, homeHub, connectionEdit(dev("a"), keep))

	a, b := aDevice("a"), aDevice("b")
	a.ConnectionState, b.ConnectionState = hubward.Connected, hubward.Connected
	a.ConnectionStateUpdatedTime, a.LastActivityTime = hubward.Time{Time: connected}, hubward.Time{Time: active}
	b.ConnectionStateUpdatedTime, b.LastActivityTime = hubward.Time{Time: active}, hubward.Time{Time: connected}
	wantDevices(t, s, homeHub, 10, *a, *b)
}

// testConnectionModel: who names no model does not take back the one that was named; an edit of the identity neither.
func testConnectionModel(t *testing.T, s hub.Store) {
	withHome(t, s, "d")
	create(t, s, homeHub, anIdentity(mod("d", "m")))
	for _, id := range []hubward.Identity{dev("d"), mod("d", "m")} {
		for _, c := range []struct{ named, want string }{
			{"", ""}, {"dtmi:example:Pump;1", "dtmi:example:Pump;1"}, {"", "dtmi:example:Pump;1"}, {"dtmi:example:Pump;2", "dtmi:example:Pump;2"},
		} {
			editConnections(t, s, homeHub, connectionEdit(id, func(old hub.Connection) hub.Connection {
				old.ModelID = c.named
				return old
			}))
			mustEdit(t, s, homeHub, put(id))
			if got, stored := connection(t, s, id).ModelID, identity(t, s, homeHub, id).ModelID; got != c.want || stored != c.want {
				t.Errorf("%s, after %q was named: %q and %q, want %q", id, c.named, got, stored, c.want)
			}
		}
	}
	connect(t, s, homeHub, hub.Connection{ID: dev("d"), State: hubward.Connected})
	wantConnected(t, s, homeHub, hub.Connection{ID: dev("d"), State: hubward.Connected, ModelID: "dtmi:example:Pump;2"})
	edit(t, s, homeHub, dev("d"), remove)
	create(t, s, homeHub, aDevice("d"))
	if got := device(t, s, homeHub, "d").ModelID; got != "" {
		t.Errorf("the next one of that name has the model %q", got)
	}
}

// testConnectionNew: no claim of an identity that was deleted is known of the next one of that name.
func testConnectionNew(t *testing.T, s hub.Store) {
	withHome(t, s, "d")
	want := hub.Connection{
		ID: dev("d"), State: hubward.Disconnected,
		StateUpdated: aDevice("d").ConnectionStateUpdatedTime.Time, LastActivity: aDevice("d").LastActivityTime.Time,
	}
	wantEqual(t, "new", connection(t, s, dev("d")), want)
	connect(t, s, homeHub, hub.Connection{ID: dev("d"), Fence: 9, State: hubward.Connected, StateUpdated: aTime, LastActivity: aTime})
	edit(t, s, homeHub, dev("d"), remove)
	create(t, s, homeHub, aDevice("d"))
	wantEqual(t, "new again", connection(t, s, dev("d")), want)

	bare := &hub.Registration{Device: hubward.Device{DeviceID: "e", ConnectionState: hubward.Disconnected}}
	create(t, s, homeHub, bare)
	wantEqual(t, "never connected", connection(t, s, dev("e")), hub.Connection{ID: dev("e"), State: hubward.Disconnected})
}

func testConnectionUnknown(t *testing.T, s hub.Store) {
	withHome(t, s, "known")
	later := aTime.Add(time.Hour)
	never := func(id hubward.Identity) *hub.ConnectionEdit {
		return connectionEdit(id, func(old hub.Connection) hub.Connection {
			t.Errorf("edit of %s, which is not registered", id)
			return old
		}, "never told")
	}
	known := connectionEdit(dev("known"), func(old hub.Connection) hub.Connection {
		old.LastActivity = later
		return old
	})
	editConnections(t, s, homeHub, never(dev("unknown")), known, never(mod("known", "m")))
	editConnections(t, s, "nowhere", never(dev("known")))
	editConnections(t, s, homeHub)

	want := aDevice("known")
	want.LastActivityTime = hubward.Time{Time: later}
	wantDevices(t, s, homeHub, 10, *want)
	wantOutbox(t, s, homeHub)
}

func testConnectionOrder(t *testing.T, s hub.Store) {
	withHome(t, s, "d")
	var seen []uint64
	next := func(old hub.Connection) hub.Connection {
		seen = append(seen, old.Fence)
		old.Fence += 2
		return old
	}
	editConnections(t, s, homeHub, connectionEdit(dev("d"), next), connectionEdit(dev("d"), next), connectionEdit(dev("d"), next))
	wantEqual(t, "fences seen", seen, []uint64{0, 2, 4})
	if got := connection(t, s, dev("d")).Fence; got != 6 {
		t.Errorf("fence %d", got)
	}
}

// testConnectionEvents: events are told with an edit, whether or not it changed the connection.
func testConnectionEvents(t *testing.T, s hub.Store) {
	withHome(t, s, "a", "b")
	up := func(old hub.Connection) hub.Connection {
		old.State = hubward.Connected
		return old
	}
	editConnections(t, s, homeHub, connectionEdit(dev("a"), up, "a1", "a2"), connectionEdit(dev("b"), keep, "b1"), connectionEdit(dev("a"), up, "a3"))
	wantOutbox(t, s, homeHub, told(dev("a"), "a1"), told(dev("a"), "a2"), told(dev("b"), "b1"), told(dev("a"), "a3"))
}

func testConnectionPanic(t *testing.T, s hub.Store) {
	withHome(t, s, "a", "b")
	edits := []*hub.ConnectionEdit{
		connectionEdit(dev("a"), func(old hub.Connection) hub.Connection {
			old.Fence = 1
			return old
		}, "rolled back"),
		connectionEdit(dev("b"), func(hub.Connection) hub.Connection { panic("out of its mind") }),
	}
	wantCode(t, s.EditConnections(t.Context(), homeHub, edits), hubward.CodeServerError)
	if got := connection(t, s, dev("a")).Fence; got != 0 {
		t.Errorf("fence %d of an edit that was rolled back", got)
	}
	wantOutbox(t, s, homeHub)
}

// testConnectedPages uses ids that sort differently by byte and by letter, and modules between devices.
func testConnectedPages(t *testing.T, s hub.Store) {
	withHome(t, s, "B", "a", "a-", "b", "idle")
	saveHub(t, s, aHub("other", aTime))
	create(t, s, "other", aDevice("a"))
	var want []hub.Connection
	for i, id := range []hubward.Identity{dev("B"), dev("a"), mod("a", "M"), mod("a", "m"), dev("a-"), mod("a-", "a"), dev("b")} {
		if id.Module != "" {
			create(t, s, homeHub, anIdentity(id))
		}
		want = append(want, hub.Connection{
			ID: id, Fence: uint64(100 - i), State: hubward.Connected, StateUpdated: aTime.Add(time.Duration(i) * time.Second), LastActivity: aTime,
		})
	}
	create(t, s, homeHub, anIdentity(mod("b", "idle")))
	connect(t, s, homeHub, want...)
	connect(t, s, "other", hub.Connection{ID: dev("a"), State: hubward.Connected})

	for _, limit := range []int{1, 2, 3, len(want), 100} {
		var got []hub.Connection
		for after := (hubward.Identity{}); ; after = got[len(got)-1].ID {
			page, err := s.Connected(t.Context(), homeHub, after, limit)
			if err != nil || len(page) > limit {
				t.Fatalf("page of %d behind %s: %v", len(page), after, err)
			}
			if len(page) == 0 {
				break
			}
			got = append(got, page...)
		}
		wantEqual(t, "all pages", got, want)
	}
	page, err := s.Connected(t.Context(), homeHub, mod("a", "Z"), 2) // nobody is called so
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "page behind a gap", page, want[3:5])
	if page, err := s.Connected(t.Context(), homeHub, hubward.Identity{}, 0); err != nil || len(page) != 0 {
		t.Errorf("no page: %v, %v", page, err)
	}
	wantConnected(t, s, "nowhere")
}

func testConnectedNow(t *testing.T, s hub.Store) {
	withHome(t, s, "a", "b", "c")
	var up []hub.Connection
	for _, id := range []string{"a", "b", "c"} {
		up = append(up, hub.Connection{ID: dev(id), Fence: 1, State: hubward.Connected, StateUpdated: aTime, LastActivity: aTime})
	}
	connect(t, s, homeHub, up...)
	wantConnected(t, s, homeHub, up...)
	connect(t, s, homeHub, hub.Connection{ID: dev("a"), Fence: 1, State: hubward.Disconnected, StateUpdated: aTime.Add(time.Hour)})
	edit(t, s, homeHub, dev("b"), remove)
	edit(t, s, homeHub, dev("c"), func(old *hub.Registration) (*hub.Registration, error) {
		old.Status = hubward.StatusDisabled
		return old, nil
	})
	wantConnected(t, s, homeHub, up[2])
}
