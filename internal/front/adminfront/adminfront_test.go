package adminfront_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward/internal/front/adminfront"
)

type health struct {
	Status  string
	Failing map[string]string
}

func get(t *testing.T, h http.Handler, path string) (int, health) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	var body health
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatalf("%s: %v: %s", path, err, w.Body)
	}
	return w.Code, body
}

func probe(name string, err error) adminfront.Probe {
	return adminfront.Probe{Name: name, Check: func(context.Context) error { return err }}
}

func TestReady(t *testing.T) {
	stopped := make(chan struct{})
	close(stopped)
	tests := []struct {
		name   string
		o      adminfront.Options
		status int
		want   health
	}{
		{"all well", adminfront.Options{Probes: []adminfront.Probe{probe("store", nil), probe("log", nil)}}, 200, health{Status: "ready"}},
		{"one fails", adminfront.Options{Probes: []adminfront.Probe{probe("store", nil), probe("log", errors.New("disk full"))}},
			503, health{Status: "failing", Failing: map[string]string{"log": "disk full"}}},
		{"draining", adminfront.Options{Probes: []adminfront.Probe{probe("store", nil)}, Stop: stopped}, 503, health{Status: "draining"}},
		{"draining because one has failed", adminfront.Options{Probes: []adminfront.Probe{probe("store", nil), probe("log", errors.New("disk full"))}, Stop: stopped},
			503, health{Status: "draining", Failing: map[string]string{"log": "disk full"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.o.Metrics = http.NotFoundHandler()
			h := adminfront.New(tt.o)
			for _, path := range []string{"/healthz/ready", "/healthz"} {
				status, body := get(t, h, path)
				if diff := cmp.Diff(tt.want, body); status != tt.status || diff != "" {
					t.Errorf("%s: status %d, want %d: %s", path, status, tt.status, diff)
				}
			}
			if status, body := get(t, h, "/healthz/live"); status != 200 || body.Status != "live" {
				t.Errorf("live: %d, %v", status, body)
			}
		})
	}
}

// TestReady_hangingProbe lets a probe ignore its deadline: the answer comes after five seconds, and the probe is not
// started a second time while it hangs.
func TestReady_hangingProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var runs atomic.Int32
		hang := adminfront.Probe{Name: "store", Check: func(context.Context) error {
			runs.Add(1)
			<-release
			return nil
		}}
		h := adminfront.New(adminfront.Options{Metrics: http.NotFoundHandler(), Probes: []adminfront.Probe{hang, probe("log", nil)}})
		want := health{Status: "failing", Failing: map[string]string{"store": "no answer in time"}}
		begin := time.Now()
		for range 2 {
			status, body := get(t, h, "/healthz/ready")
			if diff := cmp.Diff(want, body); status != 503 || diff != "" {
				t.Errorf("status %d: %s", status, diff)
			}
		}
		if took := time.Since(begin); took != 10*time.Second {
			t.Errorf("two checks took %s", took)
		}
		if n := runs.Load(); n != 1 {
			t.Errorf("the probe ran %d times", n)
		}
		close(release)
		synctest.Wait()
		if status, _ := get(t, h, "/healthz/ready"); status != 200 || runs.Load() != 2 {
			t.Errorf("status %d after %d runs, once it answers again", status, runs.Load())
		}
	})
}

func TestNew_routes(t *testing.T) {
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "metrics here") })
	h := adminfront.New(adminfront.Options{Metrics: metrics})
	for path, want := range map[string]int{"/metrics": 200, "/debug/pprof/": 200, "/debug/pprof/heap": 200, "/debug/pprof/cmdline": 200, "/nothing": 404} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != want {
			t.Errorf("%s: status %d, want %d", path, w.Code, want)
		}
	}
}

// Probes come every few seconds: the log tells of a change.
func TestReady_isLoggedOnce(t *testing.T) {
	var log bytes.Buffer
	var failure error
	p := adminfront.Probe{Name: "log", Check: func(context.Context) error { return failure }}
	h := adminfront.New(adminfront.Options{
		Metrics: http.NotFoundHandler(), Probes: []adminfront.Probe{p}, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	for _, text := range []string{"", "", "one", "one", "two", "two", "", ""} {
		failure = nil
		if text != "" {
			failure = errors.New(text)
		}
		get(t, h, "/healthz/ready")
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 3 || !strings.Contains(lines[0], "log:one") || !strings.Contains(lines[1], "log:two") || !strings.Contains(lines[2], "ready again") {
		t.Errorf("logged:\n%s", log.String())
	}
}

// Metrics show the same checks part by part; a part that does not answer before the caller's time is up cannot do its work.
func TestFront_ready(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f := adminfront.New(adminfront.Options{Metrics: http.NotFoundHandler(), Probes: []adminfront.Probe{
			probe("store", nil), probe("log", errors.New("disk full")),
			{Name: "disk", Check: func(context.Context) error { <-release; return nil }},
		}})
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		begin := time.Now()
		if diff := cmp.Diff(map[string]bool{"store": true, "log": false, "disk": false}, f.Ready(ctx)); diff != "" {
			t.Error(diff)
		}
		if took := time.Since(begin); took != 2*time.Second {
			t.Errorf("after %v", took)
		}
		close(release)
	})
}
