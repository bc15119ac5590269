package sqlstore_test

import (
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/c2dqueue"
	"github.com/hubward/hubward/internal/store/sqlstore"
)

// TestSaveSession_leavesNoRow: a clean start of a device that never had a session must cost no row.
func TestSaveSession_leavesNoRow(t *testing.T) {
	s := withHub(t, sqlstore.Memory)
	if err := s.SaveSession(t.Context(), "h", dev("d"), 5, nil); err != nil {
		t.Fatal(err)
	}
	if n := sqlstore.Value[int](t, s, `SELECT count(*) FROM sessions`); n != 0 {
		t.Errorf("%d rows", n)
	}
}

// TestEditQueues_leavesNoRow: a device that only ever asks for messages costs no row, and no write.
func TestEditQueues_leavesNoRow(t *testing.T) {
	s := withHub(t, sqlstore.Memory)
	look := func(q *c2dqueue.Queue) error {
		q.Expire(now)
		return nil
	}
	editQueue(t, s, queueOfD, look)
	if n := sqlstore.Value[int](t, s, `SELECT count(*) FROM c2d_queues`); n != 0 {
		t.Errorf("%d rows", n)
	}
	editQueue(t, s, queueOfD, func(q *c2dqueue.Queue) error {
		return q.Append(c2dqueue.Message{Enqueued: now, Expires: now.Add(time.Hour)}, nil)
	})
	for range 2 { // the second time the queue is empty
		s.Exec(t, `CREATE TEMP TRIGGER no_write BEFORE UPDATE ON c2d_queues BEGIN SELECT raise(ABORT, 'an update that changes nothing'); END`)
		editQueue(t, s, queueOfD, look)
		s.Exec(t, `DROP TRIGGER no_write`)
		editQueue(t, s, queueOfD, func(q *c2dqueue.Queue) error {
			q.Purge(now)
			return nil
		})
	}
}

// TestFences_beyondTheColumn: a fence that no column can hold is refused, and not taken for another one.
func TestFences_beyondTheColumn(t *testing.T) {
	s := withHub(t, sqlstore.Memory)
	if err := s.SaveSession(t.Context(), "h", dev("d"), 1<<63, []byte("x")); hubward.CodeOf(err) != hubward.CodeServerError {
		t.Errorf("session: %v", err)
	}
	e := &hub.ConnectionEdit{ID: dev("d"), Edit: func(old hub.Connection) (hub.Connection, []hub.HubEvent) {
		old.Fence = 1 << 63
		return old, nil
	}}
	if err := s.EditConnections(t.Context(), "h", []*hub.ConnectionEdit{e}); hubward.CodeOf(err) != hubward.CodeServerError {
		t.Errorf("connection: %v", err)
	}
	s.Exec(t, `UPDATE devices SET connection_state = 'Connected', connection_fence = -1`)
	if got, err := s.Connected(t.Context(), "h", hubward.Identity{}, 1); err == nil {
		t.Errorf("a negative fence was read as %v", got)
	}
}

// TestSchema_identitiesReadIndexes: counting and paging must not read the twins, nor who is not looked for.
func TestSchema_identitiesReadIndexes(t *testing.T) {
	s := withHub(t, sqlstore.Memory)
	for text, want := range map[string]string{
		`SELECT status, count(*) FROM devices WHERE hub = 'h' AND module_id = '' GROUP BY status`: "SEARCH devices USING COVERING INDEX devices_by_status (hub=? AND module_id=?)",
		`SELECT last_activity FROM devices WHERE hub = 'h' AND connection_state = 'Connected' AND (device_id, module_id) > ('d', 'm')
			ORDER BY device_id, module_id LIMIT 9`: "SEARCH devices USING INDEX devices_connected (hub=? AND (device_id,module_id)>(?,?))",
		`SELECT etag FROM devices WHERE hub = 'h' AND device_id = 'd' AND module_id <> '' ORDER BY module_id`:                                                              "SEARCH devices USING INDEX devices_modules (hub=? AND device_id=?)",
		`SELECT etag FROM devices WHERE hub = 'h' AND device_id = 'd' ORDER BY module_id`:                                                                                  "SEARCH devices USING INDEX sqlite_autoindex_devices_1 (hub=? AND device_id=?)",
		`SELECT etag FROM devices WHERE hub = 'h' AND (device_id, module_id) > ('d', 'm') AND module_id <> '' ORDER BY device_id, module_id LIMIT 9`:                       "SEARCH devices USING INDEX devices_modules (hub=? AND (device_id,module_id)>(?,?))",
		`SELECT etag FROM devices WHERE hub = 'h' AND parent_scopes = '["s"]' AND parent_scopes <> '[]' AND device_id > 'd' AND module_id = '' ORDER BY device_id LIMIT 9`: "SEARCH devices USING INDEX devices_by_parent (hub=? AND parent_scopes=? AND device_id>?)",
		`SELECT etag FROM devices WHERE hub = 'h' AND device_id > 'd' AND module_id = '' ORDER BY device_id LIMIT 9`:                                                       "SEARCH devices USING INDEX sqlite_autoindex_devices_1 (hub=? AND device_id>?)",
		`DELETE FROM hub_hosts WHERE hub = 'h'`: "SEARCH hub_hosts USING COVERING INDEX hub_hosts_by_hub (hub=?)",
	} {
		if got := sqlstore.Plan(t, s, text); got != want {
			t.Errorf("%s\nplan %q, want %q", text, got, want)
		}
	}
}
