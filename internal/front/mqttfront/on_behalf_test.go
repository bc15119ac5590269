package mqttfront_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/mqttwire"
)

// An Edge hub connects a device in the scope of its own, and a module of its device, by its own token: it logs in as they do,
// and says in its user name how they are below it. It needs not say that.
func TestConnect_onBehalf(t *testing.T) {
	f := newFixture(t)
	gateway := f.put(hubward.Device{DeviceID: "gateway", Capabilities: hubward.Capabilities{IotEdge: true}}, "")
	f.put(hubward.Device{DeviceID: "leaf", DeviceScope: gateway.DeviceScope}, "")
	f.createDevice("stranger")
	edgeHub := hubward.Identity{Device: "gateway", Module: "$edgeHub"}
	f.createModule(edgeHub, keys())
	f.createModule(hubward.Identity{Device: "gateway", Module: "filter"}, keys())
	f.createModule(hubward.Identity{Device: "stranger", Module: "filter"}, keys())
	as := func(id hubward.Identity, chain string) *mqttwire.ConnectPacket {
		p := loginAs(id, tokenOf(t, edgeHub, keys()))
		p.User += chain
		return p
	}
	leaf, filter := hubward.Identity{Device: "leaf"}, hubward.Identity{Device: "gateway", Module: "filter"}
	for _, r := range []struct {
		id    hubward.Identity
		chain string
		want  byte
	}{
		{leaf, "&auth-chain=leaf%3Bgateway", 0},
		{leaf, "", 0},
		{filter, "&DeviceClientType=x&auth-chain=gateway%2Ffilter%3bgateway", 0},
		{edgeHub, "&auth-chain=gateway%2F%24edgeHub%3Bgateway", 0},
		{leaf, "&auth-chain=leaf%3Bother", 5},
		{leaf, "&auth-chain=leaf", 5},
		{hubward.Identity{Device: "gateway"}, "", 5},
		{hubward.Identity{Device: "stranger"}, "", 5},
		{hubward.Identity{Device: "stranger", Module: "filter"}, "", 5},
		{hubward.Identity{Device: "none"}, "&auth-chain=none%3Bgateway", 5},
	} {
		c := f.dial()
		c.send(mqttwire.AppendConnect(nil, as(r.id, r.chain)))
		ack, err := mqttwire.ParseConnack(c.expect(mqttwire.Connack))
		if err != nil || ack.Code != r.want {
			t.Errorf("%s, %q: CONNACK %+v, %v; want code %d", r.id, r.chain, ack, err, r.want)
		}
	}

	// What it sends as the identity is that one's telemetry, whatever it says of who has sent it.
	type sent struct{ Device, Module, Auth, Body string }
	var want []sent
	const auth = `{"scope":"module","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}`
	for id, topic := range map[hubward.Identity]string{leaf: "devices/leaf/messages/events/", filter: "devices/gateway/modules/filter/messages/events/"} {
		c := f.connected(as(id, ""))
		c.publish(1, 1, topic+"%24.cdid=stranger&%24.cmid=other&%24.on=out&a=b", id.String())
		c.expectPuback(1)
		want = append(want, sent{id.Device, id.Module, auth, id.String()})
	}
	got := map[string]sent{}
	for _, e := range f.events(2) {
		got[string(e.Message.Body)] = sent{e.DeviceID, e.ModuleID, e.AuthMethod, string(e.Message.Body)}
		if e.Message.OutputName != "out" || len(e.Message.Properties) != 1 {
			t.Errorf("%+v", e.Message)
		}
	}
	for _, w := range want {
		if diff := cmp.Diff(w, got[w.Body]); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
}

// The Edge hub's link ends when the device has left its scope.
func TestConnect_onBehalf_endsWithTheScope(t *testing.T) {
	f := newFixture(t)
	f.deliver()
	gateway := f.put(hubward.Device{DeviceID: "gateway", Capabilities: hubward.Capabilities{IotEdge: true}}, "")
	leaf := f.put(hubward.Device{DeviceID: "leaf", DeviceScope: gateway.DeviceScope}, "")
	edgeHub := hubward.Identity{Device: "gateway", Module: "$edgeHub"}
	f.createModule(edgeHub, keys())
	own := f.connected(loginAs(edgeHub, tokenOf(t, edgeHub, keys())))
	c := f.connected(loginAs(hubward.Identity{Device: "leaf"}, tokenOf(t, edgeHub, keys())))
	leaf.DeviceScope = ""
	f.put(*leaf, "*")
	c.expectEnd()
	own.ping()
}
