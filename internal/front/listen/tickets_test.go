package listen_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hubward/hubward/internal/front/listen"
)

// keyStore is a listen.TicketStore in memory.
type keyStore struct {
	mu   sync.Mutex
	keys []listen.SealedKey // the newest first
	last int64
	err  error
	// behind is called once, between the look at the keys and the add of one.
	behind func()
}

func (s *keyStore) TicketKeys(context.Context) ([]listen.SealedKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.keys), s.err
}

func (s *keyStore) AddTicketKey(_ context.Context, newest int64, key listen.SealedKey, oldest time.Time) error {
	if f := s.behind; f != nil {
		s.behind = nil
		f()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last != newest {
		return s.err
	}
	s.last++
	key.ID = s.last
	s.keys = slices.Insert(s.keys, 0, key)
	s.keys = slices.DeleteFunc(s.keys, func(k listen.SealedKey) bool { return k.Created.Before(oldest) })
	return s.err
}

// ticketServer is a server whose session tickets are looked at.
type ticketServer struct {
	t       *testing.T
	tickets *listen.Tickets
	config  *tls.Config
	now     time.Time
}

// newTicketServer has the private key of a folder.
func newTicketServer(t *testing.T, dir string, store listen.TicketStore) *ticketServer {
	t.Helper()
	certs, err := listen.OpenCertificates(listen.CertificateOptions{Dir: dir, Hubs: []listen.HubNames{{Hub: "h", Hosts: []string{"localhost"}}}})
	if err != nil {
		t.Fatal(err)
	}
	s := &ticketServer{t: t, config: certs.TLSConfig(), now: time.Now()}
	s.config.Time = func() time.Time { return s.now }
	s.tickets = listen.NewTickets(listen.TicketOptions{
		Store: store, Certificates: certs, Now: func() time.Time { return s.now }, Rand: rand.Reader, Logger: slog.New(slog.DiscardHandler),
	})
	s.refresh()
	return s
}

func (s *ticketServer) refresh() {
	s.t.Helper()
	if err := s.tickets.Refresh(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// pass moves the clock on, and looks at the store.
func (s *ticketServer) pass(d time.Duration) {
	s.t.Helper()
	s.now = s.now.Add(d)
	s.refresh()
}

// ticketClient connects again and again.
type ticketClient struct {
	t      *testing.T
	config *tls.Config
}

func newTicketClient(t *testing.T, change ...func(*tls.Config)) *ticketClient {
	config := &tls.Config{ServerName: "localhost", InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	for _, f := range change {
		f(config)
	}
	return &ticketClient{t, config}
}

// resumes connects, and reports whether that resumed a session, and what the server knows of the connection.
func (c *ticketClient) resumes(s *ticketServer) (bool, tls.ConnectionState) {
	c.t.Helper()
	near, far := sockets()
	defer near.Close()
	server := tls.Server(far, s.config)
	defer server.Close()
	shaken := make(chan error, 1)
	go func() {
		_, err := server.Write([]byte{1})
		shaken <- err
	}()
	config := c.config.Clone()
	config.Time = func() time.Time { return s.now }
	client := tls.Client(near, config)
	if _, err := client.Read(make([]byte, 1)); err != nil {
		c.t.Fatal(err)
	}
	if err := <-shaken; err != nil {
		c.t.Fatal(err)
	}
	return client.ConnectionState().DidResume, server.ConnectionState()
}

func (c *ticketClient) want(what string, s *ticketServer, want bool) {
	c.t.Helper()
	if got, _ := c.resumes(s); got != want {
		c.t.Errorf("%s: resumed %t, want %t", what, got, want)
	}
}

var tlsVersions = map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13}

func eachVersion(t *testing.T, run func(t *testing.T, version func(*tls.Config))) {
	for name, v := range tlsVersions {
		t.Run(name, func(t *testing.T) { run(t, func(c *tls.Config) { c.MaxVersion = v }) })
	}
}

// A ticket is good after a restart, at another node, and for whatever listener.
func TestTickets_sharedByServers(t *testing.T) {
	eachVersion(t, func(t *testing.T, version func(*tls.Config)) {
		dir, store := t.TempDir(), &keyStore{}
		client := newTicketClient(t, version)
		first := newTicketServer(t, dir, store)
		client.want("the first time", first, false)
		client.want("again", first, true)
		client.want("at another", newTicketServer(t, dir, store), true)
		if len(store.keys) != 1 {
			t.Errorf("%d keys", len(store.keys))
		}
	})
}

// Keys change daily. A ticket outlives two changes of them, and then its key is gone.
func TestTickets_rotation(t *testing.T) {
	eachVersion(t, func(t *testing.T, version func(*tls.Config)) {
		dir, store := t.TempDir(), &keyStore{}
		s := newTicketServer(t, dir, store)
		atOnce, afterTwo, afterThree := newTicketClient(t, version), newTicketClient(t, version), newTicketClient(t, version)
		for _, c := range []*ticketClient{atOnce, afterTwo, afterThree} {
			c.want("the first time", s, false)
		}
		s.pass(24*time.Hour - time.Second)
		if len(store.keys) != 1 {
			t.Errorf("%d keys before a day is over", len(store.keys))
		}
		s.pass(time.Second)
		if len(store.keys) != 2 {
			t.Errorf("%d keys after a day", len(store.keys))
		}
		atOnce.want("after a day", s, true)
		s.pass(24 * time.Hour)
		s.pass(24*time.Hour - time.Second)
		afterTwo.want("just before three days are over", s, true)
		s.pass(time.Second)
		afterThree.want("after three days", s, false)
		s.pass(24 * time.Hour)
		if len(store.keys) != 4 { // one is as old as keys may be, to the second
			t.Errorf("%d keys are left", len(store.keys))
		}
	})
}

// A new key seals once every node has seen it: until then, tickets of one are good at all.
func TestTickets_newKeyIsKnownFirst(t *testing.T) {
	dir, store := t.TempDir(), &keyStore{}
	rotates, late := newTicketServer(t, dir, store), newTicketServer(t, dir, store)
	rotates.pass(24 * time.Hour)
	late.now = rotates.now // it has not looked since
	client := newTicketClient(t)
	client.want("behind the change", rotates, false)
	client.want("at a node that has not looked", late, true)
	rotates.pass(2*time.Minute - time.Second)
	client = newTicketClient(t)
	client.want("before two minutes", rotates, false)
	client.want("at a node that has not looked", late, true)
	rotates.pass(time.Second)
	client = newTicketClient(t)
	client.want("after two minutes", rotates, false)
	late.now = rotates.now
	client.want("at a node that should have looked", late, false)
	late.refresh()
	client = newTicketClient(t)
	client.want("by the new key", rotates, false)
	client.want("at a node that has looked", late, true)
}

// Two nodes that find no key make one between them.
func TestTickets_madeAtOnce(t *testing.T) {
	dir, store := t.TempDir(), &keyStore{}
	var quicker *ticketServer
	store.behind = func() { quicker = newTicketServer(t, dir, store) }
	slower := newTicketServer(t, dir, store)
	if len(store.keys) != 1 {
		t.Errorf("%d keys", len(store.keys))
	}
	client := newTicketClient(t)
	client.want("the first time", slower, false)
	client.want("at the other", quicker, true)
}

// With another private key, no ticket is good; nor do nodes with different ones take the keys from each other.
func TestTickets_anotherPrivateKey(t *testing.T) {
	store := &keyStore{}
	a, b := newTicketServer(t, t.TempDir(), store), newTicketServer(t, t.TempDir(), store)
	client := newTicketClient(t)
	client.want("the first time", a, false)
	client.want("with another private key", b, false)
	for range 3 {
		a.pass(time.Minute)
		b.pass(time.Minute)
	}
	if len(store.keys) != 2 {
		t.Errorf("%d keys", len(store.keys))
	}
}

// What the store gives is not believed: a key that was tampered with, was made younger, or is cut short, opens nothing.
func TestTickets_tampered(t *testing.T) {
	for what, change := range map[string]func(*listen.SealedKey){
		"one bit":   func(k *listen.SealedKey) { k.Sealed[len(k.Sealed)-1] ^= 1 },
		"its time":  func(k *listen.SealedKey) { k.Created = k.Created.Add(time.Second) },
		"its end":   func(k *listen.SealedKey) { k.Sealed = k.Sealed[:len(k.Sealed)-1] },
		"the nonce": func(k *listen.SealedKey) { k.Sealed = k.Sealed[:11] },
		"all":       func(k *listen.SealedKey) { k.Sealed = nil },
	} {
		dir, store := t.TempDir(), &keyStore{}
		client := newTicketClient(t)
		client.want(what+": the first time", newTicketServer(t, dir, store), false)
		change(&store.keys[0])
		client.want(what, newTicketServer(t, dir, store), false)
		if len(store.keys) != 2 {
			t.Errorf("%s: %d keys", what, len(store.keys))
		}
	}
}

// Without the store, the keys that are there go on.
func TestTickets_storeFails(t *testing.T) {
	dir, store := t.TempDir(), &keyStore{}
	s := newTicketServer(t, dir, store)
	client := newTicketClient(t)
	client.want("the first time", s, false)
	store.err = errors.New("the disk is gone")
	s.now = s.now.Add(25 * time.Hour)
	if err := s.tickets.Refresh(t.Context()); !errors.Is(err, store.err) {
		t.Errorf("Refresh: %v", err)
	}
	client.want("again", s, true)
}

// Who has logged in with a certificate has it on a resumed connection too: each log-in looks at it.
func TestTickets_clientCertificate(t *testing.T) {
	cert, key := selfSigned(t, "d1")
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	eachVersion(t, func(t *testing.T, version func(*tls.Config)) {
		s := newTicketServer(t, t.TempDir(), &keyStore{})
		client := newTicketClient(t, version, func(c *tls.Config) { c.Certificates = []tls.Certificate{pair} })
		client.want("the first time", s, false)
		resumed, state := client.resumes(s)
		if !resumed || len(state.PeerCertificates) != 1 || !slices.Equal(state.PeerCertificates[0].Raw, pair.Certificate[0]) {
			t.Errorf("resumed %t, %d certificates", resumed, len(state.PeerCertificates))
		}
	})
}
