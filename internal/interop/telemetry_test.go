//go:build interop

package interop_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/childhub"
)

// readWithin bounds the reading of one device's events.
const readWithin = 60 * time.Second

// quiet is how long a reader that has seen everything waits for an event too many.
const quiet = time.Second

const messages = 1000

// telemetryRun is one way in which a program sends telemetry.
type telemetryRun struct {
	sdk, name string
	mode      string            // the program's argument
	vars      map[string]string // of the program
	count     int
	together  int // so many messages on end may come in any order
	// sent is what message n of a run has to arrive as, but for its body.
	sent func(run string, n int) (childhub.SystemProperties, map[string]string)
}

func telemetryRuns() []telemetryRun {
	node := func(name, mode, transport string, count int) telemetryRun {
		return telemetryRun{
			sdk: "node", name: name, mode: mode, vars: map[string]string{"TRANSPORT": transport}, count: count, together: 1, sent: asWritten,
		}
	}
	uuids := node("uuids", "pipelined", "amqp", 100)
	uuids.vars["UUIDS"], uuids.sent = "1", withUUIDs
	http, batch := node("http", "sync", "http", messages/5), node("http-batch", "batch", "http", messages)
	http.sent, batch.sent = inHeaders, inBatch
	java := func(name, mode, transport string, count int) telemetryRun {
		// The SDK shuffles what it is given while it sends.
		return telemetryRun{
			sdk: "java", name: name, mode: mode, vars: map[string]string{"TRANSPORT": transport}, count: count, together: 100, sent: asWritten,
		}
	}
	javaHTTP, javaBatch := java("http", "sync", "http", messages/20), java("http-batch", "batch", "http", messages)
	for _, r := range []*telemetryRun{&javaHTTP, &javaBatch} { // one request after the other
		r.sent, r.together = inHeaders, 1
	}
	return []telemetryRun{
		node("pipelined", "pipelined", "mqtt", messages), node("mqtt-ws", "pipelined", "mqtt-ws", messages),
		node("amqp", "pipelined", "amqp", messages), node("amqp-ws", "pipelined", "amqp-ws", messages),
		uuids, http, batch,
		{sdk: "python", name: "sync", mode: "sync", count: messages, together: 1, sent: asWritten},
		// The asyncio client hands messages to a pool of threads: what it sent together arrives in any order.
		{sdk: "python", name: "aio", mode: "aio", count: messages, together: 100, sent: asWritten},
		java("mqtt", "pipelined", "mqtt", messages/4), java("mqtt-ws", "pipelined", "mqtt-ws", messages/4),
		java("amqp", "pipelined", "amqp", messages/4), java("amqp-ws", "pipelined", "amqp-ws", messages/4),
		javaHTTP, javaBatch,
	}
}

func TestTelemetry(t *testing.T) {
	eachSDK(t, func(t *testing.T, s sdk) {
		for _, r := range telemetryRuns() {
			if r.sdk == s.name {
				t.Run(r.name, func(t *testing.T) { testTelemetry(t, s, r) })
			}
		}
	})
}

// testTelemetry sends with the SDK and looks at every event: each message once, in order, as it was sent, and with the
// hub's stamps.
func testTelemetry(t *testing.T, s sdk, r telemetryRun) {
	id := s.name + "-" + r.name
	device, cs := createDevice(t, id)
	vars := map[string]string{"DEVICE_CONNECTION_STRING": cs, "RUN_ID": id, "COUNT": strconv.Itoa(r.count)}
	maps.Copy(vars, r.vars)
	before := time.Now()
	s.run(t, "telemetry", vars, r.mode)
	after := time.Now()

	got := readEvents(t, id, r.count)
	seen := map[string]bool{}
	for i, e := range got {
		number := e.Properties["number"]
		if seen[number] {
			t.Fatalf("message %s is there twice", number)
		}
		seen[number] = true
		if n, err := strconv.Atoi(number); err != nil || n/r.together != i/r.together {
			t.Fatalf("event %d is message %q", i, number)
		}
		checkMessage(t, r, id, number, e)
		checkStamps(t, device, e, before, after)
		if i > 0 {
			checkPosition(t, got[i-1], e)
		}
	}
}

// asWritten is what the telemetry programs send.
func asWritten(run string, n int) (childhub.SystemProperties, map[string]string) {
	return childhub.SystemProperties{
		MessageID: fmt.Sprintf("%s-%d", run, n), CorrelationID: fmt.Sprintf("correlation %d/ä", n),
		ContentType: "application/json", ContentEncoding: "utf-8",
	}, map[string]string{"number": strconv.Itoa(n), "awkward name": "a/b & c=d + €"}
}

// withUUIDs is with ids that the SDK sends as AMQP's uuid. They are kept as text.
func withUUIDs(run string, n int) (childhub.SystemProperties, map[string]string) {
	system, properties := asWritten(run, n)
	system.MessageID = fmt.Sprintf("01234567-89ab-4cde-8f01-%012d", n)
	system.CorrelationID = fmt.Sprintf("01234567-89ab-4cde-8f01-%012d", 100+n)
	return system, properties
}

// inHeaders is with what Node lets into a header.
func inHeaders(run string, n int) (childhub.SystemProperties, map[string]string) {
	system, _ := asWritten(run, n)
	_, properties := inBatch(run, n)
	system.CorrelationID = fmt.Sprintf("correlation %d/a", n)
	return system, properties
}

// inBatch is what the Node SDK puts into a batch: application properties alone.
func inBatch(_ string, n int) (childhub.SystemProperties, map[string]string) {
	return childhub.SystemProperties{}, map[string]string{"number": strconv.Itoa(n), "awkward~name": "a/b & c=d + $"}
}

// readEvents returns the n events of a device, and fails when there are more.
func readEvents(t *testing.T, id string, n int) []childhub.Event {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	timer := time.AfterFunc(readWithin, cancel)
	defer timer.Stop()
	var events []childhub.Event
	err := hub.Events(ctx, url.Values{"from": {"earliest"}, "device": {id}}, func(e childhub.Event) bool {
		events = append(events, e)
		if len(events) == n {
			timer.Reset(quiet)
		}
		return len(events) <= n
	})
	if len(events) != n || !errors.Is(err, context.Canceled) {
		t.Fatalf("read %d events of %s, want %d (%v)%s", len(events), id, n, err, repeated(events))
	}
	return events
}

// repeated tells of events that are there twice: the same one shown again, or one message stored again.
func repeated(events []childhub.Event) string {
	var text strings.Builder
	byMessage := map[string]childhub.Event{}
	for _, e := range events {
		message := e.SystemProperties.MessageID + string(e.Body)
		if was, ok := byMessage[message]; ok {
			fmt.Fprintf(&text, "\nmessage %q is in partition %s as %d and in partition %s as %d",
				e.SystemProperties.MessageID, was.Partition, was.SequenceNumber, e.Partition, e.SequenceNumber)
		}
		byMessage[message] = e
	}
	return text.String()
}

// checkMessage compares an event with what the telemetry programs send.
func checkMessage(t *testing.T, r telemetryRun, run, number string, e childhub.Event) {
	t.Helper()
	n, err := strconv.Atoi(number)
	if err != nil {
		t.Fatal(err)
	}
	var body map[string]any
	if err := json.Unmarshal(e.Body, &body); err != nil {
		t.Fatalf("the body of message %s is not a JSON object: %.100s", number, e.Body)
	}
	wantBody := map[string]any{"run": run, "number": float64(n), "windSpeed": float64(5 + n%16)}
	wantSystem, wantProperties := r.sent(run, n)
	if diff := cmp.Diff(wantBody, body) + cmp.Diff(wantSystem, e.SystemProperties) + cmp.Diff(wantProperties, e.Properties); diff != "" {
		t.Fatalf("message %s (-want +got):\n%s", number, diff)
	}
}

// checkStamps looks at what the hub says about an event.
func checkStamps(t *testing.T, device *hubward.Device, e childhub.Event, before, after time.Time) {
	t.Helper()
	want := childhub.Annotations{
		DeviceID:       device.DeviceID,
		GenerationID:   device.GenerationID,
		AuthMethod:     `{"scope":"device","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}`,
		HubEnqueued:    e.Annotations.HubEnqueued,
		MessageSource:  "Telemetry",
		SequenceNumber: e.SequenceNumber,
		Offset:         e.Offset,
		EnqueuedTime:   e.EnqueuedTime.UnixMilli(),
	}
	if diff := cmp.Diff(want, e.Annotations); diff != "" {
		t.Fatalf("annotations (-want +got):\n%s", diff)
	}
	arrived := time.UnixMilli(e.Annotations.HubEnqueued)
	for _, at := range []time.Time{arrived, e.EnqueuedTime} {
		if at.Before(before.Truncate(time.Millisecond)) || at.After(after) {
			t.Fatalf("the event is of %s, it was sent between %s and %s", at, before, after)
		}
	}
}

// checkPosition looks at two neighbours in one device's stream.
func checkPosition(t *testing.T, a, b childhub.Event) {
	t.Helper()
	if a.Partition != b.Partition {
		t.Fatalf("a device's events are in the partitions %s and %s", a.Partition, b.Partition)
	}
	if b.SequenceNumber <= a.SequenceNumber || b.EnqueuedTime.Before(a.EnqueuedTime) {
		t.Fatalf("event %d of %s follows event %d of %s", b.SequenceNumber, b.EnqueuedTime, a.SequenceNumber, a.EnqueuedTime)
	}
}
