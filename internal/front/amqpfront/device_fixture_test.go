package amqpfront_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/Azure/go-amqp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/eventcodec"
	"github.com/hubward/hubward/sas"
)

var d1 = hubward.Identity{Device: "d1"}

func (f *fixture) createDevice(id string) *hubward.Device {
	f.t.Helper()
	d, err := f.PutDevice(f.t.Context(), f.process, hubward.Device{DeviceID: id}, "")
	if err != nil {
		f.t.Fatal(err)
	}
	return d
}

// deviceToken signs a device's own token.
func (f *fixture) deviceToken(d *hubward.Device) string {
	f.t.Helper()
	text, err := sas.Sign(host+"/devices/"+d.DeviceID, string(d.Authentication.SymmetricKey.PrimaryKey), "", time.Now().Add(time.Hour))
	if err != nil {
		f.t.Fatal(err)
	}
	return text
}

// device connects and puts the token of a new device.
func (f *fixture) device(address, id string) *peer {
	f.t.Helper()
	return f.deviceAgain(address, f.createDevice(id))
}

func (f *fixture) deviceAgain(address string, d *hubward.Device) *peer {
	f.t.Helper()
	p := f.dial(address, amqp.ConnOptions{})
	if code, text := p.putToken(f.deviceToken(d)); code != 200 {
		f.t.Fatal(code, text)
	}
	return p
}

func telemetryOf(id string) string   { return "/devices/" + id + "/messages/events" }
func deviceBoundOf(id string) string { return "/devices/" + id + "/messages/devicebound" }

func (p *peer) sender(address string) (*amqp.Sender, error) {
	return p.session.NewSender(p.context(), address, nil)
}

func (p *peer) mustSend(address string) *amqp.Sender {
	p.t.Helper()
	s, err := p.sender(address)
	if err != nil {
		p.t.Fatalf("%s: %v", address, err)
	}
	return s
}

func send(t *testing.T, s *amqp.Sender, m *amqp.Message) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return s.Send(ctx, m, nil)
}

func data(body string) *amqp.Message { return amqp.NewMessage([]byte(body)) }

// events returns what a device has in the log.
func (f *fixture) events(device string) []*hubward.Event {
	f.t.Helper()
	var events []*hubward.Event
	for id := range 4 {
		_, err := f.log.Read(f.t.Context(), hub.Partition{Hub: "plant", Endpoint: hub.EndpointEvents, ID: id}, 0, 1<<30, func(r hub.Record) bool {
			e, err := eventcodec.Decode(append([]byte(nil), r.Data...))
			if err != nil {
				f.t.Fatal(err)
			}
			if e.DeviceID == device {
				events = append(events, e)
			}
			return true
		})
		if err != nil {
			f.t.Fatal(err)
		}
	}
	return events
}

func (f *fixture) bodies(device string) []string {
	f.t.Helper()
	var bodies []string
	for _, e := range f.events(device) {
		bodies = append(bodies, string(e.Message.Body))
	}
	return bodies
}

// awaitConnected waits until so many devices are connected.
func (f *fixture) awaitConnected(n int) {
	f.t.Helper()
	f.await("connected devices", func() bool {
		s, err := f.ServiceStatistics(f.t.Context(), f.process)
		return err == nil && s.ConnectedDeviceCount == n
	})
}

// await waits for what comes a moment later.
func (f *fixture) await(what string, ok func() bool) {
	f.t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(end) {
			f.t.Fatalf("%s: not within ten seconds", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// wantLinkEnd waits for the other side's detach of a sender by sending until that fails.
func wantLinkEnd(t *testing.T, s *amqp.Sender, condition string) {
	t.Helper()
	for range 1000 {
		if err := send(t, s, data("x")); err != nil {
			wantCondition(t, "the link", err, condition)
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	t.Error("the link lives on")
}

// heldLog is a log whose confirmations of telemetry wait for the test.
type heldLog struct {
	hub.EventLog
	mu   sync.Mutex
	held []func()
	err  error // what they are confirmed with
	hold bool
}

func (l *heldLog) Producer(p hub.Partition, done func(n int, err error)) hub.Producer {
	if p.Endpoint == hub.EndpointHubEvents {
		return l.EventLog.Producer(p, done)
	}
	return l.EventLog.Producer(p, func(n int, err error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if !l.hold {
			done(n, err)
			return
		}
		l.held = append(l.held, func() { done(n, l.err) })
	})
}

// count returns how many confirmations wait.
func (l *heldLog) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.held)
}

// release lets all through, with an error.
func (l *heldLog) release(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
	for _, f := range l.held {
		f()
	}
	l.held = nil
}
