package cli_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/hubward/hubward/internal/testhub"
)

func TestBenchD2C_losesNothing(t *testing.T) {
	h := testhub.Start(t)
	login := strings.Replace(h.ConnectionString("iothubowner"), "HostName=localhost", "HostName="+strings.TrimPrefix(h.HTTPS, "https://"), 1)
	line := []string{"bench", "d2c", "--devices", "4", "--window", "5", "--warm", "20ms", "--duration", "100ms", "-o", "json",
		"--login", login, "--ca", h.CAFile, "--mqtts", h.MQTT}
	status, stdout, stderr := runLine(t, nil, line...)
	if status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	var report struct {
		Acknowledged, Sent int64
		AckP50Milliseconds float64
		Check              struct{ Read, Lost, Duplicates, OutOfOrder int64 }
	}
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatal(err)
	}
	if report.Acknowledged == 0 || report.Acknowledged != report.Sent || report.AckP50Milliseconds <= 0 {
		t.Errorf("%+v", report)
	}
	if c := report.Check; c.Read != report.Acknowledged || c.Lost+c.Duplicates+c.OutOfOrder != 0 {
		t.Errorf("%+v", c)
	}
}

func TestBenchD2C_badFlags(t *testing.T) {
	for _, line := range [][]string{{"--devices", "0"}, {"--window", "0"}, {"--size", "10"}, {"--qos", "2"}} {
		if status, _, stderr := runLine(t, nil, append([]string{"bench", "d2c"}, line...)...); status != 2 || !strings.Contains(stderr, line[0]) {
			t.Errorf("%v: status %d, %s", line, status, stderr)
		}
	}
}
