package amqpfront_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"math/big"
	"testing"
	"time"

	"github.com/Azure/go-amqp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/front/amqpfront"
	"github.com/hubward/hubward/internal/pki"
)

// certificate makes a self-signed one.
func certificate(t *testing.T, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// A device with a certificate logs in by EXTERNAL or not at all, puts no token, and may attach its own links alone.
func TestCertificate(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	own := certificate(t, "d1")
	sum := sha256.Sum256(own.Certificate[0])
	for id, thumbprint := range map[string]string{"d1": hex.EncodeToString(sum[:]), "d2": hex.EncodeToString(make([]byte, 32))} {
		_, err := f.PutDevice(t.Context(), f.process, hubward.Device{DeviceID: id, Authentication: &hubward.Authentication{
			Type: hubward.AuthSelfSigned, X509Thumbprint: hubward.X509Thumbprint{PrimaryThumbprint: hubward.NullString(thumbprint)},
		}}, "")
		if err != nil {
			t.Fatal(err)
		}
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate(t, host)}, ClientAuth: tls.RequestClientCert})
	if err != nil {
		t.Fatal(err)
	}
	f.serve(l)
	dial := func(o amqp.ConnOptions, certificates ...tls.Certificate) (*peer, error) {
		nc, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{ServerName: host, InsecureSkipVerify: true, Certificates: certificates})
		if err != nil {
			t.Fatal(err)
		}
		return newPeer(t, nc, o)
	}
	for name, o := range map[string]amqp.ConnOptions{"without SASL": {}, "EXTERNAL": {SASLType: amqp.SASLTypeExternal("")}} {
		p, err := dial(o, own)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for address, want := range map[string]string{
			"/devices/d2/twin": "amqp:unauthorized-access",
			"/devices/d3/twin": "amqp:not-found", "plant": "amqp:unauthorized-access",
		} {
			_, err := p.session.NewSender(p.context(), address, nil)
			wantCondition(t, name+", "+address, err, want)
		}
		p.mustSend("/devices/d1/twin")
	}
	if _, err := dial(amqp.ConnOptions{SASLType: amqp.SASLTypeExternal("")}); err == nil {
		t.Error("EXTERNAL without a certificate is accepted")
	}
}

// A client that names no host gets the hub of its log-in, or of its TLS.
func TestOpen_withoutHostname(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.createHub("other", "other.example")
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate(t, "other.example")}})
	if err != nil {
		t.Fatal(err)
	}
	f.serve(l)
	nc, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{ServerName: "other.example", InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	key := f.keys["other/service"].PrimaryKey
	p, err := newPeer(t, nc, amqp.ConnOptions{HostName: "/", SASLType: amqp.SASLTypePlain("service", key)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.session.NewReceiver(p.context(), "messages/events/", nil)
	if e := wantCondition(t, "by TLS", err, "amqp:link:redirect"); e.Info["address"] != "amqps://other.example:5671/other/" {
		t.Errorf("%v", e.Info)
	}
	plain := f.listen()
	p = f.dial(plain, amqp.ConnOptions{HostName: "/", SASLType: amqp.SASLTypePlain("service", key)})
	_, err = p.session.NewReceiver(p.context(), "messages/events/", nil)
	if e := wantCondition(t, "by log-in", err, "amqp:link:redirect"); e.Info["address"] != "amqps://other.example:5671/other/" {
		t.Errorf("%v", e.Info)
	}
	p = f.dial(plain, amqp.ConnOptions{HostName: "/"})
	if code, text := p.putToken(f.token("service", host, time.Hour)); code != 200 {
		t.Errorf("the first hub: %d %s", code, text)
	}
}

// certified makes devices that authenticate with a certificate authority, registers that, and returns what they show: a chain with
// an authority between.
func (f *fixture) certified(ids ...string) (show map[string]tls.Certificate) {
	f.t.Helper()
	now := time.Now()
	root, err := pki.MakeAuthority("root", now, time.Hour, rand.Reader)
	if err != nil {
		f.t.Fatal(err)
	}
	if _, err := f.PutCertificateAuthority(f.t.Context(), f.process, "plant", "root", root.Certificate.Raw, true, ""); err != nil {
		f.t.Fatal(err)
	}
	show = make(map[string]tls.Certificate)
	for _, id := range ids {
		d := hubward.Device{DeviceID: id, Authentication: &hubward.Authentication{Type: hubward.AuthCertificate}}
		if _, err := f.PutDevice(f.t.Context(), f.process, d, ""); err != nil {
			f.t.Fatal(err)
		}
		key, err := pki.NewKey(rand.Reader)
		if err != nil {
			f.t.Fatal(err)
		}
		cert, err := root.Issue(id, key.Public(), now, time.Hour, rand.Reader)
		if err != nil {
			f.t.Fatal(err)
		}
		show[id] = tls.Certificate{Certificate: [][]byte{cert.Raw, root.Certificate.Raw}, PrivateKey: key}
	}
	return show
}

// A device of a certificate authority logs in with its first link. When the authority is disabled, the link is detached, and the
// connection opens none any more.
func TestCertificate_ofAuthority(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	show := f.certified("c1")
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate(t, host)}, ClientAuth: tls.RequestClientCert})
	if err != nil {
		t.Fatal(err)
	}
	f.serve(l)
	nc, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{ServerName: host, InsecureSkipVerify: true, Certificates: []tls.Certificate{show["c1"]}})
	if err != nil {
		t.Fatal(err)
	}
	p, err := newPeer(t, nc, amqp.ConnOptions{SASLType: amqp.SASLTypeExternal("")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.session.NewSender(p.context(), "/devices/d1/messages/events", nil); err == nil {
		t.Error("the certificate is good for another device")
	}
	r, err := p.session.NewReceiver(p.context(), "/devices/c1/messages/devicebound", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.DisableCertificateAuthority(t.Context(), f.process, "plant", "root", "", true); err != nil {
		t.Fatal(err)
	}
	wantDetached(t, r, "amqp:unauthorized-access")
	_, err = p.session.NewReceiver(p.context(), "/devices/c1/messages/devicebound", nil)
	wantCondition(t, "another link", err, "amqp:unauthorized-access")
}

// A connection holds who has logged in also when no link of theirs is left: that ends too.
func TestCertificate_withoutLink(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	show := f.certified("c1")
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate(t, host)}, ClientAuth: tls.RequestClientCert})
	if err != nil {
		t.Fatal(err)
	}
	f.serve(l)
	nc, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{ServerName: host, InsecureSkipVerify: true, Certificates: []tls.Certificate{show["c1"]}})
	if err != nil {
		t.Fatal(err)
	}
	p, err := newPeer(t, nc, amqp.ConnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s := p.mustSend("/devices/c1/messages/events")
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if held := f.server.Held(); held != 1 {
		t.Fatalf("%d log-ins are held", held)
	}
	if err := f.DeleteCertificateAuthority(t.Context(), f.process, "plant", "root", ""); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); f.server.Held() != 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if held := f.server.Held(); held != 0 {
		t.Errorf("%d log-ins are held still", held)
	}
}
