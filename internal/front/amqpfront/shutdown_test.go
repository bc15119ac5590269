package amqpfront_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/go-amqp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/front/amqpfront"
	"github.com/hubward/hubward/internal/hub"
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

// A cluster that does not answer when devices leave holds up none of the others on their connection, nor the end of that, nor
// the hub when it closes them.
func TestPresence_doesNotWaitForTheCluster(t *testing.T) {
	const devices = 20
	tests := map[string]func(t *testing.T, f *fixture, p *peer){
		"the server stops": func(t *testing.T, f *fixture, _ *peer) {
			if err := f.server.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		},
		"the connection ends": func(t *testing.T, f *fixture, p *peer) {
			p.conn.Close()
			for f.server.Connections() > 0 {
				time.Sleep(time.Millisecond)
			}
		},
		"the devices are disabled": func(t *testing.T, f *fixture, _ *peer) {
			var items []hub.BulkItem
			for i := range devices {
				d := hubward.Device{DeviceID: fmt.Sprint("d", i), Status: hubward.StatusDisabled}
				items = append(items, hub.BulkItem{Device: d, Mode: hub.ModeUpdate})
			}
			if failed, err := f.BulkDevices(t.Context(), f.process, items); err != nil || len(failed) > 0 {
				t.Fatal(failed, err)
			}
		},
	}
	for name, end := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, amqpfront.Options{})
				p := f.pipe(amqp.ConnOptions{})
				for i := range devices {
					d := f.createDevice(fmt.Sprint("d", i))
					if code, text := p.putToken(f.deviceToken(d)); code != 200 {
						t.Fatal(code, text)
					}
					p.mustSend(telemetryOf(d.DeviceID))
				}
				f.cluster.deaf.Store(true)
				defer f.cluster.deaf.Store(false)
				began := time.Now()
				end(t, f, p)
				if d := time.Since(began); d > 3*time.Second {
					t.Errorf("it took %v", d)
				}
			})
		})
	}
}

// A drain ends in time, though the store does not answer for what a back end has sent.
func TestShutdown_doesNotWaitForAStuckStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, amqpfront.Options{})
		f.createDevice("d1")
		p := f.pipe(amqp.ConnOptions{SASLType: amqp.SASLTypePlain("service", f.policyKey("service"))})
		s := p.mustSend("/messages/devicebound")
		f.queues.stuck.Store(true)
		defer f.queues.stuck.Store(false)
		sent := make(chan error, 10)
		for range cap(sent) { // one after another: they are to one device
			go func() { sent <- send(t, s, to("d1", data("x"))) }()
		}
		synctest.Wait()
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if err := f.server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: %v", err)
		}
		if d := time.Since(began); d != 3*time.Second {
			t.Errorf("it took %v", d)
		}
		for range cap(sent) {
			if err := <-sent; err == nil {
				t.Error("a message that was not stored is accepted")
			}
		}
	})
}
