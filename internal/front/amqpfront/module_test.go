package amqpfront_test

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"testing"
	"time"

	"github.com/Azure/go-amqp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/front/amqpfront"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/sas"
)

// module registers a module of a device that is there.
func (f *fixture) module(device, module string, a hubward.Authentication) {
	f.t.Helper()
	edit := &hub.IdentityEdit{ID: hubward.Identity{Device: device, Module: module}}
	edit.Edit = func(*hub.Registration) (*hub.Registration, []hub.HubEvent, error) {
		r := &hub.Registration{ModuleID: module, Device: hubward.Device{
			DeviceID: device, ETag: "e", GenerationID: "639", Status: hubward.StatusEnabled, Authentication: &a,
		}}
		return r, nil, nil
	}
	if err := f.store.EditIdentities(f.t.Context(), "plant", []*hub.IdentityEdit{edit}); err != nil || edit.Err != nil {
		f.t.Fatal(err, edit.Err)
	}
}

const moduleKey = "bW9kdWxlIGtleSBtb2R1bGUga2V5IG1vZHVsZSBrZXk="

func withModuleKey() hubward.Authentication {
	return hubward.Authentication{Type: hubward.AuthSAS, SymmetricKey: hubward.SymmetricKey{PrimaryKey: moduleKey, SecondaryKey: moduleKey}}
}

func (f *fixture) moduleToken(device, module string) string {
	f.t.Helper()
	text, err := sas.Sign(host+"/devices/"+device+"/modules/"+module, moduleKey, "", time.Now().Add(time.Hour))
	if err != nil {
		f.t.Fatal(err)
	}
	return text
}

// A module logs in with a token of its own or of a policy, sends telemetry as a device does, and may wait for what never
// comes.
func TestModule(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	address := f.listen()
	d := f.createDevice("d1")
	f.module("d1", "m@1", withModuleKey())
	byToken := f.dial(address, amqp.ConnOptions{})
	if code, text := byToken.putToken(f.moduleToken("d1", "m@1")); code != 200 {
		t.Fatal(code, text)
	}
	byPolicy := f.dial(address, amqp.ConnOptions{})
	if code, text := byPolicy.putToken(f.token("device", host, time.Hour)); code != 200 {
		t.Fatal(code, text)
	}
	bySASL := f.dial(address, amqp.ConnOptions{SASLType: amqp.SASLTypePlain("d1/m@1@sas.plant", f.moduleToken("d1", "m@1"))})
	const events = "/devices/d1/modules/m%401/messages/events"
	for what, p := range map[string]*peer{"token": byToken, "policy": byPolicy, "SASL": bySASL} {
		if err := send(t, p.mustSend(events), data("by "+what)); err != nil {
			t.Fatal(what, err)
		}
		p.mustRead(events, "", amqp.ReceiverOptions{})
		p.mustRead("/devices/d1/modules/m%401/messages/devicebound", "", amqp.ReceiverOptions{})
		_, err := p.sender("/devices/d1/modules/other/messages/events")
		wantCondition(t, what+", another module", err, map[bool]string{true: "amqp:not-found", false: "amqp:unauthorized-access"}[p == byPolicy])
	}
	got := map[string]*hubward.Event{}
	for _, e := range f.events("d1") {
		got[string(e.Message.Body)] = e
	}
	for what, scope := range map[string]string{"by token": "module", "by policy": "hub", "by SASL": "module"} {
		e := got[what]
		if e == nil || e.ModuleID != "m@1" || e.GenerationID != "639" || e.AuthMethod != `{"scope":"`+scope+`","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}` {
			t.Errorf("%s: %+v", what, e)
		}
	}
	f.awaitConnected(0) // devices alone are counted
	_, err := byToken.sender(telemetryOf("d1"))
	wantCondition(t, "a module as its device", err, "amqp:unauthorized-access")
	_, err = f.deviceAgain(address, d).sender(events)
	wantCondition(t, "a device as its module", err, "amqp:unauthorized-access")
}

// A module ends with its device; its token is good for nothing from then on.
func TestModule_endsWithItsDevice(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.createDevice("d1")
	f.module("d1", "m1", withModuleKey())
	p := f.dial(f.listen(), amqp.ConnOptions{})
	if code, text := p.putToken(f.moduleToken("d1", "m1")); code != 200 {
		t.Fatal(code, text)
	}
	s := p.mustSend("/devices/d1/modules/m1/messages/events")
	if err := f.DeleteDevice(t.Context(), f.process, "d1", "*"); err != nil {
		t.Fatal(err)
	}
	wantLinkEnd(t, s, "amqp:not-found")
	_, err := p.sender("/devices/d1/modules/m1/messages/events")
	wantCondition(t, "again", err, "amqp:unauthorized-access")
	if code, _ := p.putToken(f.moduleToken("d1", "m1")); code != 404 {
		t.Errorf("its token: %d", code)
	}
}

func TestModule_byCertificate(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.createDevice("d1")
	own := certificate(t, "m1")
	sum := sha256.Sum256(own.Certificate[0])
	f.module("d1", "m1", hubward.Authentication{
		Type: hubward.AuthSelfSigned, X509Thumbprint: hubward.X509Thumbprint{PrimaryThumbprint: hubward.NullString(hex.EncodeToString(sum[:]))},
	})
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate(t, host)}, ClientAuth: tls.RequestClientCert})
	if err != nil {
		t.Fatal(err)
	}
	f.serve(l)
	nc, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{ServerName: host, InsecureSkipVerify: true, Certificates: []tls.Certificate{own}})
	if err != nil {
		t.Fatal(err)
	}
	p, err := newPeer(t, nc, amqp.ConnOptions{SASLType: amqp.SASLTypeExternal("")})
	if err != nil {
		t.Fatal(err)
	}
	if err := send(t, p.mustSend("/devices/d1/modules/m1/messages/events"), data("x")); err != nil {
		t.Fatal(err)
	}
	if e := f.events("d1")[0]; e.ModuleID != "m1" || e.AuthMethod != `{"scope":"module","type":"x509Certificate","issuer":"external","acceptingIpFilterRule":null}` {
		t.Errorf("%+v", e)
	}
	_, err = p.sender(telemetryOf("d1"))
	wantCondition(t, "its device", err, "amqp:unauthorized-access")
	_, err = p.sender("/devices/d1/modules/m2/messages/events")
	wantCondition(t, "another module", err, "amqp:not-found")
}
