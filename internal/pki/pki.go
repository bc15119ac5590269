// Package pki reads and makes certificates and their keys: those of authorities, of devices, and the proofs that somebody holds an
// authority's key. Clock and randomness are passed in, and files are the caller's.
package pki

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// MaxCertificate bounds the text of a certificate that is read, in bytes.
const MaxCertificate = 64 << 10

// ParseCertificate reads one certificate: PEM or DER, or base64 of either.
func ParseCertificate(text []byte) (*x509.Certificate, error) {
	if len(text) > MaxCertificate {
		return nil, fmt.Errorf("it has %d bytes, a certificate has up to %d", len(text), MaxCertificate)
	}
	if raw, err := base64.StdEncoding.DecodeString(withoutSpace(text)); err == nil && len(raw) > 0 {
		text = raw
	}
	if block, _ := pem.Decode(text); block == nil {
		c, err := x509.ParseCertificate(text)
		if err != nil {
			return nil, fmt.Errorf("it is no certificate, in PEM or in DER: %w", err)
		}
		return c, nil
	}
	certs, err := ParseCertificates(text)
	if err != nil {
		return nil, err
	}
	if len(certs) != 1 {
		return nil, fmt.Errorf("it holds %d certificates, give one", len(certs))
	}
	return certs[0], nil
}

func withoutSpace(text []byte) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' || r == '\t' || r == '\r' || r == '\n' {
			return -1
		}
		return r
	}, string(text))
}

// ParseCertificates reads the certificates of a PEM text, one at least. Anything else in it is refused: a key that was pasted along
// is better not sent anywhere.
func ParseCertificates(text []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		text = rest
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("it holds a %.40q beside certificates", strings.ToLower(block.Type))
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certs = append(certs, c)
	}
	if len(certs) == 0 {
		return nil, errors.New("it holds no certificate in PEM")
	}
	return certs, nil
}

// ParseKey reads the first private key of a PEM text: PKCS #8, or the older forms of RSA and of elliptic curves.
func ParseKey(text []byte) (crypto.Signer, error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		var key any
		var err error
		switch block.Type {
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "ENCRYPTED PRIVATE KEY":
			return nil, errors.New("the key has a pass phrase: take that off, openssl pkey does")
		default:
			continue // parameters of a curve, a certificate
		}
		if err != nil {
			return nil, err
		}
		signer, ok := key.(crypto.Signer)
		if !ok {
			return nil, errors.New("the key is of a kind that signs nothing")
		}
		return signer, nil
	}
	return nil, errors.New("it holds no private key in PEM")
}

// EncodeCertificates writes certificates as PEM.
func EncodeCertificates(certs ...*x509.Certificate) []byte {
	var out bytes.Buffer
	for _, c := range certs {
		out.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	return out.Bytes()
}

// EncodeKey writes a key as PEM, in PKCS #8.
func EncodeKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
