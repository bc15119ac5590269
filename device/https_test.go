package device_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/device"
	"github.com/hubward/hubward/internal/testhub"
	"github.com/hubward/hubward/service"
)

// backEnd returns a client for the service side of h.
func backEnd(t *testing.T, h *testhub.Hub) *service.Client {
	t.Helper()
	c, err := service.NewFromConnectionString(h.ConnectionString("service"), &service.Options{HTTPClient: h.Client()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func newHTTPSClient(t *testing.T, h *testhub.Hub, cs string) *device.HTTPSClient {
	t.Helper()
	c, err := device.NewHTTPSFromConnectionString(cs, &device.Options{CA: h.CA, Dial: h.Dial})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// events returns the next n events of h.
func events(t *testing.T, h *testhub.Hub, n int) []*service.Event {
	t.Helper()
	var out []*service.Event
	for e, err := range backEnd(t, h).Events(t.Context(), service.EventsOptions{Earliest: true}) {
		if err != nil {
			t.Fatal(err)
		}
		if out = append(out, e); len(out) == n {
			break
		}
	}
	return out
}

func TestHTTPSClient_telemetry(t *testing.T) {
	h := testhub.Start(t)
	h.CreateDevice("d#1%")
	c := newHTTPSClient(t, h, h.DeviceConnectionString("d#1%"))
	ctx := t.Context()
	err := c.SendTelemetry(ctx, &hubward.Message{
		MessageID: "1", CorrelationID: "c", UserID: "u", ContentType: "application/json", ContentEncoding: "utf-8", Body: []byte(`{"a":1}`),
		Properties: []hubward.Property{{Name: "windAlert", Value: "true"}, {Name: "B", Value: "é"}, {Name: "b", Value: ""}},
	})
	if err != nil {
		t.Fatal(err)
	}
	err = c.SendTelemetryBatch(ctx, []*hubward.Message{
		{MessageID: "2", Properties: []hubward.Property{{Name: "a b", Value: " x\n"}}, Body: []byte("two")}, {Body: []byte{0xff}},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := events(t, h, 3)
	if string(got[0].Body) != `{"a":1}` || string(got[1].Bytes()) != "two" || string(got[2].Bytes()) != "\xff" || got[0].DeviceID() != "d#1%" {
		t.Errorf("bodies %s, %s, %q", got[0].Body, got[1].Body, got[2].Bytes())
	}
	if diff := cmp.Diff(map[string]string{"windAlert": "true", "B": "é", "b": ""}, got[0].Properties); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"a b": " x\n"}, got[1].Properties); diff != "" {
		t.Error(diff)
	}
	want := map[string]string{"messageId": "1", "correlationId": "c", "userId": "u", "contentType": "application/json", "contentEncoding": "utf-8"}
	if diff := cmp.Diff(want, got[0].SystemProperties); diff != "" {
		t.Error(diff)
	}
}

func TestHTTPSClient_c2d(t *testing.T) {
	h := testhub.Start(t)
	h.CreateDevice("d1")
	c, back, ctx := newHTTPSClient(t, h, h.DeviceConnectionString("d1")), backEnd(t, h), t.Context()
	if m, err := c.ReceiveC2D(ctx); m != nil || err != nil {
		t.Fatalf("%+v, %v of an empty queue", m, err)
	}
	sent := &hubward.Message{
		MessageID: "m1", CorrelationID: "c", ContentType: "application/json", ContentEncoding: "utf-8", Ack: hubward.AckFull, Body: []byte(`{"a":1}`),
		Properties: []hubward.Property{{Name: "windAlert", Value: "yes"}, {Name: "B", Value: "1"}, {Name: "b", Value: "2"}},
	}
	if err := back.SendC2D(ctx, "d1", sent); err != nil {
		t.Fatal(err)
	}
	for deliveries := range 3 {
		m, err := c.ReceiveC2D(ctx)
		if err != nil || m == nil {
			t.Fatalf("%+v, %v", m, err)
		}
		if m.SequenceNumber != 1 || m.DeliveryCount != deliveries || time.Since(m.EnqueuedTime) > time.Minute || !m.Expiry.IsZero() || m.To != "/devices/d1/messages/deviceBound" {
			t.Errorf("%+v", m)
		}
		got := m.Message
		got.To = ""
		if diff := cmp.Diff(*sent, got, cmp.Transformer("set", func(p []hubward.Property) map[hubward.Property]bool {
			set := map[hubward.Property]bool{}
			for _, one := range p {
				set[one] = true
			}
			return set
		})); diff != "" {
			t.Error(diff)
		}
		if other, err := c.ReceiveC2D(ctx); other != nil || err != nil {
			t.Errorf("%+v, %v while it is locked", other, err)
		}
		settle := m.Abandon
		if deliveries == 2 {
			settle = m.Reject
		}
		if err := settle(ctx); err != nil {
			t.Fatal(err)
		}
		if err := m.Complete(ctx); hubward.CodeOf(err) != hubward.CodeInvalidOperation {
			t.Errorf("settled twice: %v", err)
		}
	}
	for f, err := range back.Feedback(ctx, service.FeedbackOptions{}) {
		if err != nil || f.OriginalMessageID != "m1" || f.DeviceID != "d1" || f.StatusCode != hubward.FeedbackRejected {
			t.Errorf("%+v, %v", f, err)
		}
		break
	}
}

func TestHTTPSClient_lostLock(t *testing.T) {
	h := testhub.Start(t)
	h.CreateDevice("d1")
	c, back, ctx := newHTTPSClient(t, h, h.DeviceConnectionString("d1")), backEnd(t, h), t.Context()
	if err := back.SendC2D(ctx, "d1", &hubward.Message{Body: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	m, err := c.ReceiveC2D(ctx)
	if err != nil || m == nil {
		t.Fatal(m, err)
	}
	if n, err := back.PurgeC2D(ctx, "d1"); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	for range 2 {
		if err := m.Complete(ctx); hubward.CodeOf(err) != hubward.CodeDeviceMessageLockLost {
			t.Error(err)
		}
	}
}

func TestHTTPSClient_refusals(t *testing.T) {
	h := testhub.Start(t)
	h.CreateDevice("d1")
	c, ctx := newHTTPSClient(t, h, h.DeviceConnectionString("d1")), t.Context()
	half := &hubward.Message{Body: make([]byte, hubward.MaxMessageSize/2)}
	for name, test := range map[string]struct {
		err  error
		code hubward.Code
	}{
		"too large":           {c.SendTelemetry(ctx, &hubward.Message{Body: make([]byte, hubward.MaxMessageSize+1)}), hubward.CodeMessageTooLarge},
		"too large together":  {c.SendTelemetryBatch(ctx, []*hubward.Message{half, half, {Body: []byte("x")}}), hubward.CodeMessageTooLarge},
		"name":                {c.SendTelemetry(ctx, &hubward.Message{Properties: []hubward.Property{{Name: "a b", Value: "x"}}}), hubward.CodeArgumentInvalid},
		"value":               {c.SendTelemetry(ctx, &hubward.Message{Properties: []hubward.Property{{Name: "a", Value: "x\r\ny"}}}), hubward.CodeArgumentInvalid},
		"an unknown device":   {newHTTPSClient(t, h, "HostName=localhost;DeviceId=d2;SharedAccessKey="+testKey).SendTelemetry(ctx, half), hubward.CodeUnauthorizedAccess},
		"another key":         {newHTTPSClient(t, h, "HostName=localhost;DeviceId=d1;SharedAccessKey="+testKey).SendTelemetry(ctx, half), hubward.CodeUnauthorizedAccess},
		"a policy, no device": {newHTTPSClient(t, h, h.ConnectionString("device")+";DeviceId=d2").SendTelemetry(ctx, half), hubward.CodeDeviceNotFound},
	} {
		if hubward.CodeOf(test.err) != test.code || test.err == nil {
			t.Errorf("%s: %v", name, test.err)
		}
	}
	for _, all := range []error{
		c.SendTelemetryBatch(ctx, []*hubward.Message{half, half}),
		newHTTPSClient(t, h, h.ConnectionString("device")+";DeviceId=d1").SendTelemetry(ctx, half),
	} {
		if all != nil {
			t.Error(all)
		}
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := c.SendTelemetry(ended, half); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	c.Close()
	if err := c.SendTelemetry(ctx, half); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	unreachable := &device.Options{Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no way") }}
	far, err := device.NewHTTPSFromConnectionString(testConnectionString, unreachable)
	if err != nil {
		t.Fatal(err)
	}
	if err := far.SendTelemetry(ctx, half); hubward.CodeOf(err) != hubward.CodeServiceUnavailable || !strings.Contains(err.Error(), "hub.example:443") {
		t.Error(err)
	}
	if _, err := device.NewHTTPSFromConnectionString("HostName=h;DeviceId=d", nil); hubward.CodeOf(err) != hubward.CodeArgumentInvalid {
		t.Error(err)
	}
}

// A token is used until 85 % of its life is over. What the hub sees is what other SDKs send.
func TestHTTPSClient_requests(t *testing.T) {
	now, seen := time.Unix(1_900_000_000, 0), []*http.Request{}
	hub := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Clone(context.Background()))
		w.WriteHeader(http.StatusNoContent)
	}))
	defer hub.Close()
	options := &device.Options{
		TLSConfig: hub.Client().Transport.(*http.Transport).TLSClientConfig, TokenTTL: time.Hour, Now: func() time.Time { return now }, Product: "me/1",
	}
	if _, err := device.NewHTTPSFromConnectionString("HostName=hub.example;DeviceId=d 1;SharedAccessKey="+testKey, options); err == nil {
		t.Fatal("an id with a blank is accepted")
	}
	c, err := device.NewHTTPSFromConnectionString("HostName=hub.example;GatewayHostName="+strings.TrimPrefix(hub.URL, "https://")+";DeviceId=d1;SharedAccessKey="+testKey, options)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 4 {
		if err := c.SendTelemetry(t.Context(), &hubward.Message{MessageID: "m"}); err != nil {
			t.Fatal(err)
		}
		now = now.Add(17 * time.Minute)
	}
	tokens := map[string]bool{}
	for _, r := range seen {
		tokens[r.Header.Get("Authorization")] = true
		if r.Method != "POST" || r.URL.RequestURI() != "/devices/d1/messages/events?api-version=2021-04-12" || r.Host != "hub.example" ||
			r.Header.Get("User-Agent") != "me/1" || r.Header.Get("iothub-messageid") != "m" || !strings.Contains(r.Header.Get("Authorization"), "sr=hub.example%2Fdevices%2Fd1&") {
			t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
		}
	}
	if len(tokens) != 2 {
		t.Errorf("%d tokens", len(tokens))
	}
}

// The codes of errors are those of the hub, in each of the forms in which hubs say them.
func TestHTTPSClient_errorForms(t *testing.T) {
	var status int
	var body, header string
	hub := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if header != "" {
			w.Header().Set("iothub-errorcode", header)
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	defer hub.Close()
	c, err := device.NewHTTPSFromConnectionString("HostName="+strings.TrimPrefix(hub.URL, "https://")+";DeviceId=d1;SharedAccessKey="+testKey,
		&device.Options{TLSConfig: hub.Client().Transport.(*http.Transport).TLSClientConfig})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, test := range []struct {
		status       int
		body, header string
		code         hubward.Code
		text         string
	}{
		{403, `{"Message":"ErrorCode:IotHubQuotaExceeded;too many"}`, "IotHubQuotaExceeded", hubward.CodeQuotaExceeded, "too many"},
		{403, `{"Message":"ErrorCode:IotHubQuotaExceeded;too many"}`, "", hubward.CodeQuotaExceeded, "too many"},
		{429, `{"errorCode":429001,"message":"slower"}`, "", hubward.CodeThrottled, "slower"},
		{413, ``, "MessageTooLarge", hubward.CodeMessageTooLarge, ""},
		{418, `<html>`, "", 418000, "HTTP 418"},
		{302, ``, "", 302000, "HTTP 302"},
		{500, strings.Repeat("x", 1<<20), "", 500000, "HTTP 500"},
	} {
		status, body, header = test.status, test.body, test.header
		err := c.SendTelemetry(t.Context(), &hubward.Message{})
		if hubward.CodeOf(err) != test.code || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%d %.40s: %v", test.status, test.body, err)
		}
	}
}

// What a client asks for is locked: it asks for what Receive waits for, and no more.
func TestClient_httpsAsksForWhatIsWanted(t *testing.T) {
	var locked atomic.Int64
	hub := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			w.WriteHeader(http.StatusPreconditionFailed)
			return
		}
		w.Header().Set("ETag", fmt.Sprintf(`"%d"`, locked.Add(1)))
		fmt.Fprint(w, "x")
	}))
	defer hub.Close()
	c, err := device.NewFromConnectionString("HostName="+strings.TrimPrefix(hub.URL, "https://")+";DeviceId=d1;SharedAccessKey="+testKey,
		&device.Options{Protocol: device.HTTPS, TLSConfig: hub.Client().Transport.(*http.Transport).TLSClientConfig})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range int64(100) {
		if _, err := c.Receive(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := locked.Load(); n != i+1 {
			t.Fatalf("%d messages are locked, %d were received", n, i+1)
		}
	}
	if err := c.Close(t.Context()); err != nil || locked.Load() != 100 {
		t.Errorf("%v, %d messages are locked", err, locked.Load())
	}
}

// A Client over HTTPS is one over MQTT to its user: it queues, keeps the order, tries again and waits for messages.
func TestClient_https(t *testing.T) {
	h := testhub.Start(t)
	h.CreateDevice("d1")
	ctx := t.Context()
	options := &device.Options{Protocol: device.HTTPS, CA: h.CA, Dial: h.Dial}
	wrong, err := device.NewFromConnectionString("HostName=localhost;DeviceId=d1;SharedAccessKey="+testKey, options)
	if err != nil {
		t.Fatal(err)
	}
	if err := wrong.Connect(ctx); hubward.CodeOf(err) != hubward.CodeUnauthorizedAccess {
		t.Errorf("connected with another key: %v", err)
	}
	wrong.Close(ctx)

	c, err := device.NewFromConnectionString(h.DeviceConnectionString("d1"), options)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Connect(ctx); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	confirmed := 0
	for i := range 20 {
		err := c.SendTelemetryAsync(ctx, &hubward.Message{Body: fmt.Appendf(nil, "%d", i)}, func(err error) {
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				confirmed++
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := c.SendTelemetry(ctx, &hubward.Message{Properties: []hubward.Property{{Name: "a b"}}}); hubward.CodeOf(err) != hubward.CodeArgumentInvalid {
		t.Errorf("a name with a blank: %v", err)
	}
	if err := backEnd(t, h).SendC2D(ctx, "d1", &hubward.Message{Body: []byte("hello")}); err != nil {
		t.Fatal(err)
	}
	m, err := c.Receive(ctx)
	if err != nil || string(m.Body) != "hello" || m.Complete(ctx) != nil {
		t.Errorf("%+v, %v", m, err)
	}
	if err := c.Close(ctx); err != nil || confirmed != 20 {
		t.Errorf("%v, %d confirmed", err, confirmed)
	}
	for i, e := range events(t, h, 20) {
		if string(e.Bytes()) != fmt.Sprint(i) {
			t.Errorf("event %d is %s", i, e.Bytes())
		}
	}
}
