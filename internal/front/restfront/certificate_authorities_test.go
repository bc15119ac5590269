package restfront_test

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/pki"
)

func makeAuthority(t *testing.T, name string) *pki.Authority {
	t.Helper()
	a, err := pki.MakeAuthority(name, testNow, 24*time.Hour, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func body(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestCertificateAuthorities_lifeCycle(t *testing.T) {
	f := newFixture(t)
	const all, one = "/$hubward/hubs/plant/certificates", "/$hubward/hubs/plant/certificates/ca"
	type authority = hubward.CertificateAuthority
	if r := f.do(ask{path: all}).wantStatus(t, 200); r.body != "[]" {
		t.Errorf("none: %s", r.body)
	}
	ca := makeAuthority(t, "Plant CA")
	text := string(pki.EncodeCertificates(ca.Certificate))
	r := f.do(ask{method: "PUT", path: one, body: body(t, map[string]any{"certificate": text})}).wantStatus(t, 201)
	made := decode[authority](t, r)
	if made.Name != "ca" || made.Verified || made.Subject != "CN=Plant CA" || made.Certificate != text || r.Header.Get("ETag") != `"`+made.ETag+`"` {
		t.Errorf("%+v", made)
	}
	if !strings.Contains(r.body, `"isVerified":false,"isDisabled":false,"created":"2026-01-31T00:49:39.0000000Z"`) || strings.Contains(r.body, "verificationCode") {
		t.Errorf("%s", r.body)
	}
	f.do(ask{method: "PUT", path: one, body: body(t, map[string]any{"certificate": text})}).wantError(t, hubward.CodePreconditionFailed, "ca")
	coded := decode[authority](t, f.do(ask{method: "POST", path: one + "/generateVerificationCode", header: map[string]string{"If-Match": `"` + made.ETag + `"`}}).wantStatus(t, 200))
	proof, err := ca.Prove(coded.VerificationCode, testNow, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	encoded := map[string]any{"certificate": base64.StdEncoding.EncodeToString(proof.Raw)}
	f.do(ask{method: "POST", path: one + "/verify", body: body(t, encoded), header: map[string]string{"If-Match": `"` + made.ETag + `"`}}).wantError(t, hubward.CodePreconditionFailed, "etag")
	if v := decode[authority](t, f.do(ask{method: "POST", path: one + "/verify", body: body(t, encoded)}).wantStatus(t, 200)); !v.Verified {
		t.Errorf("%+v", v)
	}
	disabled := decode[authority](t, f.do(ask{method: "PATCH", path: one, body: `{"isDisabled":true}`}).wantStatus(t, 200))
	if got := decode[[]authority](t, f.do(ask{path: all})); len(got) != 1 || got[0] != disabled || !disabled.Disabled {
		t.Errorf("%+v", got)
	}
	f.do(ask{method: "PATCH", path: one, body: `{}`}).wantError(t, hubward.CodeArgumentNull, "isDisabled")
	f.do(ask{method: "PUT", path: one, body: `{"certificate":"x","isVerified":true}`, header: map[string]string{"If-Match": "*"}}).wantError(t, hubward.CodeArgumentInvalid, "certificate")
	next := map[string]any{"certificate": string(pki.EncodeCertificates(makeAuthority(t, "Next CA").Certificate)), "isVerified": true}
	replaced := decode[authority](t, f.do(ask{method: "PUT", path: one, body: body(t, next), header: map[string]string{"If-Match": "*"}}).wantStatus(t, 200))
	if replaced.Subject != "CN=Next CA" || !replaced.Verified || !replaced.Disabled {
		t.Errorf("%+v", replaced)
	}
	f.do(ask{method: "DELETE", path: one, header: map[string]string{"If-Match": `"` + disabled.ETag + `"`}}).wantError(t, hubward.CodePreconditionFailed, "etag")
	f.do(ask{method: "DELETE", path: one}).wantStatus(t, 204)
	f.do(ask{path: one}).wantError(t, hubward.CodeNoSuchAuthority, "ca")
	f.do(ask{path: all, policy: "service"}).wantError(t, hubward.CodeUnauthorizedAccess, "")
	f.do(ask{path: "/$hubward/hubs/none/certificates"}).wantError(t, hubward.CodeNoSuchHub, "none")
}

// A device of a certificate authority needs no token either, until the authority is disabled: then each request is refused, also
// those of a connection that is open.
func TestDeviceCalls_byAuthority(t *testing.T) {
	f := newFixture(t)
	address, _ := f.secure()
	ca := makeAuthority(t, "ca")
	if _, err := f.hub.PutCertificateAuthority(t.Context(), f.process, "plant", "ca", ca.Certificate.Raw, true, ""); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"c1", "c2"} {
		d := hubward.Device{DeviceID: id, Authentication: &hubward.Authentication{Type: hubward.AuthCertificate}}
		if _, err := f.hub.PutDevice(t.Context(), f.process, d, ""); err != nil {
			t.Fatal(err)
		}
	}
	key, err := pki.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := ca.Issue("c1", key.Public(), testNow, time.Hour, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	shown := tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{shown}}}
	defer transport.CloseIdleConnections()
	post := func(device string) response {
		return f.post(&http.Client{Transport: transport}, "https://"+address+"/devices/"+device+"/messages/events"+version)
	}
	post("c1").wantStatus(t, 204)
	post("c2").wantError(t, hubward.CodeUnauthorizedAccess, "")
	if _, err := f.hub.DisableCertificateAuthority(t.Context(), f.process, "plant", "ca", "", true); err != nil {
		t.Fatal(err)
	}
	post("c1").wantError(t, hubward.CodeUnauthorizedAccess, "")
	if logs := f.logs.String(); !strings.Contains(logs, "the authority ca is disabled") || !strings.Contains(logs, `the certificate is of \"c1\"`) {
		t.Errorf("the log does not say why:\n%s", logs)
	}
}
