package archtest

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// source is one Go file that is no test: where it stands and what it imports.
type source struct {
	pkg     string // its package, relative to the module
	file    string
	imports []string
}

// check returns one sentence for each import that breaks rules, for each package that has no rule, and for each rule
// that has no package.
func check(module string, rules []rule, packages []string, sources []source) []string {
	byPkg := map[string]rule{}
	for _, r := range rules {
		byPkg[r.pkg] = r
	}
	var wrong []string
	for _, pkg := range packages {
		if _, ok := byPkg[pkg]; !ok {
			wrong = append(wrong, fmt.Sprintf("package %s is not in the layout: add it to the table in internal/archtest/layout.go, with what it may import and why", pkg))
		}
	}
	for _, r := range rules {
		if !slices.Contains(packages, r.pkg) {
			wrong = append(wrong, fmt.Sprintf("the layout names package %s, which does not exist: remove its row from internal/archtest/layout.go", r.pkg))
		}
	}
	for _, s := range sources {
		r, ok := byPkg[s.pkg]
		if !ok {
			continue
		}
		for _, imp := range s.imports {
			if problem := r.problem(module, s.file, imp); problem != "" {
				wrong = append(wrong, fmt.Sprintf("%s: %s\n\tthe rule: %s", path.Join(s.pkg, s.file), problem, r.why))
			}
		}
	}
	return wrong
}

// problem says what is wrong with one import, or "".
func (r rule) problem(module, file, imp string) string {
	if pkg, ok := ownPackage(module, imp); ok {
		return r.ownProblem(file, pkg)
	}
	if isStandard(imp) {
		if within(imp, r.never) && imp != "net/netip" { // which has addresses as values, and no net
			return fmt.Sprintf("%s may not import %s of the standard library", r.pkg, imp)
		}
		return ""
	}
	if !within(imp, r.outside) {
		return fmt.Sprintf("%s may not import %s", r.pkg, imp)
	}
	return ""
}

func (r rule) ownProblem(file, pkg string) string {
	if !slices.Contains(r.ours, pkg) {
		return fmt.Sprintf("%s may not import our package %s", r.pkg, pkg)
	}
	prefixes, narrowed := r.inFiles[pkg]
	if narrowed && !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(file, p) }) {
		return fmt.Sprintf("only %s files of %s may import %s", strings.Join(prefixes, ", "), r.pkg, pkg)
	}
	return ""
}

// ownPackage returns the path of a package of this module, relative to the module.
func ownPackage(module, imp string) (string, bool) {
	if imp == module {
		return ".", true
	}
	return strings.CutPrefix(imp, module+"/")
}

// isStandard reports whether imp is a package of the standard library: those have no dot in their first element.
func isStandard(imp string) bool {
	first, _, _ := strings.Cut(imp, "/")
	return !strings.Contains(first, ".")
}

// within reports whether imp is one of roots or below one.
func within(imp string, roots []string) bool {
	return slices.ContainsFunc(roots, func(root string) bool { return imp == root || strings.HasPrefix(imp, root+"/") })
}
