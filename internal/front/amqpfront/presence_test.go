package amqpfront_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/go-amqp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/front/amqpfront"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/sas"
)

// A device is connected from its first link to its last, or to the end of its connection.
func TestPresence_lastsAsLongAsItsLinks(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	p := f.device(f.listen(), "d1")
	f.awaitConnected(0)
	s := p.mustSend(telemetryOf("d1"))
	f.awaitConnected(1)
	r := p.mustRead(deviceBoundOf("d1"), "", amqp.ReceiverOptions{})
	if err := s.Close(p.context()); err != nil {
		t.Fatal(err)
	}
	f.awaitConnected(1)
	if err := r.Close(p.context()); err != nil {
		t.Fatal(err)
	}
	f.awaitConnected(0)
	p.mustSend(telemetryOf("d1"))
	f.awaitConnected(1)
	p.conn.Close()
	f.awaitConnected(0)
}

// The newest connection of a device wins: the older one's links are detached, and nothing else of it.
func TestPresence_isTakenOver(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	address := f.listen()
	d1, d2 := f.createDevice("d1"), f.createDevice("d2")
	older, newer := f.deviceAgain(address, d1), f.deviceAgain(address, d1)
	if code, text := older.putToken(f.deviceToken(d2)); code != 200 {
		t.Fatal(code, text)
	}
	first, other := older.mustSend(telemetryOf("d1")), older.mustSend(telemetryOf("d2"))
	r := older.mustRead(deviceBoundOf("d1"), "", amqp.ReceiverOptions{})
	second := newer.mustSend(telemetryOf("d1"))
	wantLinkEnd(t, first, "amqp:link:stolen")
	wantDetached(t, r, "amqp:link:stolen")
	for _, s := range []*amqp.Sender{second, other} {
		if err := send(t, s, data("x")); err != nil {
			t.Error(err)
		}
	}
	f.awaitConnected(2)
	first = older.mustSend(telemetryOf("d1")) // and back
	wantLinkEnd(t, second, "amqp:link:stolen")
	link := f.connect(d1, func(error) {}) // over another protocol
	wantLinkEnd(t, first, "amqp:link:stolen")
	closed := make(chan error, 1)
	link.Disconnect()
	link = f.connect(d1, func(err error) { closed <- err })
	defer link.Disconnect()
	newer.mustSend(telemetryOf("d1"))
	if err := <-closed; hubward.CodeOf(err) != hubward.CodeConnectionClosedOnNewOne {
		t.Error(err)
	}
}

// connect connects a device over another protocol.
func (f *fixture) connect(d *hubward.Device, closed closeFunc) *hub.Link {
	f.t.Helper()
	id := hubward.Identity{Device: d.DeviceID}
	p, err := f.Authenticate(f.t.Context(), access.Credential{Hub: "plant", Identity: id, Token: f.deviceToken(d)})
	if err != nil {
		f.t.Fatal(err)
	}
	link, err := f.Connect(f.t.Context(), &p, hub.ConnectRequest{Identity: id, Session: closed})
	if err != nil {
		f.t.Fatal(err)
	}
	return link
}

// closeFunc is the session of a link over another protocol.
type closeFunc func(error)

func (f closeFunc) Close(reason error) { f(reason) }

func (closeFunc) Deliver(hub.Delivery) {}

// A device that loses its rights is detached, and its token is good for nothing from then on; the connection's other
// devices do not notice.
func TestPresence_endsWithItsRights(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	p := f.dial(f.listen(), amqp.ConnOptions{})
	other := f.createDevice("other")
	if code, text := p.putToken(f.deviceToken(other)); code != 200 {
		t.Fatal(code, text)
	}
	stays := p.mustSend(telemetryOf("other"))
	for _, row := range []struct {
		what              string
		change            func(ctx context.Context, d hubward.Device) error
		condition, attach string
	}{
		{"disabled", func(ctx context.Context, d hubward.Device) error {
			d.Status = hubward.StatusDisabled
			_, err := f.PutDevice(ctx, f.process, d, "*")
			return err
		}, "amqp:unauthorized-access", "amqp:unauthorized-access"},
		{"deleted", func(ctx context.Context, d hubward.Device) error {
			return f.DeleteDevice(ctx, f.process, d.DeviceID, "*")
		}, "amqp:not-found", "amqp:unauthorized-access"},
		{"given new keys", func(ctx context.Context, d hubward.Device) error {
			d.Authentication = &hubward.Authentication{Type: hubward.AuthSAS}
			d.Authentication.SymmetricKey.PrimaryKey = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
			d.Authentication.SymmetricKey.SecondaryKey = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
			_, err := f.PutDevice(ctx, f.process, d, "*")
			return err
		}, "amqp:unauthorized-access", "amqp:unauthorized-access"},
	} {
		for _, connected := range []bool{true, false} {
			d := f.createDevice("d-" + row.what[:5] + map[bool]string{true: "1", false: "2"}[connected])
			if code, text := p.putToken(f.deviceToken(d)); code != 200 {
				t.Fatal(code, text)
			}
			var s *amqp.Sender
			if connected {
				s = p.mustSend(telemetryOf(d.DeviceID))
			}
			if err := row.change(t.Context(), *d); err != nil {
				t.Fatal(row.what, err)
			}
			attach := row.attach
			if connected {
				wantLinkEnd(t, s, row.condition)
			} else if row.what == "deleted" {
				attach = "amqp:not-found"
			}
			if _, err := p.sender(telemetryOf(d.DeviceID)); err == nil {
				t.Errorf("%s, connected %t: attached", row.what, connected)
			} else {
				wantCondition(t, row.what, err, attach)
			}
		}
	}
	if err := send(t, stays, data("x")); err != nil {
		t.Error(err)
	}
}

// A policy's token speaks for all devices; one connection carries many, in sessions of their own.
func TestPresence_pool(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	p := f.dial(f.listen(), amqp.ConnOptions{})
	if code, text := p.putToken(f.token("device", host, time.Hour)); code != 200 {
		t.Fatal(code, text)
	}
	for _, id := range []string{"a", "b", "a%41", "x#y"} {
		f.createDevice(id)
		session, err := p.conn.NewSession(p.context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		s, err := session.NewSender(p.context(), telemetryOf(map[string]string{"a%41": "a%2541", "x#y": "x%23y"}[id]+map[bool]string{true: id}[len(id) == 1]), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := send(t, s, data("of "+id)); err != nil {
			t.Fatal(err)
		}
		if got := f.bodies(id); len(got) != 1 || got[0] != "of "+id {
			t.Errorf("%s: %q", id, got)
		}
	}
	f.awaitConnected(4)
	if e := f.events("a")[0]; e.AuthMethod != `{"scope":"hub","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}` || e.GenerationID == "" {
		t.Errorf("%+v", e)
	}
	if err := f.DeleteDevice(t.Context(), f.process, "a", "*"); err != nil {
		t.Fatal(err)
	}
	f.awaitConnected(3)
	for address, condition := range map[string]string{
		telemetryOf("a"):                            "amqp:not-found",
		telemetryOf("none"):                         "amqp:not-found",
		"/devices/b/modules/m/messages/events":      "amqp:not-found",
		"/devices/b/modules/m/messages/devicebound": "amqp:not-allowed",
		deviceBoundOf("b"):                          "amqp:not-allowed",
	} {
		if _, err := p.sender(address); err == nil {
			t.Errorf("%s: attached", address)
		} else {
			wantCondition(t, address, err, condition)
		}
	}
	for address, condition := range map[string]string{
		deviceBoundOf("none"):                       "amqp:not-found",
		"/devices/b/modules/m/messages/events":      "amqp:not-found",
		"/devices/b/modules/m/messages/devicebound": "amqp:not-found",
		telemetryOf("b"):                            "amqp:not-allowed",
		"/devices/none/twin":                        "amqp:not-found",
		"/devices/none/streams":                     "amqp:not-found",
		"/devices/none/methods/devicebound":         "amqp:not-found",
	} {
		if _, err := p.reader(address, "", amqp.ReceiverOptions{}); err == nil {
			t.Errorf("%s: attached", address)
		} else {
			wantCondition(t, address, err, condition)
		}
	}
}

// A hub that is deleted takes its connections with it.
func TestPresence_endsWithItsHub(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	f.createHub("other", "other.example")
	if _, err := f.PutDevice(t.Context(), f.processOf("other"), hubward.Device{DeviceID: "d1"}, ""); err != nil {
		t.Fatal(err)
	}
	p := f.dial(f.listen(), amqp.ConnOptions{
		HostName: "other.example", SASLType: amqp.SASLTypePlain("iothubowner", f.keys["other/iothubowner"].PrimaryKey),
	})
	p.mustSend(telemetryOf("d1"))
	if err := f.DeleteHub(t.Context(), f.process, "other"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.conn.Done():
		wantCondition(t, "the connection", p.conn.Err(), "amqp:connection:forced")
	case <-within(t, 10*time.Second).Done():
		t.Error("the connection lives on")
	}
}

// A device that logs in by SASL needs no $cbs.
func TestPresence_bySASL(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	d := f.createDevice("d@1")
	token, err := sas.Sign(host+"/devices/d%401", string(d.Authentication.SymmetricKey.PrimaryKey), "", time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	p := f.dial(f.listen(), amqp.ConnOptions{SASLType: amqp.SASLTypePlain("d@1@sas.plant", token)})
	if err := send(t, p.mustSend(telemetryOf("d%401")), data("x")); err != nil {
		t.Error(err)
	}
}

// A device whose token ends is detached, and not connected any more; another token in time keeps it.
func TestPresence_endsWithItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, amqpfront.Options{})
		d := f.createDevice("d1")
		p := f.pipe(amqp.ConnOptions{})
		put := func() {
			t.Helper()
			token, err := sas.Sign(host+"/devices/d1", string(d.Authentication.SymmetricKey.PrimaryKey), "", time.Now().Add(time.Minute))
			if err != nil {
				t.Fatal(err)
			}
			if code, text := p.putToken(token); code != 200 {
				t.Fatal(code, text)
			}
		}
		put()
		s := p.mustSend(telemetryOf("d1"))
		time.Sleep(50 * time.Second)
		put()
		time.Sleep(50 * time.Second)
		if err := send(t, s, data("x")); err != nil {
			t.Fatal(err)
		}
		f.awaitConnected(1)
		time.Sleep(12 * time.Second)
		wantCondition(t, "the link", send(t, s, data("x")), "amqp:unauthorized-access")
		f.awaitConnected(0)
	})
}
