package hub_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// What each mode does with a device that is there, and with one that is not.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-bulk-identity-mgmt, import behavior.
func TestBulkDevices_everyMode(t *testing.T) {
	const (
		exists, conflict, none              = hubward.CodeDeviceAlreadyExists, hubward.CodePreconditionFailed, hubward.CodeDeviceNotFound
		done                   hubward.Code = 0
	)
	for _, test := range []struct {
		mode                               hub.ImportMode
		missing, noETag, any, right, stale hubward.Code
		deletes                            bool
	}{
		{mode: "", missing: done, noETag: done, any: done, right: done, stale: done},
		{mode: "createOrUpdate", missing: done, noETag: done, any: done, right: done, stale: done},
		{mode: "create", missing: done, noETag: exists, any: exists, right: exists, stale: exists},
		{mode: "update", missing: none, noETag: done, any: done, right: done, stale: done},
		{mode: "updateIfMatchETag", missing: none, noETag: conflict, any: done, right: done, stale: conflict},
		{mode: "createOrUpdateIfMatchETag", missing: done, noETag: conflict, any: done, right: done, stale: conflict},
		{mode: "delete", missing: none, noETag: done, any: done, right: done, stale: done, deletes: true},
		{mode: "deleteIfMatchETag", missing: none, noETag: conflict, any: done, right: done, stale: conflict, deletes: true},
	} {
		for _, c := range []struct {
			name, etag string
			there      bool
			want       hubward.Code
		}{
			{"missing", "", false, test.missing}, {"noETag", "", true, test.noETag}, {"any", "*", true, test.any},
			{"right", "right", true, test.right}, {"stale", "stale", true, test.stale},
		} {
			t.Run(string(test.mode)+"/"+c.name, func(t *testing.T) {
				f := newFixture(t)
				etag := c.etag
				if c.there {
					if d := f.createDevice("d"); etag == "right" {
						etag = d.ETag
					}
				}
				item := hub.BulkItem{Device: hubward.Device{DeviceID: "d", StatusReason: "changed"}, Mode: test.mode, ETag: etag}
				failed, err := f.BulkDevices(t.Context(), "plant", []hub.BulkItem{item})
				if err != nil {
					t.Fatal(err)
				}
				var got hubward.Code
				if len(failed) > 0 {
					got = hubward.CodeOf(failed[0].Err)
				}
				if got != c.want {
					t.Fatalf("code %v, want %v", got, c.want)
				}
				d, err := f.Device(t.Context(), "plant", "d")
				wantThere := c.there
				if got == done {
					wantThere = !test.deletes
				}
				if (err == nil) != wantThere || wantThere && (d.StatusReason == "changed") != (got == done) {
					t.Errorf("left %+v, %v", d, err)
				}
			})
		}
	}
}

// Rows of modules go by the modes as those of devices do, and leave their device alone.
func TestBulkDevices_rowsOfModules(t *testing.T) {
	f := newFixture(t)
	before := f.createDevice("d")
	for i, step := range []struct {
		mode      hub.ImportMode
		etag      string
		managedBy string
		want      hubward.Code
		left      string // managedBy afterwards, "-" for none
	}{
		{hub.ModeUpdate, "", "a", hubward.CodeModuleNotFound, "-"},
		{hub.ModeDelete, "", "", hubward.CodeModuleNotFound, "-"},
		{hub.ModeUpdateTwin, "", "", hubward.CodeModuleNotFound, "-"},
		{hub.ModeCreate, "", "a", 0, "a"},
		{hub.ModeCreate, "", "b", hubward.CodeModuleAlreadyExistsOnDevice, "a"},
		{"", "", "b", 0, "b"},
		{hub.ModeUpdateIfMatchETag, "stale", "c", hubward.CodePreconditionFailed, "b"},
		{hub.ModeCreateOrUpdateIfMatchETag, "*", "c", 0, "c"},
		{hub.ModeUpdate, "", "", 0, ""},
		{hub.ModeUpdateTwin, "", "", 0, ""},
		{hub.ModeDeleteIfMatchETag, "stale", "", hubward.CodePreconditionFailed, ""},
		{hub.ModeDeleteIfMatchETag, "*", "", 0, "-"},
		{hub.ModeCreateOrUpdate, "", "d", 0, "d"},
		{hub.ModeDelete, "", "", 0, "-"},
	} {
		item := hub.BulkItem{Device: hubward.Device{DeviceID: "d"}, ModuleID: "m", ManagedBy: step.managedBy, Mode: step.mode, ETag: step.etag}
		failed, err := f.BulkDevices(t.Context(), "plant", []hub.BulkItem{item})
		if err != nil {
			t.Fatal(err)
		}
		var got hubward.Code
		if len(failed) > 0 {
			got = hubward.CodeOf(failed[0].Err)
			if failed[0].Identity != (hubward.Identity{Device: "d", Module: "m"}) {
				t.Errorf("step %d: identity %s", i, failed[0].Identity)
			}
		}
		left := "-"
		if m, err := f.Module(t.Context(), "plant", "d", "m"); err == nil {
			left = string(m.ManagedBy)
		}
		if got != step.want || left != step.left {
			t.Errorf("step %d, %s: code %v, want %v; left %q, want %q", i, step.mode, got, step.want, left, step.left)
		}
	}
	failed, err := f.BulkDevices(t.Context(), "plant", []hub.BulkItem{
		{Device: hubward.Device{DeviceID: "d"}, ManagedBy: "me"}, {Device: hubward.Device{DeviceID: "none"}, ModuleID: "m"},
		{Device: hubward.Device{DeviceID: "e"}, ModuleID: "a b"},
	})
	if err != nil || len(failed) != 3 {
		t.Fatalf("%+v, %v", failed, err)
	}
	wantCode(t, "a device that is managed by somebody", failed[0].Err, hubward.CodeArgumentInvalid)
	wantCode(t, "a module of no device", failed[1].Err, hubward.CodeDeviceNotFound)
	wantCode(t, "an id that is none", failed[2].Err, hubward.CodeArgumentInvalid)
	after, err := f.Device(t.Context(), "plant", "d")
	if diff := cmp.Diff(before, after); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

// Two rows of one device are refused, of its modules too.
func TestBulkDevices_twoRowsOfADevice(t *testing.T) {
	f := newFixture(t)
	f.createDevice("d")
	for _, second := range []string{"", "n", "m"} {
		d := hubward.Device{DeviceID: "d"}
		_, err := f.BulkDevices(t.Context(), "plant", []hub.BulkItem{{Device: d, ModuleID: "m"}, {Device: d, ModuleID: second}})
		wantCode(t, "with "+second, err, hubward.CodeDeviceDefinedMultipleTimes)
	}
	if modules, err := f.Modules(t.Context(), "plant", "d"); err != nil || len(modules) != 0 {
		t.Errorf("%+v, %v", modules, err)
	}
}

// The row of a module brings its twin, and a mode changes that alone.
func TestBulkDevices_twinsOfModules(t *testing.T) {
	f := newFixture(t)
	f.createDevice("d")
	id := hubward.Identity{Device: "d", Module: "m"}
	for i, item := range []hub.BulkItem{
		{Tags: []byte(`{"floor":1}`), Desired: []byte(`{"x":1}`)},
		{Mode: hub.ModeUpdateTwin, Desired: []byte(`{"y":2}`)},
		{Mode: hub.ModeUpdateTwinIfMatchETag, TwinETag: "*", Tags: []byte(`{"floor":null}`)},
	} {
		item.Device.DeviceID, item.ModuleID = "d", "m"
		if failed, err := f.BulkDevices(t.Context(), "plant", []hub.BulkItem{item}); err != nil || len(failed) > 0 {
			t.Fatalf("%d: %+v, %v", i, failed, err)
		}
	}
	twin, err := f.Hub.Twin(t.Context(), f.of("plant"), id)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(twin.Tags); got != `{}` || hubward.SectionVersion(twin.Properties.Desired) != 2 || !strings.HasPrefix(string(twin.Properties.Desired), `{"x":1,"y":2,`) {
		t.Errorf("twin %s, %s", twin.Tags, twin.Properties.Desired)
	}
}
