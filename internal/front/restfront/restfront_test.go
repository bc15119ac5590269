package restfront_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hubward/hubward"
)

// A request that the end of the process cuts short must not look like a success.
func TestCancelledRequest_isAnError(t *testing.T) {
	f := newFixture(t)
	f.create("d1")
	ctx, cancel := context.WithCancel(t.Context())
	r := f.request(ctx, ask{method: "PUT", path: "/devices/d2" + version, body: `{}`})
	cancel()
	w := httptest.NewRecorder()
	f.server.Config.Handler.ServeHTTP(w, r)
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), hubward.CodeServiceUnavailable.String()) {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestPanic_isLoggedAndClosesTheConnection(t *testing.T) {
	f := newFixture(t)
	r := f.request(t.Context(), ask{path: "/devices/d1" + version})
	defer func() {
		if got := recover(); got != http.ErrAbortHandler {
			t.Errorf("recovered %v", got)
		}
		if log := f.logs.String(); !strings.Contains(log, "stack=") || !strings.Contains(log, "the writer is broken") {
			t.Errorf("log:\n%s", log)
		}
	}()
	f.server.Config.Handler.ServeHTTP(brokenWriter{httptest.NewRecorder()}, r)
}

type brokenWriter struct{ http.ResponseWriter }

func (brokenWriter) WriteHeader(int) { panic("the writer is broken") }
