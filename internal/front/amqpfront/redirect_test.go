package amqpfront_test

import (
	"testing"
	"time"

	"github.com/Azure/go-amqp"

	"github.com/hubward/hubward/internal/front/amqpfront"
)

// The addresses that clients ask the hub for, and what comes back. Observed with azure-event-hubs 0.0.8 and 0.2.11 for
// Node, amenzhinsky/iothub 0.9, the Azure CLI and Azure IoT Explorer.
var redirects = map[string]string{
	"messages/events/":                                  "amqps://plant.example:5671/plant/",
	"messages/events":                                   "amqps://plant.example:5671/plant/",
	"/messages/events/$management":                      "amqps://plant.example:5671/plant/$management",
	"amqps://plant.example/messages/events/$management": "amqps://plant.example:5671/plant/$management",
	"amqps://plant.example/messages/events/ConsumerGroups/$Default/Partitions/0": "amqps://plant.example:5671/plant/ConsumerGroups/$Default/Partitions/0",
	"/messages/operationsMonitoringEvents/*":                                     "amqps://plant.example:5671/plant/*",
}

func TestRedirect(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	p := f.dial(f.listen(), amqp.ConnOptions{
		HostName: host + ":5671", SASLType: amqp.SASLTypePlain("iothubowner@sas.root.plant", f.token("iothubowner", host, time.Hour)),
	})
	for address, want := range redirects {
		_, err := p.session.NewReceiver(p.context(), address, nil)
		checkRedirect(t, address, err, want)
		_, err = p.session.NewSender(p.context(), address, nil)
		checkRedirect(t, address, err, want)
	}
}

func checkRedirect(t *testing.T, address string, err error, want string) {
	t.Helper()
	e := wantCondition(t, address, err, "amqp:link:redirect")
	if e.Info["hostname"] != host || e.Info["network-host"] != host || e.Info["port"] != int32(5671) || e.Info["address"] != want {
		t.Errorf("%s: info %v", address, e.Info)
	}
	if _, ok := e.Info["com.microsoft:tracking-id"].(string); !ok {
		t.Errorf("%s: info %v", address, e.Info)
	}
}

// The tokens of the clients that probe: for all of the hub, for messages/events, for its node.
func TestRedirect_tokens(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	address := f.listen()
	for resource, condition := range map[string]string{
		host: "amqp:link:redirect", host + "/messages/events": "amqp:link:redirect",
		"sb://" + host + "/messages/events/$management": "amqp:link:redirect", host + "/devices": "amqp:unauthorized-access",
	} {
		p := f.dial(address, amqp.ConnOptions{})
		if code, text := p.putToken(f.token("service", resource, time.Hour)); code != 200 {
			t.Fatal(code, text)
		}
		_, err := p.session.NewSender(p.context(), "/messages/events/$management", nil)
		wantCondition(t, resource, err, condition)
	}
}

// explorer's way: PLAIN with a token at the hub, redirect, PLAIN with the key at the event hub, its information, a reader.
func TestRedirect_thenRead(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.append(0, 1)
	address := f.listen()
	p := f.dial(address, amqp.ConnOptions{SASLType: amqp.SASLTypePlain("iothubowner@sas.root.plant", f.token("iothubowner", host, time.Hour))})
	_, err := p.session.NewReceiver(p.context(), "messages/events/", &amqp.ReceiverOptions{TargetAddress: "rx-name"})
	checkRedirect(t, "explorer", err, "amqps://plant.example:5671/plant/")
	p = f.owner(address)
	got := p.pair("$management", "reply").call(readRequest(map[string]any{"name": "plant", "type": "com.microsoft:eventhub"}))
	if got.ApplicationProperties["status-code"] != int32(200) {
		t.Error(got.ApplicationProperties)
	}
	r := p.mustRead("/plant/ConsumerGroups/$Default/Partitions/0", "amqp.annotation.x-opt-enqueuedtimeutc > '0'", amqp.ReceiverOptions{Credit: 100})
	m := receive(t, r)
	if err := r.AcceptMessage(p.context(), m); err != nil {
		t.Error(err)
	}
}
