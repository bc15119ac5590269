package service_test

import (
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/hubward/hubward/service"
)

const testKey = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

// fakeHub is a TLS server with a script in place of a hub.
type fakeHub struct {
	*httptest.Server
	host string

	mu   sync.Mutex
	seen []*http.Request
}

func newFakeHub(t *testing.T, handle http.HandlerFunc) *fakeHub {
	t.Helper()
	f := &fakeHub{}
	f.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.seen = append(f.seen, r.Clone(r.Context()))
		f.mu.Unlock()
		handle(w, r)
	}))
	t.Cleanup(func() {
		f.CloseClientConnections()
		f.Close()
	})
	f.host = strings.TrimPrefix(f.URL, "https://")
	return f
}

func (f *fakeHub) requests() []*http.Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen
}

func (f *fakeHub) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(f.Certificate())
	return pool
}

func (f *fakeHub) connectionString() string {
	return "HostName=" + f.host + ";SharedAccessKeyName=iothubowner;SharedAccessKey=" + testKey
}

func (f *fakeHub) client(t *testing.T, o *service.Options) *service.Client {
	t.Helper()
	if o == nil {
		o = &service.Options{}
	}
	o.RootCAs = f.pool()
	c, err := service.NewFromConnectionString(f.connectionString(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// answer writes a canned JSON answer.
func answer(w http.ResponseWriter, status int, body string, header ...string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	for i := 0; i+1 < len(header); i += 2 {
		w.Header()[header[i]] = []string{header[i+1]}
	}
	w.WriteHeader(status)
	w.Write([]byte(body))
}
