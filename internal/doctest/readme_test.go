package doctest

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward/internal/cli"
	"github.com/hubward/hubward/internal/config"
)

// The two commands that the README promises to a newcomer.
func TestReadme_itsTwoCommands(t *testing.T) {
	text := readFile(t, "README.md")
	for _, command := range []string{"\ngo run ./cmd/hubward quickstart ", "\nmake test "} {
		if !strings.Contains(text, command) {
			t.Errorf("README.md does not show %q", strings.TrimSpace(command))
		}
	}
	if err := parse("quickstart --exit-after 3"); err != nil {
		t.Error(err)
	}
}

// make as a command: in a code span, or at the beginning of a line of a fence.
var makeTarget = regexp.MustCompile("(?m)(?:`|^)make ([a-z]+)(?:`|\\s*#|\\s*$)")

func TestPages_makeTargetsExist(t *testing.T) {
	makefile := readFile(t, "Makefile")
	for _, p := range readPages(t) {
		for _, m := range makeTarget.FindAllStringSubmatch(p.text, -1) {
			if !strings.Contains(makefile, "\n"+m[1]+":") {
				t.Errorf("%s: the Makefile has no target %s", p.name, m[1])
			}
		}
	}
}

func TestPages_commandsParse(t *testing.T) {
	seen := 0
	for _, p := range readPages(t) {
		for _, line := range p.commands() {
			seen++
			if err := parse(line); err != nil {
				t.Errorf("%s: hubward %s: %v", p.name, line, err)
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d commands were found: did the pages change how they mark them?", seen)
	}
}

// A finder of commands that finds none, or a parser that takes anything, would keep nobody honest.
func TestCommands_areFoundAndRefused(t *testing.T) {
	p := page{text: "Run `hubward serve --data d`, or `make it`.\n" +
		"```sh\n. ./env.sh    # hubward nothing\nexport A=\"$(hubward device show 'a b' -o json)\" && go run ./cmd/hubward monitor | head\n" +
		"hubward device \\\n  list > f\n```\n```text\nhubward transcript\n```\n"}
	want := []string{"serve --data d", "device show 'a b' -o json", "monitor", "device list"}
	got := p.commands()
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
	for _, line := range want {
		if err := parse(line); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
	for _, line := range []string{"sreve", "device lists", "serve --colour", "device list --top ten", "bench d2d"} {
		if err := parse(line); err == nil {
			t.Errorf("%q is taken for a command", line)
		}
	}
}

// start is where a command of ours begins in a line of shell; end is where it ends.
var (
	start = regexp.MustCompile(`(?:^|[\s(])(?:go run \./cmd/)?hubward\s+`)
	end   = regexp.MustCompile(`\)|\s(?:#|[|&<>;])|[;|]|$`)
)

// commands returns the hubward command lines of a page, without the program's name.
func (p page) commands() []string {
	var lines []string
	snippets, _ := parseSnippets(p.name, p.text) // TestSnippets tells of errors
	for _, s := range snippets {
		if s.Kind == "sh" {
			lines = append(lines, strings.Split(strings.ReplaceAll(s.Text, "\\\n", ""), "\n")...)
		}
	}
	for _, span := range p.spans() {
		if strings.HasPrefix(span, "hubward ") || strings.HasPrefix(span, "go run ./cmd/hubward ") {
			lines = append(lines, span)
		}
	}
	var commands []string
	for _, line := range lines {
		line, _, _ = strings.Cut(line, " #")
		for at := start.FindStringIndex(line); at != nil; at = start.FindStringIndex(line) {
			line = line[at[1]:]
			command := strings.Join(strings.Fields(line[:end.FindStringIndex(line)[0]]), " ")
			commands = append(commands, command)
		}
	}
	return commands
}

// parse says what is wrong with a command line: a command or a flag that does not exist, a value that a flag does not
// take. It asks for the command's help, which parses all that stands before, and runs nothing.
func parse(line string) error {
	args := words(line)
	var stdout, stderr bytes.Buffer
	env := cli.Env{Stdout: &stdout, Stderr: &stderr, Getenv: func(string) string { return "" }}
	if status := cli.Main(context.Background(), env, append(slices.Clone(args), "--help")); status != 0 {
		return fmt.Errorf("status %d, %s", status, stderr.String())
	}
	_, usage, _ := strings.Cut(stdout.String(), "Usage:\n")
	usage, _, _ = strings.Cut(usage, "\n")
	path := strings.Fields(usage)[1:] // without "hubward"
	depth := 0
	for depth < min(len(path), len(args)) && path[depth] == args[depth] {
		depth++
	}
	isGroup := strings.Contains(stdout.String(), "Available Commands:")
	if depth == 0 || isGroup && depth < len(args) && !strings.HasPrefix(args[depth], "-") {
		return fmt.Errorf("there is no such command")
	}
	return nil
}

var word = regexp.MustCompile(`'([^']*)'|"([^"]*)"|(\S+)`)

// words cuts a command line as a shell would that knows quotes and nothing else.
func words(line string) []string {
	var all []string
	for _, m := range word.FindAllStringSubmatch(line, -1) {
		all = append(all, m[1]+m[2]+m[3])
	}
	return all
}

var variable = regexp.MustCompile(`\bHUBWARD_[A-Z_]+\b`)

// Variables are options, or are known to the code in another way.
func TestPages_variablesExist(t *testing.T) {
	known := []string{"HUBWARD_"}
	for _, o := range config.Options() {
		known = append(known, o.Env())
	}
	for _, files := range packagesOfModule(t) {
		for _, file := range files {
			known = append(known, variable.FindAllString(readFile(t, strings.TrimPrefix(file, root+"/")), -1)...)
		}
	}
	for _, p := range readPages(t) {
		for _, name := range variable.FindAllString(p.text, -1) {
			if !slices.Contains(known, name) {
				t.Errorf("%s: nothing reads or writes the variable %s", p.name, name)
			}
		}
	}
}

var metric = regexp.MustCompile(`^(iothub|hubward)_[a-z_0-9]+$`)

func TestPages_metricsExist(t *testing.T) {
	source := readFile(t, "internal/obs/metrics.go") + readFile(t, "internal/obs/durations.go") + readFile(t, "internal/obs/handshakes.go")
	for _, p := range readPages(t) {
		for _, span := range p.spans() {
			name := strings.TrimSuffix(span, "_count") // of a histogram
			if metric.MatchString(span) && !strings.Contains(source, `"`+name+`"`) {
				t.Errorf("%s: there is no metric %s", p.name, span)
			}
		}
	}
}
