package amqpengine_test

import (
	"context"
	"testing"
	"time"

	"github.com/Azure/go-amqp"

	"github.com/hubward/hubward/internal/front/amqpengine"
	"github.com/hubward/hubward/internal/front/amqpengine/testnode"
)

// startNode runs a node until the test ends.
func startNode(t testing.TB, o amqpengine.Options) *testnode.Node {
	t.Helper()
	n, err := testnode.Start(o, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := n.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	return n
}

// within is the context of one test: nothing here takes as long.
func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// dial connects a client and closes it when the test ends.
func dial(t testing.TB, n *testnode.Node, o *amqp.ConnOptions) *amqp.Conn {
	t.Helper()
	c, err := amqp.Dial(within(t), "amqp://"+n.Addr(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func newSession(t testing.TB, c *amqp.Conn) *amqp.Session {
	t.Helper()
	s, err := c.NewSession(within(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newSender(t testing.TB, s *amqp.Session, address string, o *amqp.SenderOptions) *amqp.Sender {
	t.Helper()
	l, err := s.NewSender(within(t), address, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func newReceiver(t testing.TB, s *amqp.Session, address string, o *amqp.ReceiverOptions) *amqp.Receiver {
	t.Helper()
	l, err := s.NewReceiver(within(t), address, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func send(t testing.TB, l *amqp.Sender, body string) {
	t.Helper()
	if err := l.Send(within(t), amqp.NewMessage([]byte(body)), nil); err != nil {
		t.Fatal(err)
	}
}

func receive(t testing.TB, l *amqp.Receiver) *amqp.Message {
	t.Helper()
	m, err := l.Receive(within(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestClient_sendsAndReceives(t *testing.T) {
	n := startNode(t, amqpengine.Options{})
	s := newSession(t, dial(t, n, nil))
	out := newSender(t, s, "queue/a", nil)
	send(t, out, "one")
	in := newReceiver(t, s, "queue/a", nil)
	m := receive(t, in)
	if string(m.GetData()) != "one" {
		t.Errorf("%q", m.GetData())
	}
	if err := in.AcceptMessage(within(t), m); err != nil {
		t.Error(err)
	}
}
