package listen_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hubward/hubward/internal/front/listen"
)

var testNames = named("hub.example.com", "10.1.2.3", "hubward.localhost")

// named is a single hub with these names.
func named(hosts ...string) []listen.HubNames {
	return []listen.HubNames{{Hub: "hubward", Hosts: hosts}}
}

func certificates(t *testing.T, o listen.CertificateOptions) *listen.Certificates {
	t.Helper()
	c, err := listen.OpenCertificates(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func read(t *testing.T, elem ...string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func pool(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(read(t, dir, "ca.pem")) {
		t.Fatal("ca.pem holds no certificate")
	}
	return p
}

// handshake connects a client to a server and returns what the client saw.
func handshake(t *testing.T, server, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	served := make(chan error, 1)
	go func() {
		defer b.Close()
		conn := tls.Server(b, server)
		served <- conn.HandshakeContext(t.Context())
	}()
	conn := tls.Client(a, client)
	err := conn.HandshakeContext(t.Context())
	a.Close()
	<-served
	return conn.ConnectionState(), err
}

func TestCertificates_everyNameVerifies(t *testing.T) {
	for _, keyType := range []string{listen.KeyECDSA, listen.KeyRSA} {
		t.Run(keyType, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "tls")
			c := certificates(t, listen.CertificateOptions{Dir: dir, Hubs: testNames, KeyType: keyType})
			names := []string{"localhost", "other.localhost", "127.0.0.1", "::1", "hub.example.com", "10.1.2.3", "hubward.localhost"}
			for _, name := range names {
				for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
					_, err := handshake(t, c.TLSConfig(), &tls.Config{ServerName: name, RootCAs: pool(t, dir), MaxVersion: version})
					if err != nil {
						t.Errorf("%s, TLS %s: %v", name, tls.VersionName(version), err)
					}
				}
			}
			if _, err := handshake(t, c.TLSConfig(), &tls.Config{ServerName: "else.example.com", RootCAs: pool(t, dir)}); err == nil {
				t.Error("a name that is not in the certificate verifies")
			}
			_, isRSA := c.Leaf().PublicKey.(*rsa.PublicKey)
			_, isECDSA := c.Leaf().PublicKey.(*ecdsa.PublicKey)
			if isRSA != (keyType == listen.KeyRSA) || isECDSA != (keyType == listen.KeyECDSA) {
				t.Errorf("key is %T", c.Leaf().PublicKey)
			}
		})
	}
}

func TestCertificates_withoutSNI(t *testing.T) {
	dir := t.TempDir()
	c := certificates(t, listen.CertificateOptions{Dir: dir, Hubs: testNames})
	verified := false
	state, err := handshake(t, c.TLSConfig(), &tls.Config{
		InsecureSkipVerify: true, // without it the client sends SNI; the check below is its own
		VerifyConnection: func(cs tls.ConnectionState) error {
			verified = true
			_, err := cs.PeerCertificates[0].Verify(x509.VerifyOptions{DNSName: "hub.example.com", Roots: pool(t, dir)})
			return err
		},
	})
	if err != nil || !verified || state.ServerName != "" {
		t.Errorf("error %v, verified %v, SNI %q", err, verified, state.ServerName)
	}
}

func TestCertificates_profile(t *testing.T) {
	dir := t.TempDir()
	leaf := certificates(t, listen.CertificateOptions{Dir: dir, Hubs: testNames, KeyType: listen.KeyRSA}).Leaf()
	if life := leaf.NotAfter.Sub(leaf.NotBefore); life > 825*24*time.Hour {
		t.Errorf("valid for %s", life)
	}
	if len(leaf.SubjectKeyId) == 0 || len(leaf.AuthorityKeyId) == 0 || leaf.IsCA || !leaf.BasicConstraintsValid {
		t.Errorf("SKI %x, AKI %x, CA %v", leaf.SubjectKeyId, leaf.AuthorityKeyId, leaf.IsCA)
	}
	if leaf.KeyUsage != x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment || leaf.Subject.CommonName != "hub.example.com" {
		t.Errorf("key usage %b, common name %q", leaf.KeyUsage, leaf.Subject.CommonName)
	}
	if n := bytes.Count(read(t, dir, "server.pem"), []byte("BEGIN CERTIFICATE")); n != 1 {
		t.Errorf("server.pem holds %d certificates, want the leaf alone: clients have the root", n)
	}
	modes := map[string]fs.FileMode{"ca.pem": 0o644, "ca-key.pem": 0o600, "server.pem": 0o644, "server-key.pem": 0o600}
	for name, want := range modes {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %o, want %o", name, info.Mode().Perm(), want)
		}
	}
}

func TestCertificates_clientCertificateIsRequestedNotRequired(t *testing.T) {
	dir := t.TempDir()
	c := certificates(t, listen.CertificateOptions{Dir: dir})
	requested := false
	_, err := handshake(t, c.TLSConfig(), &tls.Config{
		ServerName: "localhost", RootCAs: pool(t, dir),
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			requested = true
			return &tls.Certificate{}, nil
		},
	})
	if err != nil || !requested {
		t.Errorf("error %v, requested %v", err, requested)
	}
}

func TestCertificates_oldTLSIsRefused(t *testing.T) {
	dir := t.TempDir()
	c := certificates(t, listen.CertificateOptions{Dir: dir})
	_, err := handshake(t, c.TLSConfig(), &tls.Config{ServerName: "localhost", RootCAs: pool(t, dir), MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	if err == nil {
		t.Error("TLS 1.1 is accepted")
	}
}

func TestCertificates_ALPN(t *testing.T) {
	dir := t.TempDir()
	c := certificates(t, listen.CertificateOptions{Dir: dir})
	client := &tls.Config{ServerName: "localhost", RootCAs: pool(t, dir), NextProtos: []string{"h2", "http/1.1"}}
	if state, err := handshake(t, c.TLSConfig("http/1.1"), client); err != nil || state.NegotiatedProtocol != "http/1.1" {
		t.Errorf("https: %q, %v", state.NegotiatedProtocol, err)
	}
	client.NextProtos = []string{"mqtt"}
	if state, err := handshake(t, c.TLSConfig(), client); err != nil || state.NegotiatedProtocol != "" {
		t.Errorf("mqtts: %q, %v", state.NegotiatedProtocol, err)
	}
}

// A dot behind the name is no SNI (RFC 6066 3): the library ends the handshake. OpenSSL sends what it is given.
func TestCertificates_dotInSNI(t *testing.T) {
	dir := t.TempDir()
	c := certificates(t, listen.CertificateOptions{Dir: dir, Hubs: testNames})
	a, b := net.Pipe()
	defer a.Close()
	go a.Write(clientHello(t, "hub.example.com."))
	go io.Copy(io.Discard, a) // the alert
	conn := tls.Server(b, c.TLSConfig())
	defer conn.Close()
	if err := conn.HandshakeContext(t.Context()); err == nil || !strings.Contains(err.Error(), "error decoding message") {
		t.Errorf("error %v", err)
	}
}

// TestCertificates_reissue starts a second time under changed circumstances.
func TestCertificates_reissue(t *testing.T) {
	start := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(d time.Duration) func() time.Time { return func() time.Time { return start.Add(d) } }
	const day = 24 * time.Hour
	tests := []struct {
		name    string
		change  func(dir string, o *listen.CertificateOptions) error
		changed bool
	}{
		{"nothing changed", func(string, *listen.CertificateOptions) error { return nil }, false},
		{"new name", func(_ string, o *listen.CertificateOptions) error {
			o.Hubs = named("hub.example.com", "more.localhost")
			return nil
		}, true},
		{"names in another order", func(_ string, o *listen.CertificateOptions) error {
			o.Hubs = named("localhost", "hub.example.com")
			return nil
		}, false},
		{"fewer names", func(_ string, o *listen.CertificateOptions) error { o.Hubs = nil; return nil }, true},
		{"other kind of key", func(_ string, o *listen.CertificateOptions) error { o.KeyType = listen.KeyRSA; return nil }, true},
		{"31 days before its end", func(_ string, o *listen.CertificateOptions) error { o.Now = at(793 * day); return nil }, false},
		{"29 days before its end", func(_ string, o *listen.CertificateOptions) error { o.Now = at(795 * day); return nil }, true},
		{"certificate is gone", func(dir string, _ *listen.CertificateOptions) error {
			return os.Remove(filepath.Join(dir, "server.pem"))
		}, true},
		{"key is gone", func(dir string, _ *listen.CertificateOptions) error {
			return os.Remove(filepath.Join(dir, "server-key.pem"))
		}, true},
		{"authority is gone", func(dir string, _ *listen.CertificateOptions) error {
			return os.Remove(filepath.Join(dir, "ca.pem"))
		}, true},
		{"authority's key is gone and it is due", func(dir string, o *listen.CertificateOptions) error {
			o.Hubs = named("hub.example.com", "more.localhost")
			return os.Remove(filepath.Join(dir, "ca-key.pem"))
		}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			o := listen.CertificateOptions{Dir: dir, Hubs: named("hub.example.com"), Now: at(0)}
			before := certificates(t, o).Leaf()
			if err := tt.change(dir, &o); err != nil {
				t.Fatal(err)
			}
			after := certificates(t, o).Leaf()
			if before.Equal(after) == tt.changed {
				t.Errorf("issued again: %v, want %v", !tt.changed, tt.changed)
			}
			if _, err := after.Verify(x509.VerifyOptions{Roots: pool(t, dir), CurrentTime: o.Now(), DNSName: "localhost"}); err != nil {
				t.Error(err)
			}
			certificates(t, o) // and the files are good for the next start
		})
	}
}

func TestCertificates_foreignCertificateInFolderStays(t *testing.T) {
	dir := t.TempDir()
	cert, key := selfSigned(t, "foreign.example.com")
	o := listen.CertificateOptions{Dir: dir, Hubs: testNames}
	certificates(t, o)
	write(t, filepath.Join(dir, "server.pem"), cert)
	write(t, filepath.Join(dir, "server-key.pem"), key)
	if cn := certificates(t, o).Leaf().Subject.CommonName; cn != "foreign.example.com" {
		t.Errorf("common name %s", cn)
	}
}

func TestCertificates_givenFilesAndReload(t *testing.T) {
	dir := t.TempDir()
	o := listen.CertificateOptions{Dir: filepath.Join(dir, "tls"), CertFile: filepath.Join(dir, "c.pem"), KeyFile: filepath.Join(dir, "k.pem")}
	replace := func(name string) {
		cert, key := selfSigned(t, name)
		write(t, o.CertFile, cert)
		write(t, o.KeyFile, key)
	}
	replace("one.example.com")
	c := certificates(t, o)
	if c.CAFile() != "" {
		t.Errorf("CA file %q of an authority that is not there", c.CAFile())
	}
	config := c.TLSConfig() // made once, before the reload

	client, server := tcpPair(t)
	open := tls.Server(server, config)
	seen := tls.Client(client, &tls.Config{InsecureSkipVerify: true})
	greet(t, open, seen)

	replace("two.example.com")
	if err := c.Reload(nil); err != nil {
		t.Fatal(err)
	}
	state, err := handshake(t, config, &tls.Config{InsecureSkipVerify: true})
	if err != nil || state.PeerCertificates[0].Subject.CommonName != "two.example.com" {
		t.Errorf("after the reload: %v, %v", state.PeerCertificates, err)
	}
	greet(t, open, seen) // the old connection lives on

	write(t, o.KeyFile, []byte("no key"))
	if err := c.Reload(nil); err == nil || !strings.Contains(err.Error(), o.KeyFile) {
		t.Errorf("reload of a broken key: %v", err)
	}
	if cn := c.Leaf().Subject.CommonName; cn != "two.example.com" {
		t.Errorf("after a failed reload: %s", cn)
	}
}

// A byte order mark, as editors on Windows write one, must not hide the first block of a file.
func TestCertificates_givenFilesWithMarks(t *testing.T) {
	dir := t.TempDir()
	o := listen.CertificateOptions{Dir: filepath.Join(dir, "tls"), CertFile: filepath.Join(dir, "c.pem"), KeyFile: filepath.Join(dir, "k.pem")}
	cert, key := selfSigned(t, "one.example.com")
	write(t, o.CertFile, append([]byte("\uFEFF"), cert...))
	write(t, o.KeyFile, append([]byte("\uFEFF"), key...))
	c := certificates(t, o)
	if cn := c.Leaf().Subject.CommonName; cn != "one.example.com" {
		t.Errorf("the leaf is %s", cn)
	}
	write(t, o.CertFile, []byte("\xFF\xFE-\x00-\x00"))
	if err := c.Reload(nil); err == nil || !strings.Contains(err.Error(), o.CertFile) || !strings.Contains(err.Error(), "UTF-16") {
		t.Errorf("error %v", err)
	}
}

func TestOpenCertificates_errorsNameTheFile(t *testing.T) {
	tests := []struct{ file, text string }{
		{"ca.pem", "nonsense"},
		{"ca-key.pem", "nonsense"},
		{"server.pem", "nonsense"},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			dir := t.TempDir()
			certificates(t, listen.CertificateOptions{Dir: dir})
			write(t, filepath.Join(dir, tt.file), []byte(tt.text))
			_, err := listen.OpenCertificates(listen.CertificateOptions{Dir: dir})
			if err == nil || !strings.Contains(err.Error(), tt.file) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestOpenCertificates_swappedAuthorityKey(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	certificates(t, listen.CertificateOptions{Dir: dir})
	certificates(t, listen.CertificateOptions{Dir: other})
	write(t, filepath.Join(dir, "ca-key.pem"), read(t, other, "ca-key.pem"))
	if _, err := listen.OpenCertificates(listen.CertificateOptions{Dir: dir}); err == nil || !strings.Contains(err.Error(), "is not the key of") {
		t.Errorf("error %v", err)
	}
}

func TestOpenCertificates_endedAuthority(t *testing.T) {
	dir := t.TempDir()
	certificates(t, listen.CertificateOptions{Dir: dir})
	later := func() time.Time { return time.Now().AddDate(11, 0, 0) }
	_, err := listen.OpenCertificates(listen.CertificateOptions{Dir: dir, Hubs: named("new.example.com"), Now: later})
	if err == nil || !strings.Contains(err.Error(), "move the folder's ca.pem and ca-key.pem away") {
		t.Errorf("error %v", err)
	}
}
