package restfront_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/cluster/localcluster"
	"github.com/hubward/hubward/internal/eventlog/memlog"
	"github.com/hubward/hubward/internal/front/restfront"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/internal/store/sqlstore"
	"github.com/hubward/hubward/sas"
)

// Tests run at a fixed time, so that texts with times can be compared.
var testNow = time.Date(2026, 1, 31, 0, 49, 39, 0, time.UTC)

// fixture is a front end on loopback before a hub "plant", which answers to hub.example, in memory.
type fixture struct {
	t       testing.TB
	hub     *hub.Hub
	process *access.Principal // may do everything in plant, and with hubs
	store   *sqlstore.Store
	log     *memlog.Log
	damaged atomic.Int64 // events with this sequence number and above cannot be read; 0: all can
	server  *httptest.Server
	drain   context.CancelFunc
	logs    *lockedBuffer
	passed  atomic.Int64 // time.Duration since testNow
}

func newFixture(t testing.TB, edit ...func(*restfront.Options)) *fixture {
	t.Helper()
	store, err := sqlstore.Open(t.Context(), sqlstore.Options{Path: sqlstore.Memory})
	if err != nil {
		t.Fatal(err)
	}
	log := memlog.Open(memlog.Options{})
	f := &fixture{t: t, store: store, log: log, logs: new(lockedBuffer)}
	now := func() time.Time { return testNow.Add(time.Duration(f.passed.Load())) }
	h, err := hub.Open(t.Context(), hub.Options{Store: store, Log: damagedLog{log, &f.damaged}, Cluster: localcluster.New(localcluster.Options{}), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	plant, err := h.CreateHub(t.Context(), access.Process(access.HubRef{}), hub.NewHub{Name: "plant", HostNames: []string{"hub.example"}, Partitions: 2})
	if err != nil {
		t.Fatal(err)
	}
	f.hub, f.process = h, access.Process(access.HubRef{Name: plant.Name, Created: plant.Created})
	stop, drain := context.WithCancel(t.Context())
	f.drain = drain
	o := restfront.Options{
		Logger:  slog.New(slog.NewTextHandler(f.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Version: "1.2.3", Now: now, Stop: stop,
	}
	for _, e := range edit {
		e(&o)
	}
	f.server = httptest.NewUnstartedServer(restfront.New(h, o))
	f.server.Listener = restfront.KeepHeaderNames(f.server.Config, f.server.Listener)
	f.server.Start()
	t.Cleanup(func() {
		f.server.CloseClientConnections()
		f.server.Close()
		log.Close()
		store.Close()
	})
	return f
}

// damagedLog is a log of which a part cannot be read.
type damagedLog struct {
	hub.EventLog
	from *atomic.Int64
}

func (l damagedLog) Read(ctx context.Context, p hub.Partition, from int64, maxBytes int, visit func(hub.Record) bool) (int64, error) {
	bad := l.from.Load()
	next, err := l.EventLog.Read(ctx, p, from, maxBytes, func(r hub.Record) bool {
		return (bad == 0 || r.SequenceNumber < bad) && visit(r)
	})
	if bad > 0 && next >= bad {
		return bad, &hub.DamageError{Partition: p, Sequence: bad, Err: errors.New("checksum mismatch")}
	}
	return next, err
}

// deviceToken signs for a device with its own key.
func (f *fixture) deviceToken(d *hubward.Device) string {
	f.t.Helper()
	token, err := sas.Sign("hub.example/devices/"+d.DeviceID, string(d.Authentication.SymmetricKey.PrimaryKey), "", testNow.Add(time.Hour))
	if err != nil {
		f.t.Fatal(err)
	}
	return token
}

// run does the hub's background work until the test ends.
func (f *fixture) run() {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { f.hub.Run(ctx) })
	f.t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
}

// breakStore makes every call of the store fail.
func (f *fixture) breakStore() { f.store.Close() }

// token signs for host with a policy of a hub.
func (f *fixture) token(hubName, policy, host string) string {
	f.t.Helper()
	policies, err := f.hub.Policies(f.process, hubName)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, p := range policies {
		if p.Name == policy {
			token, err := sas.Sign(host, p.PrimaryKey, policy, testNow.Add(time.Hour))
			if err != nil {
				f.t.Fatal(err)
			}
			return token
		}
	}
	f.t.Fatalf("no policy %s", policy)
	return ""
}

// ask is one request. Empty members have defaults: GET, the owner's token, hub.example.
type ask struct {
	method, path, body string
	token, host        string
	policy             string
	header             map[string]string
}

// response is an answer with its body read.
type response struct {
	*http.Response
	body string
}

func (f *fixture) do(a ask) response {
	f.t.Helper()
	res, err := f.server.Client().Do(f.request(f.t.Context(), a))
	if err != nil {
		f.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return response{res, string(body)}
}

func (f *fixture) request(ctx context.Context, a ask) *http.Request {
	f.t.Helper()
	if a.method == "" {
		a.method = "GET"
	}
	if a.host == "" {
		a.host = "hub.example"
	}
	if a.policy == "" {
		a.policy = "iothubowner"
	}
	if a.token == "" {
		a.token = f.token("plant", a.policy, "hub.example")
	}
	r, err := http.NewRequestWithContext(ctx, a.method, f.server.URL+a.path, strings.NewReader(a.body))
	if err != nil {
		f.t.Fatal(err)
	}
	r.Host = a.host
	r.Header.Set("Authorization", a.token)
	for name, value := range a.header {
		r.Header.Set(name, value)
	}
	return r
}

const version = "?api-version=2021-04-12"

// create registers a device.
func (f *fixture) create(id string) *hubward.Device {
	f.t.Helper()
	d, err := f.hub.PutDevice(f.t.Context(), f.process, hubward.Device{DeviceID: id}, "")
	if err != nil {
		f.t.Fatal(err)
	}
	return d
}

// wantError checks an answer's status and every place that tells its code.
func (r response) wantError(t testing.TB, code hubward.Code, text string) {
	t.Helper()
	if r.StatusCode != code.HTTPStatus() || r.Header.Get("iothub-errorcode") != code.String() {
		t.Fatalf("got %d %s, want %d %s; body %s", r.StatusCode, r.Header.Get("iothub-errorcode"), code.HTTPStatus(), code, r.body)
	}
	if got := r.Header.Get("Content-Type"); got != "application/json; charset=utf-8" {
		t.Errorf("Content-Type is %q", got)
	}
	var e struct{ Message, ExceptionMessage string }
	if err := json.Unmarshal([]byte(r.body), &e); err != nil {
		t.Fatalf("body %q: %v", r.body, err)
	}
	parts := strings.Split(e.Message, ";")
	if len(parts) != 2 || parts[0] != "ErrorCode:"+code.String() || parts[1] == "" || !strings.Contains(parts[1], text) {
		t.Errorf("Message is %q, want code %s and a text with %q", e.Message, code, text)
	}
	if !strings.HasPrefix(e.ExceptionMessage, "Tracking ID:") {
		t.Errorf("ExceptionMessage is %q", e.ExceptionMessage)
	}
}

func (r response) wantStatus(t testing.TB, status int) response {
	t.Helper()
	if r.StatusCode != status {
		t.Fatalf("status %d, want %d; body %s", r.StatusCode, status, r.body)
	}
	return r
}

// decode reads the answer's JSON.
func decode[T any](t testing.TB, r response) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(r.body), &v); err != nil {
		t.Fatalf("body %s: %v", r.body, err)
	}
	return v
}

type quietSession struct{}

func (quietSession) Deliver(hub.Delivery) {}
func (quietSession) Close(error)          {}

// connect logs a device in and returns a function that sends telemetry and waits until it is stored.
func (f *fixture) connect(d *hubward.Device) func(hubward.Message) {
	f.t.Helper()
	link, err := f.hub.Connect(f.t.Context(), f.process, hub.ConnectRequest{Identity: hubward.Identity{Device: d.DeviceID}, Session: quietSession{}})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(link.Disconnect)
	stored := make(chan error, 100)
	in := link.Ingest(func(n int, err error) {
		for range n {
			stored <- err
		}
	})
	return func(m hubward.Message) {
		f.t.Helper()
		if err := in.Telemetry(f.t.Context(), &m); err != nil {
			f.t.Fatal(err)
		}
		if err := <-stored; err != nil {
			f.t.Fatal(err)
		}
	}
}

// lockedBuffer collects logs.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (f *fixture) createModule(id hubward.Identity) *hubward.Module {
	f.t.Helper()
	m, err := f.hub.PutModule(f.t.Context(), f.process, hubward.Module{DeviceID: id.Device, ModuleID: id.Module}, "")
	if err != nil {
		f.t.Fatal(err)
	}
	return m
}

// moduleToken signs for a module with its own key.
func (f *fixture) moduleToken(m *hubward.Module) string {
	f.t.Helper()
	resource := "hub.example/devices/" + m.DeviceID + "/modules/" + m.ModuleID
	token, err := sas.Sign(resource, string(m.Authentication.SymmetricKey.PrimaryKey), "", testNow.Add(time.Hour))
	if err != nil {
		f.t.Fatal(err)
	}
	return token
}
