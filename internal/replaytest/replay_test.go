package replaytest

import (
	"flag"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite what the hub says in the transcripts")

func TestReplay_hubAnswersAsRecorded(t *testing.T) {
	for _, name := range names(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			script := load(t, name)
			if *update {
				rewrite(t, script, name)
				return
			}
			for _, m := range manners() {
				if !t.Run(m.name, func(t *testing.T) { replay(t, script, m) }) {
					return // the others mostly show the same
				}
			}
		})
	}
}

// replay plays all connections of a transcript, one after the other, against one hub.
func replay(t *testing.T, script *transcript, m manner) {
	t.Helper()
	f := newFixture(t, script.Time)
	for n, recorded := range script.connections() {
		got, err := play(t, f, recorded, m)
		if err != nil {
			t.Errorf("connection %d: %v", n, err)
		}
		if all := differences(recorded, got); len(all) > 0 {
			t.Errorf("connection %d of %s: the hub says something else (- recorded, + now; -update takes it over):\n%s",
				n, script.Client, strings.Join(all, "\n"))
		}
		if t.Failed() {
			return
		}
	}
}

// rewrite replaces the hub's lines of a transcript by what it says now.
func rewrite(t *testing.T, script *transcript, name string) {
	t.Helper()
	f := newFixture(t, script.Time)
	out := &transcript{Client: script.Client, Time: script.Time}
	for n, recorded := range script.connections() {
		got, err := play(t, f, recorded, manners()[0])
		if err != nil {
			t.Logf("connection %d: %v", n, err)
		}
		for _, l := range got {
			l.Conn = n
			out.lines = append(out.lines, l)
		}
	}
	out.save(t, name)
}
