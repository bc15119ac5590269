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

// A link stands until the token's end and the hub's grace, then it is detached, and nothing else is.
func TestGrants_linksFallWhenTheTokenEnds(t *testing.T) {
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
func TestGrants_refresh(t *testing.T) {
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

func TestGrants_bareConnectionIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, amqpfront.Options{})
		bare, used := f.pipe(amqp.ConnOptions{}), f.pipe(amqp.ConnOptions{})
		if code, text := used.putToken(f.token("registryRead", host, time.Minute)); code != 200 {
			t.Fatal(code, text)
		}
		time.Sleep(29 * time.Second)
		if n := f.server.Connections(); n != 2 {
			t.Errorf("%d connections after 29 seconds", n)
		}
		time.Sleep(2 * time.Second)
		<-bare.conn.Done()
		wantCondition(t, "the bare one", bare.conn.Err(), "amqp:connection:forced")
		time.Sleep(31 * time.Second) // its token has ended, the grace as well: from now on it is bare
		if n := f.server.Connections(); n != 1 {
			t.Errorf("%d connections", n)
		}
		time.Sleep(31 * time.Second)
		<-used.conn.Done()
		wantCondition(t, "the other one", used.conn.Err(), "amqp:connection:forced")
	})
}

// Tokens of many devices may be put on one connection, up to a bound.
func TestGrants_bound(t *testing.T) {
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

// A device's link stands on the device's own token, and on a policy's for all devices.
func TestGrants_ofDevices(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	p := f.dial(f.listen(), amqp.ConnOptions{})
	for _, id := range []string{"a", "b"} {
		d, err := f.PutDevice(t.Context(), "plant", hubward.Device{DeviceID: id}, "")
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
	for address, want := range map[string]string{
		"/devices/a/twin": "amqp:not-implemented", "/devices/b/twin": "amqp:not-implemented", "/devices/c/twin": "amqp:unauthorized-access",
	} {
		_, err := p.session.NewSender(p.context(), address, nil)
		wantCondition(t, address, err, want)
	}
	if code, text := p.putToken(f.token("device", host, time.Hour)); code != 200 {
		t.Fatal(code, text)
	}
	_, err := p.session.NewSender(p.context(), "/devices/c/twin", nil)
	wantCondition(t, "with a policy", err, "amqp:not-implemented")
}
