package amqpengine_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpengine"
)

// run makes a Run that ignores its context.
func run(f func(s *amqpengine.Sender) *amqpwire.Error) func(context.Context, *amqpengine.Sender) *amqpwire.Error {
	return func(_ context.Context, s *amqpengine.Sender) *amqpwire.Error { return f(s) }
}

func errCause(l *amqpengine.Link) error { return context.Cause(l.Context()) }

// flood sends messages of one size for as long as it can.
func flood(size int, settled bool) *program {
	return &program{attach: func(l *amqpengine.Link) {
		l.AcceptSender(amqpengine.SenderOptions{Run: func(ctx context.Context, s *amqpengine.Sender) *amqpwire.Error {
			payload := bytes.Repeat([]byte{'m'}, size)
			for {
				if _, err := s.Send(ctx, amqpengine.Outgoing{Payload: payload, Settled: settled}, amqpengine.Outgoing{Payload: payload, Settled: settled}); err != nil {
					return nil
				}
			}
		}})
	}}
}

// expectTransfers expects n frames of deliveries whose ids begin with first, and returns the last.
func (p *raw) expectTransfers(n int, first uint32) *amqpwire.Transfer {
	p.t.Helper()
	var last *amqpwire.Transfer
	for i := range n {
		last, _ = expect[amqpwire.Transfer](p, 0, amqpwire.CodeTransfer)
		if last.DeliveryID != amqpwire.Some(first+uint32(i)) || len(last.DeliveryTag) != 16 {
			p.t.Fatalf("%+v, want id %d", last, first+uint32(i))
		}
	}
	return last
}

func TestCredit_isNeverExceeded(t *testing.T) {
	talk(t, flood(10, true), amqpengine.Options{}, func(p *raw) {
		p.begin(0, 1000)
		p.attach(receiving(0, "a"))
		p.expectSilence(time.Second)
		p.credit(0, 0, 3, amqpwire.Flow{})
		if last := p.expectTransfers(3, 0); !last.Settled || last.More {
			t.Errorf("%+v", last)
		}
		p.expectSilence(time.Second)
		p.credit(0, 2, 3, amqpwire.Flow{NextIncomingID: amqpwire.Some(3)}) // one was on its way
		p.expectTransfers(2, 3)
		p.expectSilence(time.Second)
	})
}

func TestWindow_isObeyedInFrames(t *testing.T) {
	talk(t, flood(1500, true), amqpengine.Options{}, func(p *raw) {
		p.open(amqpwire.Open{MaxFrameSize: 1024})
		p.send(0, &amqpwire.Begin{IncomingWindow: 3})
		b, _ := expect[amqpwire.Begin](p, 0, amqpwire.CodeBegin)
		if b.NextOutgoingID != 1 || b.OutgoingWindow != 3 {
			t.Errorf("%+v", b)
		}
		p.attach(receiving(0, "a"))
		p.credit(0, 0, 100, amqpwire.Flow{IncomingWindow: 3})
		size := 0
		for i := range 3 {
			tr, payload := expect[amqpwire.Transfer](p, 0, amqpwire.CodeTransfer)
			if tr.More != (i != 1) || tr.DeliveryID.Set != (i != 1) {
				t.Errorf("frame %d: %+v", i, tr)
			}
			if size += len(payload); i == 1 && size != 1500 {
				t.Errorf("%d bytes", size)
			}
		}
		p.expectSilence(time.Second)
		p.credit(0, 2, 100, amqpwire.Flow{NextIncomingID: amqpwire.Some(4), IncomingWindow: 1})
		tr, _ := expect[amqpwire.Transfer](p, 0, amqpwire.CodeTransfer)
		if tr.More || tr.DeliveryID.Set {
			t.Errorf("%+v", tr)
		}
		p.expectSilence(time.Second)
	})
}

// A client that counts deliveries where frames are meant falls behind with next-incoming-id.
func TestWindow_countedInDeliveries(t *testing.T) {
	talk(t, flood(1500, true), amqpengine.Options{}, func(p *raw) {
		p.open(amqpwire.Open{MaxFrameSize: 1024})
		p.send(0, &amqpwire.Begin{IncomingWindow: 4})
		expect[amqpwire.Begin](p, 0, amqpwire.CodeBegin)
		p.attach(receiving(0, "a"))
		for delivery := range uint32(20) {
			p.credit(0, delivery, 1, amqpwire.Flow{NextIncomingID: amqpwire.Some(1 + delivery), IncomingWindow: 4})
			for range 2 {
				expect[amqpwire.Transfer](p, 0, amqpwire.CodeTransfer)
			}
		}
		// And without a proof, after a while.
		p.credit(0, 20, 3, amqpwire.Flow{NextIncomingID: amqpwire.Some(21), IncomingWindow: 4})
		for range 4 {
			expect[amqpwire.Transfer](p, 0, amqpwire.CodeTransfer)
		}
		p.expectSilence(3 * time.Second)
		for range 2 {
			expect[amqpwire.Transfer](p, 0, amqpwire.CodeTransfer)
		}
	})
}

func TestWindow_stallsAreNotForcedOpenWhenThePeerSaysZero(t *testing.T) {
	talk(t, flood(10, true), amqpengine.Options{}, func(p *raw) {
		p.begin(0, 0)
		p.attach(receiving(0, "a"))
		p.write(encode(0, &amqpwire.Flow{NextIncomingID: amqpwire.Some(1), Handle: amqpwire.Some(0), DeliveryCount: amqpwire.Some(0), LinkCredit: amqpwire.Some(5)}))
		p.expectSilence(time.Minute)
	})
}

func TestDrain(t *testing.T) {
	talkToNode(t, func(p *raw) {
		p.begin(0, 100)
		p.attach(receiving(0, "queue/empty"))
		p.credit(0, 0, 10, amqpwire.Flow{Drain: true})
		f, _ := expect[amqpwire.Flow](p, 0, amqpwire.CodeFlow)
		if f.Handle != amqpwire.Some(0) || f.DeliveryCount != amqpwire.Some(10) || f.LinkCredit != amqpwire.Some(0) || !f.Drain {
			t.Errorf("%+v", f)
		}
		p.credit(0, 10, 0, amqpwire.Flow{Drain: true})
		if f, _ := expect[amqpwire.Flow](p, 0, amqpwire.CodeFlow); f.DeliveryCount != amqpwire.Some(10) || !f.Drain {
			t.Errorf("%+v", f)
		}
	})
}

func TestDrain_sendsWhatWaits(t *testing.T) {
	h := &program{attach: func(l *amqpengine.Link) {
		l.AcceptSender(amqpengine.SenderOptions{Run: func(ctx context.Context, s *amqpengine.Sender) *amqpwire.Error {
			s.Send(ctx, amqpengine.Outgoing{Settled: true}, amqpengine.Outgoing{Settled: true})
			<-ctx.Done()
			return nil
		}})
	}}
	talk(t, h, amqpengine.Options{}, func(p *raw) {
		p.begin(0, 100)
		p.attach(receiving(0, "a"))
		p.expectSilence(time.Second)
		p.credit(0, 0, 5, amqpwire.Flow{Drain: true})
		p.expectTransfers(2, 0)
		if f, _ := expect[amqpwire.Flow](p, 0, amqpwire.CodeFlow); f.DeliveryCount != amqpwire.Some(5) || !f.Drain {
			t.Errorf("%+v", f)
		}
	})
}

// The program has waited for credit; it may look for messages before the credit is taken back.
func TestDrain_sendsWhatTheProgramFinds(t *testing.T) {
	talkToNode(t, func(p *raw) {
		p.begin(0, 100)
		p.attach(sending(0, "queue/a"))
		for i := range uint32(3) {
			tr := transfer(0, i)
			tr.Settled = true
			p.send(0, tr, 'x')
		}
		p.attach(receiving(1, "queue/a"))
		p.expectSilence(time.Second)
		p.credit(1, 0, 10, amqpwire.Flow{Drain: true})
		p.expectTransfers(3, 0)
		if f, _ := expect[amqpwire.Flow](p, 0, amqpwire.CodeFlow); f.DeliveryCount != amqpwire.Some(10) || !f.Drain {
			t.Errorf("%+v", f)
		}
	})
}

func TestEcho(t *testing.T) {
	talkToNode(t, func(p *raw) {
		p.begin(0, 100)
		p.attach(receiving(0, "queue/empty"))
		p.attach(sending(1, "queue/empty"))
		p.credit(0, 0, 10, amqpwire.Flow{Echo: true})
		if f, _ := expect[amqpwire.Flow](p, 0, amqpwire.CodeFlow); f.Handle != amqpwire.Some(0) || f.LinkCredit != amqpwire.Some(10) {
			t.Errorf("%+v", f)
		}
		p.credit(1, 0, 10000, amqpwire.Flow{Echo: true}) // credit of a sender is ignored
		f, _ := expect[amqpwire.Flow](p, 0, amqpwire.CodeFlow)
		if f.Handle != amqpwire.Some(1) || f.LinkCredit != amqpwire.Some(1000) || f.DeliveryCount != amqpwire.Some(0) {
			t.Errorf("%+v", f)
		}
		p.send(0, &amqpwire.Flow{NextIncomingID: amqpwire.Some(1), IncomingWindow: 5, NextOutgoingID: 7, Echo: true})
		f, _ = expect[amqpwire.Flow](p, 0, amqpwire.CodeFlow)
		if f.Handle.Set || f.NextIncomingID != amqpwire.Some(7) || f.IncomingWindow != 5000 || f.NextOutgoingID != 1 {
			t.Errorf("%+v", f)
		}
	})
}

func TestTopUp_atHalf(t *testing.T) {
	talkToNode(t, func(p *raw) {
		p.begin(0, 100)
		p.attach(sending(0, "queue/a"))
		tr := transfer(0, 0)
		tr.Settled = true
		for i := range uint32(500) {
			tr.DeliveryID = amqpwire.Some(i)
			p.send(0, tr, 'x')
		}
		f, _ := expect[amqpwire.Flow](p, 0, amqpwire.CodeFlow)
		if f.LinkCredit != amqpwire.Some(1000) || f.DeliveryCount != amqpwire.Some(500) || f.NextIncomingID != amqpwire.Some(507) {
			t.Errorf("%+v", f)
		}
		p.expectSilence(time.Second)
	})
}

// One link's large delivery does not hold up another link for its whole length.
func TestLargeDelivery_letsOthersThrough(t *testing.T) {
	h := &program{attach: func(l *amqpengine.Link) {
		size := 10
		if l.Attach().Source.Address == "large" {
			size = 4 << 20
		}
		l.AcceptSender(amqpengine.SenderOptions{Run: func(ctx context.Context, s *amqpengine.Sender) *amqpwire.Error {
			s.Send(ctx, amqpengine.Outgoing{Payload: make([]byte, size), Settled: true})
			<-ctx.Done()
			return nil
		}})
	}}
	talk(t, h, amqpengine.Options{}, func(p *raw) {
		p.begin(0, 10000)
		p.attach(receiving(0, "large"))
		p.attach(receiving(1, "small"))
		p.credit(0, 0, 1, amqpwire.Flow{})
		tr, first := expect[amqpwire.Transfer](p, 0, amqpwire.CodeTransfer)
		p.credit(1, 0, 1, amqpwire.Flow{})
		large, small := len(first), -1
		for tr.Handle == 0 && tr.More || small < 0 {
			var payload []byte
			tr, payload = expect[amqpwire.Transfer](p, 0, amqpwire.CodeTransfer)
			if tr.Handle == 1 {
				small = large
				tr = &amqpwire.Transfer{More: true}
			} else {
				large += len(payload)
			}
		}
		if large != 4<<20 || small > 1<<20 {
			t.Errorf("%d bytes; the small one came after %d", large, small)
		}
	})
}

// A client may end a session that it gave up before the begin was written.
func TestEnd_withoutBegin(t *testing.T) {
	talkToNode(t, func(p *raw) {
		p.open(amqpwire.Open{})
		p.send(5, &amqpwire.End{})
		p.send(5, &amqpwire.Begin{IncomingWindow: 1})
		expect[amqpwire.Begin](p, 5, amqpwire.CodeBegin)
	})
}
