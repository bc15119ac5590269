package app

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"

	"github.com/hubward/hubward/internal/front/adminfront"
	"github.com/hubward/hubward/internal/front/amqpfront"
	"github.com/hubward/hubward/internal/front/httpserver"
	"github.com/hubward/hubward/internal/front/listen"
	"github.com/hubward/hubward/internal/front/mqttfront"
	"github.com/hubward/hubward/internal/front/restfront"
	"github.com/hubward/hubward/internal/front/wsconn"
)

// fronts are the front ends of a running process and the listeners that lead to them.
type fronts struct {
	listeners []bound // in the order of their flags
	public    []front
	admin     []front // the operator's port, or nothing
}

// bound is an open listener.
type bound struct {
	listener *listen.Listener
	// serve blocks until its front end is shut down, and then returns nil.
	serve func(net.Listener) error
}

// front is one front end. Several listeners may lead to it.
type front struct {
	name string
	// shutdown stops accepting, lets what is under way finish until ctx ends, and closes the rest.
	shutdown func(ctx context.Context) error
}

// bind opens all listeners before any is served, so that a taken port is found out while nobody is connected yet.
func (a *App) bind(ctx context.Context) (*fronts, error) {
	listeners := []struct {
		name, address string
		limit         *listen.Limit
	}{
		{"mqtts", a.cfg.Listen.MQTTS, a.limits.mqtt},
		{"amqps", a.cfg.Listen.AMQPS, a.limits.amqp},
		{"https", a.cfg.Listen.HTTPS, a.limits.https},
		{"amqp", a.cfg.Listen.AMQP, a.limits.amqp},
		{"admin", a.cfg.Listen.Admin, a.limits.admin},
	}
	f := &fronts{}
	for _, l := range listeners {
		if l.address == "" {
			continue
		}
		open, err := listen.TCP(ctx, listen.Options{Option: l.name, Address: l.address, Limit: l.limit, Logger: a.logger})
		if err != nil {
			return nil, errors.Join(err, f.closeListeners())
		}
		f.listeners = append(f.listeners, bound{listener: open})
	}
	if err := a.noteAddresses(f); err != nil {
		return nil, errors.Join(err, f.closeListeners())
	}
	a.connect(f)
	return f, nil
}

func (f *fronts) closeListeners() (err error) {
	for _, b := range f.listeners {
		err = errors.Join(err, b.listener.Close())
	}
	return err
}

// noteAddresses puts into the connection strings where a listener really is, for port 0 became another, and into the lock file
// where the commands of this machine reach the process.
func (a *App) noteAddresses(f *fronts) error {
	for _, b := range f.listeners {
		switch b.listener.Option() {
		case "amqp":
			a.mu.Lock()
			a.plainAMQP = b.listener.Addr().String()
			a.mu.Unlock()
			if err := a.refresh(false); err != nil {
				return err
			}
		case "admin":
			if err := a.lock.write(b.listener.Addr().String()); err != nil {
				return err
			}
		}
	}
	return nil
}

// connect makes the front ends that the listeners lead to. HTTPS leads to all of the public ones, by WebSocket.
func (a *App) connect(f *fronts) {
	open := map[string]*bound{}
	for i := range f.listeners {
		b := &f.listeners[i]
		open[b.listener.Option()] = b
	}
	https := open["https"]
	var mqtt *mqttfront.Server
	if b := open["mqtts"]; b != nil || https != nil {
		mqtt = a.mqttFront(f, b)
	}
	var amqp *amqpfront.Server
	if tls, plain := open["amqps"], open["amqp"]; tls != nil || plain != nil || https != nil {
		amqp = a.amqpFront(f, tls, plain)
	}
	if https != nil {
		a.restFront(f, https, mqtt, amqp)
	}
	if b := open["admin"]; b != nil {
		a.adminFront(f, b)
	}
}

// mqttFront makes the MQTT front end; b, its listener, may be nil.
func (a *App) mqttFront(f *fronts, b *bound) *mqttfront.Server {
	server := mqttfront.New(a.hub, mqttfront.Options{Logger: a.logger, Now: a.o.Now, LoggedIn: listen.LoggedIn})
	f.public = append(f.public, front{name: "mqtt", shutdown: server.Shutdown})
	if b != nil {
		config := a.certs.TLSConfig()
		b.serve = func(l net.Listener) error {
			return ended(server.Serve(a.handshakes.Listener(l, config)), mqttfront.ErrServerClosed)
		}
	}
	return server
}

// restFront makes the front end for HTTPS, with WebSockets as a second way to the others. uamqp asks for the path of
// Event Hubs when it means the hub, too.
//
// Source: Azure/azure-iot-sdk-node device/transport/mqtt/src/mqtt_ws.ts, device/transport/amqp/src/amqp_ws.ts.
// Observed with @azure/event-hubs 6.0.4 and uamqp 1.5.3 for Python.
func (a *App) restFront(f *fronts, b *bound, mqtt *mqttfront.Server, amqp *amqpfront.Server) {
	serveAMQP, serveMQTT := within(a.limits.amqp, amqp.ServeConn), within(a.limits.mqtt, mqtt.ServeConn)
	sockets := wsconn.New(wsconn.Options{Logger: a.logger, Paths: map[string]wsconn.Table{
		"/$iothub/websocket":     {"AMQPWSB10": serveAMQP, "amqp": serveAMQP, "mqtt": serveMQTT},
		"/$servicebus/websocket": {"AMQPWSB10": serveAMQP, "amqp": serveAMQP},
	}})
	handler := restfront.New(a.hub, restfront.Options{
		Logger: a.logger, Version: a.o.Version, Now: a.o.Now, Rand: a.o.Rand, Observer: a.metrics, Stop: a.draining,
		LoggedIn: listen.LoggedIn,
	})
	config := a.certs.TLSConfig("http/1.1")
	server := a.httpFront(b, sockets.Handler(handler), func(server *http.Server, l net.Listener) net.Listener {
		return restfront.KeepHeaderNames(server, a.handshakes.Listener(l, config))
	})
	f.public = append(f.public, front{name: "https", shutdown: server}, front{name: "websocket", shutdown: sockets.Shutdown})
}

func (a *App) adminFront(f *fronts, b *bound) {
	a.admin = adminfront.New(adminfront.Options{
		Metrics: a.metrics.Handler(),
		Probes: []adminfront.Probe{
			{Name: "store", Check: a.engines.store.Ping},
			{Name: "log", Check: a.checkLog},
		},
		Stop: a.draining.Done(), Logger: a.logger, Snapshot: a.snapshot,
	})
	if !onLoopback(b.listener) {
		a.logger.Warn("the admin listener asks nobody who they are and is not on loopback", "address", b.listener.Addr().String())
	}
	server := a.httpFront(b, a.admin, func(_ *http.Server, l net.Listener) net.Listener { return l })
	f.admin = append(f.admin, front{name: "admin", shutdown: server})
}

// readiness hands to the metrics which parts can do their work; nothing without the operator's port.
func (a *App) readiness(ctx context.Context) map[string]bool {
	if a.admin == nil {
		return nil
	}
	return a.admin.Ready(ctx)
}

// checkLog finds a log that takes no events, and one that does not give them all out.
func (a *App) checkLog(ctx context.Context) error {
	errs := []error{a.engines.log.Ping(ctx)}
	for _, damage := range a.engines.log.Damage() {
		errs = append(errs, damage)
	}
	return errors.Join(errs...)
}

func onLoopback(l net.Listener) bool {
	addr, ok := l.Addr().(*net.TCPAddr)
	return ok && addr.IP.IsLoopback()
}

// httpFront has b serve HTTP/1.1 and returns how to shut that down. Requests that outlive a drain see their contexts end.
func (a *App) httpFront(b *bound, handler http.Handler, wrap func(*http.Server, net.Listener) net.Listener) (shutdown func(context.Context) error) {
	base, cancel := context.WithCancel(context.Background())
	// What peers do wrong, failed handshakes above all, is theirs to know; at this level it floods nobody's log.
	server := httpserver.New(handler, slog.NewLogLogger(a.logger.Handler(), slog.LevelDebug))
	server.BaseContext = func(net.Listener) context.Context { return base }
	b.serve = func(l net.Listener) error {
		l = wrap(server, l)
		followIdle(server)
		return ended(server.Serve(l), http.ErrServerClosed)
	}
	return func(ctx context.Context) error {
		defer cancel()
		err := server.Shutdown(ctx)
		if err != nil {
			cancel()
			return errors.Join(err, server.Close())
		}
		return nil
	}
}

// ended turns the error that a server returns after its shutdown into nil.
func ended(err, closed error) error {
	if errors.Is(err, closed) {
		return nil
	}
	return err
}
