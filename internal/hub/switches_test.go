package hub_test

import (
	"crypto/tls"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/sas"
)

var (
	inside  = access.Peer{Address: netip.MustParseAddr("2001:db8::1"), TLS: tls.VersionTLS13}
	outside = access.Peer{Address: netip.MustParseAddr("192.0.2.1"), TLS: tls.VersionTLS12}
)

func on() *bool { return new(true) }

// rules allow the address of inside.
func rules(events bool) hub.SwitchChange {
	return hub.SwitchChange{Network: &access.NetworkRules{Allow: []netip.Prefix{netip.MustParsePrefix("2001:db8::/32")}, Events: events}}
}

func (f *fixture) switchOn(name string, c hub.SwitchChange) {
	f.t.Helper()
	if _, err := f.UpdateHub(f.t.Context(), name, hub.HubChange{Switches: c}); err != nil {
		f.t.Fatal(err)
	}
}

// A switch ends the connections that it is about, on each node, keeps them from coming back, and says why; and it leaves the
// others. Turned off again, it lets them in.
func TestSwitches_connections(t *testing.T) {
	tls13 := uint16(tls.VersionTLS13)
	for name, tt := range map[string]struct {
		on     hub.SwitchChange
		ends   string // of whom
		reason access.Reason
	}{
		"devices":    {hub.SwitchChange{DisableDeviceSAS: on()}, "device", access.ReasonSwitchedOff},
		"modules":    {hub.SwitchChange{DisableModuleSAS: on()}, "module", access.ReasonSwitchedOff},
		"policies":   {hub.SwitchChange{DisableLocalAuth: on()}, "policy", access.ReasonSwitchedOff},
		"TLS":        {hub.SwitchChange{MinTLS: &tls13}, "outside", access.ReasonTLS},
		"addresses":  {rules(false), "outside", access.ReasonAddress},
		"and events": {rules(true), "outside", access.ReasonAddress},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			d1, d2, d3 := f.createDevice("d1"), f.createDevice("d2"), f.createDevice("d3")
			m := f.createModule(hubward.Identity{Device: "d1", Module: "m"})
			ca := f.makeAuthority("ca")
			f.register("ca", ca)
			f.createCertified("x1")
			policy := f.policyToken("device", "plant.example")
			who := map[string]access.Credential{
				"device":      {Identity: hubward.Identity{Device: d1.DeviceID}, Token: f.token(d1), Peer: inside},
				"outside":     {Identity: hubward.Identity{Device: d2.DeviceID}, Token: f.token(d2), Peer: outside},
				"module":      {Identity: hubward.Identity{Device: "d1", Module: "m"}, Token: f.token(&m.Device), Peer: inside},
				"policy":      {Identity: hubward.Identity{Device: d3.DeviceID}, Token: policy, Peer: inside},
				"certificate": {Identity: hubward.Identity{Device: "x1"}, Certificates: f.issue(ca, "x1", time.Hour), Peer: inside},
			}
			connect := func(node api, c access.Credential) (*session, error) {
				c.Hub = "plant"
				p, err := node.Authenticate(t.Context(), c)
				if err != nil {
					return nil, err
				}
				s := &session{}
				_, err = node.Connect(t.Context(), &p, hub.ConnectRequest{Identity: c.Identity, Session: s})
				return s, err
			}
			sessions := make(map[string]*session)
			for i, name := range []string{"device", "outside", "module", "policy", "certificate"} {
				var err error
				if sessions[name], err = connect(f.nodes[i%len(f.nodes)], who[name]); err != nil {
					t.Fatal(name, err)
				}
			}
			ends := func(name string) bool {
				// who comes from outside is a device, too
				return name == tt.ends || name == "outside" && tt.ends == "device"
			}
			f.switchOn("plant", tt.on)
			for name, s := range sessions {
				f.awaitClosed(s, ends(name))
			}
			for name, c := range who {
				for _, node := range f.nodes {
					_, err := connect(node, c)
					if ends(name) && (hubward.CodeOf(err) != hubward.CodeUnauthorizedAccess || access.ReasonOf(err) != tt.reason) || !ends(name) && err != nil {
						t.Errorf("%s comes back: %v, because of %s", name, err, access.ReasonOf(err))
					}
				}
			}
			off, none := false, uint16(0)
			f.switchOn("plant", hub.SwitchChange{
				DisableLocalAuth: &off, DisableDeviceSAS: &off, DisableModuleSAS: &off, MinTLS: &none, Network: &access.NetworkRules{},
			})
			for name, c := range who {
				if _, err := connect(f.nodes[0], c); err != nil {
					t.Errorf("%s is let in again: %v", name, err)
				}
			}
		})
	}
}

// The operator manages the first hub whatever its switches say, and does nothing else with that. Of other hubs nobody is spared.
func TestSwitches_management(t *testing.T) {
	f := newFixture(t)
	f.createHub("second", "second.example")
	tls13 := uint16(tls.VersionTLS13)
	all := rules(true)
	all.DisableLocalAuth, all.MinTLS = on(), &tls13
	f.switchOn("plant", all)
	f.switchOn("second", all)
	token := f.policyToken("iothubowner", "plant.example")
	_, err := f.Authenticate(t.Context(), access.Credential{Token: token, Peer: outside})
	wantCode(t, "a back end", err, hubward.CodeUnauthorizedAccess)
	p, err := f.Authenticate(t.Context(), access.Credential{Token: token, Peer: outside, Door: access.DoorManagement})
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Hub.Device(t.Context(), &p, "d1")
	wantCode(t, "the registry by the door of management", err, hubward.CodeUnauthorizedAccess)
	if _, err := f.Hub.Policies(&p, "second"); err != nil {
		t.Error(err)
	}
	c, err := f.HubOf("second")
	if err != nil {
		t.Fatal(err)
	}
	owner, err := sas.Sign("second.example", c.Policies[0].PrimaryKey, c.Policies[0].Name, f.clock().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Authenticate(t.Context(), access.Credential{Token: owner, Peer: inside, Door: access.DoorManagement})
	wantCode(t, "the owner of another hub", err, hubward.CodeUnauthorizedAccess)

	weak := f.policyToken("registryRead", "plant.example")
	q, err := f.Authenticate(t.Context(), access.Credential{Token: weak, Peer: outside, Door: access.DoorManagement})
	if err == nil {
		_, err = f.Hub.Hubs(&q)
	}
	wantCode(t, "who may not manage", err, hubward.CodeUnauthorizedAccess)
	off := false
	if _, err := f.Hub.UpdateHub(t.Context(), &p, "plant", hub.HubChange{Switches: hub.SwitchChange{DisableLocalAuth: &off, Network: &access.NetworkRules{}}}); err != nil {
		t.Error(err)
	}
}

// A policy's token that is remembered is good for the peer that shows it, and for what that peer comes for.
func TestSwitches_knownToken(t *testing.T) {
	f := newFixture(t)
	f.createDevice("d1")
	f.switchOn("plant", rules(false))
	owner := f.policyToken("iothubowner", "plant.example")
	logIn := func(peer access.Peer, door access.Door) (access.Principal, error) {
		return f.Authenticate(t.Context(), access.Credential{Hub: "plant", Token: owner, Peer: peer, Door: door})
	}
	for range 2 { // the second time it is known
		p, err := logIn(inside, access.DoorHub)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Hub.Device(t.Context(), &p, "d1"); err != nil {
			t.Error(err)
		}
		_, err = logIn(outside, access.DoorHub)
		if got := access.ReasonOf(err); got != access.ReasonAddress {
			t.Errorf("%v", err)
		}
		p, err = logIn(outside, access.DoorEvents)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.EventHub(&p); err != nil {
			t.Errorf("the events: %v", err)
		}
		_, err = f.Hub.Device(t.Context(), &p, "d1")
		wantCode(t, "the registry", err, hubward.CodeUnauthorizedAccess)
	}
	// What does not read events has nothing to come for.
	_, err := f.Authenticate(t.Context(), access.Credential{
		Hub: "plant", Token: f.policyToken("device", "plant.example"), Peer: outside, Door: access.DoorEvents,
	})
	if got := access.ReasonOf(err); got != access.ReasonAddress {
		t.Errorf("a policy that reads no events: %v", err)
	}
	f.switchOn("plant", rules(true))
	_, err = logIn(outside, access.DoorEvents)
	wantCode(t, "the events, with rules", err, hubward.CodeUnauthorizedAccess)
}

func TestSwitches_badInput(t *testing.T) {
	f := newFixture(t)
	good := rules(true)
	f.switchOn("plant", good)
	tls11 := uint16(tls.VersionTLS11)
	for field, change := range map[string]hub.SwitchChange{
		"minTlsVersion":           {MinTLS: &tls11},
		"networkRuleSets.ipRules": {Network: &access.NetworkRules{Allow: make([]netip.Prefix, access.MaxNetworkRules+1)}},
		"ipRules[0].ipMask":       {Network: &access.NetworkRules{Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/8")}}},
	} {
		_, err := f.UpdateHub(t.Context(), "plant", hub.HubChange{Switches: change})
		if hubward.CodeOf(err) != hubward.CodeArgumentInvalid || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
		var switches access.Switches
		change.Apply(&switches)
		_, err = f.CreateHub(t.Context(), hub.NewHub{Name: "other", Switches: switches})
		if hubward.CodeOf(err) != hubward.CodeArgumentInvalid || !strings.Contains(err.Error(), field) {
			t.Errorf("a new hub: %s: %v", field, err)
		}
	}
	for _, node := range f.nodes {
		c, err := node.HubOf("plant")
		if err != nil || cmp.Diff(*good.Network, c.Switches.Network, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })) != "" {
			t.Errorf("%+v, %v", c.Switches, err)
		}
	}
}
