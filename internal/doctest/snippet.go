package doctest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Snippet is one fenced block of code of a page.
type Snippet struct {
	Page string // from the module's root, with slashes
	Line int    // of its first line, from 1
	Kind string // the word behind ```, e.g. "sh"
	Text string
}

// String says where the snippet stands, for messages of tests.
func (s Snippet) String() string { return fmt.Sprintf("%s:%d (%s)", s.Page, s.Line, s.Kind) }

// Pages returns the names of the pages that this package looks after, from root, the folder of the module's go.mod, with
// slashes.
func Pages(root string) ([]string, error) {
	names := []string{"README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"}
	for _, pattern := range []string{"docs/*.md", "docs/adr/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
		if err != nil {
			return nil, err
		}
		for _, file := range found {
			rel, err := filepath.Rel(root, file)
			if err != nil {
				return nil, err
			}
			names = append(names, filepath.ToSlash(rel))
		}
	}
	return names, nil
}

// Snippets returns those of all pages, in their order.
func Snippets(root string) ([]Snippet, error) {
	names, err := Pages(root)
	if err != nil {
		return nil, err
	}
	var all []Snippet
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			return nil, err
		}
		found, err := parseSnippets(name, string(text))
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

var (
	fences = regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$")
	// fenceMark is what Markdown takes for the mark of a fence, which may be indented, longer, or of another character
	// (spec.commonmark.org, section 4.5).
	fenceMark = regexp.MustCompile("(?m)^\\s*(```|~~~)")
)

// parseSnippets takes a page apart. A fence that it would overlook, and so leave unchecked, is an error: pages write them
// as ``` at the beginning of a line, with the name of the language.
func parseSnippets(page, text string) ([]Snippet, error) {
	var all []Snippet
	marks := 0
	for _, at := range fences.FindAllStringSubmatchIndex(text, -1) {
		s := Snippet{
			Page: page, Line: strings.Count(text[:at[4]], "\n") + 1, Kind: text[at[2]:at[3]], Text: text[at[4]:at[5]],
		}
		marks += len(fenceMark.FindAllString(text[at[0]:at[1]], -1))
		all = append(all, s)
	}
	if found := len(fenceMark.FindAllString(text, -1)); found != marks || marks != 2*len(all) {
		return nil, fmt.Errorf("%s: %d marks of code fences make %d snippets; each is ``` at the beginning of a line, first with a language", page, found, len(all))
	}
	return all, nil
}
