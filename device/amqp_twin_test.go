package device_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/device"
	"github.com/hubward/hubward/internal/amqpwire"
)

// wantPair reads the two links to a node, which the hub has to see as a pair.
func (h *amqpHub) wantPair(address, prefix string) {
	h.t.Helper()
	sender, receiver := h.link(), h.link()
	if sender.Role != amqpwire.RoleSender || receiver.Role != amqpwire.RoleReceiver || sender.Target.Address != address || receiver.Source.Address != address {
		h.t.Errorf("the links are %+v and %+v", sender, receiver)
	}
	ids := map[string]bool{}
	for _, a := range []amqpwire.Attach{sender, receiver} {
		if a.SenderSettleMode != amqpwire.SenderSettled || a.ReceiverSettleMode == amqpwire.ReceiverSecond {
			h.t.Errorf("modes %v, %v", a.SenderSettleMode, a.ReceiverSettleMode)
		}
		properties := map[string]string{}
		for _, e := range a.Properties {
			properties[string(e.Key.(amqpwire.Symbol))] = e.Value.(string)
		}
		id, ok := strings.CutPrefix(properties["com.microsoft:channel-correlation-id"], prefix)
		if ids[id] = true; !ok || id == "" || properties["com.microsoft:api-version"] == "" || properties["com.microsoft:model-id"] != "dtmi:com:example:Thermostat;1" {
			h.t.Errorf("properties of the link are %v", properties)
		}
	}
	if len(ids) != 1 {
		h.t.Errorf("the links have different ids")
	}
}

// wantTwinRequest reads a request about the twin and returns its id.
func (h *amqpHub) wantTwinRequest(operation, resource, body string) string {
	h.t.Helper()
	m := h.next("twin")
	want := amqpwire.Map{{Key: amqpwire.Symbol("operation"), Value: operation}}
	if resource != "" {
		want = append(want, amqpwire.Entry{Key: amqpwire.Symbol("resource"), Value: resource})
	}
	sorted := cmp.Transformer("map", func(m amqpwire.Map) map[any]any {
		all := map[any]any{}
		for _, e := range m {
			all[e.Key] = e.Value
		}
		return all
	})
	if diff := cmp.Diff(want, m.Annotations, sorted); diff != "" {
		h.t.Errorf("annotations (-want +got):\n%s", diff)
	}
	id, _ := m.Properties.CorrelationID.(string)
	if id == "" || len(m.Data) != 1 || string(m.Data[0]) != body {
		h.t.Errorf("the request has id %v and body %q, want %q", m.Properties.CorrelationID, m.Data, body)
	}
	return id
}

// answerTwin answers a request; version 0: without one.
func (h *amqpHub) answerTwin(id any, status int32, version int64, body string) {
	h.t.Helper()
	m := &amqpwire.Message{
		Properties:  &amqpwire.Properties{CorrelationID: id},
		Annotations: amqpwire.Map{{Key: amqpwire.Symbol("status"), Value: status}},
	}
	if version != 0 {
		m.Annotations = append(m.Annotations, amqpwire.Entry{Key: amqpwire.Symbol("version"), Value: version})
	}
	if body != "" {
		m.Data = [][]byte{[]byte(body)}
	}
	h.send("twin", m)
}

func TestTwin_overAMQP(t *testing.T) {
	h := startAMQPHub(t)
	c := h.client(device.Options{ModelID: "dtmi:com:example:Thermostat;1"})
	patched := report(t.Context(), c, json.RawMessage(`{"a":1}`))
	h.wantPair("/devices/d1/twin", "twin:")
	first := h.wantTwinRequest("PATCH", "/properties/reported", `{"a":1}`)
	got := getTwin(t.Context(), c)
	second := h.wantTwinRequest("GET", "", " ")
	h.answerTwin("another", 500, 0, "")
	h.answerTwin(second, 200, 0, `{"desired":{"$version":1},"reported":{"$version":1}}`)
	if err := <-got; err != nil {
		t.Error(err)
	}
	h.answerTwin(first, 204, 7, "")
	if v := <-patched; v.n != 7 || v.err != nil {
		t.Errorf("patched: %+v", v)
	}
	refused := report(t.Context(), c, json.RawMessage(`{}`))
	h.answerTwin(h.wantTwinRequest("PATCH", "/properties/reported", `{}`), 400, 0, `{"errorCode":400004,"message":"not so"}`)
	if v := <-refused; hubward.CodeOf(v.err) != hubward.CodeArgumentInvalid || !strings.Contains(v.err.Error(), "not so") {
		t.Errorf("refused: %v", v.err)
	}
	again := report(t.Context(), c, json.RawMessage(`{"b":1}`))
	h.wantTwinRequest("PATCH", "/properties/reported", `{"b":1}`)
	h.cut()
	h.wantPair("/devices/d1/twin", "twin:")
	h.answerTwin(h.wantTwinRequest("PATCH", "/properties/reported", `{"b":1}`), 200, 9, "")
	if v := <-again; v.n != 9 || v.err != nil {
		t.Errorf("sent again: %+v", v)
	}
}

func TestOnDesired_overAMQP(t *testing.T) {
	h := startAMQPHub(t)
	c := h.client(device.Options{ModelID: "dtmi:com:example:Thermostat;1"})
	changes := make(chan device.DesiredChange, 10)
	if err := c.OnDesired(func(_ context.Context, d device.DesiredChange) { changes <- d }); err != nil {
		t.Fatal(err)
	}
	h.wantPair("/devices/d1/twin", "twin:")
	h.answerTwin(h.wantTwinRequest("PUT", "/notifications/twin/properties/desired", " "), 200, 0, "")
	h.answerTwin(h.wantTwinRequest("GET", "", " "), 200, 0, `{"desired":{"a":1,"$version":2},"reported":{"$version":1}}`)
	h.send("twin", &amqpwire.Message{Data: [][]byte{[]byte(`{"b":1,"$version":3}`)}})
	for _, want := range []string{`{"a":1}`, `{"b":1}`} {
		if d := <-changes; string(d.Patch) != want {
			t.Errorf("change %s, want %s", d.Patch, want)
		}
	}
	h.cut()
	h.wantPair("/devices/d1/twin", "twin:")
	h.answerTwin(h.wantTwinRequest("PUT", "/notifications/twin/properties/desired", " "), 204, 0, "")
	h.answerTwin(h.wantTwinRequest("GET", "", " "), 200, 0, `{"desired":{"b":2,"$version":9},"reported":{"$version":1}}`)
	if d := <-changes; string(d.Patch) != `{"a":null,"b":2}` || d.Version != 9 {
		t.Errorf("after the reconnect: %s of %d", d.Patch, d.Version)
	}
}

func TestTwin_refusedOverAMQP(t *testing.T) {
	h := startAMQPHub(t)
	h.refuse = "twin"
	states := make(chan error, 10)
	c := h.client(device.Options{OnState: func(s device.State, err error) {
		if s == device.Disconnected {
			states <- err
		}
	}})
	if _, err := c.Twin(t.Context()); hubward.CodeOf(err) != hubward.CodeInvalidOperation || !strings.Contains(err.Error(), "there is none") {
		t.Errorf("the error is %v", err)
	}
	if err := <-states; err == nil || !strings.Contains(err.Error(), "twin") {
		t.Errorf("the connection was lost by %v", err)
	}
}

func TestHandleMethod_overAMQP(t *testing.T) {
	h := startAMQPHub(t)
	c := h.client(device.Options{ModelID: "dtmi:com:example:Thermostat;1"})
	if err := c.HandleMethod("echo", echo); err != nil {
		t.Fatal(err)
	}
	h.wantPair("/devices/d1/methods/devicebound", "methods:")
	ids := []any{amqpwire.UUID{1, 2, 3}, "text", uint64(7)}
	for i, row := range []struct {
		name, payload string
		status        int32
		answer        string
	}{
		{"echo", `{"a":1}`, 200, `{"a":1}`},
		{"echo", ``, 200, `null`},
		{"none", `1`, 501, `{"error":"there is no method \"none\""}`},
	} {
		h.send("methods/devicebound", &amqpwire.Message{Data: [][]byte{[]byte("1")}}) // neither name nor id: ignored
		h.send("methods/devicebound", &amqpwire.Message{
			Properties:            &amqpwire.Properties{CorrelationID: ids[i]},
			ApplicationProperties: amqpwire.Map{{Key: "IoThub-methodname", Value: row.name}},
			Data:                  [][]byte{[]byte(row.payload)},
		})
		m := h.next("methods/devicebound")
		want := &amqpwire.Message{
			Properties:            &amqpwire.Properties{CorrelationID: ids[i]},
			ApplicationProperties: amqpwire.Map{{Key: "IoThub-status", Value: row.status}},
			Data:                  [][]byte{[]byte(row.answer)},
		}
		if diff := cmp.Diff(want, m); diff != "" {
			t.Errorf("answer (-want +got):\n%s", diff)
		}
	}
}
