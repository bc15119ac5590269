package amqpfront_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/Azure/go-amqp"

	"github.com/hubward/hubward/internal/front/amqpfront"
)

// The links that SDKs open unasked are open, and silent, and connect the device; what a device sends on them is accepted.
func TestWaitingLinks(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.createDevice("d1")
	f.module("d1", "m1", withModuleKey())
	p := f.owner(f.listen())
	for _, address := range []string{
		"/devices/d1/streams", "amqps://" + host + ":5671/devices/d1/streams/", "/devices/d1/modules/m1/streams",
	} {
		s, r := p.mustSend(address), p.mustRead(address, "", amqp.ReceiverOptions{})
		if err := send(t, s, data("x")); err != nil {
			t.Errorf("%s: %v", address, err)
		}
		wantSilence(t, address, r)
	}
	f.awaitConnected(1)
	for _, address := range []string{"/devices/d1/modules/m1/messages/events", "/devices/d1/modules/m1/messages/devicebound"} {
		wantSilence(t, address, p.mustRead(address, "", amqp.ReceiverOptions{}))
	}
	if err := send(t, p.mustSend(telemetryOf("d1")), data("x")); err != nil {
		t.Error(err)
	}
	p.conn.Close() //nolint:errcheck // it is gone either way
	f.awaitConnected(0)
}

// wantSilence checks that nothing is there on a link that lives.
func wantSilence(t *testing.T, what string, r *amqp.Receiver) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Receive(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%s: %v", what, err)
	}
}

// A link that waits has no goroutine of its own, as one that reads has.
func TestWaitingLinks_costNoGoroutine(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.createDevice("d1")
	p := f.owner(f.listen())
	for _, address := range []string{"/devices/d1/methods/devicebound", "/devices/d1/twin", "/devices/d1/streams"} {
		p.mustRead(address, "", amqp.ReceiverOptions{})
	}
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	if n := strings.Count(string(stacks), "amqpengine.(*Sender).run("); n != 0 {
		t.Errorf("%d goroutines", n)
	}
}
