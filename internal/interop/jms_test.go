//go:build interop

package interop_test

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward/sas"
)

// jmsMessage is what Qpid JMS shows of an event or a message: a JMS client sees neither positions nor stamps.
type jmsMessage struct {
	Partition     string            `json:"partition"`
	Body          string            `json:"body"`
	MessageID     string            `json:"messageId"`
	CorrelationID string            `json:"correlationId"`
	Properties    map[string]string `json:"properties"`
}

// noPrefix is how Qpid JMS begins an id that comes without JMS's "ID:".
const noPrefix = "ID:AMQP_NO_PREFIX:"

// jms starts a journey of Qpid JMS, which logs in with user and password and sees vars besides.
func jms(t *testing.T, user, password, journey string, vars map[string]string) *client {
	t.Helper()
	all := map[string]string{"HOST": dottedHost, "USER": user, "PASSWORD": password}
	maps.Copy(all, vars)
	return familyByName("java").start(t, "jms_events", all, journey)
}

// policyLogin returns the user and the password by which a policy logs in with PLAIN: a token, or the key itself.
func policyLogin(t *testing.T, withKey bool) (user, password string) {
	t.Helper()
	parsed, err := sas.ParseConnectionString(connectionString(t, "HUBWARD_CONNECTION_STRING"))
	if err != nil {
		t.Fatal(err)
	}
	if withKey {
		return parsed.SharedAccessKeyName, parsed.SharedAccessKey
	}
	token, err := sas.Sign(dottedHost, parsed.SharedAccessKey, parsed.SharedAccessKeyName, time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return parsed.SharedAccessKeyName + "@sas.root." + hubName(t), token
}

// A JMS client that knows nothing of hubs reads a run, from its start with a policy's token, and with a policy's key from
// the middle, which it names with a selector.
func TestJMS_readEvents(t *testing.T) {
	f := newFleet(t, "jms")
	f.send(t, 10) // with one that does not fit into a frame
	want := f.stored(t)
	middle, _ := startInTheMiddle(want, start{"offset", false})
	for _, c := range []struct {
		name     string
		withKey  bool
		selector func(partition string) string
	}{
		{"all", false, func(string) string { return "" }},
		{"selector", true, func(partition string) string {
			return "amqp.annotation.x-opt-offset > '" + middle.positions[partition] + "'"
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			selectors := map[string]string{}
			left := map[string][]event{}
			for _, e := range want {
				selectors[e.Partition] = c.selector(e.Partition)
				if offset, _ := strconv.Atoi(middle.positions[e.Partition]); !c.withKey || e.Sequence > int64(offset) {
					left[e.Partition] = append(left[e.Partition], e)
				}
			}
			user, password := policyLogin(t, c.withKey)
			reader := jms(t, user, password, "read", map[string]string{
				"EVENT_HUB": hubName(t), "CONSUMER_GROUP": newGroup(t, "jms"), "POSITIONS": asJSON(t, selectors),
			})
			f.wantFromJMS(t, reader, left)
			reader.stop()
			reader.finish()
		})
	}
}

// wantFromJMS waits for the run's events, by partition, in order. Other runs' events are passed over.
func (f *fleet) wantFromJMS(t *testing.T, reader *client, left map[string][]event) {
	t.Helper()
	ours := map[string]bool{}
	total := 0
	for _, events := range left {
		total += len(events)
		for _, e := range events {
			ours[noPrefix+e.MessageID] = true
		}
	}
	for total > 0 {
		var got jmsMessage
		decode(t, reader.waitFor("event "), &got)
		if !ours[got.MessageID] {
			continue
		}
		e := left[got.Partition][0]
		left[got.Partition] = left[got.Partition][1:]
		total--
		want := jmsMessage{e.Partition, e.Body, noPrefix + e.MessageID, e.CorrelationID, e.Properties}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("event %d of partition %s (-want +got):\n%.2000s", e.Sequence, e.Partition, diff)
		}
	}
}

// A JMS client is a device: it sends telemetry, which keeps the types of its properties, and receives messages.
func TestJMS_device(t *testing.T) {
	const count = 5
	device, _ := createDevice(t, "jms-device")
	token, err := sas.Sign(dottedHost+"/devices/"+device.DeviceID, string(device.Authentication.SymmetricKey.PrimaryKey), "", time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	c := jms(t, device.DeviceID+"@sas."+hubName(t), token, "send", map[string]string{"DEVICE": device.DeviceID, "COUNT": strconv.Itoa(count)})
	c.waitFor("ready")
	for n, e := range readEvents(t, device.DeviceID, count) {
		want := map[string]string{"number": strconv.Itoa(n), "whole": strconv.Itoa(n), "odd": strconv.FormatBool(n%2 == 1)}
		if diff := cmp.Diff(want, e.Properties); diff != "" || e.SystemProperties.CorrelationID != fmt.Sprintf("correlation %d/ä", n) {
			t.Errorf("event %d has the correlation id %q and the properties (-want +got):\n%s", n, e.SystemProperties.CorrelationID, diff)
		}
		if want := fmt.Sprintf(`"reading %d of 10 °C"`, n); string(e.Body) != want {
			t.Errorf("event %d has the body %s, want %s", n, e.Body, want)
		}
	}
	mustSend(t, restBackEnd{}, device.DeviceID, message{ID: "command", CorrelationID: "cause", ContentType: "text/plain", ContentEncoding: "utf-8",
		Properties: map[string]string{"colour": "blue"}, Body: "turn left: 90°"})
	var got jmsMessage
	decode(t, c.waitFor("message "), &got)
	if diff := cmp.Diff(jmsMessage{"", "turn left: 90°", noPrefix + "command", "cause", map[string]string{"colour": "blue"}}, got); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
	waitForQueue(t, device.DeviceID, 0)
	c.stop()
	c.finish()
}

// A log-in that is refused reaches a JMS client as what it is.
func TestJMS_refused(t *testing.T) {
	user, _ := policyLogin(t, true)
	wrong := base64.StdEncoding.EncodeToString(make([]byte, 32))
	lines := jms(t, user, wrong, "refused", nil).finish()
	if want := []string{"refused JMSSecuritySaslException"}; !slices.Equal(want, only(lines, "refused ")) {
		t.Errorf("the client says %q, want %q", lines, want)
	}
}
