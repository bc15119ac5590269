package service_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/testhub"
	"github.com/hubward/hubward/service"
)

func TestTwin_againstAHub(t *testing.T) {
	ctx := t.Context()
	h := testhub.Start(t)
	c := newHubClient(t, h, "service")
	id := hubward.Identity{Device: "d#1%?"}
	h.CreateDevice(id.Device)
	fresh, err := c.Twin(ctx, id)
	if err != nil || fresh.ETag != "AAAAAAAAAAE=" || fresh.Version != 2 || fresh.Status != hubward.StatusEnabled || string(fresh.Tags) != "{}" {
		t.Fatalf("%+v, %v", fresh, err)
	}
	raw := json.RawMessage(`{"big":4503599627370495,"f":1.0,"list":[1,{"a":2}],"<&>":"\u00e9"}`)
	updated, err := c.UpdateTwin(ctx, id, service.TwinPatch{Tags: map[string]any{"room": "kitchen"}, Desired: raw}, fresh.ETag)
	if err != nil || updated.ETag != "AAAAAAAAAAI=" || updated.Version != 3 || hubward.SectionVersion(updated.Properties.Desired) != 2 {
		t.Fatalf("%+v, %v", updated, err)
	}
	plain, err := hubward.PlainSection(updated.Properties.Desired)
	if want := `{"<&>":"é","big":4503599627370495,"f":1.0,"list":[1,{"a":2}]}`; err != nil || string(plain) != want {
		t.Errorf("desired %s, want %s; %v", plain, want, err)
	}
	if _, err := c.UpdateTwin(ctx, id, service.TwinPatch{Tags: map[string]any{}}, fresh.ETag); hubward.CodeOf(err) != hubward.CodePreconditionFailed {
		t.Errorf("a stale etag: %v", err)
	}
	if same, err := c.UpdateTwin(ctx, id, service.TwinPatch{Tags: map[string]any{}}, service.AnyETag); err != nil || same.Version != 3 {
		t.Errorf("nothing to change: %+v, %v", same, err)
	}
	_, err = c.UpdateTwin(ctx, id, service.TwinPatch{Desired: map[string]any{"a": map[string]any{"b$": 1}}}, "")
	if hubward.CodeOf(err) != hubward.CodeArgumentInvalid || !strings.Contains(err.Error(), "properties.desired.a") {
		t.Errorf("a name that is not allowed: %v", err)
	}
	cleared, err := c.UpdateTwin(ctx, id, service.TwinPatch{Tags: json.RawMessage("null"), Desired: map[string]any{"f": nil, "list": nil, "<&>": nil}}, "")
	if plain, _ := hubward.PlainSection(cleared.Properties.Desired); err != nil || string(cleared.Tags) != "{}" || string(plain) != `{"big":4503599627370495}` {
		t.Errorf("%s %s, %v", cleared.Tags, plain, err)
	}
	replaced, err := c.ReplaceTwin(ctx, id, service.TwinPatch{Tags: struct{ Room string }{"attic"}}, cleared.ETag)
	if err != nil || string(replaced.Tags) != `{"Room":"attic"}` || hubward.SectionVersion(replaced.Properties.Desired) != 4 || replaced.Version != 5 {
		t.Errorf("%+v, %v", replaced, err)
	}
	for _, none := range []hubward.Identity{{Device: "none"}, {Device: "none", Module: "m"}} {
		if _, err := c.Twin(ctx, none); hubward.CodeOf(err) != hubward.CodeDeviceNotFound {
			t.Errorf("%s: %v", none, err)
		}
	}
	if _, err := newHubClient(t, h, "registryReadWrite").Twin(ctx, id); hubward.CodeOf(err) != hubward.CodeUnauthorizedAccess {
		t.Errorf("without ServiceConnect: %v", err)
	}
	watchThree(t, c, id)
}

// watchThree compares what is told of the three writes of TestTwin_againstAHub.
func watchThree(t *testing.T, c *service.Client, id hubward.Identity) {
	type seen struct {
		Version       int64
		By            string
		Replaced      bool
		Tags, Desired string
	}
	want := []seen{
		{3, "policy service", false, `{"room":"kitchen"}`, `{"<&>":"é","big":4503599627370495,"f":1.0,"list":[1,{"a":2}]}`},
		{4, "policy service", false, `{"room":null}`, `{"<&>":null,"f":null,"list":null}`},
		{5, "policy service", true, `{"Room":"attic"}`, `{}`},
	}
	var got []seen
	for change, err := range c.WatchTwin(t.Context(), id, service.EventsOptions{Earliest: true}) {
		if err != nil {
			t.Fatal(err)
		}
		tags, _ := hubward.PlainSection(change.Tags)
		desired, err := hubward.PlainSection(change.Desired)
		if err != nil || change.Identity != id || change.At.IsZero() {
			t.Errorf("%+v, %v", change, err)
		}
		if got = append(got, seen{change.Version, change.By, change.Replaced, string(tags), string(desired)}); len(got) == len(want) {
			break
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// answering is the session of a device that answers each call with its payload, and a status.
type answering struct {
	link   *hub.Link
	status int
}

func (a *answering) Deliver(d hub.Delivery) {
	if call, ok := d.(*hub.MethodCall); ok {
		go a.link.RespondMethod(call.ID, a.status, call.Payload)
	}
}

func (a *answering) Close(error) {}

func TestInvokeMethod_againstAHub(t *testing.T) {
	ctx := t.Context()
	h := testhub.Start(t)
	c := newHubClient(t, h, "service")
	h.CreateDevice("d1")
	id := hubward.Identity{Device: "d1"}
	call := hubward.MethodCall{Name: "echo", Payload: json.RawMessage(`{"n":9007199254740993,"f":1.0,"s":"<&>"}`)}
	if _, err := c.InvokeMethod(ctx, id, call); hubward.CodeOf(err) != hubward.CodeDeviceNotOnline {
		t.Errorf("a device that is not there: %v", err)
	}
	if _, err := c.InvokeMethod(ctx, hubward.Identity{Device: "none"}, call); hubward.CodeOf(err) != hubward.CodeDeviceNotFound {
		t.Errorf("no device: %v", err)
	}
	session := &answering{status: 404}
	link, err := h.App.Hub().Connect(ctx, h.Process(), hub.ConnectRequest{Identity: id, Session: session})
	if err != nil {
		t.Fatal(err)
	}
	defer link.Disconnect()
	session.link = link
	link.TakeMethods(true)
	result, err := c.InvokeMethod(ctx, id, call)
	if err != nil || result.Status != 404 || string(result.Payload) != string(call.Payload) {
		t.Errorf("%d %s, %v", result.Status, result.Payload, err)
	}
	if result, err = c.InvokeMethod(ctx, id, hubward.MethodCall{Name: "echo"}); err != nil || string(result.Payload) != "null" {
		t.Errorf("no payload: %s, %v", result.Payload, err)
	}
	call.Payload = append(append([]byte(`"`), strings.Repeat("x", hubward.MaxMethodPayload)...), '"')
	if _, err := c.InvokeMethod(ctx, id, call); hubward.CodeOf(err) != hubward.CodeMessageTooLarge {
		t.Errorf("a payload that is too long: %v", err)
	}
}
