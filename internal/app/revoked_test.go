package app_test

import (
	"crypto/rand"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/app"
	"github.com/hubward/hubward/internal/config"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/internal/pki"
)

// closing is a session that remembers whether it was closed.
type closing struct{ closed atomic.Bool }

func (*closing) Deliver(hub.Delivery) {}
func (c *closing) Close(error)        { c.closed.Store(true) }

// connectBy connects a device with a certificate that an authority issues.
func (r *running) connectBy(ca *pki.Authority, id string) (serial string, s *closing, again func() error) {
	r.t.Helper()
	key, err := pki.NewKey(rand.Reader)
	if err != nil {
		r.t.Fatal(err)
	}
	cert, err := ca.Issue(id, key.Public(), time.Now(), time.Hour, rand.Reader)
	if err != nil {
		r.t.Fatal(err)
	}
	identity := hubward.Identity{Device: id}
	s = new(closing)
	again = func() error {
		p, err := r.app.Hub().Authenticate(r.t.Context(), access.Credential{Hub: "hubward", Identity: identity, Certificates: []*x509.Certificate{cert}})
		if err == nil {
			_, err = r.app.Hub().Connect(r.t.Context(), &p, hub.ConnectRequest{Identity: identity, Session: s})
		}
		return err
	}
	if err := again(); err != nil {
		r.t.Fatal(err)
	}
	return cert.SerialNumber.Text(16), s, again
}

// What is revoked while the process runs loses its connection, and does not come back. A file that is broken changes nothing, and
// the metrics say so.
func TestRun_revoked(t *testing.T) {
	revoked := t.TempDir()
	r := start(t, t.TempDir(), map[string][]string{"revoked": {revoked}}, nil)
	owner, err := r.app.Hub().Hub(access.Process(access.HubRef{}), "hubward")
	if err != nil {
		t.Fatal(err)
	}
	p := access.Process(access.HubRef{Name: owner.Name, Created: owner.Created})
	ca, err := pki.MakeAuthority("ca", time.Now(), time.Hour, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.app.Hub().PutCertificateAuthority(t.Context(), p, "hubward", "ca", ca.Certificate.Raw, true, ""); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"d1", "d2", "d3"} {
		d := hubward.Device{DeviceID: id, Authentication: &hubward.Authentication{Type: hubward.AuthCertificate}}
		if _, err := r.app.Hub().PutDevice(t.Context(), p, d, ""); err != nil {
			t.Fatal(err)
		}
	}
	serial1, first, again1 := r.connectBy(ca, "d1")
	serial2, second, again2 := r.connectBy(ca, "d2")
	_, third, again3 := r.connectBy(ca, "d3")
	deny := filepath.Join(revoked, "deny.txt")
	write := func(text string) {
		if err := os.WriteFile(deny, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(serial1)
	if err := r.app.Reload(t.Context()); err != nil { // SIGHUP
		t.Fatal(err)
	}
	if !first.closed.Load() || second.closed.Load() || access.ReasonOf(again1()) != access.ReasonRevoked || again2() != nil {
		t.Errorf("after SIGHUP: closed %t and %t", first.closed.Load(), second.closed.Load())
	}
	write("half of a li")
	if err := r.app.LookAtRevoked(); err == nil || access.ReasonOf(again1()) != access.ReasonRevoked {
		t.Errorf("a broken file: %v, and the old one does not count any more", err)
	}
	if _, m := r.admin("/metrics"); !strings.Contains(m, "hubward_revocation_files_broken 1\n") || !strings.Contains(m, "hubward_revoked_certificates 1\n") {
		t.Error("the metrics do not tell of the broken file")
	}
	write(serial1 + "\n" + serial2)
	if err := r.app.LookAtRevoked(); err != nil { // what the timer does
		t.Fatal(err)
	}
	if !second.closed.Load() || access.ReasonOf(again2()) != access.ReasonRevoked || third.closed.Load() || again3() != nil {
		t.Errorf("after a while: closed %t and %t", second.closed.Load(), third.closed.Load())
	}
	if _, m := r.admin("/metrics"); !strings.Contains(m, "hubward_revocation_files_broken 0\n") || !strings.Contains(m, `hubward_logins_refused_total{hub="hubward",reason="revoked"}`) {
		t.Error("the metrics tell of a broken file still, or of nobody who was refused")
	}
}

// A process that was to know revoked certificates does not start without.
func TestOpen_revokedCannotBeRead(t *testing.T) {
	broken := t.TempDir()
	if err := os.WriteFile(filepath.Join(broken, "ca.crl"), []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{broken, filepath.Join(broken, "none")} {
		c, err := config.Load(config.Source{Flags: map[string][]string{"data": {t.TempDir()}, "revoked": {folder}}})
		if err != nil {
			t.Fatal(err)
		}
		if a, err := app.Open(t.Context(), c, app.Options{}); err == nil || !strings.Contains(err.Error(), "revoked: ") {
			t.Errorf("%s: %v", folder, err)
			if a != nil {
				a.Close()
			}
		}
	}
}
