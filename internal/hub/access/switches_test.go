package access_test

import (
	"crypto/tls"
	"net/netip"
	"strings"
	"testing"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/sas"
)

func prefixes(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

func TestAdmission_admit(t *testing.T) {
	from := func(address string, version uint16) access.Peer {
		return access.Peer{Address: netip.MustParseAddr(address), TLS: version}
	}
	allow := func(events bool, texts ...string) access.Switches {
		return access.Switches{Network: access.NetworkRules{Allow: prefixes(texts...), Events: events}}
	}
	const old, latest = tls.VersionTLS12, tls.VersionTLS13
	for name, tt := range map[string]struct {
		switches access.Switches
		peer     access.Peer
		door     access.Door
		want     access.Reason // empty: admitted
	}{
		"no rule":                       {access.Switches{}, from("192.0.2.1", 0), access.DoorHub, ""},
		"last address of a range":       {allow(false, "192.0.2.0/30"), from("192.0.2.3", old), access.DoorHub, ""},
		"the next one":                  {allow(false, "192.0.2.0/30"), from("192.0.2.4", old), access.DoorHub, access.ReasonAddress},
		"the second range":              {allow(false, "192.0.2.0/30", "198.51.100.7/32"), from("198.51.100.7", old), access.DoorHub, ""},
		"IPv6":                          {allow(false, "2001:db8::/32"), from("2001:db8:ffff::1", old), access.DoorHub, ""},
		"IPv6 with a zone":              {allow(false, "fe80::/10"), from("fe80::1%eth0", old), access.DoorHub, ""},
		"IPv6 where IPv4 is allowed":    {allow(false, "0.0.0.0/0"), from("2001:db8::1", old), access.DoorHub, access.ReasonAddress},
		"IPv4 where IPv6 is allowed":    {allow(false, "::/0"), from("192.0.2.1", old), access.DoorHub, access.ReasonAddress},
		"no address":                    {allow(false, "0.0.0.0/0"), access.Peer{TLS: old}, access.DoorHub, access.ReasonAddress},
		"the program itself":            {allow(true, "192.0.2.0/30"), access.Peer{}, access.DoorHub, ""},
		"events, without rules":         {allow(false, "192.0.2.0/30"), from("192.0.2.4", old), access.DoorEvents, ""},
		"events, with rules":            {allow(true, "192.0.2.0/30"), from("192.0.2.4", old), access.DoorEvents, access.ReasonAddress},
		"management":                    {allow(true, "192.0.2.0/30"), from("192.0.2.4", old), access.DoorManagement, ""},
		"TLS 1.3 wanted, 1.2 spoken":    {access.Switches{MinTLS: latest}, from("192.0.2.1", old), access.DoorHub, access.ReasonTLS},
		"of events":                     {access.Switches{MinTLS: latest}, from("192.0.2.1", old), access.DoorEvents, access.ReasonTLS},
		"of management":                 {access.Switches{MinTLS: latest}, from("192.0.2.1", old), access.DoorManagement, ""},
		"TLS 1.3 wanted, spoken":        {access.Switches{MinTLS: latest}, from("192.0.2.1", latest), access.DoorHub, ""},
		"TLS 1.2 wanted, 1.2 spoken":    {access.Switches{MinTLS: old}, from("192.0.2.1", old), access.DoorHub, ""},
		"TLS 1.2 wanted, none is there": {access.Switches{MinTLS: old}, from("192.0.2.1", 0), access.DoorHub, access.ReasonTLS},
	} {
		t.Run(name, func(t *testing.T) {
			a := access.Admission{Switches: tt.switches}
			wantReason(t, a.Admit(tt.peer, tt.door), tt.want)
		})
	}
}

func wantReason(t *testing.T, err error, want access.Reason) {
	t.Helper()
	if want == "" && err != nil || want != "" && (hubward.CodeOf(err) != hubward.CodeUnauthorizedAccess || access.ReasonOf(err) != want) {
		t.Errorf("%v, want %q", err, want)
	}
}

// A switch is about whose key it was, not about whom it speaks for.
func TestAdmission_switches(t *testing.T) {
	policy := access.Principal{Scope: access.ScopeHub, Method: "sas"}
	asDevice := access.Principal{Scope: access.ScopeHub, Method: "sas", Identity: hubward.Identity{Device: "d1"}}
	device := access.Principal{Scope: access.ScopeDevice, Method: "sas", Identity: hubward.Identity{Device: "d1"}}
	module := access.Principal{Scope: access.ScopeModule, Method: "sas", Identity: hubward.Identity{Device: "d1", Module: "m"}}
	edge := access.Principal{Scope: access.ScopeModule, Method: "sas", Identity: hubward.Identity{Device: "leaf"},
		Actor: hubward.Identity{Device: "d1", Module: access.EdgeHubModule}}
	all := access.Switches{DisableLocalAuth: true, DisableDeviceSAS: true, DisableModuleSAS: true}
	for name, tt := range map[string]struct {
		p        access.Principal
		switches access.Switches
		refused  bool
	}{
		"policy, local":           {policy, access.Switches{DisableLocalAuth: true}, true},
		"policy, others":          {policy, access.Switches{DisableDeviceSAS: true, DisableModuleSAS: true}, false},
		"policy as device, local": {asDevice, access.Switches{DisableLocalAuth: true}, true},
		"policy as device, other": {asDevice, access.Switches{DisableDeviceSAS: true, DisableModuleSAS: true}, false},
		"device, its own":         {device, access.Switches{DisableDeviceSAS: true}, true},
		"device, others":          {device, access.Switches{DisableLocalAuth: true, DisableModuleSAS: true}, false},
		"module, its own":         {module, access.Switches{DisableModuleSAS: true}, true},
		"module, others":          {module, access.Switches{DisableLocalAuth: true, DisableDeviceSAS: true}, false},
		"Edge hub for a device":   {edge, access.Switches{DisableModuleSAS: true}, true},
		"operator":                {policy.From(access.Peer{}, access.DoorManagement), all, false},
		"the program itself":      {*access.Process(access.HubRef{}), all, false},
	} {
		t.Run(name, func(t *testing.T) {
			a := access.Admission{Switches: tt.switches}
			want := access.Reason("")
			if tt.refused {
				want = access.ReasonSwitchedOff
			}
			wantReason(t, a.Admits(&tt.p, now), want)
		})
	}
}

func TestSwitches_check(t *testing.T) {
	many := func(n int) []netip.Prefix {
		var all []netip.Prefix
		for i := range n {
			all = append(all, netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 32))
		}
		return all
	}
	for name, tt := range map[string]struct {
		switches access.Switches
		field    string // empty: good
	}{
		"none":           {access.Switches{}, ""},
		"TLS 1.1":        {access.Switches{MinTLS: tls.VersionTLS11}, "minTlsVersion"},
		"TLS 1.2":        {access.Switches{MinTLS: tls.VersionTLS12}, ""},
		"TLS 1.3":        {access.Switches{MinTLS: tls.VersionTLS13}, ""},
		"99 rules":       {access.Switches{Network: access.NetworkRules{Allow: many(99)}}, ""},
		"100 rules":      {access.Switches{Network: access.NetworkRules{Allow: many(100)}}, ""},
		"101 rules":      {access.Switches{Network: access.NetworkRules{Allow: many(101)}}, "ipRules"},
		"host bits":      {access.Switches{Network: access.NetworkRules{Allow: prefixes("192.0.2.0/24", "10.0.0.1/8")}}, "ipRules[1].ipMask: 10.0.0.1/8 has bits beyond its prefix, 10.0.0.0/8"},
		"IPv6 host bits": {access.Switches{Network: access.NetworkRules{Allow: prefixes("2001:db8::1/32")}}, "ipRules[0].ipMask"},
		"mapped, 95":     {access.Switches{Network: access.NetworkRules{Allow: prefixes("::ffff:10.0.0.0/95")}}, "ipRules[0].ipMask"},
		"no range":       {access.Switches{Network: access.NetworkRules{Allow: []netip.Prefix{{}}}}, "ipRules[0].ipMask"},
		"events alone":   {access.Switches{Network: access.NetworkRules{Events: true}}, "applyToBuiltInEventHubEndpoint"},
	} {
		err := tt.switches.Check()
		if tt.field == "" && err != nil || tt.field != "" && (hubward.CodeOf(err) != hubward.CodeArgumentInvalid || !strings.Contains(err.Error(), tt.field)) {
			t.Errorf("%s: %v, want %q", name, err, tt.field)
		}
	}
	mapped := access.Switches{Network: access.NetworkRules{Allow: prefixes("::ffff:10.0.0.0/104")}}
	if err := mapped.Check(); err != nil || mapped.Network.Allow[0] != netip.MustParsePrefix("10.0.0.0/8") {
		t.Errorf("%v, %v", mapped.Network.Allow, err)
	}
}

// What a policy's token is for, a device's own is not mistaken for.
func TestIdentityToken_hasItsOwnSwitch(t *testing.T) {
	a := access.Admission{Switches: access.Switches{DisableLocalAuth: true}}
	p, err := access.PolicyToken(golden(t, goldenVectors[2].sr, goldenVectors[2].signature, "first"), goldenPolicies, now)
	if err != nil {
		t.Fatal(err)
	}
	wantReason(t, a.Admits(&p, now), access.ReasonSwitchedOff)
	token, err := sas.Sign("localhost/devices/d1", deviceKey, "", now.Add(1e9))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := sas.Parse(token)
	if err != nil {
		t.Fatal(err)
	}
	entry := hubward.Device{Authentication: &hubward.Authentication{Type: hubward.AuthSAS, SymmetricKey: hubward.SymmetricKey{PrimaryKey: deviceKey}}}
	p, err = access.IdentityToken(&parsed, hubward.Identity{Device: "d1"}, &entry, now)
	if err != nil {
		t.Fatal(err)
	}
	wantReason(t, a.Admits(&p, now), "")
}
