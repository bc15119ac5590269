package listen_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward/internal/front/listen"
)

// threeHubs are the operator's and two tenants'.
func threeHubs() []listen.HubNames {
	return []listen.HubNames{
		{Hub: "hubward", Hosts: []string{"hub.example.com"}, Aliases: []string{"hubward.localhost", "hub.device.example.com"}},
		{Hub: "One", Hosts: []string{"one.example.com", "10.1.2.3"}, Aliases: []string{"one.localhost", "one.device.example.com"}},
		{Hub: "two", Hosts: []string{"two.example.com"}, Aliases: []string{"two.localhost"}},
	}
}

// shownFor are the certificates that a client gets that asks for serverName; empty: without SNI.
func shownFor(t *testing.T, c *listen.Certificates, serverName string) []*x509.Certificate {
	t.Helper()
	state, err := handshake(t, c.TLSConfig(), &tls.Config{ServerName: serverName, InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	return state.PeerCertificates
}

func namesIn(leaf *x509.Certificate) []string {
	names := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	slices.Sort(names)
	return names
}

func TestHubCertificates_eachHubShowsItsOwn(t *testing.T) {
	for _, keyType := range []string{listen.KeyECDSA, listen.KeyRSA} {
		t.Run(keyType, func(t *testing.T) {
			dir := t.TempDir()
			c := certificates(t, listen.CertificateOptions{Dir: dir, Hubs: threeHubs(), KeyType: keyType})
			fallback := []string{"*.localhost", "127.0.0.1", "::1", "hub.device.example.com", "hub.example.com", "hubward.localhost", "localhost"}
			one := []string{"10.1.2.3", "one.device.example.com", "one.example.com", "one.localhost"}
			two := []string{"two.example.com", "two.localhost"}
			for name, want := range map[string][]string{
				"": fallback, "localhost": fallback, "hub.example.com": fallback, "else.example.com": fallback, "x.one.example.com": fallback,
				"one.example.com": one, "ONE.example.com": one, "one.localhost": one, "one.device.example.com": one,
				"two.example.com": two, "two.localhost": two,
			} {
				chain := shownFor(t, c, name)
				if len(chain) != 1 {
					t.Errorf("%q: %d certificates, want the leaf alone", name, len(chain))
				}
				if diff := cmp.Diff(want, namesIn(chain[0])); diff != "" {
					t.Errorf("%q: %s", name, diff)
				}
				if _, err := chain[0].Verify(x509.VerifyOptions{Roots: pool(t, dir)}); err != nil {
					t.Errorf("%q: %v", name, err)
				}
			}
		})
	}
}

// addressed is a connection that came to an address.
type addressed struct {
	net.Conn
	local net.Addr
}

func (a addressed) LocalAddr() net.Addr { return a.local }

// There is no SNI for an IP address.
func TestHubCertificates_byTheAddressConnectedTo(t *testing.T) {
	c := certificates(t, listen.CertificateOptions{Dir: t.TempDir(), Hubs: threeHubs()})
	for ip, want := range map[string]string{"10.1.2.3": "one.example.com", "::ffff:10.1.2.3": "one.example.com", "10.1.2.4": "hub.example.com"} {
		hello := &tls.ClientHelloInfo{Conn: addressed{local: &net.TCPAddr{IP: net.ParseIP(ip), Port: 8883}}}
		pair, err := c.TLSConfig().GetCertificate(hello)
		if err != nil || pair.Leaf.Subject.CommonName != want {
			t.Errorf("%s: %s, %v; want %s", ip, pair.Leaf.Subject, err, want)
		}
	}
}

func TestHubCertificates_files(t *testing.T) {
	dir := t.TempDir()
	start := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	o := listen.CertificateOptions{Dir: dir, Hubs: threeHubs(), Now: func() time.Time { return start }}
	shown := func() string { return string(shownFor(t, certificates(t, o), "one.example.com")[0].Raw) }
	before := shown()
	if shown() != before {
		t.Error("a start issues the certificate anew")
	}
	file := filepath.Join(dir, "hubs", "one.pem")
	for what, change := range map[string]func(){
		"a damaged file":          func() { write(t, file, []byte("nonsense")) },
		"a lost file":             func() { os.Remove(file) },
		"a lost key":              func() { os.Remove(filepath.Join(dir, "server-key.pem")) },
		"a name more":             func() { o.Hubs[1].Hosts = append(o.Hubs[1].Hosts, "uno.example.com") },
		"a name less":             func() { o.Hubs[1].Hosts = o.Hubs[1].Hosts[:1] },
		"another authority":       func() { os.Remove(filepath.Join(dir, "ca.pem")) },
		"29 days before its end":  func() { o.Now = func() time.Time { return start.Add(795 * 24 * time.Hour) } },
		"the certificate of more": func() { write(t, file, read(t, dir, "hubs", "two.pem")) },
	} {
		change()
		after := shown()
		if after == before {
			t.Errorf("%s: the certificate is not issued anew", what)
		}
		if shown() != after {
			t.Errorf("%s: the next start issues it once more", what)
		}
		before = after
	}
	o.Hubs = o.Hubs[:2]
	certificates(t, o)
	if _, err := os.Stat(filepath.Join(dir, "hubs", "two.pem")); !os.IsNotExist(err) {
		t.Errorf("the certificate of a hub that is gone: %v", err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != fs.FileMode(0o644) {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// A hub that is new while the server runs costs the others nothing: nothing of theirs is issued anew.
func TestHubCertificates_reload(t *testing.T) {
	o := listen.CertificateOptions{Dir: t.TempDir(), Hubs: threeHubs()[:2]}
	c := certificates(t, o)
	fallback, one := shownFor(t, c, "")[0], shownFor(t, c, "one.example.com")[0]
	if err := c.Reload(threeHubs()); err != nil {
		t.Fatal(err)
	}
	if !fallback.Equal(shownFor(t, c, "")[0]) || !one.Equal(shownFor(t, c, "one.example.com")[0]) {
		t.Error("certificates of other hubs were issued anew")
	}
	if got := namesIn(shownFor(t, c, "two.example.com")[0]); !slices.Contains(got, "two.example.com") {
		t.Errorf("the new hub's certificate has %q", got)
	}
	want := []listen.CertificateEnd{{NotAfter: fallback.NotAfter}, {Hub: "One", NotAfter: one.NotAfter}, {Hub: "two", NotAfter: shownFor(t, c, "two.localhost")[0].NotAfter}}
	if diff := cmp.Diff(want, c.Ends()); diff != "" {
		t.Error(diff)
	}

	// A name that the first hub gives up is in no certificate of its any more: another hub may have it now.
	moved := threeHubs()
	moved[0].Hosts, moved[2].Hosts = []string{"new.example.com"}, []string{"two.example.com", "hub.example.com"}
	if err := c.Reload(moved); err != nil {
		t.Fatal(err)
	}
	if slices.Contains(namesIn(shownFor(t, c, "")[0]), "hub.example.com") || !slices.Contains(namesIn(shownFor(t, c, "hub.example.com")[0]), "two.example.com") {
		t.Error("hub.example.com is in the certificate of the hub that had it")
	}
	if !one.Equal(shownFor(t, c, "one.example.com")[0]) {
		t.Error("a hub's certificate was issued anew because the default one was")
	}
}

// What cannot be issued leaves the hub with the default certificate, and all others as they are.
func TestHubCertificates_withoutTheAuthoritysKey(t *testing.T) {
	dir := t.TempDir()
	certificates(t, listen.CertificateOptions{Dir: dir, Hubs: threeHubs()[:2]})
	if err := os.Remove(filepath.Join(dir, "ca-key.pem")); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	c := certificates(t, listen.CertificateOptions{Dir: dir, Hubs: threeHubs(), Logger: textLogger(&log)})
	if got := shownFor(t, c, "one.example.com")[0].Subject.CommonName; got != "one.example.com" {
		t.Errorf("a hub that has a certificate shows %s", got)
	}
	if got := shownFor(t, c, "two.example.com")[0].Subject.CommonName; got != "hub.example.com" {
		t.Errorf("a hub that cannot get one shows %s", got)
	}
	if text := log.String(); !strings.Contains(text, "hub=two") || !strings.Contains(text, `names=[two.example.com]`) {
		t.Errorf("the log does not tell:\n%s", text)
	}
}

// A certificate that was given is the only one, and so is a foreign one in the folder.
func TestHubCertificates_givenReplacesAll(t *testing.T) {
	dir := t.TempDir()
	cert, key := selfSigned(t, "one.example.com")
	write(t, filepath.Join(dir, "server.pem"), cert)
	write(t, filepath.Join(dir, "server-key.pem"), key)
	for _, o := range []listen.CertificateOptions{
		{Dir: filepath.Join(dir, "tls"), CertFile: filepath.Join(dir, "server.pem"), KeyFile: filepath.Join(dir, "server-key.pem")},
		{Dir: dir},
	} {
		var log bytes.Buffer
		o.Hubs, o.Logger = threeHubs(), textLogger(&log)
		c := certificates(t, o)
		for _, name := range []string{"", "localhost", "one.example.com", "two.example.com"} {
			if got := shownFor(t, c, name)[0].Subject.CommonName; got != "one.example.com" {
				t.Errorf("%q: %s", name, got)
			}
		}
		if ends := c.Ends(); len(ends) != 1 || ends[0].Hub != "" {
			t.Errorf("ends %v", ends)
		}
		if !strings.Contains(log.String(), `names="[hub.example.com 10.1.2.3 two.example.com]"`) {
			t.Errorf("the log does not tell what the certificate lacks:\n%s", log.String())
		}
	}
}

// The root of a chain that was given is not sent, what is between is.
func TestCertificates_givenChainWithoutItsRoot(t *testing.T) {
	dir := t.TempDir()
	certificates(t, listen.CertificateOptions{Dir: dir, Hubs: threeHubs()})
	chain := filepath.Join(dir, "chain.pem")
	write(t, chain, slices.Concat(read(t, dir, "server.pem"), read(t, dir, "hubs", "one.pem"), read(t, dir, "ca.pem")))
	c := certificates(t, listen.CertificateOptions{Dir: dir, CertFile: chain, KeyFile: filepath.Join(dir, "server-key.pem")})
	if got := shownFor(t, c, ""); len(got) != 2 || got[1].Subject.CommonName != "one.example.com" {
		t.Errorf("%d certificates are sent", len(got))
	}
}

// However many hubs there are, and however long their names, a client gets a certificate that fits a TLS record: many
// small ones read no more.
func TestHubCertificates_doNotGrowWithHubs(t *testing.T) {
	label := strings.Repeat("x", 60)
	var hubs []listen.HubNames
	for i := range 100 {
		h := listen.HubNames{Hub: fmt.Sprintf("hub-%d", i), Aliases: []string{fmt.Sprintf("hub-%d.localhost", i)}}
		for j := range 16 {
			zone := fmt.Sprintf("%s.%s.%s.h%03d.n%02d.example", label, label, label, i, j)
			h.Hosts = append(h.Hosts, "hub."+zone)
			h.Aliases = append(h.Aliases, "hub.device."+zone, "hub.service."+zone)
		}
		hubs = append(hubs, h)
	}
	dir := t.TempDir()
	c := certificates(t, listen.CertificateOptions{Dir: dir, Hubs: hubs})
	for _, h := range hubs {
		for _, name := range []string{h.Hosts[15], h.Aliases[32]} {
			leaf := shownFor(t, c, name)[0]
			if _, err := leaf.Verify(x509.VerifyOptions{Roots: pool(t, dir), DNSName: name}); err != nil {
				t.Fatal(err)
			}
			if len(leaf.Raw) > 12<<10 {
				t.Fatalf("%s: a certificate of %d bytes", h.Hub, len(leaf.Raw))
			}
		}
	}
}
