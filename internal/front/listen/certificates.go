package listen

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
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
	hubsFolder    = "hubs" // of certificates for hubs beyond the first, one file each, all for the server's key
)

// HubNames are the names of one hub, which are DNS names in lower case and IP addresses. No two hubs have one in common.
type HubNames struct {
	Hub     string
	Hosts   []string // those it was given; the first becomes the certificate's common name
	Aliases []string // others that lead to it, which a certificate of the operator's need not hold
}

// CertificateOptions say which certificates the server shows.
type CertificateOptions struct {
	Dir     string     // where our own authority keeps its files; made when absent
	Hubs    []HubNames // the first one's names are in the default certificate, beside localNames
	KeyType string     // KeyECDSA or KeyRSA; empty: KeyECDSA

	// CertFile and KeyFile replace our own authority's certificates; both or neither are set.
	CertFile, KeyFile string

	Now    func() time.Time // nil: time.Now
	Rand   io.Reader        // nil: crypto/rand.Reader
	Logger *slog.Logger     // nil: nothing is logged
}

// Certificates holds the certificates that the server shows now: one for each hub beyond the first, which a client gets
// that asks for a name of it, and a default one with the names of the first hub and of this machine, for all others. So no
// certificate grows with the number of hubs, and none tells a hub's names to another's clients. It is safe for
// concurrent use.
type Certificates struct {
	dir     string
	keyType string
	given   [2]string // certificate and key file, both empty: our own
	now     func() time.Time
	rand    io.Reader
	logger  *slog.Logger

	current atomic.Pointer[shown]

	mu sync.Mutex // serialises Reload

	ticketMu   sync.Mutex // guards the fields below; a leaf
	configs    []*tls.Config
	ticketKeys [][32]byte // the first one seals; empty: each configuration makes its own
}

// OpenCertificates reads the server's certificates. Unless one is given it makes the authority and the certificates when
// they are absent, and issues a certificate again when it holds other names than it should, has another kind of key,
// is within 30 days of its end, or was issued by an earlier authority of ours. A certificate of somebody else's in the
// folder is left alone, and is then the only one.
//
// Only the default certificate makes it fail. What goes wrong with another one is logged: its hub gets the default one.
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
	return c, c.Reload(o.Hubs)
}

// Reload reads the files again, and issues new certificates where that is due. Connections that are open keep theirs.
// With an error the old certificates stay in use.
func (c *Certificates) Reload(hubs []HubNames) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, err := c.load(hubs)
	if err != nil {
		return err
	}
	s.name(hubs)
	c.current.Store(s)
	c.warn(s, hubs)
	return nil
}

// Renew does what Reload does about our own authority's certificates: they are issued again when that is due. A certificate
// that was given is its operator's to renew, and maybe being replaced right now: it is not read, only warned of.
func (c *Certificates) Renew(hubs []HubNames) error {
	if c.given[0] == "" {
		return c.Reload(hubs)
	}
	c.warn(c.current.Load(), hubs)
	return nil
}

// Leaf is the default certificate that the server shows now.
func (c *Certificates) Leaf() *x509.Certificate { return c.current.Load().fallback.Leaf }

// CertificateEnd is when a certificate ends that the server shows.
type CertificateEnd struct {
	Hub      string // whose it is; empty: the default certificate
	NotAfter time.Time
}

// Ends tells of each certificate when it ends, the default one first, then by hub.
func (c *Certificates) Ends() []CertificateEnd {
	s := c.current.Load()
	ends := []CertificateEnd{{NotAfter: s.fallback.Leaf.NotAfter}}
	for _, h := range s.hubs {
		ends = append(ends, CertificateEnd{Hub: h.hub, NotAfter: h.pair.Leaf.NotAfter})
	}
	return ends
}

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
	config := &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: protocols,
		ClientAuth: tls.RequestClientCert,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.current.Load().choose(hello), awaitTurn(hello.Conn)
		},
	}
	c.ticketMu.Lock()
	defer c.ticketMu.Unlock()
	c.configs = append(c.configs, config)
	if len(c.ticketKeys) > 0 {
		config.SetSessionTicketKeys(c.ticketKeys)
	}
	return config
}

// setTicketKeys has all configurations that were made, and will be, seal session tickets with the first key, and open those that
// any of them sealed.
func (c *Certificates) setTicketKeys(keys [][32]byte) {
	c.ticketMu.Lock()
	defer c.ticketMu.Unlock()
	c.ticketKeys = keys
	for _, config := range c.configs {
		config.SetSessionTicketKeys(keys)
	}
}

// HubOf returns the hub that a client means by a server name (SNI); empty when it is no hub's.
func (c *Certificates) HubOf(serverName string) string {
	return c.current.Load().hubByHost[strings.ToLower(serverName)]
}

// load makes what handshakes look at from the files, and the files where they are missing or due.
func (c *Certificates) load(hubs []HubNames) (*shown, error) {
	if c.given[0] != "" {
		pair, err := loadPair(c.given[0], c.given[1])
		if err != nil {
			return nil, fmt.Errorf("certificate %s, key %s: %w", c.given[0], c.given[1], err)
		}
		return &shown{fallback: pair}, nil
	}
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
	pair, err := c.defaultPair(ca, defaultNames(hubs))
	if err != nil {
		return nil, err
	}
	s := &shown{fallback: pair}
	if len(hubs) > 0 && isOurs(pair.Leaf) {
		c.addHubs(s, ca, hubs[1:])
	}
	return s, nil
}

// warn says what clients are going to stumble over.
func (c *Certificates) warn(s *shown, hubs []HubNames) {
	leaf := s.fallback.Leaf
	if c.now().Add(renewBefore).After(leaf.NotAfter) {
		c.logger.Warn("the server's certificate ends soon", "until", leaf.NotAfter)
	}
	for _, h := range s.hubs {
		if c.now().Add(renewBefore).After(h.pair.Leaf.NotAfter) {
			c.logger.Warn("a hub's certificate ends soon", "hub", h.hub, "until", h.pair.Leaf.NotAfter)
		}
	}
	var missing []string
	for _, h := range hubs {
		for _, host := range h.Hosts {
			if !isLocal(host) && s.certificateFor(host).Leaf.VerifyHostname(host) != nil {
				missing = append(missing, host)
			}
		}
	}
	if len(missing) > 0 {
		c.logger.Warn("the server's certificate lacks names of the hubs", "count", len(missing), "names", logged(missing))
	}
}

// maxLogged bounds the names in a line of the log.
const maxLogged = 8

// logged are the first of what may be many names.
func logged(names []string) []string { return names[:min(len(names), maxLogged)] }
