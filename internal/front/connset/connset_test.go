package connset_test

import (
	"context"
	"errors"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubward/hubward/internal/front/connset"
)

var (
	errClosed = errors.New("the server is closed")
	errBroken = errors.New("the listener is broken")
)

// conn is a connection of the tests. It ends when it is drained, or only when it is aborted.
type conn struct {
	stubborn bool
	ended    chan struct{}
	once     sync.Once
	cause    error // what it was aborted with; nil: it was not
}

func newConn(stubborn bool) *conn { return &conn{stubborn: stubborn, ended: make(chan struct{})} }

func (c *conn) drain() {
	if !c.stubborn {
		c.end()
	}
}

func (c *conn) abort(cause error) {
	c.cause = cause
	c.end()
}

func (c *conn) end() { c.once.Do(func() { close(c.ended) }) }

type set = connset.Set[*conn]

func options() connset.Options[*conn] {
	return connset.Options[*conn]{Closed: errClosed, Drain: (*conn).drain, Abort: (*conn).abort}
}

// add serves c in s until it ends, as front ends do: on one goroutine first, on another from then on.
func add(s *set, c *conn) bool {
	return s.Go(c, func() {
		go func() {
			<-c.ended
			s.Remove(c)
		}()
	})
}

// listener is a net.Listener of pipes. An error in it is what Accept returns next.
type listener struct {
	next   chan any // net.Conn or error
	closed chan struct{}
	once   sync.Once
}

func newListener() *listener {
	return &listener{next: make(chan any), closed: make(chan struct{})}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case next := <-l.next:
		if err, ok := next.(error); ok {
			return nil, err
		}
		return next.(net.Conn), nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *listener) Addr() net.Addr { return &net.TCPAddr{} }

func (l *listener) isClosed() bool {
	select {
	case <-l.closed:
		return true
	default:
		return false
	}
}

// serve runs Serve and returns its error when it comes.
func serve(s *set, l net.Listener, start func(net.Conn)) <-chan error {
	served := make(chan error, 1)
	go func() { served <- s.Serve(l, start) }()
	synctest.Wait()
	return served
}

func shutdown(t *testing.T, s *set) {
	t.Helper()
	if err := s.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if n := s.Len(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
}

func TestServe_severalListeners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := connset.New(options())
		var accepted []net.Conn
		start := func(nc net.Conn) { accepted = append(accepted, nc) }
		first, second := newListener(), newListener()
		servedFirst, servedSecond := serve(s, first, start), serve(s, second, start)
		a, b := net.Pipe()
		first.next <- a
		synctest.Wait()
		second.next <- b
		synctest.Wait()
		if !slices.Equal(accepted, []net.Conn{a, b}) {
			t.Errorf("accepted %v", accepted)
		}
		shutdown(t, s)
		if err := errors.Join(<-servedFirst, <-servedSecond); err.Error() != errClosed.Error()+"\n"+errClosed.Error() {
			t.Errorf("Serve: %v", err)
		}
		if !first.isClosed() || !second.isClosed() {
			t.Error("a listener is open")
		}
	})
}

func TestServe_afterShutdown(t *testing.T) {
	s := connset.New(options())
	shutdown(t, s)
	l := newListener()
	if err := s.Serve(l, nil); err != errClosed {
		t.Errorf("Serve: %v", err)
	}
	if !l.isClosed() {
		t.Error("the listener is open")
	}
}

func TestServe_errorOfTheListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := connset.New(options())
		l, other := newListener(), newListener()
		served, servedOther := serve(s, l, nil), serve(s, other, nil)
		l.next <- errBroken
		if err := <-served; err != errBroken {
			t.Errorf("Serve: %v", err)
		}
		if !l.isClosed() || other.isClosed() {
			t.Error("not the one listener that failed was closed")
		}
		shutdown(t, s)
		if err := <-servedOther; err != errClosed {
			t.Errorf("Serve of the other: %v", err)
		}
	})
}

func TestGo_registersFirst(t *testing.T) {
	s := connset.New(options())
	c := newConn(false)
	var all []*conn
	s.Go(c, func() {
		all = s.All()
		s.Remove(c)
	})
	shutdown(t, s)
	if !slices.Equal(all, []*conn{c}) {
		t.Errorf("its goroutine saw %d connections", len(all))
	}
}

func TestGo_refusesWhileDraining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := connset.New(options())
		c := newConn(true)
		add(s, c)
		if s.Closing() {
			t.Error("it is closing before Shutdown")
		}
		done := make(chan error)
		go func() { done <- s.Shutdown(t.Context()) }()
		synctest.Wait()
		if !s.Closing() {
			t.Error("it is not closing")
		}
		if s.Go(newConn(false), func() { t.Error("it was served") }) {
			t.Error("a connection was taken")
		}
		if n := s.Len(); n != 1 {
			t.Errorf("%d connections", n)
		}
		c.end()
		if err := <-done; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
}

func TestLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var looks []int // how many connections were open
		o := options()
		o.Interval = time.Second
		o.Look = func(open []*conn) { looks = append(looks, len(open)) }
		s := connset.New(o)
		time.Sleep(1500 * time.Millisecond)
		a, b := newConn(true), newConn(true)
		add(s, a)
		add(s, b)
		time.Sleep(time.Second)
		a.end()
		time.Sleep(time.Second)
		time.AfterFunc(time.Second, b.end)
		shutdown(t, s) // drains for a second
		time.Sleep(time.Minute)
		if want := []int{0, 2, 1, 1}; !slices.Equal(looks, want) {
			t.Errorf("looked at %v connections, want %v", looks, want)
		}
	})
}

func TestShutdown_waitsForEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := connset.New(options())
		began := time.Now()
		slow := newConn(true)
		add(s, slow)
		time.AfterFunc(time.Second, slow.end)
		lingering := newConn(false) // its goroutine outlives it
		s.Go(lingering, func() {
			<-lingering.ended
			s.Remove(lingering)
			time.Sleep(2 * time.Second)
		})
		shutdown(t, s)
		if d := time.Since(began); d != 2*time.Second {
			t.Errorf("after %v", d)
		}
	})
}

func TestShutdown_abortsWhenItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := connset.New(options())
		willing, stubborn := newConn(false), newConn(true)
		add(s, willing)
		add(s, stubborn)
		began := time.Now()
		ctx, cancel := context.WithTimeoutCause(t.Context(), 3*time.Second, errBroken)
		defer cancel()
		if err := s.Shutdown(ctx); err != context.DeadlineExceeded {
			t.Errorf("Shutdown: %v", err)
		}
		if d := time.Since(began); d != 3*time.Second {
			t.Errorf("after %v", d)
		}
		if willing.cause != nil || stubborn.cause != errBroken {
			t.Errorf("aborted with %v and %v", willing.cause, stubborn.cause)
		}
		if n := s.Len(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
}

// Nobody is asked to end, and the abort outlasts the connection.
func TestShutdown_withoutDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		aborted := false
		s := connset.New(connset.Options[*conn]{Abort: func(c *conn, cause error) {
			c.abort(cause)
			time.Sleep(time.Second)
			aborted = true
		}})
		add(s, newConn(false))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		if err := s.Shutdown(ctx); err != context.Canceled {
			t.Errorf("Shutdown: %v", err)
		}
		if !aborted {
			t.Error("Shutdown did not wait for Abort")
		}
	})
}

func TestShutdown_again(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options()
		o.Look, o.Interval = func([]*conn) {}, time.Second
		s := connset.New(o)
		c := newConn(true)
		add(s, c)
		done := make(chan error)
		for range 2 {
			go func() { done <- s.Shutdown(t.Context()) }()
		}
		time.Sleep(time.Minute)
		c.end()
		if err := errors.Join(<-done, <-done); err != nil {
			t.Error(err)
		}
		shutdown(t, s)
	})
}

// Connections come, go and are counted while the server shuts down: none is missed, or the test does not end.
func TestShutdown_missesNone(t *testing.T) {
	o := options()
	o.Look, o.Interval = func([]*conn) {}, 10*time.Microsecond
	s := connset.New(o)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for c := newConn(false); add(s, c); c = newConn(false) {
				if s.Len() > 100 {
					c.end()
				}
			}
		})
	}
	for s.Len() < 100 {
		runtime.Gosched()
	}
	shutdown(t, s)
	wg.Wait()
	if n := len(s.All()); n != 0 {
		t.Errorf("%d connections are left", n)
	}
}
