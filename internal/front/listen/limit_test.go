package listen_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hubward/hubward/internal/front/listen"
)

// limited is a listener with a limit, and the connections that came through it.
type limited struct {
	t        *testing.T
	limit    *listen.Limit
	listener *listen.Listener
	accepted chan net.Conn
}

func withLimit(t *testing.T, o listen.LimitOptions) *limited {
	t.Helper()
	l := &limited{t: t, limit: listen.NewLimit(o), accepted: make(chan net.Conn, 100)}
	l.listener = open(t, listen.Options{Option: "mqtts", Address: "127.0.0.1:0", Limit: l.limit})
	go func() {
		for {
			conn, err := l.listener.Accept()
			if err != nil {
				return
			}
			l.accepted <- conn
		}
	}()
	return l
}

// accept dials and returns the two ends of a connection that has a place.
func (l *limited) accept() (near, far net.Conn) {
	l.t.Helper()
	near = dial(l.t, l.listener.Addr().String())
	far = <-l.accepted
	l.t.Cleanup(func() { far.Close() })
	return near, far
}

// wantClosed checks that the server has closed a connection.
func wantClosed(t *testing.T, what string, near net.Conn) {
	t.Helper()
	near.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.ReadAll(near); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%s: %v", what, err)
	}
}

func (l *limited) want(open int, refused int64) {
	l.t.Helper()
	if l.limit.Open() != open || l.limit.Refused() != refused {
		l.t.Errorf("open %d, refused %d; want %d, %d", l.limit.Open(), l.limit.Refused(), open, refused)
	}
}

func TestLimit_refusesBeyondAndFreesOnClose(t *testing.T) {
	l := withLimit(t, listen.LimitOptions{Max: 2})
	_, first := l.accept()
	listen.LoggedIn(first)
	l.want(1, 0)
	_, second := l.accept()
	listen.LoggedIn(second)
	l.want(2, 0)
	wantClosed(t, "one above", dial(t, l.listener.Addr().String()))
	l.want(2, 1)
	first.Close()
	first.Close() // counts once
	l.want(1, 1)
	l.accept()
	l.want(2, 1)
}

// When all places are taken, the oldest of those that have not logged in makes room for a new one; those that have are safe.
func TestLimit_whoHasNotLoggedInMakesRoom(t *testing.T) {
	l := withLimit(t, listen.LimitOptions{Max: 3})
	_, device := l.accept()
	listen.LoggedIn(device)
	older, _ := l.accept()
	newer, newerFar := l.accept()
	l.accept()
	wantClosed(t, "the older one", older)
	l.want(3, 1)
	listen.LoggedIn(newerFar) // in time
	l.accept()                // in place of the last one
	l.want(3, 2)
	listen.Waits(newerFar) // as HTTPS between requests: the youngest of those that wait
	l.accept()
	l.want(3, 3)
	l.accept()
	wantClosed(t, "the one that waits again", newer)
	l.want(3, 4)
	if _, err := device.Write([]byte("x")); err != nil {
		t.Errorf("the device that is logged in: %v", err)
	}
	newerFar.Close() // it has given its place up
	l.want(3, 4)
	listen.Waits(newerFar)
	l.want(3, 4)
}

// What is logged in below TLS is found.
func TestLoggedIn_belowTLS(t *testing.T) {
	l := withLimit(t, listen.LimitOptions{Max: 1})
	_, far := l.accept()
	listen.LoggedIn(tls.Server(far, &tls.Config{}))
	wantClosed(t, "another one", dial(t, l.listener.Addr().String()))
	l.want(1, 1)
	near, other := net.Pipe() // has no place
	defer near.Close()
	listen.LoggedIn(other)
	if !listen.Move(other, l.limit) {
		t.Error("a connection without a place is refused")
	}
}

// A connection that turns out to speak another protocol counts as one of that.
func TestMove(t *testing.T) {
	l := withLimit(t, listen.LimitOptions{Max: 3})
	to := listen.NewLimit(listen.LimitOptions{Max: 1})
	_, first := l.accept()
	if !listen.Move(tls.Server(first, &tls.Config{}), to) || to.Open() != 1 {
		t.Error("no place")
	}
	l.want(0, 0)
	listen.LoggedIn(first)
	_, second := l.accept()
	if listen.Move(second, to) || to.Open() != 1 || to.Refused() != 1 {
		t.Errorf("open %d, refused %d", to.Open(), to.Refused())
	}
	second.Close()
	l.want(0, 0)
	first.Close()
	if to.Open() != 0 {
		t.Error("its place is not free")
	}
	_, third := l.accept()
	third.Close()
	if listen.Move(third, to) || to.Open() != 0 {
		t.Error("a closed connection has a place")
	}
}

// A flood of refused connections is no flood of lines.
func TestLimit_logs(t *testing.T) {
	var log bytes.Buffer
	now := time.Unix(1000, 0)
	l := withLimit(t, listen.LimitOptions{
		Protocol: "mqtt", Max: 1, Now: func() time.Time { return now }, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	_, device := l.accept()
	listen.LoggedIn(device)
	for range 5 {
		wantClosed(t, "one above", dial(t, l.listener.Addr().String()))
	}
	l.want(1, 5)
	l.listener.Close()
	if lines := strings.Count(log.String(), "protocol=mqtt limit=1 refused=1\n"); lines != 1 || strings.Count(log.String(), "\n") != 1 {
		t.Errorf("the log says\n%s", &log)
	}
}

func TestMostConnections(t *testing.T) {
	if n := listen.MostConnections(); n < 1 {
		t.Errorf("%d", n)
	}
	if n := listen.NewLimit(listen.LimitOptions{}).Max(); n != 1 {
		t.Errorf("a limit of none is %d", n)
	}
}
