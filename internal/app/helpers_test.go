package app_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hubward/hubward/internal/app"
	"github.com/hubward/hubward/internal/config"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/sas"
)

// syncBuffer is a log that may be read while it is written.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// load reads a configuration as serve does: flags over nothing, on any ports of loopback.
func load(t *testing.T, dir string, flags map[string][]string) config.Config {
	t.Helper()
	all := map[string][]string{
		"data": {dir}, "mqtts": {"127.0.0.1:0"}, "https": {"127.0.0.1:0"}, "admin": {"127.0.0.1:0"}, "amqps": {"off"},
	}
	for name, values := range flags {
		all[name] = values
	}
	c, err := config.Load(config.Source{Flags: all})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// running is an App that serves.
type running struct {
	t         *testing.T
	app       *app.App
	dir       string
	addresses map[string]string
	log       *syncBuffer
	cancel    context.CancelFunc
	ended     chan error
	stopped   bool
}

func start(t *testing.T, dir string, flags map[string][]string, edit func(*app.Options)) *running {
	t.Helper()
	r := &running{t: t, dir: dir, addresses: map[string]string{}, log: &syncBuffer{}, ended: make(chan error, 1)}
	ready := make(chan struct{})
	o := app.Options{Version: "v0", LogTo: r.log, OnReady: func(listeners []app.Listener) {
		for _, l := range listeners {
			r.addresses[l.Name] = l.Address
		}
		close(ready)
	}}
	if edit != nil {
		edit(&o)
	}
	a, err := app.Open(t.Context(), load(t, dir, flags), o)
	if err != nil {
		t.Fatal(err)
	}
	r.app = a
	var ctx context.Context
	ctx, r.cancel = context.WithCancel(context.Background())
	go func() { r.ended <- a.Run(ctx) }()
	select {
	case <-ready:
	case err := <-r.ended:
		t.Fatalf("ended before it was ready: %v\n%s", err, r.log)
	}
	t.Cleanup(func() { r.stop() })
	return r
}

// stop drains and fails the test when that does not end well. It may be called twice.
func (r *running) stop() {
	r.t.Helper()
	if r.stopped {
		return
	}
	r.stopped = true
	r.cancel()
	if err := <-r.ended; err != nil {
		r.t.Errorf("Run: %v\n%s", err, r.log)
	}
}

func (r *running) client() *http.Client {
	r.t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(readFile(r.t, filepath.Join(r.dir, "tls", "ca.pem"))) {
		r.t.Fatal("ca.pem holds no certificate")
	}
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	r.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// get asks the hub with a token of the connection string.
func (r *running) get(ctx context.Context, path string, cs sas.ConnectionString) (*http.Response, error) {
	r.t.Helper()
	token, err := sas.Sign(cs.HostName, cs.SharedAccessKey, cs.SharedAccessKeyName, time.Now().Add(time.Hour))
	if err != nil {
		r.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(ctx, "GET", "https://"+r.addresses["https"]+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", token)
	return r.client().Do(req)
}

func (r *running) owner() sas.ConnectionString {
	r.t.Helper()
	cs, err := sas.ParseConnectionString(envFile(r.t, r.dir)["HUBWARD_CONNECTION_STRING"])
	if err != nil {
		r.t.Fatal(err)
	}
	return cs
}

// process is the principal of the program itself, in the first hub.
func process(t *testing.T, a *app.App) *access.Principal {
	t.Helper()
	ref, err := a.Hub().FirstHub()
	if err != nil {
		t.Fatal(err)
	}
	return access.Process(ref)
}

// firstHub returns the configuration of the first hub.
func firstHub(t *testing.T, a *app.App) hub.Config {
	t.Helper()
	hubs, err := a.Hub().Hubs(process(t, a))
	if err != nil {
		t.Fatal(err)
	}
	return hubs[0]
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// envFile reads connection-strings.env as a simple program would.
func envFile(t *testing.T, dir string) map[string]string {
	t.Helper()
	values := map[string]string{}
	for line := range strings.Lines(string(readFile(t, filepath.Join(dir, "connection-strings.env")))) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || !strings.HasPrefix(value, "'") || !strings.HasSuffix(value, "'") {
			t.Fatalf("line %q is not NAME='VALUE'", line)
		}
		values[name] = strings.Trim(value, "'")
	}
	return values
}
