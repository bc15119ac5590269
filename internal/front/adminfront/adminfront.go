// Package adminfront is the operator's port: metrics, health and profiles, without TLS and log-in, and therefore meant
// for loopback. It knows no hub: what it shows is handed to it.
//
//	GET /metrics          Prometheus metrics
//	GET /healthz/live     200 while the process serves
//	GET /healthz/ready    200 when every probe has succeeded, else 503; also as /healthz
//	GET /debug/pprof/     Go profiles
//	POST /snapshot?into=  fills an empty folder inside the data folder: whoever could make that may have what is in it
package adminfront

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"time"
)

// Options are what the port shows.
type Options struct {
	Metrics http.Handler
	Probes  []Probe         // all must succeed for the process to be ready
	Stop    <-chan struct{} // closed when the process begins to drain: it is not ready any more. nil: never
	Timeout time.Duration   // of one readiness check; zero: 5 s
	Logger  *slog.Logger    // nil: nothing is logged
	// Snapshot fills the folder of that name with copies of what the engines hold; nil: there is no such call.
	Snapshot func(ctx context.Context, folder string) error
}

const defaultTimeout = 5 * time.Second

// Front is the operator's port: its handler, and what it knows of the process.
type Front struct {
	http.Handler
	ready *readiness
}

// Ready asks the parts of the process as the readiness call does, and returns for each whether it can do its work. A part
// that has not answered when ctx ends cannot.
func (f *Front) Ready(ctx context.Context) map[string]bool {
	failing := f.ready.failing(ctx)
	ready := make(map[string]bool, len(f.ready.parts))
	for _, p := range f.ready.parts {
		_, fails := failing[p.Name]
		ready[p.Name] = !fails
	}
	return ready
}

// New returns the operator's port.
func New(o Options) *Front {
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	ready := newReadiness(o)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", o.Metrics)
	mux.HandleFunc("GET /healthz/live", live)
	mux.Handle("GET /healthz/ready", ready)
	mux.Handle("GET /healthz", ready)
	if o.Snapshot != nil {
		mux.HandleFunc("POST /snapshot", snapshot(o))
	}
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return &Front{mux, ready}
}

// snapshot answers when the snapshot is there, or why it is not.
func snapshot(o Options) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := o.Snapshot(r.Context(), r.URL.Query().Get("into"))
		if err != nil {
			o.Logger.Warn("no snapshot was made", "error", err)
			http.Error(w, err.Error(), http.StatusConflict)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

func live(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, health{Status: "live"})
}

// health is the body of the health calls.
type health struct {
	Status  string            `json:"status"`            // "live", "ready", "draining" or "failing"
	Failing map[string]string `json:"failing,omitempty"` // part → why
}

func answer(w http.ResponseWriter, status int, h health) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(h) // to a client that has gone, at worst
}
