package main

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// asProgram makes this test binary the program itself.
const asProgram = "HUBWARD_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

// command returns the program with its arguments, as a child process.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

// The end of what reads the output of serve, a log collector or the other side of a shell's pipe, is not the hub's.
func TestServe_outlivesTheReadersOfItsOutput(t *testing.T) {
	cmd := command(t, "serve", "--data", filepath.Join(t.TempDir(), "data"), "--mqtts", "127.0.0.1:0", "--amqps", "off",
		"--https", "off", "--admin", "127.0.0.1:0")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	admin := ""
	lines := bufio.NewScanner(stdout)
	for lines.Scan() && lines.Text() != "ready" {
		if name, address, _ := strings.Cut(lines.Text(), " "); name == "admin" {
			admin = strings.TrimSpace(address)
		}
	}
	stdout.Close()
	stderr.Close()
	for range 3 { // each has something to say
		if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		resp, err := http.Get("http://" + admin + "/healthz/live")
		if err != nil {
			t.Fatalf("it does not serve: %v; it ended with %v", err, cmd.Wait())
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil { // of which draining speaks, too
		t.Errorf("serve ended with %v, want status 0", err)
	}
}

// An error that nobody reads is still one.
func TestServe_failsWithoutReaders(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := command(t, "serve", "--data", filepath.Join(dir, "file"))
	cmd.Stdout, cmd.Stderr = w, w
	var exit *exec.ExitError
	if err := cmd.Run(); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("%v, want status 1", err)
	}
}
