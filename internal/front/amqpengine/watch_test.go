package amqpengine_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpengine"
)

func TestIdle_heartbeatsAtHalf(t *testing.T) {
	for _, idle := range []time.Duration{2 * time.Second, 10 * time.Second, 4 * time.Minute} {
		t.Run(idle.String(), func(t *testing.T) {
			talk(t, &program{}, amqpengine.Options{}, func(p *raw) {
				p.open(amqpwire.Open{IdleTimeout: idle})
				last := time.Now()
				for range 5 {
					if f := p.frame(); f.code != 0 || len(f.whole) != amqpwire.FrameHeaderSize {
						p.t.Fatalf("%x", f.whole)
					}
					p.write(amqpwire.AppendEmptyFrame(nil))
					if d := time.Since(last); d > idle/2 || d < idle/2-2*time.Second {
						t.Errorf("a heartbeat after %v", d)
					}
					last = time.Now()
				}
			})
		})
	}
}

func TestIdle_noHeartbeatsWithoutATimeout(t *testing.T) {
	talk(t, &program{}, amqpengine.Options{}, func(p *raw) {
		p.open(amqpwire.Open{})
		p.expectSilence(5 * time.Minute)
	})
}

func TestIdle_silentPeerIsClosed(t *testing.T) {
	talk(t, &program{}, amqpengine.Options{IdleTimeout: 10 * time.Second}, func(p *raw) {
		if o := p.open(amqpwire.Open{}); o.IdleTimeout != 10*time.Second {
			t.Errorf("%v", o.IdleTimeout)
		}
		for range 4 {
			p.expectSilence(14 * time.Second)
			p.write(amqpwire.AppendEmptyFrame(nil)) // any frame counts
		}
		began := time.Now()
		p.expectClose(amqpwire.ConnectionForced)
		if d := time.Since(began); d < 15*time.Second || d > 17*time.Second {
			t.Errorf("after %v", d)
		}
		p.expectEnd() // though the peer does not answer
		if d := time.Since(began); d > 20*time.Second {
			t.Errorf("after %v", d)
		}
	})
}

func TestHandshakeTimeout(t *testing.T) {
	rows := map[string]string{"nothing": "", "a header": amqpwire.HeaderAMQP, "part of a header": "AMQP"}
	for name, said := range rows {
		t.Run(name, func(t *testing.T) {
			talk(t, &program{}, amqpengine.Options{}, func(p *raw) {
				began := time.Now()
				p.write([]byte(said))
				if said == amqpwire.HeaderAMQP {
					p.expectHeader(said)
				}
				p.expectEnd()
				if d := time.Since(began); d < 20*time.Second || d > 22*time.Second {
					t.Errorf("after %v", d)
				}
			})
		})
	}
}

func TestWriteTimeout(t *testing.T) {
	var ended chan time.Time
	h := flood(1000, true)
	h.connect = func(*amqpengine.Conn) { ended = make(chan time.Time, 1) } // in the bubble
	h.closed = func(error) { ended <- time.Now() }
	talk(t, h, amqpengine.Options{}, func(p *raw) {
		p.begin(0, 10000)
		p.attach(receiving(0, "a"))
		p.credit(0, 0, 10000, amqpwire.Flow{IncomingWindow: 10000})
		began := time.Now() // and reads nothing
		if d := (<-ended).Sub(began); d < time.Minute || d > 62*time.Second {
			t.Errorf("after %v", d)
		}
	})
}

// A peer that sends much and reads nothing is not read from any more.
func TestAnswers_areBounded(t *testing.T) {
	h, _ := collect(amqpengine.ReceiverOptions{}, func(d *amqpengine.Delivery) {
		d.Settle(&amqpwire.Rejected{Error: &amqpwire.Error{Condition: amqpwire.NotAllowed, Description: strings.Repeat("no", 400)}})
	})
	talk(t, h, amqpengine.Options{}, func(p *raw) {
		p.begin(0, 100)
		p.attach(sending(0, "a"))
		n := 0
		for ; ; n++ {
			p.nc.SetWriteDeadline(time.Now().Add(time.Second))
			if _, err := p.nc.Write(encode(0, transfer(0, uint32(n)), make([]byte, 450)...)); err != nil {
				break
			}
		}
		if n < 1000 || n > 3000 { // 900 bytes each, 1 MiB that is being written and 1 MiB that waits
			t.Errorf("%d deliveries were read", n)
		}
	})
}

func TestShutdown(t *testing.T) {
	var held []*amqpengine.Delivery
	senderDone := false
	h := &program{attach: func(l *amqpengine.Link) {
		if l.Attach().Role == amqpwire.RoleSender {
			l.AcceptReceiver(amqpengine.ReceiverOptions{Deliver: func(d *amqpengine.Delivery) { held = append(held, d) }})
			return
		}
		l.AcceptSender(amqpengine.SenderOptions{Run: func(ctx context.Context, s *amqpengine.Sender) *amqpwire.Error {
			_, err := s.Wait(ctx)
			senderDone = err != nil
			return nil
		}})
	}}
	synctest.Test(t, func(t *testing.T) {
		s := amqpengine.New(h, amqpengine.Options{})
		ours, theirs := net.Pipe()
		go s.ServeConn(theirs)
		p := &raw{t, ours}
		p.begin(0, 100)
		p.attach(sending(0, "a"))
		p.attach(receiving(1, "b"))
		p.send(0, transfer(0, 0), 'x')
		synctest.Wait()
		done := make(chan error)
		go func() { done <- s.Shutdown(context.Background()) }()
		p.expectSilence(time.Second) // the delivery is still in flight
		synctest.Wait()
		if !senderDone {
			t.Error("the sender goes on")
		}
		accept(held[0])
		expect[amqpwire.Disposition](p, 0, amqpwire.CodeDisposition)
		p.expectClose(amqpwire.ConnectionForced)
		began := time.Now()
		if err := <-done; err != nil { // the peer does not answer
			t.Error(err)
		}
		if d := time.Since(began); d > 2*time.Second {
			t.Errorf("after %v", d)
		}
		p.expectEnd()
		s.ServeConn(theirs) // closed at once
	})
}

// A connection with a link that asks for it is cut: behind what was settled nothing comes, no close either.
func TestShutdown_cutsWhoTakesThatBetter(t *testing.T) {
	var held []*amqpengine.Delivery
	var ended error
	h := &program{closed: func(err error) { ended = err }, attach: func(l *amqpengine.Link) {
		l.CutAtShutdown()
		l.AcceptReceiver(amqpengine.ReceiverOptions{Deliver: func(d *amqpengine.Delivery) { held = append(held, d) }})
	}}
	for name, sends := range map[string]bool{"with a delivery in flight": true, "idle": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := amqpengine.New(h, amqpengine.Options{})
				ours, theirs := net.Pipe()
				go s.ServeConn(theirs)
				p := &raw{t, ours}
				p.begin(0, 100)
				p.attach(sending(0, "a"))
				held = nil
				if sends {
					p.send(0, transfer(0, 0), 'x')
				}
				synctest.Wait()
				done := make(chan error)
				began := time.Now()
				go func() { done <- s.Shutdown(context.Background()) }()
				if sends {
					p.expectSilence(time.Second)
					began = time.Now()
					accept(held[0])
					expect[amqpwire.Disposition](p, 0, amqpwire.CodeDisposition)
				}
				p.expectEnd()
				if err := <-done; err != nil {
					t.Error(err)
				}
				if d := time.Since(began); d != 0 {
					t.Errorf("after %v", d)
				}
				var reason *amqpwire.Error
				if !errors.As(ended, &reason) || reason.Condition != amqpwire.ConnectionForced {
					t.Errorf("the program is told %v", ended)
				}
			})
		})
	}
}

// cuttable is a connection that can be cut, as a WebSocket can.
type cuttable struct {
	net.Conn
	cuts atomic.Int32
}

func (c *cuttable) Cut() {
	c.cuts.Add(1)
	c.Close()
}

// What is below the connection is cut as well, where it would say a word of its own at the end; a connection that ends in good
// order is closed.
func TestShutdown_cutsWhatIsBelow(t *testing.T) {
	for _, cut := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			h := &program{attach: func(l *amqpengine.Link) {
				if cut {
					l.CutAtShutdown()
				}
				l.AcceptReceiver(amqpengine.ReceiverOptions{Deliver: func(*amqpengine.Delivery) {}})
			}}
			s := amqpengine.New(h, amqpengine.Options{})
			ours, theirs := net.Pipe()
			below := &cuttable{Conn: theirs}
			go s.ServeConn(below)
			p := &raw{t, ours}
			p.begin(0, 100)
			p.attach(sending(0, "a"))
			done := make(chan error, 1)
			go func() { done <- s.Shutdown(context.Background()) }()
			if cut {
				p.expectEnd()
			} else {
				expect[amqpwire.Close](p, 0, amqpwire.CodeClose)
				ours.Close()
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
			if was := below.cuts.Load() > 0; was != cut {
				t.Errorf("cut %t: cut is called %d times", cut, below.cuts.Load())
			}
		})
	}
}

// A peer that does not read what comes before the cut is not waited for.
func TestShutdown_cutsWhoDoesNotRead(t *testing.T) {
	h := &program{attach: func(l *amqpengine.Link) {
		l.CutAtShutdown()
		l.AcceptReceiver(amqpengine.ReceiverOptions{Deliver: accept})
	}}
	synctest.Test(t, func(t *testing.T) {
		s := amqpengine.New(h, amqpengine.Options{})
		ours, theirs := net.Pipe()
		go s.ServeConn(theirs)
		p := &raw{t, ours}
		p.begin(0, 100)
		p.attach(sending(0, "a"))
		p.send(0, transfer(0, 0), 'x')
		synctest.Wait() // the disposition is being written
		began := time.Now()
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if d := time.Since(began); d > 2*time.Second {
			t.Errorf("after %v", d)
		}
	})
}

func TestShutdown_cutsWhenItsContextEnds(t *testing.T) {
	h, _ := collect(amqpengine.ReceiverOptions{}, func(*amqpengine.Delivery) {})
	synctest.Test(t, func(t *testing.T) {
		s := amqpengine.New(h, amqpengine.Options{})
		ours, theirs := net.Pipe()
		go s.ServeConn(theirs)
		p := &raw{t, ours}
		p.begin(0, 100)
		p.attach(sending(0, "a"))
		p.send(0, transfer(0, 0), 'x')
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != context.DeadlineExceeded {
			t.Error(err)
		}
		if n := len(s.Connections()); n != 0 {
			t.Errorf("%d connections", n)
		}
	})
}

// lines is a writer for traces.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func TestTrace(t *testing.T) {
	var conn *amqpengine.Conn
	var trace lines
	h := &program{connect: func(c *amqpengine.Conn) {
		conn = c
		c.Trace(&trace)
	}}
	talk(t, h, amqpengine.Options{}, func(p *raw) {
		p.open(amqpwire.Open{})
		conn.Trace(nil)
		p.send(0, &amqpwire.Begin{})
		expect[amqpwire.Begin](p, 0, amqpwire.CodeBegin)
		if conn.ContainerID() != "raw" || conn.TLS() != nil || conn.ID() == 0 || conn.RemoteAddr() == nil {
			t.Error("what the connection says about itself")
		}
	})
	got := strings.Split(strings.TrimSpace(trace.b.String()), "\n")
	want := []string{"<- header AMQP 0 1.0.0", "-> header AMQP 0 1.0.0", "<- 0 open", "-> 0 open"}
	if len(got) != len(want) {
		t.Fatalf("%q", got)
	}
	for i, w := range want {
		found := false
		for _, line := range got {
			found = found || strings.HasPrefix(line, w)
		}
		if !found {
			t.Errorf("line %d: no %q in %q", i, w, got)
		}
	}
}
