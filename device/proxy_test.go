package device_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/device"
	"github.com/hubward/hubward/internal/testhub"
)

// proxy is an HTTP proxy on loopback.
type proxy struct {
	*httptest.Server
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
	login  string // NAME:PASSWORD that it wants; "" for none
	answer int    // to CONNECT, in place of a tunnel

	tunnels sync.WaitGroup
	mu      sync.Mutex // guards the field below
	asked   []string   // the targets
}

func startProxy(t *testing.T, p *proxy) *proxy {
	p.Server = httptest.NewServer(p)
	t.Cleanup(func() {
		p.Server.Close()
		p.tunnels.Wait()
	})
	return p
}

// ServeHTTP implements http.Handler.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked = append(p.asked, r.Method+" "+r.Host)
	p.mu.Unlock()
	if want := "Basic " + base64.StdEncoding.EncodeToString([]byte(p.login)); p.login != "" && r.Header.Get("Proxy-Authorization") != want {
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	if p.answer != 0 {
		w.WriteHeader(p.answer)
		return
	}
	far, err := p.dial(r.Context(), "tcp", r.Host)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	p.tunnels.Add(1)
	defer p.tunnels.Done()
	near, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		far.Close()
		return
	}
	io.WriteString(near, "HTTP/1.1 200 Connection established\r\n\r\n")
	p.tunnels.Go(func() {
		io.Copy(far, near)
		far.Close()
	})
	io.Copy(near, far)
	near.Close()
}

// url is the proxy's address with a name and a password.
func (p *proxy) url(login string) *url.URL {
	u, err := url.Parse(p.URL)
	if err != nil {
		panic(err)
	}
	if name, password, ok := strings.Cut(login, ":"); ok {
		u.User = url.UserPassword(name, password)
	}
	return u
}

// targets returns what was asked for.
func (p *proxy) targets() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked)
}

var overProxies = []device.Protocol{device.MQTTWebSocket, device.AMQPWebSocket, device.HTTPS}

// What goes to port 443 goes through the proxy, with a name and a password.
func TestProxy(t *testing.T) {
	for _, p := range overProxies {
		t.Run(p.String(), func(t *testing.T) {
			h := testhub.Start(t, testhub.HostNames("hub.test"))
			h.CreateDevice("d1")
			between := startProxy(t, &proxy{dial: h.Dial, login: "name:pass/word"})
			c, err := device.NewFromConnectionString(h.DeviceConnectionString("d1"), &device.Options{
				Protocol: p, CA: h.CA,
				Proxy: func(target *url.URL) (*url.URL, error) {
					if target.Hostname() != "hub.test" {
						t.Errorf("asked for the proxy of %s", target)
					}
					return between.url("name:pass/word"), nil
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Connect(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := c.SendTelemetry(t.Context(), &hubward.Message{Body: []byte("x")}); err != nil {
				t.Error(err)
			}
			if err := backEnd(t, h).SendC2D(t.Context(), "d1", &hubward.Message{MessageID: "m1", Body: []byte("hello")}); err != nil {
				t.Fatal(err)
			}
			if m, err := c.Receive(t.Context()); err != nil || m.MessageID != "m1" || m.Complete(t.Context()) != nil {
				t.Errorf("%+v, %v", m, err)
			}
			if err := c.Close(t.Context()); err != nil {
				t.Error(err)
			}
			if asked := between.targets(); len(asked) == 0 || asked[0] != "CONNECT hub.test:443" {
				t.Errorf("the proxy was asked to %q", asked)
			}
		})
	}
}

// What a proxy refuses is told clearly, and its password is in no error and no log.
func TestProxy_refuses(t *testing.T) {
	const secret = "s3cr3t"
	nobody := httptest.NewServer(nil)
	nobody.Close()
	rows := []struct {
		name  string
		proxy *proxy // nil: nobody listens
		login string
		want  string
	}{
		{"no name given", &proxy{login: "n:p"}, "", "wants a name and a password: http://NAME:PASSWORD@127.0.0.1:"},
		{"another password", &proxy{login: "n:p"}, "n:" + secret, "refused the name and the password"},
		{"forbidden", &proxy{answer: http.StatusForbidden}, "n:" + secret, "answered CONNECT hub.test:443 with 403 Forbidden"},
		{"not a tunnel", &proxy{answer: http.StatusNoContent}, "", "answered CONNECT hub.test:443 with 204 No Content"},
		{"nobody there", nil, "n:" + secret, "proxyconnect tcp"},
	}
	for _, row := range rows {
		address, _ := url.Parse(nobody.URL)
		address.User = url.UserPassword("n", secret)
		if row.proxy != nil {
			address = startProxy(t, row.proxy).url(row.login)
		}
		for _, p := range overProxies {
			var log bytes.Buffer
			c, err := device.NewFromConnectionString("HostName=hub.test;DeviceId=d1;SharedAccessKey="+testKey, &device.Options{
				Protocol: p, Proxy: always(address), Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
			})
			if err != nil {
				t.Fatal(err)
			}
			err = c.Connect(t.Context())
			if hubward.CodeOf(err) != hubward.CodeServiceUnavailable || !strings.Contains(err.Error(), row.want) || !strings.Contains(err.Error(), "no connection to hub.test:443") {
				t.Errorf("%s, %s: %v", row.name, p, err)
			}
			if shown := log.String() + err.Error(); strings.Contains(shown, secret) || strings.Contains(shown, base64.StdEncoding.EncodeToString([]byte("n:"+secret))) {
				t.Errorf("%s, %s: the password is in %s", row.name, p, shown)
			}
			c.Close(t.Context())
		}
	}
}

// always is Options.Proxy for one proxy.
func always(address *url.URL) func(*url.URL) (*url.URL, error) {
	return func(*url.URL) (*url.URL, error) { return address, nil }
}

// MQTT and AMQP on their own ports go past every proxy.
func TestProxy_ownPortsUseNone(t *testing.T) {
	h := testhub.Start(t)
	h.CreateDevice("d1")
	for _, p := range []device.Protocol{device.MQTT, device.AMQP} {
		c, err := device.NewFromConnectionString(h.DeviceConnectionString("d1"), &device.Options{
			Protocol: p, CA: h.CA, Dial: h.Dial,
			Proxy: func(*url.URL) (*url.URL, error) { return nil, errors.New("asked for a proxy") },
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Connect(t.Context()); err != nil {
			t.Errorf("%s: %v", p, err)
		}
		c.Close(t.Context())
	}
}

// The environment is read once by a process, so each of its variants has one.
func TestProxy_ofTheEnvironment(t *testing.T) {
	if protocol := os.Getenv("DEVICE_TEST_PROTOCOL"); protocol != "" {
		connectByEnvironment(t, protocol)
		return
	}
	between := startProxy(t, &proxy{answer: http.StatusForbidden, login: "name:s3cr3t"})
	address := "http://name:s3cr3t@" + strings.TrimPrefix(between.URL, "http://")
	for name, row := range map[string]struct {
		env  string
		want string
	}{
		"HTTPS_PROXY": {"HTTPS_PROXY=" + address, "answered CONNECT hub.test:443 with 403 Forbidden"},
		"https_proxy": {"https_proxy=" + address, "answered CONNECT hub.test:443 with 403 Forbidden"},
		"NO_PROXY":    {"HTTPS_PROXY=" + address + " NO_PROXY=.test", "dialled hub.test:443"},
		"no address":  {"HTTPS_PROXY=http://name:s3cr3t@proxy:%zz", "dialled hub.test:443"}, // net/http ignores it
	} {
		for _, p := range overProxies {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestProxy_ofTheEnvironment$", "-test.v")
			cmd.Env = append([]string{"DEVICE_TEST_PROTOCOL=" + p.String()}, strings.Fields(row.env)...)
			out, err := cmd.CombinedOutput()
			cancel()
			if err != nil || !strings.Contains(string(out), row.want) || strings.Contains(string(out), "s3cr3t") {
				t.Errorf("%s, %s: %v: %s", name, p, err, out)
			}
		}
	}
}

// connectByEnvironment prints why a client cannot connect.
func connectByEnvironment(t *testing.T, protocol string) {
	p, err := device.ParseProtocol(protocol)
	if err != nil {
		t.Fatal(err)
	}
	c, err := device.NewFromConnectionString("HostName=hub.test;DeviceId=d1;SharedAccessKey="+testKey, &device.Options{
		Protocol: p,
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if address == "hub.test:443" {
				return nil, errors.New("dialled " + address)
			}
			var d net.Dialer
			return d.DialContext(ctx, network, address)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(c.Connect(t.Context()))
	c.Close(t.Context())
}
