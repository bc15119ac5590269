package cli_test

import (
	"encoding/json"
	"os"
	"strconv"
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

// benchLine is a short measurement of h.
func benchLine(h *testhub.Hub, args ...string) []string {
	return append(append([]string{"bench"}, args...), "--warm", "10ms", "--duration", "100ms", "-o", "json", "--pid", strconv.Itoa(os.Getpid()),
		"--login", loginOf(h, "iothubowner"), "--ca", h.CAFile, "--mqtts", h.MQTT)
}

func TestBenchTwin(t *testing.T) {
	h := testhub.Start(t)
	store := t.TempDir()
	status, stdout, stderr := runLine(t, nil, benchLine(h, "twin", "--devices", "4", "--window", "2", "--size", "1024,32768", "--rounds", "2", "--store", store)...)
	if status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	var report struct {
		Devices, Rounds int
		Sizes           []struct {
			Size    int
			Patches int64
		}
	}
	// How much a busy machine does in the measured time is not for a test to say.
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || report.Devices != 4 || report.Rounds != 2 || len(report.Sizes) != 2 ||
		report.Sizes[0].Size != 1024 || report.Sizes[0].Patches == 0 || report.Sizes[1].Size != 32768 || report.Sizes[1].Patches == 0 {
		t.Fatalf("%v: %s", err, stdout)
	}
	if left, err := os.ReadDir(store); err != nil || len(left) > 0 {
		t.Errorf("%v are left, %v", left, err)
	}
	if devices := (&client{t: t, env: map[string]string{"HUBWARD_CONNECTION_STRING": loginOf(h, "iothubowner"), "HUBWARD_CA": h.CAFile}}).ok("device", "list", "-o", "json"); devices != "" {
		t.Errorf("devices are left: %s", devices)
	}
}

func TestBenchMethod(t *testing.T) {
	h := testhub.Start(t)
	status, stdout, stderr := runLine(t, nil, benchLine(h, "method", "--devices", "4", "--in-flight", "20", "--rounds", "1")...)
	if status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	var report struct {
		Calls    int64
		Messages []struct{ Window int }
	}
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || report.Calls < 20 || len(report.Messages) != 2 || report.Messages[1].Window != 1 {
		t.Errorf("%v: %s", err, stdout)
	}
}

func TestBench_badFlags(t *testing.T) {
	for _, line := range []string{
		"twin --size 63", "twin --size 1024,32769", "twin --window 0", "twin --rounds 0", "twin --devices 10001",
		"method --in-flight 0", "method --in-flight 10001", "method --size 63", "method --size 131073", "method --window 1001", "method --rounds 101",
	} {
		args := strings.Fields(line)
		if status, _, stderr := runLine(t, nil, append([]string{"bench"}, args...)...); status != 2 || !strings.Contains(stderr, args[1]) {
			t.Errorf("%s: status %d, %s", line, status, stderr)
		}
	}
}

func TestBenchIdle_everyProtocol(t *testing.T) {
	h := testhub.Start(t)
	for protocol, address := range map[string]string{
		"mqtt": h.MQTT, "mqtt-ws": strings.TrimPrefix(h.HTTPS, "https://"), "amqp": h.AMQP, "amqp-ws": strings.TrimPrefix(h.HTTPS, "https://"),
		"https": strings.TrimPrefix(h.HTTPS, "https://"),
	} {
		status, stdout, stderr := runLine(t, nil, "bench", "idle", "--devices", "3", "--duration", "10ms", "-o", "json", "--pid", strconv.Itoa(os.Getpid()),
			"--login", loginOf(h, "iothubowner"), "--ca", h.CAFile, "--mqtts", h.MQTT, "--protocol", protocol, "--address", address)
		if status != 0 || !strings.Contains(stdout, `"connections": 3`) && !strings.Contains(stdout, `"connections":3`) {
			t.Errorf("%s: status %d: %s%s", protocol, status, stdout, stderr)
		}
	}
	if status, _, stderr := runLine(t, nil, "bench", "idle", "--pid", "1", "--floor", "127.0.0.1:1", "--protocol", "amqp"); status != 2 {
		t.Errorf("a floor that speaks AMQP: status %d, %s", status, stderr)
	}
}
