package hub_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/sas"
)

// An absolute name and a relative one are the same host, and so are a hub's endpoints, in a token as elsewhere.
func TestAuthenticate_spellingsOfTheHost(t *testing.T) {
	f := newFixture(t)
	d := f.createDevice("d1")
	for _, host := range []string{
		"plant.example.", "PLANT.example.:8883", "plant.device.example", "Plant.Service.example.", "plant.device.localhost:443", "plant.service.localhost",
	} {
		token, err := sas.Sign(host+"/devices/d1", string(d.Authentication.SymmetricKey.PrimaryKey), "", f.clock().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"plant", ""} {
			p, err := f.Authenticate(t.Context(), access.Credential{Hub: name, Token: token, Identity: hubward.Identity{Device: "d1"}})
			if err != nil || p.Hub.Name != "plant" {
				t.Errorf("%s at %q: %v, %v", host, name, p.Hub, err)
			}
		}
	}
}

func (f *fixture) hostNames(name string) []string {
	f.t.Helper()
	names, err := f.Hub.HostNames(access.Process(access.HubRef{}), name)
	if err != nil {
		f.t.Fatal(err)
	}
	return names
}

func TestHostNames(t *testing.T) {
	f := newFixture(t)
	f.advance(time.Second)
	f.createHub("Second", "two.example.com", "10.1.2.3", "plain")
	for name, want := range map[string][]string{
		"plant": {
			"plant.example", "plant.localhost", "localhost", "127.0.0.1", "::1",
			"plant.device.example", "plant.service.example", "plant.device.localhost", "plant.service.localhost",
		},
		"Second": {
			"two.example.com", "10.1.2.3", "plain", "second.localhost",
			"two.device.example.com", "two.service.example.com", "second.device.localhost", "second.service.localhost",
		},
	} {
		got := f.hostNames(name)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		for _, host := range got {
			if ref, err := f.HubFor(host); err != nil || ref.Name != name {
				t.Errorf("%s leads to %s, %v", host, ref.Name, err)
			}
		}
	}
	_, err := f.Hub.HostNames(access.Process(access.HubRef{}), "none")
	wantCode(t, "an unknown hub", err, hubward.CodeNoSuchHub)
}

// A name that is given to a hub is no endpoint of another one: neither when it was given first, nor later.
func TestHostNames_givenWinOverEndpoints(t *testing.T) {
	f := newFixture(t)
	f.advance(time.Second)
	f.createHub("a", "x.device.example")
	f.createHub("b", "x.example", "a.service.localhost.example")
	want := []string{"x.example", "a.service.localhost.example", "b.localhost", "x.service.example", "b.device.localhost", "b.service.localhost"}
	if diff := cmp.Diff(want, f.hostNames("b")); diff != "" {
		t.Error(diff)
	}
	if ref, err := f.HubFor("x.device.example"); err != nil || ref.Name != "a" {
		t.Errorf("x.device.example leads to %s, %v", ref.Name, err)
	}
	_, err := f.CreateHub(t.Context(), hub.NewHub{Name: "c", HostNames: []string{"x.service.example"}})
	wantCode(t, "the endpoint of another hub", err, hubward.CodeArgumentInvalid)

	if _, err := f.UpdateHub(t.Context(), "b", hub.HubChange{HostNames: []string{"x.example", "x.service.example"}}); err != nil {
		t.Errorf("its own endpoint: %v", err)
	}
	if err := f.DeleteHub(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if ref, err := f.HubFor("x.device.example"); err != nil || ref.Name != "b" {
		t.Errorf("without the hub that it was given to, x.device.example leads to %s, %v", ref.Name, err)
	}
}
