package sqlstore_test

import (
	"testing"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/store/sqlstore"
)

const selectTwin = `SELECT tags || desired || reported || desired_version || reported_version || twin_version || twin_etag || model_id
	FROM devices WHERE hub = 'h' AND device_id = 'd' AND module_id = ''`

const freshTwin = `{}{}{}1121`

// TestEditDevices_keepsTwin: the twin lives in the identity's row and is not the registry's to change.
func TestEditDevices_keepsTwin(t *testing.T) {
	s := withHub(t, sqlstore.Memory)
	if got := sqlstore.Value[string](t, s, selectTwin); got != freshTwin {
		t.Errorf("new twin %s", got)
	}
	s.Exec(t, `UPDATE devices SET tags = '{"a":1}', desired = '{"b":2}', reported = '{"c":3}', desired_version = 4,
		reported_version = 5, twin_version = 6, twin_etag = 7, model_id = 'dtmi:x;1'`)
	mustEdit(t, s, put("d"))
	if got := sqlstore.Value[string](t, s, selectTwin); got != `{"a":1}{"b":2}{"c":3}4567dtmi:x;1` {
		t.Errorf("twin after an edit of the identity: %s", got)
	}
	remove := &hub.DeviceEdit{ID: "d", Edit: func(*hubward.Device) (*hubward.Device, error) { return nil, nil }}
	mustEdit(t, s, remove, put("d"))
	if got := sqlstore.Value[string](t, s, selectTwin); got != freshTwin {
		t.Errorf("twin of the next device of that name: %s", got)
	}
}

// TestModules_areNoDevices: rows with a module id are neither listed nor counted, and go with their device.
func TestModules_areNoDevices(t *testing.T) {
	s := withHub(t, sqlstore.Memory)
	for _, device := range []string{"d", "e"} {
		mustEdit(t, s, put(device))
		s.Exec(t, `INSERT INTO devices (hub, device_id, module_id, etag, generation_id, status, connection_state, iot_edge,
			device_scope, parent_scopes) VALUES ('h', $1, 'm', 'module', '1', 'enabled', 'Disconnected', 0, '', '[]')`, device)
	}
	ctx := t.Context()
	module := hubward.Identity{Device: "d", Module: "m"}
	if err := s.SaveSubscriptions(ctx, "h", module, []hub.Subscription{{Filter: "f"}}); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := s.Subscriptions(ctx, "h", hubward.Identity{Device: "d"}); ok || err != nil {
		t.Errorf("the device has its module's session: %v, %v", ok, err)
	}
	list, err := s.Devices(ctx, "h", 10)
	if err != nil || len(list) != 2 || list[0].ETag == "module" {
		t.Errorf("devices %v, %v", list, err)
	}
	n, err := s.DeviceStatistics(ctx, "h")
	if err != nil || n.TotalDeviceCount != 2 || n.EnabledDeviceCount != 2 {
		t.Errorf("statistics %+v, %v", n, err)
	}
	if err := s.RecordActivity(ctx, "h", []hub.Activity{{ID: "d", State: hubward.Connected, StateUpdated: now}}); err != nil {
		t.Fatal(err)
	}
	mustEdit(t, s, &hub.DeviceEdit{ID: "d", Edit: func(old *hubward.Device) (*hubward.Device, error) {
		old.ETag = "edited"
		return old, nil
	}})
	if got := sqlstore.Value[string](t, s, `SELECT etag || connection_state FROM devices WHERE device_id = 'd' AND module_id = 'm'`); got != "moduleDisconnected" {
		t.Errorf("the module changed with its device: %s", got)
	}

	mustEdit(t, s, &hub.DeviceEdit{ID: "d", Edit: func(*hubward.Device) (*hubward.Device, error) { return nil, nil }})
	if got := sqlstore.Value[int](t, s, `SELECT count(*) FROM devices`); got != 2 {
		t.Errorf("%d rows left of e and its module", got)
	}
	if _, ok, err := s.Subscriptions(ctx, "h", module); ok || err != nil {
		t.Errorf("the session of a deleted module: %v, %v", ok, err)
	}
}

// TestSchema_statisticsReadAnIndex: counting must not read the twins.
func TestSchema_statisticsReadAnIndex(t *testing.T) {
	s := withHub(t, sqlstore.Memory)
	for text, want := range map[string]string{
		`SELECT status, count(*) FROM devices WHERE hub = 'h' AND module_id = '' GROUP BY status`:   "SEARCH devices USING COVERING INDEX devices_by_status (hub=?)",
		`UPDATE devices SET connection_state = 'Disconnected' WHERE connection_state = 'Connected'`: "SCAN devices USING INDEX devices_connected",
	} {
		if got := sqlstore.Plan(t, s, text); got != want {
			t.Errorf("%s\nplan %q, want %q", text, got, want)
		}
	}
}
