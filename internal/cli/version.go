package cli

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

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

// stamp is what make build knows of the commit: "REVISION TIME", and " modified" behind it if there were changes. Go itself
// finds no commit in a worktree (golang.org/issue/58218).
var stamp string

// buildInfo reads what the Go linker left in the program.
func buildInfo() build {
	info, _ := debug.ReadBuildInfo()
	return readBuild(info, stamp)
}

// readBuild takes what info says of the program, and of the commit else what stamp does; nil and "" say nothing.
func readBuild(info *debug.BuildInfo, stamp string) build {
	b := build{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info == nil {
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
	if fields := strings.Fields(stamp); b.Revision == "" && len(fields) >= 2 {
		b.Revision, b.Time, b.Modified = fields[0], fields[1], len(fields) > 2
		b.Version = pseudoVersion(b)
	}
	return b
}

// pseudoVersion is what Go calls a commit without a tag (go.dev/ref/mod#pseudo-versions).
func pseudoVersion(b build) string {
	at, err := time.Parse(time.RFC3339, b.Time)
	if err != nil || len(b.Revision) < 12 {
		return b.Version
	}
	version := "v0.0.0-" + at.UTC().Format("20060102150405") + "-" + b.Revision[:12]
	if b.Modified {
		version += "+dirty"
	}
	return version
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
