package app

import (
	"net"

	"github.com/hubward/hubward/internal/front/amqpfront"
	"github.com/hubward/hubward/internal/front/listen"
	"github.com/hubward/hubward/internal/obs"
)

var _ amqpfront.Observer = (*obs.Metrics)(nil)

// amqpFront makes the AMQP front end; of its listeners, with TLS and without, either or both may be nil.
func (a *App) amqpFront(f *fronts, withTLS, plain *bound) *amqpfront.Server {
	a.mu.Lock()
	server := amqpfront.New(a.hub, amqpfront.Options{
		Logger: a.logger, Now: a.o.Now, Rand: a.o.Rand, Observer: a.metrics,
		LoggedIn: listen.LoggedIn, Trace: a.cfg.Log.AMQPTrace, TraceTo: obs.NewTraceWriter(a.o.LogTo, a.cfg.Log.Format),
	})
	a.setTrace = server.SetTrace
	a.mu.Unlock()
	f.public = append(f.public, front{name: "amqp", shutdown: server.Shutdown})
	if withTLS != nil {
		config := a.certs.TLSConfig()
		withTLS.serve = func(l net.Listener) error {
			return ended(server.Serve(a.handshakes.Listener(l, config)), amqpfront.ErrServerClosed)
		}
	}
	if plain != nil {
		if !onLoopback(plain.listener) {
			a.logger.Warn("the amqp listener has no TLS and is not on loopback: keys and tokens can be read on the way",
				"address", plain.listener.Addr().String())
		}
		plain.serve = func(l net.Listener) error { return ended(server.Serve(l), amqpfront.ErrServerClosed) }
	}
	return server
}
