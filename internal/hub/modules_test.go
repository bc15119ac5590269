package hub_test

import (
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/sas"
)

// createModule registers a module, or gives keys to one that has come with its device.
func (f *fixture) createModule(id hubward.Identity) *hub.Registration {
	f.t.Helper()
	ifMatch := ""
	if id.Module[0] == '$' {
		ifMatch = "*"
	}
	if _, err := f.PutModule(f.t.Context(), "plant", hubward.Module{DeviceID: id.Device, ModuleID: id.Module, Authentication: withKeys()}, ifMatch); err != nil {
		f.t.Fatal(err)
	}
	r, err := f.store.Identity(f.t.Context(), "plant", id)
	if err != nil {
		f.t.Fatal(err)
	}
	return r
}

// moduleToken is one that a module signs with its key.
func (f *fixture) moduleToken(m *hubward.Module) string {
	f.t.Helper()
	token, err := sas.Sign("plant.example/devices/"+m.DeviceID+"/modules/"+m.ModuleID, string(m.Authentication.SymmetricKey.PrimaryKey), "", f.clock().Add(time.Hour))
	if err != nil {
		f.t.Fatal(err)
	}
	return token
}

// edgeHub is the principal of an Edge device's hub, which gets keys.
func (f *fixture) edgeHub(device string) *access.Principal {
	f.t.Helper()
	m, err := f.PutModule(f.t.Context(), "plant", hubward.Module{DeviceID: device, ModuleID: "$edgeHub"}, "*")
	if err != nil {
		f.t.Fatal(err)
	}
	p, err := f.Authenticate(f.t.Context(), access.Credential{Hub: "plant", Token: f.moduleToken(m)})
	if err != nil {
		f.t.Fatal(err)
	}
	return &p
}

func (f *fixture) connectModule(r *hub.Registration) (*hub.Link, *session, error) {
	f.t.Helper()
	id := r.Identity()
	token, err := sas.Sign("plant.example/devices/"+id.Device+"/modules/"+id.Module, string(r.Authentication.SymmetricKey.PrimaryKey), "", f.clock().Add(time.Hour))
	if err != nil {
		f.t.Fatal(err)
	}
	s := &session{}
	l, err := f.other().logIn(f.t.Context(), logIn{Host: "plant.example", Identity: id, Token: token, Session: s})
	return l, s, err
}

// A module is one more identity: it connects beside its device, sends, keeps a session, and is taken over by itself alone.
func TestModule_isAnIdentity(t *testing.T) {
	f := newFixture(t)
	d := f.createDevice("d1")
	m1 := f.createModule(hubward.Identity{Device: "d1", Module: "m1"})
	m2 := f.createModule(hubward.Identity{Device: "d1", Module: "m2"})
	device, deviceSession, err := f.connect(d)
	if err != nil {
		t.Fatal(err)
	}
	first, firstSession, err := f.connectModule(m1)
	if err != nil {
		t.Fatal(err)
	}
	_, otherSession, err := f.connectModule(m2)
	if err != nil {
		t.Fatal(err)
	}
	p := first.Principal
	if p.Scope != access.ScopeModule || p.Generation != m1.GenerationID || p.Identity.String() != "d1/m1" {
		t.Errorf("principal %+v", p)
	}
	if err := first.SaveSession(t.Context(), []byte("state")); err != nil {
		t.Fatal(err)
	}
	again, _, err := f.connectModule(m1)
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, "the module's first connection", firstSession.closed(), hubward.CodeConnectionClosedOnNewOne)
	if deviceSession.closed() != nil || otherSession.closed() != nil {
		t.Error("a module takes over from somebody else")
	}
	if state, present, err := again.LoadSession(t.Context(), false); string(state) != "state" || !present || err != nil {
		t.Errorf("session %q, %v, %v", state, present, err)
	}
	if _, present, err := device.LoadSession(t.Context(), false); present || err != nil {
		t.Errorf("the device has its module's session: %v", err)
	}
	stored := make(chan error, 1)
	if err := again.Ingest(func(_ int, err error) { stored <- err }).Telemetry(t.Context(), &hubward.Message{}); err != nil {
		t.Fatal(err)
	}
	if err := <-stored; err != nil {
		t.Error(err)
	}
	if n, err := f.ServiceStatistics(t.Context(), "plant"); err != nil || n.ConnectedDeviceCount != 1 {
		t.Errorf("connected devices: %+v, %v", n, err)
	}
}

// What ends a device ends its modules; what ends a device's key does not.
func TestModule_goesWithItsDevice(t *testing.T) {
	for what, c := range map[string]struct {
		change func(f *fixture, d *hubward.Device) error
		device hubward.Code
		module hubward.Code // 0: it stays
	}{
		"deleted": {func(f *fixture, d *hubward.Device) error {
			return f.DeleteDevice(f.t.Context(), "plant", d.DeviceID, "*")
		}, hubward.CodeDeviceNotFound, hubward.CodeDeviceNotFound},
		"disabled": {func(f *fixture, d *hubward.Device) error {
			f.disable(d)
			return nil
		}, hubward.CodeUnauthorizedAccess, hubward.CodeUnauthorizedAccess},
		"given other keys": {func(f *fixture, d *hubward.Device) error {
			_, err := f.RegenerateDeviceKeys(f.t.Context(), "plant", []string{d.DeviceID}, true, true)
			return err
		}, hubward.CodeUnauthorizedAccess, 0},
	} {
		t.Run(what, func(t *testing.T) {
			f := newFixture(t)
			d := f.createDevice("d1")
			m := f.createModule(hubward.Identity{Device: "d1", Module: "m1"})
			_, device, err := f.connect(d)
			if err != nil {
				t.Fatal(err)
			}
			_, module, err := f.connectModule(m)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.change(f, d); err != nil {
				t.Fatal(err)
			}
			wantCode(t, "the device", device.closed(), c.device)
			if c.module == 0 {
				if reason := module.closed(); reason != nil {
					t.Errorf("the module: %v", reason)
				}
				return
			}
			wantCode(t, "the module", module.closed(), c.module)
			if _, _, err := f.connectModule(m); err == nil {
				t.Error("the module connects again")
			}
		})
	}
}
