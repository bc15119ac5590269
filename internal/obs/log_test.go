package obs_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward/internal/obs"
)

// A number without a unit means nothing to who reads the log, and a list in one text nothing to what reads it.
func TestNewLogger_jsonNamesUnits(t *testing.T) {
	var out bytes.Buffer
	log := obs.NewLogger(&out, "json", slog.LevelInfo)
	log.With("pause", 5*time.Millisecond).Info("m", "timeout", 90*time.Second, "names", []string{"a", "b"}, slog.Group("g", "wait", time.Minute))
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	delete(got, "time")
	want := map[string]any{
		"level": "INFO", "msg": "m", "pause_seconds": 0.005, "timeout_seconds": 90.0, "names": []any{"a", "b"},
		"g": map[string]any{"wait_seconds": 60.0},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	out.Reset()
	obs.NewLogger(&out, "text", slog.LevelInfo).Info("m", "timeout", 90*time.Second)
	if !strings.Contains(out.String(), "timeout=1m30s") {
		t.Errorf("as text: %s", out.String())
	}
}
