package mqttfront_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/front/mqttfront"
	"github.com/hubward/hubward/internal/mqttwire"
)

func TestSubscribe_documentedFilters(t *testing.T) {
	f := newFixture(t)
	c := f.connected(login(t, f.createDevice("d1")))
	c.send(mqttwire.AppendSubscribe(nil, &mqttwire.SubscribePacket{ID: 3, Filters: []mqttwire.Filter{
		{Topic: "devices/d1/messages/devicebound/#", QoS: 1}, {Topic: "$iothub/twin/res/#", QoS: 0},
		{Topic: "$iothub/twin/PATCH/properties/desired/#", QoS: 2}, {Topic: "$iothub/methods/POST/#", QoS: 1},
	}}))
	ack, err := mqttwire.ParseSuback(c.expect(mqttwire.Suback))
	if diff := cmp.Diff(mqttwire.SubackPacket{ID: 3, Codes: []byte{1, 0, 1, 1}}, ack); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	c.send(mqttwire.AppendUnsubscribe(nil, &mqttwire.UnsubscribePacket{ID: 4, Topics: []string{"$iothub/twin/res/#", "never/was"}}))
	if id, err := mqttwire.ParseID(c.expect(mqttwire.Unsuback)); id != 4 || err != nil {
		t.Errorf("UNSUBACK %d, %v", id, err)
	}
}

// Python and Java never subscribe again: filters outlive connections.
func TestSubscribe_outlivesTheConnection(t *testing.T) {
	f := newFixture(t)
	d := f.createDevice("d1")
	subscribe := func(c *client) {
		c.send(mqttwire.AppendSubscribe(nil, &mqttwire.SubscribePacket{ID: 1, Filters: []mqttwire.Filter{{Topic: "$iothub/twin/res/#", QoS: 1}}}))
		c.expect(mqttwire.Suback)
	}
	twinAnswers := func(c *client) bool {
		c.publish(1, 9, "$iothub/twin/GET/?$rid=abc", " ")
		c.expectPuback(9)
		c.send(mqttwire.AppendPingreq(nil), nil)
		got, body, _ := c.next()
		return got == mqttwire.Publish && strings.Contains(string(body), "$iothub/twin/res/200/?$rid=abc")
	}
	first := f.dial()
	if first.connect(login(t, d)) {
		t.Error("a first connection has a session")
	}
	subscribe(first)
	first.send(mqttwire.AppendDisconnect(nil), nil)
	first.expectEnd()

	second := f.dial()
	if !second.connect(login(t, d)) {
		t.Error("the session was not kept")
	}
	if !twinAnswers(second) {
		t.Error("the filter was not kept")
	}
	second.nc.Close()

	clean := f.dial()
	p := login(t, d)
	p.CleanSession = true
	if clean.connect(p) {
		t.Error("a clean session is present")
	}
	if twinAnswers(clean) {
		t.Error("a clean session has old filters")
	}
	subscribe(clean)
	clean.nc.Close()
	last := f.dial()
	if last.connect(login(t, d)) {
		t.Error("a clean session left something behind")
	}
}

// Each of these is subscribed to by a client that somebody published, and stands for a feature without which the client can
// do: none may end its connection.
//
// Source: Adafruit_CircuitPython_AzureIoT iot_mqtt.py, NXP's MCUXpresso azure_iot_mqtt, iot-central-firmware, Azure-Samples/IoTMQTTSample,
// and branch feature/iot-csr-preview of Azure/azure-iot-sdk-csharp.
func TestSubscribe_filtersOfPublishedClients(t *testing.T) {
	device := []string{
		"$iothub/methods/#", "$iothub/methods/POST/#", "$iothub/twin/res/#", "$iothub/twin/res/200/#", "$iothub/twin/#", "$iothub/#",
		"$iothub/twin/PATCH/properties/desired/#", "$iothub/credentials/res/#", "$iothub/streams/POST/#",
		"devices/d1/messages/devicebound/#", "devices/d1/messages/devicebound/", "devices/d1/messages/events/#",
		"devices/d1/messages/events/", "devices/d1/messages/#", "devices/d1/#", "devices/+/messages/devicebound/#", "#",
	}
	module := []string{
		"devices/d1/modules/m1/#", "devices/d1/modules/m1/inputs/#", "devices/d1/modules/m1/messages/devicebound/#",
		"$iothub/methods/POST/#", "$iothub/twin/res/#", "$iothub/credentials/res/#",
	}
	f := newFixture(t)
	d := f.createDevice("d1")
	f.createModule(m1, keys())
	for id, filters := range map[hubward.Identity][]string{d1: device, m1: module} {
		c := f.connected(login(t, d))
		if id == m1 {
			c = f.connected(loginAs(m1, tokenOf(t, m1, keys())))
		}
		for i, filter := range filters {
			qos := byte(i % 2)
			c.wantGranted(qos, filter, qos)
		}
		c.ping()
	}
}

// wantGranted subscribes, and compares the code of the answer.
func (c *client) wantGranted(qos byte, filter string, want byte) {
	c.t.Helper()
	c.askToSubscribe(qos, filter)
	ack, err := mqttwire.ParseSuback(c.expect(mqttwire.Suback))
	if diff := cmp.Diff(mqttwire.SubackPacket{ID: 77, Codes: []byte{want}}, ack); diff != "" || err != nil {
		c.t.Errorf("%.40s: %v %s", filter, err, diff)
	}
}

func TestMaySubscribe(t *testing.T) {
	rows := map[string]bool{
		"devices/d1": false, "devices/d1/": true, "devices/d1/x": true, "devices/d1/+": true, "devices/+/+": true,
		"devices/#": true, "+/d1/#": true, "+/#": true, "+/+/messages/devicebound/#": true, "#": true, "$iothub/x": true, "$iothub/+/#": true,
		"devices": false, "devices/": false, "+": false, "+/+": false, "/devices/d1/#": false, "devices//d1/#": false, "$iothub": false,
		"devices/d2/messages/devicebound/#": false, "devices/d11/#": false, "devices/d2/+": false, "Devices/d1/#": false,
		"weather/#": false, "shellies/rpc": false, "$SYS/#": false, "$share/g/devices/d1/#": false, "$dps/registrations/res/#": false,
		"+/methods/POST/#": false, "#/x": false, "devices/d1/#/x": false, "devices/d1/a#": false, "devices/d1/a+/#": false, "devices/d1#": false,
	}
	for filter, want := range rows {
		if got := mqttfront.MaySubscribe(d1, filter); got != want {
			t.Errorf("%s: %t", filter, got)
		}
	}
	odd := hubward.Identity{Device: "#", Module: "+a"}
	for filter, want := range map[string]bool{
		"devices/#/modules/+a/#": true, "devices/#/modules/+/#": true, "devices/#/modules/+b/#": false, "devices/+a/#": false,
	} {
		if got := mqttfront.MaySubscribe(odd, filter); got != want {
			t.Errorf("%s of %s: %t", filter, odd, got)
		}
	}
}

// Source: MQTT 3.1.1 section 4.7, whose examples these are, but for the topics of the hub.
func TestCovers(t *testing.T) {
	for _, row := range []struct {
		filter, topic string
		want          bool
	}{
		{"sport/tennis/player1/#", "sport/tennis/player1", true},
		{"sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true},
		{"sport/#", "sport", true},
		{"sport/tennis/+", "sport/tennis/player1", true},
		{"sport/tennis/+", "sport/tennis/player1/ranking", false},
		{"sport/+", "sport", false},
		{"sport/+", "sport/", true},
		{"+/+", "/finance", true},
		{"/+", "/finance", true},
		{"+", "/finance", false},
		{"#", "$SYS/x", false},
		{"+/monitor/Clients", "$SYS/monitor/Clients", false},
		{"$SYS/#", "$SYS/monitor/Clients", true},
		{"ACCOUNTS", "Accounts", false},
		{"$iothub/twin/res/200/#", "$iothub/twin/res/200/?$rid=1", true},
		{"$iothub/twin/res/200/#", "$iothub/twin/res/204/?$rid=1", false},
		{"$iothub/methods/#", "$iothub/methods/POST/reboot/?$rid=1", true},
		{"$iothub/methods/POST/reboot/#", "$iothub/methods/POST/reboot/?$rid=1", true},
		{"devices/a#+/x", "devices/a#+/x", true},
		{"devices/#/x", "devices/#/x", true},
		{"devices/#/x", "devices/a/x", false},
	} {
		if got := mqttfront.Covers(row.filter, row.topic); got != row.want {
			t.Errorf("%s covers %s: %t", row.filter, row.topic, got)
		}
	}
}

func TestSubscribe_limits(t *testing.T) {
	f := newFixture(t)
	c := f.connected(login(t, f.createDevice("d1")))
	long := "$iothub/" + strings.Repeat("x", mqttfront.MaxFilter-len("$iothub/"))
	c.wantGranted(1, long+"x", mqttwire.SubackFailure)
	c.wantGranted(1, long, 1)
	for i := range mqttfront.MaxSubscriptions - 2 {
		c.wantGranted(1, fmt.Sprintf("$iothub/%d", i), 1)
	}
	c.wantGranted(0, "$iothub/methods/#", 0) // the last
	c.wantGranted(1, "$iothub/twin/#", mqttwire.SubackFailure)
	c.wantGranted(1, "$iothub/methods/#", 1) // it is there already
	c.unsubscribe(long)
	c.wantGranted(1, "$iothub/twin/#", 1)
}

// However many filters cover it, a message comes once, at the highest of their QoS.
func TestDevicebound_throughWiderFilters(t *testing.T) {
	for _, filters := range [][]string{
		{"devices/d1/#"}, {"devices/d1/messages/#"}, {"devices/d1/messages/devicebound/+"}, {"devices/+/messages/devicebound/#"}, {"#"},
		{"#", "devices/d1/#"}, {"#", "devices/d1/#", devicebound},
	} {
		inC2DBubble(t, func(t *testing.T, f *fixture, d *hubward.Device) {
			c := f.connected(login(t, d))
			for i, filter := range filters {
				c.subscribe(byte((i+1)%2), filter) // the first one at QoS 1
			}
			f.queue("a")
			p := c.message("a")
			if p.QoS != 1 {
				t.Errorf("%q: it came at QoS %d", filters, p.QoS)
			}
			c.puback(p.ID)
			c.quiet()
			f.wantQueued(fmt.Sprint(filters), 0)
		})
	}
}

func TestDevicebound_notThroughOtherFilters(t *testing.T) {
	inC2DBubble(t, func(t *testing.T, f *fixture, d *hubward.Device) {
		c := f.connected(login(t, d))
		for _, filter := range []string{
			"$iothub/#", "devices/d1/messages/events/#", "devices/d1/messages/devicebound", "devices/d1/messages/devicebound/",
			"devices/d1/messages/devicebound/a=b", "devices/d1/+", "+/d1/messages/deviceBound/#",
		} {
			c.subscribe(1, filter)
		}
		f.queue("a")
		c.quiet()
		f.wantQueued("at the end", 1)
	})
}

// UNSUBSCRIBE takes the filter that it names, and no other that covers the same.
func TestUnsubscribe_isExact(t *testing.T) {
	inC2DBubble(t, func(t *testing.T, f *fixture, d *hubward.Device) {
		c := f.connected(login(t, d))
		c.subscribe(1, "devices/d1/#")
		c.subscribe(0, devicebound)
		c.unsubscribe("devices/d1/messages/#")
		c.unsubscribe("devices/d1/#")
		f.queue("a")
		if p := c.message("a"); p.QoS != 0 {
			t.Errorf("it came at QoS %d", p.QoS)
		}
		c.unsubscribe(devicebound)
		f.queue("b")
		c.quiet()
		f.wantQueued("at the end", 1)
	})
}

// A wide filter outlives the connection as any other does.
func TestDevicebound_throughAStoredWiderFilter(t *testing.T) {
	inC2DBubble(t, func(t *testing.T, f *fixture, d *hubward.Device) {
		c := f.connected(login(t, d))
		c.subscribe(1, "devices/d1/#")
		c.send(mqttwire.AppendDisconnect(nil), nil)
		c.expectEnd()
		f.queue("a")
		c = f.dial()
		if !c.connect(login(t, d)) {
			t.Error("there is no session")
		}
		c.puback(c.message("a").ID)
		c.quiet()
		f.wantQueued("at the end", 0)
	})
}

func TestSubscribe_foreignFiltersEndTheConnection(t *testing.T) {
	f := newFixture(t)
	f.createDevice("d2")
	d := f.createDevice("d1")
	for _, filter := range []string{"a/#", "devices/d2/messages/devicebound/#", "devices/d1/#/x", "$share/g/#"} {
		c := f.connected(login(t, d))
		c.askToSubscribe(1, filter)
		c.expectEnd()
	}
}

// A hub issues no certificates until that is switched on: a request is refused, if the client listens, and never ends the connection.
func TestCertificates_offUntilSwitchedOn(t *testing.T) {
	f := newFixture(t)
	c := f.connected(login(t, f.createDevice("d1")))
	const body = `{"id":"d1","csr":"AAAA"}`
	c.publish(1, 1, "$iothub/credentials/POST/issueCertificate/?$rid=0f8f", body)
	c.expectPuback(1)
	c.subscribe(0, "$iothub/#")
	c.publish(1, 2, "$iothub/credentials/POST/issueCertificate/?$rid=0f8f", body)
	c.expectPuback(2)
	p, err := readPublish(c.in)
	if err != nil || string(p.Topic) != "$iothub/credentials/res/412/?$rid=0f8f" {
		t.Errorf("%s, %v", p.Topic, err)
	}
	if body := string(p.Payload); !strings.HasPrefix(body, `{"errorCode":412005,"message":"`) || !strings.HasSuffix(body, `Z"}`) {
		t.Error(body)
	}
}
