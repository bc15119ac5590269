package mqttfront_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/mqttwire"
)

// m1 is a module of d1.
var m1 = hubward.Identity{Device: "d1", Module: "m1"}

const moduleEventsTopic = "devices/d1/modules/m1/messages/events/"

func keys() *hubward.Authentication {
	return &hubward.Authentication{Type: hubward.AuthSAS, SymmetricKey: hubward.SymmetricKey{PrimaryKey: "bTE=", SecondaryKey: "bTI="}}
}

// certificate makes a self-signed one, and what the registry knows of it.
func certificate(t *testing.T, ends time.Time) (tls.Certificate, *hubward.Authentication) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: ends.Add(-2 * time.Hour), NotAfter: ends}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, &hubward.Authentication{
		Type: hubward.AuthSelfSigned, X509Thumbprint: hubward.X509Thumbprint{PrimaryThumbprint: hubward.NullString(hex.EncodeToString(sum[:]))},
	}
}

// pipeTLS connects, and returns the connection and TLS on it, which has not shaken hands.
func (f *fixture) pipeTLS(own ...tls.Certificate) (raw net.Conn, c *client) {
	f.t.Helper()
	near, peer, secure := f.newTLS(own)
	f.pipes.conns <- secure
	return near, newClient(f.t, peer)
}

func (f *fixture) newTLS(own []tls.Certificate) (raw net.Conn, peer, server *tls.Conn) {
	f.t.Helper()
	servers, _ := certificate(f.t, time.Now().Add(time.Hour))
	near, far := net.Pipe()
	f.t.Cleanup(func() { near.Close() })
	return near, tls.Client(near, &tls.Config{InsecureSkipVerify: true, Certificates: own}),
		tls.Server(far, &tls.Config{Certificates: []tls.Certificate{servers}, ClientAuth: tls.RequestClientCert, SessionTicketsDisabled: true})
}

// dialTLS connects with those certificates. Below a WebSocket, the server gets a connection that has shaken hands already.
func (f *fixture) dialTLS(webSocket bool, own ...tls.Certificate) *client {
	f.t.Helper()
	if !webSocket {
		_, c := f.pipeTLS(own...)
		return c
	}
	_, peer, secure := f.newTLS(own)
	shaken := make(chan error, 1)
	go func() { shaken <- secure.Handshake() }()
	if err := peer.Handshake(); err != nil {
		f.t.Fatal(err)
	}
	if err := <-shaken; err != nil {
		f.t.Fatal(err)
	}
	f.pipes.conns <- struct {
		net.Conn
		connectionState
	}{secure, secure}
	return newClient(f.t, peer)
}

type connectionState interface{ ConnectionState() tls.ConnectionState }

func TestConnect_byCertificate(t *testing.T) {
	f := newFixture(t)
	own, byOwn := certificate(t, time.Now().Add(time.Hour))
	other, byOther := certificate(t, time.Now().Add(time.Hour))
	old, byOld := certificate(t, time.Now().Add(-time.Hour))
	f.put(hubward.Device{DeviceID: "d1", Authentication: byOwn}, "")
	f.put(hubward.Device{DeviceID: "old", Authentication: byOld}, "")
	f.createModule(m1, byOther)
	sas := f.createDevice("sas")
	withToken := login(t, sas)
	device := func(id string) *mqttwire.ConnectPacket { return loginAs(hubward.Identity{Device: id}, nil) }

	rows := map[string]struct {
		certificates []tls.Certificate
		connect      *mqttwire.ConnectPacket
		want         byte
	}{
		"its own":                        {[]tls.Certificate{own}, device("d1"), 0},
		"a module's own":                 {[]tls.Certificate{other}, loginAs(m1, nil), 0},
		"another one":                    {[]tls.Certificate{other}, device("d1"), 5},
		"its device's":                   {[]tls.Certificate{own}, loginAs(m1, nil), 5},
		"none":                           {nil, device("d1"), 5},
		"one that has ended":             {[]tls.Certificate{old}, device("old"), 5},
		"an unknown device":              {[]tls.Certificate{own}, device("d2"), 5},
		"a device with keys":             {[]tls.Certificate{own}, device("sas"), 5},
		"a password counts first":        {[]tls.Certificate{own}, withToken, 0},
		"a password that is not a token": {[]tls.Certificate{own}, loginAs(hubward.Identity{Device: "d1"}, []byte("x")), 5},
	}
	for name, r := range rows {
		for _, webSocket := range []bool{false, true} {
			c := f.dialTLS(webSocket, r.certificates...)
			c.send(mqttwire.AppendConnect(nil, r.connect))
			ack, err := mqttwire.ParseConnack(c.expect(mqttwire.Connack))
			if err != nil || ack.Code != r.want {
				t.Errorf("%s, WebSocket %t: CONNACK %+v, %v; want code %d", name, webSocket, ack, err, r.want)
			}
		}
	}
}

func TestPublish_saysHowItsSenderLoggedIn(t *testing.T) {
	f := newFixture(t)
	own, byOwn := certificate(t, time.Now().Add(time.Hour))
	f.put(hubward.Device{DeviceID: "d1", Authentication: byOwn}, "")
	f.createModule(m1, byOwn)
	for id, topic := range map[hubward.Identity]string{d1: eventsTopic, m1: moduleEventsTopic} {
		c := f.dialTLS(false, own)
		c.connect(loginAs(id, nil))
		c.publish(1, 1, topic, id.String())
		c.expectPuback(1)
	}
	want := map[string]string{
		"d1":    `{"scope":"device","type":"x509Certificate","issuer":"external","acceptingIpFilterRule":null}`,
		"d1/m1": `{"scope":"module","type":"x509Certificate","issuer":"external","acceptingIpFilterRule":null}`,
	}
	got := map[string]string{}
	for _, e := range f.events(2) {
		got[string(e.Message.Body)] = e.AuthMethod
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// A module is served as a device is.
func TestModule(t *testing.T) {
	f := newFixture(t)
	d := f.createDevice("d1")
	f.createModule(m1, keys())
	device := f.connected(login(t, d))

	c := f.dial()
	p := loginAs(m1, tokenOf(t, m1, keys()))
	p.Will = &mqttwire.Will{Topic: moduleEventsTopic, Payload: []byte("gone"), QoS: 1}
	if c.connect(p) {
		t.Error("a first connection has a session")
	}
	c.publish(1, 7, moduleEventsTopic+"a=b", "on")
	c.expectPuback(7)
	for _, filter := range []string{"devices/d1/modules/m1/#", "devices/d1/modules/m1/inputs/#", "$iothub/methods/POST/#"} {
		c.subscribe(1, filter)
	}
	c.nc.Close()

	c = f.dial()
	if !c.connect(loginAs(m1, tokenOf(t, m1, keys()))) {
		t.Error("the session was not kept")
	}
	events := f.events(2)
	for i, body := range []string{"on", "gone"} {
		if e := events[i]; e.DeviceID != "d1" || e.ModuleID != "m1" || string(e.Message.Body) != body {
			t.Errorf("event %d is %q of %s/%s", i, e.Message.Body, e.DeviceID, e.ModuleID)
		}
	}
	device.ping() // it was not taken over
	if err := f.hub.DeleteDevice(t.Context(), f.plant, "d1", "*"); err != nil {
		t.Fatal(err)
	}
	c.expectEnd()
	device.expectEnd()
}

func TestModule_whatItMayNot(t *testing.T) {
	rows := map[string]func(c *client){
		"its device's telemetry":        func(c *client) { c.publish(0, 0, eventsTopic, "x") },
		"another module's telemetry":    func(c *client) { c.publish(0, 0, "devices/d1/modules/m2/messages/events/", "x") },
		"messages to its device":        func(c *client) { c.askToSubscribe(1, devicebound) },
		"what is another module's":      func(c *client) { c.askToSubscribe(1, "devices/d1/modules/m2/#") },
		"a topic that only looks alike": func(c *client) { c.publish(0, 0, "devices/d1/modules/m1/messages/eventsx", "x") },
	}
	f := newFixture(t)
	f.createDevice("d1")
	f.createModule(m1, keys())
	for name, do := range rows {
		f.run(name, func(t *testing.T) {
			c := f.connected(loginAs(m1, tokenOf(t, m1, keys())))
			do(c)
			c.expectEnd()
		})
	}
}

func TestModule_getsNoMessages(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFixture(t)
		f.deliver()
		f.createDevice("d1")
		f.createModule(m1, keys())
		c := f.connected(loginAs(m1, tokenOf(t, m1, keys())))
		for _, filter := range []string{"devices/d1/modules/m1/messages/devicebound/#", "devices/d1/modules/+/#", "devices/d1/#", "#"} {
			c.subscribe(1, filter) // it may, and gets what is its own
		}
		f.queue("for the device")
		if err := f.hub.SendC2D(t.Context(), f.plant, m1, &hubward.Message{}); err != nil {
			t.Fatal(err)
		}
		c.quiet()
	})
}
