package service_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/testhub"
	"github.com/hubward/hubward/service"
)

func TestModules_againstAHub(t *testing.T) {
	ctx := t.Context()
	h := testhub.Start(t)
	h.CreateDevice("d#1")
	c := newHubClient(t, h, "registryReadWrite")
	made, err := c.CreateModule(ctx, hubward.Module{DeviceID: "d#1", ModuleID: "m%1?", ManagedBy: "me"})
	if err != nil || made.ManagedBy != "me" || made.Authentication.SymmetricKey.PrimaryKey == "" {
		t.Fatalf("%+v, %v", made, err)
	}
	if _, err := c.CreateModule(ctx, *made); hubward.CodeOf(err) != hubward.CodeModuleAlreadyExistsOnDevice {
		t.Errorf("error %v", err)
	}
	got, err := c.Module(ctx, "d#1", "m%1?")
	if err != nil || cmp.Diff(made, got) != "" {
		t.Errorf("%v: %s", err, cmp.Diff(made, got))
	}
	got.ManagedBy = ""
	updated, err := c.UpdateModule(ctx, *got)
	if err != nil || updated.ManagedBy != "" || updated.Authentication.SymmetricKey != made.Authentication.SymmetricKey {
		t.Fatalf("%+v, %v", updated, err)
	}
	if _, err := c.UpdateModule(ctx, *made); hubward.CodeOf(err) != hubward.CodePreconditionFailed {
		t.Errorf("a stale etag: %v", err)
	}
	if _, err := c.UpdateModule(ctx, hubward.Module{DeviceID: "d#1", ModuleID: "m%1?"}); hubward.CodeOf(err) != hubward.CodeArgumentInvalid {
		t.Errorf("no etag: %v", err)
	}
	id := hubward.Identity{Device: "d#1", Module: "m%1?"}
	rotated, failed, err := c.RegenerateKeys(ctx, service.PrimaryKey, id, hubward.Identity{Device: "d#1", Module: "none"})
	if err != nil || len(rotated) != 1 || rotated[0].ModuleID != id.Module || len(failed) != 1 || hubward.CodeOf(failed[0].Err()) != hubward.CodeModuleNotFound {
		t.Errorf("%+v, %+v, %v", rotated, failed, err)
	}
	result, err := c.BulkDevices(ctx, []service.BulkItem{{Device: hubward.Device{DeviceID: "d#1"}, ModuleID: "n", Mode: service.Create}})
	if err != nil || !result.IsSuccessful {
		t.Errorf("%+v, %v", result, err)
	}
	if list, err := c.Modules(ctx, "d#1"); err != nil || len(list) != 2 || list[0].ModuleID != id.Module {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := c.Modules(ctx, "none"); hubward.CodeOf(err) != hubward.CodeDeviceNotFound {
		t.Errorf("error %v", err)
	}
	if err := c.DeleteModule(ctx, "d#1", id.Module, ""); hubward.CodeOf(err) != hubward.CodePreconditionFailed {
		t.Errorf("error %v", err)
	}
	if err := c.DeleteModule(ctx, "d#1", id.Module, service.AnyETag); err != nil {
		t.Error(err)
	}
	if _, err := c.Module(ctx, "d#1", id.Module); hubward.CodeOf(err) != hubward.CodeModuleNotFound {
		t.Errorf("error %v", err)
	}
}

// More modules than one call lists come in pages, in order.
func TestAllModules_againstAHub(t *testing.T) {
	h := testhub.Start(t)
	c := newHubClient(t, h, "registryReadWrite")
	const devices, each = 21, hubward.MaxModules
	for j := range each + 1 {
		var items []service.BulkItem
		for i := range devices {
			item := service.BulkItem{Device: hubward.Device{DeviceID: fmt.Sprintf("d%02d", i)}}
			if j > 0 {
				item.ModuleID = fmt.Sprintf("m%02d", j)
			}
			items = append(items, item)
		}
		if result, err := c.BulkDevices(t.Context(), items); err != nil || !result.IsSuccessful {
			t.Fatal(result, err)
		}
	}
	n := 0
	for m, err := range c.AllModules(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("d%02d/m%02d", n/each, n%each+1); m.DeviceID+"/"+m.ModuleID != want {
			t.Fatalf("module %d is %s/%s, want %s", n, m.DeviceID, m.ModuleID, want)
		}
		n++
	}
	if n != devices*each {
		t.Errorf("%d modules", n)
	}
}

// A hub that gives a page again is not asked for ever.
func TestAllModules_noProgress(t *testing.T) {
	f := newFakeHub(t, func(w http.ResponseWriter, r *http.Request) {
		page := []byte("[")
		for i := range 1000 {
			page = fmt.Appendf(page, `{"deviceId":"d%03d","moduleId":"m"},`, i)
		}
		answer(w, 200, string(page[:len(page)-1])+"]")
	})
	var last error
	n := 0
	for _, err := range f.client(t, nil).AllModules(t.Context()) {
		n++
		last = err
	}
	if last == nil || n != 1001 {
		t.Errorf("%d modules, then %v", n, last)
	}
}
