package hub_test

import (
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/sas"
)

// policyToken signs with a policy of plant.
func (f *fixture) policyToken(policy, resource string) string {
	f.t.Helper()
	policies, err := f.Policies("plant")
	if err != nil {
		f.t.Fatal(err)
	}
	for _, p := range policies {
		if p.Name == policy {
			token, err := sas.Sign(resource, p.PrimaryKey, policy, f.clock().Add(time.Hour))
			if err != nil {
				f.t.Fatal(err)
			}
			return token
		}
	}
	f.t.Fatalf("there is no policy %s", policy)
	return ""
}

// A module that is not registered gets in neither with its device's key nor with a policy's.
func TestConnect_unknownModule(t *testing.T) {
	f := newFixture(t)
	d := f.createDevice("d1")
	resource := "plant.example/devices/d1/modules/m1"
	own, err := sas.Sign(resource, string(d.Authentication.SymmetricKey.PrimaryKey), "", f.clock().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for what, token := range map[string]string{"the device's key": own, "a policy": f.policyToken("device", resource)} {
		_, err := f.logIn(t.Context(), logIn{
			Host: "plant.example", Identity: hubward.Identity{Device: "d1", Module: "m1"}, Token: token, Session: &session{},
		})
		wantCode(t, what, err, hubward.CodeModuleNotFound)
	}
}

// A connection is closed when its identity loses its right or its token ends, not when a policy's key is replaced.
func TestRegeneratePolicyKey_leavesConnections(t *testing.T) {
	f := newFixture(t)
	f.createDevice("d1")
	request := logIn{
		Host: "plant.example", Identity: hubward.Identity{Device: "d1"},
		Token: f.policyToken("device", "plant.example/devices/d1"), Session: &session{},
	}
	link, err := f.logIn(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.RegeneratePolicyKey(t.Context(), "plant", "device", true); err != nil {
		t.Fatal(err)
	}
	if reason := request.Session.(*session).closed(); reason != nil {
		t.Errorf("closed: %v", reason)
	}
	stored := make(chan error, 1)
	if err := link.Ingest(func(_ int, err error) { stored <- err }).Telemetry(t.Context(), &hubward.Message{}); err != nil {
		t.Fatal(err)
	}
	if err := <-stored; err != nil {
		t.Error(err)
	}
	request.Session = &session{}
	_, err = f.logIn(t.Context(), request)
	wantCode(t, "the old key", err, hubward.CodeUnauthorizedAccess)
}

// What the registry shows of a connection waits for nothing that is written behind.
func TestDevice_showsItsConnectionNow(t *testing.T) {
	f := newFixture(t)
	d := f.createDevice("d1")
	check := func(when string, want hubward.ConnectionState) {
		t.Helper()
		one, err := f.Device(t.Context(), "plant", "d1")
		if err != nil || one.ConnectionState != want {
			t.Errorf("%s: %+v, %v", when, one, err)
		}
		all, err := f.Devices(t.Context(), "plant", 0)
		if err != nil || len(all) != 1 || all[0].ConnectionState != want {
			t.Errorf("%s, in a list: %+v, %v", when, all, err)
		}
	}
	check("at first", hubward.Disconnected)
	link, _, err := f.connect(d)
	if err != nil {
		t.Fatal(err)
	}
	check("connected", hubward.Connected)
	link.Disconnect()
	check("gone", hubward.Disconnected)
}
