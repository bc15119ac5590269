//go:build interop

package interop_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// bashCompletion is the package that cobra's script for bash builds on.
const bashCompletion = "/usr/share/bash-completion/bash_completion"

// pressTab has bash complete each line of its standard input, as it does when somebody presses the tab key, and prints
// what it offers. compopt works only inside of that.
const pressTab = `
compopt() { :; }
. <(hubward completion bash)
while IFS= read -r line; do
  COMP_LINE=$line COMP_POINT=${#line} COMP_TYPE=9 COMP_KEY=9
  IFS=' ' read -r -a COMP_WORDS <<<"$line"
  [[ $line != *' ' ]] || COMP_WORDS+=("")
  COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMPREPLY=()
  __start_hubward
  printf '%s\n' "${COMPREPLY[*]}"
done`

// inBash runs script after setup in a bash of its own, with the lines on standard input.
func inBash(t *testing.T, setup, script string, lines ...string) (stdout, stderr string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "--norc", "-c", setup+"\n"+script)
	cmd.Dir = t.TempDir()
	cmd.Env = []string{
		"PATH=" + filepath.Dir(hub.Binary) + string(os.PathListSeparator) + os.Getenv("PATH"), "HUBWARD_CA=" + hub.CA(),
		"HUBWARD_COMPLETION_TIMEOUT=1m",
		"HUBWARD_CONNECTION_STRING=" + connectionString(t, "HUBWARD_CONNECTION_STRING"),
	}
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("bash: %v\n%s", err, errs.String())
	}
	return out.String(), errs.String()
}

func TestCompletion_inBash(t *testing.T) {
	// Characters that mean something to the shell come with a backslash, unless there is more than one offer.
	for _, id := range []string{"tab-pump-1", "tab-pump-2", "tabs-$x'(y)"} {
		mustRun(t, "device", "create", id)
		t.Cleanup(func() { mustRun(t, "device", "delete", id) })
	}
	rows := []struct{ line, want string }{
		{"hubward simul", "simulate"},
		{"hubward simulate d1 --prot", "--protocol"},
		{"hubward simulate d1 --protocol ", "mqtt mqtt-ws amqp amqp-ws https"},
		{"hubward simulate d1 --protocol mqtt-", "mqtt-ws"},
		{"hubward device list -o ", "table json"},
		{"hubward device import x --mode d", "delete deleteIfMatchETag"},
		{"hubward device show tab-p", "tab-pump-1 tab-pump-2"},
		{"hubward device show tab-pump-2", "tab-pump-2"},
		{"hubward device show tab-pump-1 ", ""},
		{"hubward device show tabs", `tabs-\$x\'\(y\)`},
		{"hubward monitor --consumer-group ", `\$Default`},
		{"hubward policy delete registryReadW", "registryReadWrite"},
		{"hubward policy create p --permissions RegistryRead,Serv", `RegistryRead\,ServiceConnect`},
		{"hubward hub show ", strings.TrimSpace(mustRun(t, "hub", "show", "-o", "json"))},
	}
	last := &rows[len(rows)-1]
	var shown struct{ Name string }
	decode(t, last.want, &shown)
	last.want = shown.Name
	var lines []string
	for _, row := range rows {
		lines = append(lines, row.line)
	}
	stdout, stderr := inBash(t, ". "+bashCompletion, pressTab, lines...)
	got := strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
	if len(got) != len(rows) {
		t.Fatalf("%d lines for %d:\n%s%s", len(got), len(rows), stdout, stderr)
	}
	for i, row := range rows {
		if got[i] != row.want {
			t.Errorf("%q completes to %q, not %q", row.line, got[i], row.want)
		}
	}
	if stderr != "" {
		t.Errorf("bash says %s", stderr)
	}
}

func TestCompletion_inBashWithoutItsPackage(t *testing.T) {
	stdout, stderr := inBash(t, "", pressTab, "hubward simul")
	if strings.TrimSpace(stdout) != "" || !strings.Contains(stderr, "needs the package bash-completion") || strings.Contains(stderr, "command not found") {
		t.Errorf("it offers %q and says %s", stdout, stderr)
	}
}
