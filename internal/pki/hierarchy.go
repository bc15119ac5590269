package pki

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"time"
)

// MakeRoot makes an authority with a key and a self-signed certificate of its own, below which there are authorities that issue.
func MakeRoot(name pkix.Name, now time.Time, life time.Duration, random io.Reader) (*Authority, error) {
	key, err := NewKey(random)
	if err != nil {
		return nil, err
	}
	template := authorityTemplate(name, now, now.Add(life))
	template.MaxPathLen = 1
	cert, err := sign(template, template, key.Public(), key, random)
	return &Authority{cert, key}, err
}

// MakeIssuer makes an authority below a, with a key of its own, from which certificates of devices are issued. It ends with a, if
// not before.
func (a *Authority) MakeIssuer(name pkix.Name, now time.Time, life time.Duration, random io.Reader) (*Authority, error) {
	key, err := NewKey(random)
	if err != nil {
		return nil, err
	}
	until := now.Add(life)
	if until.After(a.Certificate.NotAfter) {
		until = a.Certificate.NotAfter
	}
	template := authorityTemplate(name, now, until)
	template.MaxPathLenZero = true
	cert, err := sign(template, a.Certificate, key.Public(), a.Key, random)
	return &Authority{cert, key}, err
}

func authorityTemplate(name pkix.Name, now, until time.Time) *x509.Certificate {
	return &x509.Certificate{
		Subject: name, NotBefore: now.Add(-backdate), NotAfter: until,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
}

// ParsePKCS8 reads a private key in the DER of PKCS #8.
func ParsePKCS8(der []byte) (crypto.Signer, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("the key is of a kind that signs nothing")
	}
	return signer, nil
}
