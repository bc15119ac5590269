package amqpengine_test

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpengine"
)

// collect accepts receivers and keeps what they deliver; settle, if given, settles it.
func collect(o amqpengine.ReceiverOptions, settle func(d *amqpengine.Delivery)) (*program, *[]string) {
	var got []string
	h := &program{attach: func(l *amqpengine.Link) {
		o.Deliver = func(d *amqpengine.Delivery) {
			got = append(got, string(d.Payload))
			settle(d)
		}
		l.AcceptReceiver(o)
	}}
	return h, &got
}

func accept(d *amqpengine.Delivery) { d.Settle(&amqpwire.Accepted{}) }

func TestDispositions_shareAFrame(t *testing.T) {
	h, got := collect(amqpengine.ReceiverOptions{}, accept)
	talk(t, h, amqpengine.Options{}, func(p *raw) {
		p.begin(0, 100)
		p.attach(sending(0, "a"))
		var all [][]byte
		for i := range uint32(50) {
			all = append(all, encode(0, transfer(0, 10+i), 'x'))
		}
		synctest.Wait() // the flush of the attach is at rest
		p.write(all...)
		covered := uint32(10)
		frames := 0
		for ; covered < 60; frames++ {
			d, _ := expect[amqpwire.Disposition](p, 0, amqpwire.CodeDisposition)
			_, accepted := d.State.(*amqpwire.Accepted)
			if d.Role != amqpwire.RoleReceiver || d.First != covered || !d.Last.Set || !d.Settled || !accepted {
				p.t.Fatalf("%+v, want first %d", d, covered)
			}
			covered = d.Last.Value + 1
		}
		if frames > 15 { // a write of 50 frames is read in pieces of a small buffer
			t.Errorf("%d frames", frames)
		}
	})
	if len(*got) != 50 {
		t.Errorf("%d deliveries", len(*got))
	}
}

func TestDispositions_differentStates(t *testing.T) {
	n := 0
	h, _ := collect(amqpengine.ReceiverOptions{}, func(d *amqpengine.Delivery) {
		states := []amqpwire.DeliveryState{
			&amqpwire.Accepted{}, &amqpwire.Accepted{}, &amqpwire.Released{},
			&amqpwire.Rejected{Error: &amqpwire.Error{Condition: amqpwire.NotAllowed}}, &amqpwire.Rejected{}, &amqpwire.Modified{DeliveryFailed: true},
		}
		d.Settle(states[n])
		d.Settle(&amqpwire.Released{}) // only the first counts
		n++
	})
	talk(t, h, amqpengine.Options{}, func(p *raw) {
		p.begin(0, 100)
		p.attach(sending(0, "a"))
		var all [][]byte
		for i := range uint32(6) {
			all = append(all, encode(0, transfer(0, i)))
		}
		synctest.Wait() // the flush of the attach is at rest
		p.write(all...)
		want := [][2]uint32{{0, 1}, {2, 2}, {3, 3}, {4, 4}, {5, 5}}
		for _, w := range want {
			d, _ := expect[amqpwire.Disposition](p, 0, amqpwire.CodeDisposition)
			if d.First != w[0] || d.Last.Value != w[1] {
				t.Errorf("%+v, want %v", d, w)
			}
		}
		p.expectSilence(time.Second)
	})
}

func TestSettled_getsNoDisposition(t *testing.T) {
	h, got := collect(amqpengine.ReceiverOptions{Credit: 2}, accept)
	talk(t, h, amqpengine.Options{}, func(p *raw) {
		p.begin(0, 100)
		p.attach(sending(0, "a"))
		tr := transfer(0, 0)
		tr.Settled, tr.DeliveryTag = true, []byte{} // some clients send no tags
		p.send(0, tr, 'x')
		f, _ := expect[amqpwire.Flow](p, 0, amqpwire.CodeFlow) // but its credit back
		if f.DeliveryCount != amqpwire.Some(1) || f.LinkCredit != amqpwire.Some(2) {
			t.Errorf("%+v", f)
		}
		p.expectSilence(time.Second)
	})
	if len(*got) != 1 {
		t.Errorf("%d deliveries", len(*got))
	}
}

func TestCredit_countsWhatIsInFlight(t *testing.T) {
	var held []*amqpengine.Delivery
	h, _ := collect(amqpengine.ReceiverOptions{Credit: 4}, func(d *amqpengine.Delivery) { held = append(held, d) })
	talk(t, h, amqpengine.Options{}, func(p *raw) {
		p.begin(0, 100)
		p.attach(sending(0, "a"))
		for i := range uint32(4) {
			p.send(0, transfer(0, i), 'x')
		}
		p.expectSilence(time.Second) // no credit while four are in flight
		synctest.Wait()
		accept(held[2]) // in any order
		for range 2 {
			switch f := p.frame(); f.code {
			case amqpwire.CodeFlow, amqpwire.CodeDisposition:
			default:
				t.Errorf("code %x", f.code)
			}
		}
	})
}

func TestOverrun_isAccepted(t *testing.T) {
	h, got := collect(amqpengine.ReceiverOptions{Credit: 1}, func(*amqpengine.Delivery) {})
	talk(t, h, amqpengine.Options{}, func(p *raw) {
		p.begin(0, 100)
		p.attach(sending(0, "a"))
		for i := range uint32(60) {
			p.send(0, transfer(0, i*3), 'x') // gaps in the ids
		}
		synctest.Wait()
		if len(*got) != 60 {
			t.Errorf("%d deliveries", len(*got))
		}
	})
}

func TestOverrun_beyondReasonHoldsTheReader(t *testing.T) {
	var held []*amqpengine.Delivery
	h, _ := collect(amqpengine.ReceiverOptions{Credit: 1}, func(d *amqpengine.Delivery) { held = append(held, d) })
	talk(t, h, amqpengine.Options{}, func(p *raw) {
		p.begin(0, 100)
		p.attach(sending(0, "a"))
		for i := range uint32(67) { // 2 × 1 + 64, and one
			p.send(0, transfer(0, i), 'x')
		}
		synctest.Wait()
		sent := make(chan struct{})
		go func() {
			p.nc.Write(encode(0, transfer(0, 67), 'x'))
			close(sent)
		}()
		synctest.Wait()
		select {
		case <-sent:
			t.Error("the reader reads on")
		default:
		}
		for _, d := range held {
			accept(d)
		}
		synctest.Wait()
		for len(held) < 68 {
			p.frame()
			synctest.Wait()
		}
		<-sent
	})
}

func TestLargeMessage_inManyFrames(t *testing.T) {
	h, got := collect(amqpengine.ReceiverOptions{MaxMessageSize: 3000}, accept)
	talk(t, h, amqpengine.Options{MaxPartialBytes: 3500}, func(p *raw) {
		p.begin(0, 100)
		p.attach(sending(0, "a"))
		p.attach(sending(1, "b"))
		first, next := transfer(0, 0), transfer(0, 0)
		first.More, next.More = true, true
		next.DeliveryID = amqpwire.Uint{}
		p.send(0, first, bytes.Repeat([]byte{'a'}, 1000)...)
		p.send(0, transfer(1, 9), 'b') // another link's in between
		p.send(0, next, bytes.Repeat([]byte{'b'}, 1000)...)
		next.More = false
		p.send(0, next, bytes.Repeat([]byte{'c'}, 1000)...)
		for range 2 {
			expect[amqpwire.Disposition](p, 0, amqpwire.CodeDisposition)
		}
		want := []string{"b", string(slices.Concat(bytes.Repeat([]byte{'a'}, 1000), bytes.Repeat([]byte{'b'}, 1000), bytes.Repeat([]byte{'c'}, 1000)))}
		if !slices.Equal(*got, want) {
			t.Errorf("%d deliveries", len(*got))
		}

		first.DeliveryID = amqpwire.Some(10)
		p.send(0, first, make([]byte, 1000)...)
		p.send(0, &amqpwire.Transfer{Handle: 0, Aborted: true}) // aborted: forgotten
		p.expectSilence(time.Second)

		first.DeliveryID = amqpwire.Some(11)
		p.send(0, first, make([]byte, 2000)...)
		next.More = false
		p.send(0, next, make([]byte, 1001)...)
		p.expectDetach(0, 0, amqpwire.MessageSizeExceeded)
	})
	if len(*got) != 2 {
		t.Errorf("%d deliveries", len(*got))
	}
}

// Where it is truncated, a message that is too large has an end all the same, and the link lives on.
func TestLargeMessage_truncated(t *testing.T) {
	var truncated []bool
	h, got := collect(amqpengine.ReceiverOptions{MaxMessageSize: 3000, Truncate: true}, func(d *amqpengine.Delivery) {
		truncated = append(truncated, d.Truncated)
		accept(d)
	})
	talk(t, h, amqpengine.Options{MaxPartialBytes: 3500}, func(p *raw) {
		p.begin(0, 100)
		p.attach(sending(0, "a"))
		for id, frames := range [][]int{{2999}, {3000}, {3001}, {2000, 1000}, {2000, 1001}, {1000, 5000, 3000, 1}} {
			for i, n := range frames {
				tr := transfer(0, uint32(id))
				tr.More = i < len(frames)-1
				p.send(0, tr, bytes.Repeat([]byte{byte('a' + i)}, n)...)
			}
			expect[amqpwire.Disposition](p, 0, amqpwire.CodeDisposition)
		}
	})
	var sizes []int
	for _, payload := range *got {
		sizes = append(sizes, len(payload))
	}
	if !slices.Equal(sizes, []int{2999, 3000, 3000, 3000, 3000, 3000}) || !slices.Equal(truncated, []bool{false, false, true, false, true, true}) {
		t.Errorf("%d, %t", sizes, truncated)
	}
	if last := (*got)[5]; last != strings.Repeat("a", 1000)+strings.Repeat("b", 2000) {
		t.Error("not the first bytes")
	}
}

func TestPartialDeliveries_areBounded(t *testing.T) {
	h, _ := collect(amqpengine.ReceiverOptions{}, accept)
	talk(t, h, amqpengine.Options{MaxPartialBytes: 1500}, func(p *raw) {
		p.begin(0, 100)
		p.attach(sending(0, "a"))
		p.attach(sending(1, "b"))
		for handle := range uint32(2) {
			tr := transfer(handle, handle)
			tr.More = true
			p.send(0, tr, make([]byte, 1000)...)
		}
		p.expectDetach(0, 1, amqpwire.ResourceLimitExceeded)
		p.send(0, &amqpwire.Detach{Handle: 0}) // gives its bytes back
		p.expectDetach(0, 0, "")
		p.send(0, &amqpwire.Detach{Handle: 1})
		p.attach(sending(1, "b"))
		tr := transfer(1, 9)
		tr.More = true
		p.send(0, tr, make([]byte, 1000)...)
		p.expectSilence(time.Second)
	})
}

// settling sends n unsettled messages and keeps the outcomes.
func settling(n int) (*program, *[]amqpwire.DeliveryState) {
	var states []amqpwire.DeliveryState
	return &program{attach: func(l *amqpengine.Link) {
		l.AcceptSender(amqpengine.SenderOptions{Run: func(ctx context.Context, s *amqpengine.Sender) *amqpwire.Error {
			for range n {
				s.Send(ctx, amqpengine.Outgoing{Payload: []byte("m"), OnSettle: func(state amqpwire.DeliveryState) { states = append(states, state) }})
			}
			<-ctx.Done()
			return nil
		}})
	}}, &states
}

func TestOutcomes(t *testing.T) {
	h, states := settling(6)
	talk(t, h, amqpengine.Options{}, func(p *raw) {
		p.begin(0, 1000)
		p.attach(receiving(0, "a"))
		p.credit(0, 0, 10, amqpwire.Flow{})
		if last := p.expectTransfers(6, 0); last.Settled {
			t.Errorf("%+v", last)
		}
		dispose := func(first, last uint32, settled bool, state amqpwire.DeliveryState) {
			p.send(0, &amqpwire.Disposition{Role: amqpwire.RoleReceiver, First: first, Last: amqpwire.Some(last), Settled: settled, State: state})
		}
		dispose(0, 1, true, &amqpwire.Accepted{})
		dispose(0, 0, true, &amqpwire.Released{})                                            // known no more
		p.send(0, &amqpwire.Disposition{Role: amqpwire.RoleSender, First: 2, Settled: true}) // not of our deliveries
		dispose(2, 2, false, &amqpwire.Received{})                                           // no outcome
		p.expectSilence(time.Second)
		dispose(2, 3, false, &amqpwire.Modified{DeliveryFailed: true}) // mode second: we settle
		d, _ := expect[amqpwire.Disposition](p, 0, amqpwire.CodeDisposition)
		m, ok := d.State.(*amqpwire.Modified)
		if d.Role != amqpwire.RoleSender || d.First != 2 || d.Last != amqpwire.Some(3) || !d.Settled || !ok || !m.DeliveryFailed {
			t.Errorf("%+v", d)
		}
		dispose(3, 3, false, &amqpwire.Accepted{}) // too late
		d, _ = expect[amqpwire.Disposition](p, 0, amqpwire.CodeDisposition)
		if r, ok := d.State.(*amqpwire.Rejected); !ok || r.Error.Condition != amqpwire.NotFound || d.First != 3 {
			t.Errorf("%+v", d)
		}
		dispose(4, 4, true, nil)
		dispose(0, 1<<31, true, &amqpwire.Rejected{}) // serial numbers: the end lies before the beginning
		p.expectSilence(time.Second)
	})
	kinds := ""
	for _, s := range *states {
		switch s.(type) {
		case *amqpwire.Accepted:
			kinds += "A"
		case *amqpwire.Modified:
			kinds += "M"
		case nil:
			kinds += "-"
		default:
			kinds += "?"
		}
	}
	if kinds != "AAMMA-" {
		t.Errorf("outcomes %s", kinds)
	}
}

func TestOutcomes_wideRange(t *testing.T) {
	h, states := settling(3)
	talk(t, h, amqpengine.Options{}, func(p *raw) {
		p.begin(0, 1000)
		p.attach(receiving(0, "a"))
		p.credit(0, 0, 10, amqpwire.Flow{})
		p.expectTransfers(3, 0)
		p.send(0, &amqpwire.Disposition{Role: amqpwire.RoleReceiver, First: 0, Last: amqpwire.Some(1<<31 - 1), Settled: true, State: &amqpwire.Accepted{}})
		p.expectSilence(time.Second)
	})
	if len(*states) != 3 || (*states)[2] == nil {
		t.Errorf("%v", *states)
	}
}

func TestUnsettled_isBounded(t *testing.T) {
	talk(t, flood(1, false), amqpengine.Options{}, func(p *raw) {
		p.begin(0, 3)
		p.attach(receiving(0, "a"))
		p.credit(0, 0, 100, amqpwire.Flow{IncomingWindow: 1000})
		p.expectTransfers(3, 0)
		p.expectSilence(time.Second)
		p.send(0, &amqpwire.Disposition{Role: amqpwire.RoleReceiver, First: 1, Settled: true, State: &amqpwire.Accepted{}})
		p.expectTransfers(1, 3)
		p.expectSilence(time.Second)
	})
}
