package hub_test

import (
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

// The row of a module is not one of its device, whose keys it must not replace.
func TestBulkDevices_rowsOfModules(t *testing.T) {
	f := newFixture(t)
	before := f.createDevice("d")
	for _, mode := range []hub.ImportMode{"", "create", "update", "createOrUpdate", "delete", "updateTwin"} {
		item := hub.BulkItem{Device: hubward.Device{DeviceID: "d"}, ModuleID: "m", ManagedBy: "me", Mode: mode}
		failed, err := f.BulkDevices(t.Context(), "plant", []hub.BulkItem{item})
		if err != nil || len(failed) != 1 || failed[0].Identity != (hubward.Identity{Device: "d", Module: "m"}) {
			t.Fatalf("%s: %+v, %v", mode, failed, err)
		}
		wantCode(t, "mode "+string(mode), failed[0].Err, hubward.CodeInvalidOperation)
	}
	failed, err := f.BulkDevices(t.Context(), "plant", []hub.BulkItem{{Device: hubward.Device{DeviceID: "d"}, ManagedBy: "me"}})
	if err != nil || len(failed) != 1 {
		t.Fatalf("%+v, %v", failed, err)
	}
	wantCode(t, "a device that is managed by somebody", failed[0].Err, hubward.CodeArgumentInvalid)
	after, err := f.Device(t.Context(), "plant", "d")
	if diff := cmp.Diff(before, after); diff != "" || err != nil {
		t.Error(err, diff)
	}
}
