package app_test

import (
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/pem"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hubward/hubward/internal/app"
	"github.com/hubward/hubward/internal/hub"
)

// Each hub shows a certificate of its own, also one that is made or changed while the process runs.
func TestRun_hubsShowTheirCertificates(t *testing.T) {
	r := start(t, t.TempDir(), nil, func(o *app.Options) { o.Memory = true })
	operator := process(t, r.app)
	if _, err := r.app.Hub().CreateHub(t.Context(), operator, hub.NewHub{Name: "Second", HostNames: []string{"second.example.com"}}); err != nil {
		t.Fatal(err)
	}
	shows := func(name, other string) {
		t.Helper()
		eventually(t, name+" verifies, without "+other, func() bool {
			leaf := r.shown(name)
			return leaf != nil && leaf.VerifyHostname(other) != nil
		})
	}
	for _, name := range []string{"second.example.com", "second.device.example.com", "second.service.example.com", "second.localhost", "second.device.localhost"} {
		shows(name, "hubward.localhost")
	}
	for _, name := range []string{"hubward.localhost", "hubward.service.localhost", "localhost"} {
		shows(name, "second.example.com")
	}
	change := hub.HubChange{HostNames: []string{"zwei.example.com"}}
	if _, err := r.app.Hub().UpdateHub(t.Context(), operator, "Second", change); err != nil {
		t.Fatal(err)
	}
	shows("zwei.example.com", "second.example.com")
	if err := r.app.Hub().DeleteHub(t.Context(), operator, "Second"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the certificate is gone", func() bool { return r.shown("zwei.example.com") == nil })
}

// shown is the certificate that a client gets that asks for a name; nil when it is not good for that.
func (r *running) shown(name string) *x509.Certificate {
	conn, err := tls.Dial("tcp", r.addresses["mqtts"], &tls.Config{ServerName: name, RootCAs: r.client().Transport.(*http.Transport).TLSClientConfig.RootCAs})
	if err != nil {
		return nil
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0]
}

// Names that were stored before there was a rule for them do not keep the hub from starting.
func TestOpen_storedHostNamesThatBreakTheRule(t *testing.T) {
	dir := t.TempDir()
	a, err := app.Open(t.Context(), load(t, dir, nil), app.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Hub().CreateHub(t.Context(), process(t, a), hub.NewHub{Name: "second", HostNames: []string{"second.example.com"}}); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	old := `["ünicode.org","Old.Example.com.","` + strings.Repeat("a", 64) + `.example"]`
	changeHostNames(t, filepath.Join(dir, "registry.db"), "second", old)
	log := &syncBuffer{}
	a, err = app.Open(t.Context(), load(t, dir, nil), app.Options{LogTo: log})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for host, want := range map[string]string{"ünicode.org": "second", "old.example.com": "second", "old.device.example.com": "second"} {
		if ref, err := a.Hub().HubFor(host); err != nil || ref.Name != want {
			t.Errorf("%s leads to %q, %v", host, ref.Name, err)
		}
	}
	leaf, _ := x509.ParseCertificate(pemBlock(t, filepath.Join(dir, "tls", "hubs", "second.pem")))
	if leaf == nil || leaf.VerifyHostname("old.example.com") != nil || leaf.VerifyHostname("second.localhost") != nil {
		t.Error("the hub's certificate lacks the names that it can hold")
	}
	if strings.Count(log.String(), "no certificate can hold this host name") != 2 {
		t.Errorf("the log does not tell of both:\n%s", log)
	}
}

// changeHostNames does what an older version could: it stores what the rule forbids.
func changeHostNames(t *testing.T, file, name, hostNames string) {
	t.Helper()
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "UPDATE hubs SET host_names = ? WHERE name = ?", hostNames, name); err != nil {
		t.Fatal(err)
	}
}

func pemBlock(t *testing.T, file string) []byte {
	t.Helper()
	block, _ := pem.Decode(readFile(t, file))
	if block == nil {
		t.Fatalf("%s holds no PEM", file)
	}
	return block.Bytes
}
