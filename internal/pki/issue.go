package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"time"
)

// backdate forgives devices whose clocks are behind: a certificate is valid from a little before it is made.
const backdate = 10 * time.Minute

// Authority is the certificate of an authority with the key that signs.
type Authority struct {
	Certificate *x509.Certificate
	Key         crypto.Signer
}

// NewAuthority sees that a key is that of an authority's certificate.
func NewAuthority(cert *x509.Certificate, key crypto.Signer) (*Authority, error) {
	if !cert.IsCA || !cert.BasicConstraintsValid {
		return nil, errors.New("the certificate is not an authority's")
	}
	if !Matches(cert, key) {
		return nil, errors.New("the key is not that of the certificate")
	}
	return &Authority{cert, key}, nil
}

// Matches reports whether key is that of a certificate.
func Matches(cert *x509.Certificate, key crypto.Signer) bool {
	public, ok := cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(key.Public())
}

// NewKey makes a key, ECDSA on P-256.
func NewKey(random io.Reader) (crypto.Signer, error) {
	return ecdsa.GenerateKey(elliptic.P256(), random)
}

// MakeAuthority makes an authority with a key and a self-signed certificate of its own, from which certificates of devices are
// issued, with no authority between.
func MakeAuthority(name string, now time.Time, life time.Duration, random io.Reader) (*Authority, error) {
	key, err := NewKey(random)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-backdate), NotAfter: now.Add(life),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	cert, err := sign(template, template, key.Public(), key, random)
	return &Authority{cert, key}, err
}

// Issue makes a certificate with which a client authenticates. It ends with the authority's, if not before.
func (a *Authority) Issue(commonName string, public crypto.PublicKey, now time.Time, life time.Duration, random io.Reader) (*x509.Certificate, error) {
	if now.After(a.Certificate.NotAfter) {
		return nil, fmt.Errorf("the authority's certificate has expired on %s", a.Certificate.NotAfter.Format(time.RFC3339))
	}
	template := clientTemplate(commonName, now, life)
	if template.NotAfter.After(a.Certificate.NotAfter) {
		template.NotAfter = a.Certificate.NotAfter
	}
	return sign(template, a.Certificate, public, a.Key, random)
}

// SelfSigned makes a certificate with which a client authenticates whose hub knows the thumbprint.
func SelfSigned(commonName string, key crypto.Signer, now time.Time, life time.Duration, random io.Reader) (*x509.Certificate, error) {
	template := clientTemplate(commonName, now, life)
	return sign(template, template, key.Public(), key, random)
}

// Prove makes the proof that somebody holds the authority's key: a certificate with a verification code as its common name.
func (a *Authority) Prove(code string, now time.Time, random io.Reader) (*x509.Certificate, error) {
	key, err := NewKey(random)
	if err != nil {
		return nil, err
	}
	return a.Issue(code, key.Public(), now, time.Hour, random)
}

func clientTemplate(commonName string, now time.Time, life time.Duration) *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: commonName}, NotBefore: now.Add(-backdate), NotAfter: now.Add(life),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
}

func sign(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer, random io.Reader) (*x509.Certificate, error) {
	serial := make([]byte, 16)
	if _, err := io.ReadFull(random, serial); err != nil {
		return nil, err
	}
	serial[0] = serial[0]&0x3f | 0x40 // positive, and of 16 bytes: RFC 5280 4.1.2.2 allows 20
	template.SerialNumber = new(big.Int).SetBytes(serial)
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(der)
	template.SubjectKeyId = sum[:20] // RFC 7093 2, method 1
	if der, err = x509.CreateCertificate(random, template, parent, public, key); err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
