package hub_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
)

// nested has Edge devices top, below it low, and elsewhere; leaf-1 and leaf-2 below top, leaf-low below low, with a module each; and
// alone, below nobody.
func nested(t *testing.T) *fixture {
	f := newFixture(t)
	top := f.put(edge("top"), "")
	low := f.put(edge("low", top.DeviceScope), "")
	elsewhere := f.put(edge("elsewhere"), "")
	for leaf, parent := range map[string]string{
		"leaf-1": top.DeviceScope, "leaf-2": top.DeviceScope, "leaf-low": low.DeviceScope, "leaf-else": elsewhere.DeviceScope, "alone": "",
	} {
		f.put(hubward.Device{DeviceID: leaf, DeviceScope: parent}, "")
		f.createModule(hubward.Identity{Device: leaf, Module: "m"})
	}
	f.createModule(hubward.Identity{Device: "top", Module: "filter"})
	return f
}

func namesOf(page hub.ScopePage) string {
	var names []string
	for i := range page.Devices {
		names = append(names, page.Devices[i].DeviceID)
	}
	for i := range page.Modules {
		names = append(names, page.Modules[i].DeviceID+"/"+page.Modules[i].ModuleID)
	}
	return strings.Join(names, " ")
}

func TestDevicesInScope(t *testing.T) {
	f := nested(t)
	top, low := f.edgeHub("top"), f.edgeHub("low")
	const ofTop = "top leaf-1 leaf-2 low top/$edgeAgent top/$edgeHub top/filter leaf-1/m leaf-2/m"
	const ofLow = "low leaf-low low/$edgeAgent low/$edgeHub leaf-low/m"
	for _, test := range []struct {
		p            *access.Principal
		target, want string
	}{{top, "", ofTop}, {top, "top", ofTop}, {top, "low", ofLow}, {low, "", ofLow}} {
		page, err := f.DevicesInScope(t.Context(), test.p, hub.ScopeQuery{Target: test.target})
		if err != nil || namesOf(page) != test.want || page.Continuation != "" {
			t.Errorf("target %q: %s, %q, %v", test.target, namesOf(page), page.Continuation, err)
		}
		if key := page.Devices[0].Authentication.SymmetricKey.PrimaryKey; len(key) != 44 {
			t.Errorf("target %q: key %q", test.target, key)
		}
	}
	for target, p := range map[string]*access.Principal{"top": low, "elsewhere": top, "none": top, "a b": top, "leaf-1": top, "alone": top} {
		page, err := f.DevicesInScope(t.Context(), p, hub.ScopeQuery{Target: target})
		wantCode(t, "target "+target, err, hubward.CodeUnauthorizedAccess)
		if namesOf(page) != "" {
			t.Errorf("target %s: %s", target, namesOf(page))
		}
	}
}

func TestDevicesInScope_pages(t *testing.T) {
	f := nested(t)
	top := f.edgeHub("top")
	for size := 1; size <= 5; size++ {
		var devices []string
		q := hub.ScopeQuery{MaxDevices: size}
		for pages := 0; pages == 0 || q.Continuation != ""; pages++ {
			page, err := f.DevicesInScope(t.Context(), top, q)
			if err != nil || len(page.Devices) > size || len(page.Devices) == 0 {
				t.Fatalf("pages of %d: %s, %v", size, namesOf(page), err)
			}
			for i := range page.Devices {
				devices = append(devices, page.Devices[i].DeviceID)
			}
			q.Continuation = page.Continuation
		}
		if !slices.Equal(devices, []string{"top", "leaf-1", "leaf-2", "low"}) {
			t.Errorf("pages of %d: %q", size, devices)
		}
	}
	scope := f.mustDevice("elsewhere").DeviceScope
	var items []hub.BulkItem
	for i := range hub.MaxScopePage - 1 { // with the one that is there, and the Edge device itself, one too many
		items = append(items, hub.BulkItem{Device: hubward.Device{DeviceID: fmt.Sprintf("x%03d", i), DeviceScope: scope}})
	}
	if failed, err := f.BulkDevices(t.Context(), "plant", items); err != nil || len(failed) > 0 {
		t.Fatal(failed, err)
	}
	elsewhere := f.edgeHub("elsewhere")
	for _, size := range []int{0, hub.MaxScopePage + 1} {
		page, err := f.DevicesInScope(t.Context(), elsewhere, hub.ScopeQuery{MaxDevices: size})
		if err != nil || len(page.Devices) != hub.MaxScopePage || page.Continuation == "" {
			t.Errorf("a page of %d has %d devices, %v", size, len(page.Devices), err)
		}
	}
	_, err := f.DevicesInScope(t.Context(), top, hub.ScopeQuery{Continuation: "x"})
	wantCode(t, "a continuation that is none", err, hubward.CodeArgumentInvalid)
}

func (f *fixture) mustDevice(id string) *hubward.Device {
	f.t.Helper()
	d, err := f.Device(f.t.Context(), "plant", id)
	if err != nil {
		f.t.Fatal(err)
	}
	return d
}

func TestIdentityInScope(t *testing.T) {
	f := nested(t)
	top := f.edgeHub("top")
	for _, test := range []struct {
		id          hubward.Identity
		below, want string
	}{
		{hubward.Identity{Device: "leaf-1"}, "", "leaf-1"},
		{hubward.Identity{Device: "leaf-1", Module: "m"}, "", "leaf-1 leaf-1/m"},
		{hubward.Identity{Device: "top", Module: "filter"}, "top", "top top/filter"},
		{hubward.Identity{Device: "leaf-low", Module: "m"}, "", "leaf-low leaf-low/m"},
		{hubward.Identity{Device: "leaf-low"}, "low", "leaf-low"},
		{hubward.Identity{Device: "low", Module: "$edgeHub"}, "low", "low low/$edgeHub"},
	} {
		page, err := f.IdentityInScope(t.Context(), top, test.id, test.below)
		if err != nil || namesOf(page) != test.want {
			t.Errorf("%s below %q: %s, %v", test.id, test.below, namesOf(page), err)
		}
	}
	for _, test := range []struct {
		id    hubward.Identity
		below string
	}{
		{hubward.Identity{Device: "alone"}, ""}, {hubward.Identity{Device: "leaf-else"}, ""}, {hubward.Identity{Device: "none"}, ""},
		{hubward.Identity{Device: "leaf-1", Module: "none"}, ""}, {hubward.Identity{Device: "leaf-1", Module: "a b"}, ""}, {hubward.Identity{}, ""},
		{hubward.Identity{Device: "leaf-1"}, "low"}, {hubward.Identity{Device: "top"}, "low"},
		{hubward.Identity{Device: "leaf-else"}, "elsewhere"}, {hubward.Identity{Device: "leaf-low"}, "none"},
	} {
		page, err := f.IdentityInScope(t.Context(), top, test.id, test.below)
		wantCode(t, fmt.Sprintf("%s below %q", test.id, test.below), err, hubward.CodeUnauthorizedAccess)
		if namesOf(page) != "" {
			t.Errorf("%s below %q: %s", test.id, test.below, namesOf(page))
		}
	}
}

// Who is no Edge hub, or came in by a policy, learns of nobody.
func TestDevicesInScope_whoAsks(t *testing.T) {
	f := nested(t)
	top := f.edgeHub("top")
	device, err := f.Authenticate(t.Context(), access.Credential{Hub: "plant", Identity: hubward.Identity{Device: "top"}, Token: f.token(f.mustDevice("top"))})
	if err != nil {
		t.Fatal(err)
	}
	filter, err := f.Module(t.Context(), "plant", "top", "filter")
	if err != nil {
		t.Fatal(err)
	}
	module, err := f.Authenticate(t.Context(), access.Credential{Hub: "plant", Token: f.moduleToken(filter)})
	if err != nil {
		t.Fatal(err)
	}
	byPolicy, err := f.Authenticate(t.Context(), access.Credential{
		Hub: "plant", Identity: hubward.Identity{Device: "top", Module: "$edgeHub"}, Token: f.policyToken("device", "plant.example"),
	})
	if err != nil {
		t.Fatal(err)
	}
	for what, p := range map[string]*access.Principal{"the device": &device, "another module": &module, "a policy": &byPolicy} {
		_, err := f.DevicesInScope(t.Context(), p, hub.ScopeQuery{})
		wantCode(t, what, err, hubward.CodeUnauthorizedAccess)
	}
	d := f.mustDevice("top")
	d.Capabilities.IotEdge, d.DeviceScope = false, ""
	f.put(*d, "*")
	if _, err := f.DevicesInScope(t.Context(), top, hub.ScopeQuery{}); err == nil {
		t.Error("what was an Edge device has a scope")
	}
}

// A continuation has an id in it or nothing, and no other text reads as one.
func FuzzScopeContinuation(f *testing.F) {
	for _, seed := range []string{"", hub.NewScopeContinuation(""), hub.NewScopeContinuation("leaf-1"), hub.NewContinuation("leaf-1"), "c2NvcGU-YSBi", "%"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		after, next, err := hub.ParseScopeContinuation(text)
		if err != nil {
			return
		}
		if next != (text != "") || after != "" && hubward.ValidateID(after) != nil {
			t.Fatalf("%q is read as %q, %v", text, after, next)
		}
		if again, _, err := hub.ParseScopeContinuation(hub.NewScopeContinuation(after)); err != nil || again != after {
			t.Fatalf("%q comes back as %q, %v", after, again, err)
		}
	})
}
