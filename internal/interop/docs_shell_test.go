//go:build interop

package interop_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pageWithin bounds the run of one page's shell snippets.
const pageWithin = 3 * time.Minute

// The shell snippets of each page run as they stand, one behind the other, in a shell beside the data folder of a hub. What
// stands for the program and for other tools there is in testdata/docs.
func TestDocs_shellSnippets(t *testing.T) {
	pages := map[string][]string{}
	var order []string
	for _, s := range docsSnippets(t, "sh") {
		if pages[s.Page] == nil {
			order = append(order, s.Page)
		}
		pages[s.Page] = append(pages[s.Page], s.Text)
	}
	for _, page := range order {
		t.Run(page, func(t *testing.T) { runPage(t, page, pages[page]) })
	}
}

func runPage(t *testing.T, page string, snippets []string) {
	dir := t.TempDir()
	prepareFolder(t, dir, page)
	t.Cleanup(func() { // what pages make
		command(t, "device", "delete", docsDevice, "lab-1")
		command(t, "hub", "delete", "plant-2", "--yes")
		command(t, "consumer-group", "delete", "dashboards")
	})
	script := strings.Join(snippets, "\n")
	if !strings.Contains(script, "device create "+docsDevice) {
		mustRun(t, "device", "create", docsDevice)
	}
	ctx, cancel := context.WithTimeout(t.Context(), pageWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-x", "-c", script)
	cmd.Dir = dir
	cmd.Env = pageEnvironment(t, dir)
	cmd.WaitDelay = 5 * time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v; the shell says\n%s", page, err, out)
	}
}

// prepareFolder makes a folder as the pages suppose it.
func prepareFolder(t *testing.T, dir, page string) {
	t.Helper()
	link := func(to, name string) {
		t.Helper()
		target, err := filepath.Abs(to)
		if err == nil {
			err = os.Symlink(target, filepath.Join(dir, name))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	link(hub.Data, "hubward-data")
	link(filepath.Join(hub.Data, "tls", "server.pem"), "server.pem")
	link(filepath.Join(hub.Data, "tls", "server-key.pem"), "server-key.pem")
	link(filepath.Join(hub.Data, "tls", "ca.pem"), "corporate-ca.pem")
	if err := os.Mkdir(filepath.Join(dir, "tools"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tool := range []string{"measure", "measure-readers", "measure-storm", "measure-twins"} {
		link(filepath.Join("testdata", "docs", "tools", "stub"), filepath.Join("tools", tool))
	}
	for _, s := range docsSnippets(t, "js") { // a file that a page names
		name, ok := strings.CutPrefix(strings.SplitN(s.Text, "\n", 2)[0], "// ")
		if s.Page == page && ok {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(s.Text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func pageEnvironment(t *testing.T, dir string) []string {
	t.Helper()
	stands, err := filepath.Abs(filepath.Join("testdata", "docs", "bin"))
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs(module)
	if err != nil {
		t.Fatal(err)
	}
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Fatal("curl is missing: install it")
	}
	env := []string{
		"PATH=" + stands + string(os.PathListSeparator) + os.Getenv("PATH"), "HOME=" + dir, "SCRATCH=" + dir, "TMPDIR=" + t.TempDir(),
		"HUBWARD_PROGRAM=" + hub.Binary, "CURL=" + curl, "MODULE=" + root,
	}
	for _, s := range sdks() {
		for name, value := range s.env {
			env = append(env, name+"="+value)
		}
	}
	return env
}
