package amqpfront_test

import (
	"errors"
	"testing"

	"github.com/Azure/go-amqp"

	"github.com/hubward/hubward/internal/front/amqpfront"
)

// When the server shuts down, connections with links of devices break, the others are closed in good order.
//
// Observed with azure-iot-device-amqp 1.7 for Node: after a close it waits up to 45 seconds for answers to its detaches.
func TestShutdown_cutsDevices(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	address := f.listen()
	sends, receives, mixed := f.device(address, "d1"), f.device(address, "d2"), f.owner(address)
	f.createDevice("d3")
	f.createDevice("d4")
	s := sends.mustSend(telemetryOf("d1"))
	receives.mustRead(deviceBoundOf("d2"), "", amqp.ReceiverOptions{})
	mixed.mustSend("/messages/devicebound")
	mixed.mustSend(telemetryOf("d3"))
	backEnd, idle, left := f.owner(address), f.dial(address, amqp.ConnOptions{}), f.owner(address)
	backEnd.mustSend("/messages/devicebound")
	backEnd.mustRead(partition0, "", amqp.ReceiverOptions{})
	if err := left.mustSend(telemetryOf("d4")).Close(left.context()); err != nil { // a device that went before
		t.Fatal(err)
	}
	if err := send(t, s, data("x")); err != nil {
		t.Fatal(err)
	}
	if err := f.server.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]*peer{"a device that sends": sends, "a device that receives": receives, "both": mixed} {
		<-p.conn.Done()
		if remote := remoteError(p.conn.Err()); remote != nil {
			t.Errorf("%s: %v", name, remote)
		}
		var broken *amqp.ConnError
		if err := p.conn.Err(); !errors.As(err, &broken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, p := range map[string]*peer{"a back end": backEnd, "nobody yet": idle, "a device that went": left} {
		<-p.conn.Done()
		wantCondition(t, name, p.conn.Err(), "amqp:connection:forced")
	}
}
