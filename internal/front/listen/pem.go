package listen

import (
	"crypto/tls"
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

// loadPair reads a certificate with its chain, and its key.
func loadPair(certificate, key string) (tls.Certificate, error) {
	certPEM, err := readPEM(certificate)
	if err != nil {
		return tls.Certificate{}, err
	}
	keyPEM, err := readPEM(key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(certPEM, keyPEM)
}
