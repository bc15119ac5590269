package adminfront

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// Probe checks one part of the process.
type Probe struct {
	Name  string // as the answer shows it, e.g. "store"
	Check func(ctx context.Context) error
}

// readiness answers whether the process can do its work. A part that hangs, as a dying disk does, is reported and not
// asked again before it has come back: checks do not pile up.
type readiness struct {
	parts   []*part
	stop    <-chan struct{}
	timeout time.Duration
	logger  *slog.Logger

	mu     sync.Mutex
	logged string // guarded by mu: what the log was last told of what fails
}

func newReadiness(o Options) *readiness {
	r := &readiness{stop: o.Stop, timeout: o.Timeout, logger: o.Logger}
	for _, p := range o.Probes {
		r.parts = append(r.parts, &part{Probe: p})
	}
	return r
}

func (r *readiness) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	// Not the request's context: an impatient prober must not make a shared check fail.
	failing := r.failing(context.WithoutCancel(req.Context()))
	select {
	case <-r.stop: // perhaps because a part has failed
		answer(w, http.StatusServiceUnavailable, health{Status: "draining", Failing: failing})
		return
	default:
	}
	if len(failing) > 0 {
		answer(w, http.StatusServiceUnavailable, health{Status: "failing", Failing: failing})
		return
	}
	answer(w, http.StatusOK, health{Status: "ready"})
}

// failing asks all parts at once, and returns those that fail, with why.
func (r *readiness) failing(ctx context.Context) map[string]string {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	checks := make([]*check, len(r.parts))
	for i, p := range r.parts {
		checks[i] = p.start(r.timeout)
	}
	failing := map[string]string{}
	for i, p := range r.parts {
		if err := checks[i].wait(ctx); err != nil {
			failing[p.Name] = err.Error()
		}
	}
	r.log(failing)
	return failing
}

// log tells of what fails when that is another than before: probes come every few seconds.
func (r *readiness) log(failing map[string]string) {
	now := fmt.Sprint(failing)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case now == r.logged || len(failing) == 0 && r.logged == "":
		return
	case len(failing) == 0:
		r.logger.Info("ready again")
		now = ""
	default:
		r.logger.Warn("not ready", "failing", failing)
	}
	r.logged = now
}

// part is one probe with the check that is under way, if any: callers at the same time share it.
type part struct {
	Probe

	mu      sync.Mutex
	running *check
}

// check is one run of a probe. err is set before done is closed.
type check struct {
	done chan struct{}
	err  error
}

var errHangs = errors.New("no answer in time")

// start returns the check that is under way, or begins one. Its goroutine ends when the probe does, which the deadline
// urges it to; there is at most one for each part.
func (p *part) start(timeout time.Duration) *check {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running != nil {
		return p.running
	}
	c := &check{done: make(chan struct{})}
	p.running = c
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		c.err = p.Check(ctx)
		p.mu.Lock()
		p.running = nil
		p.mu.Unlock()
		close(c.done)
	}()
	return c
}

func (c *check) wait(ctx context.Context) error {
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
	}
	select {
	case <-c.done: // while another part used the time up
		return c.err
	default:
		return errHangs
	}
}
