package device_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/device"
	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpengine"
)

const moduleConnectionString = "HostName=hub.example;DeviceId=d1;ModuleId=m1;SharedAccessKey=" + testKey + ";GatewayHostName=edge.example"

// takeInputs has every message to an input of c come through a channel, and settled by outcome.
func takeInputs(t *testing.T, c *device.Client, name string, outcome func(*device.InputMessage) error) <-chan *device.InputMessage {
	t.Helper()
	came := make(chan *device.InputMessage, 10)
	err := c.OnInput(name, func(_ context.Context, m *device.InputMessage) error {
		came <- m
		return outcome(m)
	})
	if err != nil {
		t.Fatal(err)
	}
	return came
}

func done(*device.InputMessage) error { return nil }

func TestOnInput_overMQTT(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		n.cs = moduleConnectionString
		client := n.client(device.Options{})
		one := takeInputs(t, client, "input 1", done)
		rest := takeInputs(t, client, "", func(*device.InputMessage) error { return errors.New("not now") })
		go client.Connect(t.Context())
		p := <-n.peers
		p.login()
		p.subscribedTo("devices/d1/modules/m1/inputs/#")
		p.deliverTo("devices/d1/modules/m1/inputs/input%201/%24.cdid=leaf&%24.cmid=m%2F2&%24.mid=m1&a=b", 1, false, "x")
		want := &device.InputMessage{
			Message: hubward.Message{MessageID: "m1", Properties: []hubward.Property{{Name: "a", Value: "b"}}, Body: []byte("x")},
			Input:   "input 1", SenderDevice: "leaf", SenderModule: "m/2",
		}
		if diff := cmp.Diff(want, <-one); diff != "" {
			t.Errorf("message (-want +got):\n%s", diff)
		}
		p.acknowledged(1)
		p.deliverTo("devices/d1/modules/m1/inputs/other/%24.mid=m2", 2, false, "y")
		if m := <-rest; m.Input != "other" || m.SenderDevice != "" {
			t.Errorf("%+v", m)
		}
		p.deliverTo("devices/d1/messages/devicebound/%24.mid=m3", 3, false, "z") // is for the device
		p.deliverTo("devices/d1/modules/m1/inputs/input%201", 4, false, "w")     // there is no bag
		if m := <-one; string(m.Body) != "w" {
			t.Errorf("%+v", m)
		}
		p.acknowledged(4) // and neither 2 nor 3 before
		p.nc.Close()

		p = <-n.peers // what was given back comes again
		p.login()
		p.subscribedTo("devices/d1/modules/m1/inputs/#")
		p.deliverTo("devices/d1/modules/m1/inputs/other/%24.mid=m2", 1, true, "y")
		if m := <-rest; m.MessageID != "m2" {
			t.Errorf("%+v", m)
		}
		n.shut(client, p)
	})
}

// What nobody handles would otherwise use up what the Edge hub has under way at a time.
func TestOnInput_completesWhatNobodyHandles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		n.cs = moduleConnectionString
		client, p := n.connected(device.Options{})
		takeInputs(t, client, "one", done) // after Connect
		p.subscribedTo("devices/d1/modules/m1/inputs/#")
		p.deliverTo("devices/d1/modules/m1/inputs/two/%24.mid=m1", 1, false, "")
		p.acknowledged(1)
		n.shut(client, p)
	})
}

func TestOnInput_overAMQP(t *testing.T) {
	h := startAMQPHub(t)
	h.cs = moduleConnectionString
	c := h.client(device.Options{})
	one := takeInputs(t, c, "one", done)
	two := takeInputs(t, c, "two", func(*device.InputMessage) error { return errors.New("not now") })
	three := takeInputs(t, c, "three", func(*device.InputMessage) error { return device.ErrReject })
	if a := h.link(); a.Role != amqpwire.RoleReceiver || a.Source.Address != "/devices/d1/modules/m1/messages/events" {
		t.Errorf("the link is %+v", a)
	}
	for _, row := range []struct {
		input string
		came  <-chan *device.InputMessage
		want  amqpwire.DeliveryState
	}{{"one", one, &amqpwire.Accepted{}}, {"two", two, &amqpwire.Released{}}, {"three", three, &amqpwire.Rejected{}}} {
		outcome := make(chan amqpwire.DeliveryState, 1)
		m := &amqpwire.Message{
			Annotations: amqpwire.Map{
				{Key: amqpwire.Symbol("x-opt-input-name"), Value: row.input},
				{Key: amqpwire.Symbol("iothub-connection-device-id"), Value: "leaf"},
				{Key: amqpwire.Symbol("iothub-connection-module-id"), Value: "m2"},
			},
			Properties: &amqpwire.Properties{MessageID: "m1"},
			Data:       [][]byte{[]byte("x")},
		}
		err := h.postAs("modules/m1/messages/events", m, amqpengine.Outgoing{OnSettle: func(s amqpwire.DeliveryState) { outcome <- s }})
		if err != nil {
			t.Fatal(err)
		}
		want := &device.InputMessage{
			Message: hubward.Message{MessageID: "m1", Body: []byte("x")}, Input: row.input, SenderDevice: "leaf", SenderModule: "m2",
		}
		if diff := cmp.Diff(want, <-row.came); diff != "" {
			t.Errorf("message (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(row.want, <-outcome); diff != "" {
			t.Errorf("outcome (-want +got):\n%s", diff)
		}
	}
}

func TestSendToOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		n.cs = moduleConnectionString
		client, p := n.connected(device.Options{})
		m := &hubward.Message{MessageID: "m1"}
		result := make(chan error, 1)
		go func() { result <- client.SendToOutput(t.Context(), "out 1", m) }()
		got := p.publish()
		if string(got.Topic) != "devices/d1/modules/m1/messages/events/%24.on=out%201&%24.mid=m1" || m.OutputName != "" {
			t.Errorf("topic %s, output of the message %q", got.Topic, m.OutputName)
		}
		p.puback(got.ID)
		if err := <-result; err != nil {
			t.Error(err)
		}
		n.shut(client, p)
	})
}

func TestModule_whatItHasNot(t *testing.T) {
	of := func(cs string, p device.Protocol) *device.Client {
		c, err := device.NewFromConnectionString(cs, &device.Options{Protocol: p})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	module, dev := of(moduleConnectionString, device.MQTT), of(testConnectionString, device.MQTT)
	handle := func(context.Context, *device.InputMessage) error { return nil }
	_, receive := module.Receive(t.Context())
	if err := module.OnInput("once", handle); err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		err  error
		code hubward.Code
	}{
		"Receive of a module":      {receive, hubward.CodeInvalidOperation},
		"an output without a name": {module.SendToOutput(t.Context(), "", &hubward.Message{}), hubward.CodeArgumentInvalid},
		"no function":              {module.OnInput("", nil), hubward.CodeArgumentInvalid},
		"a second handler":         {module.OnInput("once", handle), hubward.CodeInvalidOperation},
		"inputs over HTTPS":        {of(moduleConnectionString, device.HTTPS).OnInput("", handle), hubward.CodeInvalidOperation},
		"an output of a device":    {dev.SendToOutput(t.Context(), "x", &hubward.Message{}), hubward.CodeInvalidOperation},
		"an input of a device":     {dev.OnInput("", handle), hubward.CodeInvalidOperation},
		"an output, not connected": {module.SendToOutput(t.Context(), "x", &hubward.Message{}), hubward.CodeInvalidOperation},
		"OnMessage and a ModuleId": {optionsError(device.Options{OnMessage: func(context.Context, *device.C2DMessage) error { return nil }}), hubward.CodeArgumentInvalid},
	} {
		if row.err == nil || hubward.CodeOf(row.err) != row.code {
			t.Errorf("%s: %v", name, row.err)
		}
	}
}

func optionsError(o device.Options) error {
	_, err := device.NewFromConnectionString(moduleConnectionString, &o)
	return err
}
