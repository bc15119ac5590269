package app

import (
	"crypto/tls"
	"maps"
	"net"
	"sync"

	"github.com/hubward/hubward/internal/front/amqpfront"
	"github.com/hubward/hubward/internal/obs"
)

var _ amqpfront.Observer = (*obs.Metrics)(nil)

// amqpFront makes the AMQP front end; of its listeners, with TLS and without, either or both may be nil.
func (a *App) amqpFront(f *fronts, withTLS, plain *bound) *amqpfront.Server {
	a.mu.Lock()
	server := amqpfront.New(a.hub, amqpfront.Options{
		Logger: a.logger, Now: a.o.Now, Rand: a.o.Rand, Observer: a.metrics,
		Trace: a.cfg.Log.AMQPTrace, TraceTo: obs.NewTraceWriter(a.o.LogTo, a.cfg.Log.Format),
	})
	a.setTrace = server.SetTrace
	a.mu.Unlock()
	f.public = append(f.public, front{name: "amqp", shutdown: server.Shutdown})
	if withTLS != nil {
		config := a.certs.TLSConfig()
		withTLS.serve = func(l net.Listener) error {
			return ended(server.Serve(tls.NewListener(l, config)), amqpfront.ErrServerClosed)
		}
	}
	if plain != nil {
		if !onLoopback(plain.listener) {
			a.logger.Warn("the amqp listener has no TLS and is not on loopback: keys and tokens can be read on the way",
				"address", plain.listener.Addr().String())
		}
		plain.serve = func(l net.Listener) error { return ended(server.Serve(l), amqpfront.ErrServerClosed) }
	}
	a.protocols.add("amqp", server.Connections)
	return server
}

// protocols counts the open connections of the front ends.
type protocols struct {
	mu    sync.Mutex
	count map[string]func() int
}

func (p *protocols) add(name string, count func() int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.count == nil {
		p.count = map[string]func() int{}
	}
	p.count[name] = count
}

// open returns the number of open connections by protocol.
func (p *protocols) open() map[string]int {
	p.mu.Lock()
	counts := maps.Clone(p.count)
	p.mu.Unlock()
	open := map[string]int{}
	for name, count := range counts {
		open[name] = count()
	}
	return open
}
