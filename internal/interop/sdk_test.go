//go:build interop

package interop_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// clientWithin bounds the life of one client program. The programs have the shorter bound JOURNEY_SECONDS of their
// own, so that a late one says what it was waiting for.
const clientWithin = 100 * time.Second

const journeySeconds = "90"

// maxLine bounds one line of a program: an event of the greatest size.
const maxLine = 1 << 20

// sdk is one family of client programs.
type sdk struct {
	name    string // also the folder of the programs
	command string // the interpreter
	ext     string // of the programs
	needs   []string
	env     map[string]string
	// options returns what comes before the program. It is nil for nothing.
	options func() ([]string, error)
	// class says that a program is a class of that name, and no file.
	class bool
	// host is the name by which the SDK reaches the hub, where it takes no name without a dot. Empty: localhost.
	host string
}

// sdks lists the families. What make installs for them is below .work.
func sdks() []sdk {
	work, err := filepath.Abs(filepath.Join(module, ".work"))
	if err != nil {
		panic(err) // only without a working directory
	}
	modules := filepath.Join(work, "node", "node_modules")
	python := filepath.Join(work, "venv", "bin", "python")
	node, err := exec.LookPath("node")
	if err != nil {
		node = "node" // checkTools says that it is missing
	}
	return []sdk{
		{name: "node", command: node, ext: ".js", needs: []string{node, modules}, env: map[string]string{"NODE_PATH": modules}},
		{name: "python", command: python, ext: ".py", needs: []string{python}, env: map[string]string{"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1"}},
		javaSDK(work),
	}
}

// familyByName returns a family, or none.
func familyByName(name string) sdk {
	all := sdks()
	if i := slices.IndexFunc(all, func(s sdk) bool { return s.name == name }); i >= 0 {
		return all[i]
	}
	return sdk{}
}

// eachSDK runs test once for every family.
func eachSDK(t *testing.T, test func(t *testing.T, s sdk)) {
	for _, s := range sdks() {
		t.Run(s.name, func(t *testing.T) { test(t, s) })
	}
}

// client is one running client program.
type client struct {
	t      *testing.T
	name   string
	cmd    *exec.Cmd
	cancel context.CancelFunc
	stdin  io.WriteCloser
	lines  chan string // what it prints; closed at its end
	stderr bytes.Buffer
}

// start runs the family's program of that name. It sees vars and what makes it trust the hub, and nothing else of our
// environment: a proxy variable would lead it astray.
func (s sdk) start(t *testing.T, program string, vars map[string]string, args ...string) *client {
	t.Helper()
	command, err := s.commandLine(program)
	if err != nil {
		t.Fatal(err)
	}
	return s.startCommand(t, program+s.ext, command, vars, args...)
}

// startFile is start for a program anywhere; without a path, for the family's command itself.
func (s sdk) startFile(t *testing.T, path string, vars map[string]string, args ...string) *client {
	t.Helper()
	command, err := s.optionList()
	if err != nil {
		t.Fatal(err)
	}
	if path != "" {
		command = append(command, path)
	}
	return s.startCommand(t, filepath.Base(path), command, vars, args...)
}

// startCommand runs the family's command with the arguments that name a program, and the program's own.
func (s sdk) startCommand(t *testing.T, name string, command []string, vars map[string]string, args ...string) *client {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), clientWithin)
	c := &client{t: t, name: name, cancel: cancel, lines: make(chan string, 1024)}
	c.cmd = exec.CommandContext(ctx, s.command, append(command, args...)...)
	c.cmd.Dir = t.TempDir()
	c.cmd.Env = s.environment(vars)
	c.cmd.Stderr = &c.stderr
	c.cmd.WaitDelay = 5 * time.Second
	var err error
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(c.lines)
		lines := bufio.NewScanner(stdout)
		lines.Buffer(nil, maxLine)
		for lines.Scan() {
			c.lines <- lines.Text()
		}
	}()
	t.Cleanup(c.abandon)
	return c
}

// commandLine returns the arguments that make the family's command run a program.
func (s sdk) commandLine(program string) ([]string, error) {
	args, err := s.optionList()
	if err != nil {
		return nil, err
	}
	if s.class {
		return append(args, className(program)), nil
	}
	path, err := filepath.Abs(filepath.Join(s.name, program+s.ext))
	return append(args, path), err
}

func (s sdk) optionList() ([]string, error) {
	if s.options == nil {
		return nil, nil
	}
	return s.options()
}

func (s sdk) environment(vars map[string]string) []string {
	all := map[string]string{
		"PATH":                os.Getenv("PATH"),
		"HOME":                os.Getenv("HOME"),
		"HUB_CA":              hub.CA(),
		"NODE_EXTRA_CA_CERTS": hub.CA(),
		"REQUESTS_CA_BUNDLE":  hub.CA(),
		"JOURNEY_SECONDS":     journeySeconds,
	}
	maps.Copy(all, s.env)
	maps.Copy(all, vars)
	env := make([]string, 0, len(all))
	for name, value := range all {
		if s.host != "" {
			value = strings.ReplaceAll(value, "HostName=localhost", "HostName="+s.host)
		}
		env = append(env, name+"="+value)
	}
	return env
}

// run runs a program to its end, which must be a good one, and returns the lines it printed.
func (s sdk) run(t *testing.T, program string, vars map[string]string, args ...string) []string {
	t.Helper()
	return s.start(t, program, vars, args...).finish()
}

// waitFor reads lines up to the first that begins with prefix, and returns the rest of that line.
func (c *client) waitFor(prefix string) string {
	c.t.Helper()
	var before []string
	for line := range c.lines {
		if rest, ok := strings.CutPrefix(line, prefix); ok {
			return strings.TrimSpace(rest)
		}
		before = append(before, line)
	}
	err := c.cmd.Wait()
	c.t.Fatalf("%s ended (%v) without a line %q; it printed:\n%s\n%s", c.program(), err, prefix, strings.Join(before, "\n"), c.stderr.String())
	return ""
}

// stop tells a program that waits for it to come to its end.
func (c *client) stop() {
	c.t.Helper()
	if err := c.stdin.Close(); err != nil {
		c.t.Errorf("tell %s to stop: %v", c.program(), err)
	}
}

// finish waits for the program's end and returns the lines not yet read. The test fails unless the status is 0.
func (c *client) finish() []string {
	c.t.Helper()
	var lines []string
	for line := range c.lines {
		lines = append(lines, line)
	}
	if err := c.cmd.Wait(); err != nil {
		c.t.Fatalf("%s: %v\n%s\n%s", c.program(), err, strings.Join(lines, "\n"), c.stderr.String())
	}
	return lines
}

// abandon ends a program that a failed test has left behind.
func (c *client) abandon() {
	c.cancel()
	if c.cmd.ProcessState != nil {
		return
	}
	for range c.lines { // its last words unblock the reader
	}
	_ = c.cmd.Wait() // it was killed: the status says nothing
}

func (c *client) program() string { return c.name }
