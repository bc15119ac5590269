package doctest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward/internal/config"
	"github.com/hubward/hubward/internal/testhub"
)

// checkers are the tests that look at each kind of snippet. Those that run other people's clients are in package interop.
var checkers = map[string][]string{
	"go":     {"TestSnippets_goRuns", "TestDocs_goSnippets"},
	"js":     {"TestDocs_nodeSnippets"},
	"python": {"TestDocs_pythonSnippets"},
	"java":   {"TestDocs_javaSnippets"},
	"sh":     {"TestPages_commandsParse", "TestDocs_shellSnippets"},
	"json":   {"TestSnippets_dataParses"},
	"toml":   {"TestSnippets_dataParses"},
	"text":   nil, // what programs print, and what goes over the wire
}

func readSnippets(t *testing.T) []Snippet {
	t.Helper()
	all, err := Snippets(root)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A snippet that nothing checks rots.
func TestSnippets_eachHasAChecker(t *testing.T) {
	seen := map[string]int{}
	for _, s := range readSnippets(t) {
		seen[s.Kind]++
		if _, ok := checkers[s.Kind]; !ok {
			t.Errorf("%s: no test checks this language: name one in checkers", s)
		}
	}
	known := testsOfModule(t)
	for kind, tests := range checkers {
		if seen[kind] == 0 {
			t.Errorf("there is no snippet in %s any more", kind)
		}
		for _, name := range tests {
			if !known[name] {
				t.Errorf("there is no test %s, which is to check snippets in %s", name, kind)
			}
		}
	}
}

func TestParseSnippets(t *testing.T) {
	got, err := parseSnippets("p.md", "a\n\n```sh\nls\n```\nb\n```go\nx := 1\n\ny := 2\n```\n")
	want := []Snippet{{"p.md", 4, "sh", "ls\n"}, {"p.md", 8, "go", "x := 1\n\ny := 2\n"}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for _, text := range []string{"```\nls\n```\n", "  ```sh\n  ls\n  ```\n", "~~~sh\nls\n~~~\n", "```sh\nls\n", "````sh\nls\n````\n", "```sh x\nls\n```\n"} {
		if found, err := parseSnippets("p.md", text); err == nil {
			t.Errorf("%q is taken for %v", text, found)
		}
	}
}

func TestSnippets_dataParses(t *testing.T) {
	for _, s := range readSnippets(t) {
		switch s.Kind {
		case "json":
			if !json.Valid([]byte(s.Text)) {
				t.Errorf("%s is no JSON", s)
			}
		case "toml":
			file := filepath.Join(t.TempDir(), "hubward.toml")
			if err := os.WriteFile(file, []byte(s.Text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := config.Load(config.Source{File: file}); err != nil {
				t.Errorf("%s: %v", s, err)
			}
		}
	}
}

// needsOtherClients reports whether a Go snippet imports what only the module of the clients has: interop runs it.
func needsOtherClients(s Snippet) bool { return strings.Contains(s.Text, "azeventhubs") }

// The Go snippets build and pass vet, run against a hub, and say what is wrong with bad variables in place of a panic.
func TestSnippets_goRuns(t *testing.T) {
	h := testhub.Start(t)
	h.CreateDevice("MyFirstDevice")
	good := map[string]string{
		"HUBWARD_CA": h.CAFile,
		"DEVICE":     strings.Replace(h.DeviceConnectionString("MyFirstDevice"), "HostName="+h.Host, "HostName="+strings.Replace(h.MQTT, "127.0.0.1", h.Host, 1), 1),
		"HUBWARD_CONNECTION_STRING": strings.Replace(h.ConnectionString("iothubowner"), "HostName="+h.Host,
			"HostName="+strings.TrimPrefix(h.HTTPS, "https://"), 1),
	}
	seen := 0
	for _, s := range readSnippets(t) {
		if s.Kind != "go" || needsOtherClients(s) {
			continue
		}
		seen++
		program := buildGo(t, s)
		out, err := runUntil(t, program, good, goPrints(s))
		if err != nil {
			t.Errorf("%s: %v; it prints\n%s", s, err, out)
		}
		for name := range good {
			for _, value := range []string{"", "nonsense"} {
				vars := map[string]string{}
				for n, v := range good {
					vars[n] = v
				}
				vars[name] = value
				out, err := runUntil(t, program, vars, "")
				if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 1 || strings.Contains(out, "goroutine ") {
					t.Errorf("%s with %s=%q: %v; it prints\n%s", s, name, value, err, out)
				}
			}
		}
	}
	if seen == 0 {
		t.Error("there is no Go snippet")
	}
}

// goPrints is what a Go snippet prints last.
func goPrints(s Snippet) string {
	if strings.Contains(s.Text, "HandleMethod") {
		return `reboot: 200 {"state":"rebooting"}`
	}
	return `MyFirstDevice {"windSpeed":12.3}`
}

// buildGo builds a snippet as a user would who has our module, and returns the program.
func buildGo(t *testing.T, s Snippet) string {
	t.Helper()
	dir := t.TempDir()
	source, program := filepath.Join(dir, "main.go"), filepath.Join(dir, "snippet")
	if err := os.WriteFile(source, []byte(s.Text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"vet", source}, {"build", "-o", program, source}} {
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: go %s: %v\n%s", s, args[0], err, out)
		}
	}
	if out, err := exec.CommandContext(t.Context(), "gofmt", "-l", source).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%s is not as gofmt has it: %v", s, err)
	}
	return program
}

// snippetWithin bounds the run of a snippet.
const snippetWithin = 60 * time.Second

// runUntil runs a program with variables, until it has printed text, or to its end when text is "".
func runUntil(t *testing.T, program string, vars map[string]string, text string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), snippetWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, program)
	for name, value := range vars {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out := &watched{text: text, found: cancel}
	cmd.Stdout, cmd.Stderr = out, out
	err := cmd.Run()
	if text != "" && strings.Contains(out.buf.String(), text) {
		return out.buf.String(), nil
	}
	return out.buf.String(), err
}

// watched calls found once text was written. exec writes to it from one goroutine, since it is both outputs.
type watched struct {
	buf   bytes.Buffer
	text  string
	found func()
}

func (w *watched) Write(p []byte) (int, error) {
	n, err := w.buf.Write(p)
	if w.text != "" && strings.Contains(w.buf.String(), w.text) {
		w.found()
	}
	return n, err
}

func TestNeedsOtherClients(t *testing.T) {
	var kinds []bool
	for _, s := range readSnippets(t) {
		if s.Kind == "go" {
			kinds = append(kinds, needsOtherClients(s))
		}
	}
	if !slices.Contains(kinds, true) || !slices.Contains(kinds, false) {
		t.Errorf("Go snippets of both kinds are expected: %v", kinds)
	}
}
