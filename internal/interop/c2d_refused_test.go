//go:build interop

package interop_test

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
)

// maxQueue is how many messages a device's queue has room for.
const maxQueue = 50

// What the hub does not queue, it refuses with what the SDKs have an error of their own for.
func TestC2D_refused(t *testing.T) {
	names := map[string]map[string]string{
		"node": {
			"disabled device": "DeviceNotFoundError", "unknown device": "DeviceNotFoundError", "full queue": "DeviceMaximumQueueDepthExceededError",
			"too large": "MessageTooLargeError", "expired": "ArgumentOutOfRangeError", "expires in three days": "ArgumentOutOfRangeError",
			"unknown ack": "ArgumentError",
		},
		"java": {
			"disabled device": "IotHubNotFoundException", "unknown device": "IotHubNotFoundException", "full queue": "IotHubDeviceMaximumQueueDepthExceededException",
			"too large": "IotHubMessageTooLargeException", "expired": "IotHubException", "expires in three days": "IotHubException",
			"unknown ack": "IllegalArgumentException",
		},
		"rest": {
			"disabled device": "404 DeviceNotFound", "unknown device": "404 DeviceNotFound", "full queue": "403 DeviceMaximumQueueDepthExceeded",
			"too large": "413 MessageTooLarge", "expired": "400 ArgumentInvalid", "expires in three days": "400 ArgumentInvalid",
			"unknown ack": "400 ArgumentInvalid",
		},
	}
	for name, from := range backEnds(t) {
		t.Run(name, func(t *testing.T) {
			got := refusals(t, name, from)
			family, _, _ := strings.Cut(name, "-")
			want := names[family]
			if family == "python" { // the SDK has one error for all of it, which tells nothing
				want = map[string]string{}
				for what := range names["node"] {
					want[what] = "Exception: C2D message send failure"
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("refusals (-want +got):\n%s", diff)
			}
		})
	}
}

// refusals sends what must be refused, and returns how it was.
func refusals(t *testing.T, prefix string, from c2dSender) map[string]string {
	t.Helper()
	device, _ := createDevice(t, prefix+"-c2d-refused")
	disabled, _ := createDevice(t, prefix+"-c2d-disabled")
	disabled.Status = hubward.StatusDisabled
	putDevice(t, disabled, "*")
	late := messageWith("late", "", "")
	late.Expiry = time.Now().Add(-time.Minute).UnixMilli()
	early := messageWith("early", "", "")
	early.Expiry = time.Now().Add(72 * time.Hour).UnixMilli()
	got := map[string]string{
		"unknown device":        from.Send(t, prefix+"-nobody", messageWith("stray", "", "")),
		"disabled device":       from.Send(t, disabled.DeviceID, messageWith("for nobody now", "", "")),
		"too large":             from.Send(t, device.DeviceID, message{ID: "large", Body: strings.Repeat("x", 64<<10+1)}),
		"expired":               from.Send(t, device.DeviceID, late),
		"expires in three days": from.Send(t, device.DeviceID, early),
		"unknown ack":           from.Send(t, device.DeviceID, messageWith("loud", "", "loud")),
	}
	fill := from
	if strings.HasPrefix(prefix, "java") { // which takes 0.2 s for a message
		fill = restBackEnd{}
	}
	for n := range maxQueue {
		mustSend(t, fill, device.DeviceID, messageWith(fmt.Sprint("one of many ", n), "", ""))
	}
	got["full queue"] = from.Send(t, device.DeviceID, messageWith("one too many", "", ""))
	purge(t, device.DeviceID, maxQueue)
	return got
}

// A back end that may not send is told so by the SDK's own error.
func TestC2D_refusesBackEnd(t *testing.T) {
	device, _ := createDevice(t, "c2d-strangers")
	good := connectionString(t, "HUBWARD_CONNECTION_STRING")
	const reader = "c2d-readers"
	mustRun(t, "policy", "create", reader, "--permissions", "RegistryRead")
	t.Cleanup(func() { mustRun(t, "policy", "delete", reader) })
	cases := map[string]string{
		"wrong-key":            endpointString(t, "HUBWARD_CONNECTION_STRING", base64.StdEncoding.EncodeToString(make([]byte, 32))),
		"unknown-policy":       strings.Replace(good, "iothubowner", "nobody", 1),
		"policy-without-right": strings.TrimSpace(mustRun(t, "hub", "connection-string", "--policy", reader)),
	}
	errors := map[string]string{"node": "UnauthorizedError", "java": "IotHubUnauthorizedException"}
	for family, name := range errors {
		cases := maps.Clone(cases)
		if family == "java" {
			delete(cases, "policy-without-right") // the SDK waits a minute for a link that was refused
		}
		for _, transport := range []string{"amqp", "amqp-ws"} {
			t.Run(family+"-"+transport, func(t *testing.T) {
				lines := familyOf(t, family).run(t, "c2d_refused", map[string]string{
					"CASES": asJSON(t, cases), "DEVICE": device.DeviceID, "TRANSPORT": transport,
				})
				var want []string
				for _, what := range slices.Sorted(maps.Keys(cases)) {
					want = append(want, "refused "+what+" "+name)
				}
				if diff := cmp.Diff(want, only(lines, "refused ")); diff != "" {
					t.Errorf("refusals (-want +got):\n%s", diff)
				}
			})
		}
	}
	waitForQueue(t, device.DeviceID, 0)
}
