package listen_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubward/hubward/internal/front/listen"
)

// pipes is a listener whose connections are pipes from addresses of the test's choice.
type pipes struct {
	next   chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{next: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case nc := <-p.next:
		return nc, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// from is a connection that comes from an address.
type from struct {
	net.Conn
	address netip.Addr
}

// socket is the end of a pipe whose writes do not wait for the other end to read, as those of a socket do not.
type socket struct {
	net.Conn
	mu     sync.Mutex // guards closed, and the sending end of writes
	closed bool
	writes chan []byte
}

// sockets returns the two ends of a connection.
func sockets() (near, far net.Conn) {
	a, b := net.Pipe()
	return newSocket(a), newSocket(b)
}

func newSocket(nc net.Conn) *socket {
	s := &socket{Conn: nc, writes: make(chan []byte, 10_000)}
	go func() {
		defer nc.Close()
		for b := range s.writes {
			if _, err := nc.Write(b); err != nil {
				return
			}
		}
	}()
	return s
}

func (s *socket) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, net.ErrClosed
	}
	s.writes <- bytes.Clone(b)
	return len(b), nil
}

func (s *socket) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		close(s.writes)
	}
	s.Conn.SetReadDeadline(time.Unix(1, 0))
	return nil
}

func (s *socket) SetDeadline(t time.Time) error { return s.SetReadDeadline(t) }

func (f *from) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(f.address, 1))
}

// door is a listener with TLS on pipes, in a bubble of synctest.
type door struct {
	t          *testing.T
	handshakes *listen.Handshakes
	certs      *listen.Certificates
	pipes      *pipes
	listener   net.Listener
	handedOut  chan net.Conn

	mu     sync.Mutex
	hold   chan struct{} // handshakes wait here with their slot; nil: they do not
	order  []string      // the server names in whose handshakes a certificate was asked for
	inside int           // that wait
}

func newDoor(t *testing.T, o listen.HandshakeOptions, change ...func(*tls.Config)) *door {
	t.Helper()
	certs, err := listen.OpenCertificates(listen.CertificateOptions{Dir: t.TempDir(), Hubs: []listen.HubNames{
		{Hub: "one", Hosts: []string{"one.example"}}, {Hub: "two", Hosts: []string{"two.example"}, Aliases: []string{"alias.example"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if o.HubOf == nil {
		o.HubOf = certs.HubOf
	}
	d := &door{t: t, handshakes: listen.NewHandshakes(o), certs: certs, pipes: newPipes(), handedOut: make(chan net.Conn, 100)}
	config := certs.TLSConfig()
	for _, f := range change {
		f(config)
	}
	certificate := config.GetCertificate
	config.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		pair, err := certificate(hello)
		if err == nil {
			d.enter(hello.ServerName)
		}
		return pair, err
	}
	d.listener = d.handshakes.Listener(d.pipes, config)
	go d.accept()
	return d
}

func (d *door) accept() {
	defer close(d.handedOut)
	for {
		nc, err := d.listener.Accept()
		if err != nil {
			return
		}
		d.handedOut <- nc
	}
}

func (d *door) enter(name string) {
	d.mu.Lock()
	hold := d.hold
	d.order = append(d.order, name)
	d.inside++
	d.mu.Unlock()
	if hold != nil {
		<-hold
	}
	d.mu.Lock()
	d.inside--
	d.mu.Unlock()
}

// block has handshakes that are computed from now on take until what it returns is called.
func (d *door) block() (release func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	hold := make(chan struct{})
	d.hold = hold
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.hold = nil
		close(hold)
	}
}

func (d *door) names() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.order)
}

// connect opens a connection from an address.
func (d *door) connect(address string) net.Conn {
	near, far := sockets()
	d.pipes.next <- &from{far, netip.MustParseAddr(address)}
	d.t.Cleanup(func() { near.Close() })
	return near
}

// shake has a client make its handshake, in the background, and returns how that ends.
func (d *door) shake(address, serverName string, change ...func(*tls.Config)) <-chan error {
	config := &tls.Config{ServerName: serverName, InsecureSkipVerify: true}
	for _, f := range change {
		f(config)
	}
	done := make(chan error, 1)
	near := d.connect(address)
	go func() {
		tc := tls.Client(near, config)
		err := tc.Handshake()
		if err == nil { // TLS 1.3's tickets come behind it
			_, err = tc.Read(make([]byte, 1))
			if errors.Is(err, io.EOF) {
				err = nil
			}
		}
		done <- err
	}()
	synctest.Wait()
	return done
}

// drain closes what was handed out, and returns how many that were.
func (d *door) drain() (n int) {
	synctest.Wait()
	for {
		select {
		case nc, ok := <-d.handedOut:
			if !ok {
				return n
			}
			n++
			nc.Close()
		default:
			synctest.Wait()
			return n
		}
	}
}

func (d *door) close() {
	d.listener.Close()
	d.drain()
}

func (d *door) want(what string, want listen.HandshakeStats) {
	d.t.Helper()
	synctest.Wait()
	if got := d.handshakes.Stats(); got != want {
		d.t.Errorf("%s: %+v, want %+v", what, got, want)
	}
}

// wantGone checks that the server has closed a connection, by now.
func wantGone(t *testing.T, what string, near net.Conn) {
	t.Helper()
	near.SetReadDeadline(time.Now()) // the bubble's clock stands still
	if _, err := near.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("%s: %v", what, err)
	}
}

func wantOpen(t *testing.T, what string, near net.Conn) {
	t.Helper()
	near.SetReadDeadline(time.Now())
	if _, err := near.Read(make([]byte, 1)); errors.Is(err, io.EOF) {
		t.Errorf("%s: closed", what)
	}
}

func TestHandshakes_handsOutWhatIsReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, listen.HandshakeOptions{Max: 1})
		defer d.close()
		d.connect("10.0.0.1") // says nothing
		cache := tls.NewLRUClientSessionCache(1)
		resume := func(c *tls.Config) { c.ClientSessionCache = cache }
		first := d.shake("10.0.0.2", "one.example", resume)
		nc := (<-d.handedOut).(*tls.Conn)
		if state := nc.ConnectionState(); !state.HandshakeComplete || state.DidResume || state.ServerName != "one.example" {
			t.Errorf("%+v, %v", state, nc.Handshake())
		}
		nc.Close()
		if err := <-first; err != nil {
			t.Error(err)
		}
		second := d.shake("10.0.0.2", "one.example", resume)
		d.drain()
		if err := <-second; err != nil {
			t.Error(err)
		}
		d.want("after two", listen.HandshakeStats{Full: 1, Resumed: 1})
	})
}

// A silent client, and one that goes on byte by byte, hold a slot at no time, and are gone after ten seconds.
func TestHandshakes_silentAndSlowClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, listen.HandshakeOptions{Max: 1})
		defer d.close()
		silent, slow := d.connect("10.0.0.1"), d.connect("10.0.0.1")
		hello := clientHello(t, "one.example")
		for i := range 9 {
			slow.Write(hello[i : i+1])
			time.Sleep(time.Second)
		}
		wantOpen(t, "silent, after 9 s", silent)
		wantOpen(t, "slow, after 9 s", slow)
		d.want("before", listen.HandshakeStats{})
		time.Sleep(time.Second)
		synctest.Wait()
		wantGone(t, "silent, after 10 s", silent)
		wantGone(t, "slow, after 10 s", slow)
		d.want("after", listen.HandshakeStats{Silent: 2})
	})
}

// A client that sends its ClientHello and then nothing has its turn, and does not keep it.
func TestHandshakes_stalledClientKeepsNoSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, listen.HandshakeOptions{Max: 1})
		defer d.close()
		stalled := d.connect("10.0.0.1")
		go func() {
			stalled.Write(clientHello(t, "one.example"))
			io.Copy(io.Discard, stalled)
		}()
		done := d.shake("10.0.0.1", "two.example")
		if n := d.drain(); n != 1 {
			t.Errorf("%d connections were handed out", n)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		time.Sleep(29*time.Second + 999*time.Millisecond)
		d.want("before 30 s", listen.HandshakeStats{Full: 1})
		time.Sleep(time.Millisecond)
		d.want("after 30 s", listen.HandshakeStats{Full: 1, Failed: 1})
	})
}

func TestHandshakes_bounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, listen.HandshakeOptions{Max: 3})
		defer d.close()
		release := d.block()
		var all []<-chan error
		for range 10 {
			all = append(all, d.shake("10.0.0.1", "one.example"))
		}
		if d.inside != 3 {
			t.Errorf("%d compute, want 3", d.inside)
		}
		d.want("blocked", listen.HandshakeStats{Waiting: 7})
		release()
		if n := d.drain(); n != 10 {
			t.Errorf("%d were handed out", n)
		}
		for _, done := range all {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		d.want("after", listen.HandshakeStats{Full: 10})
	})
}

// Round robin over hubs, and over the sources of each; a name of no hub of ours counts as nobody's, whatever it is.
func TestHandshakes_fair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, listen.HandshakeOptions{Max: 1})
		defer d.close()
		release := d.block()
		d.shake("10.0.0.9", "one.example") // has the slot
		flood := "10.0.0.1"
		for _, c := range []struct{ address, name string }{
			{flood, "one.example"}, {flood, "one.example"}, {flood, "one.example"}, {flood, "x1"}, {flood, "x2"}, {flood, "x3"},
			{"2001:db8::1", "ONE.example"}, {"2001:db8::2", "oNE.example"}, {"10.0.0.2", "alias.example"}, {"10.0.0.3", "two.example"},
		} {
			d.shake(c.address, c.name)
		}
		d.want("blocked", listen.HandshakeStats{Waiting: 10})
		release()
		d.drain()
		want := []string{
			"one.example",
			"one.example", "x1", "alias.example",
			"ONE.example", "x2", "two.example",
			"one.example", "x3",
			"oNE.example",
			"one.example",
		}
		if got := d.names(); !slices.Equal(got, want) {
			t.Errorf("order %q\nwant  %q", got, want)
		}
	})
}

func TestHandshakes_waitsTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		d := newDoor(t, listen.HandshakeOptions{Max: 1, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		defer d.close()
		release := d.block()
		defer release()
		d.shake("10.0.0.1", "one.example")
		first, second := d.shake("10.0.0.2", "one.example"), d.shake("10.0.0.3", "one.example")
		time.Sleep(30*time.Second - 1)
		d.want("before 30 s", listen.HandshakeStats{Waiting: 2})
		time.Sleep(time.Nanosecond)
		d.want("after 30 s", listen.HandshakeStats{Busy: 2})
		if err := errors.Join(<-first, <-second); err == nil {
			t.Error("they got through")
		}
		if n := strings.Count(log.String(), "too many wait for one"); n != 1 {
			t.Errorf("%d lines:\n%s", n, log.String())
		}
	})
}

// When too many wait, the newest one of the source with most has to go, whoever came last.
func TestHandshakes_tooManyWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, listen.HandshakeOptions{Max: 1, MaxWaiting: 3})
		defer d.close()
		release := d.block()
		d.shake("10.0.0.9", "one.example")
		first, second := d.shake("10.0.0.1", "one.example"), d.shake("10.0.0.1", "one.example")
		third := d.shake("10.0.0.1", "one.example")
		d.want("at the bound", listen.HandshakeStats{Waiting: 3})
		other := d.shake("10.0.0.2", "one.example")
		d.want("one above", listen.HandshakeStats{Waiting: 3, Busy: 1})
		if err := <-third; err == nil {
			t.Error("the newest of the flood got through")
		}
		fourth := d.shake("10.0.0.1", "one.example")
		if err := <-fourth; err == nil {
			t.Error("the flood went on")
		}
		release()
		d.drain()
		if err := errors.Join(<-first, <-second, <-other); err != nil {
			t.Error(err)
		}
		d.want("after", listen.HandshakeStats{Full: 4, Busy: 2})
	})
}

func onlyP256(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.CurveP256} }

func firstX25519(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256} }

// A client whose key share the server has no use for begins anew: what it then makes the server compute takes its turn too.
func TestHandshakes_helloRetryRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, listen.HandshakeOptions{Max: 1}, onlyP256)
		defer d.close()
		alone := d.shake("10.0.0.1", "one.example", firstX25519)
		d.drain()
		if err := <-alone; err != nil {
			t.Error(err)
		}
		release := d.block()
		d.shake("10.0.0.1", "one.example", onlyP256) // has the slot
		second := d.shake("10.0.0.2", "two.example", onlyP256)
		third := d.shake("10.0.0.3", "two.example", firstX25519)
		if d.inside != 1 {
			t.Errorf("%d compute", d.inside)
		}
		release()
		d.drain()
		if err := errors.Join(<-second, <-third); err != nil {
			t.Error(err)
		}
		d.want("after", listen.HandshakeStats{Full: 4})
	})
}

// The one that begins anew waits without a slot, and not for ever.
func TestHandshakes_helloRetryRequestTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, listen.HandshakeOptions{Max: 1}, onlyP256)
		defer d.close()
		near := d.connect("10.0.0.2")
		hello := make(chan struct{})
		done := make(chan error, 1)
		go func() { // reads the server's HelloRetryRequest only when told
			config := &tls.Config{ServerName: "one.example", InsecureSkipVerify: true}
			firstX25519(config)
			done <- tls.Client(&pausing{Conn: near, until: hello}, config).Handshake()
		}()
		synctest.Wait()
		release := d.block()
		defer release()
		d.shake("10.0.0.1", "two.example", onlyP256) // has the slot
		close(hello)
		synctest.Wait()
		d.want("waits", listen.HandshakeStats{Waiting: 1})
		time.Sleep(30*time.Second - 1)
		d.want("before 30 s", listen.HandshakeStats{Waiting: 1})
		time.Sleep(time.Nanosecond)
		d.drain()
		if err := <-done; err == nil {
			t.Error("it got through")
		}
		d.want("after", listen.HandshakeStats{Failed: 1, Busy: 1})
	})
}

// pausing is a connection that is not read before until is closed.
type pausing struct {
	net.Conn
	until <-chan struct{}
}

func (p *pausing) Read(b []byte) (int, error) {
	<-p.until
	return p.Conn.Read(b)
}

// What is no TLS is handed out, for whoever serves it to answer.
func TestHandshakes_plainText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, listen.HandshakeOptions{Max: 1})
		defer d.close()
		near := d.connect("10.0.0.1")
		go near.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
		nc := (<-d.handedOut).(*tls.Conn)
		var wrong tls.RecordHeaderError
		if err := nc.Handshake(); !errors.As(err, &wrong) || string(wrong.RecordHeader[:]) != "GET /" || wrong.Conn == nil {
			t.Errorf("%v", err)
		}
		nc.NetConn().Close()
		d.want("after", listen.HandshakeStats{Failed: 1})
	})
}

// Close ends what is under way in every stage, and returns when nothing is left: synctest waits for all goroutines.
func TestHandshakes_close(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, listen.HandshakeOptions{Max: 1})
		silent := d.connect("10.0.0.1")
		stalled := d.connect("10.0.0.1")
		go func() {
			stalled.Write(clientHello(t, "one.example"))
			io.Copy(io.Discard, stalled)
		}()
		synctest.Wait()
		release := d.block()
		computes, waits := d.shake("10.0.0.1", "one.example"), d.shake("10.0.0.1", "one.example")
		time.AfterFunc(time.Second, release)
		d.close()
		if err := d.listener.Close(); err != nil {
			t.Errorf("Close again: %v", err)
		}
		wantGone(t, "silent", silent)
		if <-computes == nil || <-waits == nil {
			t.Error("a handshake succeeded")
		}
		if _, err := d.listener.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept: %v", err)
		}
	})
}

// A ClientHello of many small pieces, and one that does not fit into the first read.
func TestHandshakes_helloInPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, listen.HandshakeOptions{Max: 1})
		defer d.close()
		near := d.connect("10.0.0.1")
		done := make(chan error, 1)
		protocols := make([]string, 90)
		for i := range protocols {
			protocols[i] = strings.Repeat("x", 50)
		}
		go func() {
			config := &tls.Config{ServerName: "two.example", InsecureSkipVerify: true, NextProtos: protocols}
			done <- tls.Client(&pieces{near}, config).Handshake()
		}()
		d.drain()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got := d.names(); !slices.Equal(got, []string{"two.example"}) {
			t.Errorf("%q", got)
		}
	})
}

// pieces writes byte by byte.
type pieces struct{ net.Conn }

func (p *pieces) Write(b []byte) (n int, err error) {
	for i := range b {
		if _, err := p.Conn.Write(b[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(b), nil
}
