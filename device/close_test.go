package device_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/device"
	"github.com/hubward/hubward/internal/mqttwire"
)

func TestClose_waitsForConfirmations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p := n.connected(device.Options{})
		results := sendAsync(t, client, "a")
		got := p.publish()
		closed := make(chan error, 2)
		for range 2 { // twice, at the same time
			go func() { closed <- client.Close(t.Context()) }()
		}
		synctest.Wait()
		if len(closed) != 0 {
			t.Fatal("Close did not wait")
		}
		if err := client.SendTelemetry(t.Context(), &hubward.Message{}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a new message: %v", err)
		}
		p.puback(got.ID)
		p.next(mqttwire.Disconnect)
		p.gone()
		for range 2 {
			if err := <-closed; err != nil {
				t.Error(err)
			}
		}
		if err := <-results; err != nil {
			t.Error(err)
		}
		<-client.Done()
		if client.Err() != nil {
			t.Errorf("Err is %v", client.Err())
		}
		if err := client.Close(t.Context()); err != nil {
			t.Errorf("once more: %v", err)
		}
	})
}

func TestClose_givesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p := n.connected(device.Options{})
		results := sendAsync(t, client, "a")
		p.publish()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		closed := make(chan error, 1)
		go func() { closed <- client.Close(ctx) }()
		p.next(mqttwire.Disconnect)
		p.gone()
		err := <-closed
		if !errors.Is(err, context.DeadlineExceeded) || hubward.CodeOf(err) != hubward.CodeRequestTimeout {
			t.Errorf("Close: %v", err)
		}
		if err := <-results; !errors.Is(err, net.ErrClosed) {
			t.Errorf("the message: %v", err)
		}
	})
}

func TestClose_sendsTheRestOnTheNextConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, p := n.connected(device.Options{})
		results := sendAsync(t, client, "a")
		p.publish()
		closed := make(chan error, 1)
		go func() { closed <- client.Close(t.Context()) }()
		synctest.Wait()
		p.nc.Close()
		p = <-n.peers
		p.login()
		p.puback(p.publish().ID)
		p.next(mqttwire.Disconnect)
		p.gone()
		if err := errors.Join(<-results, <-closed); err != nil {
			t.Error(err)
		}
	})
}

func TestClose_whileReconnecting(t *testing.T) {
	for _, when := range []string{"pause", "handshake"} {
		synctest.Test(t, func(t *testing.T) {
			n := newPipes(t)
			client, p := n.connected(device.Options{})
			if when == "pause" {
				n.refuse(errors.New("down"))
			}
			p.nc.Close()
			synctest.Wait()
			start := time.Now()
			if err := client.Close(t.Context()); err != nil || time.Since(start) != 0 {
				t.Errorf("%s: %v after %v", when, err, time.Since(start))
			}
		})
	}
}

func TestClose_whileConnecting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client := n.client(device.Options{})
		result := make(chan error, 1)
		go func() { result <- client.Connect(t.Context()) }()
		p := <-n.peers
		p.connect()
		if err := client.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-result; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Connect: %v", err)
		}
		p.gone()
	})
}

func TestClose_hubThatTakesNoBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipes(t)
		client, _ := n.connected(device.Options{}) // nobody reads the other end of the pipe from here on
		sendAsync(t, client, "a")
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		start := time.Now()
		if err := client.Close(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Close: %v", err)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("Close took %v", took)
		}
	})
}
