package amqpfront_test

import (
	"net"
	"strings"
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

// pipe connects without the network, so that time can be faked.
func (f *fixture) pipe(o amqp.ConnOptions) *peer {
	f.t.Helper()
	client, server := net.Pipe()
	go f.server.ServeConn(server)
	o.IdleTimeout = -1
	p, err := newPeer(f.t, client, o)
	if err != nil {
		f.t.Fatal(err)
	}
	return p
}

// A link lives until the token's end and the hub's grace, then it is detached, and nothing else is.
func TestPrincipals_linksEndWithTheToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, amqpfront.Options{})
		p := f.pipe(amqp.ConnOptions{})
		partition := "sb://" + host + "/plant/ConsumerGroups/$Default/Partitions/"
		if code, text := p.putToken(f.token("service", partition+"0", time.Minute)); code != 200 {
			t.Fatal(code, text)
		}
		if code, text := p.putToken(f.token("service", partition+"1", time.Hour)); code != 200 {
			t.Fatal(code, text)
		}
		short := p.mustRead("plant/ConsumerGroups/$Default/Partitions/0", "", amqp.ReceiverOptions{})
		long := p.mustRead("plant/ConsumerGroups/$Default/Partitions/1", "", amqp.ReceiverOptions{})
		time.Sleep(time.Minute + 500*time.Millisecond) // within the grace of a second
		if _, err := p.reader("plant/ConsumerGroups/$Default/Partitions/0", "", amqp.ReceiverOptions{}); err == nil {
			t.Error("a link is attached on a token that has ended")
		} else {
			wantCondition(t, "a new link", err, "amqp:unauthorized-access")
		}
		f.append(0, 1)
		receive(t, short)
		time.Sleep(time.Second)
		if text := wantDetached(t, short, "amqp:unauthorized-access"); !strings.Contains(text, "Token Invalid.") {
			t.Error(text)
		}
		f.append(1, 1)
		receive(t, long)
	})
}

// Putting a token again keeps the link up, also when the token is spelt otherwise.
func TestPrincipals_refresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, amqpfront.Options{})
		p := f.pipe(amqp.ConnOptions{})
		if code, text := p.putToken(f.token("service", host, time.Minute)); code != 200 {
			t.Fatal(code, text)
		}
		r := p.mustRead(partition0, "", amqp.ReceiverOptions{})
		for _, resource := range []string{host, "sb://" + host + "/plant", host} {
			time.Sleep(50 * time.Second)
			if code, text := p.putToken(f.token("service", resource, time.Minute)); code != 200 {
				t.Fatal(code, text)
			}
		}
		time.Sleep(50 * time.Second)
		f.append(0, 1)
		receive(t, r)
		time.Sleep(30 * time.Second)
		wantDetached(t, r, "amqp:unauthorized-access")
	})
}

// Who waits for feedback goes on when its token is put again, also once the first one has ended.
func TestPrincipals_refreshWhileFeedbackIsAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, amqpfront.Options{})
		f.createDevice("d1")
		p := f.pipe(amqp.ConnOptions{})
		put := func(life time.Duration) {
			t.Helper()
			if code, text := p.putToken(f.token("service", host, life)); code != 200 {
				t.Fatal(code, text)
			}
		}
		put(time.Minute)
		r := p.mustRead(serviceBound, "", amqp.ReceiverOptions{})
		time.Sleep(50 * time.Second)
		put(time.Hour)
		time.Sleep(10 * time.Minute)
		f.sendForFeedback("m1")
		if err := r.AcceptMessage(p.context(), receive(t, r)); err != nil {
			t.Error(err)
		}
	})
}

// Feedback that a link has not settled when its token ends is there for the next one at once.
func TestPrincipals_endGivesFeedbackBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, amqpfront.Options{})
		f.createDevice("d1")
		p := f.pipe(amqp.ConnOptions{})
		if code, text := p.putToken(f.token("service", host, time.Minute)); code != 200 {
			t.Fatal(code, text)
		}
		r := p.mustRead(serviceBound, "", amqp.ReceiverOptions{})
		time.Sleep(59 * time.Second)
		f.sendForFeedback("m1")
		receive(t, r)
		time.Sleep(3 * time.Second)
		wantDetached(t, r, "amqp:unauthorized-access")
		synctest.Wait()
		if d, err := f.TakeNotification(t.Context(), f.process, hub.NotificationFeedback); err != nil || d == nil {
			t.Errorf("%v, %v", d, err)
		}
	})
}

func TestPrincipals_unauthenticatedConnectionIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, amqpfront.Options{})
		idle, used := f.pipe(amqp.ConnOptions{}), f.pipe(amqp.ConnOptions{})
		if code, text := used.putToken(f.token("registryRead", host, time.Minute)); code != 200 {
			t.Fatal(code, text)
		}
		time.Sleep(29 * time.Second)
		if n := f.server.Connections(); n != 2 {
			t.Errorf("%d connections after 29 seconds", n)
		}
		time.Sleep(2 * time.Second)
		<-idle.conn.Done()
		wantCondition(t, "who never had one", idle.conn.Err(), "amqp:connection:forced")
		time.Sleep(31 * time.Second) // its token has ended, the grace as well: from now on it has none
		if n := f.server.Connections(); n != 1 {
			t.Errorf("%d connections", n)
		}
		time.Sleep(31 * time.Second)
		<-used.conn.Done()
		wantCondition(t, "the other one", used.conn.Err(), "amqp:connection:forced")
	})
}

// Tokens of many devices may be put on one connection, up to a bound.
func TestPrincipals_bound(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	p := f.dial(f.listen(), amqp.ConnOptions{})
	q := p.pair("$cbs", "")
	put := func(resource string) any {
		return q.call(putTokenMessage(f.token("device", resource, time.Hour))).ApplicationProperties["status-code"]
	}
	for i := range 1024 {
		if code := put(host + "/devices/d" + strings.Repeat("x", i%128) + string(rune('a'+i/128))); code != int32(200) {
			t.Fatal(i, code)
		}
	}
	if code := put(host + "/devices/one-more"); code != int32(403) {
		t.Error(code)
	}
	if code := put(host + "/devices/da"); code != int32(200) {
		t.Errorf("again: %v", code)
	}
}

// A device's link rests on the device's own token, or on a policy's for all devices.
func TestPrincipals_ofDevices(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	p := f.dial(f.listen(), amqp.ConnOptions{})
	for _, id := range []string{"a", "b"} {
		d, err := f.PutDevice(t.Context(), f.process, hubward.Device{DeviceID: id}, "")
		if err != nil {
			t.Fatal(err)
		}
		token, err := sas.Sign(host+"/devices/"+id, string(d.Authentication.SymmetricKey.PrimaryKey), "", time.Now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		if code, text := p.putToken(token); code != 200 {
			t.Fatal(code, text)
		}
	}
	p.mustSend("/devices/a/twin")
	p.mustSend("/devices/b/twin")
	_, err := p.sender("/devices/c/twin")
	wantCondition(t, "another device", err, "amqp:unauthorized-access")
	if code, text := p.putToken(f.token("device", host, time.Hour)); code != 200 {
		t.Fatal(code, text)
	}
	_, err = p.sender("/devices/c/twin")
	wantCondition(t, "with a policy", err, "amqp:not-found")
}

// A policy's key has no end of its own: it is looked at again after each grace, and ends like a token once it is no longer good.
func TestPrincipals_ofKeys(t *testing.T) {
	tests := map[string]func(f *fixture) error{
		"another key of the policy": func(f *fixture) error {
			_, err := f.RegeneratePolicyKey(f.t.Context(), f.process, "plant", "reads", false)
			return err
		},
		"the key": func(f *fixture) error {
			_, err := f.RegeneratePolicyKey(f.t.Context(), f.process, "plant", "reads", true)
			return err
		},
		"the policy": func(f *fixture) error { return f.DeletePolicy(f.t.Context(), f.process, "plant", "reads") },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, amqpfront.Options{})
				policy, err := f.CreatePolicy(t.Context(), f.process, "plant", "reads", access.ServiceConnect)
				if err != nil {
					t.Fatal(err)
				}
				p := f.pipe(amqp.ConnOptions{SASLType: amqp.SASLTypePlain("reads", policy.PrimaryKey)})
				r := p.mustRead(partition0, "", amqp.ReceiverOptions{})
				time.Sleep(10 * time.Second)
				f.append(0, 1)
				receive(t, r)
				if err := change(f); err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * time.Second)
				if name != "another key of the policy" {
					wantDetached(t, r, "amqp:unauthorized-access")
					return
				}
				f.append(0, 1)
				receive(t, r)
			})
		})
	}
}
