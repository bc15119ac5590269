package cli

import (
	"fmt"
	"io"
	"time"
)

// progressEvery is how often a progress line changes.
const progressEvery = 200 * time.Millisecond

// progress is a line on a terminal that tells how far long work has got. It belongs to one goroutine, and costs nothing when
// nobody looks.
type progress struct {
	w    io.Writer // nil: standard error is no terminal
	now  func() time.Time
	what string // what is counted, in the plural

	started time.Time
	changed time.Time // when the line was last written
	shown   bool      // it stands on the terminal
}

func newProgress(env Env, what string) *progress {
	p := &progress{now: time.Now, what: what, started: time.Now()}
	if isTerminal(env.Stderr) {
		p.w = env.Stderr
	}
	return p
}

// show tells that done things are done, which are part of all there is to do: 0 to 1, negative when that is not known.
func (p *progress) show(done int, part float64) {
	if p.w == nil {
		return
	}
	now := p.now()
	if now.Sub(p.changed) < progressEvery {
		return
	}
	p.changed, p.shown = now, true
	fmt.Fprintf(p.w, "\r\x1b[K%s", p.line(done, part, now.Sub(p.started)))
}

// line is e.g. "81500 devices, 41230/s, 40%, 3s left".
func (p *progress) line(done int, part float64, took time.Duration) string {
	text := fmt.Sprintf("%d %s", done, p.what)
	if took <= 0 {
		return text
	}
	text += fmt.Sprintf(", %.0f/s", float64(done)/took.Seconds())
	if part <= 0 {
		return text
	}
	part = min(part, 1)
	left := time.Duration(float64(took) * (1 - part) / part).Round(time.Second)
	return text + fmt.Sprintf(", %.0f%%, %s left", 100*part, left)
}

// clear takes the line away, before something else is printed.
func (p *progress) clear() {
	if p.shown {
		p.shown = false
		io.WriteString(p.w, "\r\x1b[K")
	}
}
