package device_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/device"
	"github.com/hubward/hubward/internal/testhub"
	"github.com/hubward/hubward/sas"
	"github.com/hubward/hubward/service"
)

// overAll runs a test of behaviour that all protocols share, with a hub and a registered device for each.
func overAll(t *testing.T, test func(t *testing.T, p device.Protocol, h *realHub)) {
	for _, p := range []device.Protocol{device.MQTT, device.MQTTWebSocket, device.AMQP, device.AMQPWebSocket, device.HTTPS} {
		t.Run(p.String(), func(t *testing.T) { test(t, p, startHub(t)) })
	}
}

// realHub is Hubward, with a client of the service side.
type realHub struct {
	*testhub.Hub
	t       *testing.T
	service *service.Client
	device  *hubward.Device
}

func startHub(t *testing.T) *realHub {
	t.Helper()
	h := testhub.Start(t)
	s, err := service.NewFromConnectionString(h.ConnectionString("iothubowner"), &service.Options{HTTPClient: h.Client()})
	if err != nil {
		t.Fatal(err)
	}
	return &realHub{h, t, s, h.CreateDevice("d#1%")}
}

// connect connects the device.
func (h *realHub) connect(opts device.Options) *device.Client {
	h.t.Helper()
	key := string(h.device.Authentication.SymmetricKey.PrimaryKey)
	cs := sas.ConnectionString{HostName: h.Host, DeviceID: h.device.DeviceID, SharedAccessKey: key}
	opts.CA = h.CA
	if opts.Dial == nil {
		opts.Dial = h.Dial
	}
	c, err := device.NewFromConnectionString(cs.String(), &opts)
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(h.t.Context(), 20*time.Second)
	defer cancel()
	if err := c.Connect(ctx); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { h.close(c) })
	return c
}

func (h *realHub) close(c *device.Client) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := c.Close(ctx); err != nil {
		h.t.Errorf("Close: %v", err)
	}
}

func (h *realHub) send(ids ...string) {
	h.t.Helper()
	for _, id := range ids {
		m := &hubward.Message{MessageID: id, Ack: hubward.AckFull, Body: []byte("body of " + id)}
		if err := h.service.SendC2D(h.t.Context(), h.device.DeviceID, m); err != nil {
			h.t.Fatal(err)
		}
	}
}

// receive returns the next message, which must have that id.
func (h *realHub) receive(c *device.Client, id string) *device.C2DMessage {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 20*time.Second)
	defer cancel()
	m, err := c.Receive(ctx)
	if err != nil {
		h.t.Fatalf("waiting for %s: %v", id, err)
	}
	if m.MessageID != id || string(m.Body) != "body of "+id {
		h.t.Fatalf("%s %q came, want %s", m.MessageID, m.Body, id)
	}
	return m
}

// feedback waits for the outcomes of so many messages.
func (h *realHub) feedback(n int) map[string]hubward.FeedbackStatus {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 40*time.Second)
	defer cancel()
	got := map[string]hubward.FeedbackStatus{}
	for f, err := range h.service.Feedback(ctx, service.FeedbackOptions{}) {
		if err != nil {
			h.t.Fatalf("feedback: %v, after %v", err, got)
		}
		if got[f.OriginalMessageID] = f.StatusCode; len(got) == n {
			break
		}
	}
	return got
}

// empties waits until no message waits for the device.
func (h *realHub) empties() {
	h.t.Helper()
	h.waitPending(0)
}

// waitPending waits until so many messages wait for the device: over MQTT nobody tells when the hub has seen an
// acknowledgement.
func (h *realHub) waitPending(n int) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 10*time.Second)
	defer cancel()
	for {
		d, err := h.service.Device(ctx, h.device.DeviceID)
		if err != nil {
			h.t.Fatalf("there are not %d messages left: %v", n, err)
		}
		if d.CloudToDeviceMessageCount == n {
			return
		}
	}
}

// Many messages at once, then batches: all are stored, in order.
func TestHub_telemetry(t *testing.T) {
	overAll(t, func(t *testing.T, p device.Protocol, h *realHub) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		c := h.connect(device.Options{Protocol: p, MaxInFlight: 10})
		results := make(chan error, 30)
		var want []string
		for i := range 30 {
			body := fmt.Sprint(i)
			want = append(want, body)
			if err := c.SendTelemetryAsync(ctx, &hubward.Message{Body: []byte(body)}, func(err error) { results <- err }); err != nil {
				t.Fatal(err)
			}
		}
		for range 30 {
			if err := <-results; err != nil {
				t.Fatal(err)
			}
		}
		full := hubward.Message{
			MessageID: "m1", CorrelationID: "c1", UserID: "u1", ContentType: "application/json", ContentEncoding: "utf-8",
			CreationTime: "2026-01-29T16:45:39.0000000Z", Properties: []hubward.Property{{Name: "a-b", Value: "c d"}, {Name: "x", Value: "y"}}, Body: []byte("{}"),
		}
		if err := c.SendTelemetry(ctx, &full); err != nil {
			t.Fatal(err)
		}
		batch := []*hubward.Message{{Body: []byte("b0")}, {Body: []byte("b1"), Properties: []hubward.Property{{Name: "a-b", Value: "1"}}}, {Body: []byte{}}}
		if err := c.SendTelemetryBatch(ctx, batch); err != nil {
			t.Fatal(err)
		}
		want = append(want, "{}", "b0", "b1", "")
		var got []string
		for e, err := range h.service.Events(ctx, service.EventsOptions{Earliest: true}) {
			if err != nil {
				t.Fatal(err)
			}
			body := strings.Trim(string(e.Body), `"`) // what is no JSON comes as a text
			if got = append(got, body); body == "{}" {
				if diff := cmp.Diff(map[string]string{"a-b": "c d", "x": "y"}, e.Properties); diff != "" {
					t.Errorf("properties (-want +got):\n%s", diff)
				}
			}
			if len(got) == len(want) {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("the hub has %q", got)
		}
	})
}

func TestHub_completesMessages(t *testing.T) {
	overAll(t, func(t *testing.T, p device.Protocol, h *realHub) {
		h.send("m1", "m2") // before the device ever connects
		c := h.connect(device.Options{Protocol: p})
		for _, id := range []string{"m1", "m2"} {
			if err := h.receive(c, id).Complete(t.Context()); err != nil {
				t.Errorf("%s: %v", id, err)
			}
		}
		h.send("m3")
		m3 := h.receive(c, "m3")
		if err := m3.Complete(t.Context()); err != nil {
			t.Error(err)
		}
		if err := m3.Complete(t.Context()); err == nil {
			t.Error("a message can be completed twice")
		}
		want := map[string]hubward.FeedbackStatus{"m1": hubward.FeedbackSuccess}
		if diff := cmp.Diff(want, h.feedback(1)); diff != "" {
			t.Errorf("feedback (-want +got):\n%s", diff)
		}
		h.close(c) // over MQTT, what was acknowledged before is seen to
		h.empties()
	})
}

func TestHub_rejectsAndAbandonsMessages(t *testing.T) {
	overAll(t, func(t *testing.T, p device.Protocol, h *realHub) {
		if p == device.MQTT || p == device.MQTTWebSocket {
			return // see TestReceive_subscribesAndCompletes
		}
		h.send("rejected", "abandoned")
		c := h.connect(device.Options{Protocol: p})
		if err := h.receive(c, "rejected").Reject(t.Context()); err != nil {
			t.Error(err)
		}
		if err := h.receive(c, "abandoned").Abandon(t.Context()); err != nil {
			t.Error(err)
		}
		again := h.receive(c, "abandoned")
		if again.DeliveryCount != 1 {
			t.Errorf("the delivery count is %d, want 1", again.DeliveryCount)
		}
		if again.SequenceNumber != 2 || again.EnqueuedTime.IsZero() {
			t.Errorf("number %d, enqueued %v", again.SequenceNumber, again.EnqueuedTime)
		}
		if err := again.Complete(t.Context()); err != nil {
			t.Error(err)
		}
		want := map[string]hubward.FeedbackStatus{"rejected": hubward.FeedbackRejected}
		if diff := cmp.Diff(want, h.feedback(1)); diff != "" {
			t.Errorf("feedback (-want +got):\n%s", diff)
		}
	})
}

// When the connection is lost, what is not completed comes again, and what is completed does not.
func TestHub_lostConnection(t *testing.T) {
	overAll(t, func(t *testing.T, p device.Protocol, h *realHub) {
		if p == device.HTTPS {
			return // there is no connection
		}
		cuts := &cutter{dial: h.Dial}
		connected := make(chan bool, 10)
		c := h.connect(device.Options{Protocol: p, Dial: cuts.connect, OnState: func(s device.State, _ error) {
			if s == device.Connected {
				connected <- true
			}
		}})
		h.send("m1", "m2", "m3")
		if err := h.receive(c, "m1").Complete(t.Context()); err != nil {
			t.Error(err)
		}
		m2 := h.receive(c, "m2")
		h.feedback(1) // the hub has the outcome of m1
		<-connected
		cuts.cut()
		<-connected
		if p == device.MQTT || p == device.MQTTWebSocket {
			if err := h.receive(c, "m3").Complete(t.Context()); err != nil {
				t.Error(err)
			}
			if err := m2.Complete(t.Context()); err != nil { // it is the same message on the new connection
				t.Error(err)
			}
		} else {
			for _, id := range []string{"m2", "m3"} {
				if err := h.receive(c, id).Complete(t.Context()); err != nil {
					t.Error(err)
				}
			}
			if err := m2.Complete(t.Context()); hubward.CodeOf(err) != hubward.CodeDeviceMessageLockLost {
				t.Errorf("a message of the old connection: %v", err)
			}
		}
		h.close(c)
		h.empties()
	})
}

func TestHub_refusesTheKey(t *testing.T) {
	h := startHub(t)
	for _, p := range []device.Protocol{device.MQTT, device.MQTTWebSocket, device.AMQP, device.AMQPWebSocket, device.HTTPS} {
		cs := sas.ConnectionString{HostName: h.Host, DeviceID: h.device.DeviceID, SharedAccessKey: testKey}
		c, err := device.NewFromConnectionString(cs.String(), &device.Options{Protocol: p, CA: h.CA, Dial: h.Dial})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Connect(t.Context()); hubward.CodeOf(err) != hubward.CodeUnauthorizedAccess {
			t.Errorf("%s: %v", p, err)
		}
		h.close(c)
	}
}

func TestParseProtocol(t *testing.T) {
	for p := device.MQTT; p <= device.HTTPS; p++ {
		if got, err := device.ParseProtocol(p.String()); got != p || err != nil {
			t.Errorf("%s becomes %v, %v", p, got, err)
		}
	}
	for _, name := range []string{"", "MQTT", "unknown"} {
		if _, err := device.ParseProtocol(name); hubward.CodeOf(err) != hubward.CodeArgumentInvalid {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := device.NewFromConnectionString(testConnectionString, &device.Options{Protocol: 5}); hubward.CodeOf(err) != hubward.CodeArgumentInvalid {
		t.Errorf("protocol 5: %v", err)
	}
}

func TestSendTelemetryBatch_tooLarge(t *testing.T) {
	h := startHub(t)
	half := &hubward.Message{Body: make([]byte, hubward.MaxMessageSize/2)}
	for _, p := range []device.Protocol{device.AMQP, device.HTTPS} {
		c := h.connect(device.Options{Protocol: p})
		if err := c.SendTelemetryBatch(t.Context(), []*hubward.Message{half, half}); err != nil {
			t.Errorf("%s: at the limit: %v", p, err)
		}
		more := &hubward.Message{Body: []byte{1}}
		if err := c.SendTelemetryBatch(t.Context(), []*hubward.Message{half, half, more}); hubward.CodeOf(err) != hubward.CodeMessageTooLarge {
			t.Errorf("%s: above the limit: %v", p, err)
		}
		if err := c.SendTelemetryBatch(t.Context(), nil); err != nil {
			t.Errorf("%s: an empty batch: %v", p, err)
		}
	}
}

// AMQP replaces the token on the connection that it has.
func TestHub_renewsTheToken(t *testing.T) {
	h := startHub(t)
	lost := make(chan error, 10)
	c := h.connect(device.Options{Protocol: device.AMQP, TokenTTL: time.Second, OnState: func(s device.State, err error) {
		if s == device.Disconnected {
			lost <- err
		}
	}})
	for began := time.Now(); time.Since(began) < 2*time.Second; {
		if err := c.SendTelemetry(t.Context(), &hubward.Message{}); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case err := <-lost:
		t.Errorf("the connection was lost: %v", err)
	default:
	}
}
