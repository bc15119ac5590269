package service_test

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/pki"
	"github.com/hubward/hubward/internal/testhub"
	"github.com/hubward/hubward/service"
)

func TestCertificateIssuer_againstAHub(t *testing.T) {
	ctx := t.Context()
	h := testhub.Start(t)
	c := newHubClient(t, h, "iothubowner")
	const id = "d#1/%"
	h.CreateDevice("d#1%")
	key, err := pki.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "d#1%"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	csr := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	if got, err := c.CertificateIssuer(ctx, testhub.Name); err != nil || got.Enabled || got.Validity != "2160h0m0s" || len(got.Keys) != 6 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := c.IssueCertificate(ctx, testhub.Name, "d#1%", csr); hubward.CodeOf(err) != hubward.CodeCredentialPreconditionFailed {
		t.Errorf("off: %v", err)
	}
	on, off := true, false
	made, err := c.UpdateCertificateIssuer(ctx, testhub.Name, service.CertificateIssuerChange{Enabled: &on, Validity: 36 * time.Hour, Keys: []string{"ec-p256"}})
	if err != nil || !made.Enabled || made.Validity != "36h0m0s" || !cmp.Equal(made.Keys, []string{"ec-p256"}) || made.Certificate == "" {
		t.Fatalf("%+v, %v", made, err)
	}
	writer := newHubClient(t, h, "registryReadWrite")
	for _, text := range []string{csr, base64.StdEncoding.EncodeToString(der)} {
		issued, err := writer.IssueCertificate(ctx, testhub.Name, "d#1%", text)
		if err != nil {
			t.Fatal(err)
		}
		chain, err := pki.ParseCertificates([]byte(issued.Certificates))
		if err != nil || len(chain) != 3 || chain[0].Subject.CommonName != "d#1%" || !pki.Matches(chain[0], key) || string(pki.EncodeCertificates(chain[2])) != made.Root {
			t.Errorf("%+v, %v", issued, err)
		}
	}
	for device, want := range map[string]hubward.Code{id: hubward.CodeArgumentInvalid, "d2": hubward.CodeDeviceNotFound} {
		if _, err := c.IssueCertificate(ctx, testhub.Name, device, csr); hubward.CodeOf(err) != want {
			t.Errorf("%s: %v, want %v", device, err, want)
		}
	}
	if _, err := c.UpdateCertificateIssuer(ctx, testhub.Name, service.CertificateIssuerChange{Keys: []string{"dsa"}}); hubward.CodeOf(err) != hubward.CodeArgumentInvalid {
		t.Errorf("keys: %v", err)
	}
	if _, err := c.UpdateCertificateIssuer(ctx, testhub.Name, service.CertificateIssuerChange{Enabled: &off}); err != nil {
		t.Error(err)
	}
	made.Enabled = false
	if got, err := c.CertificateIssuer(ctx, testhub.Name); err != nil || !cmp.Equal(got, made) {
		t.Errorf("%+v, %v", got, err)
	}
	if err := c.DeleteCertificateIssuer(ctx, testhub.Name); err != nil {
		t.Error(err)
	}
	if got, err := c.CertificateIssuer(ctx, testhub.Name); err != nil || got.Certificate != "" {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := writer.CertificateIssuer(ctx, testhub.Name); hubward.CodeOf(err) != hubward.CodeUnauthorizedAccess {
		t.Errorf("another policy: %v", err)
	}
}
