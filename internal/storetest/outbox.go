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
	{"batchesAreBounded", testOutboxBatches},
	{"answersAreBounded", testOutboxSize},
	{"deleteByID", testOutboxDelete},
	{"idsAreNotUsedAgain", testOutboxIDs},
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

// outboxBatches reads what waits in a hub's outbox, up to limit events, and checks the bounds of its batches.
func outboxBatches(t *testing.T, s hub.Store, hubName string, limit int) []hub.HubEventBatch {
	t.Helper()
	batches, err := s.Outbox(t.Context(), hubName, limit)
	if err != nil {
		t.Fatalf("Outbox: %v", err)
	}
	seen := make(map[int64]bool)
	for _, b := range batches {
		size := 0
		for _, e := range b.Events {
			size += len(e.Data)
		}
		if len(b.Events) == 0 || len(b.Events) > hub.MaxEventBatch || size > hub.MaxEventBatchBytes && len(b.Events) > 1 || seen[b.ID] {
			t.Errorf("batch %d holds %d events, %d bytes; the batches before it %v", b.ID, len(b.Events), size, seen)
		}
		seen[b.ID] = true
	}
	return batches
}

// eventsOf returns the events of batches, in order.
func eventsOf(batches []hub.HubEventBatch) (events []hub.HubEvent) {
	for _, b := range batches {
		events = append(events, b.Events...)
	}
	return events
}

func wantOutbox(t *testing.T, s hub.Store, hubName string, want ...hub.HubEvent) {
	t.Helper()
	wantEqual(t, "outbox of "+hubName, eventsOf(outboxBatches(t, s, hubName, 1000)), want)
}

func deleteOutbox(t *testing.T, s hub.Store, hubName string, ids ...int64) {
	t.Helper()
	if err := s.DeleteOutbox(t.Context(), hubName, ids); err != nil {
		t.Fatalf("DeleteOutbox: %v", err)
	}
}

// emptyOutbox deletes all that waits.
func emptyOutbox(t *testing.T, s hub.Store, hubName string) (ids []int64) {
	t.Helper()
	for _, b := range outboxBatches(t, s, hubName, 1000) {
		ids = append(ids, b.ID)
	}
	deleteOutbox(t, s, hubName, ids...)
	return ids
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

// testOutboxLimit: batches come whole, so that there may be more events than asked for.
func testOutboxLimit(t *testing.T, s hub.Store) {
	withHome(t, s, "a", "b")
	var want []hub.HubEvent
	for i := range 20 {
		id, names := dev([]string{"a", "b"}[i%2]), []string{fmt.Sprint("first ", 20-i), fmt.Sprint("second ", 20-i)}
		tell(t, s, homeHub, id, names...)
		want = append(want, told(id, names[0]), told(id, names[1]))
	}
	wantOutbox(t, s, homeHub, want...)
	for limit, events := range map[int]int{-1: 0, 0: 0, 1: 2, 2: 2, 3: 4, 38: 38, 39: 40, 40: 40} {
		wantEqual(t, fmt.Sprint("outbox up to ", limit), eventsOf(outboxBatches(t, s, homeHub, limit)), want[:events])
	}
}

// testOutboxBatches: what is stored together comes in batches that are bounded.
func testOutboxBatches(t *testing.T, s hub.Store) {
	withHome(t, s, "d")
	const half = hub.MaxEventBatchBytes / 2
	for what, c := range map[string]struct {
		sizes []int // of the events of one call
		want  []int // events of the batches
	}{
		"few":           {[]int{1, 1, 1}, []int{3}},
		"many":          {make([]int, hub.MaxEventBatch), []int{hub.MaxEventBatch}},
		"more":          {make([]int, hub.MaxEventBatch+1), []int{hub.MaxEventBatch, 1}},
		"large":         {[]int{half, half, half, 1}, []int{2, 2}},
		"larger":        {[]int{half, half + 1, 1}, []int{1, 2}},
		"one too large": {[]int{1, 3 * half, 1}, []int{1, 1, 1}},
	} {
		e := connectionEdit(dev("d"), keep)
		var events []hub.HubEvent
		for i, size := range c.sizes {
			events = append(events, hub.HubEvent{Identity: dev("d"), ID: fmt.Sprint(i), Data: make([]byte, size)})
		}
		e.Edit = func(old hub.Connection) (hub.Connection, []hub.HubEvent) { return old, events }
		editConnections(t, s, homeHub, e)
		batches := outboxBatches(t, s, homeHub, 10*hub.MaxEventBatch)
		wantEqual(t, what+": events", eventsOf(batches), events)
		var got []int
		for _, b := range batches {
			got = append(got, len(b.Events))
		}
		wantEqual(t, what+": batches", got, c.want)
		emptyOutbox(t, s, homeHub)
	}
}

// testOutboxSize: one answer is bounded in bytes, too.
func testOutboxSize(t *testing.T, s hub.Store) {
	withHome(t, s, "d")
	for i := range 12 {
		e := connectionEdit(dev("d"), keep)
		e.Edit = func(old hub.Connection) (hub.Connection, []hub.HubEvent) {
			return old, []hub.HubEvent{{Identity: dev("d"), ID: fmt.Sprint(i), Data: make([]byte, hub.MaxEventBatchBytes)}}
		}
		editConnections(t, s, homeHub, e)
	}
	for want := range 4 {
		batches := outboxBatches(t, s, homeHub, 1000)
		if len(batches) < 1 || len(batches) > 5 || batches[0].Events[0].ID != fmt.Sprint(want) {
			t.Fatalf("%d batches, the first one %s, want up to 1 MiB from %d on", len(batches), batches[0].Events[0].ID, want)
		}
		deleteOutbox(t, s, homeHub, batches[0].ID)
	}
}

func testOutboxDelete(t *testing.T, s hub.Store) {
	withHome(t, s, "d")
	saveHub(t, s, aHub("other", aTime))
	create(t, s, "other", aDevice("d"))
	for _, name := range []string{homeHub, "other"} {
		for _, e := range []string{"one", "two", "three"} {
			tell(t, s, name, dev("d"), e)
		}
	}
	one, two, three := told(dev("d"), "one"), told(dev("d"), "two"), told(dev("d"), "three")
	batches := outboxBatches(t, s, homeHub, 9)
	if len(batches) != 3 {
		t.Fatalf("%d batches", len(batches))
	}
	deleteOutbox(t, s, homeHub, batches[0].ID, 1<<62, batches[2].ID)
	wantOutbox(t, s, homeHub, two)
	wantOutbox(t, s, "other", one, two, three)
	deleteOutbox(t, s, homeHub, batches[0].ID)
	deleteOutbox(t, s, homeHub)
	deleteOutbox(t, s, "other", batches[1].ID) // it is another hub's
	deleteOutbox(t, s, "nowhere", batches[1].ID)
	wantOutbox(t, s, homeHub, two)
	wantOutbox(t, s, "other", one, two, three)
	deleteOutbox(t, s, homeHub, batches[1].ID)
	wantOutbox(t, s, homeHub)
}

// testOutboxIDs: who deletes late what others have deleted deletes nothing that came meanwhile.
func testOutboxIDs(t *testing.T, s hub.Store) {
	withHome(t, s, "d")
	saveHub(t, s, aHub("other", aTime))
	create(t, s, "other", aDevice("d"))
	tell(t, s, homeHub, dev("d"), "one")
	ids := emptyOutbox(t, s, homeHub)
	tell(t, s, "other", dev("d"), "lost with its hub")
	if err := s.DeleteHub(t.Context(), "other"); err != nil {
		t.Fatal(err)
	}
	tell(t, s, homeHub, dev("d"), "two")
	deleteOutbox(t, s, homeHub, ids...)
	wantOutbox(t, s, homeHub, told(dev("d"), "two"))
}

func testOutboxOrphan(t *testing.T, s hub.Store) {
	e := telling(identityEdit(dev("d"), remove), "deleted") // nothing is deleted, yet something is told
	wantCode(t, s.EditIdentities(t.Context(), "nowhere", []*hub.IdentityEdit{e}), hubward.CodeHubNotFound)
	wantOutbox(t, s, "nowhere")
}
