//go:build crash

package crashtest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/hubward/hubward/internal/childhub"
)

// ledger remembers every event that a reader was ever shown, by partition and sequence number. It is for one goroutine
// at a time.
type ledger struct {
	partitions map[string][]entry // the index is the sequence number
}

// entry is what must not change about an event.
type entry struct {
	device   string
	number   int
	enqueued time.Time
}

func newLedger() *ledger { return &ledger{partitions: map[string][]entry{}} }

func (l *ledger) stored() int {
	n := 0
	for _, entries := range l.partitions {
		n += len(entries)
	}
	return n
}

// note checks C3 and C4 for one event and remembers it.
func (l *ledger) note(e childhub.Event) (entry, error) {
	var body struct {
		Device string
		Number int
	}
	if err := json.Unmarshal(e.Body, &body); err != nil {
		return entry{}, fmt.Errorf("event %d of partition %s: %w", e.SequenceNumber, e.Partition, err)
	}
	got := entry{device: e.Annotations.DeviceID, number: body.Number, enqueued: e.EnqueuedTime}
	if body.Device != got.device {
		return entry{}, fmt.Errorf("event %d of partition %s: sent by %s, stamped %s", e.SequenceNumber, e.Partition, body.Device, got.device)
	}
	known := l.partitions[e.Partition]
	switch next := int64(len(known)); {
	case e.SequenceNumber < 0 || e.SequenceNumber > next:
		return entry{}, fmt.Errorf("C3: partition %s goes on with %d, the next is %d", e.Partition, e.SequenceNumber, next)
	case e.SequenceNumber < next:
		if was := known[e.SequenceNumber]; was != got {
			return entry{}, fmt.Errorf("C3: event %d of partition %s was %v and is %v now", e.SequenceNumber, e.Partition, was, got)
		}
	case next > 0 && got.enqueued.Before(known[next-1].enqueued):
		return entry{}, fmt.Errorf("C4: event %d of partition %s is of %s, the one before of %s", next, e.Partition, got.enqueued, known[next-1].enqueued)
	default:
		l.partitions[e.Partition] = append(known, got)
	}
	return got, nil
}

// follow reads on from where the ledger ends until the hub is gone: what it is shown in the last moments must be there
// after the restart.
func (l *ledger) follow(ctx context.Context, hub *childhub.Hub) error {
	var after []string
	for partition, entries := range l.partitions {
		after = append(after, fmt.Sprintf("%s:%d", partition, len(entries)-1))
	}
	query := url.Values{"from": {"earliest"}}
	if len(after) > 0 {
		query.Set("after", strings.Join(after, ","))
	}
	var wrong error
	_ = hub.Events(ctx, query, func(e childhub.Event) bool { // its end is the hub's death, whatever it says
		_, wrong = l.note(e)
		return wrong == nil
	})
	return wrong
}

// compare reads everything from the beginning, checks C1 to C4, and returns when the last acknowledged message of
// every device was seen.
func (l *ledger) compare(ctx context.Context, hub *childhub.Hub, fleet []*device) error {
	missing := map[string]*device{} // by id: devices with acknowledged messages not yet seen
	for _, d := range fleet {
		if d.acked > 0 {
			missing[d.id] = d
		}
	}
	if len(missing) == 0 {
		return nil
	}
	devices, positions := map[string]int{}, map[string]int64{}
	var wrong error
	err := hub.Events(ctx, url.Values{"from": {"earliest"}}, func(e childhub.Event) bool {
		var got entry
		if got, wrong = l.note(e); wrong != nil {
			return false
		}
		if e.SequenceNumber != positions[e.Partition] {
			wrong = fmt.Errorf("C3: partition %s shows %d where %d is due", e.Partition, e.SequenceNumber, positions[e.Partition])
			return false
		}
		positions[e.Partition]++
		next := devices[got.device]
		if got.number > next {
			wrong = fmt.Errorf("C2: message %d of %s comes before message %d", got.number, got.device, next)
			return false
		}
		devices[got.device] = max(next, got.number+1)
		if d := missing[got.device]; d != nil && devices[d.id] >= d.acked {
			delete(missing, d.id)
		}
		return len(missing) > 0
	})
	if wrong != nil || err == nil {
		return wrong
	}
	var lost []string
	for id, d := range missing {
		lost = append(lost, fmt.Sprintf("%s from %d to %d", id, devices[id], d.acked-1))
	}
	return fmt.Errorf("C1: acknowledged messages are missing: %s (%w)", strings.Join(lost, "; "), err)
}
