package amqpengine_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpengine"
)

func TestAttach_echoes(t *testing.T) {
	talkToNode(t, func(p *raw) {
		p.begin(0, 100)
		a := receiving(5, "queue/a")
		a.SenderSettleMode, a.ReceiverSettleMode = amqpwire.SenderSettled, amqpwire.ReceiverSecond
		a.Source.Filter = amqpwire.Map{{Key: amqpwire.Symbol("f"), Value: "v"}}
		a.Source.Dynamic = true
		a.Properties = amqpwire.Map{{Key: amqpwire.Symbol("k"), Value: int32(1)}}
		a.MaxMessageSize = 70000
		got := p.attach(a)
		if got.Name != a.Name || got.Role != amqpwire.RoleSender || got.SenderSettleMode != a.SenderSettleMode || got.ReceiverSettleMode != a.ReceiverSettleMode {
			t.Errorf("%+v", got)
		}
		if got.InitialDeliveryCount != amqpwire.Some(0) || got.MaxMessageSize != a.MaxMessageSize {
			t.Errorf("%+v", got)
		}
		if d := cmp.Diff(a.Source, got.Source) + cmp.Diff(a.Target, got.Target) + cmp.Diff(a.Properties, got.Properties); d != "" {
			t.Error(d)
		}

		b := sending(6, "queue/a")
		b.SenderSettleMode, b.ReceiverSettleMode = amqpwire.SenderModeUnset, amqpwire.ReceiverSecond
		got = p.attach(b)
		if got.Role != amqpwire.RoleReceiver || got.SenderSettleMode != amqpwire.SenderMixed || got.ReceiverSettleMode != amqpwire.ReceiverFirst {
			t.Errorf("%+v", got)
		}
		if got.InitialDeliveryCount.Set || got.MaxMessageSize != 1<<20 || got.Source == nil || got.Target == nil || got.Properties == nil {
			t.Errorf("%+v", got)
		}
	})
}

// Every answer says how large messages may be: uamqp logs an error where it does not.
//
// Source: Azure/azure-uamqp-c src/link.c.
func TestAttach_saysTheMaxMessageSize(t *testing.T) {
	const own = 1 << 20
	rows := map[uint64]uint64{0: own, 1: 1, 512: 512, own - 1: own - 1, own: own, own + 1: own, 1<<64 - 1: own}
	talkToNode(t, func(p *raw) {
		p.begin(0, 100)
		handle := uint32(0)
		for peers, want := range rows {
			a := receiving(handle, "queue/a")
			a.Name, a.MaxMessageSize = fmt.Sprint("link ", handle), peers
			if got := p.attach(a); got.MaxMessageSize != want {
				t.Errorf("where the peer has %d: %d, want %d", peers, got.MaxMessageSize, want)
			}
			handle++
		}
		for _, a := range []*amqpwire.Attach{receiving(handle, "nowhere"), sending(handle+1, "nowhere")} {
			p.send(0, a)
			if got, _ := expect[amqpwire.Attach](p, 0, amqpwire.CodeAttach); got.MaxMessageSize != own {
				t.Errorf("refused: %+v", got)
			}
			p.expectDetach(0, a.Handle, amqpwire.NotFound)
		}
	})
}

// expectDetach expects a closing detach with a condition; none for "".
func (p *raw) expectDetach(channel uint16, handle uint32, condition amqpwire.Symbol) *amqpwire.Detach {
	p.t.Helper()
	d, _ := expect[amqpwire.Detach](p, channel, amqpwire.CodeDetach)
	got := amqpwire.Symbol("")
	if d.Error != nil {
		got = d.Error.Condition
	}
	if d.Handle != handle || !d.Closed || got != condition {
		p.t.Errorf("%+v %v, want %q", d, d.Error, condition)
	}
	return d
}

func TestRefusal(t *testing.T) {
	rows := map[string]struct {
		attach    *amqpwire.Attach
		condition amqpwire.Symbol
	}{
		"a sender":        {sending(2, "refuse/amqp:link:redirect"), amqpwire.LinkRedirect},
		"a receiver":      {receiving(2, "refuse/amqp:unauthorized-access"), amqpwire.UnauthorizedAccess},
		"unknown address": {receiving(2, "nowhere"), amqpwire.NotFound},
	}
	for name, r := range rows {
		t.Run(name, func(t *testing.T) {
			talkToNode(t, func(p *raw) {
				p.begin(0, 100)
				p.send(0, r.attach)
				a, _ := expect[amqpwire.Attach](p, 0, amqpwire.CodeAttach)
				if a.Source != nil || a.Target != nil || a.Name != r.attach.Name || a.Role == r.attach.Role || a.Properties == nil {
					t.Errorf("%+v", a)
				}
				p.expectDetach(0, 2, r.condition)
				// What clients still send on the handle is dropped.
				p.credit(2, 0, 10, amqpwire.Flow{Echo: true})
				p.send(0, transfer(2, 0), 'x')
				p.send(0, &amqpwire.Detach{Handle: 2})
				p.send(0, &amqpwire.Detach{Handle: 2, Closed: true})
				p.expectSilence(time.Second)
				// And then it is free.
				p.attach(sending(2, "queue/a"))
			})
		})
	}
}

func TestRefusal_coordinator(t *testing.T) {
	b := amqpwire.BeginFrame(nil, amqpwire.FrameAMQP, 0)
	b = append(b, 0, 0x53, amqpwire.CodeAttach, 0xc0, 18, 7, 0xa1, 1, 'c', 0x43, 0x42, 0x40, 0x40, 0, 0x53, 0x28, 0x45, 0, 0x53, 0x30, 0x45)
	b[amqpwire.FrameHeaderSize+4] = byte(len(b) - amqpwire.FrameHeaderSize - 5)
	b = amqpwire.EndFrame(b, 0)
	talk(t, &program{}, amqpengine.Options{}, func(p *raw) { // without attach: the engine decides
		p.begin(0, 100)
		p.write(b)
		if a, _ := expect[amqpwire.Attach](p, 0, amqpwire.CodeAttach); a.Source != nil || a.Target != nil {
			t.Errorf("%+v", a)
		}
		p.expectDetach(0, 0, amqpwire.NotImplemented)
	})
}

func TestRefusal_tooManyLinks(t *testing.T) {
	h := &program{attach: func(l *amqpengine.Link) { l.AcceptSender(amqpengine.SenderOptions{}) }}
	talk(t, h, amqpengine.Options{MaxLinks: 2}, func(p *raw) {
		p.begin(0, 100)
		p.attach(receiving(0, "a"))
		p.attach(receiving(1, "b"))
		p.send(0, receiving(2, "c"))
		expect[amqpwire.Attach](p, 0, amqpwire.CodeAttach)
		p.expectDetach(0, 2, amqpwire.ResourceLimitExceeded)
		p.send(0, &amqpwire.Detach{Handle: 0, Closed: true})
		p.expectDetach(0, 0, "")
		p.attach(receiving(2, "c"))
	})
}

func TestSessionErrors(t *testing.T) {
	rows := map[string]struct {
		frame     []byte
		condition amqpwire.Symbol
	}{
		"flow of no link":     {encode(0, &amqpwire.Flow{Handle: amqpwire.Some(9)}), amqpwire.UnattachedHandle},
		"transfer on no link": {encode(0, transfer(9, 0)), amqpwire.UnattachedHandle},
		"detach of no link":   {encode(0, &amqpwire.Detach{Handle: 9}), amqpwire.UnattachedHandle},
		"handle in use":       {encode(0, sending(1, "queue/b")), amqpwire.HandleInUse},
	}
	for name, r := range rows {
		t.Run(name, func(t *testing.T) {
			talkToNode(t, func(p *raw) {
				p.begin(0, 100)
				p.attach(sending(1, "queue/a"))
				p.write(r.frame)
				e, _ := expect[amqpwire.End](p, 0, amqpwire.CodeEnd)
				if e.Error == nil || e.Error.Condition != r.condition {
					t.Errorf("%v", e.Error)
				}
				p.send(0, transfer(1, 0), 'x') // dropped until the peer's end
				p.send(0, &amqpwire.Detach{Handle: 1, Closed: true})
				p.send(0, &amqpwire.End{})
				p.send(0, &amqpwire.Detach{Handle: 1, Closed: true}) // and behind it
				p.expectSilence(time.Second)
				p.send(0, &amqpwire.Begin{IncomingWindow: 1}) // the channel is free
				expect[amqpwire.Begin](p, 0, amqpwire.CodeBegin)
			})
		})
	}
}

func TestLinkNames_areScopedBySessionAndRole(t *testing.T) {
	talkToNode(t, func(p *raw) {
		p.begin(0, 100)
		p.begin(1, 100)
		out, in := sending(0, "queue/a"), receiving(1, "queue/a")
		out.Name, in.Name = "same", "same"
		p.attach(out)
		p.attach(in)
		p.send(1, out)
		expect[amqpwire.Attach](p, 1, amqpwire.CodeAttach)
		expect[amqpwire.Flow](p, 1, amqpwire.CodeFlow)
		again := *out
		again.Handle = 2
		p.send(0, &again) // a link of this name is stolen
		p.expectDetach(0, 0, amqpwire.LinkStolen)
		expect[amqpwire.Attach](p, 0, amqpwire.CodeAttach)
		expect[amqpwire.Flow](p, 0, amqpwire.CodeFlow)
	})
}

func TestDetach_byPeer(t *testing.T) {
	var order []string
	h := &program{}
	h.attach = func(l *amqpengine.Link) {
		s := l.AcceptSender(amqpengine.SenderOptions{Closed: func() { order = append(order, "closed") }})
		s.Post(amqpengine.Outgoing{Payload: []byte("x"), OnSettle: func(state amqpwire.DeliveryState) {
			if state == nil {
				order = append(order, "lost")
			}
		}})
	}
	h.closed = func(err error) {
		if err == nil {
			order = append(order, "end")
		}
	}
	talk(t, h, amqpengine.Options{}, func(p *raw) {
		p.begin(0, 100)
		p.attach(receiving(0, "a"))
		p.credit(0, 0, 1, amqpwire.Flow{})
		expect[amqpwire.Transfer](p, 0, amqpwire.CodeTransfer)
		p.send(0, &amqpwire.Detach{Handle: 0}) // not closing: answered with a closing one
		p.expectDetach(0, 0, "")
		p.send(0, &amqpwire.Close{})
		expect[amqpwire.Close](p, 0, amqpwire.CodeClose)
		p.expectEnd()
	})
	if d := cmp.Diff([]string{"lost", "closed", "end"}, order); d != "" {
		t.Error(d)
	}
}

func TestDetach_byProgram(t *testing.T) {
	var link *amqpengine.Link
	closed := 0
	h := &program{attach: func(l *amqpengine.Link) {
		link = l
		l.AcceptReceiver(amqpengine.ReceiverOptions{Deliver: func(*amqpengine.Delivery) { t.Error("delivered") }, Closed: func() { closed++ }})
	}}
	talk(t, h, amqpengine.Options{}, func(p *raw) {
		p.begin(0, 100)
		p.attach(sending(0, "a"))
		link.Detach(&amqpwire.Error{Condition: amqpwire.DetachForced})
		link.Detach(nil)
		p.expectDetach(0, 0, amqpwire.DetachForced)
		var cause *amqpwire.Error
		if <-link.Context().Done(); !errors.As(errCause(link), &cause) || cause.Condition != amqpwire.DetachForced {
			t.Errorf("cause %v", errCause(link))
		}
		p.send(0, transfer(0, 0), 'x')
		p.expectSilence(time.Second)
		synctest.Wait()
		if closed != 0 {
			t.Error("closed before the peer has answered")
		}
		p.send(0, &amqpwire.Detach{Handle: 0, Closed: true})
		p.expectSilence(time.Second)
		synctest.Wait()
		if closed != 1 {
			t.Errorf("closed %d times", closed)
		}
		p.attach(sending(0, "b"))
	})
	if closed != 2 {
		t.Errorf("closed %d times", closed)
	}
}

func TestRun_itsResultDetaches(t *testing.T) {
	h := &program{attach: func(l *amqpengine.Link) {
		l.AcceptSender(amqpengine.SenderOptions{Run: run(func(s *amqpengine.Sender) *amqpwire.Error {
			return &amqpwire.Error{Condition: amqpwire.ResourceDeleted}
		})})
	}}
	talk(t, h, amqpengine.Options{}, func(p *raw) {
		p.begin(0, 100)
		p.attach(receiving(0, "a"))
		p.expectDetach(0, 0, amqpwire.ResourceDeleted)
	})
}

func TestPanic_closesTheConnection(t *testing.T) {
	closed := 0
	accept := &program{closed: func(error) { closed++ }}
	accept.attach = func(l *amqpengine.Link) {
		switch l.Attach().Source.Address {
		case "attach":
			panic("attach")
		case "run":
			l.AcceptSender(amqpengine.SenderOptions{Run: run(func(*amqpengine.Sender) *amqpwire.Error { panic("run") })})
		case "settle":
			s := l.AcceptSender(amqpengine.SenderOptions{})
			s.Post(amqpengine.Outgoing{OnSettle: func(amqpwire.DeliveryState) { panic("settle") }})
		default:
			l.AcceptReceiver(amqpengine.ReceiverOptions{Deliver: func(*amqpengine.Delivery) { panic("deliver") }})
		}
	}
	rows := map[string]func(p *raw){
		"attach": func(p *raw) { p.send(0, receiving(0, "attach")) },
		"run": func(p *raw) {
			p.attach(receiving(0, "run"))
		},
		"settle": func(p *raw) {
			p.attach(receiving(0, "settle"))
			p.credit(0, 0, 1, amqpwire.Flow{})
			expect[amqpwire.Transfer](p, 0, amqpwire.CodeTransfer)
			p.send(0, &amqpwire.Disposition{Role: amqpwire.RoleReceiver, Settled: true, State: &amqpwire.Accepted{}})
		},
		"deliver": func(p *raw) {
			p.attach(sending(0, "deliver"))
			p.send(0, transfer(0, 0), 'x')
		},
	}
	for name, provoke := range rows {
		t.Run(name, func(t *testing.T) {
			closed = 0
			talk(t, accept, amqpengine.Options{}, func(p *raw) {
				p.begin(0, 100)
				provoke(p)
				for {
					f := p.frame()
					if f.code == amqpwire.CodeClose {
						break
					}
				}
				p.send(0, &amqpwire.Close{})
				p.expectEnd()
			})
			if closed != 1 {
				t.Errorf("closed %d times", closed)
			}
		})
	}
}

func TestClose_byProgram(t *testing.T) {
	var conn *amqpengine.Conn
	h := &program{connect: func(c *amqpengine.Conn) { conn = c }, closed: func(err error) {
		if err != nil {
			t.Errorf("closed with %v", err)
		}
	}}
	talk(t, h, amqpengine.Options{}, func(p *raw) {
		p.begin(0, 100)
		conn.Close(nil)
		expect[amqpwire.Close](p, 0, amqpwire.CodeClose)
		p.send(0, &amqpwire.Flow{Echo: true}) // dropped
		p.send(0, &amqpwire.Close{})
		p.expectEnd()
		synctest.Wait()
		if conn.Context().Err() == nil {
			t.Error("the context has not ended")
		}
	})
}
