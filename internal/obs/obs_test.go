package obs_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/internal/hub/c2d"
	"github.com/hubward/hubward/internal/obs"
)

func scrape(t *testing.T, m *obs.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func wantLines(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains("\n"+text, "\n"+line+"\n") {
			t.Errorf("metrics lack %s", line)
		}
	}
}

func TestMetrics_methodsAndTwins(t *testing.T) {
	m := obs.NewMetrics(obs.Options{})
	m.MethodCalled("a", true, 10, 20)
	m.MethodCalled("a", true, 1, 2)
	m.MethodCalled("a", false, 100, 200)
	m.TwinRead("a", hub.ByDevice, true, 5)
	m.TwinRead("a", hub.ByDevice, false, 500)
	m.TwinUpdated("a", hub.ByService, true, 7)
	m.TwinUpdated("a", hub.ByService, true, 8)
	wantLines(t, scrape(t, m),
		`iothub_methods_total{hub="a",result="success"} 2`,
		`iothub_methods_total{hub="a",result="failure"} 1`,
		`iothub_method_request_bytes_total{hub="a"} 11`,
		`iothub_method_response_bytes_total{hub="a"} 22`,
		`iothub_twin_reads_total{hub="a",initiator="device",result="success"} 1`,
		`iothub_twin_reads_total{hub="a",initiator="device",result="failure"} 1`,
		`iothub_twin_reads_total{hub="a",initiator="service",result="success"} 0`,
		`iothub_twin_read_bytes_total{hub="a",initiator="device"} 5`,
		`iothub_twin_read_bytes_total{hub="a",initiator="service"} 0`,
		`iothub_twin_updates_total{hub="a",initiator="service",result="success"} 2`,
		`iothub_twin_updates_total{hub="a",initiator="device",result="failure"} 0`,
		`iothub_twin_update_bytes_total{hub="a",initiator="service"} 15`,
		`iothub_twin_update_bytes_total{hub="a",initiator="device"} 0`,
	)
}

func TestMetrics_countsByHub(t *testing.T) {
	m := obs.NewMetrics(obs.Options{Version: "v1.2.3"})
	m.TelemetryAttempt("a", 5)
	m.TelemetryStored("a", 2)
	m.TelemetryRefused("a", hubward.CodeThrottled, 1)
	m.TelemetryRefused("a", hubward.CodeMessageTooLarge, 2)
	m.DeviceBytes("a", 700)
	m.TelemetryAttempt("b", 1)
	text := scrape(t, m)
	wantLines(t, text,
		`iothub_d2c_ingress_attempts_total{hub="a"} 5`,
		`iothub_d2c_ingress_attempts_total{hub="b"} 1`,
		`iothub_d2c_ingress_total{hub="a"} 2`,
		`iothub_d2c_throttled_total{hub="a"} 1`,
		`iothub_d2c_refused_total{code="ThrottlingException",hub="a"} 1`,
		`iothub_d2c_refused_total{code="MessageTooLarge",hub="a"} 2`,
		`iothub_device_bytes_total{hub="a"} 700`,
	)
	if !strings.Contains(text, `version="v1.2.3"`) || !strings.Contains(text, "go_goroutines ") {
		t.Error("build or runtime metrics are absent")
	}
}

func TestMetrics_forgetDeletedHubs(t *testing.T) {
	m := obs.NewMetrics(obs.Options{})
	m.TelemetryAttempt("a", 1)
	m.TelemetryAttempt("b", 1)
	m.KeepHubs(map[string][]string{"b": {"$Default"}, "c": {"$Default"}})
	text := scrape(t, m)
	if strings.Contains(text, `hub="a"`) || !strings.Contains(text, `hub="b"`) {
		t.Error("the wrong hub is forgotten")
	}
}

func TestMetrics_ofMessagesToDevices(t *testing.T) {
	m := obs.NewMetrics(obs.Options{})
	for what := range c2d.CountedKinds {
		m.CloudToDevice("a", what, 10+int(what))
	}
	wantLines(t, scrape(t, m),
		`iothub_c2d_enqueued_total{hub="a"} 10`,
		`iothub_c2d_deliveries_total{hub="a"} 11`,
		`iothub_c2d_settled_total{hub="a",outcome="abandon"} 12`,
		`iothub_c2d_settled_total{hub="a",outcome="complete"} 13`,
		`iothub_c2d_settled_total{hub="a",outcome="reject"} 14`,
		`iothub_c2d_settled_total{hub="a",outcome="expired"} 15`,
		`iothub_c2d_settled_total{hub="a",outcome="deliveryCountExceeded"} 16`,
		`iothub_c2d_settled_total{hub="a",outcome="purged"} 17`,
	)
}

func TestMetrics_ofReaders(t *testing.T) {
	m := obs.NewMetrics(obs.Options{})
	m.Readers("a", "$Default", 1)
	m.Readers("a", "$Default", 1)
	m.Readers("a", "$Default", -1)
	m.Readers("a", "archive", 1)
	m.EventsDelivered("a", "archive", 3, 700)
	m.EventsDelivered("a", "archive", 1, 50)
	wantLines(t, scrape(t, m),
		`hubward_eventhub_readers{consumer_group="$Default",hub="a"} 1`,
		`hubward_eventhub_readers{consumer_group="archive",hub="a"} 1`,
		`eventhub_outgoing_messages_total{consumer_group="$Default",hub="a"} 0`,
		`eventhub_outgoing_messages_total{consumer_group="archive",hub="a"} 4`,
		`eventhub_outgoing_bytes_total{consumer_group="archive",hub="a"} 750`,
	)
}

// A reader of a hub or group that was deleted closes after that.
func TestMetrics_readersOutliveTheirGroup(t *testing.T) {
	m := obs.NewMetrics(obs.Options{})
	for _, group := range []string{"$Default", "one", "two"} {
		m.Readers("a", group, 1)
		m.Readers("b", group, 1)
	}
	m.KeepHubs(map[string][]string{"a": {"$default", "TWO"}})
	m.Readers("a", "one", -1)
	m.Readers("b", "$Default", -1)
	text := scrape(t, m)
	wantLines(t, text,
		`hubward_eventhub_readers{consumer_group="$Default",hub="a"} 1`,
		`hubward_eventhub_readers{consumer_group="two",hub="a"} 1`,
	)
	if strings.Contains(text, `"one"`) || strings.Contains(text, `hub="b"`) {
		t.Error("a group that was deleted is there")
	}
}

func TestMetrics_lookedUpWhenRead(t *testing.T) {
	m := obs.NewMetrics(obs.Options{
		Hubs: func(context.Context) ([]obs.HubStats, error) {
			return []obs.HubStats{{Hub: "a", Devices: 7, Connected: 3, ConsumerGroups: []string{"$Default"}}}, nil
		},
		Connections: func() map[string]obs.Connections {
			return map[string]obs.Connections{"mqtt": {Open: 3, Max: 80, Refused: 2}, "amqp": {Open: 1, Max: 20}}
		},
	})
	wantLines(t, scrape(t, m),
		`iothub_devices{hub="a"} 7`,
		`iothub_devices_connected{hub="a"} 3`,
		`iothub_d2c_ingress_total{hub="a"} 0`, // from zero, before the first message
		`iothub_d2c_refused_total{code="MessageTooLarge",hub="a"} 0`,
		`eventhub_outgoing_messages_total{consumer_group="$Default",hub="a"} 0`,
		`hubward_connections 4`,
		`hubward_connections_max 100`,
		`hubward_connections_refused_total 2`,
		`hubward_protocol_connections{protocol="amqp"} 1`,
		`hubward_protocol_connections_max{protocol="amqp"} 20`,
		`hubward_protocol_connections_refused_total{protocol="mqtt",reason="protocol"} 2`,
		`hubward_protocol_connections_refused_total{protocol="amqp",reason="address"} 0`,
	)
}

func TestMetrics_ofTheLog(t *testing.T) {
	stats := obs.LogStats{Events: 120, DiskBytes: 4096, Damaged: 2}
	m := obs.NewMetrics(obs.Options{Log: func() obs.LogStats { return stats }})
	wantLines(t, scrape(t, m),
		"hubward_log_events_total 120",
		"hubward_log_disk_bytes 4096",
		"hubward_log_damaged_partitions 2",
	)
	stats.DiskBytes = 0
	if strings.Contains(scrape(t, m), "hubward_log_disk_bytes") {
		t.Error("a size that is not known is exported")
	}
	if strings.Contains(scrape(t, obs.NewMetrics(obs.Options{})), "hubward_log_events") {
		t.Error("metrics of a log that there is not")
	}
}

func TestMetrics_ofLogins(t *testing.T) {
	m := obs.NewMetrics(obs.Options{})
	m.LoginRefused("a", access.ReasonKey)
	m.LoginRefused("a", access.ReasonKey)
	m.LoginRefused("", access.ReasonHost)
	wantLines(t, scrape(t, m),
		`hubward_logins_refused_total{hub="a",reason="key"} 2`,
		`hubward_logins_refused_total{hub="a",reason="expired"} 0`,
		`hubward_logins_refused_total{hub="",reason="host"} 1`,
		`hubward_logins_refused_total{hub="",reason="key"} 0`,
	)
}

func TestMetrics_ofEventStreams(t *testing.T) {
	m := obs.NewMetrics(obs.Options{})
	m.EventStreams("a", "$Default", 1)
	m.EventStreams("a", "$Default", 1)
	m.EventStreams("a", "$Default", -1)
	m.Readers("a", "archive", 1)
	wantLines(t, scrape(t, m),
		`hubward_event_streams{consumer_group="$Default",hub="a"} 1`,
		`hubward_event_streams{consumer_group="archive",hub="a"} 0`,
		`hubward_eventhub_readers{consumer_group="$Default",hub="a"} 0`,
	)
}

func TestMetrics_durations(t *testing.T) {
	m := obs.NewMetrics(obs.Options{})
	m.LogCommitted(2 * time.Millisecond)
	m.LogCommitted(20 * time.Second)
	m.StoreCommitted(400 * time.Microsecond)
	wantLines(t, scrape(t, m),
		`hubward_log_commit_duration_seconds_bucket{le="0.001"} 0`,
		`hubward_log_commit_duration_seconds_bucket{le="0.0025"} 1`,
		`hubward_log_commit_duration_seconds_bucket{le="+Inf"} 2`,
		`hubward_log_commit_duration_seconds_sum 20.002`,
		`hubward_store_commit_duration_seconds_bucket{le="0.0005"} 1`,
	)
}

func TestMetrics_ofRequests(t *testing.T) {
	m := obs.NewMetrics(obs.Options{})
	m.Call("GET", "/devices/{}")
	m.Request("GET", "/devices/{}", 404, 3*time.Millisecond)
	m.Request("GET", "/devices/{}", 418, time.Second)
	m.Request("", "", 401, 0)
	wantLines(t, scrape(t, m),
		`hubward_http_requests_total{code="200",method="GET",path="/devices/{}"} 0`,
		`hubward_http_requests_total{code="404",method="GET",path="/devices/{}"} 1`,
		`hubward_http_requests_total{code="418",method="GET",path="/devices/{}"} 1`,
		`hubward_http_requests_total{code="401",method="other",path="other"} 1`,
		`hubward_http_request_duration_seconds_bucket{method="GET",path="/devices/{}",le="0.005"} 1`,
		`hubward_http_request_duration_seconds_count{method="GET",path="/devices/{}"} 2`,
	)
}

func TestMetrics_ofTheState(t *testing.T) {
	m := obs.NewMetrics(obs.Options{
		Ready: func(ctx context.Context) map[string]bool {
			if _, bounded := ctx.Deadline(); !bounded {
				t.Error("the checks have no deadline")
			}
			return map[string]bool{"store": true, "log": false}
		},
		Certificates: func() []obs.CertificateEnd {
			return []obs.CertificateEnd{{NotAfter: time.Unix(1_800_000_000, 0)}, {Hub: "a", NotAfter: time.Unix(1_700_000_000, 0)}}
		},
	})
	wantLines(t, scrape(t, m),
		`hubward_ready{part="store"} 1`,
		`hubward_ready{part="log"} 0`,
		`hubward_certificate_expiry_timestamp_seconds{hub=""} 1.8e+09`,
		`hubward_certificate_expiry_timestamp_seconds{hub="a"} 1.7e+09`,
	)
}

func TestMetrics_lookUpFails(t *testing.T) {
	var log bytes.Buffer
	m := obs.NewMetrics(obs.Options{
		Logger: obs.NewLogger(&log, "text", slog.LevelInfo),
		Hubs: func(ctx context.Context) ([]obs.HubStats, error) {
			if _, bounded := ctx.Deadline(); !bounded {
				t.Error("the look-up has no deadline")
			}
			return nil, errors.New("store is slow")
		},
	})
	m.TelemetryAttempt("a", 1)
	text := scrape(t, m)
	wantLines(t, text, `iothub_d2c_ingress_attempts_total{hub="a"} 1`)
	if strings.Contains(text, "iothub_devices") {
		t.Error("a gauge without a value")
	}
	if !strings.Contains(log.String(), "store is slow") {
		t.Errorf("log %q", log.String())
	}
}

func TestMetrics_concurrentUse(t *testing.T) {
	m := obs.NewMetrics(obs.Options{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 100 {
				m.Readers("a", string(rune('a'+i%4)), 1)
				m.EventsDelivered("a", "b", 1, 1)
				m.KeepHubs(map[string][]string{"a": {"b"}, "b": nil, "c": nil, "d": nil})
				m.TelemetryStored(string(rune('a'+i%4)), 1)
				m.TelemetryRefused("a", hubward.Code(400000+i%3), 1)
			}
		})
	}
	scrape(t, m)
	wg.Wait()
	wantLines(t, scrape(t, m), `iothub_d2c_ingress_total{hub="a"} 200`, `iothub_d2c_ingress_total{hub="d"} 200`)
}

func TestMetrics_countingDoesNotAllocate(t *testing.T) {
	m := obs.NewMetrics(obs.Options{})
	count := func() {
		m.TelemetryAttempt("a", 1)
		m.TelemetryStored("a", 1)
		m.TelemetryRefused("a", hubward.CodeThrottled, 1)
		m.DeviceBytes("a", 256)
	}
	count()
	if n := testing.AllocsPerRun(100, count); n != 0 {
		t.Errorf("%v allocations per message", n)
	}
}

func TestNewLogger_levelChangesWhileInUse(t *testing.T) {
	var out bytes.Buffer
	var level slog.LevelVar
	log := obs.NewLogger(&out, "json", &level)
	log.Debug("one")
	level.Set(slog.LevelDebug)
	log.Debug("two")
	if got := out.String(); strings.Contains(got, "one") || !strings.Contains(got, `"msg":"two"`) {
		t.Errorf("log %q", got)
	}
}

func TestParseLevel(t *testing.T) {
	for text, want := range map[string]slog.Level{"debug": slog.LevelDebug, "INFO": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError} {
		if got, err := obs.ParseLevel(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	if _, err := obs.ParseLevel("loud"); err == nil {
		t.Error("loud is a level")
	}
}

func TestNewTraceWriter(t *testing.T) {
	var text, records bytes.Buffer
	for format, w := range map[string]*bytes.Buffer{"text": &text, "json": &records} {
		if n, err := obs.NewTraceWriter(w, format).Write([]byte("#1 <- open \"x\"\n")); n != 15 || err != nil {
			t.Errorf("%s: %d, %v", format, n, err)
		}
	}
	if text.String() != "#1 <- open \"x\"\n" {
		t.Errorf("text %q", text.String())
	}
	if !strings.Contains(records.String(), `"frame":"#1 <- open \"x\""`) || strings.Count(records.String(), "\n") != 1 {
		t.Errorf("json %q", records.String())
	}
}
