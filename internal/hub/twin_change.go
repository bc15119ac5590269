package hub

import (
	"slices"
	"time"

	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/internal/hub/twindoc"
)

// The older changes of the desired properties that are kept beside the newest one, for devices that are being told of it.
const (
	maxOlderChanges     = 16
	maxOlderChangesSize = 8 << 10 // bytes of JSON
)

// twinChange is a checked write of a back end to a twin, with all that chance decides already decided, so that applying it is
// repeatable.
type twinChange struct {
	hub     string
	by      string // who makes it
	event   string // id of the event that tells of it
	at      time.Time
	replace bool           // the sections as wholes
	tags    *twindoc.Patch // nil: they stay
	desired *twindoc.Patch
}

// newTwinChange checks what a back end writes. A section that is nil stays as it is.
func (h *Hub) newTwinChange(s *state, p *access.Principal, u TwinUpdate, replace bool) (*twinChange, error) {
	parse := twindoc.ParsePatch
	if replace {
		parse = twindoc.ParseDocument
	}
	c := &twinChange{hub: s.ref.Name, by: authorOf(p), at: h.now().UTC(), replace: replace}
	var err error
	if u.Tags != nil {
		if c.tags, err = parse(twindoc.Tags, u.Tags); err != nil {
			return nil, err
		}
	}
	if u.Desired != nil {
		if c.desired, err = parse(twindoc.Desired, u.Desired); err != nil {
			return nil, err
		}
	}
	if c.isNone() {
		return c, nil
	}
	c.event, err = h.newGUID()
	return c, err
}

// isNone reports whether there is nothing to write.
func (c *twinChange) isNone() bool { return c == nil || c.tags == nil && c.desired == nil }

// apply writes to r's twin, and returns the event of that.
func (c *twinChange) apply(r *Registration) (HubEvent, error) {
	before := *r.Twin
	after := before
	var err error
	if c.tags != nil {
		if after.Tags, err = c.write(before.Tags, c.tags); err != nil {
			return HubEvent{}, err
		}
	}
	if c.desired != nil {
		if after.Desired, err = c.write(before.Desired, c.desired); err != nil {
			return HubEvent{}, err
		}
		after.DesiredChanges = withChange(before.DesiredChanges, DesiredChange{
			Version: after.Desired.Version, Patch: after.Desired.Notification(before.Desired, c.desired, c.replace),
		})
	}
	after.ETag++
	r.Twin = &after
	return c.tell(r, &before), nil
}

func (c *twinChange) write(s twindoc.Section, p *twindoc.Patch) (twindoc.Section, error) {
	if c.replace {
		return s.Replace(p, c.at)
	}
	return s.Merge(p, c.at)
}

// fresh returns the twin of a new identity that is registered with what c has: a new twin's versions, whatever is in it.
func (c *twinChange) fresh() (*StoredTwin, error) {
	t := NewTwin()
	if c.isNone() {
		return t, nil
	}
	var err error
	if c.tags != nil {
		if t.Tags, err = t.Tags.Replace(c.tags, c.at); err != nil {
			return nil, err
		}
	}
	if c.desired != nil {
		t.Desired.Version = 0 // it has none yet
		t.Desired, err = t.Desired.Replace(c.desired, c.at)
	}
	return t, err
}

// withChange adds the newest change, and drops old ones beyond the bounds.
func withChange(changes []DesiredChange, newest DesiredChange) []DesiredChange {
	first, size := len(changes), 0
	for first > 0 && len(changes)-first < maxOlderChanges {
		size += len(changes[first-1].Patch)
		if size > maxOlderChangesSize {
			break
		}
		first--
	}
	return append(slices.Clone(changes[first:]), newest)
}
