package cli_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/hubward/hubward/internal/cli"
)

// run runs one command line to its end.
func runLine(t *testing.T, vars map[string]string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	env := cli.Env{Stdout: &out, Stderr: &errs, Getenv: func(name string) string { return vars[name] }}
	status = cli.Main(t.Context(), env, args)
	return status, out.String(), errs.String()
}

// lockedBuffer may be read while a command writes to it.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// serving is a serve command that has printed "ready".
type serving struct {
	lines  []string // of standard output
	stderr *lockedBuffer
	cancel context.CancelFunc
	status chan int
}

func startServe(t *testing.T, vars map[string]string, args ...string) *serving {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &serving{stderr: &lockedBuffer{}, cancel: cancel, status: make(chan int, 1)}
	r, w := io.Pipe()
	env := cli.Env{Stdout: w, Stderr: s.stderr, Getenv: func(name string) string { return vars[name] }}
	go func() {
		status := cli.Main(ctx, env, append([]string{"serve"}, args...))
		w.Close()
		s.status <- status
	}()
	t.Cleanup(cancel)
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		s.lines = append(s.lines, lines.Text())
		if lines.Text() == "ready" {
			return s
		}
	}
	t.Fatalf("no line ready:\n%s\n%s", strings.Join(s.lines, "\n"), s.stderr)
	return nil
}

func (s *serving) stop(t *testing.T) {
	t.Helper()
	s.cancel()
	if status := <-s.status; status != 0 {
		t.Errorf("status %d:\n%s", status, s.stderr)
	}
}

func TestServe_printsListenersAndReady(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := startServe(t, map[string]string{"HUBWARD_HTTPS": "127.0.0.1:0"},
		"--data", dir, "--mqtts", "127.0.0.1:0", "--amqps", "127.0.0.1:0", "--amqp", "127.0.0.1:0", "--admin", "off", "--hostname", "a.example", "--hostname", "b.example")
	defer s.stop(t)
	var names []string
	for _, line := range s.lines {
		name, value, _ := strings.Cut(line, " ")
		names = append(names, name)
		value = strings.TrimSpace(value)
		if slices.Contains([]string{"mqtts", "amqps", "https", "amqp"}, name) && (!strings.HasPrefix(value, "127.0.0.1:") || value == "127.0.0.1:0") {
			t.Errorf("line %q holds no address", line)
		}
	}
	if got := strings.Join(names, " "); got != "data keys mqtts amqps https amqp ready" {
		t.Errorf("lines %s", got)
	}
	text, err := os.ReadFile(filepath.Join(dir, "connection-strings.env"))
	if err != nil || !strings.Contains(string(text), "HostName=a.example;") {
		t.Errorf("connection strings: %v", err)
	}
}

func TestServe_secondProcess(t *testing.T) {
	dir := t.TempDir()
	args := []string{"--data", dir, "--mqtts", "127.0.0.1:0", "--amqps", "127.0.0.1:0", "--https", "127.0.0.1:0", "--admin", "off"}
	s := startServe(t, nil, args...)
	defer s.stop(t)
	status, _, stderr := runLine(t, nil, append([]string{"serve"}, args...)...)
	if status != 1 || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "is in use by another hubward (pid ") {
		t.Errorf("status %d: %s", status, stderr)
	}
}

func TestServe_hangupReloads(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "hubward.toml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("hostname = \"one.example\"\n")
	data := filepath.Join(dir, "data")
	s := startServe(t, nil, "--config", file, "--data", data,
		"--mqtts", "127.0.0.1:0", "--amqps", "127.0.0.1:0", "--https", "127.0.0.1:0", "--admin", "off")
	defer s.stop(t)

	write("hostname = \"two.example\"\n")
	hangUp(t)
	eventually(t, "the new host name is in use", func() bool {
		text, err := os.ReadFile(filepath.Join(data, "connection-strings.env"))
		return err == nil && strings.Contains(string(text), "HostName=two.example;")
	})

	write("nonsense = 1\n")
	hangUp(t)
	eventually(t, "the broken file is reported", func() bool {
		return strings.Contains(s.stderr.String(), file+`:1: unknown key \"nonsense\"`)
	})
}

func hangUp(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

func TestServe_usageErrors(t *testing.T) {
	tests := []struct {
		name string
		vars map[string]string
		args []string
		want []string
	}{
		{"bad values, all of them", map[string]string{"HUBWARD_PARTITIONS": "99"}, []string{"--mqtts", "foo", "--log-level", "loud"},
			[]string{`listen.mqtts: "foo": not host:port`, "partitions: 99: not within 1 to 32", `log.level: "loud"`}},
		{"unknown flag", nil, []string{"--mqtt", ":1"}, []string{"unknown flag: --mqtt"}},
		{"argument", nil, []string{"now"}, []string{"now"}},
		{"no such file", nil, []string{"--config", "none.toml"}, []string{"none.toml"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, _, stderr := runLine(t, tt.vars, append([]string{"serve", "--data", filepath.Join(t.TempDir(), "data")}, tt.args...)...)
			lines := strings.Split(strings.TrimSpace(stderr), "\n")
			if status != 2 || len(lines) != 2 || !strings.HasPrefix(lines[1], "usage: hubward serve") {
				t.Errorf("status %d: %s", status, stderr)
			}
			for _, want := range tt.want {
				if !strings.Contains(lines[0], want) {
					t.Errorf("error %q lacks %q", lines[0], want)
				}
			}
		})
	}
}

func TestServe_help(t *testing.T) {
	status, stdout, _ := runLine(t, nil, "serve", "--help")
	if status != 0 {
		t.Fatalf("status %d", status)
	}
	for _, want := range []string{"--data FOLDER", "(default ./hubward-data)", "--mqtts ADDRESS", "(default :8883)", "--amqps ADDRESS", "(default :5671)", "--amqp-trace PEER", "--config"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the help page lacks %q:\n%s", want, stdout)
		}
	}
}
