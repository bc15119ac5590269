package amqpfront

import (
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hubward/hubward/internal/front/amqpengine"
)

// maxTracePatterns bounds the list: each connection is held against all of it.
const maxTracePatterns = 100

// tracer decides which connections' frames are written down.
type tracer struct {
	now func() time.Time

	mu       sync.Mutex // guards patterns; held while a connection is told, so that set and connected cannot cross
	patterns []string

	writing sync.Mutex // serialises writes to out
	out     io.Writer
}

func newTracer(out io.Writer, now func() time.Time, patterns []string) *tracer {
	return &tracer{now: now, out: out, patterns: trimPatterns(patterns)}
}

// trimPatterns drops empty patterns, which would match each container id.
func trimPatterns(patterns []string) []string {
	kept := make([]string, 0, len(patterns))
	for _, p := range patterns {
		if p = strings.TrimSpace(p); p != "" && len(kept) < maxTracePatterns {
			kept = append(kept, p)
		}
	}
	return kept
}

func (t *tracer) set(patterns []string, connections func() []*amqpengine.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.patterns = trimPatterns(patterns)
	for _, c := range connections() {
		t.tellLocked(c)
	}
}

// connected is called with each new connection, and again when its container id is known.
func (t *tracer) connected(c *amqpengine.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.patterns) > 0 {
		t.tellLocked(c)
	}
}

func (t *tracer) tellLocked(c *amqpengine.Conn) {
	if t.out == nil {
		return
	}
	if matchesTrace(t.patterns, c.RemoteAddr(), c.ContainerID()) {
		c.Trace(&traceWriter{tracer: t, name: " #" + strconv.FormatUint(c.ID(), 10) + " "})
	} else {
		c.Trace(nil)
	}
}

// matchesTrace reports whether a pattern names the connection. container is empty before the open.
func matchesTrace(patterns []string, remote net.Addr, container string) bool {
	host := ""
	if remote != nil {
		host = remote.String()
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		host, _, _ = strings.Cut(host, "%")
	}
	return slices.ContainsFunc(patterns, func(p string) bool {
		if p == "*" || p == host {
			return true
		}
		if want, have := net.ParseIP(p), net.ParseIP(host); want != nil && have != nil {
			return want.Equal(have)
		}
		return container != "" && strings.HasPrefix(container, p)
	})
}

// traceWriter puts time and connection before each line. It is safe for concurrent use.
type traceWriter struct {
	tracer *tracer
	name   string
}

func (w *traceWriter) Write(line []byte) (int, error) {
	out := w.tracer.now().UTC().AppendFormat(make([]byte, 0, len(line)+48), "2006-01-02T15:04:05.000000Z")
	out = append(append(out, w.name...), line...)
	w.tracer.writing.Lock()
	defer w.tracer.writing.Unlock()
	if _, err := w.tracer.out.Write(out); err != nil {
		return 0, err
	}
	return len(line), nil
}
