package cli_test

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/pki"
)

// post sends telemetry over HTTPS with the files of a certificate, and returns the status.
func (c *client) post(id, certFile, keyFile string) int {
	c.t.Helper()
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		c.t.Fatal(err)
	}
	config := c.hub.TLSConfig()
	config.Certificates = []tls.Certificate{pair}
	transport := &http.Transport{TLSClientConfig: config}
	defer transport.CloseIdleConnections()
	res, err := (&http.Client{Transport: transport}).Post(c.hub.HTTPS+"/devices/"+id+"/messages/events?api-version=2020-09-30", "", strings.NewReader("x"))
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

func TestCA_lifeCycle(t *testing.T) {
	c := newClient(t)
	t.Chdir(t.TempDir())
	type authority = hubward.CertificateAuthority
	if out := c.ok("ca", "list"); out != "AUTHORITY  STATE  EXPIRY  SUBJECT\n" {
		t.Errorf("list prints\n%s", out)
	}
	if out := c.ok("ca", "create", "plant", "--validity", "30d"); !strings.Contains(out, "state:        enabled\n") || !strings.Contains(out, "key:          plant-key.pem\n") {
		t.Errorf("create prints\n%s", out)
	}
	c.fails(1, "plant-key.pem is there already", "ca", "create", "plant")
	if err := os.Mkdir("next", 0o700); err != nil {
		t.Fatal(err)
	}
	c.fails(1, "PreconditionFailed", "ca", "create", "plant", "--out", "next")
	if files, err := os.ReadDir("next"); err != nil || len(files) != 0 {
		t.Errorf("what the hub has refused leaves %v, %v", files, err)
	}
	if info, err := os.Stat("plant-key.pem"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key: %v, %v", info, err)
	}
	if a := fromJSON[authority](t, c.ok("ca", "show", "plant", "-o", "json")); !a.Verified || !strings.Contains(a.Certificate, "BEGIN CERTIFICATE") {
		t.Errorf("show gives %+v", a)
	}
	c.ok("ca", "create", "mine", "--out", "next")
	if out := c.ok("ca", "delete", "mine"); out != "deleted certificate authority mine\n" {
		t.Errorf("delete prints\n%s", out)
	}
	own, ownKey := filepath.Join("next", "mine.pem"), filepath.Join("next", "mine-key.pem")
	c.fails(1, "private key", "ca", "create", "mine", "--certificate", ownKey)
	if a := fromJSON[authority](t, c.ok("ca", "create", "mine", "--certificate", own, "-o", "json")); a.Verified {
		t.Errorf("create --certificate gives %+v", a)
	}
	code := fromJSON[map[string]string](t, c.ok("ca", "verify", "mine", "-o", "json"))["verificationCode"]
	if out := c.ok("ca", "verify", "mine"); len(code) != 48 || len(out) != 49 || out == code+"\n" {
		t.Errorf("verify prints %q, then %q", code, out)
	}
	c.fails(1, "not that of the certificate", "ca", "verify", "mine", "--key", "plant-key.pem")
	c.fails(1, "verification code", "ca", "verify", "mine", "--proof", own)
	if a := fromJSON[authority](t, c.ok("ca", "verify", "mine", "--key", ownKey, "-o", "json")); !a.Verified {
		t.Errorf("verify --key gives %+v", a)
	}
	c.ok("ca", "create", "mine", "--certificate", own, "--verified", "--replace")
	if a := fromJSON[authority](t, c.ok("ca", "disable", "mine", "-o", "json")); !a.Disabled {
		t.Errorf("disable gives %+v", a)
	}
	if out := c.ok("ca", "list"); !strings.Contains(out, "mine       disabled") || !strings.Contains(out, "plant      enabled") {
		t.Errorf("list prints\n%s", out)
	}
	if out := c.ok("ca", "enable", "mine"); !strings.Contains(out, "state:       enabled\n") {
		t.Errorf("enable prints\n%s", out)
	}
	c.fails(1, "CertificateAuthorityNotFound", "ca", "show", "none")
	c.fails(1, "CertificateAuthorityNotFound", "ca", "delete", "none")
	c.fails(1, "HubNotFound", "ca", "list", "--hub", "none")
	c.fails(1, "no such file", "ca", "create", "x", "--certificate", "none.pem")
	c.fails(2, "--verified and --replace", "ca", "create", "x", "--verified")
	c.fails(2, "--out and --validity", "ca", "create", "x", "--certificate", own, "--out", ".")
	c.fails(2, "--proof or --key", "ca", "verify", "x", "--proof", own, "--key", ownKey)
	c.fails(2, "usage: hubward ca create", "ca", "create")
}

func TestDeviceCreate_x509(t *testing.T) {
	c := newClient(t)
	t.Chdir(t.TempDir())
	d := fromJSON[hubward.Device](t, c.ok("device", "create", "d1", "--x509", "-o", "json"))
	if d.Authentication.Type != hubward.AuthSelfSigned || len(d.Authentication.X509Thumbprint.PrimaryThumbprint) != 64 || d.Authentication.SymmetricKey.PrimaryKey != "" {
		t.Errorf("%+v", d.Authentication)
	}
	c.ok("ca", "create", "plant")
	out := c.ok("device", "create", "d#2", "--x509-ca", "plant.pem", "--x509-key", "plant-key.pem", "--validity", "1h")
	if !strings.Contains(out, "authentication:    certificateAuthority\n") || !strings.Contains(out, "key:               d_2-key.pem\n") {
		t.Errorf("create prints\n%s", out)
	}
	for _, test := range []struct {
		id, files string
		want      int
	}{{"d1", "d1", 204}, {"d%232", "d_2", 204}, {"d1", "d_2", 401}, {"d%232", "d1", 401}} {
		if got := c.post(test.id, test.files+".pem", test.files+"-key.pem"); got != test.want {
			t.Errorf("%s with the certificate of %s: %d, want %d", test.id, test.files, got, test.want)
		}
	}
	c.ok("ca", "disable", "plant")
	if got := c.post("d%232", "d_2.pem", "d_2-key.pem"); got != 401 {
		t.Errorf("of a disabled authority: %d", got)
	}
	if out := c.ok("device", "connection-string", "d1"); !strings.Contains(out, "x509=true") {
		t.Errorf("connection-string prints\n%s", out)
	}
	for _, name := range []string{"d1-key.pem", "d_2-key.pem"} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	c.ok("device", "create", "there")
	if out := c.ok("device", "create", "own", "--x509-registered"); !strings.Contains(out, "certificateAuthority\n") || strings.Contains(out, "key:") {
		t.Errorf("create prints\n%s", out)
	}
	thumbprint := strings.Repeat("AB", 20)
	d = fromJSON[hubward.Device](t, c.ok("device", "create", "pinned", "--primary-thumbprint", thumbprint, "--secondary-thumbprint", thumbprint, "-o", "json"))
	if auth := d.Authentication; auth.Type != hubward.AuthSelfSigned || auth.X509Thumbprint.PrimaryThumbprint != hubward.NullString(thumbprint) {
		t.Errorf("%+v", auth)
	}
	c.fails(1, "StringIsNotThumbprint", "device", "create", "x", "--primary-thumbprint", "AB")
	c.fails(2, "give one of", "device", "create", "x", "--primary-thumbprint", thumbprint, "--x509-registered")
	c.fails(1, "DeviceAlreadyExists", "device", "create", "there", "--x509")
	c.fails(1, "d1-key.pem is there already", "device", "create", "d1", "--x509")
	c.fails(1, "ArgumentInvalid", "device", "create", "a b", "--x509")
	c.fails(1, "not an authority's", "device", "create", "d3", "--x509-ca", "d1.pem", "--x509-key", "d1-key.pem")
	c.fails(1, "not that of the certificate", "device", "create", "d3", "--x509-ca", "plant.pem", "--x509-key", "d1-key.pem")
	c.fails(1, "no such file", "device", "create", "d3", "--x509", "--out", "none")
	files, err := os.ReadDir(".")
	if err != nil || len(files) != 6 {
		t.Errorf("%v, %v: what has failed leaves files", files, err)
	}
	c.fails(2, "--x509-ca and --x509-key", "device", "create", "d3", "--x509-ca", "plant.pem")
	c.fails(2, "give one of", "device", "create", "d3", "--x509", "--x509-ca", "plant.pem", "--x509-key", "plant-key.pem")
	c.fails(2, "not both", "device", "create", "d3", "--x509", "--primary-key", "a", "--secondary-key", "b")
	c.fails(2, "--validity and --out", "device", "create", "d3", "--validity", "1h")
}

// A device of an authority below the registered one sends that along: the file has the chain.
func TestDeviceCreate_x509Chain(t *testing.T) {
	c := newClient(t)
	t.Chdir(t.TempDir())
	root, middle := makeChain(t)
	c.ok("ca", "create", "root", "--certificate", root, "--verified")
	c.ok("device", "create", "d1", "--x509-ca", middle, "--x509-key", "middle-key.pem")
	if got := c.post("d1", "d1.pem", "d1-key.pem"); got != 204 {
		t.Errorf("%d", got)
	}
	text, err := os.ReadFile("d1.pem")
	if n := strings.Count(string(text), "BEGIN CERTIFICATE"); err != nil || n != 2 {
		t.Errorf("d1.pem has %d certificates, %v: want its own and the one above, not the root", n, err)
	}
}

// makeChain writes the files of a root, and those of an authority below it, with the root's certificate behind its own.
func makeChain(t *testing.T) (root, middle string) {
	t.Helper()
	now := time.Now()
	key, err := pki.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	above := issue(t, template, template, key.Public(), key)
	template.SerialNumber, template.Subject.CommonName = big.NewInt(2), "middle"
	middleKey, err := pki.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	below := issue(t, template, above, middleKey.Public(), key)
	text, err := pki.EncodeKey(middleKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"root.pem": pki.EncodeCertificates(above), "middle.pem": pki.EncodeCertificates(below, above), "middle-key.pem": text,
	} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return "root.pem", "middle.pem"
}

func issue(t *testing.T, template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}
