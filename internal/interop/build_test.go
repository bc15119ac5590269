//go:build interop

package interop_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The commit of the checkout is in what make build builds, where git knows one: also in a worktree, where Go finds none.
func TestMakeBuild_namesTheCommit(t *testing.T) {
	git := exec.CommandContext(t.Context(), "git", "log", "-1", "--format=%H")
	git.Dir = module
	commit, err := git.Output()
	if err != nil {
		commit = nil // an unpacked archive, or a checkout that git does not trust
	}
	work := t.TempDir()
	build := exec.CommandContext(t.Context(), "make", "build", "WORK="+work)
	build.Dir = module
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "MAKE") { // of the make that runs this test
			build.Env = append(build.Env, variable)
		}
	}
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("make build: %v\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), filepath.Join(work, "bin", "hubward"), "version", "-o", "json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var version struct{ Version, Revision string }
	decode(t, string(out), &version)
	if version.Revision != strings.TrimSpace(string(commit)) || (version.Revision != "") != strings.HasPrefix(version.Version, "v") {
		t.Errorf("version prints %s for commit %q", out, commit)
	}
}
