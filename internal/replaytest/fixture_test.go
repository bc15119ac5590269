package replaytest

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/cluster/localcluster"
	"github.com/hubward/hubward/internal/eventlog/memlog"
	"github.com/hubward/hubward/internal/front/amqpfront"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/internal/hub/eventcodec"
	"github.com/hubward/hubward/internal/store/sqlstore"
)

const (
	hubName    = "replay"
	host       = "localhost"
	policyName = "service"
	partitions = 4
	allEvents  = 6
	device     = "turbine-0" // it is registered, and one message waits for it
)

// policyKey is the key of the policy and of the device. It is written here, and so protects nothing.
func policyKey() string {
	return base64.StdEncoding.EncodeToString([]byte("a key for transcripts, no secret"))
}

// created is when the fixture's hub was made; its events follow at intervals of ten minutes.
func created() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC) }

// fixture is the hub that transcripts are made with.
type fixture struct {
	server *amqpfront.Server
	hub    *hub.Hub
	logged *journal
}

// newFixture makes a hub whose clock stands at now.
func newFixture(t testing.TB, now time.Time) *fixture {
	t.Helper()
	clock := func() time.Time { return now }
	store, err := sqlstore.Open(t.Context(), sqlstore.Options{Path: sqlstore.Memory, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	err = store.SaveHub(t.Context(), hub.Config{
		Name: hubName, HostNames: []string{host}, Partitions: partitions, Retention: 5 * 365 * 24 * time.Hour,
		Policies:       []access.Policy{{Name: policyName, Permissions: access.ServiceConnect, PrimaryKey: policyKey(), SecondaryKey: policyKey()}},
		ConsumerGroups: []string{hub.DefaultConsumerGroup}, Created: created(),
	})
	if err != nil {
		t.Fatal(err)
	}
	events := newEvents(t)
	f := &fixture{logged: &journal{}}
	logger := slog.New(slog.NewTextHandler(f.logged, &slog.HandlerOptions{Level: slog.LevelError}))
	f.hub, err = hub.Open(t.Context(), hub.Options{
		Store: store, Log: events, Cluster: localcluster.New(localcluster.Options{}), Now: clock, Rand: zeros{}, Logger: logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	f.addDevice(t)
	f.run(t)
	f.server = amqpfront.New(f.hub, amqpfront.Options{Logger: logger, Now: clock, Rand: zeros{}})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := f.server.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if text := f.logged.String(); text != "" {
			t.Errorf("the hub logged errors:\n%s", text)
		}
	})
	return f
}

// addDevice registers the device, and queues a message for it.
func (f *fixture) addDevice(t testing.TB) {
	t.Helper()
	ref, err := f.hub.FirstHub()
	if err != nil {
		t.Fatal(err)
	}
	process := access.Process(ref)
	key := hubward.SymmetricKey{PrimaryKey: hubward.NullString(policyKey()), SecondaryKey: hubward.NullString(policyKey())}
	d := hubward.Device{DeviceID: device, Authentication: &hubward.Authentication{Type: hubward.AuthSAS, SymmetricKey: key}}
	if _, err := f.hub.PutDevice(t.Context(), process, d, ""); err != nil {
		t.Fatal(err)
	}
	err = f.hub.SendC2D(t.Context(), process, hubward.Identity{Device: device}, &hubward.Message{
		MessageID: "command 1", Body: []byte("stop"), Properties: []hubward.Property{{Name: "reason", Value: "storm"}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// run does the hub's background work until the test ends.
func (f *fixture) run(t testing.TB) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := f.hub.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
}

// newEvents makes a log with the fixture's events: three in partition 0, two in 1, one in 3.
func newEvents(t testing.TB) *memlog.Log {
	t.Helper()
	at := created()
	log := memlog.Open(memlog.Options{Now: func() time.Time { return at }}) // looked at inside Append only
	t.Cleanup(func() { log.Close() })
	for n, partition := range [allEvents]int{0, 1, 0, 3, 1, 0} {
		at = created().Add(time.Duration(n+1) * 10 * time.Minute)
		stored := make(chan error, 1)
		p := log.Producer(hub.Partition{Hub: hubName, Endpoint: hub.EndpointEvents, ID: partition}, func(_ int, err error) { stored <- err })
		if err := p.Append(t.Context(), record(n, at)); err != nil {
			t.Fatal(err)
		}
		if err := <-stored; err != nil {
			t.Fatal(err)
		}
	}
	return log
}

// record is event n as the log keeps it. Each has another set of the fields that there are.
func record(n int, at time.Time) []byte {
	device := fmt.Sprintf("turbine-%d", n%2)
	stamps := eventcodec.NewStamps(eventcodec.Origin{
		Identity: hubward.Identity{Device: device}, Generation: "638712345678901234", Source: eventcodec.SourceTelemetry,
		AuthMethod: `{"scope":"device","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}`,
	})
	m := &hubward.Message{Body: fmt.Appendf(nil, `{"number":%d,"windSpeed":%d.5}`, n, 4+n)}
	if n > 0 {
		m.MessageID, m.ContentType, m.ContentEncoding = fmt.Sprintf("message %d", n), "application/json", "utf-8"
	}
	if n > 1 {
		m.CorrelationID = "correlation/ä"
		m.Properties = []hubward.Property{{Name: "number", Value: fmt.Sprint(n)}, {Name: "a b", Value: "c=d&€"}}
	}
	return eventcodec.Append(nil, stamps, at, m)
}

// zeros is randomness that is the same each time.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// journal keeps what is logged: of the hub's errors, each is a bug.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}
