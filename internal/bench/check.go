package bench

import (
	"encoding/json"
	"strconv"
)

// Check compares what a run's devices were acknowledged with what a reader got. Feed it every event from the run's
// start on, in the reader's order.
type Check struct {
	run     string
	acked   map[string]int64
	missing int64 // acknowledged messages that have not come yet
	devices map[string]*progress

	Read       int64 `json:"read"`
	Lost       int64 `json:"lost"`       // acknowledged, and not among the events
	Duplicates int64 `json:"duplicates"` // events of a number that had come before
	OutOfOrder int64 `json:"outOfOrder"` // first events of a number below one that had come before
}

// progress is how far one device's numbers have come.
type progress struct {
	next    int64          // above all that have come
	skipped map[int64]bool // below next, and not come yet
}

// NewCheck starts a comparison.
func (r *Result) NewCheck(run string) *Check {
	c := &Check{run: run, acked: r.acked, devices: map[string]*progress{}}
	for _, n := range r.acked {
		c.missing += n
	}
	return c
}

// Event takes one event's device and body. Those of other runs are ignored.
func (c *Check) Event(device string, body []byte) {
	var b struct {
		Run string `json:"run"`
		N   string `json:"n"`
	}
	if json.Unmarshal(body, &b) != nil || b.Run != c.run {
		return
	}
	n, err := strconv.ParseInt(b.N, 10, 64)
	if err != nil {
		return
	}
	c.Read++
	c.number(device, n)
}

// maxSkip bounds a gap that is noted number by number. What lies in a larger one counts as lost.
const maxSkip = 1 << 20

func (c *Check) number(device string, n int64) {
	p := c.devices[device]
	if p == nil {
		p = &progress{skipped: map[int64]bool{}}
		c.devices[device] = p
	}
	switch {
	case n >= p.next:
		for i := p.next; i < n && n-p.next <= maxSkip; i++ {
			p.skipped[i] = true
		}
		p.next = n + 1
	case p.skipped[n]:
		delete(p.skipped, n)
		c.OutOfOrder++
	default:
		c.Duplicates++
		return
	}
	if n < c.acked[device] {
		c.missing--
	}
}

// Complete reports whether every acknowledged message has come.
func (c *Check) Complete() bool { return c.missing <= 0 }

// Finish ends the comparison: what has not come is lost.
func (c *Check) Finish() { c.Lost = max(0, c.missing) }
