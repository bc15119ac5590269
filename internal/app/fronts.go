package app

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/hubward/hubward/internal/front/adminfront"
	"github.com/hubward/hubward/internal/front/listen"
	"github.com/hubward/hubward/internal/front/mqttfront"
	"github.com/hubward/hubward/internal/front/restfront"
)

// Bounds of an HTTP connection. Bodies and answers have no time limit of their own: event streams last.
const (
	readHeaderTimeout = 10 * time.Second // the TLS handshake included
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
)

// front is one front end on its listener.
type front struct {
	listener *listen.Listener
	// serve blocks until shutdown, and then returns nil.
	serve func(net.Listener) error
	// shutdown stops accepting, lets what is under way finish until ctx ends, and closes the rest.
	shutdown func(ctx context.Context) error
}

// bind opens all listeners before any is served, so that a taken port is found out while nobody is connected yet. The
// operator's port comes last and therefore ends last.
func (a *App) bind(ctx context.Context) ([]*front, error) {
	listeners := []struct {
		name, address string
		limit         *listen.Limit
		make          func() *front
	}{
		{"mqtts", a.cfg.Listen.MQTTS, a.limit, a.mqttFront},
		{"https", a.cfg.Listen.HTTPS, a.limit, a.restFront},
		{"admin", a.cfg.Listen.Admin, nil, a.adminFront},
	}
	var fronts []*front
	for _, l := range listeners {
		if l.address == "" {
			continue
		}
		open, err := listen.TCP(ctx, listen.Options{Option: l.name, Address: l.address, Limit: l.limit, Logger: a.logger})
		if err != nil {
			for _, f := range fronts {
				err = errors.Join(err, f.listener.Close(), f.shutdown(ctx))
			}
			return nil, err
		}
		f := l.make()
		f.listener = open
		fronts = append(fronts, f)
	}
	return fronts, nil
}

func (a *App) mqttFront() *front {
	server := mqttfront.New(a.hub, mqttfront.Options{Logger: a.logger, Now: a.o.Now})
	config := a.certs.TLSConfig()
	return &front{
		serve: func(l net.Listener) error {
			return ended(server.Serve(tls.NewListener(l, config)), mqttfront.ErrServerClosed)
		},
		shutdown: server.Shutdown,
	}
}

func (a *App) restFront() *front {
	handler := restfront.New(a.hub, restfront.Options{
		Logger: a.logger, Version: a.o.Version, Now: a.o.Now, Rand: a.o.Rand, Stop: a.draining,
	})
	config := a.certs.TLSConfig("http/1.1")
	return a.httpFront(handler, func(l net.Listener) net.Listener { return tls.NewListener(l, config) })
}

func (a *App) adminFront() *front {
	handler := adminfront.New(adminfront.Options{
		Metrics: a.metrics.Handler(),
		Probes: []adminfront.Probe{
			{Name: "store", Check: a.engines.store.Ping},
			{Name: "log", Check: a.engines.log.Ping},
		},
		Stop: a.draining, Logger: a.logger,
	})
	return a.httpFront(handler, func(l net.Listener) net.Listener {
		if addr, ok := l.Addr().(*net.TCPAddr); ok && !addr.IP.IsLoopback() {
			a.logger.Warn("the admin listener asks nobody who they are and is not on loopback", "address", l.Addr().String())
		}
		return l
	})
}

// httpFront serves HTTP/1.1. Requests that outlive a drain see their contexts end.
func (a *App) httpFront(handler http.Handler, wrap func(net.Listener) net.Listener) *front {
	base, cancel := context.WithCancel(context.Background())
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	server := &http.Server{
		Handler:           handler,
		Protocols:         protocols,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		BaseContext:       func(net.Listener) context.Context { return base },
		// What peers do wrong, failed handshakes above all, is theirs to know; at this level it floods nobody's log.
		ErrorLog: slog.NewLogLogger(a.logger.Handler(), slog.LevelDebug),
	}
	return &front{
		serve: func(l net.Listener) error { return ended(server.Serve(wrap(l)), http.ErrServerClosed) },
		shutdown: func(ctx context.Context) error {
			defer cancel()
			err := server.Shutdown(ctx)
			if err != nil {
				cancel()
				return errors.Join(err, server.Close())
			}
			return nil
		},
	}
}

// ended turns the error that says "as you wished" into nil.
func ended(err, closed error) error {
	if errors.Is(err, closed) {
		return nil
	}
	return err
}
