package restfront_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/front/restfront"
	"github.com/hubward/hubward/internal/hub"
)

// reader is an open event stream.
type reader struct {
	t      testing.TB
	res    *http.Response
	lines  *bufio.Scanner
	cancel context.CancelFunc
}

// open starts a stream; it returns when the hub has answered, that is when the reader is in position.
func (f *fixture) open(a ask) *reader {
	f.t.Helper()
	ctx, cancel := context.WithCancel(f.t.Context())
	f.t.Cleanup(cancel)
	res, err := f.server.Client().Do(f.request(ctx, a))
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { res.Body.Close() })
	return &reader{f.t, res, bufio.NewScanner(res.Body), cancel}
}

// next returns the next line that is no heartbeat; false at the end of the stream.
func (r *reader) next() (string, bool) {
	for r.lines.Scan() {
		if text := r.lines.Text(); text != "" {
			return text, true
		}
	}
	return "", false
}

// sequence returns partition and sequence number of the next event.
func (r *reader) event() (e struct {
	Partition      string
	SequenceNumber int64
	Body           json.RawMessage
}) {
	r.t.Helper()
	line, ok := r.next()
	if !ok {
		r.t.Fatalf("the stream ended: %v", r.lines.Err())
	}
	if err := json.Unmarshal([]byte(line), &e); err != nil {
		r.t.Fatalf("line %q: %v", line, err)
	}
	return e
}

func TestEvents_followsFromLatest(t *testing.T) {
	f := newFixture(t)
	send := f.connect(f.create("d1"))
	send(hubward.Message{Body: []byte(`{"n":1}`)})
	r := f.open(ask{path: "/$hubward/events", policy: "service"})
	if got := r.res.Header.Get("Content-Type"); r.res.StatusCode != 200 || got != "application/x-ndjson" {
		t.Fatalf("got %d %s", r.res.StatusCode, got)
	}
	for _, body := range []string{`{"n":2}`, `{"n":3}`} {
		send(hubward.Message{Body: []byte(body)})
		if e := r.event(); string(e.Body) != body {
			t.Errorf("got %s, want %s", e.Body, body)
		}
	}
}

func TestEvents_resumesPerPartition(t *testing.T) {
	f := newFixture(t)
	ids := []string{"a", "b"}
	if hub.PartitionOf("a", 2) == hub.PartitionOf("b", 2) {
		ids[1] = "c"
	}
	for _, id := range ids {
		send := f.connect(f.create(id))
		for range 3 {
			send(hubward.Message{Body: []byte(`"` + id + `"`)})
		}
	}
	r := f.open(ask{path: "/$hubward/events?from=earliest&after=0:1"})
	got := map[string][]int64{}
	for range 4 {
		e := r.event()
		got[e.Partition] = append(got[e.Partition], e.SequenceNumber)
	}
	if diff := cmp.Diff(map[string][]int64{"0": {2}, "1": {0, 1, 2}}, got); diff != "" {
		t.Error(diff)
	}
}

func TestEvents_ofOneDevice(t *testing.T) {
	f := newFixture(t)
	for _, id := range []string{"a", "b", "c"} {
		f.connect(f.create(id))(hubward.Message{Body: []byte(id)})
	}
	r := f.open(ask{path: "/$hubward/events?device=b&from=" + url.QueryEscape("2026-01-01T00:00:00Z")})
	line, _ := r.next()
	if !strings.Contains(line, `"body":"b"`) || !strings.Contains(line, `"iothub-connection-device-id":"b"`) {
		t.Errorf("got %s", line)
	}
}

// What the hub itself tells of stands in an endpoint of its own.
func TestEvents_ofTheHubItself(t *testing.T) {
	f := newFixture(t)
	f.run()
	const created, deleted = `"opType":"createDeviceIdentity"`, `"opType":"deleteDeviceIdentity"`
	f.connect(f.create("a"))(hubward.Message{Body: []byte("telemetry")})
	f.create("b")
	if err := f.hub.DeleteDevice(t.Context(), f.process, "b", "*"); err != nil {
		t.Fatal(err)
	}
	r := f.open(ask{path: "/$hubward/events?endpoint=hub-events&device=b&from=earliest", policy: "service"})
	for _, operation := range []string{created, deleted} {
		if line, _ := r.next(); !strings.Contains(line, operation) || !strings.Contains(line, `"iothub-connection-device-id":"b"`) {
			t.Errorf("got %s, want %s of b", line, operation)
		}
	}
	r = f.open(ask{path: "/$hubward/events?endpoint=hub-events&source=deviceConnectionStateEvents&from=earliest"})
	if line, _ := r.next(); !strings.Contains(line, `"opType":"deviceConnected"`) {
		t.Errorf("got %s", line)
	}
	r = f.open(ask{path: "/$hubward/events?endpoint=events&source=Telemetry&from=earliest"})
	if line, _ := r.next(); !strings.Contains(line, `"body":"telemetry"`) {
		t.Errorf("got %s", line)
	}
}

func TestEvents_refusals(t *testing.T) {
	f := newFixture(t)
	for query, text := range map[string]string{
		"from=yesterday":               "from",
		"after=0":                      "after",
		"after=0:1,":                   "after",
		"after=0:1,0:2":                "after",
		"after=99:1":                   "after",
		"after=0:-1":                   "after",
		"after=0:99999999999999999999": "after",
		"device=a%20b":                 "device",
		"endpoint=Events":              "endpoint",
	} {
		f.do(ask{path: "/$hubward/events?" + query}).wantError(t, hubward.CodeArgumentInvalid, text+":")
	}
	f.do(ask{path: "/$hubward/events?consumerGroup=none"}).wantError(t, hubward.CodeNoSuchConsumerGroup, "none")
	f.do(ask{path: "/$hubward/events", policy: "registryRead"}).wantError(t, hubward.CodeUnauthorizedAccess, "")
}

func TestEvents_heartbeat(t *testing.T) {
	f := newFixture(t, func(o *restfront.Options) { o.Heartbeat = time.Millisecond })
	r := f.open(ask{path: "/$hubward/events"})
	for range 3 {
		if !r.lines.Scan() || r.lines.Text() != "" {
			t.Fatalf("got %q, %v", r.lines.Text(), r.lines.Err())
		}
	}
}

// A client that leaves may still be reading when the hub notices: what it gets then must be no part of an answer.
func TestEvents_nothingForAClientThatLeaves(t *testing.T) {
	f := newFixture(t)
	conn, err := net.Dial("tcp", f.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := f.request(t.Context(), ask{path: "/$hubward/events"}).Write(conn); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(res.Body); err != nil || len(bytes.TrimSpace(rest)) > 0 {
		t.Errorf("after the client left it got %q, %v", rest, err)
	}
}

func TestEvents_endsWithItsPolicy(t *testing.T) {
	f := newFixture(t, func(o *restfront.Options) { o.Heartbeat = time.Millisecond })
	r := f.open(ask{path: "/$hubward/events", policy: "service"})
	if _, err := f.hub.RegeneratePolicyKey(t.Context(), f.process, "plant", "service", true); err != nil {
		t.Fatal(err)
	}
	if line, ok := r.next(); ok {
		t.Errorf("got %s", line)
	}
}

func TestEvents_endsWithItsToken(t *testing.T) {
	f := newFixture(t, func(o *restfront.Options) { o.Heartbeat = time.Millisecond })
	r := f.open(ask{path: "/$hubward/events", policy: "service"})
	if !r.lines.Scan() || r.lines.Text() != "" {
		t.Fatalf("got %q, %v, want a heartbeat", r.lines.Text(), r.lines.Err())
	}
	f.passed.Add(int64(time.Hour + time.Second))
	if line, ok := r.next(); ok {
		t.Errorf("got %s", line)
	}
}

// The group of a stream that nobody writes to: it ends at once, and is no failure.
func TestEvents_endsWithItsConsumerGroup(t *testing.T) {
	f := newFixture(t)
	f.do(ask{method: "PUT", path: "/$hubward/hubs/plant/consumer-groups/g"}).wantStatus(t, 200)
	r := f.open(ask{path: "/$hubward/events?consumerGroup=G"})
	f.do(ask{method: "DELETE", path: "/$hubward/hubs/plant/consumer-groups/g"}).wantStatus(t, 204)
	if line, ok := r.next(); ok || strings.Contains(f.logs.String(), "level=ERROR") {
		t.Errorf("got %q, log:\n%s", line, f.logs)
	}
}

// The stream is silent, and its next heartbeat far away: what ends it is the deletion.
func TestEvents_endsWithItsHub(t *testing.T) {
	f := newFixture(t)
	f.do(ask{method: "PUT", path: "/$hubward/hubs/two", body: `{}`}).wantStatus(t, 201)
	r := f.open(ask{path: "/$hubward/events", host: "two.localhost", token: f.token("two", "service", "two.localhost")})
	before := len(f.logs.String())
	if err := f.hub.DeleteHub(t.Context(), f.process, "two"); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(r.res.Body); err != nil || len(bytes.TrimSpace(rest)) > 0 {
		t.Errorf("the stream ended with %q, %v", rest, err)
	}
	f.server.Config.Shutdown(t.Context()) // returns: no handler is left
	if log := f.logs.String()[before:]; log != "" {
		t.Errorf("logged:\n%s", log)
	}
}

// A reader that cannot go on is told so: with an error at once, or with a last line.
func TestEvents_damage(t *testing.T) {
	f := newFixture(t)
	send := f.connect(f.create("d1"))
	for i := range 3 {
		send(hubward.Message{Body: []byte(fmt.Sprint(i))})
	}
	f.damaged.Store(2)
	const text = "are damaged at or after sequence number 2."
	r := f.open(ask{path: "/$hubward/events?from=earliest"})
	for range 2 {
		if line, ok := r.next(); !ok || !strings.Contains(line, `"sequenceNumber":`) {
			t.Errorf("an event before the damage: %s", line)
		}
	}
	if line, ok := r.next(); !ok || !strings.HasPrefix(line, `{"Message":"ErrorCode:ServerError;The stored events of partition `) || !strings.Contains(line, text) {
		t.Errorf("the last line is %s", line)
	}
	if line, ok := r.next(); ok {
		t.Errorf("behind the last line: %s", line)
	}
	if log := f.logs.String(); strings.Contains(log, "level=ERROR") {
		t.Errorf("the log tells of it, not its readers:\n%s", log)
	}
}

func TestEvents_endsWhenTheProcessDrains(t *testing.T) {
	f := newFixture(t)
	r := f.open(ask{path: "/$hubward/events"})
	f.drain()
	if _, err := io.ReadAll(r.res.Body); err != nil {
		t.Errorf("the stream did not end cleanly: %v", err)
	}
	f.server.Config.Shutdown(t.Context()) // returns: no handler is left
}

func TestEvents_givesUpAClientThatDoesNotRead(t *testing.T) {
	f := newFixture(t, func(o *restfront.Options) { o.StreamWriteTimeout = 10 * time.Millisecond })
	send := f.connect(f.create("d1"))
	for range 40 { // more than sockets hold
		send(hubward.Message{Body: bytes.Repeat([]byte{1}, 250<<10)})
	}
	f.open(ask{path: "/$hubward/events?from=earliest"})
	if err := f.server.Config.Shutdown(t.Context()); err != nil { // returns when no handler is left
		t.Error(err)
	}
}

// unreadWriter is the answer to a client that does not read: each write lasts until its deadline.
type unreadWriter struct {
	*httptest.ResponseRecorder
	writing  chan struct{} // a write has begun
	deadline chan time.Time
}

func (w *unreadWriter) SetWriteDeadline(at time.Time) error {
	select {
	case <-w.deadline:
	default:
	}
	w.deadline <- at
	return nil
}

func (w *unreadWriter) Write(p []byte) (int, error) {
	close(w.writing)
	for time.Until(<-w.deadline) > time.Minute {
	}
	return 0, os.ErrDeadlineExceeded
}

func TestEvents_drainsBesideAClientThatDoesNotRead(t *testing.T) {
	f := newFixture(t, func(o *restfront.Options) { o.StreamWriteTimeout = time.Hour })
	f.connect(f.create("d1"))(hubward.Message{Body: []byte("1")})
	w := &unreadWriter{httptest.NewRecorder(), make(chan struct{}), make(chan time.Time, 1)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.server.Config.Handler.ServeHTTP(w, f.request(t.Context(), ask{path: "/$hubward/events?from=earliest"}))
	}()
	<-w.writing
	f.drain()
	<-ended
}

func TestEvents_manyAndLarge(t *testing.T) {
	f := newFixture(t)
	send := f.connect(f.create("d1"))
	body := []byte(strings.Repeat("\x01", 200<<10))
	for range 20 {
		send(hubward.Message{Body: body})
	}
	r := f.open(ask{path: "/$hubward/events?from=earliest"})
	r.lines.Buffer(nil, 4<<20)
	for i := range 20 {
		e := r.event()
		var text string
		if err := json.Unmarshal(e.Body, &text); err != nil || text != string(body) || e.SequenceNumber != int64(i) {
			t.Fatalf("event %d: sequence %d, %d bytes, %v", i, e.SequenceNumber, len(text), err)
		}
	}
}

func TestEvents_drainingBeforeItBegan(t *testing.T) {
	f := newFixture(t)
	f.drain()
	r := f.open(ask{path: "/$hubward/events"})
	if code := r.res.StatusCode; code != 200 && code != 503 { // either side may be first
		t.Errorf("status %d", code)
	}
	if line, ok := r.next(); ok && r.res.StatusCode == 200 {
		t.Errorf("got %s", line)
	}
}
