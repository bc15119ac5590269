package restfront_test

import (
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward/internal/front/restfront"
)

// requests remembers what it is told.
type requests struct {
	mu    sync.Mutex
	calls map[string]bool // method and path
	seen  []request
}

type request struct {
	Call   string
	Status int
}

func (r *requests) Call(method, path string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls[method+" "+path] = true
}

func (r *requests) Request(method, path string, status int, took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if took < 0 {
		panic("a negative duration")
	}
	r.seen = append(r.seen, request{method + " " + path, status})
}

// Requests are told by the pattern of their call, never by what the client wrote: a scan of paths must not make metrics.
func TestObserver_requests(t *testing.T) {
	seen := &requests{calls: map[string]bool{}}
	f := newFixture(t, func(o *restfront.Options) { o.Observer = seen })
	if !seen.calls["GET /devices/{}"] || !seen.calls["GET /$hubward/events"] {
		t.Errorf("calls %v", seen.calls)
	}
	for _, path := range []string{"/devices/none" + version, "/devices/none", "/wp-login.php", "/devices" + version} {
		f.do(ask{path: path})
	}
	f.server.Close() // when all handlers have ended
	want := []request{{"GET /devices/{}", 404}, {"GET /devices/{}", 400}, {" ", 404}, {"GET /devices", 200}}
	if diff := cmp.Diff(want, seen.seen); diff != "" {
		t.Error(diff)
	}
}
