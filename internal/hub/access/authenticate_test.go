package access_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"math/big"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/sas"
)

// Some of the golden vectors of package sas: made with deviceKey, for 1900000000.
var goldenVectors = []struct{ sr, signature string }{
	{"localhost%2Fdevices%2Fd1", "BfEakTtrTCJps48fmCkb5p4rDB9Mk92Gw3S7lFnWhYA="},
	{"localhost%3A18883%2Fdevices%2Fd1", "4zOYQ/OCjy7ni7KOg63J9tCdiEqeaufTZgVMzoe4ts0="},
	{"localhost", "e6iLfZzUWxvhzSHTYlcH03zdObjI7MbEkKAayoSWXCA="},
	{"localhost:443", "SqhwAH+XoDj5+5bNRUtVdZhrZEl3+/Y7MLrIxNHb1v8="},
	{"localhost%2Fmessages%2Fevents", "KB5WtvP9snSKCYP91KNSPQgcb+MAL08WI2EiHy84HZI="},
	{"sb%3A%2F%2Flocalhost%2Fehub%2F%24management", "qyex+veDgWT6qADlSIcT9nEpsebyfRI5KoD6tplhHJY="},
	{"sb%3A%2F%2Flocalhost%2Fehub%2FConsumerGroups%2F%24Default%2FPartitions%2F0", "comSrWcr2v0lSnaDF+mZyxXpQ2j3Kjjj1wEmwowl9Xg="},
	{"sb%3A%2F%2Flocalhost%2Fehub", "UFPxlk0BcHhVA2mgGiRGqGu2xYWbtrOPePN+JRdhAx4="},
	{"amqps%3a%2f%2flocalhost%2fehub%2fconsumergroups%2f%24default%2fpartitions%2f0", "GWYD8LtLp7avJSgqy2/ySWzTnq8d2thAuuyn5/PO+f4="},
}

func golden(t *testing.T, sr, signature, policy string) *sas.Token {
	t.Helper()
	parsed, err := sas.Parse("SharedAccessSignature sr=" + sr + "&sig=" + url.QueryEscape(signature) + "&se=1900000000&skn=" + policy)
	if err != nil {
		t.Fatal(err)
	}
	return &parsed
}

var goldenPolicies = []access.Policy{
	{Name: "first", Permissions: access.AllPermissions, PrimaryKey: deviceKey, SecondaryKey: secondKey},
	{Name: "second", Permissions: access.ServiceConnect, PrimaryKey: secondKey, SecondaryKey: deviceKey},
	{Name: "other", Permissions: access.AllPermissions, PrimaryKey: secondKey, SecondaryKey: policyKey},
	{Name: "blank", Permissions: access.AllPermissions},
}

func TestPolicyToken_goldenVectors(t *testing.T) {
	for _, v := range goldenVectors {
		for _, policy := range []string{"first", "second"} {
			g, err := access.PolicyToken(golden(t, v.sr, v.signature, policy), goldenPolicies, now)
			if err != nil || g.Policy != policy || g.Scope != access.ScopeHub || g.Expires.Unix() != 1900000000 || !g.Permissions.Has(access.ServiceConnect) {
				t.Errorf("%s: %+v, %v", v.sr, g, err)
			}
		}
		for what, try := range map[string]struct {
			policy    string
			signature string
			now       time.Time
		}{
			"another policy":         {"other", v.signature, now},
			"a policy without keys":  {"blank", v.signature, now},
			"an unknown policy":      {"none", v.signature, now},
			"another spelling":       {"First", v.signature, now},
			"another signature":      {"first", "A" + v.signature[1:], now},
			"no signature":           {"first", "", now},
			"a second after the end": {"first", v.signature, time.Unix(1900000001, 0)},
		} {
			g, err := access.PolicyToken(golden(t, v.sr, try.signature, try.policy), goldenPolicies, try.now)
			wantRefusal(t, what, g, err)
		}
	}
}

func wantRefusal(t *testing.T, what string, g access.Principal, err error) {
	t.Helper()
	if hubward.CodeOf(err) != hubward.CodeUnauthorizedAccess || errors.Unwrap(err) == nil || g.Permissions != 0 {
		t.Errorf("%s: %+v, %v", what, g, err)
	}
}

func path(text string) []string { return strings.Split(text, "/") }

// What a token covers, as clients of the hub and of Event Hubs write its resource.
func TestPrincipal_allowsWhatTheTokenCovers(t *testing.T) {
	const reader, reader1, group2 = "ehub/ConsumerGroups/$Default/Partitions/0", "ehub/ConsumerGroups/$Default/Partitions/1", "ehub/ConsumerGroups/two/Partitions/0"
	const management, probe, device = "ehub/$management", "messages/events/$management", "devices/d1/messages/devicebound"
	all := []string{reader, reader1, group2, management, probe, device, "other/$management", "ehubs/$management"}
	for sr, allowed := range map[string][]string{
		"localhost":                                    all,
		"sb://localhost":                               all,
		"sb://LOCALHOST/":                              all,
		"amqp://localhost:5672/":                       all,
		"sb://localhost/ehub":                          {reader, reader1, group2, management},
		"amqp://localhost:5672/EHUB":                   {reader, reader1, group2, management},
		"sb://localhost/ehub/":                         {reader, reader1, group2, management},
		"sb://localhost/ehub/$management":              {management},
		"sb://localhost/ehub/consumergroups/two":       {group2},
		"amqps://localhost/ehub/ConsumerGroups":        {reader, reader1, group2},
		"sb://localhost/" + reader:                     {reader},
		"amqps://localhost/" + strings.ToLower(reader): {reader},
		"sb://localhost/" + probe:                      {probe},
		"localhost/messages/events":                    {probe},
		"localhost/devices/d1":                         {device},
		"localhost/devices/D1":                         nil,
	} {
		token := token(t, sr, policyKey, "iothubowner", now.Add(time.Hour))
		g, err := access.PolicyToken(token, policies, now)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range all {
			if got, want := g.Allows(access.ServiceConnect, path(p)...), slices.Contains(allowed, p); got != want {
				t.Errorf("a token for %s on %s: %t", sr, p, got)
			}
		}
	}
	g, err := access.PolicyToken(token(t, host, policyKey, "device", now.Add(time.Hour)), policies, now)
	if err != nil || g.Allows(access.ServiceConnect, "ehub") || !g.Allows(access.DeviceConnect, "devices", "any") ||
		g.Allows(access.DeviceConnect|access.ServiceConnect, "devices", "any") {
		t.Errorf("a policy has rights that it has not: %+v, %v", g, err)
	}
	if (&access.Principal{}).Allows(access.ServiceConnect, "ehub") {
		t.Error("the zero principal allows something")
	}
}

func TestIdentityToken(t *testing.T) {
	d1 := hubward.Identity{Device: "d1"}
	for _, sr := range []string{host + "/devices/d1", host} {
		for _, key := range []string{deviceKey, secondKey} {
			g, err := access.IdentityToken(token(t, sr, key, "", now.Add(time.Hour)), d1, device(hubward.AuthSAS), now)
			if err != nil || g.Identity != d1 || g.Scope != access.ScopeDevice || g.Permissions != access.DeviceConnect || g.Generation != "1" || g.Method != "sas" {
				t.Fatalf("%+v, %v", g, err)
			}
			for p, want := range map[string]bool{
				"devices/d1/messages/events": true, "Devices/d1/Messages/Events/x": true, "devices/d1": true,
				"devices/d2/messages/events": false, "devices/D1/messages/events": false, "devices/d1/modules/m/messages/events": false,
				"devices": false, "messages/events": false, "ehub/$management": false, "": false,
			} {
				if got := g.Allows(access.DeviceConnect, path(p)...); got != want {
					t.Errorf("a token for %s on %s: %t", sr, p, got)
				}
			}
			if g.Allows(access.ServiceConnect, "devices", "d1") {
				t.Error("a device is a service")
			}
		}
	}
	for what, try := range map[string]struct {
		key  string
		end  time.Time
		auth hubward.AuthType
	}{
		"another key":                 {policyKey, now.Add(time.Hour), hubward.AuthSAS},
		"an expired token":            {deviceKey, now.Add(-time.Second), hubward.AuthSAS},
		"a device with a certificate": {deviceKey, now.Add(time.Hour), hubward.AuthSelfSigned},
	} {
		g, err := access.IdentityToken(token(t, host+"/devices/d1", try.key, "", try.end), d1, device(try.auth), now)
		wantRefusal(t, what, g, err)
	}
	module := hubward.Identity{Device: "d1", Module: "m1"}
	g, err := access.IdentityToken(token(t, host+"/devices/d1/modules/m1", deviceKey, "", now.Add(time.Hour)), module, device(hubward.AuthSAS), now)
	if err != nil || !g.Allows(access.DeviceConnect, path("devices/d1/modules/m1/messages/events")...) ||
		g.Allows(access.DeviceConnect, path("devices/d1/modules/m2")...) || g.Allows(access.DeviceConnect, path("devices/d1/messages/events")...) {
		t.Errorf("a module: %+v, %v", g, err)
	}
	narrow := token(t, host+"/devices/d1/messages/events", deviceKey, "", now.Add(time.Hour))
	g, err = access.IdentityToken(narrow, d1, device(hubward.AuthSAS), now)
	wantRefusal(t, "a token for a part of the device", g, err)
	// The text of a key is for policies alone.
	text := base64.StdEncoding.EncodeToString([]byte(deviceKey))
	g, err = access.IdentityToken(token(t, host+"/devices/d1", text, "", now.Add(time.Hour)), d1, device(hubward.AuthSAS), now)
	wantRefusal(t, "the text of the key", g, err)
}

func TestIdentities(t *testing.T) {
	for sr, want := range map[string][]hubward.Identity{
		"h":                                   nil,
		"h/devices":                           nil,
		"h/messages/events":                   nil,
		"h/devices//x":                        nil,
		"h/devices/d1":                        {{Device: "d1"}},
		"h/Devices/d1/messages/events":        {{Device: "d1"}},
		"h/devices/d1/api-version=2016-11-14": {{Device: "d1"}},
		"h/devices/d1/modules":                {{Device: "d1"}},
		"h/devices/d1/modules/m1":             {{Device: "d1", Module: "m1"}},
		"h/devices/d%231/Modules/m1/x":        {{Device: "d%231", Module: "m1"}, {Device: "d#1", Module: "m1"}},
		"https://h:443/devices/100%":          {{Device: "100%"}},
	} {
		if got := access.Identities(token(t, sr, deviceKey, "", now)); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", sr, got, want)
		}
	}
}

func TestPolicyKey(t *testing.T) {
	for _, key := range []string{deviceKey, secondKey} {
		g, err := access.PolicyKey(goldenPolicies, "second", key)
		if err != nil || g.Policy != "second" || g.Permissions != access.ServiceConnect || !g.Expires.IsZero() || g.Scope != access.ScopeHub {
			t.Errorf("%+v, %v", g, err)
		}
		if !g.Allows(access.ServiceConnect, "ehub", "$management") || g.Allows(access.DeviceConnect, "devices", "d1") {
			t.Error("a key is good for all of the hub, as far as the policy goes")
		}
	}
	for what, try := range map[string][2]string{
		"another key": {"second", policyKey}, "no key": {"second", ""}, "a policy without keys": {"blank", ""},
		"the beginning of a key": {"second", deviceKey[:43]}, "another case": {"second", strings.ToLower(deviceKey)}, "an unknown policy": {"none", deviceKey},
	} {
		g, err := access.PolicyKey(goldenPolicies, try[0], try[1])
		wantRefusal(t, what, g, err)
	}
}

func certificate(t *testing.T) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now, NotAfter: now.Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func chain(cert *x509.Certificate) []*x509.Certificate {
	if cert == nil {
		return nil
	}
	return []*x509.Certificate{cert}
}

func TestCertificate(t *testing.T) {
	cert, other := certificate(t), certificate(t)
	sum1, sum256, otherSum := sha1.Sum(cert.Raw), sha256.Sum256(cert.Raw), sha256.Sum256(other.Raw)
	short, long, wrong := hex.EncodeToString(sum1[:]), hex.EncodeToString(sum256[:]), hex.EncodeToString(otherSum[:])
	later := now.Add(time.Hour)
	for _, test := range []struct {
		what               string
		primary, secondary string
		auth               hubward.AuthType
		cert               *x509.Certificate
		at                 time.Time
		refusal            string
	}{
		{"SHA-1", short, "", hubward.AuthSelfSigned, cert, later, ""},
		{"SHA-256", long, "", hubward.AuthSelfSigned, cert, later, ""},
		{"upper case", strings.ToUpper(long), "", hubward.AuthSelfSigned, cert, later, ""},
		{"the secondary one", wrong, long, hubward.AuthSelfSigned, cert, later, ""},
		{"the secondary one alone", "", short, hubward.AuthSelfSigned, cert, later, ""},
		{"its first second", long, "", hubward.AuthSelfSigned, cert, now, ""},
		{"its last second", long, "", hubward.AuthSelfSigned, cert, now.Add(24 * time.Hour), ""},
		{"another certificate", wrong, short, hubward.AuthSelfSigned, certificate(t), later, "thumbprints"},
		{"no thumbprint", "", "", hubward.AuthSelfSigned, cert, later, "thumbprints"},
		{"a cut thumbprint", short[:38], long[:62], hubward.AuthSelfSigned, cert, later, "thumbprints"},
		{"no certificate", long, "", hubward.AuthSelfSigned, nil, later, "no certificate"},
		{"before its time", long, "", hubward.AuthSelfSigned, cert, now.Add(-time.Second), "is not valid before"},
		{"after its time", long, "", hubward.AuthSelfSigned, cert, now.Add(25 * time.Hour), "expired"},
		{"a device with keys", long, "", hubward.AuthSAS, cert, later, "does not authenticate with a certificate"},
		{"a device of an authority", long, "", hubward.AuthCertificate, cert, later, "common name"},
	} {
		t.Run(test.what, func(t *testing.T) {
			d := device(test.auth)
			d.Authentication.X509Thumbprint = hubward.X509Thumbprint{
				PrimaryThumbprint: hubward.NullString(test.primary), SecondaryThumbprint: hubward.NullString(test.secondary),
			}
			id := hubward.Identity{Device: "d1"}
			g, err := access.Certificate(chain(test.cert), id, d, &access.Admission{}, test.at)
			if test.refusal != "" {
				wantRefusal(t, test.what, g, err)
				if err != nil && !strings.Contains(errors.Unwrap(err).Error(), test.refusal) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || g.Identity != id || g.Method != "x509" || g.Scope != access.ScopeDevice || !g.Expires.Equal(cert.NotAfter) || g.Generation != "1" {
				t.Errorf("%+v, %v", g, err)
			}
			if !g.Allows(access.DeviceConnect, "devices", "d1", "messages", "events") || g.Allows(access.DeviceConnect, "devices", "d2") {
				t.Error("a certificate is good for its device")
			}
		})
	}
	if _, err := access.Certificate(chain(cert), hubward.Identity{}, &hubward.Device{}, &access.Admission{}, now); err == nil {
		t.Error("a device without authentication is let in")
	}
}

// Who speaks for a device by a principal does so on what the registry says now.
func TestSpeak(t *testing.T) {
	id := hubward.Identity{Device: "d1"}
	d := device(hubward.AuthSAS)
	own, err := access.IdentityToken(token(t, host+"/devices/d1", deviceKey, "", now.Add(time.Hour)), id, d, now)
	if err != nil {
		t.Fatal(err)
	}
	cert := certificate(t)
	sum := sha256.Sum256(cert.Raw)
	withCert := device(hubward.AuthSelfSigned)
	withCert.Authentication.X509Thumbprint.PrimaryThumbprint = hubward.NullString(hex.EncodeToString(sum[:]))
	certified, err := access.Certificate(chain(cert), id, withCert, &access.Admission{}, now)
	if err != nil {
		t.Fatal(err)
	}
	policy, err := access.PolicyKey(goldenPolicies, "first", deviceKey)
	if err != nil {
		t.Fatal(err)
	}
	anew, otherKeys, otherCert := *d, device(hubward.AuthSAS), device(hubward.AuthSelfSigned)
	anew.GenerationID = "2"
	otherKeys.Authentication.SymmetricKey = hubward.SymmetricKey{PrimaryKey: policyKey, SecondaryKey: policyKey}
	for what, try := range map[string]struct {
		principal access.Principal
		device    *hubward.Device
		ok        bool
	}{
		"a device": {own, d, true}, "a certificate": {certified, withCert, true}, "a policy": {policy, &anew, true},
		"a device that was made anew": {own, &anew, false}, "other keys": {own, otherKeys, false},
		"another certificate": {certified, otherCert, false}, "keys no more": {own, withCert, false}, "nothing": {access.Principal{}, d, false},
	} {
		p, err := try.principal.Speak(id, try.device, &access.Admission{}, now)
		if (err == nil) != try.ok {
			t.Errorf("%s: %+v, %v", what, p, err)
		}
		if try.ok && (p.Identity != id || p.Permissions != access.DeviceConnect || p.Generation != try.device.GenerationID) {
			t.Errorf("%s: %+v", what, p)
		}
	}
	if _, err := own.Speak(hubward.Identity{Device: "d1", Module: "m"}, d, &access.Admission{}, now); err == nil {
		t.Error("a device speaks for its module")
	}
}
