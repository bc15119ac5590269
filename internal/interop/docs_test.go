//go:build interop

package interop_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hubward/hubward/internal/doctest"
)

// docsDevice is the device of the pages.
const docsDevice = "MyFirstDevice"

// docsRun is how a snippet of the pages is run. Exactly one row fits each.
type docsRun struct {
	kind, holds string // a part that only this one has
	ends        bool   // by itself; else it goes on, and is ended when it has printed
	prints      string // a part of what it prints
	body        string // of an event that it stores
	c2d         bool   // it waits for a message to the device
}

// The snippets of doctest's kinds that other people's clients run.
var docsRuns = []docsRun{
	{kind: "js", holds: "// send.js", ends: true, body: `{"windSpeed":12.3}`},
	{kind: "js", holds: "windAlert", ends: true, body: `{"windSpeed":12.3}`},
	{kind: "js", holds: "Registry.fromConnectionString", ends: true, prints: "="}, // a key in base64
	{kind: "js", holds: "client.on('message'", prints: "to the pages kitchen", c2d: true},
	{kind: "js", holds: "EventHubConsumerClient", prints: docsDevice + " "},
	{kind: "python", holds: "create_from_connection_string", ends: true, body: `{"windSpeed":12.3}`},
	{kind: "python", holds: "IoTHubRegistryManager", ends: true, prints: docsDevice + " "},
	{kind: "python", holds: "EventHubConsumerClient", prints: docsDevice + " "},
	{kind: "java", holds: "DeviceClient", ends: true, body: `{"windSpeed":12.3}`},
	{kind: "java", holds: "EventHubConsumerAsyncClient", prints: `{"windSpeed"`},
	{kind: "go", holds: "azeventhubs", ends: true, prints: docsDevice + " "},
}

func TestDocs_nodeSnippets(t *testing.T)   { testDocs(t, "js") }
func TestDocs_pythonSnippets(t *testing.T) { testDocs(t, "python") }
func TestDocs_javaSnippets(t *testing.T)   { testDocs(t, "java") }
func TestDocs_goSnippets(t *testing.T)     { testDocs(t, "go") }

// docsSnippets returns those of one kind. Go snippets for our own SDKs are run by package doctest.
func docsSnippets(t *testing.T, kind string) []doctest.Snippet {
	t.Helper()
	all, err := doctest.Snippets(module)
	if err != nil {
		t.Fatal(err)
	}
	var some []doctest.Snippet
	for _, s := range all {
		if s.Kind == kind && (kind != "go" || strings.Contains(s.Text, "azeventhubs")) {
			some = append(some, s)
		}
	}
	if len(some) == 0 {
		t.Fatalf("the pages have no snippet in %s", kind)
	}
	return some
}

func testDocs(t *testing.T, kind string) {
	_, cs := createDevice(t, docsDevice)
	mustRun(t, "simulate", docsDevice, "--count", "1") // something to read
	for _, s := range docsSnippets(t, kind) {
		var rows []docsRun
		for _, row := range docsRuns {
			if row.kind == kind && strings.Contains(s.Text, row.holds) {
				rows = append(rows, row)
			}
		}
		t.Run(s.Page+" "+firstLine(s), func(t *testing.T) {
			if len(rows) != 1 {
				t.Fatalf("%s: %d rows of docsRuns say how to run it, not one:\n%s", s, len(rows), s.Text)
			}
			runDocs(t, s, rows[0], cs)
		})
	}
}

func firstLine(s doctest.Snippet) string {
	line, _, _ := strings.Cut(s.Text, "\n")
	return strings.Trim(line, "/ ")
}

// runDocs runs one snippet as a program of its own.
func runDocs(t *testing.T, s doctest.Snippet, row docsRun, device string) {
	if strings.Contains(s.Text, "pump-1") { // it makes the device
		command(t, "device", "delete", "pump-1") // of an earlier snippet, if any
		t.Cleanup(func() { mustRun(t, "device", "delete", "pump-1") })
	}
	if row.c2d {
		mustRun(t, "c2d", "send", docsDevice, "--body", "to the pages", "--property", "room=kitchen")
	}
	c := startDocs(t, s, docsVars(t, device))
	var printed []string
	for line := range c.lines {
		printed = append(printed, line)
		if !row.ends && strings.Contains(line, row.prints) {
			c.cancel()
			return
		}
	}
	err := c.cmd.Wait()
	if !row.ends || err != nil || !strings.Contains(strings.Join(printed, "\n"), row.prints) {
		t.Fatalf("%s: %v; it prints\n%s\n%s", s, err, strings.Join(printed, "\n"), c.stderr.String())
	}
	if row.body != "" {
		out := mustRun(t, "monitor", "--device", docsDevice, "--from", "earliest", "--count", "2") // one is simulate's
		if !strings.Contains(out, row.body) {
			t.Errorf("%s: the hub has\n%s", s, out)
		}
	}
}

// docsVars are the variables that the pages speak of.
func docsVars(t *testing.T, device string) map[string]string {
	t.Helper()
	return map[string]string{
		"DEVICE": device, "HUBWARD_CA": hub.CA(),
		"HUBWARD_CONNECTION_STRING":          connectionString(t, "HUBWARD_CONNECTION_STRING"),
		"HUBWARD_EVENTHUB_CONNECTION_STRING": connectionString(t, "HUBWARD_EVENTHUB_CONNECTION_STRING"),
	}
}

// startDocs starts a snippet by the interpreter of its language.
func startDocs(t *testing.T, s doctest.Snippet, vars map[string]string) *client {
	t.Helper()
	dir := t.TempDir()
	ext := map[string]string{"js": ".js", "python": ".py", "java": ".java", "go": ".go"}[s.Kind]
	source := filepath.Join(dir, "snippet"+ext)
	if err := os.WriteFile(source, []byte(s.Text), 0o600); err != nil {
		t.Fatal(err)
	}
	if s.Kind != "go" {
		for _, family := range sdks() {
			if family.ext == ext {
				return family.startFile(t, source, vars)
			}
		}
		t.Fatalf("%s: there is no interpreter", s)
	}
	program := filepath.Join(dir, "snippet")
	for _, args := range [][]string{{"vet", source}, {"build", "-o", program, source}} {
		if out, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput(); err != nil { // in this module
			t.Fatalf("%s: go %s: %v\n%s", s, args[0], err, out)
		}
	}
	return sdk{name: "go", command: program}.startFile(t, "", vars)
}
