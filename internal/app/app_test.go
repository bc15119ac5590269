package app_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/app"
	"github.com/hubward/hubward/internal/config"
	"github.com/hubward/hubward/internal/store/sqlstore"
)

func TestRun_keepsDataOverRestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	r := start(t, dir, map[string][]string{"hub": {"plant"}, "partitions": {"2"}, "retention": {"48h"}}, nil)
	if _, err := r.app.Hub().PutDevice(t.Context(), process(t, r.app), hubward.Device{DeviceID: "d1"}, ""); err != nil {
		t.Fatal(err)
	}
	before := envFile(t, dir)
	ca := readFile(t, filepath.Join(dir, "tls", "ca.pem"))
	r.stop()

	r = start(t, dir, nil, nil) // without the flags of the first start
	c := firstHub(t, r.app)
	if c.Name != "plant" || c.Partitions != 2 || c.Retention != 48*time.Hour {
		t.Errorf("hub %s, %d partitions, retention %s", c.Name, c.Partitions, c.Retention)
	}
	if _, err := r.app.Hub().Device(t.Context(), process(t, r.app), "d1"); err != nil {
		t.Error(err)
	}
	if got := envFile(t, dir); got["HUBWARD_CONNECTION_STRING"] != before["HUBWARD_CONNECTION_STRING"] {
		t.Error("the connection string changed")
	}
	if !bytes.Equal(ca, readFile(t, filepath.Join(dir, "tls", "ca.pem"))) {
		t.Error("the authority changed")
	}
	resp, err := r.get(t.Context(), "/devices/d1?api-version=2021-04-12", r.owner())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.ProtoMajor != 1 {
		t.Errorf("%s over %s", resp.Status, resp.Proto)
	}
}

// What an earlier process has claimed must lose against what this one claims: each start has a number of its own.
func TestOpen_countsStarts(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		a, err := app.Open(t.Context(), load(t, dir, nil), app.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	}
	store, err := sqlstore.Open(t.Context(), sqlstore.Options{Path: filepath.Join(dir, "registry.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if epoch, err := store.NextEpoch(t.Context()); err != nil || epoch != 3 {
		t.Errorf("after two starts comes number %d, %v", epoch, err)
	}
}

func TestOpen_laterStarts(t *testing.T) {
	tests := []struct {
		name  string
		flags map[string][]string
		want  string // in the error; "" starts
	}{
		{"other partitions", map[string][]string{"partitions": {"8"}}, "partitions: the hub hubward was created with 4, which cannot change to 8"},
		{"other hub", map[string][]string{"hub": {"other"}}, `hub: the first hub in`},
		{"the same again", map[string][]string{"partitions": {"4"}, "hub": {"hubward"}}, ""},
		{"host names", map[string][]string{"hostname": {"hub.example.com", "second.example.com"}}, ""},
		{"retention", map[string][]string{"retention": {"7d"}}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			first, err := app.Open(t.Context(), load(t, dir, nil), app.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if err := first.Close(); err != nil {
				t.Fatal(err)
			}
			cfg := load(t, dir, tt.flags)
			a, err := app.Open(t.Context(), cfg, app.Options{})
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %v, want %q", err, tt.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			c := firstHub(t, a)
			if fmt.Sprint(c.HostNames, c.Retention) != fmt.Sprint(cfg.HostNames, cfg.Retention) {
				t.Errorf("host names %v, retention %s", c.HostNames, c.Retention)
			}
			if host := envFile(t, dir)["HUBWARD_CONNECTION_STRING"]; !strings.HasPrefix(host, "HostName="+cfg.HostNames[0]+";") {
				t.Error("the connection string has another host")
			}
		})
	}
}

// A forgotten --hostname must not send clients to another host: only names that somebody gave replace the stored ones.
func TestOpen_keepsStoredHostNames(t *testing.T) {
	dir := t.TempDir()
	for _, flags := range []map[string][]string{{"hostname": {"hub.example.com", "second.example.com"}}, nil} {
		a, err := app.Open(t.Context(), load(t, dir, flags), app.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := firstHub(t, a).HostNames; !slices.Equal(got, []string{"hub.example.com", "second.example.com"}) {
			t.Errorf("with %v: host names %v", flags, got)
		}
		if got := envFile(t, dir)["HUBWARD_CONNECTION_STRING"]; !strings.HasPrefix(got, "HostName=hub.example.com;") {
			t.Errorf("with %v: the connection string has another host", flags)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "hubward.toml")
	if err := os.WriteFile(file, []byte("hostname = \"localhost\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(config.Source{File: file, Flags: map[string][]string{"data": {dir}}})
	if err != nil {
		t.Fatal(err)
	}
	a, err := app.Open(t.Context(), cfg, app.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if got := firstHub(t, a).HostNames; !slices.Equal(got, []string{"localhost"}) {
		t.Errorf("with the default's value in a file: host names %v", got)
	}
}

func TestOpen_folderInUse(t *testing.T) {
	dir := t.TempDir()
	first, err := app.Open(t.Context(), load(t, dir, nil), app.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	_, err = app.Open(t.Context(), load(t, dir, nil), app.Options{})
	want := fmt.Sprintf("the data folder %s is in use by another hubward (pid %d)", dir, os.Getpid())
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %v\nwant  %s", err, want)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := app.Open(t.Context(), load(t, dir, nil), app.Options{})
	if err != nil {
		t.Fatalf("after the first one has closed: %v", err)
	}
	again.Close()
}

func TestOpen_folderErrors(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(t *testing.T, dir string) // dir exists
		want    string
	}{
		{"newer format", func(t *testing.T, dir string) { write(t, filepath.Join(dir, "format"), "2\n") }, "has format 2, this program knows up to 1"},
		{"no format", func(t *testing.T, dir string) { write(t, filepath.Join(dir, "format"), "x") }, "is no version of a data folder"},
		{"store of another program", func(t *testing.T, dir string) { write(t, filepath.Join(dir, "registry.db"), strings.Repeat("x", 4096)) }, "registry.db"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			tt.prepare(t, dir)
			_, err := app.Open(t.Context(), load(t, dir, nil), app.Options{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
	t.Run("a file in place of the folder", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		write(t, file, "")
		_, err := app.Open(t.Context(), load(t, file, nil), app.Options{})
		if err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "--data") {
			t.Errorf("error %v", err)
		}
	})
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOpen_modes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	a, err := app.Open(t.Context(), load(t, dir, nil), app.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for name, want := range map[string]os.FileMode{
		".": 0o700, "connection-strings.env": 0o600, "registry.db": 0o600, "tls": 0o700, "tls/server-key.pem": 0o600, "tls/ca-key.pem": 0o600,
	} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %o, want %o", name, info.Mode().Perm(), want)
		}
	}
}

func TestRun_portInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	a, err := app.Open(t.Context(), load(t, dir, map[string][]string{"https": {taken.Addr().String()}}), app.Options{Memory: true})
	if err != nil {
		t.Fatal(err)
	}
	err = a.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "is in use") || !strings.Contains(err.Error(), "--https") {
		t.Errorf("error %v", err)
	}
	if again, err := app.Open(t.Context(), load(t, dir, nil), app.Options{Memory: true}); err != nil {
		t.Errorf("the folder is still locked: %v", err)
	} else {
		again.Close()
	}
}

func TestAdmin_healthAndMetrics(t *testing.T) {
	r := start(t, t.TempDir(), nil, nil)
	if _, err := r.app.Hub().PutDevice(t.Context(), process(t, r.app), hubward.Device{DeviceID: "d1"}, ""); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/healthz/live": `"live"`, "/healthz/ready": `"ready"`, "/healthz": `"ready"`,
		"/metrics": `iothub_devices{hub="hubward"} 1`,
	} {
		if status, body := r.admin(path); status != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d, lacks %s", path, status, want)
		}
	}
	_, metrics := r.admin("/metrics")
	for _, name := range []string{
		"hubward_log_events_total ", "hubward_log_disk_bytes ", "hubward_log_commit_duration_seconds_count ",
		"hubward_http_requests_total{code=\"200\",method=\"PUT\",path=\"/devices/{}\"} 0\n",
		`hubward_logins_refused_total{hub="hubward",reason="key"} 0`,
		"hubward_ready{part=\"store\"} 1\n", "hubward_ready{part=\"log\"} 1\n", `hubward_certificate_expiry_timestamp_seconds{hub=""} `,
		`hubward_event_streams{consumer_group="$Default",hub="hubward"} 0`,
	} {
		if !strings.Contains(metrics, "\n"+name) {
			t.Errorf("/metrics lacks %s", name)
		}
	}
	// The store has made a hub and a device durable.
	if count := regexp.MustCompile(`\nhubward_store_commit_duration_seconds_count ([1-9]\d*)\n`); !count.MatchString(metrics) {
		t.Error("transactions of the store are not counted")
	}
	// What "promtool check metrics" runs.
	problems, err := promlint.New(strings.NewReader(metrics)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func (r *running) admin(path string) (int, string) {
	r.t.Helper()
	resp, err := http.Get("http://" + r.addresses["admin"] + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// TestRun_drainEndsStreams holds an event stream open, which has no end of its own.
func TestRun_drainEndsStreams(t *testing.T) {
	r := start(t, t.TempDir(), nil, nil)
	resp, err := r.get(t.Context(), "/$hubward/events?from=earliest", r.owner())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
	begin := time.Now()
	r.stop()
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("the drain took %s", took)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the stream ended with %v", err)
	}
	if _, err := net.DialTimeout("tcp", r.addresses["https"], time.Second); err == nil {
		t.Error("the port is still open")
	}
}

func TestRun_logsNoSecrets(t *testing.T) {
	r := start(t, t.TempDir(), map[string][]string{"log-level": {"debug"}, "log-format": {"json"}}, nil)
	r.get(t.Context(), "/devices/none?api-version=2021-04-12", r.owner())
	key := r.owner().SharedAccessKey
	r.stop()
	if strings.Contains(r.log.String(), key) || strings.Contains(r.log.String(), "sig=") {
		t.Error("the log holds a secret")
	}
	for line := range strings.Lines(r.log.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("no JSON: %s", line)
		}
	}
}
