// Package doctest keeps the pages of the project honest: its tests read README.md, ARCHITECTURE.md, CHANGELOG.md and
// docs/, and check what a machine can check of them against the code. That nothing cites what only its authors can look up
// is checked for all of the module's pages and Go files.
//
// For that, pages keep a few conventions. Every fence names its language, and every language has a test that checks its
// snippets: here, or with other people's clients in package interop. Commands stand in fences marked sh, or in code spans that
// begin with "hubward " or "go run ./cmd/hubward "; transcripts, which are not checked, in fences marked text. A Go file stands in a
// code span with its path from the module's root; a code span right behind it names something that it declares. A test
// stands in a code span as its name, TestX.
package doctest
