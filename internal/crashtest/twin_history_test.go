//go:build crash

package crashtest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/childhub"
)

// twinHistory is what the hub's own event stream has told of twins. It is for one goroutine at a time.
type twinHistory struct {
	partitions map[string][]string       // every event, by partition and sequence number
	twins      map[string][]*twinChanged // by device, in the order of their events
}

// twinChanged is a twin change event.
type twinChanged struct {
	Version    int64
	Tags       json.RawMessage
	Properties struct{ Desired, Reported json.RawMessage }

	replaced bool
	by       string
}

func newTwinHistory() *twinHistory {
	return &twinHistory{partitions: map[string][]string{}, twins: map[string][]*twinChanged{}}
}

// note takes an event, and checks V5 for it, as far as that goes without the writes.
func (h *twinHistory) note(e childhub.Event) error {
	known, text := h.partitions[e.Partition], e.Properties["opType"]+" of "+e.Annotations.DeviceID+": "+string(e.Body)
	switch next := int64(len(known)); {
	case e.SequenceNumber < 0 || e.SequenceNumber > next:
		return fmt.Errorf("V5: partition %s goes on with %d, the next is %d", e.Partition, e.SequenceNumber, next)
	case e.SequenceNumber < next:
		if was := known[e.SequenceNumber]; was != text {
			return fmt.Errorf("V5: event %d of partition %s was %s and is %s now", e.SequenceNumber, e.Partition, was, text)
		}
		return nil
	}
	h.partitions[e.Partition] = append(known, text)
	if e.Annotations.MessageSource != "twinChangeEvents" {
		return nil
	}
	c := &twinChanged{replaced: e.Properties["opType"] == "replaceTwin", by: e.Properties["hubward-updated-by"]}
	if err := json.Unmarshal(e.Body, c); err != nil {
		return fmt.Errorf("event %d of partition %s: %w", e.SequenceNumber, e.Partition, err)
	}
	device := e.Annotations.DeviceID
	before := h.version(device)
	h.twins[device] = append(h.twins[device], c)
	if c.Version != before+1 {
		return fmt.Errorf("V5: the event of version %d of the twin of %s comes behind that of %d: %.300s", c.Version, device, before, e.Body)
	}
	return nil
}

// version is the newest one of a twin that was told of.
func (h *twinHistory) version(device string) int64 {
	changes := h.twins[device]
	if len(changes) == 0 {
		return 2 // that of a twin to which nobody has written
	}
	return changes[len(changes)-1].Version
}

// follow reads on from where the history ends until the hub is gone.
func (h *twinHistory) follow(ctx context.Context, hub *childhub.Hub) error {
	var wrong error
	_ = hub.Events(ctx, h.query(), func(e childhub.Event) bool { // its end is the hub's death, whatever it says
		wrong = h.note(e)
		return wrong == nil
	})
	if wrong != nil {
		return violation{wrong}
	}
	return nil
}

func (h *twinHistory) query() url.Values {
	var after []string
	for partition, events := range h.partitions {
		after = append(after, fmt.Sprintf("%s:%d", partition, len(events)-1))
	}
	query := url.Values{"endpoint": {"hub-events"}, "from": {"earliest"}}
	if len(after) > 0 {
		query.Set("after", strings.Join(after, ","))
	}
	return query
}

// readAgain reads everything from the beginning, until the versions given were told of. What was read before has to come as it
// did.
func (h *twinHistory) readAgain(ctx context.Context, hub *childhub.Hub, until map[string]int64) error {
	positions := map[string]int64{}
	var wrong error
	query := url.Values{"endpoint": {"hub-events"}, "from": {"earliest"}}
	err := hub.Events(ctx, query, func(e childhub.Event) bool {
		if wrong = h.note(e); wrong != nil {
			return false
		}
		if e.SequenceNumber != positions[e.Partition] {
			wrong = fmt.Errorf("V5: partition %s shows %d where %d is due", e.Partition, e.SequenceNumber, positions[e.Partition])
			return false
		}
		positions[e.Partition]++
		return !h.complete(positions, until)
	})
	if wrong != nil {
		return wrong
	}
	if err != nil {
		return fmt.Errorf("V5: the events of these twins' newest versions are missing: %v (%w)", h.missing(until), err)
	}
	return nil
}

// complete reports whether all events were read that are known, and all that are to be there.
func (h *twinHistory) complete(positions, until map[string]int64) bool {
	for partition, events := range h.partitions {
		if positions[partition] < int64(len(events)) {
			return false
		}
	}
	return len(h.missing(until)) == 0
}

// missing returns the devices, with the versions that were told of, of whose twins newer ones are to be told.
func (h *twinHistory) missing(until map[string]int64) map[string]int64 {
	missing := map[string]int64{}
	for device, version := range until {
		if h.version(device) < version {
			missing[device] = h.version(device)
		}
	}
	return missing
}

// replay makes the twin from its changes, and visits it after each of them.
func replay(changes []*twinChanged, visit func(c *twinChanged, now shownTwin, sections [3]map[string]any) error) error {
	now, sections := shownTwin{etag: 1, desired: 1, reported: 1}, [3]map[string]any{{}, {}, {}}
	for _, c := range changes {
		if len(c.Properties.Reported) == 0 || c.replaced {
			now.etag++
		}
		texts := [3]json.RawMessage{c.Tags, c.Properties.Desired, c.Properties.Reported}
		for i, count := range []*int64{new(int64), &now.desired, &now.reported} {
			if len(texts[i]) == 0 {
				continue
			}
			var patch map[string]any
			if err := hubward.DecodeSection(texts[i], &patch); err != nil {
				return err
			}
			if c.replaced && i < 2 {
				sections[i] = map[string]any{}
			}
			if !c.replaced || i < 2 {
				merge(sections[i], patch)
				*count++
			}
			if version := hubward.SectionVersion(texts[i]); i > 0 && version != *count {
				return fmt.Errorf("V3: the event of version %d has a section of $version %d, which is the write number %d to it", c.Version, version, *count)
			}
		}
		now.digest = digest(sections)
		if err := visit(c, now, sections); err != nil {
			return err
		}
	}
	return nil
}
