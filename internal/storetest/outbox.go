package storetest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

var outboxTests = []test{
	{"keepsBytes", testOutboxBytes},
	{"inOrderUpToLimit", testOutboxLimit},
	{"deleteByID", testOutboxDelete},
	{"needsAHub", testOutboxOrphan},
}

// told is the event of an identity that bears a name.
func told(id hubward.Identity, name string) hub.HubEvent {
	return hub.HubEvent{Identity: id, ID: "id of " + name, Data: []byte("data of " + name)}
}

// tell stores events of an identity that is registered.
func tell(t *testing.T, s hub.Store, hubName string, id hubward.Identity, names ...string) {
	t.Helper()
	editConnections(t, s, hubName, connectionEdit(id, keep, names...))
}

func wantOutbox(t *testing.T, s hub.Store, hubName string, want ...hub.HubEvent) {
	t.Helper()
	got, err := s.Outbox(t.Context(), hubName, 1000)
	if err != nil {
		t.Fatalf("Outbox: %v", err)
	}
	wantEqual(t, "outbox of "+hubName, got, want)
}

func deleteOutbox(t *testing.T, s hub.Store, hubName string, ids ...string) {
	t.Helper()
	if err := s.DeleteOutbox(t.Context(), hubName, ids); err != nil {
		t.Fatalf("DeleteOutbox: %v", err)
	}
}

// testOutboxBytes has events of identities that are not the edited one, and that are not registered.
func testOutboxBytes(t *testing.T, s hub.Store) {
	withHome(t, s, "d")
	events := []hub.HubEvent{
		{Identity: dev("d"), ID: "1"},
		{Identity: mod("d", "m"), ID: "2", Data: []byte("\x00\xff no UTF-8")},
		{Identity: dev("unknown"), ID: "3", Data: []byte(strings.Repeat("\x00\xff", 5<<10))},
	}
	e := connectionEdit(dev("d"), keep)
	e.Edit = func(old hub.Connection) (hub.Connection, []hub.HubEvent) { return old, events }
	editConnections(t, s, homeHub, e)
	wantOutbox(t, s, homeHub, events...)
}

func testOutboxLimit(t *testing.T, s hub.Store) {
	withHome(t, s, "a", "b")
	var want []hub.HubEvent
	for i := range 20 {
		id, name := dev([]string{"a", "b"}[i%2]), fmt.Sprint("event ", 20-i) // ids say nothing of the order
		tell(t, s, homeHub, id, name)
		want = append(want, told(id, name))
	}
	wantOutbox(t, s, homeHub, want...)
	for _, limit := range []int{0, 1, 19, 20} {
		got, err := s.Outbox(t.Context(), homeHub, limit)
		if err != nil {
			t.Fatal(err)
		}
		wantEqual(t, fmt.Sprint("outbox up to ", limit), got, want[:limit])
	}
}

func testOutboxDelete(t *testing.T, s hub.Store) {
	withHome(t, s, "d")
	saveHub(t, s, aHub("other", aTime))
	create(t, s, "other", aDevice("d"))
	for _, name := range []string{homeHub, "other"} {
		tell(t, s, name, dev("d"), "one", "two", "three")
	}
	one, two, three := told(dev("d"), "one"), told(dev("d"), "two"), told(dev("d"), "three")
	deleteOutbox(t, s, homeHub, one.ID, "unknown", three.ID)
	wantOutbox(t, s, homeHub, two)
	wantOutbox(t, s, "other", one, two, three)
	deleteOutbox(t, s, homeHub, one.ID, two.ID)
	deleteOutbox(t, s, homeHub)
	deleteOutbox(t, s, "nowhere", two.ID)
	wantOutbox(t, s, homeHub)
	tell(t, s, homeHub, dev("d"), "four")
	wantOutbox(t, s, homeHub, told(dev("d"), "four"))
}

func testOutboxOrphan(t *testing.T, s hub.Store) {
	e := telling(identityEdit(dev("d"), remove), "deleted") // nothing is deleted, yet something is told
	wantCode(t, s.EditIdentities(t.Context(), "nowhere", []*hub.IdentityEdit{e}), hubward.CodeHubNotFound)
	wantOutbox(t, s, "nowhere")
}
