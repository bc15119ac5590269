package listen

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// The files in the folder of certificates. The keys have mode 0600.
const (
	caFile        = "ca.pem"
	caKeyFile     = "ca-key.pem"
	serverFile    = "server.pem"
	serverKeyFile = "server-key.pem"
)

// localNames are in every certificate of our own authority, because a hub answers to them whatever it is called. The SDKs
// for C and Java want a dot in a host name: hence NAME.localhost.
var localNames = []string{"localhost", "*.localhost", "127.0.0.1", "::1"}

// CertificateOptions say which certificate the server shows.
type CertificateOptions struct {
	Dir     string   // where our own authority keeps its files; made when absent
	Names   []string // what the certificate has to name beside localNames: DNS names and IP addresses
	KeyType string   // KeyECDSA or KeyRSA; empty: KeyECDSA

	// CertFile and KeyFile replace our own authority's certificate; both or neither are set.
	CertFile, KeyFile string

	Now    func() time.Time // nil: time.Now
	Rand   io.Reader        // nil: crypto/rand.Reader
	Logger *slog.Logger     // nil: nothing is logged
}

// Certificates holds the certificate that the server shows now. It is safe for concurrent use.
type Certificates struct {
	dir     string
	keyType string
	given   [2]string // certificate and key file, both empty: our own
	now     func() time.Time
	rand    io.Reader
	logger  *slog.Logger

	current atomic.Pointer[tls.Certificate]

	mu sync.Mutex // serialises Reload
}

// OpenCertificates reads the server's certificate. Unless one is given it makes the authority and the certificate when
// they are absent, and issues the certificate again when it lacks a name, has another kind of key, is within 30 days of
// its end, or was issued by an earlier authority of ours. A certificate of somebody else's in the folder is left alone.
func OpenCertificates(o CertificateOptions) (*Certificates, error) {
	c := &Certificates{dir: o.Dir, keyType: o.KeyType, given: [2]string{o.CertFile, o.KeyFile}, now: o.Now, rand: o.Rand, logger: o.Logger}
	if c.keyType == "" {
		c.keyType = KeyECDSA
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.rand == nil {
		c.rand = rand.Reader
	}
	if c.logger == nil {
		c.logger = slog.New(slog.DiscardHandler)
	}
	return c, c.Reload(o.Names)
}

// Reload reads the files again, and issues a new certificate when that is due. Connections that are open keep theirs.
// With an error the old certificate stays in use.
func (c *Certificates) Reload(names []string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	pair, err := c.load(names)
	if err != nil {
		return err
	}
	c.current.Store(pair)
	c.warn(pair.Leaf, names)
	return nil
}

// Renew does what Reload does about our own authority's certificate: it is issued again when that is due. A certificate
// that was given is its operator's to renew, and maybe being replaced right now: it is not read, only warned of.
func (c *Certificates) Renew(names []string) error {
	if c.given[0] == "" {
		return c.Reload(names)
	}
	c.warn(c.Leaf(), names)
	return nil
}

// Leaf is the certificate that the server shows now.
func (c *Certificates) Leaf() *x509.Certificate { return c.current.Load().Leaf }

// CAFile is the file of our own authority, empty when a certificate is given.
func (c *Certificates) CAFile() string {
	if c.given[0] != "" {
		return ""
	}
	return filepath.Join(c.dir, caFile)
}

// TLSConfig returns the configuration of a TLS listener. protocols are what ALPN offers; none means that it is not
// negotiated. Every peer is asked for a certificate and none is required: who it is, is checked at log-in. TLS 1.2 stays:
// the device SDK for Python has no other.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-tls-support; Azure/azure-iot-sdk-python
// azure-iot-device/azure/iot/device/common/mqtt_transport.py.
func (c *Certificates) TLSConfig(protocols ...string) *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     protocols,
		ClientAuth:     tls.RequestClientCert,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil },
	}
}

func (c *Certificates) load(names []string) (*tls.Certificate, error) {
	if c.given[0] != "" {
		pair, err := loadPair(c.given[0], c.given[1])
		if err != nil {
			return nil, fmt.Errorf("certificate %s, key %s: %w", c.given[0], c.given[1], err)
		}
		return &pair, nil
	}
	names = withLocal(names)
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return nil, err
	}
	ca, fresh, err := openAuthority(c.dir, c.now(), c.rand)
	if err != nil {
		return nil, err
	}
	if fresh {
		c.logger.Info("made a certificate authority", "file", filepath.Join(c.dir, caFile), "until", ca.cert.NotAfter)
	}
	pair, leaf, err := c.readPair()
	reason := c.reissue(ca, leaf, err, names)
	if reason == "" {
		return pair, err
	}
	if ca.key == nil {
		if err != nil {
			return nil, err
		}
		c.logger.Warn("the server's certificate is due, but the authority's key is not there", "reason", reason, "key", filepath.Join(c.dir, caKeyFile))
		return pair, nil
	}
	if pair, err = c.issue(ca, names); err != nil {
		return nil, err
	}
	c.logger.Info("issued the server's certificate", "reason", reason, "until", pair.Leaf.NotAfter, "names", names)
	return pair, nil
}

// readPair reads server.pem and server-key.pem. The leaf comes back even where it does not fit the key, to tell whose
// it is.
func (c *Certificates) readPair() (*tls.Certificate, *x509.Certificate, error) {
	file := filepath.Join(c.dir, serverFile)
	leaf, err := readCertificate(file)
	if err != nil {
		return nil, nil, err
	}
	pair, err := loadPair(file, filepath.Join(c.dir, serverKeyFile))
	if err != nil {
		return nil, leaf, fmt.Errorf("%s and %s: %w", file, serverKeyFile, err)
	}
	return &pair, leaf, nil
}

// reissue says why the server's certificate has to be issued again; empty: it is good, or not ours to replace.
func (c *Certificates) reissue(ca *authority, leaf *x509.Certificate, err error, names []string) string {
	switch {
	case errors.Is(err, fs.ErrNotExist) && leaf == nil:
		return "there is none"
	case leaf == nil || !slices.Contains(leaf.Issuer.Organization, organization):
		return ""
	case err != nil:
		return "its key is not there"
	case leaf.CheckSignatureFrom(ca.cert) != nil:
		return "an earlier authority issued it"
	case c.now().Add(renewBefore).After(leaf.NotAfter) && leaf.NotAfter.Before(ca.cert.NotAfter):
		return "it ends soon"
	case keyTypeOf(leaf) != c.keyType:
		return "it has another kind of key"
	}
	if missing := uncovered(leaf, names); len(missing) > 0 {
		return "it lacks " + strings.Join(missing, " ")
	}
	return ""
}

func (c *Certificates) issue(ca *authority, names []string) (*tls.Certificate, error) {
	leaf, key, err := ca.issue(names, c.keyType, c.now(), c.rand)
	if err != nil {
		return nil, err
	}
	keyText, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	chain := encodeCertificates(leaf, ca.cert)
	if err := ReplaceFile(filepath.Join(c.dir, serverKeyFile), keyText, 0o600); err != nil {
		return nil, err
	}
	if err := ReplaceFile(filepath.Join(c.dir, serverFile), chain, 0o644); err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(chain, keyText)
	return &pair, err
}

// withLocal returns names and the local ones, each once. The first name stays first: it becomes the common name.
func withLocal(names []string) []string {
	var all []string
	for _, name := range slices.Concat(names, localNames) {
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}

// isLocal reports whether only this machine knows itself by that name: no given certificate is expected to hold it.
func isLocal(name string) bool {
	return slices.Contains(localNames, name) || strings.HasSuffix(name, ".localhost")
}

// warn says what clients are going to stumble over.
func (c *Certificates) warn(leaf *x509.Certificate, names []string) {
	if c.now().Add(renewBefore).After(leaf.NotAfter) {
		c.logger.Warn("the server's certificate ends soon", "until", leaf.NotAfter)
	}
	names = slices.DeleteFunc(slices.Clone(names), isLocal)
	if missing := uncovered(leaf, names); len(missing) > 0 {
		c.logger.Warn("the server's certificate lacks names of the hubs", "names", missing)
	}
}

// uncovered lists the names that the certificate does not hold literally. A wildcard in it does not count for names
// below it: several clients refuse wildcards directly under a top-level name such as localhost.
func uncovered(leaf *x509.Certificate, names []string) []string {
	var missing []string
	for _, name := range names {
		literal := slices.ContainsFunc(leaf.DNSNames, func(have string) bool { return strings.EqualFold(have, name) })
		if !literal && (isLocal(name) && !isIP(name) || leaf.VerifyHostname(name) != nil) {
			missing = append(missing, name)
		}
	}
	return missing
}

func isIP(name string) bool { return net.ParseIP(name) != nil }

func keyTypeOf(cert *x509.Certificate) string {
	if _, ok := cert.PublicKey.(*rsa.PublicKey); ok {
		return KeyRSA
	}
	return KeyECDSA
}
