package listen_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hubward/hubward/internal/front/listen"
)

func open(t *testing.T, o listen.Options) *listen.Listener {
	t.Helper()
	l, err := listen.TCP(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func port(t *testing.T, l net.Listener) string {
	t.Helper()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func TestTCP_emptyHostBindsBothFamilies(t *testing.T) {
	l := open(t, listen.Options{Option: "mqtts", Address: ":0"})
	for _, host := range []string{"127.0.0.1", "::1"} {
		if probe, err := net.Listen("tcp", net.JoinHostPort(host, "0")); err != nil {
			t.Logf("this machine has no %s", host)
			continue
		} else {
			probe.Close()
		}
		dial(t, net.JoinHostPort(host, port(t, l)))
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
}

func TestTCP_portInUse(t *testing.T) {
	taken := open(t, listen.Options{Option: "mqtts", Address: "127.0.0.1:0"})
	address := taken.Addr().String()
	_, err := listen.TCP(t.Context(), listen.Options{Option: "mqtts", Address: address})
	want := fmt.Sprintf("port %s is in use (listen tcp %s: bind: address already in use): "+
		"stop the program that uses it or choose another with --mqtts", port(t, taken), address)
	if err == nil || err.Error() != want {
		t.Errorf("error %v\nwant  %s", err, want)
	}
}

func TestTCP_privilegedPortNamesRemedies(t *testing.T) {
	err := listen.Explain(listen.Options{Option: "https", Address: ":443"}, &net.OpError{Op: "listen", Err: syscall.EACCES})
	for _, want := range []string{"port 443", "setcap cap_net_bind_service", "net.ipv4.ip_unprivileged_port_start=443", "--https", "forwarder"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q lacks %q", err, want)
		}
	}
	if !errors.Is(err, syscall.EACCES) {
		t.Error("the cause is lost")
	}
}

func TestTCP_foreignAddress(t *testing.T) {
	_, err := listen.TCP(t.Context(), listen.Options{Option: "admin", Address: "192.0.2.1:0"})
	if err == nil || !strings.Contains(err.Error(), "is no address of this machine") || !strings.Contains(err.Error(), "--admin") {
		t.Errorf("error %v", err)
	}
}

// failing is a listener whose accepts fail as often as it says before the real ones begin.
type failing struct {
	net.Listener
	failures int
}

func (f *failing) Accept() (net.Conn, error) {
	if f.failures > 0 {
		f.failures--
		return nil, syscall.EMFILE
	}
	return f.Listener.Accept()
}

func TestAccept_survivesFailures(t *testing.T) {
	l := open(t, listen.Options{Option: "mqtts", Address: "127.0.0.1:0"})
	l.Listener = &failing{Listener: l.Listener, failures: 3}
	dial(t, l.Addr().String())
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

func TestAccept_closeEndsPause(t *testing.T) {
	l := open(t, listen.Options{Option: "mqtts", Address: "127.0.0.1:0"})
	l.Listener = &failing{Listener: l.Listener, failures: 1 << 30}
	ended := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		ended <- err
	}()
	l.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("error %v, want net.ErrClosed", err)
	}
}

func TestAccept_closed(t *testing.T) {
	l := open(t, listen.Options{Option: "mqtts", Address: "127.0.0.1:0"})
	l.Close()
	if err := l.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("error %v, want net.ErrClosed", err)
	}
}

func TestTCP_cancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := listen.TCP(ctx, listen.Options{Option: "mqtts", Address: "localhost:0"}); err == nil {
		t.Error("no error")
	}
}
