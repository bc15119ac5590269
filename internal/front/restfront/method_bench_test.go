package restfront_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// A call from its request to its answer, without net/http, TLS and the device's connection.
func BenchmarkInvokeMethod(b *testing.B) {
	f := newFixture(b)
	f.create("d1")
	f.takes(hubward.Identity{Device: "d1"}, func(e *callee, m *hub.MethodCall) { e.RespondMethod(m.ID, 200, m.Payload) })
	body := `{"methodName":"echo","payload":{"run":"1234abcd","n":123456,"padding":"` + strings.Repeat("x", 210) + `"}}`
	r := f.request(b.Context(), invoke(body))
	w := &discard{header: make(http.Header)}
	handler := f.server.Config.Handler
	b.ReportAllocs()
	for b.Loop() {
		r.Body = io.NopCloser(strings.NewReader(body))
		clear(w.header)
		handler.ServeHTTP(w, r)
		if w.status != http.StatusOK {
			b.Fatalf("status %d", w.status)
		}
	}
}

// discard is a http.ResponseWriter that keeps the status.
type discard struct {
	header http.Header
	status int
}

func (w *discard) Header() http.Header         { return w.header }
func (w *discard) WriteHeader(status int)      { w.status = status }
func (w *discard) Write(p []byte) (int, error) { return len(p), nil }
