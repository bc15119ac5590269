package amqpengine_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpengine"
)

func TestModes_ofTheLinkDecide(t *testing.T) {
	rows := map[string]struct {
		snd    amqpwire.SenderSettleMode
		rcv    amqpwire.ReceiverSettleMode
		wanted bool // settled
		want   bool
	}{
		"mixed":              {amqpwire.SenderMixed, amqpwire.ReceiverFirst, true, true},
		"unset":              {amqpwire.SenderModeUnset, amqpwire.ReceiverModeUnset, true, true},
		"unsettled":          {amqpwire.SenderUnsettled, amqpwire.ReceiverFirst, true, true},
		"unsettled, second":  {amqpwire.SenderUnsettled, amqpwire.ReceiverSecond, true, false},
		"settled":            {amqpwire.SenderSettled, amqpwire.ReceiverFirst, false, true},
		"unsettled, for C2D": {amqpwire.SenderUnsettled, amqpwire.ReceiverFirst, false, false},
	}
	for name, r := range rows {
		t.Run(name, func(t *testing.T) {
			outcomes := 0
			h := &program{attach: func(l *amqpengine.Link) {
				s := l.AcceptSender(amqpengine.SenderOptions{})
				s.Post(amqpengine.Outgoing{Settled: r.wanted, OnSettle: func(amqpwire.DeliveryState) { outcomes++ }})
			}}
			talk(t, h, amqpengine.Options{}, func(p *raw) {
				p.begin(0, 100)
				a := receiving(0, "a")
				a.SenderSettleMode, a.ReceiverSettleMode = r.snd, r.rcv
				p.attach(a)
				p.credit(0, 0, 1, amqpwire.Flow{})
				if last := p.expectTransfers(1, 0); last.Settled != r.want {
					t.Errorf("%+v", last)
				}
			})
			if want := 1; (!r.wanted || !r.want) && outcomes != want {
				t.Errorf("%d outcomes, want %d", outcomes, want)
			}
		})
	}
}

func TestPost(t *testing.T) {
	var sender *amqpengine.Sender
	lost := 0
	h := &program{attach: func(l *amqpengine.Link) { sender = l.AcceptSender(amqpengine.SenderOptions{MaxPosted: 3}) }}
	post := func(payload string) {
		b := []byte(payload)
		sender.Post(amqpengine.Outgoing{Payload: b, Tag: []byte(payload), OnSettle: func(state amqpwire.DeliveryState) {
			if state == nil {
				lost++
			}
		}})
		clear(b) // it was copied
	}
	talk(t, h, amqpengine.Options{}, func(p *raw) {
		p.open(amqpwire.Open{MaxFrameSize: 512})
		p.begin(1, 100) // a session of its own number
		p.send(1, receiving(0, "a"))
		expect[amqpwire.Attach](p, 1, amqpwire.CodeAttach)
		for _, s := range []string{"one", "two", "three"} {
			post(s)
		}
		p.send(1, &amqpwire.Flow{NextIncomingID: amqpwire.Some(1), IncomingWindow: 100, Handle: amqpwire.Some(0), DeliveryCount: amqpwire.Some(0), LinkCredit: amqpwire.Some(2)})
		for _, want := range []string{"one", "two"} {
			tr, payload := expect[amqpwire.Transfer](p, 1, amqpwire.CodeTransfer)
			if string(payload) != want || string(tr.DeliveryTag) != want {
				t.Errorf("%q, want %q", payload, want)
			}
		}
		p.expectSilence(time.Second)
		for range 3 {
			post("more")
		}
		p.expectDetach(1, 0, amqpwire.ResourceLimitExceeded)
		post("late")
	})
	if lost != 2+3+2 { // sent and not settled, waiting, and refused
		t.Errorf("%d lost", lost)
	}
}

// What waits in a queue is bounded in bytes where the program says so: they count from when they wait to when they leave.
func TestPost_boundsBytes(t *testing.T) {
	var sender *amqpengine.Sender
	h := &program{attach: func(l *amqpengine.Link) { sender = l.AcceptSender(amqpengine.SenderOptions{MaxPostedBytes: 1000}) }}
	post := func(n int) { sender.Post(amqpengine.Outgoing{Payload: make([]byte, n), Settled: true}) }
	talk(t, h, amqpengine.Options{}, func(p *raw) {
		p.begin(0, 100)
		p.attach(receiving(0, "a"))
		post(999)
		post(5000) // there was room for a byte
		p.credit(0, 0, 3, amqpwire.Flow{})
		p.expectTransfers(2, 0)
		post(2000) // leaves at once
		p.expectTransfers(1, 2)
		post(999)
		post(1)
		p.expectSilence(time.Second)
		post(1)
		p.expectDetach(0, 0, amqpwire.ResourceLimitExceeded)
	})
}

func TestWait_andSend_endWithTheirContext(t *testing.T) {
	type result struct {
		n   int
		err error
	}
	var results []result
	h := &program{attach: func(l *amqpengine.Link) {
		l.AcceptSender(amqpengine.SenderOptions{Run: func(ctx context.Context, s *amqpengine.Sender) *amqpwire.Error {
			short, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			_, err := s.Wait(short)
			results = append(results, result{0, err})
			n, err := s.Wait(ctx)
			results = append(results, result{n, err})
			short, cancel = context.WithTimeout(ctx, time.Second)
			defer cancel()
			n, err = s.Send(short, amqpengine.Outgoing{}, amqpengine.Outgoing{}, amqpengine.Outgoing{})
			results = append(results, result{n, err})
			n, err = s.Send(ctx, amqpengine.Outgoing{})
			results = append(results, result{n, err})
			return nil
		}})
	}}
	talk(t, h, amqpengine.Options{}, func(p *raw) {
		p.begin(0, 100)
		p.attach(receiving(0, "a"))
		p.expectSilence(2 * time.Second)
		p.credit(0, 0, 2, amqpwire.Flow{})
		p.expectTransfers(2, 0)
		p.expectSilence(2 * time.Second)
		p.send(0, &amqpwire.Detach{Handle: 0, Closed: true, Error: &amqpwire.Error{Condition: amqpwire.ResourceDeleted}})
		p.expectDetach(0, 0, "")
		synctest.Wait()
		if len(results) != 4 || !errors.Is(results[0].err, context.DeadlineExceeded) || results[1] != (result{2, nil}) ||
			results[2].n != 2 || !errors.Is(results[2].err, context.DeadlineExceeded) {
			p.t.Fatalf("%+v", results)
		}
		var e *amqpwire.Error
		if !errors.As(results[3].err, &e) || e.Condition != amqpwire.ResourceDeleted {
			t.Errorf("%v", results[3].err)
		}
	})
}

// A peer may insist on the smallest frames.
func TestSmallestFrames(t *testing.T) {
	long := strings.Repeat("Grüße ", 100)
	h := &program{attach: func(l *amqpengine.Link) {
		if l.Attach().Source.Address == "refused" {
			l.Refuse(&amqpwire.Error{Condition: amqpwire.NotFound, Description: long})
			return
		}
		l.AcceptSender(amqpengine.SenderOptions{})
	}}
	talk(t, h, amqpengine.Options{}, func(p *raw) {
		p.open(amqpwire.Open{MaxFrameSize: 512})
		p.send(0, &amqpwire.Begin{IncomingWindow: 10})
		expect[amqpwire.Begin](p, 0, amqpwire.CodeBegin)
		p.send(0, receiving(0, "refused"))
		expect[amqpwire.Attach](p, 0, amqpwire.CodeAttach)
		d := p.expectDetach(0, 0, amqpwire.NotFound)
		if n := len(d.Error.Description); n > 128 || n < 120 || !strings.HasPrefix(long, d.Error.Description) {
			t.Errorf("%q", d.Error.Description)
		}
		a := receiving(1, "a")
		a.Properties = amqpwire.Map{{Key: amqpwire.Symbol("large"), Value: long}}
		if got := p.attach(a); got.Properties == nil || len(got.Properties) != 0 {
			t.Errorf("%v", got.Properties)
		}
		p.send(0, receiving(2, strings.Repeat("a", 600)))
		p.expectClose(amqpwire.FrameSizeTooSmall)
	})
}
