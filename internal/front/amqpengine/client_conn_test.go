package amqpengine_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"github.com/Azure/go-amqp"

	"github.com/hubward/hubward/internal/front/amqpengine"
	"github.com/hubward/hubward/internal/front/amqpengine/testnode"
)

func TestClient_logsIn(t *testing.T) {
	n := startNode(t, amqpengine.Options{})
	for name, sasl := range map[string]amqp.SASLType{"none": nil, "ANONYMOUS": amqp.SASLTypeAnonymous(), "PLAIN": amqp.SASLTypePlain("user", "secret")} {
		c, err := amqp.Dial(within(t), "amqp://"+n.Addr(), &amqp.ConnOptions{SASLType: sasl})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		newSession(t, c)
		if err := c.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := amqp.Dial(within(t), "amqp://"+n.Addr(), &amqp.ConnOptions{SASLType: amqp.SASLTypePlain("user", "wrong")}); err == nil {
		t.Error("logged in with a wrong password")
	}
	var e *amqp.Error
	c, err := amqp.Dial(within(t), "amqp://"+n.Addr(), &amqp.ConnOptions{HostName: "refused"})
	if err == nil {
		_, err = c.NewSession(within(t), nil)
		c.Close()
	}
	if !errors.As(err, &e) || e.Condition != amqp.ErrCondNotAllowed {
		t.Errorf("refused host name: %v", err)
	}
}

func TestClient_overTLS(t *testing.T) {
	web := httptest.NewUnstartedServer(nil) // has a certificate
	web.StartTLS()
	defer web.Close()
	n, err := testnode.Start(amqpengine.Options{}, &tls.Config{Certificates: web.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	c, err := amqp.Dial(within(t), "amqps://"+n.Addr(), &amqp.ConnOptions{TLSConfig: &tls.Config{InsecureSkipVerify: true}, SASLType: amqp.SASLTypeAnonymous()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	send(t, newSender(t, newSession(t, c), "queue/a", nil), "x")
	for _, conn := range n.Server.Connections() {
		if state := conn.TLS(); state == nil || !state.HandshakeComplete {
			t.Errorf("TLS state %v", state)
		}
	}
	if _, err := net.Dial("tcp", n.Addr()); err != nil { // never begins its handshake
		t.Error(err)
	}
	if err := n.Shutdown(within(t)); err != nil {
		t.Error(err)
	}
}

func TestClient_survivesIdleTimes(t *testing.T) {
	n := startNode(t, amqpengine.Options{})
	s := newSession(t, dial(t, n, &amqp.ConnOptions{IdleTimeout: 1500 * time.Millisecond}))
	out, in := newSender(t, s, "queue/a", nil), newReceiver(t, s, "queue/a", nil)
	quiet, cancel := context.WithTimeout(within(t), 3*time.Second)
	defer cancel()
	if _, err := in.Receive(quiet, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	send(t, out, "still there")
	receive(t, in)
}

func TestClient_endsSessions(t *testing.T) {
	n := startNode(t, amqpengine.Options{})
	c := dial(t, n, nil)
	for i := range 20 { // channels are used again
		s := newSession(t, c)
		out := newSender(t, s, "queue/a", nil)
		newReceiver(t, s, "queue/b", nil)
		send(t, out, fmt.Sprint(i))
		if i%2 == 0 {
			if err := out.Close(within(t)); err != nil {
				t.Error(err)
			}
		}
		if err := s.Close(within(t)); err != nil {
			t.Error(err)
		}
	}
}

func TestClient_unsettledComeAgain(t *testing.T) {
	n := startNode(t, amqpengine.Options{})
	c, err := amqp.Dial(within(t), "amqp://"+n.Addr(), nil)
	if err != nil {
		t.Fatal(err)
	}
	s := newSession(t, c)
	send(t, newSender(t, s, "queue/a", nil), "x")
	in := newReceiver(t, s, "queue/a", nil)
	receive(t, in)
	c.Close()
	again := newReceiver(t, newSession(t, dial(t, n, nil)), "queue/a", nil)
	if m := receive(t, again); string(m.GetData()) != "x" {
		t.Errorf("%q", m.GetData())
	}
}

func TestClient_shutdown(t *testing.T) {
	n, err := testnode.Start(amqpengine.Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := newSession(t, dial(t, n, nil))
	in := newReceiver(t, s, "queue/a", nil)
	began := time.Now()
	if err := n.Shutdown(within(t)); err != nil {
		t.Error(err)
	}
	if d := time.Since(began); d > 3*time.Second {
		t.Errorf("shutdown took %v", d)
	}
	var e *amqp.ConnError
	if _, err := in.Receive(within(t), nil); !errors.As(err, &e) || e.RemoteErr == nil || e.RemoteErr.Condition != amqp.ErrCondConnectionForced {
		t.Errorf("%v", err)
	}
	if _, err := net.DialTimeout("tcp", n.Addr(), time.Second); err == nil {
		t.Error("the node still listens")
	}
}

// Clients that vanish leave nothing behind: no connection, no goroutine.
func TestClient_vanishes(t *testing.T) {
	before := runtime.NumGoroutine()
	n, err := testnode.Start(amqpengine.Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		nc, err := net.Dial("tcp", n.Addr())
		if err != nil {
			t.Fatal(err)
		}
		c, err := amqp.NewConn(within(t), nc, nil)
		if err != nil {
			t.Fatal(err)
		}
		s := newSession(t, c)
		out := newSender(t, s, "slow", nil)
		newReceiver(t, s, "queue/a", nil)
		send(t, out, "x")
		nc.(*net.TCPConn).SetLinger(0) // reset
		nc.Close()
		c.Close()
	}
	deadline := time.After(10 * time.Second)
	for len(n.Server.Connections()) > 0 {
		select {
		case <-deadline:
			t.Fatalf("%d connections", len(n.Server.Connections()))
		case <-time.After(5 * time.Millisecond):
		}
	}
	if err := n.Shutdown(within(t)); err != nil {
		t.Error(err)
	}
	for runtime.NumGoroutine() > before+2 { // the clients' own may take a moment
		select {
		case <-deadline:
			buf := make([]byte, 1<<16)
			t.Fatalf("%d goroutines, %d before\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		case <-time.After(5 * time.Millisecond):
		}
	}
}
