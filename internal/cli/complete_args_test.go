package cli

import (
	"slices"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// An argument with a name that completion does not know would complete to devices.
func TestComplete_knowsTheNamesOfArguments(t *testing.T) {
	known := []string{"ID", "MODULE", "NAME", "FILE", "DIR", "FOLDER", "COMMAND", "bash|zsh|fish|powershell"}
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, name := range positional(cmd) {
			if !slices.Contains(known, name) {
				t.Errorf("%s: completeArgs does not know what %s is", cmd.CommandPath(), name)
			}
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(newRootCommand(Env{Getenv: func(string) string { return "" }}))
}

func TestCompleteWithin(t *testing.T) {
	for text, want := range map[string]time.Duration{"": 2 * time.Second, "500ms": 500 * time.Millisecond, "soon": 2 * time.Second, "-1s": 2 * time.Second} {
		if got := completeWithin(Env{Getenv: func(string) string { return text }}); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
