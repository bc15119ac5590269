package hub_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/sas"
)

func (f *fixture) principal(token string) access.Principal {
	f.t.Helper()
	g, err := f.Authenticate(f.t.Context(), access.Credential{Hub: "plant", Token: token})
	if err != nil {
		f.t.Fatal(err)
	}
	return g
}

func (f *fixture) own(d *hubward.Device) access.Principal {
	f.t.Helper()
	token, err := sas.Sign("plant.example/devices/"+d.DeviceID, string(d.Authentication.SymmetricKey.PrimaryKey), "", f.clock().Add(time.Hour))
	if err != nil {
		f.t.Fatal(err)
	}
	return f.principal(token)
}

func (f *fixture) connectAs(p access.Principal, id hubward.Identity, s hub.Session) (*hub.Link, error) {
	return f.other().Connect(f.t.Context(), &p, hub.ConnectRequest{Identity: id, ModelID: "dtmi:x;1", Session: s})
}

func TestConnect_asPrincipal(t *testing.T) {
	f := newFixture(t)
	d := f.createDevice("d1")
	id := hubward.Identity{Device: "d1"}
	first := &session{}
	link, err := f.connectAs(f.own(d), id, first)
	if err != nil {
		t.Fatal(err)
	}
	p := link.Principal
	if p.Identity != id || p.Hub.Name != "plant" || p.Scope != access.ScopeDevice || p.Generation != d.GenerationID || link.ModelID != "dtmi:x;1" {
		t.Errorf("%+v", p)
	}
	link, err = f.connectAs(f.principal(f.policyToken("device", "plant.example")), id, &session{})
	if err != nil {
		t.Fatal(err)
	}
	defer link.Disconnect()
	p = link.Principal
	if p.Identity != id || p.Scope != access.ScopeHub || p.Policy != "device" || p.Permissions != access.DeviceConnect || p.Generation != d.GenerationID {
		t.Errorf("%+v", p)
	}
	wantCode(t, "the first link", first.closed(), hubward.CodeConnectionClosedOnNewOne)
}

func TestConnect_modelID(t *testing.T) {
	f := newFixture(t)
	d := f.createDevice("d1")
	for _, r := range []struct {
		model string
		ok    bool
	}{
		{strings.Repeat("ü", 2047), true},
		{strings.Repeat("ü", 2048), true},
		{strings.Repeat("ü", 2049), false},
		{strings.Repeat("x", 60_000), false},
		{"dtmi:\xff", false},
	} {
		p := f.own(d)
		_, err := f.other().Connect(t.Context(), &p, hub.ConnectRequest{Identity: hubward.Identity{Device: "d1"}, ModelID: r.model, Session: &session{}})
		if r.ok && err != nil || !r.ok && hubward.CodeOf(err) != hubward.CodeArgumentInvalid {
			t.Errorf("a model id of %d bytes: %v", len(r.model), err)
		}
	}
}

// What a principal was let in on may have changed since.
func TestConnect_asPrincipal_refusals(t *testing.T) {
	f := newFixture(t)
	policy, service := f.principal(f.policyToken("device", "plant.example")), f.principal(f.policyToken("service", "plant.example"))
	d1, d2 := f.createDevice("d1"), f.createDevice("d2")
	own := f.own(d1)
	try := func(what string, g access.Principal, id hubward.Identity, want hubward.Code) {
		t.Helper()
		_, err := f.connectAs(g, id, &session{})
		wantCode(t, what, err, want)
	}
	id := hubward.Identity{Device: "d1"}
	try("another device's principal", own, hubward.Identity{Device: d2.DeviceID}, hubward.CodeUnauthorizedAccess)
	try("the zero principal", access.Principal{}, id, hubward.CodeNoSuchHub)
	try("a service's principal", service, id, hubward.CodeUnauthorizedAccess)
	try("an unknown device", policy, hubward.Identity{Device: "none"}, hubward.CodeDeviceNotFound)
	try("a module", policy, hubward.Identity{Device: "d1", Module: "m"}, hubward.CodeModuleNotFound)

	changed := *d1
	changed.Authentication = &hubward.Authentication{Type: hubward.AuthSAS}
	changed.Authentication.SymmetricKey = hubward.SymmetricKey{PrimaryKey: "AAAAAAAAAAAAAAAAAAAAAA==", SecondaryKey: "AAAAAAAAAAAAAAAAAAAAAA=="}
	again, err := f.PutDevice(t.Context(), "plant", changed, "*")
	if err != nil {
		t.Fatal(err)
	}
	try("an old key", own, id, hubward.CodeUnauthorizedAccess)
	own = f.own(again)
	if err := f.DeleteDevice(t.Context(), "plant", "d1", "*"); err != nil {
		t.Fatal(err)
	}
	f.advance(time.Second)
	if again, err = f.PutDevice(t.Context(), "plant", changed, ""); err != nil {
		t.Fatal(err)
	}
	try("an earlier device of the name", own, id, hubward.CodeUnauthorizedAccess)
	off := *again
	off.Status = hubward.StatusDisabled
	if _, err := f.PutDevice(t.Context(), "plant", off, "*"); err != nil {
		t.Fatal(err)
	}
	try("a disabled device", policy, id, hubward.CodeUnauthorizedAccess)
}
