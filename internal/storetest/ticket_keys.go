package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hubward/hubward/internal/hub"
)

var ticketKeyTests = []test{
	{"none", testTicketKeysNone},
	{"newestFirst", testTicketKeysNewestFirst},
	{"oldOnesGo", testTicketKeysOldOnesGo},
	{"addedBySomebodyElse", testTicketKeysAddedBySomebodyElse},
	{"addedAtOnce", testTicketKeysAddedAtOnce},
}

// longAgo deletes no key of these tests.
var longAgo = aTime.Add(-100 * time.Hour)

func addTicketKey(t *testing.T, s hub.Store, newest int64, sealed string, created, oldest time.Time) {
	t.Helper()
	if err := s.AddTicketKey(t.Context(), newest, hub.TicketKey{ID: 77, Created: created, Sealed: []byte(sealed)}, oldest); err != nil {
		t.Fatalf("AddTicketKey: %v", err)
	}
}

// wantTicketKeys checks which keys there are, and returns the ID of the newest.
func wantTicketKeys(t *testing.T, s hub.Store, want ...string) int64 {
	t.Helper()
	keys, err := s.TicketKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i, k := range keys {
		got = append(got, string(k.Sealed)+" "+k.Created.Format(time.RFC3339Nano))
		if i > 0 && k.ID >= keys[i-1].ID {
			t.Errorf("ID %d comes behind %d", k.ID, keys[i-1].ID)
		}
	}
	wantEqual(t, "keys", got, want)
	if len(keys) == 0 {
		return 0
	}
	return keys[0].ID
}

func keyText(sealed string, created time.Time) string {
	return sealed + " " + created.UTC().Format(time.RFC3339Nano)
}

func testTicketKeysNone(t *testing.T, s hub.Store) { wantTicketKeys(t, s) }

func testTicketKeysNewestFirst(t *testing.T, s hub.Store) {
	addTicketKey(t, s, 0, "\x00one\xff", aTime, longAgo)
	newest := wantTicketKeys(t, s, keyText("\x00one\xff", aTime))
	if newest < 1 {
		t.Errorf("the first key has the ID %d", newest)
	}
	earlier := aTime.Add(-time.Minute) // by another node's clock
	addTicketKey(t, s, newest, "two", earlier, longAgo)
	wantTicketKeys(t, s, keyText("two", earlier), keyText("\x00one\xff", aTime))
}

func testTicketKeysOldOnesGo(t *testing.T, s hub.Store) {
	addTicketKey(t, s, 0, "one", aTime, longAgo)
	addTicketKey(t, s, wantTicketKeys(t, s, keyText("one", aTime)), "two", aTime.Add(time.Hour), longAgo)
	newest := wantTicketKeys(t, s, keyText("two", aTime.Add(time.Hour)), keyText("one", aTime))
	// What was created at that very moment stays.
	addTicketKey(t, s, newest, "three", aTime.Add(2*time.Hour), aTime.Add(time.Hour))
	newest = wantTicketKeys(t, s, keyText("three", aTime.Add(2*time.Hour)), keyText("two", aTime.Add(time.Hour)))
	addTicketKey(t, s, newest, "four", aTime.Add(3*time.Hour), aTime.Add(2*time.Hour+100*time.Nanosecond))
	next := wantTicketKeys(t, s, keyText("four", aTime.Add(3*time.Hour)))
	if next <= newest {
		t.Errorf("the ID %d was given again", next)
	}
}

func testTicketKeysAddedBySomebodyElse(t *testing.T, s hub.Store) {
	addTicketKey(t, s, 0, "one", aTime, longAgo)
	newest := wantTicketKeys(t, s, keyText("one", aTime))
	for _, known := range []int64{0, newest - 1, newest + 1} {
		addTicketKey(t, s, known, "late", aTime, aTime.Add(time.Hour)) // which would delete the first one
	}
	wantTicketKeys(t, s, keyText("one", aTime))
}

// Nodes that all find the same newest key too old add one between them.
func testTicketKeysAddedAtOnce(t *testing.T, s hub.Store) {
	addTicketKey(t, s, 0, "one", aTime, longAgo)
	newest := wantTicketKeys(t, s, keyText("one", aTime))
	var wg sync.WaitGroup
	for i := range 8 {
		store := handles(s)[i%2]
		wg.Go(func() {
			key := hub.TicketKey{Created: aTime.Add(time.Hour), Sealed: fmt.Append(nil, i)}
			if err := store.AddTicketKey(t.Context(), newest, key, longAgo); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	keys, err := s.TicketKeys(t.Context())
	if err != nil || len(keys) != 2 || string(keys[1].Sealed) != "one" {
		t.Errorf("%+v, %v", keys, err)
	}
}
