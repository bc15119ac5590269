package pebblelog_test

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/hubward/hubward/internal/eventlog/pebblelog"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/logtest"
)

func TestConformance(t *testing.T) {
	logtest.Run(t, func(t *testing.T, now func() time.Time) hub.EventLog {
		return open(t, pebblelog.Options{Dir: "log", FS: vfs.NewMem(), Now: now})
	})
}

func TestConformance_reopen(t *testing.T) {
	logtest.RunReopen(t, func(t *testing.T, dir string, now func() time.Time) (hub.EventLog, func() error) {
		l, err := pebblelog.Open(pebblelog.Options{Dir: dir, Now: now})
		if err != nil {
			t.Fatal(err)
		}
		return l, l.Close
	})
}

// open opens a log that is closed when t ends.
func open(t testing.TB, o pebblelog.Options) *pebblelog.Log {
	t.Helper()
	l, err := pebblelog.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return l
}
