package twindoc_test

import (
	"testing"
	"time"

	"github.com/hubward/hubward/internal/hub/twindoc"
)

// start is when tests write, unless they say otherwise.
var start = time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.UTC)

// merge parses a patch and merges it, and wants both to succeed.
func merge(tb testing.TB, s twindoc.Section, k twindoc.Kind, text string, at time.Time) twindoc.Section {
	tb.Helper()
	p, err := twindoc.ParsePatch(k, []byte(text))
	if err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
	s, err = s.Merge(p, at)
	if err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
	return s
}

// replace does the same with a document that replaces what is there.
func replace(tb testing.TB, s twindoc.Section, k twindoc.Kind, text string, at time.Time) twindoc.Section {
	tb.Helper()
	p, err := twindoc.ParseDocument(k, []byte(text))
	if err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
	s, err = s.Replace(p, at)
	if err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
	return s
}

// full is the section as back ends see it.
func full(tb testing.TB, s twindoc.Section) string {
	tb.Helper()
	text, err := s.AppendFull(nil)
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}
