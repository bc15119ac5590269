//go:build interop

package interop_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
)

// maxDeliveries is how often a message is handed out before it is given up.
const maxDeliveries = 10

// settlement is what a device does with a message, what acknowledgement its sender asks for, and what feedback that gives.
type settlement struct {
	outcome, ack string
	want         hubward.FeedbackStatus // empty: none
}

func (s settlement) id(device string) string {
	return strings.Join([]string{device, s.outcome, s.ack, "?"}, "/")
}

// settlements lists what a device on that SDK can do with messages.
func (r receiving) settlements() []settlement {
	list := []settlement{
		{"complete", "full", hubward.FeedbackSuccess}, {"complete", "positive", hubward.FeedbackSuccess},
		{"complete", "negative", ""}, {"complete", "none", ""}, {"complete", "", ""},
	}
	if r.rejects() {
		list = append(list,
			settlement{"reject", "full", hubward.FeedbackRejected}, settlement{"reject", "negative", hubward.FeedbackRejected},
			settlement{"reject", "positive", ""},
			settlement{"abandon", "full", hubward.FeedbackDeliveryCountExceeded}, settlement{"abandon", "positive", ""})
	}
	return list
}

// expected collects the outcomes that have to be heard of. It is safe for concurrent use.
type expected struct {
	mu      sync.Mutex                  // guards the fields below
	records map[string]hubward.Feedback // by message id; without their times
}

func (x *expected) add(d *hubward.Device, id string, status hubward.FeedbackStatus) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.records[id] = hubward.Feedback{
		OriginalMessageID: id, DeviceID: d.DeviceID, DeviceGenerationID: d.GenerationID, StatusCode: status, Description: string(status),
	}
}

// Devices on every SDK complete, reject and abandon messages; others expire or are purged. The back end hears of exactly
// what it has asked for, and of that once.
func TestC2D_outcomes(t *testing.T) {
	node := familyOf(t, "node").openBackEnd(t, "c2d_service", map[string]string{"FEEDBACK": "1"})
	python := familyOf(t, "python").openBackEnd(t, "c2d_service", map[string]string{})
	java := familyOf(t, "java").openBackEnd(t, "c2d_service", map[string]string{})
	want := &expected{records: map[string]hubward.Feedback{}}
	began := time.Now()

	away, _ := createDevice(t, "outcomes-away")
	expiring := message{ID: "outcomes expiring", Ack: "full", Expiry: time.Now().Add(3 * time.Second).UnixMilli(), Body: "soon too late"}
	mustSend(t, node, away.DeviceID, expiring)
	want.add(away, expiring.ID, hubward.FeedbackExpired)
	purged, _ := createDevice(t, "outcomes-purged")
	mustSend(t, node, purged.DeviceID, messageWith("outcomes purged", "", "negative"), messageWith("outcomes purged, unheard of", "", "positive"))
	purge(t, purged.DeviceID, 2)
	want.add(purged, "outcomes purged", hubward.FeedbackPurged)

	devices := map[string]*hubward.Device{}
	connections := map[string]string{}
	for _, r := range receivers() { // they live as long as their feedback is to
		devices[r.String()], connections[r.String()] = createDevice(t, "outcomes-"+r.String())
	}
	together(t, receivers(), func(t *testing.T, r receiving) {
		from := map[string]c2dSender{"node": node, "python": python, "java": java}[r.sdk]
		testSettlements(t, r.open(t, connections[r.String()]), r, devices[r.String()], from, want)
	})
	if t.Failed() {
		t.FailNow() // what has not ended would be waited for
	}
	got := map[string]hubward.Feedback{}
	defer func() {
		if diff := cmp.Diff(want.records, got); diff != "" {
			t.Errorf("feedback (-want +got):\n%s", diff)
		}
	}()
	for len(got) < len(want.records) {
		for _, record := range node.nextFeedback(t) {
			if !strings.HasPrefix(record.OriginalMessageID, "outcomes") {
				continue
			}
			if at := record.EnqueuedTime.Time; at.Before(began.Add(-time.Millisecond)) || at.After(time.Now()) {
				t.Errorf("the outcome of %q is of %s", record.OriginalMessageID, at)
			}
			record.EnqueuedTime = hubward.Time{}
			if was, ok := got[record.OriginalMessageID]; ok {
				t.Errorf("two outcomes came: %+v, %+v", was, record)
			}
			got[record.OriginalMessageID] = record
		}
	}
}

// testSettlements sends a message for each settlement, and then one whose feedback comes after all that there is on those.
func testSettlements(t *testing.T, c *client, r receiving, device *hubward.Device, from c2dSender, want *expected) {
	deliveries := map[string]int{}
	for _, s := range r.settlements() {
		id := s.id(device.DeviceID)
		mustSend(t, from, device.DeviceID, messageWith(id, s.outcome, s.ack))
		if s.want != "" {
			want.add(device, id, s.want)
		}
		deliveries[id] = 1
		if s.outcome == "abandon" {
			deliveries[id] = maxDeliveries
		}
	}
	got := map[string]int{}
	left := 0
	for n := range maps.Values(deliveries) {
		left += n
	}
	for ; left > 0; left-- {
		got[c.nextMessage().ID]++
	}
	if diff := cmp.Diff(deliveries, got); diff != "" {
		t.Errorf("deliveries (-want +got):\n%s", diff)
	}
	waitForQueue(t, device.DeviceID, 0)
	last := "outcomes, the last of " + r.String()
	mustSend(t, from, device.DeviceID, messageWith(last, "complete", "full"))
	want.add(device, last, hubward.FeedbackSuccess)
	c.wantMessages(last)
	waitForQueue(t, device.DeviceID, 0)
	c.stop()
	c.finish()
}

// maxFeedback is how many records make a feedback message at once.
const maxFeedback = 64

// Each client that hears of outcomes is handed those of messages that the Python SDKs send and receive. It would have to
// wait for most of them for 15 seconds, if there were not as many as a feedback message has room for.
func TestC2D_feedbackReceivers(t *testing.T) {
	node, python := familyOf(t, "node"), familyOf(t, "python")
	from := python.openBackEnd(t, "c2d_service", map[string]string{})
	hearing := []struct {
		name string
		open func(t *testing.T) *backEnd
	}{
		{"node-amqp-ws", func(t *testing.T) *backEnd {
			return node.openBackEnd(t, "c2d_service", map[string]string{"FEEDBACK": "1", "TRANSPORT": "amqp-ws"})
		}},
		{"uamqp", func(t *testing.T) *backEnd { return python.openBackEnd(t, "c2d_feedback", map[string]string{}, "amqp") }},
		{"uamqp-ws", func(t *testing.T) *backEnd {
			return python.openBackEnd(t, "c2d_feedback", map[string]string{"TRANSPORT": "amqp-ws"}, "amqp")
		}},
		{"java", func(t *testing.T) *backEnd {
			return familyOf(t, "java").openBackEnd(t, "c2d_service", map[string]string{"FEEDBACK": "1"})
		}},
		{"java-ws", func(t *testing.T) *backEnd {
			return familyOf(t, "java").openBackEnd(t, "c2d_service", map[string]string{"FEEDBACK": "1", "TRANSPORT": "amqp-ws"})
		}},
		{"rest", func(t *testing.T) *backEnd { return python.openBackEnd(t, "c2d_feedback", map[string]string{}, "rest") }},
	}
	fill := node.openBackEnd(t, "c2d_service", map[string]string{})
	device, cs := createDevice(t, "feedback-receivers")
	c := receivingAs(t, "python-aio").open(t, cs)
	for _, h := range hearing {
		t.Run(h.name, func(t *testing.T) {
			b := h.open(t)
			id := "heard by " + h.name
			mustSend(t, from, device.DeviceID, messageWith(id, "", "full"))
			c.wantMessages(id)
			waitForQueue(t, device.DeviceID, 0)
			fillFeedback(t, fill, h.name)
			for {
				records := b.nextFeedback(t)
				i := slices.IndexFunc(records, func(f hubward.Feedback) bool { return f.OriginalMessageID == id })
				if i < 0 {
					continue
				}
				if f := records[i]; f.StatusCode != hubward.FeedbackSuccess || f.DeviceGenerationID != device.GenerationID {
					t.Errorf("the outcome is %+v", f)
				}
				return
			}
		})
	}
	c.stop()
	c.finish()
}

// fillFeedback makes so many records that, whatever is waiting, all of it leaves at once. It purges three queues: the
// first may be what leaves without the others, and those have more than a feedback message between them.
func fillFeedback(t *testing.T, from c2dSender, prefix string) {
	t.Helper()
	const each = maxFeedback/2 + 1
	for i := range 3 {
		device, _ := createDevice(t, fmt.Sprintf("fill-%s-%d", prefix, i))
		var all sync.WaitGroup
		for n := range each {
			all.Go(func() {
				if refusal := from.Send(t, device.DeviceID, messageWith(fmt.Sprintf("fill %s %d", device.DeviceID, n), "", "negative")); refusal != "" {
					t.Errorf("refused: %s", refusal)
				}
			})
		}
		all.Wait()
		purge(t, device.DeviceID, each)
	}
}
