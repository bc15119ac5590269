package amqpengine_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpengine"
)

// outcome is what OnOutcome was told.
type outcome struct {
	state  amqpwire.DeliveryState
	answer amqpengine.Answer
}

// deciding posts n messages whose outcomes are the test's to answer.
func deciding(n int) (*program, *[]outcome) {
	var outcomes []outcome
	return &program{attach: func(l *amqpengine.Link) {
		s := l.AcceptSender(amqpengine.SenderOptions{})
		for range n {
			s.Post(amqpengine.Outgoing{Payload: []byte("m"), OnOutcome: func(state amqpwire.DeliveryState, a amqpengine.Answer) {
				outcomes = append(outcomes, outcome{state, a})
			}})
		}
	}}, &outcomes
}

// A peer whose mode is second hears that its outcome counts when the program says so, and only if it asked.
func TestOutcome_isAnsweredByTheProgram(t *testing.T) {
	h, outcomes := deciding(4)
	talk(t, h, amqpengine.Options{}, func(p *raw) {
		p.begin(0, 1000)
		p.attach(receiving(0, "a"))
		p.credit(0, 0, 10, amqpwire.Flow{})
		p.expectTransfers(4, 0)
		p.send(0, &amqpwire.Disposition{Role: amqpwire.RoleReceiver, First: 0, Last: amqpwire.Some(1), State: &amqpwire.Accepted{}})
		p.send(0, &amqpwire.Disposition{Role: amqpwire.RoleReceiver, First: 2, Settled: true, State: &amqpwire.Released{}})
		p.expectSilence(time.Second)
		synctest.Wait()
		if len(*outcomes) != 3 {
			t.Fatalf("%d outcomes", len(*outcomes))
		}
		(*outcomes)[2].answer.Settle(&amqpwire.Released{}) // nobody waits for it
		(*outcomes)[1].answer.Settle(&amqpwire.Rejected{Error: &amqpwire.Error{Condition: amqpwire.NotFound}})
		d, _ := expect[amqpwire.Disposition](p, 0, amqpwire.CodeDisposition)
		if r, ok := d.State.(*amqpwire.Rejected); !ok || r.Error.Condition != amqpwire.NotFound || d.First != 1 || d.Role != amqpwire.RoleSender || !d.Settled {
			t.Errorf("%+v", d)
		}
		(*outcomes)[0].answer.Settle((*outcomes)[0].state)
		d, _ = expect[amqpwire.Disposition](p, 0, amqpwire.CodeDisposition)
		if _, ok := d.State.(*amqpwire.Accepted); !ok || d.First != 0 || d.Last != amqpwire.Some(0) {
			t.Errorf("%+v", d)
		}
	})
	if len(*outcomes) != 4 || (*outcomes)[3].state != nil {
		t.Fatalf("%+v", *outcomes)
	}
	(*outcomes)[0].answer.Settle(&amqpwire.Accepted{}) // after the end
}

// OnCredit is told where the peer's credit ends, counted in messages: used-up credit counts for nothing.
func TestOnCredit(t *testing.T) {
	var limits []uint32
	var sender *amqpengine.Sender
	h := &program{attach: func(l *amqpengine.Link) {
		sender = l.AcceptSender(amqpengine.SenderOptions{OnCredit: func(limit uint32) { limits = append(limits, limit) }})
	}}
	talk(t, h, amqpengine.Options{}, func(p *raw) {
		p.begin(0, 1000)
		p.attach(receiving(0, "a"))
		p.credit(0, 0, 3, amqpwire.Flow{})
		synctest.Wait()
		sender.Post(amqpengine.Outgoing{Payload: []byte("m")})
		p.expectTransfers(1, 0)
		p.credit(0, 0, 3, amqpwire.Flow{}) // one is on its way
		p.credit(0, 1, 4, amqpwire.Flow{NextIncomingID: amqpwire.Some(2)})
		p.credit(0, 1, 4, amqpwire.Flow{NextIncomingID: amqpwire.Some(2), Drain: true})
		f, _ := expect[amqpwire.Flow](p, 0, amqpwire.CodeFlow)
		if f.DeliveryCount != amqpwire.Some(5) || f.LinkCredit != amqpwire.Some(0) {
			t.Errorf("%+v", f)
		}
		p.credit(0, 5, 2, amqpwire.Flow{NextIncomingID: amqpwire.Some(2)})
		synctest.Wait()
	})
	if want := []uint32{3, 3, 5, 1, 3}; !slices.Equal(limits, want) {
		t.Errorf("%v, want %v", limits, want)
	}
}

// A drain that finds messages waiting for the session's window is answered behind them.
func TestDrain_behindWhatWasPosted(t *testing.T) {
	h := &program{attach: func(l *amqpengine.Link) {
		s := l.AcceptSender(amqpengine.SenderOptions{})
		for range 2 {
			s.Post(amqpengine.Outgoing{Payload: []byte("m"), Settled: true})
		}
	}}
	talk(t, h, amqpengine.Options{}, func(p *raw) {
		p.begin(0, 1)
		p.attach(receiving(0, "a"))
		p.credit(0, 0, 5, amqpwire.Flow{IncomingWindow: 1, Drain: true})
		p.expectTransfers(1, 0)
		p.expectSilence(time.Second)
		p.send(0, &amqpwire.Flow{NextIncomingID: amqpwire.Some(2), IncomingWindow: 10, NextOutgoingID: 7, OutgoingWindow: 10})
		p.expectTransfers(1, 1)
		f, _ := expect[amqpwire.Flow](p, 0, amqpwire.CodeFlow)
		if f.DeliveryCount != amqpwire.Some(5) || f.LinkCredit != amqpwire.Some(0) || !f.Drain {
			t.Errorf("%+v", f)
		}
	})
}
