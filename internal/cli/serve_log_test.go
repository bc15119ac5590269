package cli_test

import (
	"crypto/tls"
	"encoding/json"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// checkJSONLines fails for a line that is no record, and for a number that may be nanoseconds.
func checkJSONLines(t *testing.T, text string) {
	t.Helper()
	if text == "" {
		t.Error("there is no line")
	}
	for line := range strings.Lines(text) {
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Errorf("no JSON: %s", line)
			continue
		}
		if _, err := time.Parse(time.RFC3339Nano, record["time"].(string)); err != nil || record["level"] == nil || record["msg"] == nil {
			t.Errorf("no record of a log: %s", line)
		}
		for name, value := range record {
			if n, ok := value.(float64); ok && n >= float64(time.Second) {
				t.Errorf("%s has no unit: %s", name, line)
			}
		}
	}
}

func (s *serving) address(t *testing.T, listener string) string {
	t.Helper()
	for _, line := range s.lines {
		if f := strings.Fields(line); len(f) == 2 && f[0] == listener {
			return f[1]
		}
	}
	t.Fatalf("there is no listener %s in %v", listener, s.lines)
	return ""
}

func TestServe_everyLineOfAJSONLogIsJSON(t *testing.T) {
	dir := t.TempDir()
	file, data := filepath.Join(dir, "hubward.toml"), filepath.Join(dir, "data")
	if err := os.WriteFile(file, []byte("retention = \"2d\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	loopback := []string{"--mqtts", "127.0.0.1:0", "--amqps", "127.0.0.1:0", "--https", "127.0.0.1:0", "--admin", "off"}
	s := startServe(t, nil, append([]string{
		"--config", file, "--data", data, "--log-format", "json", "--log-level", "debug", "--amqp-trace", "*", "--hostname", "a.example",
	}, loopback...)...)
	has := func(what string) {
		t.Helper()
		eventually(t, what, func() bool { return strings.Contains(s.stderr.String(), what) })
	}
	has(`"names":["a.example",`)
	has(`"retention_seconds":172800`)

	for _, listener := range []string{"mqtts", "amqps", "https"} { // no TLS at all
		nc, err := net.Dial("tcp", s.address(t, listener))
		if err != nil {
			t.Fatal(err)
		}
		nc.Write([]byte("GET / HTTP/1.0\r\n\r\n"))
		nc.Read(make([]byte, 1))
		nc.Close()
	}
	has("TLS handshake error")
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	if res, err := client.Get("https://" + s.address(t, "https") + "/devices/d1?api-version=2021-04-12"); err != nil {
		t.Error(err)
	} else {
		res.Body.Close()
	}
	log.Print("what a library says") // by the way that it may know
	has(`"msg":"what a library says"`)
	if err := os.WriteFile(file, []byte("nonsense = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	hangUp(t)
	has(`"msg":"reload failed`)

	status, _, stderr := runLine(t, nil, append([]string{"serve", "--log-format=json", "--data", data}, loopback...)...)
	if status != 1 || !strings.Contains(stderr, "is in use by another hubward") {
		t.Errorf("status %d, %s", status, stderr)
	}
	checkJSONLines(t, stderr)
	s.stop(t)
	checkJSONLines(t, s.stderr.String())
}

func TestServe_wrongUsageIsJSONToo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hubward.toml")
	if err := os.WriteFile(file, []byte("partitions = 99\n[log]\nformat = \"json\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		vars map[string]string
		args []string
	}{
		{nil, []string{"--nonsense", "--log-format", "json"}},
		{nil, []string{"--log-format=json", "extra"}},
		{map[string]string{"HUBWARD_LOG_FORMAT": "json"}, []string{"--partitions", "99"}},
		{nil, []string{"--config", file}},
	} {
		status, _, stderr := runLine(t, test.vars, append([]string{"serve"}, test.args...)...)
		if status != 2 || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, `"usage":"hubward serve`) {
			t.Errorf("%v: status %d, %s", test.args, status, stderr)
		}
		checkJSONLines(t, stderr)
	}
}
