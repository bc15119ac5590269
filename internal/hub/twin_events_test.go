package hub_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
)

// eventsOf are the events of an identity from one source, in order.
func eventsOf(events []*hubward.Event, id hubward.Identity, source string) (own []*hubward.Event) {
	for _, e := range events {
		if e.DeviceID == id.Device && e.ModuleID == id.Module && e.MessageSource == source {
			own = append(own, e)
		}
	}
	return own
}

// body parses what an event tells. Times of writes, which tests in bubbles do not care for, become "…".
func body(t *testing.T, e *hubward.Event) (v map[string]any) {
	t.Helper()
	if err := json.Unmarshal(e.Message.Body, &v); err != nil {
		t.Fatalf("%s: %v", e.Message.Body, err)
	}
	hideTimes(v)
	return v
}

func hideTimes(v map[string]any) {
	for name, value := range v {
		switch value := value.(type) {
		case map[string]any:
			hideTimes(value)
		case string:
			if name == "$lastUpdated" && value != "0001-01-01T00:00:00Z" {
				v[name] = "…"
			}
		}
	}
}

// Each change of a twin is one event, in order, in the cloud's words, with who has made it.
func TestTwinEvents(t *testing.T) {
	onOneAndTwo(t, func(t *testing.T, c *crew) {
		id := hubward.Identity{Device: "d1"}
		conn := c.connect(c.other(), c.device("d1"))
		h := c.nodes[0]
		p := *h.of("plant")
		policy := access.Principal{Hub: p.Hub, Policy: "service", Permissions: access.ServiceConnect, Scope: access.ScopeHub}
		if _, err := h.Hub.UpdateTwin(t.Context(), &policy, id, write(`{"a":{"b":1,"c":2}}`, `{"d":{"e":1}}`), ""); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Hub.UpdateTwin(t.Context(), &policy, id, write(`{"a":{"b":null}}`, ""), ""); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.report(t.Context(), `{"r":{"s":true,"gone":null}}`, 0); err != nil {
			t.Fatal(err)
		}
		_, err := h.Hub.UpdateTwin(t.Context(), &policy, id, write(`{"x":1}`, ""), "no etag")
		wantCode(t, "a refused update", err, hubward.CodePreconditionFailed)
		if _, err := h.Hub.UpdateTwin(t.Context(), &policy, id, write(`{}`, ""), ""); err != nil {
			t.Fatal(err)
		}
		_, err = conn.report(t.Context(), `{"r":[null]}`, 0)
		wantCode(t, "a refused report", err, hubward.CodeArgumentInvalid)
		if _, err := conn.report(t.Context(), `{}`, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Hub.UpdateTwin(t.Context(), &policy, id, write(`null`, `null`), ""); err != nil {
			t.Fatal(err)
		}
		if _, err := h.ReplaceTwin(t.Context(), "plant", "d1", write(`{"t":1}`, `{"d":2}`), ""); err != nil {
			t.Fatal(err)
		}
		twin, err := h.Twin(t.Context(), "plant", "d1")
		if err != nil {
			t.Fatal(err)
		}
		events := eventsOf(c.events(), id, "twinChangeEvents")
		want := []struct{ operation, by, body string }{
			{"updateTwin", "policy service", `{"version":3,"tags":{"a":{"b":1,"c":2}},"properties":{"desired":{"d":{"e":1},
				"$metadata":{"$lastUpdated":"…","$lastUpdatedVersion":2,"d":{"$lastUpdated":"…","$lastUpdatedVersion":2,"e":{"$lastUpdated":"…","$lastUpdatedVersion":2}}},"$version":2}}}`},
			{"updateTwin", "policy service", `{"version":4,"tags":{"a":{"b":null}}}`},
			{"updateTwin", "device d1", `{"version":5,"properties":{"reported":{"r":{"s":true,"gone":null},
				"$metadata":{"$lastUpdated":"…","r":{"$lastUpdated":"…","s":{"$lastUpdated":"…"}}},"$version":2}}}`},
			{"updateTwin", "policy service", `{"version":6,"tags":{"a":null},"properties":{"desired":{"d":null,
				"$metadata":{"$lastUpdated":"…","$lastUpdatedVersion":3},"$version":3}}}`},
			{"replaceTwin", "process", fmt.Sprintf(`{"deviceId":"d1","etag":%q,"version":7,"tags":%s,"properties":{"desired":%s,"reported":%s}}`,
				twin.ETag, twin.Tags, twin.Properties.Desired, twin.Properties.Reported)},
		}
		if len(events) != len(want) {
			t.Fatalf("%d events, want %d", len(events), len(want))
		}
		for i, e := range events {
			if op, by := property(e, "opType"), property(e, "hubward-updated-by"); op != want[i].operation || by != want[i].by {
				t.Errorf("event %d: %s by %q, want %s by %q", i, op, by, want[i].operation, want[i].by)
			}
			var wanted map[string]any
			if err := json.Unmarshal([]byte(want[i].body), &wanted); err != nil {
				t.Fatal(err)
			}
			hideTimes(wanted)
			if diff := cmp.Diff(wanted, body(t, e)); diff != "" {
				t.Errorf("event %d: %s", i, diff)
			}
			m := e.Message
			if m.Schema != "twinChangeNotification" || m.ContentType != "application/json" || property(e, "hubName") != "plant" || property(e, "deviceId") != "d1" {
				t.Errorf("event %d: %+v", i, m)
			}
		}
	})
}

// The events of an identity tell its whole life in order, and show the twin as it was then.
func TestLifecycleEvents_showTheTwin(t *testing.T) {
	onOneAndTwo(t, func(t *testing.T, c *crew) {
		h := c.nodes[0]
		item := hub.BulkItem{Device: hubward.Device{DeviceID: "d1"}, Tags: []byte(`{"site":1}`), Desired: []byte(`{"a":1}`)}
		if failed, err := h.BulkDevices(t.Context(), "plant", []hub.BulkItem{item}); err != nil || failed != nil {
			t.Fatal(failed, err)
		}
		created, err := h.Twin(t.Context(), "plant", "d1")
		if err != nil {
			t.Fatal(err)
		}
		c.desire(`{"b":2}`)
		deleted, err := h.Twin(t.Context(), "plant", "d1")
		if err != nil {
			t.Fatal(err)
		}
		if err := h.DeleteDevice(t.Context(), "plant", "d1", "*"); err != nil {
			t.Fatal(err)
		}
		c.device("d1")
		events := c.wantOperations("d1", "createDeviceIdentity", "updateTwin", "deleteDeviceIdentity", "createDeviceIdentity")
		fresh := &hubward.Twin{ETag: "AAAAAAAAAAE=", Version: 2, Tags: []byte(`{}`), Properties: hubward.TwinProperties{Desired: []byte(newSection), Reported: []byte(newSection)}}
		for i, twin := range map[int]*hubward.Twin{0: created, 2: deleted, 3: fresh} {
			want := fmt.Sprintf(`{"deviceId":"d1","etag":%q,"version":%d,"tags":%s,"properties":{"desired":%s,"reported":%s}}`,
				twin.ETag, twin.Version, twin.Tags, twin.Properties.Desired, twin.Properties.Reported)
			if diff := cmp.Diff(want, string(events[i].Message.Body)); diff != "" {
				t.Errorf("event %d: %s", i, diff)
			}
		}
	})
}

// A module's changes are a module's.
func TestTwinEvents_ofAModule(t *testing.T) {
	f := newFixture(t)
	f.createDevice("d1")
	id := hubward.Identity{Device: "d1", Module: "m1"}
	m, _, err := f.connectModule(f.createModule(id))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (connection{Link: m}).report(t.Context(), `{"a":1}`, 0); err != nil {
		t.Fatal(err)
	}
	f.replaceModuleTwin(id)
	var own []*hubward.Event
	for len(own) < 2 { // until they were moved
		own = eventsOf(hubEvents(t, f.log), id, "twinChangeEvents")
	}
	if by := property(own[0], "hubward-updated-by"); by != "module d1/m1" || property(own[0], "moduleId") != "m1" {
		t.Errorf("by %q: %+v", by, own[0].Message)
	}
	if b := body(t, own[1]); b["deviceId"] != "d1" || b["moduleId"] != "m1" {
		t.Errorf("%v", b)
	}
}

func (f *fixture) replaceModuleTwin(id hubward.Identity) {
	f.t.Helper()
	if _, err := f.Hub.ReplaceTwin(f.t.Context(), f.of("plant"), id, write(`{"t":1}`, ""), ""); err != nil {
		f.t.Fatal(err)
	}
}
