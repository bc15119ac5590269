// Package listen opens the hub's TCP listeners and owns its server certificates. It knows no protocol: it hands out
// net.Conn, and tls.Conn whose handshake has not begun, so that a slow peer holds up nobody's accept loop.
//
// Certificates are made by an authority of our own, kept in the data folder, unless the operator gives one. They are
// read through an atomic pointer at each handshake: a reload drops no connection.
package listen

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// Bounds of the pause after a failed accept, e.g. when the process is out of file descriptors.
const (
	minPause = 5 * time.Millisecond
	maxPause = time.Second
)

// Options are what a listener is opened with.
type Options struct {
	Option  string       // the flag that moves it, without dashes: errors tell the user
	Address string       // host:port; an empty host binds all addresses, IPv4 and IPv6
	Limit   *Limit       // of connections, shared by the listeners of a protocol; nil: none
	Logger  *slog.Logger // nil: nothing is logged
}

// Listener accepts TCP connections. Accept survives every failure but Close: it pauses 5 ms to 1 s and tries again.
// A connection for which the limit has no place is closed at once and not handed out.
type Listener struct {
	net.Listener
	option string
	limit  *Limit
	logger *slog.Logger
	closed chan struct{}
	once   sync.Once
}

// TCP opens a listener. An error says which port, why, and what the user can do.
func TCP(ctx context.Context, o Options) (*Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", o.Address)
	if err != nil {
		return nil, explain(o, err)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Listener{Listener: l, option: o.Option, limit: o.Limit, logger: o.Logger, closed: make(chan struct{})}, nil
}

// Option is the flag that moves the listener, without dashes.
func (l *Listener) Option() string { return l.option }

// Accept returns the next connection within the limit. After Close it returns net.ErrClosed.
func (l *Listener) Accept() (net.Conn, error) {
	pause := time.Duration(0)
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return nil, err
			}
			pause = min(max(2*pause, minPause), maxPause)
			l.logger.Warn("accept failed", "listener", l.option, "error", err, "pause", pause)
			if !l.sleep(pause) {
				return nil, net.ErrClosed
			}
			continue
		}
		if l.limit == nil {
			return conn, nil
		}
		if c := l.limit.admit(conn); c != nil {
			return c, nil
		}
	}
}

// sleep waits for d and reports whether the listener is still open.
func (l *Listener) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.closed:
		return false
	}
}

// Close stops listening; connections live on. It may be called more than once.
func (l *Listener) Close() error {
	var err error
	l.once.Do(func() {
		close(l.closed)
		err = l.Listener.Close()
	})
	return err
}

// explain turns a failure to listen into an error that says what to do.
func explain(o Options, err error) error {
	_, port, _ := net.SplitHostPort(o.Address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("port %s is in use (%w): stop the program that uses it or choose another with --%s", port, err, o.Option)
	case errors.Is(err, syscall.EACCES):
		return privilege(o.Option, port, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s is no address of this machine (%w): choose another with --%s", o.Address, err, o.Option)
	}
	return fmt.Errorf("--%s %s: %w", o.Option, o.Address, err)
}

func privilege(option, port string, err error) error {
	program, exeErr := os.Executable()
	if exeErr != nil {
		program = "hubward"
	}
	return fmt.Errorf("port %s needs a privilege that this user lacks (%w): run \"sudo setcap cap_net_bind_service=+ep %s\", "+
		"or \"sudo sysctl net.ipv4.ip_unprivileged_port_start=%s\", or choose another port with --%s behind a forwarder or "+
		"a container's published port (SDKs cannot be told another port than %s)", port, err, program, port, option, port)
}
