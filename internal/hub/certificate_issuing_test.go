package hub_test

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/cluster/localcluster"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/internal/hub/certrequest"
	"github.com/hubward/hubward/internal/pki"
)

func (f *fixture) changeIssuer(change hub.IssuerChange) *hubward.CertificateIssuer {
	f.t.Helper()
	issuer, err := f.UpdateCertificateIssuer(f.t.Context(), f.of("plant"), "plant", change)
	if err != nil {
		f.t.Fatal(err)
	}
	f.changed()
	return issuer
}

func (f *fixture) enableIssuer() *hubward.CertificateIssuer {
	f.t.Helper()
	on := true
	return f.changeIssuer(hub.IssuerChange{Enabled: &on})
}

// newCSR is a signing request in PEM.
func newCSR(t *testing.T, name string) string {
	t.Helper()
	key, err := pki.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

// issueTo has the hub issue a certificate, and returns the chain.
func (f *fixture) issueTo(device string) []*x509.Certificate {
	f.t.Helper()
	issued, err := f.other().IssueCertificate(f.t.Context(), f.of("plant"), "plant", device, newCSR(f.t, device))
	if err != nil {
		f.t.Fatal(err)
	}
	chain, err := pki.ParseCertificates([]byte(issued.Certificates))
	if err != nil || len(chain) != 3 || !issued.Expiry.Equal(chain[0].NotAfter) {
		f.t.Fatalf("%d certificates, %v, %v", len(chain), issued.Expiry, err)
	}
	return chain
}

func (f *fixture) wantRefused(what, id string, chain []*x509.Certificate) {
	f.t.Helper()
	for _, n := range f.nodes {
		_, err := f.connectBy(n, id, chain)
		wantCode(f.t, what, err, hubward.CodeUnauthorizedAccess)
	}
}

func TestCertificateIssuer_settings(t *testing.T) {
	f := newFixture(t)
	want := &hubward.CertificateIssuer{Validity: "2160h0m0s", Keys: certrequest.KeyKinds}
	if got, err := f.CertificateIssuer(f.of("plant"), "plant"); err != nil || !cmp.Equal(got, want) {
		t.Fatalf("%+v, %v", got, err)
	}
	made := f.enableIssuer()
	if !made.Enabled || made.Certificate == "" || made.Root == "" || !made.Expiry.After(f.clock().AddDate(2, 11, 0)) {
		t.Errorf("%+v", made)
	}
	off := false
	changed := f.changeIssuer(hub.IssuerChange{Enabled: &off, Validity: time.Hour, Keys: []string{"ec-p384"}})
	want = &hubward.CertificateIssuer{Validity: "1h0m0s", Keys: []string{"ec-p384"}, Certificate: made.Certificate, Root: made.Root, Expiry: made.Expiry}
	if diff := cmp.Diff(want, changed); diff != "" {
		t.Error(diff)
	}
	for _, n := range f.nodes {
		if got, err := n.CertificateIssuer(f.of("plant"), "plant"); err != nil || !cmp.Equal(got, want) {
			t.Errorf("%+v, %v", got, err)
		}
	}
	for _, d := range []struct {
		validity time.Duration
		ok       bool
	}{{time.Hour - 1, false}, {time.Hour, true}, {365 * 24 * time.Hour, true}, {365*24*time.Hour + 1, false}} {
		_, err := f.UpdateCertificateIssuer(t.Context(), f.of("plant"), "plant", hub.IssuerChange{Validity: d.validity})
		if (err == nil) != d.ok {
			t.Errorf("%s: %v", d.validity, err)
		}
	}
	for _, keys := range [][]string{{}, {"ec-p224"}, {"ec-p256", "ec-p256"}} {
		_, err := f.UpdateCertificateIssuer(t.Context(), f.of("plant"), "plant", hub.IssuerChange{Keys: keys})
		wantCode(t, "keys", err, hubward.CodeArgumentInvalid)
	}
}

// A certificate lets the device in that had keys or a thumbprint, from its first use on in their place: also without those above it.
func TestIssueCertificate_firstUse(t *testing.T) {
	for name, auth := range map[string]*hubward.Authentication{
		"keys":       nil,
		"thumbprint": {Type: hubward.AuthSelfSigned, X509Thumbprint: hubward.X509Thumbprint{PrimaryThumbprint: "0123456789012345678901234567890123456789"}},
		"authority":  {Type: hubward.AuthCertificate},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.enableIssuer()
			before, err := f.PutDevice(t.Context(), "plant", hubward.Device{DeviceID: "d1", Authentication: auth}, "")
			if err != nil {
				t.Fatal(err)
			}
			chain := f.issueTo("d1")
			if d, err := f.Device(t.Context(), "plant", "d1"); err != nil || !cmp.Equal(d.Authentication, before.Authentication) {
				t.Fatalf("before its first use: %+v, %v", d.Authentication, err)
			}
			var old *session
			if auth == nil {
				if _, old, err = f.connect(before); err != nil {
					t.Fatal(err)
				}
			}
			for _, n := range f.nodes {
				for _, shown := range [][]*x509.Certificate{chain[:1], chain[:2], chain} {
					if _, err := f.connectBy(n, "d1", shown); err != nil {
						t.Fatalf("with %d certificates: %v", len(shown), err)
					}
				}
			}
			d, err := f.Device(t.Context(), "plant", "d1")
			if err != nil || *d.Authentication != (hubward.Authentication{Type: hubward.AuthCertificate}) || (d.ETag == before.ETag) != (name == "authority") {
				t.Errorf("%+v, %v", d, err)
			}
			if old != nil {
				f.awaitClosed(old, true) // its keys are no more
			}
			if auth == nil {
				_, _, err = f.connect(before)
				wantCode(t, "the keys of before", err, hubward.CodeUnauthorizedAccess)
			}
		})
	}
}

// What an operator makes of a device's way to log in stands, whatever was issued before.
func TestIssueCertificate_laterChangesStand(t *testing.T) {
	f := newFixture(t)
	f.enableIssuer()
	f.createDevice("d1")
	put := func(auth *hubward.Authentication) {
		t.Helper()
		if _, err := f.PutDevice(t.Context(), "plant", hubward.Device{DeviceID: "d1", Authentication: auth}, "*"); err != nil {
			t.Fatal(err)
		}
	}
	chain := f.issueTo("d1")
	put(nil) // with new keys
	f.wantRefused("the device has new keys", "d1", chain)
	chain = f.issueTo("d1")
	if _, err := f.connectBy(f.nodes[0], "d1", chain); err != nil {
		t.Fatal(err)
	}
	put(nil)
	f.wantRefused("the device has keys again", "d1", chain)
	put(&hubward.Authentication{Type: hubward.AuthCertificate})
	if _, err := f.connectBy(f.nodes[0], "d1", chain); err != nil {
		t.Error(err)
	}
	f.createDevice("d2")
	f.wantRefused("the certificate is of d1", "d2", chain)
	if err := f.DeleteDevice(t.Context(), "plant", "d1", "*"); err != nil {
		t.Fatal(err)
	}
	f.createDevice("d1")
	f.wantRefused("a later device of the name", "d1", chain)
}

func TestIssueCertificate_refusals(t *testing.T) {
	f := newFixture(t)
	f.createDevice("d1")
	issue := func(device, csr string) error {
		_, err := f.Hub.IssueCertificate(t.Context(), f.of("plant"), "plant", device, csr)
		return err
	}
	wantCode(t, "off", issue("d1", newCSR(t, "d1")), hubward.CodeCredentialPreconditionFailed)
	f.enableIssuer()
	wantCode(t, "of another", issue("d1", newCSR(t, "d2")), hubward.CodeArgumentInvalid)
	wantCode(t, "no device", issue("d2", newCSR(t, "d2")), hubward.CodeDeviceNotFound)
	for _, csr := range []string{"", "-", "AAAA", string(pki.EncodeCertificates(f.makeAuthority("d1").Certificate))} {
		wantCode(t, "no request", issue("d1", csr), hubward.CodeArgumentInvalid)
	}
	f.changeIssuer(hub.IssuerChange{Keys: []string{"rsa-2048"}})
	wantCode(t, "an unwanted key", issue("d1", newCSR(t, "d1")), hubward.CodeArgumentInvalid)
}

// Who may write to a hub's registry may have certificates issued there.
func TestIssueCertificate_byRegistryWrite(t *testing.T) {
	f := newFixture(t)
	f.enableIssuer()
	f.createDevice("d1")
	for policy, may := range map[string]bool{"registryReadWrite": true, "registryRead": false, "service": false} {
		p, err := f.Authenticate(t.Context(), access.Credential{Token: f.policyToken(policy, "plant.example")})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Hub.IssueCertificate(t.Context(), &p, "plant", "d1", newCSR(t, "d1")); (err == nil) != may {
			t.Errorf("%s: %v", policy, err)
		}
		if _, err := f.Hub.IssueCertificate(t.Context(), &p, "elsewhere", "d1", newCSR(t, "d1")); err == nil {
			t.Errorf("%s in another hub", policy)
		}
	}
}

// The authority is made anew before it would cut certificates short, and those that it has issued before stay good.
func TestCertificateIssuer_renewal(t *testing.T) {
	f := newFixture(t)
	first := f.enableIssuer()
	f.changeIssuer(hub.IssuerChange{Validity: 365 * 24 * time.Hour})
	f.createCertified("d1")
	const margin = (365 + 30) * 24 * time.Hour
	f.advance(first.Expiry.Sub(f.clock()) - margin)
	early := f.issueTo("d1")
	if string(pki.EncodeCertificates(early[1])) != first.Certificate {
		t.Error("it was made anew while there was time")
	}
	f.advance(time.Second)
	late := f.issueTo("d1")
	f.changed()
	if late[1].Equal(early[1]) || !late[2].Equal(early[2]) || late[0].NotAfter.Sub(f.clock()) != 365*24*time.Hour {
		t.Errorf("the authority is %s, the certificate ends %s", late[1].Subject, late[0].NotAfter)
	}
	for _, n := range f.nodes {
		for _, chain := range [][]*x509.Certificate{early[:1], late[:1]} {
			if _, err := f.connectBy(n, "d1", chain); err != nil {
				t.Error(err)
			}
		}
	}
	f.advance(late[2].NotAfter.Sub(f.clock()) - 2*365*24*time.Hour)
	if last := f.issueTo("d1"); last[2].Equal(early[2]) {
		t.Error("the root was not made anew")
	}
	f.changed()
	c, err := f.HubOf("plant")
	if err != nil || len(c.Issuing.Former) != 0 {
		t.Errorf("authorities that have ended are kept: %d, %v", len(c.Issuing.Former), err)
	}
}

// Who is switched off issues none, and takes none away; without its authority nobody stays.
func TestCertificateIssuer_end(t *testing.T) {
	f := newFixture(t)
	f.enableIssuer()
	f.createDevice("d1")
	chain := f.issueTo("d1")
	s, err := f.connectBy(f.other(), "d1", chain)
	if err != nil {
		t.Fatal(err)
	}
	off := false
	f.changeIssuer(hub.IssuerChange{Enabled: &off})
	f.awaitClosed(s, false)
	if s, err = f.connectBy(f.other(), "d1", chain); err != nil {
		t.Fatal(err)
	}
	if err := f.DeleteCertificateIssuer(t.Context(), f.of("plant"), "plant"); err != nil {
		t.Fatal(err)
	}
	f.changed()
	f.awaitClosed(s, true)
	f.wantRefused("its authority is no more", "d1", chain)
	f.enableIssuer()
	f.wantRefused("another authority", "d1", chain)
}

func TestIssueCertificate_revoked(t *testing.T) {
	f := newFixture(t)
	f.enableIssuer()
	f.createDevice("d1")
	revoked, good := f.issueTo("d1"), f.issueTo("d1")
	h, err := hub.Open(context.Background(), hub.Options{
		Store: f.store, Log: f.log, Cluster: localcluster.New(localcluster.Options{Epoch: 2}), Now: f.clock,
		Revoked: func(p *access.Path) bool { return p.Certificates[0].SerialNumber.Cmp(revoked[0].SerialNumber) == 0 },
	})
	if err != nil {
		t.Fatal(err)
	}
	node := api{h, func() {}}
	_, err = f.connectBy(node, "d1", revoked)
	wantCode(t, "before its first use", err, hubward.CodeUnauthorizedAccess)
	if _, err := f.connectBy(node, "d1", good); err != nil {
		t.Error(err)
	}
	_, err = f.connectBy(node, "d1", revoked)
	if wantCode(t, "revoked", err, hubward.CodeUnauthorizedAccess); access.ReasonOf(err) != access.ReasonRevoked {
		t.Errorf("refused because of %s", access.ReasonOf(err))
	}
}
