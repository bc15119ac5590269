// Package connset keeps the connections of a server: it accepts and counts them, has somebody look at all of them now
// and then, and ends them. It knows no protocol, and nothing of a connection but what its server says in Options.
//
// A connection is in the set from Go, which registers it before its goroutine starts, so that Shutdown misses none, to
// Remove, the last thing that its server does for it. In between it may move from one goroutine to another.
package connset

import (
	"context"
	"maps"
	"net"
	"slices"
	"sync"
	"time"
)

// Options of a Set of connections of type C: what differs between servers.
//
// Its functions may be called at the same time. They must tolerate a connection that is just ending, or has just ended.
type Options[C comparable] struct {
	// Closed is what Serve returns after Shutdown.
	Closed error
	// Drain asks a connection to end in good order, and does not wait for that. nil: somebody else asks.
	Drain func(C)
	// Abort ends a connection at once. It must be set.
	Abort func(c C, cause error)
	// Look is handed the open connections every Interval, also while they drain. One look at all of them is cheaper than
	// a timer each. nil: nobody looks.
	Look     func(open []C)
	Interval time.Duration
}

// Set is the connections of one server, and the listeners that they come from. Make one with New; its methods may be
// called from any goroutine.
type Set[C comparable] struct {
	o        Options[C]
	running  sync.WaitGroup // connections, and the goroutines that Go starts
	watching sync.WaitGroup // the watch
	endWatch func()

	mu        sync.Mutex // guards the fields below; a leaf
	conns     map[C]struct{}
	listeners map[net.Listener]struct{}
	closing   bool
}

// New makes an empty set. It looks at its connections until Shutdown: what o.Look needs must be there already.
func New[C comparable](o Options[C]) *Set[C] {
	s := &Set[C]{o: o, conns: map[C]struct{}{}, listeners: map[net.Listener]struct{}{}}
	end := make(chan struct{})
	s.endWatch = sync.OnceFunc(func() { close(end) })
	if o.Look != nil {
		s.watching.Go(func() { s.watch(end) })
	}
	return s
}

func (s *Set[C]) watch(end <-chan struct{}) {
	tick := time.NewTicker(s.o.Interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.o.Look(s.All())
		case <-end:
			return
		}
	}
}

// Serve hands what l accepts to start, which must not block, until Shutdown; then it returns Options.Closed. It may run
// on several listeners. Serve closes l. An error of l ends it: to go on after a failure that passes is the listener's
// business.
func (s *Set[C]) Serve(l net.Listener, start func(net.Conn)) error {
	defer l.Close()
	if !s.track(l) {
		return s.o.Closed
	}
	defer s.untrack(l)
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			start(nc)
		case s.Closing():
			return s.o.Closed
		default:
			return err
		}
	}
}

func (s *Set[C]) track(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.listeners[l] = struct{}{}
	return true
}

func (s *Set[C]) untrack(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

// Go puts c into the set and runs serve on a goroutine of its own. Once Shutdown has begun it does neither, and returns
// false. serve may return before c has ended.
func (s *Set[C]) Go(c C, serve func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.conns[c] = struct{}{}
	s.running.Add(1) // Remove takes it back
	s.running.Go(serve)
	return true
}

// Remove takes c, which has ended, out of the set. It must be called once.
func (s *Set[C]) Remove(c C) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	s.running.Done()
}

// All returns the open connections, those that drain included.
func (s *Set[C]) All() []C {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.AppendSeq(make([]C, 0, len(s.conns)), maps.Keys(s.conns))
}

// Len counts them.
func (s *Set[C]) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Closing reports whether Shutdown has begun.
func (s *Set[C]) Closing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// Shutdown closes the listeners, drains every connection and waits until all have been removed; when ctx ends first, it
// aborts those that are left, with the cause of ctx, and goes on waiting. No goroutine of the set outlives it; calls of
// Serve are about to return. The error is nil, or that of ctx if it had to abort. Shutdown may be called again.
func (s *Set[C]) Shutdown(ctx context.Context) error {
	s.refuse()
	if s.o.Drain != nil {
		for _, c := range s.All() {
			s.o.Drain(c)
		}
	}
	aborted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(aborted)
		for _, c := range s.All() {
			s.o.Abort(c, context.Cause(ctx))
		}
	})
	s.running.Wait()
	inTime := stop()
	if !inTime {
		<-aborted
	}
	s.endWatch()
	s.watching.Wait()
	if inTime {
		return nil
	}
	return ctx.Err()
}

// refuse makes the set take no more.
func (s *Set[C]) refuse() {
	s.mu.Lock()
	s.closing = true
	listeners := slices.Collect(maps.Keys(s.listeners))
	s.mu.Unlock()
	for _, l := range listeners {
		l.Close()
	}
}
