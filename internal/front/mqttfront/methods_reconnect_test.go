package mqttfront_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/twindoc"
	"github.com/hubward/hubward/internal/mqttwire"
)

func TestMethod_connectionEndsMeanwhile(t *testing.T) {
	ends := map[string]func(f *fixture, d *hubward.Device, c *client){
		"it breaks":     func(_ *fixture, _ *hubward.Device, c *client) { c.nc.Close() },
		"DISCONNECT":    func(_ *fixture, _ *hubward.Device, c *client) { c.send(mqttwire.AppendDisconnect(nil), nil) },
		"taken over":    func(f *fixture, d *hubward.Device, _ *client) { f.connected(login(f.t, d)) },
		"device erased": func(f *fixture, _ *hubward.Device, _ *client) { f.hub.DeleteDevice(f.t.Context(), f.plant, "d1", "*") },
		"hub drains":    func(f *fixture, _ *hubward.Device, _ *client) { f.stop() },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			d := f.createDevice("d1")
			c := f.connected(login(t, d))
			c.subscribe(1, methodFilter)
			got := f.invoke(d1, hubward.MethodCall{Name: "reboot"})
			c.call("reboot", "null")
			end(f, d, c)
			f.wantCode(got, hubward.CodeDeviceConnectionClosed)
		})
	}
}

// Python and Java never subscribe again: calls come by the stored subscription, also to who has waited for the device.
func TestMethod_afterReconnect(t *testing.T) {
	f := newFixture(t)
	d := f.createDevice("d1")
	c := f.connected(login(t, d))
	c.subscribe(1, methodFilter)
	for _, restart := range []bool{false, true} {
		c.send(mqttwire.AppendDisconnect(nil), nil)
		c.expectEnd()
		if restart {
			f.restart()
		}
		waits := f.invoke(d1, hubward.MethodCall{Name: "early", ConnectTimeout: 20 * time.Second})
		c = f.dial()
		if !c.connect(login(t, d)) {
			t.Error("the session was not kept")
		}
		c.respond(1, "200", c.call("early", "null"), "")
		f.wantStatus(waits, 200, "null")
		got := f.invoke(d1, hubward.MethodCall{Name: "late"})
		c.respond(1, "200", c.call("late", "null"), "")
		f.wantStatus(got, 200, "null")
	}
}

// slowStore is a store in which the desired properties are read slowly, or not at all.
type slowStore struct {
	hub.Store
	broken atomic.Bool
}

func (s *slowStore) DesiredProperties(ctx context.Context, name string, id hubward.Identity) (twindoc.Section, []hub.DesiredChange, error) {
	time.Sleep(time.Second)
	if s.broken.Load() {
		return twindoc.Section{}, nil, errors.New("disk /dev/sda is broken")
	}
	return s.Store.DesiredProperties(ctx, name, id)
}

// Who waits for a device gets through as soon as it connects or subscribes, and still the call comes behind CONNACK, since the C#
// SDK ends a connection on what comes before, and behind SUBACK.
func TestMethod_comesBehindTheAnswer(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := &slowStore{}
		f := newFixtureOver(t, func(l hub.EventLog) hub.EventLog { return l }, func(s hub.Store) hub.Store { store.Store = s; return store })
		p := login(t, f.createDevice("d1"))
		c := f.connected(p)
		for range 2 {
			waits := f.invoke(d1, hubward.MethodCall{Name: "reboot", ConnectTimeout: 20 * time.Second})
			synctest.Wait()
			c.send(mqttwire.AppendSubscribe(nil, &mqttwire.SubscribePacket{ID: 1, Filters: []mqttwire.Filter{{Topic: methodFilter}, {Topic: desiredFilter}}}))
			c.expect(mqttwire.Suback)
			c.respond(1, "200", c.call("reboot", "null"), "")
			f.wantStatus(waits, 200, "null")
			c.nc.Close()
			synctest.Wait()

			waits = f.invoke(d1, hubward.MethodCall{Name: "reboot", ConnectTimeout: 20 * time.Second})
			synctest.Wait()
			c = f.dial()
			if !c.connect(p) {
				t.Error("the session was not kept")
			}
			c.respond(1, "200", c.call("reboot", "null"), "")
			f.wantStatus(waits, 200, "null")
			c.unsubscribe(methodFilter)
			c.unsubscribe(desiredFilter)
		}

		// Who cannot be let in after all gets CONNACK alone.
		c.subscribe(0, methodFilter)
		c.subscribe(0, desiredFilter)
		c.nc.Close()
		synctest.Wait()
		store.broken.Store(true)
		lost := f.invoke(d1, hubward.MethodCall{Name: "reboot", ConnectTimeout: 20 * time.Second})
		synctest.Wait()
		c = f.dial()
		c.send(mqttwire.AppendConnect(nil, p))
		if ack, err := mqttwire.ParseConnack(c.expect(mqttwire.Connack)); err != nil || ack.Code != mqttwire.RefusedUnavailable {
			t.Errorf("CONNACK %+v, %v", ack, err)
		}
		c.expectEnd()
		f.wantCode(lost, hubward.CodeDeviceConnectionClosed)
	})
}
