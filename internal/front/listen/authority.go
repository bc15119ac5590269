package listen

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Lifetimes of our certificates. 825 days is the most that platforms accept from a server, whoever issued it.
const (
	authorityLife = 10 * 365 * 24 * time.Hour
	serverLife    = 825 * 24 * time.Hour
	renewBefore   = 30 * 24 * time.Hour
	// backdate forgives devices whose clocks are behind: they connect before they have asked for the time.
	backdate = 24 * time.Hour
)

const (
	organization  = "Hubward"
	maxCommonName = 64 // RFC 5280 A.1, ub-common-name
	rsaBits       = 2048
)

// The kinds of server key. The authority's own key is always ECDSA P-256.
const (
	KeyECDSA = "ecdsa"
	KeyRSA   = "rsa"
)

// authority is a certificate with the key that signs with it.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer // nil when the key file has been taken away: nothing new can be issued
}

// openAuthority reads ca.pem and ca-key.pem in dir, and makes both when there is no ca.pem.
func openAuthority(dir string, now time.Time, random io.Reader) (*authority, bool, error) {
	cert, err := readCertificate(filepath.Join(dir, caFile))
	if errors.Is(err, fs.ErrNotExist) {
		a, err := newAuthority(now, random)
		if err != nil {
			return nil, false, err
		}
		return a, true, a.save(dir)
	}
	if err != nil {
		return nil, false, err
	}
	if !cert.IsCA {
		return nil, false, fmt.Errorf("%s: is not the certificate of an authority", filepath.Join(dir, caFile))
	}
	key, err := readKey(filepath.Join(dir, caKeyFile))
	if errors.Is(err, fs.ErrNotExist) {
		return &authority{cert: cert}, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	if public, ok := cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(key.Public()) {
		return nil, false, fmt.Errorf("%s: is not the key of %s", filepath.Join(dir, caKeyFile), caFile)
	}
	return &authority{cert: cert, key: key}, false, nil
}

func newAuthority(now time.Time, random io.Reader) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), random)
	if err != nil {
		return nil, err
	}
	serial, err := newSerial(random)
	if err != nil {
		return nil, err
	}
	// The serial number in the name keeps two authorities apart in a trust store that looks issuers up by name.
	name := pkix.Name{Organization: []string{organization}, CommonName: "Hubward CA " + hex.EncodeToString(serial.Bytes()[:4])}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: name,
		NotBefore: now.Add(-backdate), NotAfter: now.Add(authorityLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	cert, err := sign(random, template, template, key.Public(), key)
	return &authority{cert: cert, key: key}, err
}

// save writes the key first: a certificate in the folder promises that it can issue.
func (a *authority) save(dir string) error {
	key, err := encodeKey(a.key)
	if err != nil {
		return err
	}
	if err := ReplaceFile(filepath.Join(dir, caKeyFile), key, 0o600); err != nil {
		return err
	}
	return ReplaceFile(filepath.Join(dir, caFile), encodeCertificates(a.cert), 0o644)
}

// issue makes a server certificate for key and names, which are DNS names (a leading "*." included) and IP addresses. The
// first one becomes the common name.
func (a *authority) issue(names []string, key crypto.Signer, now time.Time, random io.Reader) (*x509.Certificate, error) {
	if now.After(a.cert.NotAfter) {
		return nil, fmt.Errorf("the authority in %s ended on %s: move the folder's %s and %s away to have a new one made, which clients must then trust",
			caFile, a.cert.NotAfter.Format(time.DateOnly), caFile, caKeyFile)
	}
	serial, err := newSerial(random)
	if err != nil {
		return nil, err
	}
	id, err := keyID(key.Public())
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{Organization: []string{organization}, CommonName: commonName(names)},
		NotBefore: now.Add(-backdate), NotAfter: earlier(now.Add(serverLife-backdate), a.cert.NotAfter),
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		SubjectKeyId:          id,
	}
	if _, ok := key.(*rsa.PrivateKey); ok {
		template.KeyUsage |= x509.KeyUsageKeyEncipherment
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	return sign(random, template, a.cert, key.Public(), a.key)
}

func sign(random io.Reader, template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(random, template, parent, public, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func newKey(keyType string, random io.Reader) (crypto.Signer, error) {
	if keyType == KeyRSA {
		return rsa.GenerateKey(random, rsaBits)
	}
	return ecdsa.GenerateKey(elliptic.P256(), random)
}

// newSerial returns a positive number of 16 bytes whose first byte is neither zero nor above 127, so that its DER form
// has 16 bytes as well (RFC 5280 4.1.2.2 allows 20).
func newSerial(random io.Reader) (*big.Int, error) {
	b := make([]byte, 16)
	if _, err := io.ReadFull(random, b); err != nil {
		return nil, err
	}
	b[0] = b[0]&0x3f | 0x40
	return new(big.Int).SetBytes(b), nil
}

// keyID is the subject key identifier: SHA-256 of the public key, cut to 20 bytes (RFC 7093 2, method 1). The library
// fills it in for authorities only.
func keyID(public crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(der)
	return sum[:20], nil
}

func commonName(names []string) string {
	for _, name := range names {
		if len(name) <= maxCommonName {
			return name
		}
	}
	return "hubward"
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func readCertificate(file string) (*x509.Certificate, error) {
	text, err := readPEM(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("%s: holds no PEM certificate", file)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return cert, nil
}

func readKey(file string) (crypto.Signer, error) {
	text, err := readPEM(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s: holds no PEM key", file)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	signer, ok := key.(crypto.Signer)
	if err != nil || !ok {
		return nil, fmt.Errorf("%s: holds no key in PKCS #8 form", file)
	}
	return signer, nil
}

func encodeKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func encodeCertificates(chain ...*x509.Certificate) []byte {
	var out bytes.Buffer
	for _, cert := range chain {
		out.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
	}
	return out.Bytes()
}

// ReplaceFile writes a file with that mode and syncs it. An existing file is replaced as a whole, so that neither a
// reader nor a crash sees half of it.
func ReplaceFile(file string, text []byte, mode fs.FileMode) error {
	tmp, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // fails after the rename, as it should
	_, err = tmp.Write(text)
	err = errors.Join(err, tmp.Chmod(mode), tmp.Sync(), tmp.Close())
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), file)
}
