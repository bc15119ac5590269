package hub_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/sas"
)

// counting is a source of randomness that makes every key that of the golden vectors of package sas: 0, 1, 2, …
type counting struct{}

func (counting) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(i)
	}
	return len(p), nil
}

// newGoldenFixture returns a hub "ehub" that answers to localhost, with a device d1, and the same key everywhere.
func newGoldenFixture(t *testing.T) *fixture {
	t.Helper()
	f := newBareFixture(t, counting{})
	f.createHub("ehub")
	if _, err := f.PutDevice(t.Context(), "ehub", hubward.Device{DeviceID: "d1"}, ""); err != nil {
		t.Fatal(err)
	}
	return f
}

// Tokens of every client, from the log-in to what they open. A signature is good for device and policies alike, where
// it was made with the key that the text stands for.
func TestAuthenticate_goldenVectors(t *testing.T) {
	f := newGoldenFixture(t)
	const text, decoded = true, false
	for _, v := range []struct {
		sr, signature string
		form          bool
		path          string // below the host, that the token covers
	}{
		{"localhost%2Fdevices%2Fd1", "BfEakTtrTCJps48fmCkb5p4rDB9Mk92Gw3S7lFnWhYA=", decoded, "devices/d1/messages/events"},
		{"localhost%2Fdevices%2Fd1%2Fmodules%2Fm1", "P/Y3AttJe8YEs0CGAbWJ8dcUOZaxa2i655H3pZcsbEw=", decoded, "devices/d1/modules/m1"},
		{"localhost%3A18883%2Fdevices%2Fd1", "4zOYQ/OCjy7ni7KOg63J9tCdiEqeaufTZgVMzoe4ts0=", decoded, "devices/d1/messages/events"},
		{"localhost", "e6iLfZzUWxvhzSHTYlcH03zdObjI7MbEkKAayoSWXCA=", decoded, "ehub/$management"},
		{"localhost:443", "SqhwAH+XoDj5+5bNRUtVdZhrZEl3+/Y7MLrIxNHb1v8=", decoded, "messages/events/$management"},
		{"localhost%2Fmessages%2Fevents", "KB5WtvP9snSKCYP91KNSPQgcb+MAL08WI2EiHy84HZI=", decoded, "messages/events/$management"},
		{"sb%3A%2F%2Flocalhost%2Fehub%2F%24management", "qyex+veDgWT6qADlSIcT9nEpsebyfRI5KoD6tplhHJY=", text, "ehub/$management"},
		{"sb%3A%2F%2Flocalhost%2Fehub%2FConsumerGroups%2F%24Default%2FPartitions%2F0", "comSrWcr2v0lSnaDF+mZyxXpQ2j3Kjjj1wEmwowl9Xg=", text, "ehub/ConsumerGroups/$Default/Partitions/0"},
		{"sb%3A%2F%2Flocalhost%2Fehub", "UFPxlk0BcHhVA2mgGiRGqGu2xYWbtrOPePN+JRdhAx4=", text, "ehub/ConsumerGroups/$Default/Partitions/3"},
		{"amqps%3a%2f%2flocalhost%2fehub%2fconsumergroups%2f%24default%2fpartitions%2f0", "GWYD8LtLp7avJSgqy2/ySWzTnq8d2thAuuyn5/PO+f4=", text, "ehub/ConsumerGroups/$Default/Partitions/0"},
	} {
		t.Run(v.sr, func(t *testing.T) {
			token := "SharedAccessSignature sr=" + v.sr + "&sig=" + url.QueryEscape(v.signature) + "&se=1900000000"
			g, err := f.Authenticate(t.Context(), access.Credential{Hub: "ehub", Token: token + "&skn=iothubowner"})
			path := strings.Split(v.path, "/")
			if err != nil || g.Hub.Name != "ehub" || g.Policy != "iothubowner" || g.Expires.Unix() != 1900000000 || !g.Allows(access.AllPermissions, path...) {
				t.Errorf("a policy: %+v, %v", g, err)
			}
			g, err = f.Authenticate(t.Context(), access.Credential{Hub: "ehub", Token: token + "&skn=registryRead"})
			if err != nil || g.Allows(access.ServiceConnect, path...) {
				t.Errorf("a policy without the permission: %+v, %v", g, err)
			}
			g, err = f.Authenticate(t.Context(), access.Credential{Hub: "ehub", Token: token})
			switch {
			case strings.Contains(v.path, "modules"):
				wantCode(t, "a module", err, hubward.CodeModuleNotFound)
			case strings.HasPrefix(v.path, "devices/"):
				if err != nil || g.Hub.Name != "ehub" || g.Identity.Device != "d1" || g.Policy != "" || !g.Allows(access.DeviceConnect, path...) {
					t.Errorf("a device: %+v, %v", g, err)
				}
			default:
				wantCode(t, "a token that names nobody", err, hubward.CodeUnauthorizedAccess)
			}
		})
	}
}

func TestAuthenticate_refusals(t *testing.T) {
	f := newFixture(t)
	f.createHub("second", "second.example")
	d1 := f.createDevice("d1")
	disabled := f.createDevice("off")
	f.disable(disabled)
	key := string(d1.Authentication.SymmetricKey.PrimaryKey)
	sign := func(resource, key, policy string) string {
		token, err := sas.Sign(resource, key, policy, f.clock().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	ownerToken := f.policyToken("iothubowner", "sb://plant.example:5671/plant")
	for _, test := range []struct {
		what, hub, token string
		code             hubward.Code
		text             string
		reason           access.Reason
	}{
		{"no token", "plant", "", hubward.CodeUnauthorizedAccess, "no credential", access.ReasonCredential},
		{"not a token", "plant", "secret", hubward.CodeUnauthorizedAccess, "SharedAccessSignature", access.ReasonCredential},
		{"a JWT", "plant", "eyJhbGciOiJSUzI1NiJ9.e30.AAAA", hubward.CodeUnauthorizedAccess, "SharedAccessSignature", access.ReasonCredential},
		{"another hub's host", "second", ownerToken, hubward.CodeUnauthorizedAccess, "another host", access.ReasonHost},
		{"an unknown host", "plant", sign("cloud.example", key, ""), hubward.CodeUnauthorizedAccess, "another host", access.ReasonHost},
		{"a device's key over the whole hub", "plant", sign("plant.example", key, ""), hubward.CodeUnauthorizedAccess, "neither a policy nor an identity", access.ReasonUnknown},
		{"an unknown device", "plant", sign("plant.example/devices/none", key, ""), hubward.CodeDeviceNotFound, "", access.ReasonUnknown},
		{"no id", "plant", sign("plant.example/devices/a b", key, ""), hubward.CodeDeviceNotFound, "", access.ReasonUnknown},
		{"another device's key", "plant", sign("plant.example/devices/off", key, ""), hubward.CodeUnauthorizedAccess, "disabled", access.ReasonDisabled},
		{"a module", "plant", sign("plant.example/devices/d1/modules/m", key, ""), hubward.CodeModuleNotFound, "not registered", access.ReasonUnknown},
		{"an unknown policy", "plant", sign("plant.example", key, "none"), hubward.CodeUnauthorizedAccess, "no such policy", access.ReasonUnknown},
		{"a device's key in a policy's name", "plant", sign("plant.example/devices/d1", key, "device"), hubward.CodeUnauthorizedAccess, "does not match", access.ReasonKey},
		{"an unknown hub", "none", ownerToken, hubward.CodeNoSuchHub, "none", access.ReasonHost},
	} {
		g, err := f.Authenticate(t.Context(), access.Credential{Hub: test.hub, Token: test.token})
		wantCode(t, test.what, err, test.code)
		if err != nil && !strings.Contains(err.Error(), test.text) || g.Permissions != 0 {
			t.Errorf("%s: %+v, %v", test.what, g, err)
		}
		wanted := test.hub
		if wanted == "none" {
			wanted = ""
		}
		if diff := cmp.Diff([]refusedLogin{{wanted, test.reason}}, f.seen.take()); diff != "" {
			t.Errorf("%s: the observer is told %s", test.what, diff)
		}
		var refused *hubward.Error
		if errors.As(err, &refused) && refused.Code == hubward.CodeUnauthorizedAccess && refused.Message != "Unauthorized" {
			t.Errorf("%s: the peer learns %q", test.what, refused.Message)
		}
	}
}

// .NET encodes ids twice; an id may also look as if it were encoded.
func TestAuthenticate_encodedIDs(t *testing.T) {
	f := newFixture(t)
	for _, test := range []struct{ device, resource string }{
		{"d1", "d1"}, {"d#1", "d#1"}, {"d#2", "d%232"}, {"d%233", "d%233"},
	} {
		d := f.createDevice(test.device)
		token, err := sas.Sign("plant.example/devices/"+test.resource, string(d.Authentication.SymmetricKey.SecondaryKey), "", f.clock().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		g, err := f.Authenticate(t.Context(), access.Credential{Hub: "plant", Token: token})
		if err != nil || g.Identity.Device != test.device || g.Generation != d.GenerationID || !g.Allows(access.DeviceConnect, "devices", test.device, "messages", "events") {
			t.Errorf("%s as %s: %+v, %v", test.device, test.resource, g, err)
		}
	}
}

// Keys are looked up at each log-in.
func TestAuthenticate_seesReplacedKeys(t *testing.T) {
	f := newFixture(t)
	policies, err := f.Policies("plant")
	if err != nil {
		t.Fatal(err)
	}
	service := policies[1]
	token := f.policyToken("service", "sb://plant.example/plant")
	try := func(what string, want hubward.Code) {
		t.Helper()
		_, byToken := f.Authenticate(t.Context(), access.Credential{Hub: "plant", Token: token})
		_, byKey := f.Authenticate(t.Context(), access.Credential{Hub: "plant", Policy: "service", Key: service.PrimaryKey})
		for _, err := range []error{byToken, byKey} {
			if want == 0 && err != nil {
				t.Errorf("%s: %v", what, err)
			} else if want != 0 {
				wantCode(t, what, err, want)
			}
		}
	}
	try("at first", 0)
	if _, err := f.RegeneratePolicyKey(t.Context(), "plant", "service", false); err != nil {
		t.Fatal(err)
	}
	try("the other key replaced", 0)
	if _, err := f.RegeneratePolicyKey(t.Context(), "plant", "service", true); err != nil {
		t.Fatal(err)
	}
	try("the key replaced", hubward.CodeUnauthorizedAccess)
}

func TestAuthenticate_policyKey(t *testing.T) {
	f := newFixture(t)
	second := f.createHub("second")
	for _, p := range second.Policies {
		for _, key := range []string{p.PrimaryKey, p.SecondaryKey} {
			for _, name := range []string{"second", ""} {
				g, err := f.Authenticate(t.Context(), access.Credential{Hub: name, Policy: p.Name, Key: key})
				if err != nil || g.Hub.Name != "second" || g.Policy != p.Name || g.Permissions != p.Permissions || !g.Expires.IsZero() {
					t.Errorf("hub %q, policy %s: %+v, %v", name, p.Name, g, err)
				}
			}
		}
	}
	owner := second.Policies[0]
	for what, try := range map[string][3]string{
		"the key of another hub":    {"plant", owner.Name, owner.PrimaryKey},
		"an unknown hub":            {"none", owner.Name, owner.PrimaryKey},
		"the key of another policy": {"second", "service", owner.PrimaryKey},
		"an unknown policy":         {"", "none", owner.PrimaryKey},
		"no key":                    {"", owner.Name, ""},
	} {
		_, err := f.Authenticate(t.Context(), access.Credential{Hub: try[0], Policy: try[1], Key: try[2]})
		wantCode(t, what, err, hubward.CodeUnauthorizedAccess)
		if errors.Unwrap(err) == nil {
			t.Errorf("%s: no reason is given", what)
		}
	}
}

func TestAuthenticate_certificate(t *testing.T) {
	f := newFixture(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: f.clock(), NotAfter: f.clock().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	d, err := f.PutDevice(t.Context(), "plant", hubward.Device{DeviceID: "x1", Authentication: &hubward.Authentication{
		Type:           hubward.AuthSelfSigned,
		X509Thumbprint: hubward.X509Thumbprint{PrimaryThumbprint: hubward.NullString(strings.ToUpper(hex.EncodeToString(sum[:])))},
	}}, "")
	if err != nil {
		t.Fatal(err)
	}
	f.createDevice("sas")
	x1 := hubward.Identity{Device: "x1"}
	g, err := f.Authenticate(t.Context(), access.Credential{Hub: "plant", Identity: x1, Certificates: []*x509.Certificate{cert}})
	if err != nil || g.Hub.Name != "plant" || g.Identity != x1 || g.Method != "x509" || g.Generation != d.GenerationID || !g.Allows(access.DeviceConnect, "devices", "x1") {
		t.Errorf("%+v, %v", g, err)
	}
	for what, try := range map[string]struct {
		hub  string
		id   hubward.Identity
		code hubward.Code
	}{
		"an unknown hub":     {"none", x1, hubward.CodeNoSuchHub},
		"an unknown device":  {"plant", hubward.Identity{Device: "x2"}, hubward.CodeDeviceNotFound},
		"no id":              {"plant", hubward.Identity{}, hubward.CodeDeviceNotFound},
		"a module":           {"plant", hubward.Identity{Device: "x1", Module: "m"}, hubward.CodeModuleNotFound},
		"a device with keys": {"plant", hubward.Identity{Device: "sas"}, hubward.CodeUnauthorizedAccess},
	} {
		_, err := f.Authenticate(t.Context(), access.Credential{Hub: try.hub, Identity: try.id, Certificates: []*x509.Certificate{cert}})
		wantCode(t, what, err, try.code)
	}
	f.advance(2 * time.Hour)
	_, err = f.Authenticate(t.Context(), access.Credential{Hub: "plant", Identity: x1, Certificates: []*x509.Certificate{cert}})
	wantCode(t, "an expired certificate", err, hubward.CodeUnauthorizedAccess)
	f.disable(d)
	_, err = f.Authenticate(t.Context(), access.Credential{Hub: "plant", Identity: x1, Certificates: []*x509.Certificate{cert}})
	wantCode(t, "a disabled device", err, hubward.CodeUnauthorizedAccess)
}
