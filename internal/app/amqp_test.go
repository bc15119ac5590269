package app_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/Azure/go-amqp"
	"github.com/coder/websocket"

	"github.com/hubward/hubward/internal/app"
	"github.com/hubward/hubward/internal/config"
)

// openAMQP opens a connection as Event Hubs clients do, and a session in it.
func openAMQP(t *testing.T, nc net.Conn, container string) *amqp.Conn {
	t.Helper()
	conn, err := amqp.NewConn(t.Context(), nc, &amqp.ConnOptions{
		ContainerID: container, HostName: "localhost", SASLType: amqp.SASLTypeAnonymous(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.NewSession(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return conn
}

// dial connects to a listener, with TLS unless it is the one without.
func (r *running) dial(listener string) net.Conn {
	r.t.Helper()
	if listener == "amqp" {
		nc, err := net.Dial("tcp", r.addresses[listener])
		if err != nil {
			r.t.Fatal(err)
		}
		return nc
	}
	config := r.client().Transport.(*http.Transport).TLSClientConfig
	config.ServerName = "localhost"
	nc, err := tls.Dial("tcp", r.addresses[listener], config)
	if err != nil {
		r.t.Fatal(err)
	}
	return nc
}

// socket opens a WebSocket through the HTTPS listener.
func (r *running) socket(path, protocol string) net.Conn {
	r.t.Helper()
	ws, resp, err := websocket.Dial(r.t.Context(), "wss://"+r.addresses["https"]+path, &websocket.DialOptions{
		HTTPClient: r.client(), Subprotocols: []string{protocol}, HTTPHeader: http.Header{"Origin": {"http://elsewhere.example"}},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	if ws.Subprotocol() != protocol || resp.Header.Get("Sec-WebSocket-Extensions") != "" {
		r.t.Errorf("sub-protocol %q, extensions %q", ws.Subprotocol(), resp.Header.Get("Sec-WebSocket-Extensions"))
	}
	r.t.Cleanup(func() { ws.CloseNow() })
	return websocket.NetConn(context.Background(), ws, websocket.MessageBinary)
}

func TestAMQP_everyWayIn(t *testing.T) {
	r := start(t, t.TempDir(), map[string][]string{"amqps": {"127.0.0.1:0"}, "amqp": {"127.0.0.1:0"}}, memory)
	for name, dial := range map[string]func() net.Conn{
		"amqps":        func() net.Conn { return r.dial("amqps") },
		"amqp":         func() net.Conn { return r.dial("amqp") },
		"/$iothub":     func() net.Conn { return r.socket("/$iothub/websocket?iothub-no-client-cert=true", "AMQPWSB10") },
		"/$servicebus": func() net.Conn { return r.socket("/$servicebus/websocket/", "AMQPWSB10") },
	} {
		t.Run(name, func(t *testing.T) {
			conn := openAMQP(t, dial(), "test")
			if _, metrics := r.admin("/metrics"); !strings.Contains(metrics, "hubward_protocol_connections{protocol=\"amqp\"} 1\n") {
				t.Error("the metrics do not count the connection")
			}
			// Closing a WebSocket under a reader is no net.ErrClosed, which the client would take for its own doing.
			var end *amqp.ConnError
			if err := conn.Close(); err != nil && (!errors.As(err, &end) || end.RemoteErr != nil || !strings.Contains(err.Error(), "context canceled")) {
				t.Error(err)
			}
			eventually(t, "the connection is gone", func() bool {
				_, metrics := r.admin("/metrics")
				return strings.Contains(metrics, "hubward_protocol_connections{protocol=\"amqp\"} 0\n") &&
					strings.Contains(metrics, "\nhubward_connections 0\n")
			})
			http.DefaultClient.CloseIdleConnections()
		})
	}
}

func memory(o *app.Options) { o.Memory = true }

// A drain closes AMQP connections in good order, however they came.
func TestAMQP_drain(t *testing.T) {
	r := start(t, t.TempDir(), map[string][]string{"amqps": {"127.0.0.1:0"}}, memory)
	conns := []*amqp.Conn{openAMQP(t, r.dial("amqps"), "tcp"), openAMQP(t, r.socket("/$iothub/websocket", "AMQPWSB10"), "ws")}
	begin := time.Now()
	r.stop()
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("the drain took %s", took)
	}
	for _, conn := range conns {
		select {
		case <-conn.Done():
		case <-time.After(10 * time.Second):
			t.Fatal("the client does not notice")
		}
		var refused *amqp.ConnError
		if err := conn.Err(); !errors.As(err, &refused) || refused.RemoteErr == nil || refused.RemoteErr.Condition != amqp.ErrCondConnectionForced {
			t.Errorf("the client was told %v", err)
		}
	}
}

// Without its listeners AMQP is still there, by WebSocket; without HTTPS the listener alone serves it.
func TestAMQP_oneWayIsEnough(t *testing.T) {
	r := start(t, t.TempDir(), map[string][]string{"mqtts": {"off"}, "amqps": {"off"}}, memory)
	openAMQP(t, r.socket("/$iothub/websocket", "AMQPWSB10"), "test").Close()
	r = start(t, t.TempDir(), map[string][]string{"mqtts": {"off"}, "https": {"off"}, "amqps": {"127.0.0.1:0"}}, memory)
	openAMQP(t, r.dial("amqps"), "test").Close()
}

func TestAMQP_portInUse(t *testing.T) {
	taken := httptest.NewServer(nil)
	defer taken.Close()
	for _, option := range []string{"amqps", "amqp"} {
		a, err := app.Open(t.Context(), load(t, t.TempDir(), map[string][]string{option: {taken.Listener.Addr().String()}}), app.Options{Memory: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "is in use") || !strings.Contains(err.Error(), "--"+option) {
			t.Errorf("error %v", err)
		}
	}
}

// Devices may log in with a certificate, which is theirs to show: each listener asks, none insists.
func TestListeners_askForCertificates(t *testing.T) {
	r := start(t, t.TempDir(), map[string][]string{"amqps": {"127.0.0.1:0"}}, memory)
	for _, listener := range []string{"mqtts", "amqps", "https"} {
		asked := false
		config := r.client().Transport.(*http.Transport).TLSClientConfig
		config.ServerName = "localhost"
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			asked = true
			return &tls.Certificate{}, nil
		}
		nc, err := tls.Dial("tcp", r.addresses[listener], config)
		if err != nil {
			t.Fatal(err)
		}
		nc.Close()
		if !asked {
			t.Errorf("%s asks for no certificate", listener)
		}
	}
}

func TestAMQPTrace(t *testing.T) {
	dir := t.TempDir()
	var next config.Config
	r := start(t, dir, map[string][]string{"amqp": {"127.0.0.1:0"}, "amqp-trace": {"reader-"}, "log-level": {"error"}}, func(o *app.Options) {
		o.Memory = true
		o.Reconfigure = func() (config.Config, error) { return next, nil }
	})
	openAMQP(t, r.dial("amqp"), "other-1").Close()
	if log := r.log.String(); log != "" {
		t.Errorf("logged without a reason:\n%s", log)
	}
	openAMQP(t, r.dial("amqp"), "reader-1").Close()
	// The container id is known once the open has come, so that one is not in it.
	eventually(t, "the trace goes by container id", func() bool { return strings.Contains(r.log.String(), "<- 0 close") })
	next = load(t, dir, map[string][]string{"amqp": {"127.0.0.1:0"}, "amqp-trace": {"127.0.0.1"}, "log-level": {"error"}})
	if err := r.app.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	openAMQP(t, r.dial("amqp"), "other-2").Close()
	eventually(t, "the trace goes by address", func() bool { return strings.Contains(r.log.String(), "other-2") })
}

// Port 0 becomes another, which clients have to be told.
func TestConnectionStrings_emulatorOnAFreePort(t *testing.T) {
	r := start(t, t.TempDir(), map[string][]string{"amqp": {"127.0.0.1:0"}, "hostname": {"hub.example.com"}}, memory)
	_, port, err := net.SplitHostPort(r.addresses["amqp"])
	if err != nil {
		t.Fatal(err)
	}
	got := envFile(t, r.dir)["HUBWARD_EMULATOR_CONNECTION_STRING"]
	if !strings.HasPrefix(got, "Endpoint=sb://localhost:"+port+";") {
		t.Error("HUBWARD_EMULATOR_CONNECTION_STRING leads elsewhere")
	}
}
