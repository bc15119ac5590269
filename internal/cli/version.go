package cli

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// build says what program this is. Its JSON is what "version -o json" prints.
type build struct {
	Version  string `json:"version"`            // of the module: v1.2.3, or (devel) for a build from a checkout
	Revision string `json:"revision,omitempty"` // of the checkout
	Time     string `json:"time,omitempty"`     // of that revision, RFC 3339
	Modified bool   `json:"modified,omitempty"` // the checkout had changes
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// buildInfo reads what the Go linker left in the program.
func buildInfo() build {
	b := build{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

func newVersionCommand(env Env) *cobra.Command {
	cmd := &cobra.Command{Use: "version", Short: "Print what version of the program this is", Args: cobra.NoArgs}
	out := addOutputFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		if out.json {
			return writeJSON(env.Stdout, buildInfo())
		}
		return printBuild(env.Stdout, buildInfo())
	}
	return cmd
}

func printBuild(w io.Writer, b build) error {
	text := "hubward " + b.Version
	if b.Revision != "" {
		text += " (" + b.Revision
		if b.Modified {
			text += ", modified"
		}
		text += ")"
	}
	_, err := fmt.Fprintf(w, "%s %s %s\n", text, b.Go, b.Platform)
	return err
}
