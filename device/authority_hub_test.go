package device_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/device"
	"github.com/hubward/hubward/internal/testhub"
	"github.com/hubward/hubward/service"
)

// below makes an authority that a has signed.
func (a *authority) below(t *testing.T, name string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: name}, NotBefore: a.root.NotBefore, NotAfter: a.root.NotAfter,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.root, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{key, cert}
}

// client makes a client's certificate of that common name, and sends the authority's own behind it.
func (a *authority) client(t *testing.T, name string) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(4), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Minute), NotAfter: a.root.NotAfter,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.root, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der, a.root.Raw}, PrivateKey: key}
}

// The hub knows the root; the device sends its certificate and the intermediate one.
func TestHub_logsInByAuthority(t *testing.T) {
	overAll(t, func(t *testing.T, p device.Protocol, h *realHub) {
		root := authorityOf(t)
		text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.root.Raw}))
		_, err := h.service.CreateCertificateAuthority(t.Context(), testhub.Name, service.NewCertificateAuthority{Name: "root", Certificate: text, Verified: true})
		if err != nil {
			t.Fatal(err)
		}
		h.device.Authentication = &hubward.Authentication{Type: hubward.AuthCertificate}
		if h.device, err = h.service.UpdateDevice(t.Context(), *h.device); err != nil {
			t.Fatal(err)
		}
		intermediate := root.below(t, "intermediate")
		c := h.byCertificate(device.Options{Protocol: p, ClientCertificate: intermediate.client(t, h.device.DeviceID)})
		if err := c.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := c.SendTelemetry(t.Context(), &hubward.Message{Body: []byte("x")}); err != nil {
			t.Error(err)
		}
		other := h.byCertificate(device.Options{Protocol: p, ClientCertificate: intermediate.client(t, "other")})
		if err := other.Connect(t.Context()); hubward.CodeOf(err) != hubward.CodeUnauthorizedAccess {
			t.Errorf("with the certificate of another device: %v", err)
		}
	})
}
