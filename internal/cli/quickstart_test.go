package cli_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hubward/hubward/internal/app"
	"github.com/hubward/hubward/internal/cli"
	"github.com/hubward/hubward/internal/config"
)

func TestQuickstart_showsTelemetryAndCleansUp(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	status, stdout, stderr := runLine(t, nil, "quickstart", "--exit-after", "3", "--interval", "5ms")
	if status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	if n := strings.Count(stdout, `MyFirstDevice  {"deviceId":"MyFirstDevice","windSpeed":`); n != 3 {
		t.Errorf("%d events in\n%s", n, stdout)
	}
	for _, line := range []string{"\nback end  sends MyFirstDevice ", "\ndevice    got {\"fan\":\"on\"} over MQTT", ": Success\n"} {
		if strings.Count(stdout, line) != 1 {
			t.Errorf("no %q in\n%s", line, stdout)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "hubward-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestQuickstart_keepsItsDataWhenAsked(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	for range 2 { // the second time the device is there already
		if status, _, stderr := runLine(t, nil, "quickstart", "--data", data, "--exit-after", "1", "--interval", "5ms"); status != 0 {
			t.Fatalf("status %d: %s", status, stderr)
		}
	}
	if _, err := os.Stat(filepath.Join(data, "connection-strings.env")); err != nil {
		t.Error(err)
	}
}

// A folder of serve may belong to a hub with names that this machine cannot look up; they stay as they are.
func TestQuickstart_inAFolderOfServe(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	c, err := config.Load(config.Source{Flags: map[string][]string{"data": {data}, "hostname": {"hub.example.com"}, "mqtts": {"127.0.0.1:0"}}})
	if err != nil {
		t.Fatal(err)
	}
	a, err := app.Open(t.Context(), c, app.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if status, _, stderr := runLine(t, nil, "quickstart", "--data", data, "--exit-after", "1", "--interval", "5ms"); status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	if text, err := os.ReadFile(filepath.Join(data, "connection-strings.env")); err != nil || !strings.Contains(string(text), "HostName=hub.example.com;") {
		t.Errorf("the hub lost its host name: %v", err)
	}
}

func TestQuickstart_badFlags(t *testing.T) {
	for _, line := range [][]string{{"--exit-after", "-1"}, {"--interval", "0s"}, {"extra"}, {"--nosuch"}} {
		if status, _, stderr := runLine(t, nil, append([]string{"quickstart"}, line...)...); status != 2 || !strings.Contains(stderr, "usage: hubward quickstart") {
			t.Errorf("%v: status %d, %s", line, status, stderr)
		}
	}
}

func TestQuickstart_interruptedBeforeTheCount(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	out := &onWrite{contains: `"windSpeed":`, do: interrupt}
	var errs lockedBuffer
	env := cli.Env{Stdout: out, Stderr: &errs, Getenv: func(string) string { return "" }}
	if status := cli.Main(ctx, env, []string{"quickstart", "--exit-after", "100", "--interval", "10ms"}); status != 1 || !strings.Contains(errs.String(), "of 100 events") {
		t.Errorf("status %d, %s", status, errs.String())
	}
}
