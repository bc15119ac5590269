package hub_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/internal/pki"
)

func (f *fixture) authorityVerbs() []verb {
	const owners, bad = "iothubowner owner-of-second", "no such name!"
	done := func(_ any, err error) error { return err }
	return []verb{
		{"CertificateAuthorities", owners, func(_ context.Context, p *access.Principal) error {
			return done(f.Hub.CertificateAuthorities(p, "second"))
		}},
		{"CertificateAuthority", owners, func(_ context.Context, p *access.Principal) error {
			return done(f.Hub.CertificateAuthority(p, "second", bad))
		}},
		{"PutCertificateAuthority", owners, func(ctx context.Context, p *access.Principal) error {
			return done(f.Hub.PutCertificateAuthority(ctx, p, "second", bad, nil, true, ""))
		}},
		{"DeleteCertificateAuthority", owners, func(ctx context.Context, p *access.Principal) error {
			return f.Hub.DeleteCertificateAuthority(ctx, p, "second", bad, "")
		}},
		{"DisableCertificateAuthority", owners, func(ctx context.Context, p *access.Principal) error {
			return done(f.Hub.DisableCertificateAuthority(ctx, p, "second", bad, "", true))
		}},
		{"CreateVerificationCode", owners, func(ctx context.Context, p *access.Principal) error {
			return done(f.Hub.CreateVerificationCode(ctx, p, "second", bad, ""))
		}},
		{"VerifyCertificateAuthority", owners, func(ctx context.Context, p *access.Principal) error {
			return done(f.Hub.VerifyCertificateAuthority(ctx, p, "second", bad, nil, ""))
		}},
		{"CertificateIssuer", owners, func(_ context.Context, p *access.Principal) error {
			return done(f.Hub.CertificateIssuer(p, "second"))
		}},
		{"UpdateCertificateIssuer", owners, func(ctx context.Context, p *access.Principal) error {
			return done(f.Hub.UpdateCertificateIssuer(ctx, p, "second", hub.IssuerChange{Validity: 1}))
		}},
		{"DeleteCertificateIssuer", owners, func(ctx context.Context, p *access.Principal) error {
			return f.Hub.DeleteCertificateIssuer(ctx, p, "second")
		}},
		{"IssueCertificate", owners, func(ctx context.Context, p *access.Principal) error {
			return done(f.Hub.IssueCertificate(ctx, p, "second", "d1", ""))
		}},
		// It asks about p itself, and lets it do nothing.
		{"Admits", "nobody iothubowner service device registryRead registryReadWrite d1 d2 policy-as-d1 owner-of-d1 owner-of-twin-of-d1 module edge-hub owner-of-second expired",
			func(_ context.Context, p *access.Principal) error {
				if p.Hub.Name == "" {
					return nil
				}
				return f.Admits(p)
			}},
	}
}

func (a api) PutAuthority(ctx context.Context, name string, certificate []byte, verified bool, ifMatch string) (*hubward.CertificateAuthority, error) {
	made, err := a.Hub.PutCertificateAuthority(ctx, a.of("plant"), "plant", name, certificate, verified, ifMatch)
	a.changed()
	return made, err
}

func (a api) DeleteAuthority(ctx context.Context, name, ifMatch string) error {
	err := a.Hub.DeleteCertificateAuthority(ctx, a.of("plant"), "plant", name, ifMatch)
	a.changed()
	return err
}

func (a api) DisableAuthority(ctx context.Context, name string, disabled bool) (*hubward.CertificateAuthority, error) {
	changed, err := a.Hub.DisableCertificateAuthority(ctx, a.of("plant"), "plant", name, "", disabled)
	a.changed()
	return changed, err
}

func (f *fixture) makeAuthority(name string) *pki.Authority {
	f.t.Helper()
	a, err := pki.MakeAuthority(name, f.clock(), 24*time.Hour, rand.Reader)
	if err != nil {
		f.t.Fatal(err)
	}
	return a
}

// register registers an authority as verified.
func (f *fixture) register(name string, a *pki.Authority) *hubward.CertificateAuthority {
	f.t.Helper()
	made, err := f.PutAuthority(f.t.Context(), name, a.Certificate.Raw, true, "")
	if err != nil {
		f.t.Fatal(err)
	}
	return made
}

// issue has an authority issue the chain of an identity.
func (f *fixture) issue(a *pki.Authority, name string, life time.Duration) []*x509.Certificate {
	f.t.Helper()
	key, err := pki.NewKey(rand.Reader)
	if err != nil {
		f.t.Fatal(err)
	}
	cert, err := a.Issue(name, key.Public(), f.clock(), life, rand.Reader)
	if err != nil {
		f.t.Fatal(err)
	}
	return []*x509.Certificate{cert}
}

// createCertified registers a device that authenticates with an authority.
func (f *fixture) createCertified(id string) {
	f.t.Helper()
	d := hubward.Device{DeviceID: id, Authentication: &hubward.Authentication{Type: hubward.AuthCertificate}}
	if _, err := f.PutDevice(f.t.Context(), "plant", d, ""); err != nil {
		f.t.Fatal(err)
	}
}

// connectBy connects an identity with certificates to a node.
func (f *fixture) connectBy(node api, id string, chain []*x509.Certificate) (*session, error) {
	identity := hubward.Identity{Device: id}
	p, err := node.Authenticate(f.t.Context(), access.Credential{Hub: "plant", Identity: identity, Certificates: chain})
	if err != nil {
		return nil, err
	}
	s := &session{}
	_, err = node.Connect(f.t.Context(), &p, hub.ConnectRequest{Identity: identity, Session: s})
	return s, err
}

func TestCertificateAuthorities_lifecycle(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	if all, err := f.CertificateAuthorities(f.of("plant"), "plant"); err != nil || len(all) != 0 {
		t.Fatalf("%v, %v", all, err)
	}
	ca := f.makeAuthority("Plant CA")
	made, err := f.PutAuthority(ctx, "ca.1", pki.EncodeCertificates(ca.Certificate), false, "")
	if err != nil {
		t.Fatal(err)
	}
	if made.Verified || made.Disabled || made.Subject != "CN=Plant CA" || len(made.Thumbprint) != 64 || made.ETag == "" || made.VerificationCode != "" ||
		!made.Expiry.Equal(ca.Certificate.NotAfter) || !made.Created.Equal(f.clock()) || !made.Updated.Equal(f.clock()) ||
		made.Certificate != string(pki.EncodeCertificates(ca.Certificate)) {
		t.Errorf("%+v", made)
	}
	f.advance(time.Minute)
	first, err := f.CreateVerificationCode(ctx, f.of("plant"), "plant", "ca.1", made.ETag)
	if err != nil || len(first.VerificationCode) != 48 || first.ETag == made.ETag || !first.Created.Equal(made.Created.Time) || first.Updated.Equal(made.Updated.Time) {
		t.Fatalf("%+v, %v", first, err)
	}
	coded, err := f.CreateVerificationCode(ctx, f.of("plant"), "plant", "ca.1", "")
	if err != nil || coded.VerificationCode == first.VerificationCode {
		t.Fatalf("%+v, %v", coded, err)
	}
	f.refuseProofs(ca, first.VerificationCode, coded.VerificationCode)
	proof, err := ca.Prove(strings.ToLower(coded.VerificationCode), f.clock(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	verified, err := f.VerifyCertificateAuthority(ctx, f.of("plant"), "plant", "ca.1", pki.EncodeCertificates(proof), coded.ETag)
	if err != nil || !verified.Verified || verified.VerificationCode != "" {
		t.Fatalf("%+v, %v", verified, err)
	}
	_, err = f.VerifyCertificateAuthority(ctx, f.of("plant"), "plant", "ca.1", proof.Raw, "")
	wantCode(t, "a proof that was used", err, hubward.CodeArgumentInvalid)
	disabled, err := f.DisableAuthority(ctx, "ca.1", true)
	if err != nil || !disabled.Disabled || !disabled.Verified {
		t.Fatalf("%+v, %v", disabled, err)
	}
	got, err := f.CertificateAuthority(f.of("plant"), "plant", "ca.1")
	if diff := cmp.Diff(disabled, got); err != nil || diff != "" {
		t.Errorf("%s, %v", diff, err)
	}
	wantCode(t, "another etag", f.DeleteAuthority(ctx, "ca.1", coded.ETag), hubward.CodePreconditionFailed)
	if err := f.DeleteAuthority(ctx, "ca.1", disabled.ETag); err != nil {
		t.Fatal(err)
	}
	wantCode(t, "a deleted one", f.DeleteAuthority(ctx, "ca.1", ""), hubward.CodeNoSuchAuthority)
	_, err = f.CertificateAuthority(f.of("plant"), "plant", "ca.1")
	wantCode(t, "a deleted one", err, hubward.CodeNoSuchAuthority)
}

// refuseProofs tries what proves nothing of the authority ca.1.
func (f *fixture) refuseProofs(ca *pki.Authority, oldCode, code string) {
	f.t.Helper()
	proof := func(a *pki.Authority, code string, at time.Time) []byte {
		c, err := a.Prove(code, at, rand.Reader)
		if err != nil {
			f.t.Fatal(err)
		}
		return c.Raw
	}
	for what, p := range map[string][]byte{
		"an earlier code":       proof(ca, oldCode, f.clock()),
		"no code":               proof(ca, "d1", f.clock()),
		"another authority":     proof(f.makeAuthority("Plant CA"), code, f.clock()),
		"a proof of last month": proof(ca, code, f.clock().Add(-2*time.Hour)),
		"the authority itself":  ca.Certificate.Raw,
		"nothing":               nil,
		"text":                  []byte("certificate"),
	} {
		_, err := f.VerifyCertificateAuthority(f.t.Context(), f.of("plant"), "plant", "ca.1", p, "")
		wantCode(f.t, what, err, hubward.CodeArgumentInvalid)
	}
}

func TestPutCertificateAuthority_forms(t *testing.T) {
	f := newFixture(t)
	ca := f.makeAuthority("ca")
	text, der := pki.EncodeCertificates(ca.Certificate), ca.Certificate.Raw
	lines := base64.StdEncoding.EncodeToString(der)
	for i, form := range [][]byte{
		text, der, []byte(lines), []byte(lines[:64] + "\r\n" + lines[64:] + "\n"), []byte(base64.StdEncoding.EncodeToString(text)),
		append([]byte("subject=/CN=ca\n"), text...),
	} {
		made, err := f.PutAuthority(t.Context(), "ca", form, true, []string{"", "*"}[min(i, 1)])
		if err != nil || made.Certificate != string(text) {
			t.Errorf("form %d: %v", i, err)
		}
	}
}

func TestPutCertificateAuthority_refusals(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	ca, other := f.makeAuthority("ca"), f.makeAuthority("other")
	made := f.register("ca", ca)
	key, err := pki.EncodeKey(ca.Key)
	if err != nil {
		t.Fatal(err)
	}
	expired, err := pki.MakeAuthority("old", f.clock().Add(-2*time.Hour), time.Hour, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der := other.Certificate.Raw
	for _, test := range []struct {
		what, name  string
		certificate []byte
		ifMatch     string
		code        hubward.Code
		text        string
	}{
		{"no name", "", der, "", hubward.CodeArgumentInvalid, "name"},
		{"a name of 65", strings.Repeat("a", 65), der, "", hubward.CodeArgumentInvalid, "name"},
		{"a name with a slash", "a/b", der, "", hubward.CodeArgumentInvalid, "name"},
		{"one that is there", "ca", der, "", hubward.CodePreconditionFailed, "etag"},
		{"another etag", "ca", der, "MTI=", hubward.CodePreconditionFailed, "etag"},
		{"one to replace that is not there", "none", der, "*", hubward.CodePreconditionFailed, "no authority"},
		{"a duplicate", "second", ca.Certificate.Raw, "", hubward.CodeArgumentInvalid, "of the authority ca already"},
		{"nothing", "x", nil, "", hubward.CodeArgumentInvalid, "certificate: it is no certificate"},
		{"text", "x", []byte("hello"), "", hubward.CodeArgumentInvalid, "no certificate"},
		{"a key", "x", key, "", hubward.CodeArgumentInvalid, "private key"},
		{"with its key", "x", append(pki.EncodeCertificates(other.Certificate), key...), "", hubward.CodeArgumentInvalid, "private key"},
		{"two", "x", pki.EncodeCertificates(other.Certificate, ca.Certificate), "", hubward.CodeArgumentInvalid, "2 certificates"},
		{"a cut one", "x", der[:len(der)-1], "", hubward.CodeArgumentInvalid, "no certificate"},
		{"too much", "x", bytes.Repeat([]byte{' '}, pki.MaxCertificate+1), "", hubward.CodeArgumentInvalid, "bytes"},
		{"a device's", "x", f.issue(other, "d1", time.Hour)[0].Raw, "", hubward.CodeArgumentInvalid, "CA:TRUE"},
		{"an expired one", "x", expired.Certificate.Raw, "", hubward.CodeArgumentInvalid, "expired"},
		{"one for lists of revoked ones", "x", odd(t, x509.KeyUsageCRLSign, false), "", hubward.CodeArgumentInvalid, "key usage"},
		{"a weak one", "x", odd(t, x509.KeyUsageCertSign, true), "", hubward.CodeArgumentInvalid, "2048"},
	} {
		_, err := f.PutAuthority(ctx, test.name, test.certificate, true, test.ifMatch)
		wantCode(t, test.what, err, test.code)
		if err != nil && !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: %v", test.what, err)
		}
	}
	all, err := f.CertificateAuthorities(f.of("plant"), "plant")
	if diff := cmp.Diff([]hubward.CertificateAuthority{*made}, all); err != nil || diff != "" {
		t.Errorf("%s, %v", diff, err)
	}
}

// odd makes an authority that the product does not make.
func odd(t *testing.T, usage x509.KeyUsage, weak bool) []byte {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "odd"}, NotAfter: time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: usage,
	}
	var der []byte
	if weak {
		key, err := rsa.GenerateKey(rand.Reader, 1024)
		if err != nil {
			t.Fatal(err)
		}
		der, _ = x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		return der
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, _ = x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return der
}

func TestPutCertificateAuthority_limit(t *testing.T) {
	f := newFixture(t)
	var last *pki.Authority
	for i := range 25 {
		last = f.makeAuthority(fmt.Sprint("ca", i))
		f.register(fmt.Sprint("ca", i), last)
	}
	f.createCertified("d1")
	if _, err := f.connectBy(f.other(), "d1", f.issue(last, "d1", time.Hour)); err != nil {
		t.Error(err)
	}
	one := f.makeAuthority("one too many").Certificate.Raw
	_, err := f.PutAuthority(t.Context(), "x", one, true, "")
	wantCode(t, "the 26th", err, hubward.CodeQuotaExceeded)
	if _, err := f.PutAuthority(t.Context(), "ca3", one, true, "*"); err != nil {
		t.Errorf("in place of another: %v", err)
	}
	all, err := f.CertificateAuthorities(f.of("plant"), "plant")
	if err != nil || len(all) != 25 {
		t.Fatalf("%d, %v", len(all), err)
	}
	for i := range all[1:] {
		if all[i].Name >= all[i+1].Name {
			t.Errorf("%s stands before %s", all[i].Name, all[i+1].Name)
		}
	}
}

// What turns an authority off ends the connections that came by it, on each node, and no others; the others come back.
func TestCertificateAuthorities_closeConnections(t *testing.T) {
	ctx := context.Background()
	for what, test := range map[string]struct {
		change func(f *fixture) error
		reason access.Reason // of who comes back
	}{
		"disabled": {func(f *fixture) error { _, err := f.DisableAuthority(ctx, "ca", true); return err }, access.ReasonAuthorityDisabled},
		"deleted":  {func(f *fixture) error { return f.DeleteAuthority(ctx, "ca", "") }, access.ReasonAuthority},
		"replaced": {func(f *fixture) error {
			_, err := f.PutAuthority(ctx, "ca", f.makeAuthority("ca").Certificate.Raw, true, "*")
			return err
		}, access.ReasonChain},
		"replaced and unverified": {func(f *fixture) error {
			_, err := f.PutAuthority(ctx, "ca", f.makeAuthority("new").Certificate.Raw, false, "*")
			return err
		}, access.ReasonAuthority},
	} {
		t.Run(what, func(t *testing.T) {
			f := newFixture(t)
			ca, stays := f.makeAuthority("ca"), f.makeAuthority("stays")
			f.register("ca", ca)
			f.register("stays", stays)
			by := make(map[string][]*x509.Certificate)
			sessions := make(map[string]*session)
			for i, id := range []string{"d1", "d2", "e1", "e2"} {
				issuer := ca
				if id[0] == 'e' {
					issuer = stays
				}
				f.createCertified(id)
				by[id] = f.issue(issuer, id, time.Hour)
				var err error
				if sessions[id], err = f.connectBy(f.nodes[i%len(f.nodes)], id, by[id]); err != nil {
					t.Fatal(err)
				}
			}
			_, withToken, err := f.connect(f.createDevice("t1"))
			if err != nil {
				t.Fatal(err)
			}
			if err := test.change(f); err != nil {
				t.Fatal(err)
			}
			for id, s := range sessions {
				f.awaitClosed(s, id[0] == 'd')
			}
			if err := withToken.closed(); err != nil {
				t.Errorf("the connection of a token ends: %v", err)
			}
			for _, n := range f.nodes {
				_, err := f.connectBy(n, "d1", by["d1"])
				wantCode(t, "d1 comes back", err, hubward.CodeUnauthorizedAccess)
				if got := access.ReasonOf(err); got != test.reason {
					t.Errorf("refused because of %s, want %s", got, test.reason)
				}
				if _, err := f.connectBy(n, "e1", by["e1"]); err != nil {
					t.Errorf("e1 comes back: %v", err)
				}
			}
		})
	}
}

// awaitClosed waits until a session is closed; or sees that it is not, of which all nodes have been told by then.
func (f *fixture) awaitClosed(s *session, want bool) {
	f.t.Helper()
	for end := time.Now().Add(10 * time.Second); want && s.closed() == nil && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if err := s.closed(); (err != nil) != want || want && hubward.CodeOf(err) != hubward.CodeUnauthorizedAccess {
		f.t.Errorf("the connection has ended with %v, want %t", err, want)
	}
}

// Changes that are about something else neither close a connection nor have verified chains forgotten.
func TestCertificateAuthorities_otherChanges(t *testing.T) {
	f := newFixture(t)
	ca := f.makeAuthority("ca")
	f.register("ca", ca)
	f.createCertified("d1")
	s, err := f.connectBy(f.nodes[0], "d1", f.issue(ca, "d1", time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	stop := f.nodes[0].OnAdmissionChange(func() { told++ })
	before := f.nodes[0].AdmissionOf("plant")
	if _, err := f.CreatePolicy(t.Context(), "plant", "more", access.ServiceConnect); err != nil {
		t.Fatal(err)
	}
	if f.nodes[0].AdmissionOf("plant") != before || told != 0 || s.closed() != nil {
		t.Errorf("a new policy: admission %t, told %d times, closed: %v", f.nodes[0].AdmissionOf("plant") != before, told, s.closed())
	}
	f.register("more", f.makeAuthority("more"))
	if told != 1 || s.closed() != nil {
		t.Errorf("one more authority: told %d times, closed: %v", told, s.closed())
	}
	stop()
	f.register("third", f.makeAuthority("third"))
	if told != 1 {
		t.Error("who has stopped is told")
	}
}

// A certificate that ends takes its connection along, in the time that a token has.
func TestCertificateAuthorities_certificateEnds(t *testing.T) {
	f := newFixture(t)
	ca := f.makeAuthority("ca")
	f.register("ca", ca)
	f.createCertified("d1")
	chain := f.issue(ca, "d1", time.Hour)
	id := hubward.Identity{Device: "d1"}
	p, err := f.Authenticate(t.Context(), access.Credential{Hub: "plant", Identity: id, Certificates: chain})
	if err != nil || p.Authority() != "ca" {
		t.Fatalf("%+v, %v", p, err)
	}
	link, err := f.Connect(t.Context(), &p, hub.ConnectRequest{Identity: id, Session: &session{}})
	if err != nil || !link.CloseAfter().Equal(chain[0].NotAfter.Add(f.SASGrace())) {
		t.Fatalf("%v, %v", link, err)
	}
	f.advance(time.Hour + time.Second)
	_, err = f.Connect(t.Context(), &p, hub.ConnectRequest{Identity: id, Session: &session{}})
	wantCode(t, "an expired certificate", err, hubward.CodeUnauthorizedAccess)
	_, err = f.Authenticate(t.Context(), access.Credential{Hub: "plant", Identity: id, Certificates: chain})
	wantCode(t, "an expired certificate", err, hubward.CodeUnauthorizedAccess)
}

// What is revoked loses its connection on whatever node, whether an authority let it in or its thumbprint, and does not come back.
// An authority that is revoked takes all along that it has issued.
func TestCheckCertificates(t *testing.T) {
	f := newFixture(t)
	ca, other := f.makeAuthority("ca"), f.makeAuthority("other")
	f.register("ca", ca)
	f.register("other", other)
	by := map[string][]*x509.Certificate{
		"d1": f.issue(ca, "d1", time.Hour), "d2": f.issue(ca, "d2", time.Hour), "e1": f.issue(other, "e1", time.Hour), "pinned": f.issue(other, "x", time.Hour),
	}
	sessions := make(map[string]*session)
	for id, chain := range by {
		if id == "pinned" {
			sum := sha256.Sum256(chain[0].Raw)
			d := hubward.Device{DeviceID: id, Authentication: &hubward.Authentication{Type: hubward.AuthSelfSigned, X509Thumbprint: hubward.X509Thumbprint{
				PrimaryThumbprint: hubward.NullString(hex.EncodeToString(sum[:])),
			}}}
			if _, err := f.PutDevice(t.Context(), "plant", d, ""); err != nil {
				t.Fatal(err)
			}
		} else {
			f.createCertified(id)
		}
		var err error
		if sessions[id], err = f.connectBy(f.other(), id, chain); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		serials []*big.Int
		refused string
	}{
		{[]*big.Int{by["d1"][0].SerialNumber}, "d1"},
		{[]*big.Int{by["d1"][0].SerialNumber, by["pinned"][0].SerialNumber}, "d1 pinned"},
		{[]*big.Int{ca.Certificate.SerialNumber}, "d1 d2"}, // and the thumbprint is good again
	} {
		f.revoke(step.serials...)
		for id, chain := range by {
			refused := strings.Contains(" "+step.refused+" ", " "+id+" ")
			if s := sessions[id]; s != nil && (s.closed() != nil) != refused {
				t.Errorf("%s: %s: its connection has ended with %v", step.refused, id, s.closed())
			}
			s, err := f.connectBy(f.other(), id, chain)
			if (err != nil) != refused || refused && access.ReasonOf(err) != access.ReasonRevoked {
				t.Errorf("%s: %s comes back: %v", step.refused, id, err)
			}
			sessions[id] = s
		}
	}
}
