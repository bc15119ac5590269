//go:build interop

package interop_test

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/hubward/hubward/device"
)

// A device whose connection ends hears of changes again once the SDK has connected again by itself, and so it does when the
// hub is asked to stop, or dies. The programs do nothing about it. Over MQTT the SDKs do not even subscribe again: all three
// rely on their session.
func TestTwins_afterReconnect(t *testing.T) {
	var all []receiving
	for _, name := range []string{"node-mqtt", "node-amqp", "python-aio", "python-aio-ws", "java-mqtt", "java-amqp"} {
		all = append(all, receivingAs(t, name))
	}
	journeys, connections := map[string]*twinJourney{}, map[string]string{}
	for _, r := range all {
		made, cs := createDevice(t, "reconnect-"+r.String())
		j := &twinJourney{device: made.DeviceID, family: r.sdk, client: r.openDrivenDevice(t, cs, "RETRY=1")}
		j.get(t)
		journeys[r.String()], connections[r.String()] = j, cs
	}
	t.Run("taken over", func(t *testing.T) {
		// Node's SDK gives up for good when its links over AMQP are taken, as two devices with one id should.
		back := slices.DeleteFunc(slices.Clone(all), func(r receiving) bool { return r.String() == "node-amqp" })
		for _, r := range back {
			takeOver(t, connections[r.String()])
		}
		hearAgain(t, back, journeys)
	})
	t.Run("stopped", func(t *testing.T) {
		restartHub(t, hub.Stop)
		hearAgain(t, all, journeys)
	})
	t.Run("killed", func(t *testing.T) {
		restartHub(t, hub.Kill)
		hearAgain(t, all, journeys)
	})
}

func hearAgain(t *testing.T, all []receiving, journeys map[string]*twinJourney) {
	since := t.Name()
	together(t, all, func(t *testing.T, r receiving) { journeys[r.String()].hearsAgain(t, since) })
}

// hearsAgain waits until the device has been told of a change. Nobody sees from outside when an SDK that has connected is
// as far as that, and what is written before is for its next get: so there is one change after the other until then. The
// next one has to come too, and its answers.
func (j *twinJourney) hearsAgain(t *testing.T, since string) {
	t.Helper()
	change := fields{"since": since}
	for began := time.Now(); ; {
		updateDesired(t, j.device, change)
		if told := j.tells(t, changesEach); told["since"] == since {
			break
		}
		if time.Since(began) > readerWithin {
			t.Fatalf("the device is told of no change\n%s", j.client.client.stderr.String())
		}
	}
	updateDesired(t, j.device, fields{"since": since + ", and on"})
	for began := time.Now(); j.tells(t, readerWithin)["since"] != since+", and on"; {
		if time.Since(began) > readerWithin {
			t.Fatal("the device is not told of the next change")
		}
	}
	j.client.must(t, "report", fields{"patch": change})
	wantValue(t, "what it has reported", map[string]any{"since": since}, section(t, storedTwin(t, j.device).Properties.Reported))
}

// changesEach is how long a device is given to show a change before there is another.
const changesEach = 500 * time.Millisecond

// tells returns the next change that the device shows, or none.
func (j *twinJourney) tells(t *testing.T, within time.Duration) map[string]any {
	t.Helper()
	select {
	case change := <-j.client.desired:
		told, _ := section(t, change).(map[string]any)
		return told
	case <-j.client.done:
		t.Fatalf("the device ended:\n%s", j.client.client.stderr.String())
	case <-time.After(within):
	}
	return nil
}

// updateDesired writes desired properties over REST.
func updateDesired(t *testing.T, id string, desired fields) {
	t.Helper()
	body := asJSON(t, fields{"properties": fields{"desired": desired}})
	a := rest(t, connectionString(t, "HUBWARD_CONNECTION_STRING"), http.MethodPatch, "/twins/"+id, nil, body)
	if a.status != http.StatusOK {
		t.Fatalf("an update answers %d %s", a.status, a.body)
	}
}

// takeOver connects as a device, which ends the connection that it has, and leaves. It does so over AMQP, where it cannot
// touch the session that the device has over MQTT.
func takeOver(t *testing.T, cs string) {
	t.Helper()
	roots, err := hub.Roots()
	if err != nil {
		t.Fatal(err)
	}
	client, err := device.NewFromConnectionString(cs, &device.Options{CA: roots, Protocol: device.AMQP})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), callWithin)
	defer cancel()
	if err := client.Connect(ctx); err != nil {
		t.Fatal(err)
	}
	_ = client.Close(ctx) // the device may have come back before
}

// restartHub ends the hub and starts it again.
func restartHub(t *testing.T, end func() error) {
	t.Helper()
	if err := end(); err != nil {
		t.Fatal(err)
	}
	if err := hub.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
}
