package app_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward/internal/app"
	"github.com/hubward/hubward/internal/config"
	"github.com/hubward/hubward/internal/hub"
)

func TestConnectionStrings_file(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "it's data") // a name that a shell has to be told with care
	a, err := app.Open(t.Context(), load(t, dir, map[string][]string{"hub": {"plant"}, "hostname": {"hub.example.com"}}), app.Options{Memory: true})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	keys := map[string]string{}
	for _, p := range firstHub(t, a).Policies {
		keys[p.Name] = p.PrimaryKey
	}
	want := strings.Join([]string{
		"HostName=hub.example.com;SharedAccessKeyName=iothubowner;SharedAccessKey=" + keys["iothubowner"],
		"HostName=hub.example.com;SharedAccessKeyName=service;SharedAccessKey=" + keys["service"],
		"Endpoint=sb://hub.example.com/;SharedAccessKeyName=service;SharedAccessKey=" + keys["service"] + ";EntityPath=plant",
		"unset",
		filepath.Join(dir, "tls", "ca.pem"),
	}, "\n")
	script := `. ./connection-strings.env && printf '%s\n%s\n%s\n%s\n%s' "$HUBWARD_CONNECTION_STRING" ` +
		`"$HUBWARD_SERVICE_CONNECTION_STRING" "$HUBWARD_EVENTHUB_CONNECTION_STRING" "${HUBWARD_EMULATOR_CONNECTION_STRING-unset}" "$HUBWARD_CA"`
	cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
	cmd.Dir = dir
	got, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
	info, err := os.Stat(filepath.Join(dir, "connection-strings.env"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestConnectionStrings_emulator(t *testing.T) {
	tests := []struct{ amqp, hostname, endpoint string }{
		{"127.0.0.1:5672", "hub.example.com", "sb://localhost;"},
		{":5673", "hub.example.com", "sb://localhost:5673;"},
		{"[::1]:5672", "hub.example.com", "sb://localhost;"},
		{"192.0.2.7:5672", "hub.example.com", "sb://hub.example.com;"},
	}
	for _, tt := range tests {
		t.Run(tt.amqp, func(t *testing.T) {
			dir := t.TempDir()
			a, err := app.Open(t.Context(), load(t, dir, map[string][]string{"amqp": {tt.amqp}, "hostname": {tt.hostname}}), app.Options{Memory: true})
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			got := envFile(t, dir)["HUBWARD_EMULATOR_CONNECTION_STRING"]
			if !strings.HasPrefix(got, "Endpoint="+tt.endpoint) || !strings.HasSuffix(got, ";EntityPath=hubward;UseDevelopmentEmulator=true") {
				t.Error("HUBWARD_EMULATOR_CONNECTION_STRING has another shape")
			}
		})
	}
}

func TestConnectionStrings_givenCertificate(t *testing.T) {
	dir := t.TempDir()
	own, err := app.Open(t.Context(), load(t, dir, nil), app.Options{Memory: true})
	if err != nil {
		t.Fatal(err)
	}
	own.Close()
	files := map[string][]string{
		"tls-certificate": {filepath.Join(dir, "tls", "server.pem")}, "tls-key": {filepath.Join(dir, "tls", "server-key.pem")},
	}
	for _, ca := range []string{"", filepath.Join(dir, "corporate.pem")} {
		files["tls-ca"] = []string{ca}
		data := t.TempDir()
		a, err := app.Open(t.Context(), load(t, data, files), app.Options{Memory: true})
		if err != nil {
			t.Fatal(err)
		}
		a.Close()
		if got := envFile(t, data)["HUBWARD_CA"]; got != ca {
			t.Errorf("HUBWARD_CA %q, want %q", got, ca)
		}
	}
}

// eventually waits for what another goroutine of the app does on its own time.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("%s: not within 10 s", what)
		}
	}
}

func TestRun_regeneratedKeyReachesTheFile(t *testing.T) {
	r := start(t, t.TempDir(), nil, func(o *app.Options) { o.Memory = true })
	p, err := r.app.Hub().RegeneratePolicyKey(t.Context(), process(t, r.app), "hubward", hub.OwnerPolicy, true)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new key is in the file", func() bool { return r.owner().SharedAccessKey == p.PrimaryKey })
}

func TestReload(t *testing.T) {
	dir := t.TempDir()
	flags := map[string][]string{"retention": {"24h"}}
	var next config.Config
	var broken error
	r := start(t, dir, flags, func(o *app.Options) {
		o.Memory = true
		o.Reconfigure = func() (config.Config, error) { return next, broken }
	})
	before := readFile(t, filepath.Join(dir, "tls", "server.pem"))
	next = load(t, dir, map[string][]string{
		"retention": {"72h"}, "hostname": {"new.example.com"}, "log-level": {"debug"}, "max-connections": {"7"},
	})
	if err := r.app.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := firstHub(t, r.app)
	if c.Retention != 72*time.Hour || c.HostNames[0] != "new.example.com" {
		t.Errorf("retention %s, host names %v", c.Retention, c.HostNames)
	}
	if r.owner().HostName != "new.example.com" {
		t.Error("the connection string has the old host name")
	}
	if string(before) == string(readFile(t, filepath.Join(dir, "tls", "server.pem"))) {
		t.Error("the certificate was not issued for the new name")
	}
	if !strings.Contains(r.log.String(), "takes a restart to change\" option=listen.max-connections") {
		t.Errorf("the log does not name the option that takes a restart:\n%s", r.log)
	}

	next = load(t, dir, map[string][]string{"retention": {"72h"}})
	if err := r.app.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c := firstHub(t, r.app); c.HostNames[0] != "new.example.com" || r.owner().HostName != "new.example.com" {
		t.Errorf("a reload without host names left %v", c.HostNames)
	}

	next, broken = config.Config{}, os.ErrPermission
	if err := r.app.Reload(t.Context()); err == nil {
		t.Error("a broken configuration reloads")
	}
	if c := firstHub(t, r.app); c.Retention != 72*time.Hour {
		t.Errorf("a broken configuration changed the retention to %s", c.Retention)
	}
}

func TestReload_withoutConfiguration(t *testing.T) {
	dir := t.TempDir()
	r := start(t, dir, nil, func(o *app.Options) { o.Memory = true })
	if err := os.Remove(filepath.Join(dir, "connection-strings.env")); err != nil {
		t.Fatal(err)
	}
	if err := r.app.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.owner() // the file is back
}
