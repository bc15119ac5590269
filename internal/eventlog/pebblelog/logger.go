package pebblelog

import (
	"fmt"
	"log/slog"
	"strings"
)

// pebbleLogger is where Pebble writes its log. It implements pebble.Logger.
type pebbleLogger struct {
	log *Log
	out *slog.Logger
}

// Infof drops Pebble's account of each flush and compaction.
func (p *pebbleLogger) Infof(string, ...any) {}

// Errorf implements pebble.Logger.
func (p *pebbleLogger) Errorf(format string, args ...any) {
	text, _, _ := strings.Cut(fmt.Sprintf(format, args...), "\n") // a stack trace may follow
	p.out.Warn("event log: " + text)
}

// Fatalf is called for what Pebble thinks the process cannot survive. It can: the log fails, and keeps its hands off
// the folder from then on.
func (p *pebbleLogger) Fatalf(format string, args ...any) {
	p.log.guard.fail(fmt.Errorf(format, args...))
}
