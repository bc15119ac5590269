package app_test

import (
	"strings"
	"testing"

	"github.com/hubward/hubward/internal/app"
)

// A hub without its log is no use to devices, and only a new start recovers it: the process ends by itself.
func TestRun_endsWhenTheLogHasFailed(t *testing.T) {
	failed := make(chan struct{})
	a, err := app.Open(t.Context(), load(t, t.TempDir(), nil), app.Options{Memory: true, OnReady: func([]app.Listener) { close(failed) }})
	if err != nil {
		t.Fatal(err)
	}
	a.FailingLog(failed)
	if err := a.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "the telemetry log has failed") {
		t.Errorf("Run: %v", err)
	}
}
