//go:build interop

package interop_test

import (
	"context"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hubward/hubward/internal/childhub"
)

// twinNow is what the events of a twin have made of it.
type twinNow struct {
	version                 int
	tags, desired, reported any
}

// apply makes one change. A replacement holds the twin without its reported properties, which it leaves alone.
func (n *twinNow) apply(t *testing.T, e childhub.Event) {
	t.Helper()
	change := twinIn(t, string(e.Body))
	n.version = change.Version
	patched := func(old any, text json.RawMessage) any {
		if text == nil {
			return old
		}
		if e.Properties["opType"] == "replaceTwin" {
			old = nil
		}
		return merged(old, section(t, text))
	}
	n.tags = patched(n.tags, change.Tags)
	n.desired = patched(n.desired, change.Properties.Desired)
	n.reported = patched(n.reported, change.Properties.Reported)
}

// events reads what the hub tells of the writes of all SDKs: one event for each, in order, that together make the twin.
func (j *twinJourney) events(t *testing.T) {
	t.Helper()
	stored := storedTwin(t, j.device)
	ctx, cancel := context.WithTimeout(t.Context(), readWithin)
	defer cancel()
	query := url.Values{"endpoint": {"hub-events"}, "source": {"twinChangeEvents"}, "device": {j.device}, "from": {"earliest"}}
	now := twinNow{version: 2, tags: map[string]any{}, desired: map[string]any{}, reported: map[string]any{}} // of a new device
	var bodies []string
	err := hub.Events(ctx, query, func(e childhub.Event) bool {
		before := now
		now.apply(t, e)
		j.checkTwinEvent(t, e, before, now)
		bodies = append(bodies, string(e.Body))
		return now.version < stored.Version
	})
	if err != nil {
		t.Fatalf("after %d changes, of version %d: %v", len(bodies), now.version, err)
	}
	wantValue(t, "what the changes make", twinNow{
		stored.Version, value(t, string(stored.Tags)), section(t, stored.Properties.Desired), section(t, stored.Properties.Reported),
	}, now)
	j.watched(t, bodies)
}

// checkTwinEvent looks at the form of one event.
func (j *twinJourney) checkTwinEvent(t *testing.T, e childhub.Event, before, now twinNow) {
	t.Helper()
	if now.version != before.version+1 {
		t.Errorf("the change after version %d makes %d", before.version, now.version)
	}
	var body struct{ Properties map[string]json.RawMessage }
	decode(t, string(e.Body), &body)
	by := "policy iothubowner"
	if _, reported := body.Properties["reported"]; reported && e.Properties["opType"] == "updateTwin" {
		by = "device " + j.device
	}
	if _, err := time.Parse(time.RFC3339Nano, e.Properties["operationTimestamp"]); err != nil {
		t.Error(err)
	}
	got := map[string]string{"type": e.SystemProperties.ContentType, "encoding": e.SystemProperties.ContentEncoding, "schema": e.SystemProperties.MessageSchema, "source": e.Annotations.MessageSource, "of": e.Annotations.DeviceID}
	for _, name := range []string{"hubName", "deviceId", "hubward-updated-by"} {
		got[name] = e.Properties[name]
	}
	wantValue(t, "a change of version "+strconv.Itoa(now.version), map[string]string{
		"type": "application/json", "encoding": "utf-8", "source": "twinChangeEvents", "of": j.device,
		"hubName": "hubward", "deviceId": j.device, "schema": "twinChangeNotification", "hubward-updated-by": by,
	}, got)
}

// watched has the command print the same.
func (j *twinJourney) watched(t *testing.T, bodies []string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(mustRun(t, "twin", "watch", j.device, "--from", "earliest", "--count", strconv.Itoa(len(bodies)), "-o", "json")), "\n")
	for i, line := range lines {
		var e childhub.Event
		decode(t, line, &e)
		wantValue(t, "line "+strconv.Itoa(i), value(t, bodies[i]), value(t, string(e.Body)))
	}
	if len(lines) != len(bodies) {
		t.Errorf("twin watch prints %d lines, want %d", len(lines), len(bodies))
	}
}
