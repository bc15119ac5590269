//go:build interop

package interop_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/childhub"
)

// commandWithin bounds one run of the hubward command.
const commandWithin = 60 * time.Second

// result is what one run of the command left.
type result struct {
	status         int
	stdout, stderr string
}

// command runs hubward with arguments, logged in through the variables that serve has left in its file.
func command(t *testing.T, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandWithin) // clean-ups use it too
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, hub.Binary, args...)
	cmd.Dir = t.TempDir()
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "HUBWARD_CA=" + hub.CA(),
		"HUBWARD_CONNECTION_STRING=" + connectionString(t, "HUBWARD_CONNECTION_STRING"),
	}
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && (!errors.As(err, &exit) || ctx.Err() != nil) {
		t.Fatalf("hubward %s: %v\n%s", args[0], err, stderr.String())
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// mustRun is command for runs that must end with status 0; it returns what they printed.
func mustRun(t *testing.T, args ...string) string {
	t.Helper()
	r := command(t, args...)
	if r.status != 0 {
		t.Fatalf("hubward %s: status %d\n%s", strings.Join(args[:2], " "), r.status, r.stderr)
	}
	return r.stdout
}

func TestCommand_devices(t *testing.T) {
	const id = "command-device"
	var made, shown hubward.Device
	decode(t, mustRun(t, "device", "create", id, "-o", "json"), &made)
	if made.DeviceID != id || made.Authentication == nil || made.Authentication.SymmetricKey.PrimaryKey == "" {
		t.Fatalf("device create printed %+v", made)
	}
	decode(t, mustRun(t, "device", "show", id, "-o", "json"), &shown)
	if shown.ETag != made.ETag || shown.GenerationID != made.GenerationID {
		t.Errorf("device show printed etag %q and generation %q, create %q and %q", shown.ETag, shown.GenerationID, made.ETag, made.GenerationID)
	}
	if list := mustRun(t, "device", "list"); !strings.Contains(list, id) {
		t.Errorf("device list does not name %s:\n%s", id, list)
	}
	want := deviceString("localhost", id, string(made.Authentication.SymmetricKey.PrimaryKey))
	if got := strings.TrimSpace(mustRun(t, "device", "connection-string", id)); got != want {
		t.Error("device connection-string does not print the string of the device's primary key")
	}
	mustRun(t, "device", "delete", id)
	r := command(t, "device", "show", id)
	if r.status != 1 || strings.Count(r.stderr, "\n") != 1 || !strings.Contains(r.stderr, id) {
		t.Errorf("device show of a deleted device: status %d, %q; want 1 and one line that names it", r.status, r.stderr)
	}
}

func TestCommand_wrongUsage(t *testing.T) {
	for _, args := range [][]string{{"device", "create"}, {"device", "list", "--colour"}, {"monitor", "--count", "some"}} {
		r := command(t, args...)
		if r.status != 2 || !strings.Contains(r.stderr, "usage: hubward "+args[0]) || r.stdout != "" {
			t.Errorf("hubward %s: status %d, stderr %q; want 2 and its usage line", strings.Join(args, " "), r.status, r.stderr)
		}
	}
}

// What the command registers, a foreign SDK uses; what simulate sends, monitor shows.
func TestCommand_telemetry(t *testing.T) {
	const id = "command-telemetry"
	mustRun(t, "device", "create", id)
	t.Cleanup(func() {
		if err := deleteDevice(id); err != nil {
			t.Error(err)
		}
	})
	for _, s := range sdks() {
		cs := strings.TrimSpace(mustRun(t, "device", "connection-string", id))
		s.run(t, "telemetry", map[string]string{"DEVICE_CONNECTION_STRING": cs, "RUN_ID": s.name, "COUNT": "5"}, "sync")
	}
	mustRun(t, "simulate", id, "--count", "50", "--interval", "1ms")

	lines := strings.Split(strings.TrimSpace(mustRun(t, "monitor", "--from", "earliest", "--device", id, "--count", "60", "-o", "json")), "\n")
	if len(lines) != 60 {
		t.Fatalf("monitor --count 60 printed %d lines", len(lines))
	}
	for _, line := range lines {
		var e childhub.Event
		decode(t, line, &e)
		if e.Annotations.DeviceID != id || len(e.Body) == 0 {
			t.Fatalf("monitor printed an event of %q with the body %q", e.Annotations.DeviceID, e.Body)
		}
	}
}

// A regenerated key takes the place of the old one at once.
func TestCommand_policyRegenerate(t *testing.T) {
	const name = "readers"
	mustRun(t, "policy", "create", name, "--permissions", "RegistryRead")
	t.Cleanup(func() { mustRun(t, "policy", "delete", name) })
	before := strings.TrimSpace(mustRun(t, "hub", "connection-string", "--policy", name))
	mustRun(t, "device", "list", "--login", before)
	mustRun(t, "policy", "regenerate", name, "--key", "primary")
	after := strings.TrimSpace(mustRun(t, "hub", "connection-string", "--policy", name))
	mustRun(t, "device", "list", "--login", after)
	if r := command(t, "device", "list", "--login", before); r.status != 1 {
		t.Errorf("the replaced key still works: status %d", r.status)
	}
}

// quickstart is a hub of its own on the same ports, so the one under test makes room.
func TestCommand_quickstart(t *testing.T) {
	if err := hub.Stop(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := hub.Start(context.Background()); err != nil {
			t.Fatal(err)
		}
	})
	out := mustRun(t, "quickstart", "--exit-after", "3")
	if !strings.Contains(out, "MyFirstDevice") {
		t.Errorf("quickstart does not name its device:\n%s", out)
	}
}

func decode(t *testing.T, text string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		t.Fatalf("%v in %.300q", err, text)
	}
}
