//go:build interop

package interop_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/sas"
)

// certificate is one with its key.
type certificate struct {
	*x509.Certificate
	key *ecdsa.PrivateKey
}

// certificateOf makes a certificate for a client, or with ca for an authority, that issuer has signed; without issuer it is
// self-signed. change may change what it is to have.
func certificateOf(t *testing.T, commonName string, ca bool, issuer *certificate, change func(*x509.Certificate)) *certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: commonName}, BasicConstraintsValid: true, IsCA: ca,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if ca {
		template.KeyUsage, template.ExtKeyUsage = x509.KeyUsageCertSign, nil
	}
	if change != nil {
		change(template)
	}
	parent, signer := template, key
	if issuer != nil {
		parent, signer = issuer.Certificate, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &certificate{made, key}
}

// chainPEM is what a client sends: its certificate, then the others.
func chainPEM(chain ...*certificate) string {
	var text bytes.Buffer
	for _, c := range chain {
		_ = pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}) // to memory
	}
	return text.String()
}

func (c *certificate) keyPEM(t *testing.T) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// credentials are what the identities of the table log in with.
type credentials struct {
	policyKey    string
	root         *certificate // the hub knows it
	intermediate *certificate // the hub does not

	mu         sync.Mutex // guards what follows
	selfSigned map[string]*certificate
}

func newCredentials(t *testing.T) *credentials {
	t.Helper()
	root := certificateOf(t, "table root", true, nil, nil)
	registerAuthority(t, "table", root)
	return &credentials{
		policyKey: policyKey(t, "device"), root: root, intermediate: certificateOf(t, "table intermediate", true, root, nil),
		selfSigned: map[string]*certificate{},
	}
}

// managed makes one of the management calls for the first hub.
func managed(t *testing.T, method, path string, request, answer any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), callWithin)
	defer cancel()
	if err := hub.Do(ctx, method, "/$hubward/hubs/hubward"+path, request, "", answer); err != nil {
		t.Fatal(err)
	}
}

// registerAuthority has the hub let in what an authority issues, until the test ends.
func registerAuthority(t *testing.T, name string, authority *certificate) {
	t.Helper()
	managed(t, http.MethodPut, "/certificates/"+name, map[string]any{"certificate": chainPEM(authority), "isVerified": true}, nil)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), callWithin)
		defer cancel()
		if err := hub.Do(ctx, http.MethodDelete, "/$hubward/hubs/hubward/certificates/"+name, nil, "*", nil); err != nil {
			t.Error(err)
		}
	})
}

// policyKey returns the primary key of a shared access policy.
func policyKey(t *testing.T, name string) string {
	t.Helper()
	var policies []struct{ Name, PrimaryKey string }
	managed(t, http.MethodGet, "/policies", nil, &policies)
	for _, p := range policies {
		if p.Name == name {
			return p.PrimaryKey
		}
	}
	t.Fatalf("there is no policy %s in %v", name, policies)
	return ""
}

// authentication is what the registry is to know of a cell's identity. A device's thumbprint is its primary one and of SHA-256,
// a module's its secondary one and of SHA-1.
func (s *credentials) authentication(t *testing.T, c cell) *hubward.Authentication {
	t.Helper()
	switch c.credential {
	case withThumbprint:
		made := certificateOf(t, "whoever", false, nil, nil)
		s.mu.Lock()
		s.selfSigned[c.String()] = made
		s.mu.Unlock()
		return &hubward.Authentication{Type: hubward.AuthSelfSigned, X509Thumbprint: thumbprints(made, c.module)}
	case withAuthority:
		return &hubward.Authentication{Type: hubward.AuthCertificate}
	}
	return &hubward.Authentication{Type: hubward.AuthSAS} // with keys that the hub makes
}

func thumbprints(c *certificate, second bool) hubward.X509Thumbprint {
	if second {
		sum := sha1.Sum(c.Raw)
		return hubward.X509Thumbprint{
			PrimaryThumbprint: hubward.NullString(strings.Repeat("0", 40)), SecondaryThumbprint: hubward.NullString(hex.EncodeToString(sum[:])),
		}
	}
	sum := sha256.Sum256(c.Raw)
	return hubward.X509Thumbprint{PrimaryThumbprint: hubward.NullString(strings.ToUpper(hex.EncodeToString(sum[:])))}
}

// open is the command to connect as a cell's identity, whose own key is key.
func (s *credentials) open(t *testing.T, c cell, key string) fields {
	t.Helper()
	command := fields{"client": c.String(), "transport": c.transport, "host": hostOf(c.sdk), "device": c.String()}
	resource, name := hostOf(c.sdk)+"/devices/"+c.String(), c.String()
	if c.module {
		command["module"] = moduleName
		resource, name = resource+"/modules/"+moduleName, name+"/"+moduleName
	}
	switch c.credential {
	case withKey:
		command["key"] = key
	case withPolicy:
		token, err := sas.Sign(resource, s.policyKey, "device", time.Now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		command["token"] = token
	case withThumbprint:
		s.mu.Lock()
		own := s.selfSigned[c.String()]
		s.mu.Unlock()
		command["certificate"], command["privateKey"] = chainPEM(own), own.keyPEM(t)
	case withAuthority:
		own := certificateOf(t, name, false, s.intermediate, nil)
		command["certificate"], command["privateKey"] = chainPEM(own, s.intermediate), own.keyPEM(t)
	}
	return command
}

// hostOf is the name by which an SDK reaches the hub.
func hostOf(sdk string) string {
	if sdk == "java" {
		return dottedHost
	}
	return "localhost"
}
