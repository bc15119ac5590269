package mqttfront_test

import (
	"crypto/rand"
	"crypto/tls"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/mqttwire"
	"github.com/hubward/hubward/internal/pki"
)

func (f *fixture) registerAuthority(name string, verified bool) *pki.Authority {
	f.t.Helper()
	a, err := pki.MakeAuthority(name, time.Now(), time.Hour, rand.Reader)
	if err != nil {
		f.t.Fatal(err)
	}
	if _, err := f.hub.PutCertificateAuthority(f.t.Context(), f.plant, "plant", name, a.Certificate.Raw, verified, ""); err != nil {
		f.t.Fatal(err)
	}
	return a
}

// issued is what a client shows that an authority has issued a certificate.
func issued(t *testing.T, a *pki.Authority, name string) tls.Certificate {
	t.Helper()
	key, err := pki.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := a.Issue(name, key.Public(), time.Now(), time.Hour, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{cert.Raw, a.Certificate.Raw}, PrivateKey: key}
}

// Devices and modules of a certificate authority connect, by WebSocket too; whoever is refused gets code 5. When the authority is
// disabled their connections end, and no others.
func TestConnect_byAuthority(t *testing.T) {
	f := newFixture(t)
	byAuthority := &hubward.Authentication{Type: hubward.AuthCertificate}
	f.put(hubward.Device{DeviceID: "d1", Authentication: byAuthority}, "")
	f.createModule(m1, byAuthority)
	tokens := f.createDevice("sas")
	ca, unverified := f.registerAuthority("ca", true), f.registerAuthority("unverified", false)
	foreign, err := pki.MakeAuthority("foreign", time.Now(), time.Hour, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	own, modules := issued(t, ca, "d1"), issued(t, ca, "d1/m1")
	device, module := loginAs(d1, nil), loginAs(m1, nil)
	for name, r := range map[string]struct {
		shown   tls.Certificate
		connect *mqttwire.ConnectPacket
		want    byte
	}{
		"its own":                  {own, device, 0},
		"a module's own":           {modules, module, 0},
		"its device's":             {own, module, 5},
		"its module's":             {modules, device, 5},
		"of a foreign authority":   {issued(t, foreign, "d1"), device, 5},
		"of an unverified one":     {issued(t, unverified, "d1"), device, 5},
		"a device with keys":       {issued(t, ca, "sas"), loginAs(hubward.Identity{Device: "sas"}, nil), 5},
		"a device that is unknown": {issued(t, ca, "d2"), loginAs(hubward.Identity{Device: "d2"}, nil), 5},
	} {
		for _, webSocket := range []bool{false, true} {
			c := f.dialTLS(webSocket, r.shown)
			c.send(mqttwire.AppendConnect(nil, r.connect))
			ack, err := mqttwire.ParseConnack(c.expect(mqttwire.Connack))
			if err != nil || ack.Code != r.want {
				t.Errorf("%s, WebSocket %t: CONNACK %+v, %v; want code %d", name, webSocket, ack, err, r.want)
			}
		}
	}
	byDevice, byModule, byToken := f.dialTLS(false, own), f.dialTLS(true, modules), f.connected(login(t, tokens))
	byDevice.connect(device)
	byModule.connect(module)
	if _, err := f.hub.DisableCertificateAuthority(t.Context(), f.plant, "plant", "ca", "", true); err != nil {
		t.Fatal(err)
	}
	byDevice.expectEnd()
	byModule.expectEnd()
	byToken.ping()
}
