package listen

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"time"
)

// secureListener makes TLS connections of those of another listener, and hands them out when their handshake is over.
type secureListener struct {
	net.Listener
	handshakes *Handshakes
	config     *tls.Config
	ready      chan net.Conn
	done       chan struct{}  // closed by Close
	ended      chan struct{}  // closed when the listener below hands out no more, after err was set
	err        error          // of the listener below
	running    sync.WaitGroup // the loop that accepts, and entrances

	mu       sync.Mutex // guards the fields below; a leaf
	closing  bool
	entering map[*entrance]struct{}
}

// Listener returns a listener of the TLS connections that l leads to. A *tls.Conn that it hands out has made its handshake; or
// that has failed, which the first call of Handshake or Read tells, for whoever serves it to log and to answer. A connection that
// costs time before that is not handed out: nobody's Accept waits for a client.
//
// Close ends the handshakes that are under way, and does not return before.
func (h *Handshakes) Listener(l net.Listener, config *tls.Config) net.Listener {
	s := &secureListener{
		Listener: l, handshakes: h, config: config,
		ready: make(chan net.Conn), done: make(chan struct{}), ended: make(chan struct{}), entering: make(map[*entrance]struct{}),
	}
	s.running.Go(s.accept)
	return s
}

// Accept returns the next connection, or the error of the listener below.
func (s *secureListener) Accept() (net.Conn, error) {
	select {
	case nc := <-s.ready:
		return nc, nil
	case <-s.ended:
		return nil, s.err
	}
}

// accept waits for nobody.
func (s *secureListener) accept() {
	defer close(s.ended)
	for {
		nc, err := s.Listener.Accept()
		if err != nil {
			s.err = err
			return
		}
		s.start(nc)
	}
}

// start owns nc from here on.
func (s *secureListener) start(nc net.Conn) {
	e := &entrance{listener: s, conn: nc}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		nc.Close()
		return
	}
	s.entering[e] = struct{}{}
	s.running.Add(1) // until forget
	go e.greet()
}

func (s *secureListener) forget(e *entrance) {
	s.mu.Lock()
	delete(s.entering, e)
	s.mu.Unlock()
	s.running.Done()
}

// Close stops listening, and closes the connections that were not handed out. It may be called more than once.
func (s *secureListener) Close() error {
	err := s.Listener.Close()
	s.mu.Lock()
	if !s.closing {
		s.closing = true
		close(s.done)
	}
	entering := make([]*entrance, 0, len(s.entering))
	for e := range s.entering {
		entering = append(entering, e)
	}
	s.mu.Unlock()
	for _, e := range entering {
		if s.handshakes.withdraw(&e.turn) {
			e.end()
		} else {
			e.conn.Close() // wakes whoever has it
		}
	}
	s.running.Wait()
	return err
}

// entrance is a connection on its way in. One has it at a time: the goroutine of greet, the queue, the goroutine of shake.
type entrance struct {
	turn
	listener *secureListener
	conn     net.Conn
	header   [recordHeader]byte
	hello    []byte // the first record, as far as it was not read again
	deadline time.Time
	timer    *time.Timer // takes it out of the queue; nil: it never was in it
	holds    bool        // a slot
}

// greet waits for the ClientHello. Sockets know only the real clock.
func (e *entrance) greet() {
	now := time.Now()
	e.deadline = now.Add(handshakeTimeout)
	e.conn.SetDeadline(now.Add(helloTimeout))
	var err error
	e.hello, err = readHello(e.conn, &e.header)
	h := e.listener.handshakes
	switch {
	case errors.Is(err, errNoHello):
		e.shake() // nothing is computed
		return
	case err != nil:
		if errors.Is(err, os.ErrDeadlineExceeded) {
			h.silent.Add(1)
		}
		h.o.Logger.Debug("no TLS handshake came", "remote", e.conn.RemoteAddr().String(), "error", err)
		e.end()
		return
	}
	e.conn.SetDeadline(e.deadline)
	e.hub, e.source = h.o.HubOf(serverName(e.hello)), sourceOf(e.conn)
	e.begin, e.refuse = e.turnBegins, e.end
	e.timer = time.AfterFunc(time.Until(e.deadline), e.giveUp)
	h.enter(&e.turn)
}

// giveUp runs when the time is over: if it still waits, there never was a turn.
func (e *entrance) giveUp() {
	if h := e.listener.handshakes; h.withdraw(&e.turn) {
		h.countBusy()
		e.end()
	}
}

// turnBegins runs on the goroutine of whoever gave the slot.
func (e *entrance) turnBegins() {
	e.timer.Stop()
	e.holds = true
	go e.shake()
}

// shake makes the handshake, and hands the connection out. Its stack, which is deep by then, goes with it. A client that has gone
// while it waited is not worth the work: when many come back at once, those that have lost their patience come again.
func (e *entrance) shake() {
	s := e.listener
	defer s.forget(e)
	defer e.endTurn()
	if e.holds && hasLeft(e.conn) {
		s.handshakes.failed.Add(1)
		e.conn.Close()
		return
	}
	nc := &greeted{Conn: e.conn, entrance: e}
	tc := tls.Server(nc, s.config)
	err := e.handshake(tc)
	e.endTurn()
	nc.entrance = nil
	s.handshakes.count(tc, err)
	e.conn.SetDeadline(time.Time{})
	select {
	case s.ready <- tc:
	case <-s.done:
		e.conn.Close()
	}
}

// handshake turns a panic, which is a bug of ours, into an error of this one connection.
func (e *entrance) handshake(tc *tls.Conn) (err error) {
	defer func() {
		if p := recover(); p != nil {
			e.listener.handshakes.o.Logger.Error("panic in a TLS handshake", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			e.conn.Close()
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return tc.Handshake() // without a context, for which crypto/tls would have a goroutine: Close closes the socket
}

// end closes a connection that is not handed out.
func (e *entrance) end() {
	if e.timer != nil {
		e.timer.Stop()
	}
	e.conn.Close()
	e.listener.forget(e)
}

// endTurn gives the slot back, if there is one.
func (e *entrance) endTurn() {
	if e.holds {
		e.holds = false
		e.listener.handshakes.leave()
	}
}

// awaitTurn waits for another turn, if there is none.
func (e *entrance) awaitTurn() error {
	if e.holds {
		return nil
	}
	begun := make(chan bool, 1)
	t := &turn{hub: e.hub, source: e.source, begin: func() { begun <- true }, refuse: func() { begun <- false }}
	h := e.listener.handshakes
	h.enter(t)
	timer := time.NewTimer(time.Until(e.deadline))
	defer timer.Stop()
	select {
	case e.holds = <-begun:
	case <-timer.C:
		h.countBusy()
		e.holds = !h.withdraw(t) && <-begun
	case <-e.listener.done:
		e.holds = !h.withdraw(t) && <-begun
	}
	if !e.holds {
		return errBusy
	}
	return nil
}
