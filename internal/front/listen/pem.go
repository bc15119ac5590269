package listen

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"github.com/hubward/hubward/internal/utf8text"
)

// readPEM reads a file of PEM blocks. A byte order mark would hide the first of them.
func readPEM(file string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if text, err = utf8text.SkipMark(text); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return text, nil
}

// loadPair reads a certificate with its chain, and its key. A root at the chain's end is left out: who trusts it has it
// (RFC 8446 4.4.2), and others are told by some clients that the certificate is self-signed, which it is not.
func loadPair(certificate, key string) (*tls.Certificate, error) {
	certPEM, err := readPEM(certificate)
	if err != nil {
		return nil, err
	}
	keyPEM, err := readPEM(key)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, err
	}
	last := len(pair.Certificate) - 1
	if last == 0 {
		return &pair, nil
	}
	if root, err := x509.ParseCertificate(pair.Certificate[last]); err == nil && root.CheckSignatureFrom(root) == nil {
		pair.Certificate = pair.Certificate[:last]
	}
	return &pair, nil
}
