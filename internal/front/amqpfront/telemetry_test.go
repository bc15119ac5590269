package amqpfront_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/go-amqp"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/eventlog/memlog"
	"github.com/hubward/hubward/internal/front/amqpfront"
	"github.com/hubward/hubward/internal/hub"
)

func ptr[T any](v T) *T { return &v }

// All that a device says of a message, in the types that the SDKs and others write.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-devguide-messages-construct; Azure/azure-iot-sdk-node
// common/transport/amqp/src/amqp_message.ts, which sends an id that looks like a UUID as one.
func TestTelemetry_keepsWhatTheDeviceSays(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	p := f.device(f.listen(), "d1")
	s, err := p.session.NewSender(p.context(), telemetryOf("d1"), &amqp.SenderOptions{Properties: map[string]any{"com.microsoft:model-id": "dtmi:x;1"}})
	if err != nil {
		t.Fatal(err)
	}
	id := amqp.UUID{0x0f, 0x8f, 0xad, 0x5b, 0xd9, 0xcb, 0x46, 0x9f, 0xa1, 0x65, 0x70, 0x86, 0x77, 0x28, 0x95, 0x0e}
	expiry := time.Date(2030, 1, 2, 3, 4, 5, 6e6, time.UTC)
	err = send(t, s, &amqp.Message{
		Header:              &amqp.MessageHeader{Durable: true},
		DeliveryAnnotations: amqp.Annotations{"x": "y"},
		Annotations: amqp.Annotations{
			"iothub-interface-id": "urn:i", "dt-subject": "thermostat", "Diagnostic-Id": "t", "Correlation-Context": "k=v",
			"iothub-connection-device-id": "forged", "iothub-enqueuedtime": time.Unix(1, 0), "other": int32(1), "number": uint64(7),
		},
		Properties: &amqp.MessageProperties{
			MessageID: id, CorrelationID: uint64(17), UserID: []byte("u"), To: ptr("/devices/d1/messages/events"), Subject: ptr("s"),
			ContentType: ptr("application/json"), ContentEncoding: ptr("utf-8"), AbsoluteExpiryTime: &expiry,
			CreationTime: ptr(time.Now()), GroupID: ptr("g"),
		},
		ApplicationProperties: map[string]any{
			"text": "ü", "int": int32(-5), "long": int64(1) << 60, "double": 1.5, "yes": true, "uuid": id, "none": nil,
			"binary": []byte("b"), "bytes": []byte{0xff, 0}, "time": time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), "byte": uint8(200),
			"iothub-creation-time-utc": "2026-01-02T03:04:05Z", "iothub-message-schema": "schema", "iothub-outputname": "out",
			"iothub-connection-auth-method": "forged", "iothub-message-source": "forged", "iothub-enqueuedtime": "forged",
			"iothub-operation": "x", "iothub-ack": "full",
		},
		Data: [][]byte{[]byte(`{"a":`), []byte(`1}`), nil},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := f.events("d1")
	if len(got) != 1 {
		t.Fatalf("%d events", len(got))
	}
	uuid := "0f8fad5b-d9cb-469f-a165-70867728950e"
	want := &hubward.Event{
		DeviceID: "d1", MessageSource: "Telemetry", ModelID: "dtmi:x;1",
		AuthMethod: `{"scope":"device","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}`,
		Message: hubward.Message{
			MessageID: uuid, CorrelationID: "17", UserID: "u", ContentType: "application/json", ContentEncoding: "utf-8", Expiry: expiry,
			CreationTime: "2026-01-02T03:04:05Z", Schema: "schema", OutputName: "out", InterfaceID: "urn:i", Subject: "thermostat",
			TraceID: "t", TraceContext: "k=v", Body: []byte(`{"a":1}`),
			Properties: []hubward.Property{
				{Name: "binary", Value: "b"}, {Name: "byte", Value: "200"}, {Name: "bytes", Value: "/wA="}, {Name: "double", Value: "1.5"},
				{Name: "int", Value: "-5"}, {Name: "long", Value: "1152921504606846976"}, {Name: "none", Null: true},
				{Name: "text", Value: "ü"}, {Name: "time", Value: "2026-01-02T03:04:05Z"}, {Name: "uuid", Value: uuid}, {Name: "yes", Value: "true"},
			},
		},
	}
	slices.SortFunc(got[0].Message.Properties, func(a, b hubward.Property) int { return strings.Compare(a.Name, b.Name) })
	if diff := cmp.Diff(want, got[0], cmpopts.IgnoreFields(hubward.Event{}, "GenerationID", "HubEnqueued")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if e := got[0]; e.GenerationID == "" || time.Since(e.HubEnqueued) > time.Minute {
		t.Errorf("%+v", e)
	}
}

// A time to live becomes an expiry; a user id that is no text is kept as other binaries are.
func TestTelemetry_ttlAndUserID(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	p := f.device(f.listen(), "d1")
	s := p.mustSend(telemetryOf("d1"))
	m := withTTL(time.Hour)
	m.Properties = &amqp.MessageProperties{UserID: []byte{0xff, 0}}
	if err := send(t, s, m); err != nil {
		t.Fatal(err)
	}
	e := f.events("d1")[0]
	if left := e.Message.Expiry.Sub(e.HubEnqueued); left != time.Hour || e.Message.UserID != "/wA=" {
		t.Errorf("it expires in %s, user id %q", left, e.Message.UserID)
	}
}

func TestTelemetry_bodies(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	p := f.device(f.listen(), "d1")
	s := p.mustSend("amqps://" + host + ":5671" + telemetryOf("d1"))
	for i, m := range []*amqp.Message{{Value: "a"}, {Value: []byte("b")}, {Data: [][]byte{nil}}} {
		if err := send(t, s, m); err != nil {
			t.Error(i, err)
		}
	}
	for what, m := range map[string]*amqp.Message{
		"a number": {Value: int64(1)}, "a map": {Value: map[string]any{"a": "b"}}, "a sequence": {Sequence: [][]any{{"a"}}},
	} {
		wantCondition(t, what, send(t, s, m), "amqp:not-implemented")
	}
	wantCondition(t, "a map as property", send(t, s, &amqp.Message{ApplicationProperties: map[string]any{"m": []any{"x"}}, Data: [][]byte{{1}}}), "amqp:invalid-field")
	many := &amqp.Message{ApplicationProperties: map[string]any{}, Data: [][]byte{{1}}}
	for i := range 501 {
		many.ApplicationProperties[fmt.Sprint(i)] = "x"
	}
	wantCondition(t, "501 properties", send(t, s, many), "com.microsoft:argument-error")
	delete(many.ApplicationProperties, "0")
	if err := send(t, s, many); err != nil {
		t.Error(err)
	}
	if got, want := f.bodies("d1"), []string{"a", "b", "", "\x01"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// What is too large is refused; what cannot even be read ends the link.
func TestTelemetry_size(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	p := f.device(f.listen(), "d1")
	s := p.mustSend(telemetryOf("d1"))
	body := bytes.Repeat([]byte("x"), hubward.MaxMessageSize+1)
	wantCondition(t, "one byte too many", send(t, s, amqp.NewMessage(body)), "amqp:link:message-size-exceeded")
	if err := send(t, s, amqp.NewMessage(body[1:])); err != nil {
		t.Error(err)
	}
	if got := s.MaxMessageSize(); got <= hubward.MaxMessageSize || got > 512<<10 {
		t.Errorf("max-message-size is %d", got)
	}
	if got := f.bodies("d1"); len(got) != 1 || len(got[0]) != hubward.MaxMessageSize {
		t.Errorf("%d events", len(got))
	}
}

func encoded(t *testing.T, m *amqp.Message) []byte {
	t.Helper()
	b, err := m.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A batch is stored in order, and refused as a whole.
//
// Source: Azure/azure-iot-sdk-c iothub_client/src/uamqp_messaging.c.
func TestTelemetry_batch(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	p := f.device(f.listen(), "d1")
	s := p.mustSend(telemetryOf("d1"))
	batch := func(parts ...[]byte) error {
		return send(t, s, &amqp.Message{Format: 0x80013700, Data: parts, Annotations: amqp.Annotations{"x": "y"}})
	}
	with := data("c")
	with.ApplicationProperties = map[string]any{"k": "v"}
	with.Properties = &amqp.MessageProperties{MessageID: "m3"}
	if err := batch(encoded(t, data("a")), encoded(t, data("b")), encoded(t, with)); err != nil {
		t.Fatal(err)
	}
	for range 3 { // interleaved with single messages
		if err := send(t, s, data("s")); err != nil {
			t.Fatal(err)
		}
		if err := batch(encoded(t, data("1"))); err != nil {
			t.Fatal(err)
		}
	}
	wantCondition(t, "garbage inside", batch(encoded(t, data("x")), []byte("garbage")), "amqp:decode-error")
	noUTF8 := []byte("\x00\x53\x73\xc0\x04\x01\xa1\x01\xff" + "\x00\x53\x75\xa0\x01x") // the message id
	wantCondition(t, "no UTF-8 inside", batch(encoded(t, data("x")), noUTF8), "com.microsoft:argument-error")
	wantCondition(t, "a sequence inside", batch(encoded(t, data("x")), encoded(t, &amqp.Message{Sequence: [][]any{{"a"}}})), "amqp:not-implemented")
	wantCondition(t, "too large inside", batch(encoded(t, data("x")), encoded(t, data(strings.Repeat("x", hubward.MaxMessageSize+1)))), "amqp:link:message-size-exceeded")
	wantCondition(t, "a value", send(t, s, &amqp.Message{Format: 0x80013700, Value: "x"}), "amqp:decode-error")
	if got, want := strings.Join(f.bodies("d1"), ""), "abcs1s1s1"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if m := f.events("d1")[2].Message; m.MessageID != "m3" || len(m.Properties) != 1 {
		t.Errorf("%+v", m)
	}
}

// A message is accepted when it is durable, and refused when it may not be.
func TestTelemetry_isAcceptedWhenDurable(t *testing.T) {
	log := &heldLog{hold: true}
	f := newFixtureOn(t, amqpfront.Options{}, func(l *memlog.Log) hub.EventLog { log.EventLog = l; return log })
	p := f.device(f.listen(), "d1")
	s := p.mustSend(telemetryOf("d1"))
	sent := make(chan error, 10)
	for range 5 { // the reader goes on meanwhile
		go func() { sent <- s.Send(t.Context(), data("x"), nil) }()
	}
	f.await("five messages in the log", func() bool { return len(f.bodies("d1")) == 5 })
	select {
	case err := <-sent:
		t.Fatalf("accepted before it was durable: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	log.release(nil)
	for range 5 {
		if err := <-sent; err != nil {
			t.Error(err)
		}
	}
	batch := &amqp.Message{Format: 0x80013700, Data: [][]byte{encoded(t, data("y")), encoded(t, data("z"))}}
	go func() { sent <- s.Send(t.Context(), batch, nil) }()
	f.await("the batch in the log", func() bool { return log.count() > 0 && len(f.bodies("d1")) == 7 })
	log.release(errors.New("disk full"))
	e := wantCondition(t, "a failing log", <-sent, "amqp:internal-error")
	if strings.Contains(e.Description, "disk") {
		t.Errorf("the cause got out: %s", e.Description)
	}
}

// Bytes that are not confirmed are bounded: the connection is not read beyond that.
func TestTelemetry_boundsWhatIsUnconfirmed(t *testing.T) {
	log := &heldLog{hold: true}
	f := newFixtureOn(t, amqpfront.Options{}, func(l *memlog.Log) hub.EventLog { log.EventLog = l; return log })
	p := f.device(f.listen(), "d1")
	s := p.mustSend(telemetryOf("d1"))
	sent := make(chan error, 20)
	body := bytes.Repeat([]byte("x"), 200_000)
	for range 20 {
		go func() { sent <- s.Send(t.Context(), amqp.NewMessage(body), nil) }()
	}
	f.await("a megabyte", func() bool { return len(f.events("d1")) >= 6 })
	time.Sleep(50 * time.Millisecond)
	if n := len(f.events("d1")); n != 6 {
		t.Errorf("%d of 200 kB are under way", n)
	}
	log.mu.Lock()
	log.hold = false
	log.mu.Unlock()
	log.release(nil)
	for range 20 {
		if err := <-sent; err != nil {
			t.Error(err)
		}
	}
}

// Many messages at once, in order.
func TestTelemetry_order(t *testing.T) {
	f := newFixture(t, amqpfront.Options{})
	p := f.device(f.listen(), "d1")
	s := p.mustSend(telemetryOf("d1"))
	var receipts []amqp.SendReceipt
	for i := range 3000 {
		r, err := s.SendWithReceipt(p.context(), data(fmt.Sprint(i)), nil)
		if err != nil {
			t.Fatal(err)
		}
		receipts = append(receipts, r)
	}
	for i, r := range receipts {
		state, err := r.Wait(p.context())
		if _, ok := state.(*amqp.StateAccepted); err != nil || !ok {
			t.Fatalf("%d: %v, %v", i, state, err)
		}
	}
	for i, b := range f.bodies("d1") {
		if b != fmt.Sprint(i) {
			t.Fatalf("event %d is %s", i, b)
		}
	}
}

func FuzzMessageReader(f *testing.F) {
	m := data("body")
	m.Properties = &amqp.MessageProperties{MessageID: "m", AbsoluteExpiryTime: ptr(time.Unix(1, 0))}
	m.ApplicationProperties = map[string]any{"a": "b", "n": int32(1), "f": 1.5, "t": time.Unix(1, 0)}
	m.Annotations = amqp.Annotations{"dt-subject": "s"}
	b, err := m.MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	for _, h := range []string{"005375a00161", "005377a10161", "0053734503", "005374c10100", "005375a00161005375a00162"} {
		if b, err := hex.DecodeString(h); err == nil {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, toHub := range []bool{true, false} {
			m, err := amqpfront.ReadMessage(b, toHub)
			if err == nil && m.Size() > 40*len(b)+40 {
				t.Errorf("%d bytes became %d", len(b), m.Size())
			}
		}
	})
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
