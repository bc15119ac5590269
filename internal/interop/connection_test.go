//go:build interop

package interop_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/childhub"
)

// Every refused log-in reaches the application as the SDK's own error for it, at once.
func TestDevice_refused(t *testing.T) {
	all := []string{"mqtt", "mqtt-ws", "amqp", "amqp-ws", "http"}
	transports := map[string][]string{"node": all, "python": {"mqtt"}, "java": all}
	eachSDK(t, func(t *testing.T, s sdk) {
		for _, transport := range transports[s.name] {
			t.Run(transport, func(t *testing.T) { testRefused(t, s, transport) })
		}
	})
}

func testRefused(t *testing.T, s sdk, transport string) {
	prefix := s.name + "-" + transport
	device, good := createDevice(t, prefix+"-refused")
	disabled, disabledString := createDevice(t, prefix+"-disabled")
	disabled.Status = hubward.StatusDisabled
	putDevice(t, disabled, "*")

	key := string(device.Authentication.SymmetricKey.PrimaryKey)
	otherKey := base64.StdEncoding.EncodeToString(make([]byte, 32))
	cases := map[string]string{
		"wrong-key":       deviceString("localhost", device.DeviceID, otherKey),
		"expired-token":   good,
		"disabled-device": disabledString,
		"unknown-device":  deviceString("localhost", prefix+"-unknown", key),
	}
	if transport != "http" { // there the SDK knows of no gateway
		// The gateway's name is dialled and in the certificate; the host's is in the user name and the token.
		cases["unknown-host"] = deviceString("unknown.example", device.DeviceID, key) + ";GatewayHostName=localhost"
	}
	lines := s.run(t, "device_refused", map[string]string{"CASES": asJSON(t, cases), "TRANSPORT": transport})
	name := map[string]string{"node": "UnauthorizedError", "python": "CredentialError", "java": "UNAUTHORIZED"}[s.name]
	var want []string
	for _, c := range slices.Sorted(maps.Keys(cases)) {
		name := name
		if s.name == "java" && c == "unknown-device" && strings.HasPrefix(transport, "amqp") { // as $cbs has it
			name = "NOT_FOUND"
		}
		want = append(want, fmt.Sprintf("refused %s %s", c, name))
	}
	if diff := cmp.Diff(want, only(lines, "refused ")); diff != "" {
		t.Errorf("refusals (-want +got):\n%s", diff)
	}
}

func TestDevice_secondConnectionTakesOver(t *testing.T) {
	eachSDK(t, func(t *testing.T, s sdk) {
		id := s.name + "-takeover"
		_, cs := createDevice(t, id)
		s.run(t, "takeover", map[string]string{"DEVICE_CONNECTION_STRING": cs})
		events := readEvents(t, id, 2)
		got := []string{string(events[0].Body), string(events[1].Body)}
		if diff := cmp.Diff([]string{`"from the first"`, `"from the second"`}, got); diff != "" {
			t.Errorf("bodies (-want +got):\n%s", diff)
		}
	})
}

// A connected device whose identity is re-keyed, disabled or deleted loses its connection.
func TestDevice_closedWhenIdentityChanges(t *testing.T) {
	eachSDK(t, func(t *testing.T, s sdk) {
		cases := map[string]string{}
		devices := map[string]*hubward.Device{}
		for _, change := range []string{"rekeyed", "disabled", "deleted"} {
			devices[change], cases[change] = createDevice(t, s.name+"-"+change)
		}
		c := s.start(t, "stay_connected", map[string]string{"CASES": asJSON(t, cases)})
		for range cases {
			c.waitFor("connected ")
		}

		rekeyed := devices["rekeyed"]
		rekeyed.Authentication.SymmetricKey = hubward.SymmetricKey{
			PrimaryKey:   hubward.NullString(base64.StdEncoding.EncodeToString([]byte(strings.Repeat("p", 32)))),
			SecondaryKey: hubward.NullString(base64.StdEncoding.EncodeToString([]byte(strings.Repeat("s", 32)))),
		}
		putDevice(t, rekeyed, "*")
		c.waitForLine("disconnected rekeyed")

		disabled := devices["disabled"]
		disabled.Status = hubward.StatusDisabled
		putDevice(t, disabled, "*")
		c.waitForLine("disconnected disabled")

		if err := deleteDevice(devices["deleted"].DeviceID); err != nil {
			t.Fatal(err)
		}
		c.waitForLine("disconnected deleted")
		c.finish()
	})
}

// A change that leaves the keys and the status alone leaves the connection alone too: the device of the first line is
// still there when the second one has been disconnected by a change that ends it.
func TestDevice_keptWhenIdentityChangesOtherwise(t *testing.T) {
	eachSDK(t, func(t *testing.T, s sdk) {
		kept, keptString := createDevice(t, s.name+"-kept")
		_, endString := createDevice(t, s.name+"-ended")
		c := s.start(t, "stay_connected", map[string]string{"CASES": asJSON(t, map[string]string{"kept": keptString, "ended": endString})})
		c.waitFor("connected ")
		c.waitFor("connected ")
		kept.StatusReason = "moved to the roof"
		putDevice(t, kept, "*")
		for _, name := range []string{"ended", "kept"} {
			if err := deleteDevice(s.name + "-" + name); err != nil {
				t.Fatal(err)
			}
			c.waitForLine("disconnected " + name)
		}
		c.finish()
	})
}

// Devices of both SDKs go on sending after a restart of the hub, with nothing but what the SDKs do by themselves, and
// no acknowledged message is lost on the way.
func TestDevice_survivesRestart(t *testing.T) {
	clients := map[string]*client{}
	for _, s := range sdks() {
		id := s.name + "-restart"
		_, cs := createDevice(t, id)
		c := s.start(t, "keep_sending", map[string]string{"DEVICE_CONNECTION_STRING": cs, "RUN_ID": id})
		c.waitForLine("acked 20")
		clients[id] = c
	}
	if err := hub.Stop(); err != nil {
		t.Fatal(err)
	}
	restarted := time.Now()
	if err := hub.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for id, c := range clients {
		waitForEventsSince(t, id, restarted, 20)
		c.stop()
		checkAllThere(t, id, lastAcked(t, c.finish()))
	}
}

// lastAcked returns the number of the last acknowledged message. The programs send one after the other, so all before
// it are acknowledged too.
func lastAcked(t *testing.T, lines []string) int {
	t.Helper()
	for _, line := range slices.Backward(lines) {
		if text, ok := strings.CutPrefix(line, "acked "); ok {
			last, err := strconv.Atoi(text)
			if err != nil {
				t.Fatal(err)
			}
			return last
		}
	}
	t.Fatalf("nothing was acknowledged:\n%s", strings.Join(lines, "\n"))
	return 0
}

// waitForEventsSince returns when n events of a device have come since a moment.
func waitForEventsSince(t *testing.T, id string, since time.Time, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), readWithin)
	defer cancel()
	query := url.Values{"from": {since.UTC().Format(time.RFC3339Nano)}, "device": {id}}
	err := hub.Events(ctx, query, func(childhub.Event) bool {
		n--
		return n > 0
	})
	if err != nil {
		t.Fatalf("%s: %d events are missing since the restart: %v", id, n, err)
	}
}

// checkAllThere reads a device's events up to the number last. Each number has to be there; a message that was sent
// again because the SDK left its fate open may be there twice, but none comes before one with a lower number.
func checkAllThere(t *testing.T, id string, last int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), readWithin)
	defer cancel()
	next := 0
	err := hub.Events(ctx, url.Values{"from": {"earliest"}, "device": {id}}, func(e childhub.Event) bool {
		var body struct{ Number int }
		if err := json.Unmarshal(e.Body, &body); err != nil || body.Number > next {
			t.Errorf("%s: the event after message %d has the body %.100s (%v)", id, next-1, e.Body, err)
			return false
		}
		next = max(next, body.Number+1)
		return next <= last
	})
	if err != nil {
		t.Errorf("%s: message %d was acknowledged but is not there, nor what follows: %v", id, next, err)
	}
}

// waitForLine reads lines up to one that is exactly this.
func (c *client) waitForLine(want string) {
	c.t.Helper()
	verb, rest, _ := strings.Cut(want, " ")
	for {
		if got := c.waitFor(verb + " "); got == rest {
			return
		} else if verb == "disconnected" {
			c.t.Fatalf("%s printed %q, want %q", c.program(), verb+" "+got, want)
		}
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
