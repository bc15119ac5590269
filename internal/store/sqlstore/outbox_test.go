package sqlstore_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/store/sqlstore"
)

// TestOpen_oldOutbox: events that waited before there were batches wait on, in their order, each byte of them.
func TestOpen_oldOutbox(t *testing.T) {
	path := file(t.TempDir())
	var script strings.Builder
	script.WriteString(`INSERT INTO hubs (name, host_names, partitions, retention_ns, consumer_groups) VALUES ('h', '[]', 1, 1, '[]');`)
	var want []hub.HubEventBatch
	for i, size := range []int{0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152} {
		id := hubward.Identity{Device: strings.Repeat("\u00fc", 1+i), Module: strings.Repeat("m", min(size, 128))}
		e := hub.HubEvent{Identity: id, ID: fmt.Sprint("event ", i), Data: bytes.Repeat([]byte{0, 0xff, byte(i)}, size)[:size]}
		row := int64(10 + 3*i)
		fmt.Fprintf(&script, `INSERT INTO outbox (id, hub, device_id, module_id, event_id, data) VALUES (%d, 'h', '%s', '%s', '%s', x'%x');`,
			row, id.Device, id.Module, e.ID, e.Data)
		want = append(want, hub.HubEventBatch{ID: row, Events: []hub.HubEvent{e}})
	}
	sqlstore.CreateAt(t, path, 5, script.String())
	s := open(t, path)
	var got []hub.HubEventBatch
	for {
		batches, err := s.Outbox(t.Context(), "h", 1)
		if err != nil || len(batches) > 1 {
			t.Fatal(batches, err)
		}
		if len(batches) == 0 {
			break
		}
		got = append(got, batches[0])
		if err := s.DeleteOutbox(t.Context(), "h", []int64{batches[0].ID}); err != nil {
			t.Fatal(err)
		}
	}
	long := cmp.FilterValues(func(a, b []byte) bool { return max(len(a), len(b)) > 1000 }, cmp.Comparer(bytes.Equal))
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), long); diff != "" {
		t.Errorf("outbox (-want +got):\n%.2000s", diff)
	}
}

// TestOutbox_hubMadeAnew: a hub that is deleted and made anew has nothing to tell of the one before it, also when all of it is
// one transaction.
func TestOutbox_hubMadeAnew(t *testing.T) {
	path := file(t.TempDir())
	synctest.Test(t, func(t *testing.T) {
		s := withHub(t, path)
		tell := func(id string) error {
			return s.EditConnections(t.Context(), "h", []*hub.ConnectionEdit{{ID: dev("d"), Edit: func(old hub.Connection) (hub.Connection, []hub.HubEvent) {
				return old, []hub.HubEvent{{Identity: dev("d"), ID: id}}
			}}})
		}
		release := hold(t, s)
		var wg sync.WaitGroup
		for _, write := range []func() error{
			func() error { return tell("before") },
			func() error { return s.DeleteHub(t.Context(), "h") },
			func() error { return s.SaveHub(t.Context(), hub.Config{Name: "h", Partitions: 1}) },
			func() error { return s.EditIdentities(t.Context(), "h", []*hub.IdentityEdit{put("d")}) },
			func() error { return tell("behind") },
		} {
			wg.Go(func() {
				if err := write(); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		release()
		wg.Wait()
		batches, err := s.Outbox(t.Context(), "h", 10)
		if err != nil || len(batches) != 1 || len(batches[0].Events) != 1 || batches[0].Events[0].ID != "behind" {
			t.Errorf("outbox %v, %v", batches, err)
		}
	})
}
