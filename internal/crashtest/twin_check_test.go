//go:build crash

package crashtest

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hubward/hubward"
)

// twinTally counts what a run has had.
type twinTally struct{ acknowledged, unanswered, stored, refused, shown, told int }

// check compares what writers and devices know with the changes of which the hub's events tell, when all is over.
func (l *twinLedger) check(h *twinHistory) (sum twinTally, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for device, r := range l.twins {
		if err := r.checkLocked(h.twins[device], &sum); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", device, err))
		}
	}
	return sum, errors.Join(errs...)
}

func (r *twinRecord) checkLocked(changes []*twinChanged, sum *twinTally) error {
	stored := map[*twinWrite]int64{} // its counter
	var newest shownTwin
	err := replay(changes, func(c *twinChanged, now shownTwin, sections [3]map[string]any) error {
		newest = now
		w, count, err := r.writeOf(c, now)
		if err != nil {
			return err
		}
		if before, twice := stored[w]; twice {
			return fmt.Errorf("V5: write %d (reported: %t) is there twice, as %d and %d", w.number, w.reported, before, count)
		}
		stored[w] = count
		sum.stored++
		if shown, ok := r.shown[c.Version]; ok && shown != now {
			return fmt.Errorf("V2: version %d was shown with other documents or counters than its events make: %+v, %+v", c.Version, shown, now)
		}
		if told, ok := r.told[now.desired]; ok && told != canonical(sections[1]) {
			return fmt.Errorf("V4: the device has desired properties %s of %d, which are %s", told, now.desired, canonical(sections[1]))
		}
		return nil
	})
	if err != nil {
		return err
	}
	sum.shown += len(r.shown)
	sum.told += len(r.told)
	for version := range r.shown {
		if version > newest.etag+newest.reported {
			return fmt.Errorf("V5: version %d was shown, events tell of %d and no more", version, newest.etag+newest.reported)
		}
	}
	return errors.Join(checkStored(r.backEnds, stored, sum), checkStored(r.reports, stored, sum))
}

// checkStored checks V1 for writes.
func checkStored(writes []*twinWrite, stored map[*twinWrite]int64, sum *twinTally) error {
	for _, w := range writes {
		count, ok := stored[w]
		switch {
		case w.state == accepted && !ok:
			return fmt.Errorf("V1: write %d (reported: %t), which got the counter %d, is lost", w.number, w.reported, w.count)
		case w.state == accepted && count != w.count:
			return fmt.Errorf("V1: write %d (reported: %t) was answered with the counter %d and has %d", w.number, w.reported, w.count, count)
		case w.state == unsent && ok:
			return fmt.Errorf("V1: write %d was refused, and is stored as %d", w.number, count)
		}
		switch w.state {
		case accepted:
			sum.acknowledged++
		case unsent:
			sum.refused++
		default:
			sum.unanswered++
		}
	}
	return nil
}

// writeOf returns the write of which a change tells, all of which has to be in it, and its counter.
func (r *twinRecord) writeOf(c *twinChanged, now shownTwin) (*twinWrite, int64, error) {
	writes, count, sections := r.backEnds, now.etag, []json.RawMessage{c.Tags, c.Properties.Desired}
	if isReported := len(c.Properties.Reported) > 0 && !c.replaced; isReported {
		writes, count, sections = r.reports, now.reported, []json.RawMessage{nil, nil, c.Properties.Reported}
	}
	texts, number := make([]string, 3), -1
	for i, section := range sections {
		if len(section) == 0 {
			continue
		}
		var s map[string]any
		if err := hubward.DecodeSection(section, &s); err != nil {
			return nil, 0, err
		}
		texts[i] = canonical(s)
		if n, ok := s["n"].(json.Number); ok {
			n, err := n.Int64()
			if err != nil {
				return nil, 0, err
			}
			number = int(n)
		}
	}
	if number < 0 || number >= len(writes) {
		return nil, 0, fmt.Errorf("V5: the event of version %d tells of no write: %q", c.Version, texts)
	}
	w := writes[number]
	want := make([]string, 3)
	for i, has := range []bool{w.tags, w.desired, w.reported} {
		switch {
		case has:
			want[i] = canonical(w.section())
		case w.replace && i < 2:
			want[i] = "{}"
		}
	}
	for i := range want {
		if texts[i] != want[i] {
			return nil, 0, fmt.Errorf("V1: the event of version %d has %q, and write %d is %q", c.Version, texts, number, want)
		}
	}
	by := "policy iothubowner"
	if w.reported {
		by = "device " + w.device
	}
	if c.by != by || c.replaced != w.replace {
		return nil, 0, fmt.Errorf("V5: the event of version %d is by %q (replaced: %t), the write by %q", c.Version, c.by, c.replaced, by)
	}
	return w, count, nil
}
