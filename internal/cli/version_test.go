package cli

import (
	"bytes"
	"runtime/debug"
	"strings"
	"testing"
)

func TestReadBuild_namesTheCommit(t *testing.T) {
	const revision = "9e78d67aa5f8a7f1f7e3b4c7d2a4a8d1c0b9e8f7"
	info := &debug.BuildInfo{
		Main: debug.Module{Version: "v0.0.0-20261130101500-9e78d67aa5f8"},
		Settings: []debug.BuildSetting{
			{Key: "vcs.revision", Value: revision}, {Key: "vcs.time", Value: "2026-11-30T10:15:00Z"}, {Key: "vcs.modified", Value: "true"},
		},
	}
	b := readBuild(info, "other 2020-01-01T00:00:00Z")
	if b.Version != info.Main.Version || b.Revision != revision || b.Time != "2026-11-30T10:15:00Z" || !b.Modified {
		t.Errorf("%+v", b)
	}
	var out bytes.Buffer
	if err := printBuild(&out, b); err != nil || !strings.HasPrefix(out.String(), "hubward "+info.Main.Version+" ("+revision+", modified) go") {
		t.Errorf("%q, %v", out.String(), err)
	}
	if b := readBuild(nil, ""); b.Version != "(devel)" || b.Revision != "" || b.Go == "" {
		t.Errorf("without information: %+v", b)
	}
	// In a worktree Go leaves nothing of the commit, and make build does.
	for stamp, version := range map[string]string{
		revision + " 2026-11-30T11:15:00+01:00":          "v0.0.0-20261130101500-9e78d67aa5f8",
		revision + " 2026-11-30T11:15:00+01:00 modified": "v0.0.0-20261130101500-9e78d67aa5f8+dirty",
	} {
		b := readBuild(&debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, stamp)
		if b.Version != version || b.Revision != revision || b.Modified != strings.HasSuffix(stamp, "modified") {
			t.Errorf("stamp %q: %+v", stamp, b)
		}
	}
}
