package device_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/hubward/hubward/device"
)

// newCSR makes a request for a certificate of that common name.
func newCSR(name string) (csr []byte, key *ecdsa.PrivateKey, err error) {
	if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, nil, err
	}
	csr, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}, key)
	return csr, key, err
}

func csrOf(t *testing.T, name string) ([]byte, *ecdsa.PrivateKey) {
	t.Helper()
	csr, key, err := newCSR(name)
	if err != nil {
		t.Fatal(err)
	}
	return csr, key
}

// authority issues certificates as a hub does.
type authority struct {
	key  *ecdsa.PrivateKey
	root *x509.Certificate
}

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root"}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	root, err := x509.ParseCertificate(der)
	return &authority{key, root}, err
}

// issue returns the text of an answer with a certificate for the request in body.
func (a *authority) issue(body []byte) (string, error) {
	var request struct{ CSR []byte }
	if err := json.Unmarshal(body, &request); err != nil {
		return "", err
	}
	csr, err := x509.ParseCertificateRequest(request.CSR)
	if err != nil {
		return "", err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: csr.Subject, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	leaf, err := x509.CreateCertificate(rand.Reader, template, a.root, csr.PublicKey, a.key)
	if err != nil {
		return "", err
	}
	answer, err := json.Marshal(map[string]any{"correlationId": "c1", "certificates": [][]byte{leaf, a.root.Raw}})
	return string(answer), err
}

func (a *authority) mustIssue(t *testing.T, body []byte) string {
	t.Helper()
	text, err := a.issue(body)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func authorityOf(t *testing.T) *authority {
	t.Helper()
	a, err := newAuthority()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func FuzzReadCertificateAnswer(f *testing.F) {
	csr, key, err := newCSR("d1")
	if err != nil {
		f.Fatal(err)
	}
	a, err := newAuthority()
	if err != nil {
		f.Fatal(err)
	}
	body, err := a.issue([]byte(`{"csr":"` + base64.StdEncoding.EncodeToString(csr) + `"}`))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(200, []byte(body))
	f.Add(200, []byte(`{"certificates":["AAAA"]}`))
	f.Add(409, []byte(`{"errorCode":409005,"info":{"requestId":"r-00","operationExpires":"2026-01-31T12:52:20.565Z"}}`))
	f.Add(503, []byte(`{"errorCode":503001,"retryAfter":-1}`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		got, err := device.ReadCertificateAnswer(key.Public(), status, body)
		if (got == nil) == (err == nil) {
			t.Fatalf("%v, %v", got, err)
		}
		if got != nil {
			if _, err := got.TLSCertificate(key); err != nil || len(got.Chain) > 10 {
				t.Fatalf("%v of %d certificates", err, len(got.Chain))
			}
			return
		}
		var refused *device.CertificateRequestError
		if errors.As(err, &refused) && refused.RetryAfter < 0 {
			t.Fatal(refused.RetryAfter)
		}
	})
}
