// Package testhub runs a whole hub inside a test: the real front ends with TLS on ephemeral ports of loopback, and
// stores in memory. It starts in milliseconds and ends with the test.
//
// SDKs want ports 8883, 5671 and 443, which cannot be moved; Dial leads them to the right ones.
package testhub

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/app"
	"github.com/hubward/hubward/internal/config"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/sas"
)

// Name is the name of the hub.
const Name = "testhub"

// Hub is a hub that serves until the test ends.
type Hub struct {
	App    *app.App
	Host   string         // first host name: the HostName of connection strings
	MQTT   string         // address of the MQTT listener, e.g. "127.0.0.1:41234"
	AMQP   string         // address of the AMQP listener with TLS
	Plain  string         // address of the AMQP listener without TLS; empty without the option PlainAMQP
	HTTPS  string         // base address of the REST calls, e.g. "https://localhost:41235"
	Admin  string         // base address of the operator's port, e.g. "http://127.0.0.1:41236"
	CA     *x509.CertPool // holds the hub's authority
	CAFile string         // the same as a PEM file
	Data   string         // the data folder, with connection-strings.env

	t         testing.TB
	now       func() time.Time // nil: time.Now
	httpsAddr string
}

// Option changes how a hub is started.
type Option func(*settings)

type settings struct {
	cfg config.Config
	app app.Options
}

// HostNames sets the hub's host names; default: localhost.
func HostNames(names ...string) Option { return func(s *settings) { s.cfg.HostNames = names } }

// Partitions sets the number of partitions; default: 4.
func Partitions(n int) Option { return func(s *settings) { s.cfg.Partitions = n } }

// PlainAMQP opens the AMQP listener without TLS too.
func PlainAMQP() Option { return func(s *settings) { s.cfg.Listen.AMQP = "127.0.0.1:0" } }

// AMQPTrace has the frames of AMQP connections logged to the test's output, as config.Log.AMQPTrace says.
func AMQPTrace(patterns ...string) Option {
	return func(s *settings) { s.cfg.Log.AMQPTrace = patterns }
}

// At stops the hub's clock at a time. Its certificate is one of that time; TLSConfig and Client go by the same clock.
func At(t time.Time) Option { return Now(func() time.Time { return t }) }

// Now sets the hub's clock; default: time.Now.
func Now(now func() time.Time) Option { return func(s *settings) { s.app.Now = now } }

// Debug logs everything to the test's output; default: warnings and errors.
func Debug() Option { return func(s *settings) { s.cfg.Log.Level = "debug" } }

// Start starts a hub and fails the test if it cannot. The hub drains when the test ends.
func Start(t testing.TB, opts ...Option) *Hub {
	t.Helper()
	s := settings{cfg: config.Default()}
	s.cfg.Data, s.cfg.Hub, s.cfg.Log.Level = t.TempDir(), Name, "warn"
	if err := os.Chmod(s.cfg.Data, 0o700); err != nil {
		t.Fatal(err)
	}
	s.cfg.Listen = config.Listen{MQTTS: "127.0.0.1:0", AMQPS: "127.0.0.1:0", HTTPS: "127.0.0.1:0", Admin: "127.0.0.1:0"}
	ready := make(chan []app.Listener, 1)
	s.app = app.Options{Version: "test", LogTo: t.Output(), Memory: true, OnReady: func(l []app.Listener) { ready <- l }}
	for _, o := range opts {
		o(&s)
	}
	a, err := app.Open(t.Context(), s.cfg, s.app)
	if err != nil {
		t.Fatalf("testhub: %v", err)
	}
	h := &Hub{t: t, now: s.app.Now, App: a, Host: s.cfg.HostNames[0], Data: s.cfg.Data}
	h.run(ready)
	h.trust()
	return h
}

// run serves until the test's clean-up, and returns once the listeners are open.
func (h *Hub) run(ready <-chan []app.Listener) {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.App.Run(ctx) }()
	select {
	case listeners := <-ready:
		h.locate(listeners)
	case err := <-ended:
		cancel()
		h.t.Fatalf("testhub: %v", err)
	}
	h.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			h.t.Errorf("testhub: %v", err)
		}
	})
}

func (h *Hub) locate(listeners []app.Listener) {
	for _, l := range listeners {
		switch l.Name {
		case "mqtts":
			h.MQTT = l.Address
		case "amqps":
			h.AMQP = l.Address
		case "amqp":
			h.Plain = l.Address
		case "https":
			_, port, err := net.SplitHostPort(l.Address)
			if err != nil {
				h.t.Fatalf("testhub: %v", err)
			}
			h.httpsAddr, h.HTTPS = l.Address, "https://"+net.JoinHostPort(h.Host, port)
		case "admin":
			h.Admin = "http://" + l.Address
		}
	}
}

func (h *Hub) trust() {
	h.t.Helper()
	h.CAFile, h.CA = h.App.CAFile(), x509.NewCertPool()
	pem, err := os.ReadFile(h.CAFile)
	if err != nil || !h.CA.AppendCertsFromPEM(pem) {
		h.t.Fatalf("testhub: no authority in %s: %v", h.CAFile, err)
	}
}

// Dial connects to the hub whatever the host is: port 8883 leads to MQTT, 5671 to AMQP, 5672 to AMQP without
// TLS, 443 to HTTPS; so do the real ports. It fits net.Dialer.DialContext and http.Transport.DialContext.
func (h *Hub) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	for _, l := range []struct{ port, address string }{{"8883", h.MQTT}, {"5671", h.AMQP}, {"5672", h.Plain}, {"443", h.httpsAddr}} {
		if l.address == "" {
			continue
		}
		if _, real, _ := net.SplitHostPort(l.address); port == l.port || port == real {
			return new(net.Dialer).DialContext(ctx, "tcp", l.address)
		}
	}
	return nil, fmt.Errorf("testhub: nothing listens on port %s of the hub", port)
}

// TLSConfig trusts the hub, and only it.
func (h *Hub) TLSConfig() *tls.Config { return &tls.Config{RootCAs: h.CA, Time: h.now} }

// Client returns an HTTP client that reaches the hub under each of its names, with port 443 or none.
func (h *Hub) Client() *http.Client {
	transport := &http.Transport{DialContext: h.Dial, TLSClientConfig: h.TLSConfig()}
	h.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// Process is the principal of the program itself, which may do everything in the hub, and with hubs: for calls of App.Hub.
func (h *Hub) Process() *access.Principal {
	h.t.Helper()
	ref, err := h.App.Hub().FirstHub()
	if err != nil {
		h.t.Fatalf("testhub: %v", err)
	}
	return access.Process(ref)
}

// ConnectionString returns that of a policy, e.g. "iothubowner", with its primary key. It fails the test when there is
// no such policy.
func (h *Hub) ConnectionString(policy string) string {
	h.t.Helper()
	return h.policyString(policy, sas.ConnectionString{HostName: h.Host})
}

// EventHubConnectionString is what clients of the Event-Hubs-compatible endpoint are given for a policy, without a port:
// they go to 5671.
func (h *Hub) EventHubConnectionString(policy string) string {
	h.t.Helper()
	return h.policyString(policy, sas.ConnectionString{Endpoint: "sb://" + h.Host + "/", EntityPath: Name})
}

// EmulatorConnectionString is the same for the listener without TLS, on its real port. It needs the option PlainAMQP.
func (h *Hub) EmulatorConnectionString(policy string) string {
	h.t.Helper()
	_, port, err := net.SplitHostPort(h.Plain)
	if err != nil {
		h.t.Fatalf("testhub: no AMQP listener without TLS: %v", err)
	}
	return h.policyString(policy, sas.ConnectionString{Endpoint: "sb://localhost:" + port, EntityPath: Name}) +
		";UseDevelopmentEmulator=true"
}

// policyString completes cs with a policy's name and primary key.
func (h *Hub) policyString(policy string, cs sas.ConnectionString) string {
	h.t.Helper()
	policies, err := h.App.Hub().Policies(h.Process(), Name)
	if err != nil {
		h.t.Fatalf("testhub: %v", err)
	}
	for _, p := range policies {
		if p.Name == policy {
			cs.SharedAccessKeyName, cs.SharedAccessKey = p.Name, p.PrimaryKey
			return cs.String()
		}
	}
	h.t.Fatalf("testhub: there is no policy %q", policy)
	return ""
}

// CreateDevice registers a device that authenticates with generated keys.
func (h *Hub) CreateDevice(id string) *hubward.Device {
	h.t.Helper()
	d, err := h.App.Hub().PutDevice(h.t.Context(), h.Process(), hubward.Device{DeviceID: id}, "")
	if err != nil {
		h.t.Fatalf("testhub: %v", err)
	}
	return d
}

// DeviceConnectionString returns that of a registered device, with its primary key.
func (h *Hub) DeviceConnectionString(id string) string {
	h.t.Helper()
	d, err := h.App.Hub().Device(h.t.Context(), h.Process(), id)
	if err != nil {
		h.t.Fatalf("testhub: %v", err)
	}
	if d.Authentication == nil {
		h.t.Fatalf("testhub: device %s has no key", id)
	}
	return sas.ConnectionString{
		HostName: h.Host, DeviceID: id, SharedAccessKey: string(d.Authentication.SymmetricKey.PrimaryKey),
	}.String()
}
