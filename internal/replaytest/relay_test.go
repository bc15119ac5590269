//go:build record

package replaytest

import (
	"bufio"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/hubward/hubward/internal/front/amqpfront"
	"github.com/hubward/hubward/internal/front/listen"
)

// amqpsPort is where the SDKs look for the hub: most cannot be told another port.
const amqpsPort = "5671"

// relay takes TLS connections on the SDKs' port, hands their bytes to a fixture, and writes down the frames. A frame is
// written down before it is passed on: so whatever one side says because of the other stands behind its cause.
type relay struct {
	ca     string // file of the authority that clients must trust
	hub    string // address of the fixture
	script *transcript

	mu      sync.Mutex // guards script.lines and next
	next    int
	running sync.WaitGroup
}

// newRelay starts a fixture, with the clock at now, and a relay to it.
func newRelay(t *testing.T, client string) *relay {
	t.Helper()
	now := time.Now().UTC().Truncate(time.Second)
	f := newFixture(t, now)
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- f.server.Serve(plain) }()
	// OpenSSL takes no wildcard for a name with a single dot, so the certificate has to have it.
	names := []listen.HubNames{{Hub: hubName, Hosts: []string{host, dottedHost}}}
	certs, err := listen.OpenCertificates(listen.CertificateOptions{Dir: privateDir(t), Hubs: names})
	if err != nil {
		t.Fatal(err)
	}
	front, err := tls.Listen("tcp", net.JoinHostPort("127.0.0.1", amqpsPort), certs.TLSConfig())
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{ca: certs.CAFile(), hub: plain.Addr().String(), script: &transcript{Client: client, Time: now}}
	r.running.Go(func() { r.accept(front) })
	t.Cleanup(func() { // before the fixture's
		front.Close()
		r.running.Wait()
		plain.Close()
		if err := <-served; !errors.Is(err, net.ErrClosed) && !errors.Is(err, amqpfront.ErrServerClosed) {
			t.Error(err)
		}
	})
	return r
}

func privateDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func (r *relay) accept(l net.Listener) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		r.running.Go(func() { r.connect(client.(*tls.Conn)) })
	}
}

// connect passes on one connection until both sides have ended it. A TLS handshake that fails leaves no trace.
func (r *relay) connect(client *tls.Conn) {
	defer client.Close()
	if err := client.Handshake(); err != nil {
		return
	}
	hub, err := net.Dial("tcp", r.hub)
	if err != nil {
		return
	}
	defer hub.Close()
	r.mu.Lock()
	n := r.next
	r.next++
	r.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() {
		r.pass(n, fromClient, client, hub)
		_ = hub.(*net.TCPConn).CloseWrite() // it may be closed already
	})
	both.Go(func() {
		r.pass(n, fromHub, hub, client)
		_ = client.CloseWrite() // likewise
	})
	both.Wait()
}

// pass copies one direction. Heartbeats are passed on and not written down.
func (r *relay) pass(n int, side string, from io.Reader, to io.Writer) {
	in := bufio.NewReader(from)
	for {
		unit, err := readUnit(in)
		l := line{Conn: n, From: side, Text: textEnd}
		if err == nil {
			l.Text = textOf(side, unit)
			if side == fromClient {
				l.Hex = hex.EncodeToString(unit)
			}
		}
		if err != nil || stream(l.Text) != "" || side == fromClient && len(unit) > 8 {
			r.mu.Lock()
			r.script.lines = append(r.script.lines, l)
			r.mu.Unlock()
		}
		if err != nil {
			return
		}
		_, _ = to.Write(unit) // when the other side has gone, the rest is written down all the same
	}
}

// settled waits until every connection has ended on both sides, and returns the transcript.
func (r *relay) settled(t *testing.T) *transcript {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		r.mu.Lock()
		ends := 0
		for _, l := range r.script.lines {
			if l.Text == textEnd {
				ends++
			}
		}
		done := ends == 2*r.next
		r.mu.Unlock()
		if done {
			return r.script
		}
		if time.Now().After(deadline) {
			t.Fatal("connections are still open")
		}
		time.Sleep(20 * time.Millisecond)
	}
}
