package access_test

import (
	"errors"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/sas"
)

const (
	host      = "hub.example"
	deviceKey = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	secondKey = "HxsdHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA="
	policyKey = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3I="
)

var now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

var policies = []access.Policy{
	{Name: "iothubowner", Permissions: access.AllPermissions, PrimaryKey: policyKey, SecondaryKey: secondKey},
	{Name: "service", Permissions: access.ServiceConnect, PrimaryKey: policyKey, SecondaryKey: secondKey},
	{Name: "device", Permissions: access.DeviceConnect, PrimaryKey: policyKey, SecondaryKey: secondKey},
}

func device(t hubward.AuthType) *hubward.Device {
	return &hubward.Device{DeviceID: "d1", GenerationID: "1", Authentication: &hubward.Authentication{
		Type: t, SymmetricKey: hubward.SymmetricKey{PrimaryKey: deviceKey, SecondaryKey: secondKey},
	}}
}

func token(t *testing.T, resource, key, policy string, expiry time.Time) *sas.Token {
	t.Helper()
	text, err := sas.Sign(resource, key, policy, expiry)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := sas.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return &parsed
}

// speakByToken takes the steps of a log-in that names its identity.
func speakByToken(t *sas.Token, id hubward.Identity, entry *hubward.Device) (access.Principal, error) {
	if t.Policy == "" {
		return access.IdentityToken(t, id, entry, now)
	}
	p, err := access.PolicyToken(t, policies, now)
	if err != nil {
		return p, err
	}
	return p.Speak(id, entry, &access.Admission{}, now)
}

// A device's key speaks for the device, a policy's key with DeviceConnect for any device in the token's scope: the whole
// hub (.NET), the device (Node) or all devices (gateways). And what that excludes.
func TestSpeak_byToken(t *testing.T) {
	later := now.Add(time.Hour)
	rows := []struct {
		name                  string
		resource, key, policy string
		expiry                time.Time
		auth                  hubward.AuthType
		scope                 access.Scope // empty: refused
	}{
		{"primary key", host + "/devices/d1", deviceKey, "", later, hubward.AuthSAS, access.ScopeDevice},
		{"secondary key", host + "/devices/d1", secondKey, "", later, hubward.AuthSAS, access.ScopeDevice},
		{"device key over the whole hub", host, deviceKey, "", later, hubward.AuthSAS, access.ScopeDevice},
		{"device policy over the hub", host, policyKey, "device", later, hubward.AuthSAS, access.ScopeHub},
		{"device policy over the device", host + "/devices/d1", policyKey, "device", later, hubward.AuthSAS, access.ScopeHub},
		{"device policy over all devices", host + "/devices", policyKey, "iothubowner", later, hubward.AuthSAS, access.ScopeHub},
		{"expires this second", host + "/devices/d1", deviceKey, "", now, hubward.AuthSAS, access.ScopeDevice},
		{"expired", host + "/devices/d1", deviceKey, "", now.Add(-time.Second), hubward.AuthSAS, ""},
		{"wrong key", host + "/devices/d1", policyKey, "", later, hubward.AuthSAS, ""},
		{"another device", host + "/devices/d2", deviceKey, "", later, hubward.AuthSAS, ""},
		{"a longer id", host + "/devices/d11", deviceKey, "", later, hubward.AuthSAS, ""},
		{"a module of it", host + "/devices/d1/modules/m", deviceKey, "", later, hubward.AuthSAS, ""},
		{"the id in another case", host + "/devices/D1", deviceKey, "", later, hubward.AuthSAS, ""},
		{"policy without the permission", host, policyKey, "service", later, hubward.AuthSAS, ""},
		{"unknown policy", host, policyKey, "nobody", later, hubward.AuthSAS, ""},
		{"policy name with the device's key", host + "/devices/d1", deviceKey, "device", later, hubward.AuthSAS, ""},
		{"a device with a certificate", host + "/devices/d1", deviceKey, "", later, hubward.AuthSelfSigned, ""},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			p, err := speakByToken(token(t, r.resource, r.key, r.policy, r.expiry), hubward.Identity{Device: "d1"}, device(r.auth))
			if r.scope == "" {
				if hubward.CodeOf(err) != hubward.CodeUnauthorizedAccess || errors.Unwrap(err) == nil {
					t.Fatalf("got %+v, %v", p, err)
				}
				return
			}
			if err != nil || p.Scope != r.scope || p.Policy != r.policy || !p.Expires.Equal(r.expiry) || p.Generation != "1" {
				t.Fatalf("got %+v, %v", p, err)
			}
		})
	}
}

func TestPolicyToken_allows(t *testing.T) {
	later := now.Add(time.Hour)
	rows := []struct {
		name             string
		resource, policy string
		want             access.Permissions
		ok               bool
	}{
		{"owner writes the registry", host, "iothubowner", access.RegistryWrite, true},
		{"service connects", host, "service", access.ServiceConnect, true},
		{"service reads no registry", host, "service", access.RegistryRead, false},
		{"a token for one device", host + "/devices/d1", "iothubowner", access.RegistryRead, false},
		{"no policy", host, "", access.RegistryRead, false},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			p, err := access.PolicyToken(token(t, r.resource, policyKey, r.policy, later), policies, now)
			if ok := err == nil && p.Allows(r.want); ok != r.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestPermissions_writeImpliesRead(t *testing.T) {
	if !access.RegistryWrite.Has(access.RegistryRead) || access.RegistryRead.Has(access.RegistryWrite) {
		t.Error("RegistryWrite must imply RegistryRead, and not the other way round")
	}
	if got := access.AllPermissions; got != 15 {
		t.Errorf("all permissions = %d, want 15", got)
	}
}

func TestParsePermissions_isTheInverseOfNames(t *testing.T) {
	for r := access.Permissions(1); r <= access.AllPermissions; r++ {
		if r&2 != 0 && r&1 == 0 {
			continue // write without read does not exist
		}
		got, err := access.ParsePermissions(r.Names())
		if err != nil || got != r {
			t.Errorf("%v: got %v, %v", r.Names(), got, err)
		}
	}
	if _, err := access.ParsePermissions(nil); err == nil {
		t.Error("no permissions at all are accepted")
	}
	if _, err := access.ParsePermissions([]string{"Everything"}); err == nil {
		t.Error("an unknown permission is accepted")
	}
}
