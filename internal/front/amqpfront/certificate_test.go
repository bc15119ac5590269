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
