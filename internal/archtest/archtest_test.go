package archtest

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const module = "github.com/hubward/hubward"

// root is where the module's go.mod stands, seen from this folder.
const root = "../.."

func TestLayout(t *testing.T) {
	packages, sources := readModule(t, root)
	if len(sources) == 0 {
		t.Fatalf("no Go files found below %s", root)
	}
	for _, problem := range check(module, layout(), packages, sources) {
		t.Error(problem)
	}
}

func TestLayout_eachPackageOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range layout() {
		if seen[r.pkg] {
			t.Errorf("the layout names package %s twice", r.pkg)
		}
		seen[r.pkg] = true
		if r.why == "" {
			t.Errorf("the rule for package %s gives no reason", r.pkg)
		}
	}
}

// The checker is tested too: a rule keeper that never speaks up looks just like a tidy module.
func TestCheck_speaksUp(t *testing.T) {
	rules := []rule{
		{pkg: ".", never: []string{"net"}, why: "nouns do no I/O"},
		{pkg: "hub", ours: []string{"."}, outside: []string{"example.org/log"}, why: "the hub knows no front"},
		{pkg: "cli", ours: []string{"hub"}, inFiles: map[string][]string{"hub": {"serve"}}, why: "only serve runs a hub"},
		{pkg: "gone", why: "it was here once"},
	}
	packages := []string{".", "hub", "cli", "front"}
	sources := []source{
		{pkg: ".", file: "id.go", imports: []string{"fmt", "net/http", "network.org/x"}},
		{pkg: "hub", file: "hub.go", imports: []string{"net", "m", "m/front", "example.org/log/v2", "example.org/logger"}},
		{pkg: "cli", file: "serve_windows.go", imports: []string{"m/hub"}},
		{pkg: "cli", file: "device.go", imports: []string{"m/hub"}},
		{pkg: "front", file: "front.go", imports: []string{"m/hub"}},
	}
	want := []string{
		"package front is not in the layout: add it to the table in internal/archtest/layout.go, with what it may import and why",
		"the layout names package gone, which does not exist: remove its row from internal/archtest/layout.go",
		"id.go: . may not import net/http of the standard library\n\tthe rule: nouns do no I/O",
		"id.go: . may not import network.org/x\n\tthe rule: nouns do no I/O",
		"hub/hub.go: hub may not import our package front\n\tthe rule: the hub knows no front",
		"hub/hub.go: hub may not import example.org/logger\n\tthe rule: the hub knows no front",
		"cli/device.go: only serve files of cli may import hub\n\tthe rule: only serve runs a hub",
	}
	if diff := cmp.Diff(want, check("m", rules, packages, sources)); diff != "" {
		t.Errorf("check (-want +got):\n%s", diff)
	}
}

// readModule lists the packages below dir, and the files that are no tests with their imports. Files are read
// whatever their build constraints say. Folders that hold test data or begin with a dot are left out; those that are
// modules of their own are not, for they are ours too, and named as if they were none.
func readModule(t *testing.T, dir string) (packages []string, sources []source) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if path != dir && isForeign(entry.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(path) != ".go" {
			return nil
		}
		rel, err := filepath.Rel(dir, filepath.Dir(path))
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(rel)
		if !slices.Contains(packages, pkg) {
			packages = append(packages, pkg)
		}
		if !strings.HasSuffix(path, "_test.go") {
			sources = append(sources, source{pkg: pkg, file: entry.Name(), imports: importsOf(t, path)})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return packages, sources
}

func isForeign(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata" || name == "node_modules"
}

func importsOf(t *testing.T, path string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var imports []string
	for _, spec := range file.Imports {
		imp, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		imports = append(imports, imp)
	}
	return imports
}
