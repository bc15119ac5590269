package loopback_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"syscall"
	"testing"

	"github.com/hubward/hubward/internal/loopback"
)

// listen returns the port of a listener on one address alone.
func listen(t *testing.T, ip string) string {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(ip, "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func TestDialContext_namesBelowLocalhost(t *testing.T) {
	var d loopback.Dialer
	for ip, network := range map[string]string{"127.0.0.1": "tcp4", "::1": "tcp6"} {
		port := listen(t, ip)
		for _, host := range []string{"plant.localhost", "Plant.LocalHost.", "plant.device.localhost"} {
			for _, n := range []string{"tcp", network} {
				nc, err := d.DialContext(t.Context(), n, net.JoinHostPort(host, port))
				if err != nil {
					t.Errorf("%s on %s, %s: %v", host, ip, n, err)
					continue
				}
				if got := nc.RemoteAddr().(*net.TCPAddr).IP.String(); got != ip {
					t.Errorf("%s leads to %s, want %s", host, got, ip)
				}
				nc.Close()
			}
		}
		other := map[string]string{"tcp4": "tcp6", "tcp6": "tcp4"}[network]
		if nc, err := d.DialContext(t.Context(), other, "plant.localhost:"+port); err == nil {
			t.Errorf("%s leads to %s", other, nc.RemoteAddr())
			nc.Close()
		}
	}
}

func TestDialContext_nobodyListens(t *testing.T) {
	var d loopback.Dialer
	if _, err := d.DialContext(t.Context(), "tcp", "plant.localhost:1"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("error %v", err)
	}
}

// Every other name is the resolver's.
func TestDialContext_otherNames(t *testing.T) {
	asked := errors.New("the resolver was asked")
	d := loopback.Dialer{Dialer: net.Dialer{Resolver: &net.Resolver{
		PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, asked },
	}}}
	for _, host := range []string{"plant.localhost.example", "xlocalhost", ".localhost", "localhost.x"} {
		if nc, err := d.DialContext(t.Context(), "tcp", net.JoinHostPort(host, "1")); err == nil {
			t.Errorf("%s leads to %s", host, nc.RemoteAddr())
			nc.Close()
		} else if errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s is taken for loopback: %v", host, err)
		}
	}
}

func TestProxy(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://proxy.example:3128")
	for host, want := range map[string]bool{"plant.localhost": false, "plant.localhost:8443": false, "plant.example": true} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+host, nil)
		if err != nil {
			t.Fatal(err)
		}
		if proxy, err := loopback.Proxy(r); err != nil || (proxy != nil) != want {
			t.Errorf("%s: proxy %v, %v", host, proxy, err)
		}
	}
}
