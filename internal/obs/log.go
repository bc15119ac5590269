// Package obs is what operators see of a running hub: structured logs and Prometheus metrics. It implements
// hub.Observer and the observer of the AMQP front end; taking it away changes no behaviour.
//
// Metrics that IoT Hub has too are named after its own (learn.microsoft.com/azure/iot-hub/monitor-iot-hub-reference);
// all of a hub bear the label hub. What is counted per message is an atomic counter that was found by hub name in a map
// that is never locked; what is counted in the store is looked up when somebody reads the metrics.
package obs

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// NewLogger returns a logger that writes to w in format "text" or "json" (anything else: text). level may be changed
// while it is in use. In JSON a duration is a number of seconds, and its name says so: "timeout_seconds".
func NewLogger(w io.Writer, format string, level slog.Leveler) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if format == "json" {
		o.ReplaceAttr = nameUnits
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// nameUnits turns a duration, which slog writes as a bare number of nanoseconds, into seconds with the unit in its name, as
// Prometheus has it (prometheus.io/docs/practices/naming).
func nameUnits(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() != slog.KindDuration {
		return a
	}
	return slog.Float64(a.Key+"_seconds", a.Value.Duration().Seconds())
}

// NewTraceWriter returns a writer for lines of a protocol trace, one a Write, that go where NewLogger's lines go, at every
// level: as they are, or in JSON as records with the line as "frame". w must be safe for concurrent use.
func NewTraceWriter(w io.Writer, format string) io.Writer {
	if format != "json" {
		return w
	}
	return traceWriter{logger: slog.New(slog.NewJSONHandler(w, nil))}
}

type traceWriter struct{ logger *slog.Logger }

func (t traceWriter) Write(line []byte) (int, error) {
	t.logger.Info("amqp trace", "frame", strings.TrimRight(string(line), "\n"))
	return len(line), nil
}

// ParseLevel reads "debug", "info", "warn" or "error", in any case.
func ParseLevel(s string) (slog.Level, error) {
	switch strings.ToLower(s) {
	case "debug":
		return slog.LevelDebug, nil
	case "info":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, fmt.Errorf("%.40q: not one of debug, info, warn, error", s)
}
