package mqttfront_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/mqttwire"
	"github.com/hubward/hubward/sas"
)

const eventsTopic = "devices/d1/messages/events/"

func TestConnect_returnCodes(t *testing.T) {
	f := newFixture(t)
	d := f.createDevice("d1")
	off := *f.createDevice("off")
	off.Status = hubward.StatusDisabled
	f.put(off, "*")
	expired, _ := sas.Sign("localhost/devices/d1", string(d.Authentication.SymmetricKey.PrimaryKey), "", time.Now().Add(-time.Minute))
	will := func(topic, payload string) func(*mqttwire.ConnectPacket) {
		return func(p *mqttwire.ConnectPacket) { p.Will = &mqttwire.Will{Topic: topic, Payload: []byte(payload)} }
	}
	// Never 2 or 4, which stop the C SDK for good. Source: Azure/azure-iot-sdk-c
	// iothub_client/src/iothubtransport_mqtt_common.c.
	rows := map[string]struct {
		change func(*mqttwire.ConnectPacket)
		want   byte
	}{
		"good":              {func(p *mqttwire.ConnectPacket) {}, 0},
		"wrong key":         {func(p *mqttwire.ConnectPacket) { p.Password = token(t, &off) }, 5},
		"expired":           {func(p *mqttwire.ConnectPacket) { p.Password = []byte(expired) }, 5},
		"no password":       {func(p *mqttwire.ConnectPacket) { p.HasPassword, p.Password = false, nil }, 5},
		"empty password":    {func(p *mqttwire.ConnectPacket) { p.Password = nil }, 5},
		"no user name":      {func(p *mqttwire.ConnectPacket) { p.HasPassword, p.HasUser = false, false; p.User, p.Password = "", nil }, 5},
		"unknown host":      {func(p *mqttwire.ConnectPacket) { p.User = "elsewhere.example/d1/?api-version=1" }, 5},
		"dot behind host":   {func(p *mqttwire.ConnectPacket) { p.User = "LOCALHOST.:8883/d1/?api-version=1" }, 0},
		"device endpoint":   {func(p *mqttwire.ConnectPacket) { p.User = "plant.device.localhost/d1/?api-version=1" }, 0},
		"service endpoint":  {func(p *mqttwire.ConnectPacket) { p.User = "plant.service.localhost/d1/?api-version=1" }, 0},
		"unknown device":    {func(p *mqttwire.ConnectPacket) { p.ClientID, p.User = "d2", "localhost/d2/" }, 5},
		"another client id": {func(p *mqttwire.ConnectPacket) { p.ClientID = "d2" }, 5},
		"empty client id":   {func(p *mqttwire.ConnectPacket) { p.ClientID, p.CleanSession = "", true }, 5},
		"disabled": {func(p *mqttwire.ConnectPacket) {
			p.ClientID, p.User, p.Password = "off", "localhost/off/", token(t, &off)
		}, 5},
		"foreign will":       {will("devices/d2/messages/events/", ""), 5},
		"will at QoS 2":      {func(p *mqttwire.ConnectPacket) { p.Will = &mqttwire.Will{Topic: eventsTopic, QoS: 2} }, 5},
		"model in no UTF-8":  {func(p *mqttwire.ConnectPacket) { p.User += "&model-id=%ff" }, 5},
		"will in no UTF-8":   {will(eventsTopic+"a=%ff", ""), 5},
		"will's long id":     {will(eventsTopic+"$.mid="+strings.Repeat("x", 129), ""), 5},
		"will's many names":  {will(eventsTopic+manyProperties(500), ""), 5}, // and the hub's own
		"will of most names": {will(eventsTopic+manyProperties(499), ""), 0},
	}
	for name, r := range rows {
		f.run(name, func(t *testing.T) {
			p := login(t, d)
			r.change(p)
			c := f.dial()
			c.send(mqttwire.AppendConnect(nil, p))
			ack, err := mqttwire.ParseConnack(c.expect(mqttwire.Connack))
			if err != nil || ack.Code != r.want {
				t.Fatalf("CONNACK %+v, %v; want code %d", ack, err, r.want)
			}
			if r.want != 0 {
				c.expectEnd()
			}
		})
	}
}

// manyProperties is a property bag with n names.
func manyProperties(n int) string {
	var bag strings.Builder
	for i := range n {
		fmt.Fprintf(&bag, "p%d=1&", i)
	}
	return bag.String()
}

func TestConnect_otherProtocols(t *testing.T) {
	f := newFixture(t)
	d := f.createDevice("d1")
	packet := func(name string, level byte) []byte {
		p, err := mqttwire.AppendConnect(nil, login(t, d))
		if err != nil {
			t.Fatal(err)
		}
		i := strings.Index(string(p), "MQTT")
		head := append([]byte{}, p[:1]...)
		body := append([]byte{0, byte(len(name))}, name...)
		body = append(append(body, level), p[i+5:]...)
		for n := len(body); ; n >>= 7 {
			if n < 128 {
				head = append(head, byte(n))
				break
			}
			head = append(head, byte(n)|128)
		}
		return append(head, body...)
	}
	c := f.dial()
	c.send(packet("MQTT", 5), nil)
	if got := c.expect(mqttwire.Connack); string(got) != "\x00\x84\x00" {
		t.Errorf("MQTT 5 gets CONNACK %x", got)
	}
	c.expectEnd()
	c = f.dial()
	c.send(packet("MQIsdp", 3), nil)
	if got := c.expect(mqttwire.Connack); string(got) != "\x00\x01" {
		t.Errorf("MQTT 3.1 gets CONNACK %x", got)
	}
	c.expectEnd()
	c = f.dial()
	c.send(mqttwire.AppendPingreq(nil), nil)
	c.expectEnd() // CONNECT comes first
}

func TestPublish_storesWhatWasSent(t *testing.T) {
	f := newFixture(t)
	d := f.createDevice("d1")
	c := f.dial()
	p := login(t, d)
	p.User += "&model-id=dtmi:com:example;1"
	c.connect(p)
	c.publish(1, 10, eventsTopic+"%24.mid=m1&%24.cid=c1&%24.ct=application%2Fjson&%24.ce=utf-8&a=b", `{"windSpeed":1}`)
	c.expectPuback(10)
	c.publish(0, 0, eventsTopic, "qos 0")
	c.publish(1, 11, "devices/d1/messages/events", "no slash")
	c.expectPuback(11)
	got := f.events(3)
	if got[0].HubEnqueued.IsZero() || got[0].EnqueuedTime.Before(got[0].HubEnqueued.Add(-time.Second)) {
		t.Errorf("times: %v, %v", got[0].HubEnqueued, got[0].EnqueuedTime)
	}
	want := &hubward.Event{
		Partition: got[0].Partition, SequenceNumber: 0, Offset: "0", EnqueuedTime: got[0].EnqueuedTime, HubEnqueued: got[0].HubEnqueued,
		DeviceID: "d1", GenerationID: d.GenerationID, MessageSource: "Telemetry", ModelID: "dtmi:com:example;1",
		AuthMethod: `{"scope":"device","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}`,
		Message: hubward.Message{
			MessageID: "m1", CorrelationID: "c1", ContentType: "application/json", ContentEncoding: "utf-8",
			Properties: []hubward.Property{{Name: "a", Value: "b"}}, Body: []byte(`{"windSpeed":1}`),
		},
	}
	if diff := cmp.Diff(want, got[0]); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if string(got[1].Message.Body) != "qos 0" || string(got[2].Message.Body) != "no slash" || got[2].SequenceNumber != 2 {
		t.Errorf("%+v, %+v", got[1], got[2])
	}
}

func TestPublish_retainBecomesAProperty(t *testing.T) {
	f := newFixture(t)
	c := f.connected(login(t, f.createDevice("d1")))
	c.send(mqttwire.AppendPublish(nil, &mqttwire.PublishPacket{QoS: 1, ID: 1, Retain: true, Topic: []byte(eventsTopic + "mqtt-retain=mine")}))
	c.expectPuback(1)
	want := hubward.Properties{{Name: "mqtt-retain", Value: "true"}}
	if diff := cmp.Diff(want, f.events(1)[0].Message.Properties); diff != "" {
		t.Error(diff)
	}
}

// A duplicate is stored and acknowledged again: at least once is what MQTT QoS 1 promises.
func TestPublish_duplicate(t *testing.T) {
	f := newFixture(t)
	c := f.connected(login(t, f.createDevice("d1")))
	for _, dup := range []bool{false, true} {
		c.send(mqttwire.AppendPublish(nil, &mqttwire.PublishPacket{QoS: 1, ID: 5, Dup: dup, Topic: []byte(eventsTopic), Payload: []byte("x")}))
		c.expectPuback(5)
	}
	f.events(2)
}

func TestPublish_manyInFlightAreAcknowledgedInOrder(t *testing.T) {
	f := newFixture(t)
	c := f.connected(login(t, f.createDevice("d1")))
	const n = 3000
	go func() {
		for id := range n {
			c.publish(1, uint16(id+1), eventsTopic, fmt.Sprint(id))
		}
	}()
	for id := range n {
		c.expectPuback(uint16(id + 1))
	}
	for i, e := range f.events(n) {
		if string(e.Message.Body) != fmt.Sprint(i) || e.SequenceNumber != int64(i) {
			t.Fatalf("event %d is %q with number %d", i, e.Message.Body, e.SequenceNumber)
		}
	}
}

func TestPublish_whatClosesTheConnection(t *testing.T) {
	publish := func(qos byte, id uint16, topic string, size int) []byte {
		packet, err := mqttwire.AppendPublish(nil, &mqttwire.PublishPacket{QoS: qos, ID: id, Topic: []byte(topic), Payload: make([]byte, size)})
		if err != nil {
			t.Fatal(err)
		}
		return packet
	}
	again, err := mqttwire.AppendConnect(nil, &mqttwire.ConnectPacket{ClientID: "d1"})
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string][]byte{
		"QoS 2":                    publish(2, 1, eventsTopic, 1),
		"another device's topic":   publish(1, 1, "devices/d2/messages/events/", 1),
		"a longer device id":       publish(1, 1, "devices/d11/messages/events/", 1),
		"a module's topic":         publish(1, 1, "devices/d1/modules/m1/messages/events/", 1),
		"its own messages":         publish(1, 1, "devices/d1/messages/devicebound/", 1),
		"an answer of the hub's":   publish(1, 1, "$iothub/twin/res/200/?$rid=1", 1),
		"no hub topic":             publish(1, 1, "weather", 1),
		"too long a message id":    publish(1, 1, eventsTopic+"$.mid="+strings.Repeat("x", 129), 1),
		"a bag that is no UTF-8":   publish(1, 1, eventsTopic+"a=%ff", 1),
		"one byte too many":        publish(1, 1, eventsTopic, hubward.MaxMessageSize+1),
		"a packet announced large": {0x32, 0xff, 0xff, 0xff, 0x7f},
		"a malformed header":       {0x32, 0xff, 0xff, 0xff, 0xff, 0x01},
		"a second CONNECT":         again,
		"a server's packet":        {0x20, 2, 0, 0},
		"foreign filter":           {0x82, 8, 0, 1, 0, 3, 'a', '/', '#', 0},
		"another device's C2D":     append([]byte{0x82, 38, 0, 1, 0, 33}, "devices/d2/messages/devicebound/#\x01"...),
	}
	f := newFixture(t)
	f.createDevice("d2")
	d := f.createDevice("d1")
	for name, packet := range rows {
		f.run(name, func(t *testing.T) {
			c := f.connected(login(t, d))
			go c.nc.Write(packet) // it may be cut off in the middle
			c.expectEnd()
		})
	}
}

func TestPublish_atTheSizeLimit(t *testing.T) {
	f := newFixture(t)
	c := f.connected(login(t, f.createDevice("d1")))
	c.publish(1, 1, eventsTopic, strings.Repeat("x", hubward.MaxMessageSize))
	c.expectPuback(1)
}

func TestConnect_takesOverFromTheOlderConnection(t *testing.T) {
	f := newFixture(t)
	d := f.createDevice("d1")
	old := f.connected(login(t, d))
	f.dial().connect(login(t, d))
	old.expectEnd()
}

func TestDevice_disconnectedWhenDeleted(t *testing.T) {
	f := newFixture(t)
	c := f.connected(login(t, f.createDevice("d1")))
	if err := f.hub.DeleteDevice(t.Context(), f.plant, "d1", "*"); err != nil {
		t.Fatal(err)
	}
	c.expectEnd()
}

func TestWill(t *testing.T) {
	rows := map[string]struct {
		end  func(*fixture, *client)
		want bool
	}{
		"the socket breaks": {func(_ *fixture, c *client) { c.nc.Close() }, true},
		"DISCONNECT":        {func(_ *fixture, c *client) { c.send(mqttwire.AppendDisconnect(nil), nil); c.expectEnd() }, false},
		"deleted":           {func(f *fixture, c *client) { f.hub.DeleteDevice(f.t.Context(), f.plant, "d1", "*"); c.expectEnd() }, false},
		"server stops":      {func(f *fixture, c *client) { f.stop() }, false},
	}
	for name, r := range rows {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t)
				c := f.dial()
				p := login(t, f.createDevice("d1"))
				p.Will = &mqttwire.Will{Topic: eventsTopic + "a=b", Payload: []byte("gone"), QoS: 1}
				c.connect(p)
				r.end(f, c)
				synctest.Wait()
				if got := f.stored(); got != 0 && !r.want || got != 1 && r.want {
					t.Fatalf("%d wills were stored", got)
				}
				if !r.want {
					return
				}
				will := f.events(1)[0].Message
				want := hubward.Properties{{Name: "a", Value: "b"}, {Name: "iothub-MessageType", Value: "Will"}}
				if string(will.Body) != "gone" || !cmp.Equal(will.Properties, want) {
					t.Errorf("%+v", will)
				}
			})
		})
	}
}

// An id may hold what is a wildcard elsewhere. It is none here.
func TestTopics_idsAreNoPatterns(t *testing.T) {
	f := newFixture(t)
	odd, plain := f.createDevice("a#+"), f.createDevice("ab")
	c := f.connected(login(t, odd))
	c.publish(1, 1, "devices/a#+/messages/events/", "x")
	c.expectPuback(1)
	c.subscribe(1, "devices/a#+/messages/devicebound/#")
	c = f.connected(login(t, plain))
	c.askToSubscribe(1, "devices/a#+/messages/devicebound/#")
	c.expectEnd()
	c = f.connected(login(t, odd))
	c.publish(1, 2, "devices/ab/messages/events/", "x")
	c.expectEnd()
}
