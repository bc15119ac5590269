package mqttfront_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/mqttwire"
)

// What azure-iot-sdk-c 1.15.0 writes, byte for byte, after a CONNECT that goes on with an earlier session. It sends three
// messages, the last one a security message, receives one, asks for its twin, follows its desired properties, and disconnects. It does not encode the values of
// properties unless it is told to, so one of them is two here. Its twin's answer has its subscription at QoS 0.
const (
	cSubscribe = "\x82(\x00\x02\x00#devices/dev1/messages/devicebound/#\x01"
	cMessage   = "2\x8a\x01\x00udevices/dev1/messages/events/alert=a b&c=d&%24.cid=correlation&%24.mid=message 1&%24.ct=application/json&%24.ce=utf-8\x00\x03" +
		`{"windSpeed":1.5}`
	cMessage2 = "2\x8a\x01\x00udevices/dev1/messages/events/alert=a b&c=d&%24.cid=correlation&%24.mid=message 2&%24.ct=application/json&%24.ce=utf-8\x00\x04" +
		`{"windSpeed":2.5}`
	cSecurityMessage = "2\xce\x01\x00\xb9devices/dev1/messages/events/alert=a b&c=d&%24.cid=correlation&%24.mid=message 3&%24.ct=application/json" +
		"&%24.ce=application%2fjson&%24.ifid=urn%3aazureiot%3aSecurity%3aSecurityAgent%3a1\x00\x05" + `{"windSpeed":3.5}`
	cTwinSubscribe    = "\x82\x17\x00\x07\x00\x12$iothub/twin/res/#\x00"
	cTwinGet          = "0\x1a\x00\x18$iothub/twin/GET/?$rid=8"
	cDesiredSubscribe = "\x82,\x00\t\x00'$iothub/twin/PATCH/properties/desired/#\x00"
	cDisconnect       = "\xe0\x00"
)

func TestCSDK(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFixture(t)
		f.deliver()
		d := f.createDevice("dev1")
		if err := f.hub.SendC2D(t.Context(), f.plant, hubward.Identity{Device: "dev1"}, &hubward.Message{MessageID: "m", Body: []byte("stop")}); err != nil {
			t.Fatal(err)
		}
		c := f.connected(&mqttwire.ConnectPacket{
			KeepAlive: 240 * time.Second, ClientID: "dev1", HasUser: true, HasPassword: true, Password: token(t, d),
			User: "localhost/dev1/?api-version=2020-09-30&DeviceClientType=iothubclient%2f1.15.0%20(native%3b%20Linux%3b%20x86_64)",
		})
		c.send([]byte(cSubscribe), nil)
		if got := string(c.expect(mqttwire.Suback)); got != "\x00\x02\x01" {
			t.Errorf("SUBACK %x", got)
		}
		if got := string(c.expect(mqttwire.Publish)); !strings.HasSuffix(got, "\x00\x01stop") {
			t.Errorf("PUBLISH %q", got)
		}
		c.send([]byte(cMessage+cMessage2+cSecurityMessage), nil)
		for id := range uint16(3) {
			c.expectPuback(id + 3)
		}
		c.puback(1)
		c.send([]byte(cTwinSubscribe), nil)
		c.expect(mqttwire.Suback)
		c.send([]byte(cTwinGet), nil)
		if got := c.answer("200/?$rid=8"); got != `{"desired":{"$version":1},"reported":{"$version":1}}` {
			t.Errorf("the twin is %s", got)
		}
		dev1 := hubward.Identity{Device: "dev1"}
		f.update(dev1, `{"interval":30}`)
		c.send([]byte(cDesiredSubscribe), nil)
		c.expect(mqttwire.Suback)
		c.changed(2, `{"interval":30,"$version":2}`) // of between its get and its subscription
		f.update(dev1, `{"interval":60}`)
		c.changed(3, `{"interval":60,"$version":3}`)
		c.quiet()
		c.send([]byte(cDisconnect), nil)
		c.expectEnd()
		wantCEvents(t, f.events(3))
	})
}

// wantCEvents checks what the hub has of the messages: the last one is the security message.
func wantCEvents(t *testing.T, events []*hubward.Event) {
	t.Helper()
	for i, e := range events {
		want := hubward.Message{
			MessageID: "message " + string(rune('1'+i)), CorrelationID: "correlation", ContentType: "application/json", ContentEncoding: "utf-8",
			Properties: []hubward.Property{{Name: "alert", Value: "a b"}, {Name: "c", Value: "d"}},
			Body:       []byte(`{"windSpeed":` + string(rune('1'+i)) + `.5}`),
		}
		if i == 2 {
			want.ContentEncoding, want.InterfaceID = "application/json", "urn:azureiot:Security:SecurityAgent:1"
		}
		if diff := cmp.Diff(want, e.Message); diff != "" {
			t.Errorf("event %d (-want +got):\n%s", i, diff)
		}
	}
}
