package sqlstore_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/store/sqlstore"
)

// FuzzEventsOf: whatever is in a column of the outbox, it is events or an error; and what is events can be stored again.
func FuzzEventsOf(f *testing.F) {
	small := []hub.HubEvent{{Identity: dev("d"), ID: "e", Data: []byte("hello")}, {Identity: hubward.Identity{Device: "d", Module: "m"}}}
	large := []hub.HubEvent{{Identity: dev("d"), ID: "e", Data: bytes.Repeat([]byte("hello"), 1000)}}
	for _, events := range [][]hub.HubEvent{small, large} {
		column := sqlstore.Column(events)
		f.Add(column)
		f.Add(column[:len(column)-1])
	}
	f.Add([]byte("\x03\x01"))
	f.Add([]byte("\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Add([]byte("\x02\xff\xff\xff\xff\x0f"))
	f.Fuzz(func(t *testing.T, column []byte) {
		events, err := sqlstore.EventsOf(column)
		if err != nil || len(events) == 0 {
			return
		}
		again, err := sqlstore.EventsOf(sqlstore.Column(events))
		if diff := cmp.Diff(events, again, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Errorf("%v (-first +again):\n%s", err, diff)
		}
	})
}

// TestEventsOf_sizes: batches are compressed from some size on, up to another.
func TestEventsOf_sizes(t *testing.T) {
	for _, size := range []int{0, 1, 2000, 2047, 2048, 2049, 200_000, 524_200, 524_300, 2 << 20} {
		events := []hub.HubEvent{{Identity: dev("d"), ID: "e", Data: bytes.Repeat([]byte("0123456789"), size/10+1)[:size]}}
		column := sqlstore.Column(events)
		if compressed := len(column) < size; compressed != (size >= 2047 && size < 524_280) {
			t.Errorf("%d bytes of data become %d", size, len(column))
		}
		got, err := sqlstore.EventsOf(column)
		if err != nil || len(got) != 1 || got[0].Identity != events[0].Identity || got[0].ID != "e" || !bytes.Equal(got[0].Data, events[0].Data) {
			t.Errorf("%d bytes: %d events, %v", size, len(got), err)
		}
	}
}
