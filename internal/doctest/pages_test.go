package doctest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// root is where the module's go.mod stands, seen from this folder.
const root = "../.."

// page is one Markdown file.
type page struct {
	name string // from the root, with slashes
	text string
}

// readPages returns the pages that this package looks after.
func readPages(t *testing.T) []page {
	t.Helper()
	names, err := Pages(root)
	if err != nil {
		t.Fatal(err)
	}
	var pages []page
	for _, name := range names {
		pages = append(pages, page{name, readFile(t, name)})
	}
	return pages
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// prose is the page without its fenced blocks.
func (p page) prose() string { return fences.ReplaceAllString(p.text, "") }

var codeSpan = regexp.MustCompile("`([^`\n]+)`")

// spans returns the code spans of the prose.
func (p page) spans() []string {
	var all []string
	for _, m := range codeSpan.FindAllStringSubmatch(p.prose(), -1) {
		all = append(all, m[1])
	}
	return all
}

// [text](target), where target has no scheme.
var link = regexp.MustCompile(`\]\(([^)\s:]+)\)`)

func TestPages_linksLeadSomewhere(t *testing.T) {
	for _, p := range readPages(t) {
		for _, m := range link.FindAllStringSubmatch(p.prose(), -1) {
			file, anchor, _ := strings.Cut(m[1], "#")
			target := p.name
			if file != "" {
				target = filepath.ToSlash(filepath.Join(filepath.Dir(p.name), file))
			}
			text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(target)))
			if err != nil {
				t.Errorf("%s: the link %s leads nowhere", p.name, m[1])
			} else if anchor != "" && !slices.Contains(anchors(string(text)), anchor) {
				t.Errorf("%s: the link %s leads to no heading", p.name, m[1])
			}
		}
	}
}

var (
	heading   = regexp.MustCompile(`(?m)^#+ (.+)$`)
	notAnchor = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchors lists the anchors that hosts of Markdown give the headings of a page.
func anchors(text string) []string {
	var all []string
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		all = append(all, strings.ReplaceAll(notAnchor.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-"))
	}
	return all
}

// A code span with a Go file, and perhaps a second span, on the same or the next line, with a name that it declares.
var goFile = regexp.MustCompile("`([\\w./-]+/[\\w-]+\\.go)`(?:\\s+`(\\w+)`)?")

func TestPages_goFilesAndWhatTheyDeclare(t *testing.T) {
	for _, p := range readPages(t) {
		for _, m := range goFile.FindAllStringSubmatch(p.prose(), -1) {
			file, name := m[1], m[2]
			text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(file)))
			if err != nil {
				t.Errorf("%s: there is no file %s", p.name, file)
				continue
			}
			declares := regexp.MustCompile(`(?m)^(func (\([^)]*\) )?|type |var |const |\t)` + name + `\b`)
			if name != "" && !declares.Match(text) {
				t.Errorf("%s: %s does not declare %s", p.name, file, name)
			}
		}
	}
}

var ownPackage = regexp.MustCompile(`^(cmd|internal)/[\w/]+$`)

func TestPages_packagesExist(t *testing.T) {
	for _, p := range readPages(t) {
		for _, span := range p.spans() {
			if !ownPackage.MatchString(span) {
				continue
			}
			if info, err := os.Stat(filepath.Join(root, filepath.FromSlash(span))); err != nil || !info.IsDir() {
				t.Errorf("%s: there is no package %s", p.name, span)
			}
		}
	}
}

// Every package has its place on the page that shows the way around.
func TestArchitecture_namesEveryPackage(t *testing.T) {
	text := readFile(t, "ARCHITECTURE.md")
	for dir := range packagesOfModule(t) {
		if !strings.Contains(text, "`"+dir+"`") {
			t.Errorf("ARCHITECTURE.md does not name package %s", dir)
		}
	}
}

// A requirement that nobody has chosen would be one of every user's.
var direct = regexp.MustCompile(`(?m)^\t(\S+) v\S+$`)

func TestADR7_listsEveryRequirement(t *testing.T) {
	adr := readFile(t, "docs/adr/0007-dependencies.md")
	all := direct.FindAllStringSubmatch(readFile(t, "go.mod"), -1)
	if len(all) == 0 {
		t.Error("go.mod requires nothing: is it read as it is written?")
	}
	for _, m := range all {
		if name := strings.TrimPrefix(m[1], "github.com/"); !strings.Contains(adr, "\n| `"+name+"`") {
			t.Errorf("go.mod requires %s, which has no row in ADR 7", m[1])
		}
	}
}

var (
	testName  = regexp.MustCompile(`^(Test|Fuzz)[A-Z]\w*$`)
	testFuncs = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
)

// testsOfModule returns the names of all tests.
func testsOfModule(t *testing.T) map[string]bool {
	t.Helper()
	known := map[string]bool{}
	for _, files := range packagesOfModule(t) {
		for _, file := range files {
			if !strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range testFuncs.FindAllSubmatch(text, -1) {
				known[string(m[1])] = true
			}
		}
	}
	return known
}

func TestPages_testsExist(t *testing.T) {
	known := testsOfModule(t)
	for _, p := range readPages(t) {
		for _, span := range p.spans() {
			// The pages on how to contribute show what a name looks like.
			if testName.MatchString(span) && !known[span] && span != "TestSendC2D_queueFull" {
				t.Errorf("%s: there is no test %s", p.name, span)
			}
		}
	}
}

// packagesOfModule returns the Go files of each package, by the package's path from the root.
func packagesOfModule(t *testing.T) map[string][]string {
	t.Helper()
	packages := map[string][]string{}
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && path != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules" || name == "tools") {
			return filepath.SkipDir
		}
		if filepath.Ext(path) == ".go" {
			rel, err := filepath.Rel(root, filepath.Dir(path))
			if err != nil {
				return err
			}
			dir := filepath.ToSlash(rel)
			packages[dir] = append(packages[dir], path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return packages
}
