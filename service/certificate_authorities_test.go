package service_test

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/pki"
	"github.com/hubward/hubward/internal/testhub"
	"github.com/hubward/hubward/service"
)

func TestCertificateAuthorities_againstAHub(t *testing.T) {
	ctx := t.Context()
	h := testhub.Start(t)
	c := newHubClient(t, h, "iothubowner")
	ca, err := pki.MakeAuthority("Plant CA", time.Now(), time.Hour, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text := string(pki.EncodeCertificates(ca.Certificate))
	made, err := c.CreateCertificateAuthority(ctx, testhub.Name, service.NewCertificateAuthority{Name: "ca", Certificate: text})
	if err != nil || made.Verified || made.Certificate != text || made.Subject != "CN=Plant CA" {
		t.Fatalf("%+v, %v", made, err)
	}
	coded, err := c.CreateVerificationCode(ctx, testhub.Name, "ca")
	if err != nil || coded.VerificationCode == "" {
		t.Fatalf("%+v, %v", coded, err)
	}
	proof, err := ca.Prove(coded.VerificationCode, time.Now(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := c.VerifyCertificateAuthority(ctx, testhub.Name, "ca", string(pki.EncodeCertificates(proof))); err != nil || !v.Verified {
		t.Errorf("%+v, %v", v, err)
	}
	disabled, err := c.DisableCertificateAuthority(ctx, testhub.Name, "ca", true)
	if err != nil || !disabled.Disabled {
		t.Errorf("%+v, %v", disabled, err)
	}
	got, err := c.CertificateAuthority(ctx, testhub.Name, "ca")
	if diff := cmp.Diff(disabled, got); err != nil || diff != "" {
		t.Errorf("%s, %v", diff, err)
	}
	if all, err := c.CertificateAuthorities(ctx, testhub.Name); err != nil || len(all) != 1 || all[0] != *got {
		t.Errorf("%+v, %v", all, err)
	}
	for what, test := range map[string]struct {
		n    service.NewCertificateAuthority
		want hubward.Code
	}{
		"one that is there":  {service.NewCertificateAuthority{Name: "ca", Certificate: text}, hubward.CodePreconditionFailed},
		"another etag":       {service.NewCertificateAuthority{Name: "ca", Certificate: text, ETag: made.ETag}, hubward.CodePreconditionFailed},
		"the same elsewhere": {service.NewCertificateAuthority{Name: "other", Certificate: text}, hubward.CodeArgumentInvalid},
		"no certificate":     {service.NewCertificateAuthority{Name: "other"}, hubward.CodeArgumentInvalid},
		"no name":            {service.NewCertificateAuthority{Certificate: text}, hubward.CodeArgumentInvalid},
	} {
		if _, err := c.CreateCertificateAuthority(ctx, testhub.Name, test.n); hubward.CodeOf(err) != test.want {
			t.Errorf("%s: %v, want %v", what, err, test.want)
		}
	}
	if again, err := c.CreateCertificateAuthority(ctx, testhub.Name, service.NewCertificateAuthority{Name: "ca", Certificate: text, ETag: got.ETag}); err != nil || !again.Verified {
		t.Errorf("%+v, %v", again, err)
	}
	if err := c.DeleteCertificateAuthority(ctx, testhub.Name, "ca", service.AnyETag); err != nil {
		t.Error(err)
	}
	if err := c.DeleteCertificateAuthority(ctx, testhub.Name, "ca", service.AnyETag); hubward.CodeOf(err) != hubward.CodeNoSuchAuthority {
		t.Errorf("one that is gone: %v", err)
	}
	if _, err := newHubClient(t, h, "service").CertificateAuthorities(ctx, testhub.Name); hubward.CodeOf(err) != hubward.CodeUnauthorizedAccess {
		t.Errorf("another policy: %v", err)
	}
}
