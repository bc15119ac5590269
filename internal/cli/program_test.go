package cli_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// eventually waits for what a command does on its own time.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("%s: not within 10 s", what)
		}
	}
}

func TestVersion(t *testing.T) {
	status, stdout, _ := runLine(t, nil, "version")
	if status != 0 || !strings.HasPrefix(stdout, "hubward ") || strings.Count(stdout, "\n") != 1 {
		t.Errorf("status %d: %q", status, stdout)
	}
	status, stdout, _ = runLine(t, nil, "version", "-o", "json")
	var v struct{ Version, Go, Platform string }
	if err := json.Unmarshal([]byte(stdout), &v); err != nil || status != 0 || v.Version == "" || v.Go == "" || v.Platform == "" {
		t.Errorf("status %d, %v: %q", status, err, stdout)
	}
	if status, _, _ := runLine(t, nil, "version", "-o", "xml"); status != 2 {
		t.Errorf("-o xml: status %d, want 2", status)
	}
}

func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		status, stdout, stderr := runLine(t, nil, "completion", shell)
		if status != 0 || !strings.Contains(stdout, "hubward") {
			t.Errorf("%s: status %d: %s", shell, status, stderr)
		}
	}
	for _, args := range [][]string{{"completion"}, {"completion", "tcsh"}} {
		if status, _, stderr := runLine(t, nil, args...); status != 2 || !strings.Contains(stderr, "usage: hubward completion") {
			t.Errorf("%v: status %d: %s", args, status, stderr)
		}
	}
}
