package archtest

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// requirement is a line of a go.mod file, in a block, with a module and its version.
var requirement = regexp.MustCompile(`(?m)^\t(\S+) (v\S+)`)

// The suites of the second module must test what is shipped. Its own go.mod could ask for more than the root's does.
func TestModules_sameVersions(t *testing.T) {
	ours, both := requirements(t, "go.mod"), 0
	for module, version := range requirements(t, "internal/interop/go.mod") {
		switch want, ok := ours[module]; {
		case !ok:
		case version != want:
			t.Errorf("internal/interop/go.mod requires %s at %s, and go.mod at %s: let both say the same, then run make tidy", module, version, want)
		default:
			both++
		}
	}
	if both == 0 {
		t.Error("the modules have nothing in common: are their go.mod files read as they are written?")
	}
}

func requirements(t *testing.T, file string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(file)))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, m := range requirement.FindAllStringSubmatch(string(text), -1) {
		all[m[1]] = m[2]
	}
	return all
}
