package amqpengine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/Azure/go-amqp"

	"github.com/hubward/hubward/internal/front/amqpengine"
)

func TestClient_settleModes(t *testing.T) {
	settled, unsettled := amqp.SenderSettleModeSettled, amqp.SenderSettleModeUnsettled
	first, second := amqp.ReceiverSettleModeFirst, amqp.ReceiverSettleModeSecond
	n := startNode(t, amqpengine.Options{})
	s := newSession(t, dial(t, n, nil))
	for i, snd := range []*amqp.SenderSettleMode{nil, &settled, &unsettled} {
		for j, rcv := range []*amqp.ReceiverSettleMode{nil, &first, &second} {
			queue := fmt.Sprintf("queue/%d-%d", i, j)
			out := newSender(t, s, queue, &amqp.SenderOptions{SettlementMode: snd})
			in := newReceiver(t, s, queue, &amqp.ReceiverOptions{SettlementMode: rcv, RequestedSenderSettleMode: snd, Credit: 5})
			for k := range 20 {
				send(t, out, fmt.Sprint(k))
			}
			for k := range 20 {
				m := receive(t, in)
				if string(m.GetData()) != fmt.Sprint(k) {
					t.Errorf("%s: %q, want %d", queue, m.GetData(), k)
				}
				if snd == &settled {
					continue
				}
				if err := in.AcceptMessage(within(t), m); err != nil {
					t.Errorf("%s: %v", queue, err)
				}
			}
		}
	}
}

func TestClient_outcomes(t *testing.T) {
	n := startNode(t, amqpengine.Options{})
	s := newSession(t, dial(t, n, nil))
	var rejected *amqp.Error
	err := newSender(t, s, "reject", nil).Send(within(t), amqp.NewMessage([]byte("x")), nil)
	if !errors.As(err, &rejected) || rejected.Condition != amqp.ErrCondNotAllowed {
		t.Errorf("rejected: %v", err)
	}
	out, in := newSender(t, s, "queue/a", nil), newReceiver(t, s, "queue/a", &amqp.ReceiverOptions{Credit: 1})
	send(t, out, "x")
	for range 3 { // comes again
		if err := in.ReleaseMessage(within(t), receive(t, in)); err != nil {
			t.Fatal(err)
		}
	}
	if err := in.ModifyMessage(within(t), receive(t, in), nil); err != nil {
		t.Fatal(err)
	}
	if err := in.RejectMessage(within(t), receive(t, in), nil); err != nil { // is gone
		t.Fatal(err)
	}
	send(t, out, "y")
	if m := receive(t, in); string(m.GetData()) != "y" {
		t.Errorf("%q", m.GetData())
	}
}

func TestClient_refusedLinks(t *testing.T) {
	n := startNode(t, amqpengine.Options{})
	s := newSession(t, dial(t, n, nil))
	for _, address := range []string{"refuse/amqp:unauthorized-access", "nowhere"} {
		var e *amqp.Error
		if _, err := s.NewSender(within(t), address, nil); !errors.As(err, &e) {
			t.Errorf("sender: %v", err)
		}
		if _, err := s.NewReceiver(within(t), address, nil); !errors.As(err, &e) {
			t.Errorf("receiver: %v", err)
		}
	}
	send(t, newSender(t, s, "queue/a", nil), "the session still works")
}

func TestClient_brokenLinks(t *testing.T) {
	n := startNode(t, amqpengine.Options{})
	s := newSession(t, dial(t, n, nil))
	in := newReceiver(t, s, "break/amqp:link:detach-forced", nil)
	var e *amqp.LinkError
	if _, err := in.Receive(within(t), nil); !errors.As(err, &e) || e.RemoteErr == nil || e.RemoteErr.Condition != amqp.ErrCondDetachForced {
		t.Errorf("%v", err)
	}
	in.Close(within(t))
	send(t, newSender(t, s, "queue/a", nil), "the session still works")
}

func TestClient_drains(t *testing.T) {
	n := startNode(t, amqpengine.Options{})
	s := newSession(t, dial(t, n, nil))
	in := newReceiver(t, s, "queue/a", &amqp.ReceiverOptions{Credit: -1})
	out := newSender(t, s, "queue/a", nil)
	for range 3 {
		if err := in.IssueCredit(10); err != nil {
			t.Fatal(err)
		}
		send(t, out, "x")
		if err := in.AcceptMessage(within(t), receive(t, in)); err != nil {
			t.Fatal(err)
		}
		if err := in.DrainCredit(within(t), nil); err != nil {
			t.Fatal(err)
		}
		send(t, out, "held back")
		short, cancel := context.WithTimeout(within(t), 50*time.Millisecond)
		if m, err := in.Receive(short, nil); err == nil {
			t.Errorf("%q came without credit", m.GetData())
		}
		cancel()
		if err := in.IssueCredit(1); err != nil {
			t.Fatal(err)
		}
		if err := in.AcceptMessage(within(t), receive(t, in)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestClient_largeMessages(t *testing.T) {
	n := startNode(t, amqpengine.Options{})
	small := startNode(t, amqpengine.Options{MaxFrameSize: 512})
	rows := map[string]struct {
		addr string
		max  uint32
	}{
		"512 both": {small.Addr(), 512}, "512 here": {small.Addr(), 65536}, "512 there": {n.Addr(), 512}, "65536": {n.Addr(), 65536}, "huge": {n.Addr(), 1 << 31},
	}
	for name, r := range rows {
		t.Run(name, func(t *testing.T) {
			c, err := amqp.Dial(within(t), "amqp://"+r.addr, &amqp.ConnOptions{MaxFrameSize: r.max})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			s := newSession(t, c)
			queue := "queue/" + name
			out, in := newSender(t, s, queue, nil), newReceiver(t, s, queue, &amqp.ReceiverOptions{Credit: 3})
			for i := range byte(4) {
				body := bytes.Repeat([]byte{i}, 300<<10)
				send(t, out, string(body))
				m := receive(t, in)
				if !bytes.Equal(m.GetData(), body) {
					t.Errorf("message %d differs", i)
				}
				if err := in.AcceptMessage(within(t), m); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestClient_manyLinks(t *testing.T) {
	const sessions, links, messages = 10, 20, 20
	n := startNode(t, amqpengine.Options{})
	c := dial(t, n, nil)
	var wg sync.WaitGroup
	for i := range sessions {
		s := newSession(t, c)
		for j := range links {
			queue := fmt.Sprintf("queue/%d-%d", i, j)
			out, in := newSender(t, s, queue, nil), newReceiver(t, s, queue, &amqp.ReceiverOptions{Credit: 7})
			wg.Go(func() {
				for k := range messages {
					if err := out.Send(within(t), amqp.NewMessage([]byte(fmt.Sprint(k))), nil); err != nil {
						t.Error(err)
					}
				}
			})
			wg.Go(func() {
				for k := range messages {
					m, err := in.Receive(within(t), nil)
					if err != nil || string(m.GetData()) != fmt.Sprint(k) {
						t.Errorf("%s: %v, %v", queue, m, err)
						return
					}
					if err := in.AcceptMessage(within(t), m); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
}

func TestClient_slowAndStuckLinks(t *testing.T) {
	n := startNode(t, amqpengine.Options{})
	s := newSession(t, dial(t, n, nil))
	slow, stuck := newSender(t, s, "slow", nil), newSender(t, s, "never-credit", nil)
	var wg sync.WaitGroup
	for range 150 { // more than there is credit
		wg.Go(func() { send(t, slow, "x") })
	}
	short, cancel := context.WithTimeout(within(t), 100*time.Millisecond)
	defer cancel()
	for range 2 {
		if err := stuck.Send(short, amqp.NewMessage(nil), nil); err == nil {
			t.Error("settled")
		}
	}
	wg.Wait()
	newSender(t, s, "slow", nil).Close(within(t))
}

func TestClient_echo(t *testing.T) {
	n := startNode(t, amqpengine.Options{})
	s := newSession(t, dial(t, n, nil))
	in, out := newReceiver(t, s, "echo", &amqp.ReceiverOptions{Credit: 10}), newSender(t, s, "echo", nil)
	for i := range 100 {
		send(t, out, fmt.Sprint(i))
		if m := receive(t, in); string(m.GetData()) != fmt.Sprint(i) {
			t.Errorf("%q, want %d", m.GetData(), i)
		}
	}
}
