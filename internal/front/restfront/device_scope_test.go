package restfront_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
)

// edgeHub registers an Edge device below another, none when it is nil, and returns it with the token of its Edge hub.
func (f *fixture) edgeHub(id string, parent *hubward.Device) (*hubward.Device, string) {
	f.t.Helper()
	d := hubward.Device{DeviceID: id, Capabilities: hubward.Capabilities{IotEdge: true}}
	if parent != nil {
		d.ParentScopes = []string{parent.DeviceScope}
	}
	stored, err := f.hub.PutDevice(f.t.Context(), f.process, d, "")
	if err != nil {
		f.t.Fatal(err)
	}
	m, err := f.hub.PutModule(f.t.Context(), f.process, hubward.Module{DeviceID: id, ModuleID: "$edgeHub"}, "*")
	if err != nil {
		f.t.Fatal(err)
	}
	return stored, f.moduleToken(m)
}

func (f *fixture) leaf(id string, parent *hubward.Device) {
	f.t.Helper()
	if _, err := f.hub.PutDevice(f.t.Context(), f.process, hubward.Device{DeviceID: id, DeviceScope: parent.DeviceScope}, ""); err != nil {
		f.t.Fatal(err)
	}
	f.createModule(hubward.Identity{Device: id, Module: "m"})
}

type scope struct {
	Devices          []hubward.Device
	Modules          []hubward.Module
	ContinuationLink *string
}

// wantScope checks who is in an answer.
func (r response) wantScope(t *testing.T, want string) scope {
	t.Helper()
	s := decode[scope](t, r.wantStatus(t, 200))
	var names []string
	for _, d := range s.Devices {
		names = append(names, d.DeviceID)
	}
	for _, m := range s.Modules {
		names = append(names, m.DeviceID+"/"+m.ModuleID)
	}
	if diff := cmp.Diff(want, strings.Join(names, " ")); diff != "" {
		t.Errorf("%s: %s", r.Request.URL, diff)
	}
	return s
}

// The calls of an Edge hub that knows of no nested devices, as DeviceScopeApiClient.cs of Azure/iotedge spells them.
func TestDeviceScope_calls(t *testing.T) {
	f := newFixture(t)
	top, token := f.edgeHub("top", nil)
	f.leaf("leaf", top)
	f.create("alone")
	const preview = "&api-version=2018-08-30-preview"
	get := func(path string) response { return f.do(ask{path: path, token: token}) }
	first := get("/devices/top/modules/$edgeHub/devicesAndModulesInDeviceScope?deviceCount=1&continuationToken="+preview).wantScope(t, "top top/$edgeAgent top/$edgeHub")
	if first.ContinuationLink == nil || !strings.HasPrefix(*first.ContinuationLink, "/devices/top/modules/$edgeHub/devicesAndModulesInDeviceScope?") {
		t.Fatalf("link %v", first.ContinuationLink)
	}
	if next := get(*first.ContinuationLink).wantScope(t, "leaf leaf/m"); next.ContinuationLink != nil {
		t.Errorf("link %s", *next.ContinuationLink)
	}
	one := "/devices/top/modules/%24edgeHub/deviceAndModuleInDeviceScope?targetDeviceId="
	r := get(one + "leaf&targetModuleId=" + preview)
	r.wantScope(t, "leaf")
	if !strings.Contains(r.body, `"modules":[],"continuationLink":null}`) || !strings.Contains(r.body, `"primaryKey":"`) {
		t.Errorf("body %s", r.body)
	}
	get(one+"leaf&targetModuleId=m"+preview).wantScope(t, "leaf leaf/m")
	for _, target := range []string{"alone", "none", "", "a%20b"} {
		get(one+target+"&targetModuleId="+preview).wantError(t, hubward.CodeUnauthorizedAccess, "")
	}
	get("/devices/top/modules/$edgeHub/devicesAndModulesInDeviceScope?deviceCount=x"+preview).wantError(t, hubward.CodeArgumentInvalid, "deviceCount")
	f.do(ask{path: one + "leaf" + preview}).wantError(t, hubward.CodeUnauthorizedAccess, "") // a policy's token
}

// The calls of one that does, as NestedDeviceScopeApiClient.cs spells them.
func TestDeviceScope_nestedCalls(t *testing.T) {
	f := newFixture(t)
	top, token := f.edgeHub("top", nil)
	low, lowToken := f.edgeHub("low", top)
	f.leaf("leaf", low)
	const preview = "?api-version=2020-06-30-preview"
	post := func(call, body, token string) response {
		return f.do(ask{method: "POST", path: "/devices/top/modules/$edgeHub/" + call + preview, body: body, token: token})
	}
	const scopeCall, one = "devicesAndModulesInTargetDeviceScope", "getDeviceAndModuleOnBehalfOf"
	post(scopeCall, `{"pageSize":10,"authChain":"top"}`, token).wantScope(t, "top low top/$edgeAgent top/$edgeHub")
	first := post(scopeCall, `{"pageSize":1,"authChain":"low;top"}`, token).wantScope(t, "low low/$edgeAgent low/$edgeHub")
	if first.ContinuationLink == nil {
		t.Fatal("there is no link to the leaf")
	}
	post(scopeCall, `{"pageSize":1,"continuationLink":"`+*first.ContinuationLink+`","authChain":"low;top"}`, token).wantScope(t, "leaf leaf/m")
	post(one, `{"targetDeviceId":"leaf","authChain":"low;top"}`, token).wantScope(t, "leaf")
	post(one, `{"targetDeviceId":"leaf","targetModuleId":"m","authChain":"low;top"}`, token).wantScope(t, "leaf leaf/m")
	post(one, `{"targetDeviceId":"top","authChain":"low;top"}`, token).wantError(t, hubward.CodeUnauthorizedAccess, "")
	post(scopeCall, `{"authChain":"low;top"}`, lowToken).wantError(t, hubward.CodeUnauthorizedAccess, "") // the path names another one
	for _, body := range []string{`{"pageSize":1}`, `{"authChain":""}`, `{"authChain":";;"}`, `{"authChain":5}`, `[]`} {
		post(scopeCall, body, token).wantError(t, hubward.CodeArgumentInvalid, "")
	}
	post(scopeCall, `{"authChain":"top","continuationLink":"x"}`, token).wantError(t, hubward.CodeArgumentInvalid, "continuation")
}
