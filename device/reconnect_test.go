package device_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/device"
	"github.com/hubward/hubward/internal/mqttwire"
	"github.com/hubward/hubward/sas"
)

// sendAsync sends bodies and returns where their results come, in the order of confirmation.
func sendAsync(t *testing.T, client *device.Client, bodies ...string) <-chan error {
	t.Helper()
	results := make(chan error, len(bodies))
	for _, body := range bodies {
		err := client.SendTelemetryAsync(t.Context(), &hubward.Message{Body: []byte(body)}, func(err error) { results <- err })
		if err != nil {
			t.Fatal(err)
		}
	}
	return results
}

func TestReconnect_sendsAgainInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p := n.connected(device.Options{})
		results := sendAsync(t, client, "a", "b", "c")
		var before []mqttwire.PublishPacket
		for range 3 {
			before = append(before, p.publish())
		}
		p.puback(before[0].ID)
		if err := <-results; err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		p.nc.Close()

		p = <-n.peers
		if waited := time.Since(start); waited != 0 {
			t.Errorf("the first attempt came after %v", waited)
		}
		p.login()
		later := sendAsync(t, client, "d")
		for _, want := range before[1:] {
			got := p.publish()
			if !got.Dup || got.ID != want.ID || string(got.Payload) != string(want.Payload) || string(got.Topic) != string(want.Topic) {
				t.Errorf("sent again: %+v, first %+v", got, want)
			}
			p.puback(got.ID)
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		if got := p.publish(); got.Dup || string(got.Payload) != "d" {
			t.Errorf("a new message: %+v", got)
		} else {
			p.puback(got.ID)
		}
		<-later
		n.shut(client, p)
	})
}

func TestReconnect_sendsWhatWasSentWhileAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p := n.connected(device.Options{})
		n.refuse(errors.New("down"))
		p.nc.Close()
		synctest.Wait()
		results := sendAsync(t, client, "a")
		n.refuse(nil)
		p = <-n.peers
		p.login()
		got := p.publish()
		if got.Dup {
			t.Error("DUP on a message that was never sent")
		}
		p.puback(got.ID)
		if err := <-results; err != nil {
			t.Error(err)
		}
		n.shut(client, p)
	})
}

func TestReconnect_backsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p := n.connected(device.Options{})
		time.Sleep(time.Minute - time.Second) // fake time: a connection that has lasted is not to blame
		n.refuse(errors.New("down"))
		start := time.Now()
		p.nc.Close()
		time.Sleep(45 * time.Second)
		n.refuse(nil)
		var got []time.Duration
		for _, at := range n.dials()[1:] {
			got = append(got, at.Sub(start))
		}
		const ms = time.Millisecond
		want := []time.Duration{0, 100 * ms, 300 * ms, 700 * ms, 1500 * ms, 3100 * ms, 6300 * ms, 12700 * ms, 22700 * ms, 32700 * ms, 42700 * ms}
		if !slices.Equal(got, want) {
			t.Errorf("attempts after\n%v, want\n%v", got, want)
		}
		p = <-n.peers
		p.login()
		n.shut(client, p)
	})
}

// A hub closes the connection on a message that it does not like, or when another program uses the device's identity:
// then each new connection works, for a moment.
func TestReconnect_backsOffWhenConnectionsDoNotLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p := n.connected(device.Options{})
		start := time.Now()
		for range 8 {
			p.nc.Close()
			p = <-n.peers
			p.login()
		}
		if took := time.Since(start); took != 22700*time.Millisecond {
			t.Errorf("eight short connections in %v", took)
		}
		results := sendAsync(t, client, "a")
		p.puback(p.publish().ID)
		<-results
		synctest.Wait()
		start = time.Now()
		p.nc.Close() // after a confirmation the first attempt comes at once again
		p = <-n.peers
		if took := time.Since(start); took != 0 {
			t.Errorf("the next attempt came after %v", took)
		}
		p.login()
		n.shut(client, p)
	})
}

func TestReconnect_retriesUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p := n.connected(device.Options{})
		p.nc.Close()
		p = <-n.peers
		p.connect()
		p.connack(mqttwire.RefusedUnavailable)
		p.gone()
		p = <-n.peers
		p.login()
		n.shut(client, p)
	})
}

func TestReconnect_refusalEndsTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p := n.connected(device.Options{MaxInFlight: 1})
		results := sendAsync(t, client, "a")
		p.publish()
		blocked := make(chan error, 1)
		go func() { blocked <- client.SendTelemetry(t.Context(), &hubward.Message{}) }()
		synctest.Wait()
		p.nc.Close()
		p = <-n.peers
		p.connect()
		p.connack(mqttwire.RefusedNotAuthorized)
		p.gone()
		<-client.Done()
		for name, err := range map[string]error{
			"Err":                  client.Err(),
			"message under way":    <-results,
			"message in the queue": <-blocked,
			"next Send":            client.SendTelemetry(t.Context(), &hubward.Message{}),
			"next Connect":         client.Connect(t.Context()),
		} {
			if err == nil || hubward.CodeOf(err) != hubward.CodeUnauthorizedAccess {
				t.Errorf("%s: %v", name, err)
			}
		}
		client.Close(t.Context())
	})
}

func TestReconnect_onGarbage(t *testing.T) {
	for name, garbage := range map[string][]byte{
		"reserved type":      {0xf0, 0},
		"unexpected SUBACK":  mqttwire.AppendSuback(nil, 1, 0),
		"packet id 0":        {0x40, 2, 0, 0},
		"larger than sanity": {0x30, 0xff, 0xff, 0xff, 0x7f},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newPipes(t)
				client, p := n.connected(device.Options{})
				p.send(garbage)
				p.gone()
				p = <-n.peers
				p.login()
				n.shut(client, p)
			})
		})
	}
}

func TestKeepAlive_pingsAndStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p := n.connected(device.Options{KeepAlive: time.Minute})
		last := time.Now()
		for range 3 {
			p.next(mqttwire.Pingreq)
			if quiet := time.Since(last); quiet < 44*time.Second || quiet > 60*time.Second {
				t.Errorf("a ping after %v", quiet)
			}
			last = time.Now()
			p.send(mqttwire.AppendPingresp(nil))
		}
		if len(n.dials()) != 1 {
			t.Error("the client has reconnected")
		}
		n.shut(client, p)
	})
}

func TestKeepAlive_busyConnectionNeedsNoPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p := n.connected(device.Options{KeepAlive: time.Minute})
		for range 20 {
			time.Sleep(10 * time.Second)
			results := sendAsync(t, client, "a")
			p.puback(p.publish().ID) // publish fails on a ping
			<-results
		}
		n.shut(client, p)
	})
}

func TestKeepAlive_silentHubIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		start := time.Now()
		client, p := n.connected(device.Options{KeepAlive: time.Minute})
		results := sendAsync(t, client, "a")
		p.publish() // and no answer to it, nor to the ping
		p.next(mqttwire.Pingreq)
		p.gone()
		if took := time.Since(start); took != time.Minute {
			t.Errorf("the client left after %v", took)
		}
		p = <-n.peers
		p.login()
		p.puback(p.publish().ID)
		if err := <-results; err != nil {
			t.Error(err)
		}
		n.shut(client, p)
	})
}

func TestRenewal_waitsForConfirmationsAndLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p := n.connected(device.Options{TokenTTL: 100 * time.Second, KeepAlive: 1000 * time.Second})
		start := time.Now()
		time.Sleep(80 * time.Second)
		results := sendAsync(t, client, "a", "b")
		a, b := p.publish(), p.publish()
		time.Sleep(6 * time.Second) // the renewal is due after 85 s
		later := sendAsync(t, client, "c")
		p.puback(a.ID)
		time.Sleep(2 * time.Second)
		p.puback(b.ID)
		for range 2 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		p.next(mqttwire.Disconnect)
		p.nc.Close() // as hubs do
		p = <-n.peers
		token, err := sas.Parse(string(p.login().Password))
		if err != nil || token.Expiry.Before(start.Add(180*time.Second)) {
			t.Errorf("the new token expires %v after the start, %v", token.Expiry.Sub(start), err)
		}
		if took := time.Since(start); took != 88*time.Second {
			t.Errorf("renewed after %v", took)
		}
		c := p.publish()
		if c.Dup || string(c.Payload) != "c" {
			t.Errorf("the message that waited: %+v", c)
		}
		p.puback(c.ID)
		if err := <-later; err != nil {
			t.Error(err)
		}
		n.shut(client, p)
	})
}

func TestRenewal_doesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p := n.connected(device.Options{TokenTTL: 100 * time.Second, KeepAlive: 1000 * time.Second})
		start := time.Now()
		results := sendAsync(t, client, "a")
		p.publish()
		p.next(mqttwire.Disconnect)
		p.nc.Close()                                           // as hubs do
		if took := time.Since(start); took != 95*time.Second { // 85 s and ten for the confirmation
			t.Errorf("renewed after %v", took)
		}
		p = <-n.peers
		p.login()
		got := p.publish()
		if !got.Dup {
			t.Error("no DUP on a message that is sent again")
		}
		p.puback(got.ID)
		if err := <-results; err != nil {
			t.Error(err)
		}
		n.shut(client, p)
	})
}

func TestOnState_tellsEveryChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		var got []string
		client, p := n.connected(device.Options{OnState: func(s device.State, err error) {
			got = append(got, fmt.Sprintf("%v %v", s, err != nil))
		}})
		p.nc.Close()
		p = <-n.peers
		p.login()
		synctest.Wait()
		n.shut(client, p)
		want := []string{"connecting false", "connected false", "disconnected true", "connecting false", "connected false", "closed false"}
		if !slices.Equal(got, want) {
			t.Errorf("states %q, want %q", got, want)
		}
	})
}
