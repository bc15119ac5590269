package amqpfront_test

import (
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/go-amqp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/front/amqpfront"
	"github.com/hubward/hubward/sas"
)

// edge registers an Edge device with its Edge hub.
func (f *fixture) edge(id string) *hubward.Device {
	f.t.Helper()
	d, err := f.PutDevice(f.t.Context(), f.process, hubward.Device{DeviceID: id, Capabilities: hubward.Capabilities{IotEdge: true}}, "")
	if err != nil {
		f.t.Fatal(err)
	}
	f.module(id, "$edgeHub", withModuleKey())
	return d
}

// child registers a device in the scope of an Edge device.
func (f *fixture) child(id string, of *hubward.Device) *hubward.Device {
	f.t.Helper()
	d, err := f.PutDevice(f.t.Context(), f.process, hubward.Device{DeviceID: id, DeviceScope: of.DeviceScope}, "")
	if err != nil {
		f.t.Fatal(err)
	}
	return d
}

// edgeHubToken is the token of a device's Edge hub, as it signs it: ids are encoded twice.
func (f *fixture) edgeHubToken(device string, life time.Duration) string {
	f.t.Helper()
	text, err := sas.Sign(host+"/devices/"+device+"/modules/%24edgeHub", moduleKey, "", time.Now().Add(life))
	if err != nil {
		f.t.Fatal(err)
	}
	return text
}

// chained opens a telemetry link with an authentication chain; empty: without one.
func (p *peer) chained(address, chain string) (*amqp.Sender, error) {
	o := &amqp.SenderOptions{}
	if chain != "" {
		o.Properties = map[string]any{"com.microsoft:auth-chain": chain}
	}
	return p.session.NewSender(p.context(), address, o)
}

// An Edge hub puts its own token, and connects with it whoever is in the scope of its device; nobody else.
func TestOnBehalf(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	gateway := f.edge("gateway")
	f.child("leaf", gateway)
	f.createDevice("stranger")
	f.module("gateway", "filter", withModuleKey())
	p := f.dial(f.listen(), amqp.ConnOptions{})
	if _, err := p.chained(telemetryOf("leaf"), "leaf;gateway"); err == nil {
		t.Error("attached without a token")
	}
	if code, text := p.putToken(f.edgeHubToken("gateway", time.Hour)); code != 200 {
		t.Fatal(code, text)
	}
	const filter = "/devices/gateway/modules/filter/messages/events"
	for _, row := range []struct{ address, chain string }{
		{telemetryOf("leaf"), "leaf;gateway"}, {telemetryOf("leaf"), ""},
		{filter, "gateway/filter;gateway"}, {filter, ""},
		{"/devices/gateway/modules/$edgeHub/messages/events", "gateway/$edgeHub;gateway"},
	} {
		s, err := p.chained(row.address, row.chain)
		if err != nil {
			t.Errorf("%s, chain %q: %v", row.address, row.chain, err)
			continue
		}
		m := data(row.address)
		m.Annotations = amqp.Annotations{"iothub-connection-device-id": "stranger"}
		m.ApplicationProperties = map[string]any{"iothub-connection-module-id": "forged"}
		if err := send(t, s, m); err != nil {
			t.Error(row.address, err)
		}
	}
	for device, bodies := range map[string]int{"leaf": 2, "gateway": 3} {
		events := f.events(device)
		for _, e := range events {
			if e.AuthMethod != `{"scope":"module","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}` || len(e.Message.Properties) > 0 {
				t.Errorf("%+v", e)
			}
		}
		if len(events) != bodies {
			t.Errorf("%s has sent %d events, want %d", device, len(events), bodies)
		}
	}
	if e := f.events("gateway")[0]; e.ModuleID != "filter" || e.GenerationID != "639" {
		t.Errorf("%+v", e)
	}
	f.awaitConnected(1) // of the devices, the leaf alone
	for _, row := range []struct{ address, chain string }{
		{telemetryOf("leafx"), ""}, {telemetryOf("stranger"), ""}, {telemetryOf("stranger"), "stranger;gateway"}, {telemetryOf("gateway"), ""},
		{telemetryOf("none"), ""}, {"/devices/gateway/modules/none/messages/events", ""},
	} {
		_, err := p.chained(row.address, row.chain)
		if err == nil {
			t.Errorf("%s, chain %q: attached", row.address, row.chain)
		}
	}
	second := f.dial(f.listen(), amqp.ConnOptions{})
	if code, text := second.putToken(f.edgeHubToken("gateway", time.Hour)); code != 200 {
		t.Fatal(code, text)
	}
	for _, chain := range []string{"leaf", "leaf;other", "leaf;gateway;other", "gateway;leaf"} {
		_, err := second.chained(telemetryOf("leaf"), chain)
		wantCondition(t, chain, err, "amqp:unauthorized-access")
	}
	_, err := f.deviceAgain(f.listen(), gateway).chained(telemetryOf("leaf"), "leaf;gateway")
	wantCondition(t, "by the device's own key", err, "amqp:unauthorized-access")
}

// A token that an Edge hub puts anew is good for all that it connects; without one, they end with it.
func TestOnBehalf_livesAsLongAsTheToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, amqpfront.Options{})
		gateway := f.edge("gateway")
		p := f.pipe(amqp.ConnOptions{})
		put := func() {
			t.Helper()
			if code, text := p.putToken(f.edgeHubToken("gateway", time.Minute)); code != 200 {
				t.Fatal(code, text)
			}
		}
		put()
		var links []*amqp.Sender
		for i := range 3 {
			id := fmt.Sprint("leaf", i)
			f.child(id, gateway)
			links = append(links, p.mustSend(telemetryOf(id)))
		}
		time.Sleep(50 * time.Second)
		put()
		time.Sleep(50 * time.Second)
		for _, s := range links {
			if err := send(t, s, data("x")); err != nil {
				t.Fatal(err)
			}
		}
		f.awaitConnected(3)
		time.Sleep(12 * time.Second)
		for _, s := range links {
			wantCondition(t, "the link", send(t, s, data("x")), "amqp:unauthorized-access")
		}
		f.awaitConnected(0)
	})
}

// The link of a device that has left the scope ends, and is not made again; the others of the connection go on.
func TestOnBehalf_endsWithTheScope(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	gateway := f.edge("gateway")
	leaf := f.child("leaf", gateway)
	f.child("other", gateway)
	p := f.dial(f.listen(), amqp.ConnOptions{})
	if code, text := p.putToken(f.edgeHubToken("gateway", time.Hour)); code != 200 {
		t.Fatal(code, text)
	}
	s, stays := p.mustSend(telemetryOf("leaf")), p.mustSend(telemetryOf("other"))
	leaf.DeviceScope = ""
	if _, err := f.PutDevice(t.Context(), f.process, *leaf, "*"); err != nil {
		t.Fatal(err)
	}
	wantLinkEnd(t, s, "amqp:unauthorized-access")
	_, err := p.sender(telemetryOf("leaf"))
	wantCondition(t, "again", err, "amqp:unauthorized-access")
	if err := send(t, stays, data("x")); err != nil {
		t.Error(err)
	}
}

// An Edge hub acts for others by a token at $cbs, and in no other way.
func TestOnBehalf_notBySASL(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.child("leaf", f.edge("gateway"))
	address := f.listen()
	f.dial(address, amqp.ConnOptions{SASLType: amqp.SASLTypePlain("gateway/$edgeHub@sas.plant", f.edgeHubToken("gateway", time.Hour))})
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newPeer(t, nc, amqp.ConnOptions{SASLType: amqp.SASLTypePlain("leaf@sas.plant", f.edgeHubToken("gateway", time.Hour))}); err == nil {
		t.Error("the log-in is taken")
	}
}
