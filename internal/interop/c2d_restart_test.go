//go:build interop

package interop_test

import (
	"context"
	"net/http"
	"testing"
)

// Whether the hub is asked to stop or dies: what devices had settled does not come again, what they held does, and what
// was waiting for them still is. The SDKs come back by themselves, within the time that a test has.
func TestC2D_restart(t *testing.T) {
	for _, how := range []struct {
		name string
		end  func() error
	}{
		{"stopped", hub.Stop},
		{"killed", hub.Kill},
	} {
		t.Run(how.name, func(t *testing.T) { testC2DRestart(t, how.name, how.end) })
	}
}

// stayer is a device whose SDK outlives a restart.
type stayer struct {
	receiving
	id, cs string
	client *client
}

func testC2DRestart(t *testing.T, prefix string, end func() error) {
	var stayers []stayer
	for _, name := range []string{"node-mqtt", "node-amqp", "node-http", "python-sync", "java-mqtt", "java-amqp", "java-http"} {
		r := receivingAs(t, name)
		device, cs := createDevice(t, "c2d-"+prefix+"-"+name)
		c := r.open(t, cs, "RETRY=1")
		mustSend(t, restBackEnd{}, device.DeviceID, messageWith("settled", "", ""))
		c.wantMessages("settled")
		waitForQueue(t, device.DeviceID, 0)
		if name == "node-amqp" { // it holds this one the first time
			mustSend(t, restBackEnd{}, device.DeviceID, messageWith("held", "later", ""))
			c.wantMessages("held")
		}
		stayers = append(stayers, stayer{r, device.DeviceID, cs, c})
	}
	holder, holderString := createDevice(t, "c2d-"+prefix+"-mqttjs")
	mustSend(t, restBackEnd{}, holder.DeviceID, messageWith("held", "", ""))
	old := openMQTT(t, holderString, true)
	old.wantMessages("held")
	poller, pollerString := createDevice(t, "c2d-"+prefix+"-poller")
	path := "/devices/" + poller.DeviceID + "/messages/deviceBound"
	mustSend(t, restBackEnd{}, poller.DeviceID, messageWith("locked", "", ""), messageWith("waiting", "", ""))
	lock := rest(t, pollerString, http.MethodGet, path, nil, "").header.Get("Etag")
	away, awayString := createDevice(t, "c2d-"+prefix+"-away")
	mustSend(t, restBackEnd{}, away.DeviceID, messageWith("first", "", ""), messageWith("second", "", ""))

	if err := end(); err != nil {
		t.Fatal(err)
	}
	if err := hub.Start(context.Background()); err != nil {
		t.Fatal(err)
	}

	for _, s := range stayers {
		mustSend(t, restBackEnd{}, s.id, messageWith("new", "", ""))
	}
	for _, s := range stayers {
		if s.String() == "node-amqp" {
			s.client.wantMessages("held")
		}
		s.client.wantMessages("new")
		waitForQueue(t, s.id, 0)
		s.client.stop()
		s.client.finish()
	}
	c := openMQTT(t, holderString, false)
	if again := c.nextMessage(); again.ID != "held" || !again.Dup {
		t.Errorf("after the restart came %+v, want what was held, with the mark", again)
	}
	waitForQueue(t, holder.DeviceID, 0)
	polled(t, pollerString, path, lock)
	waitForQueue(t, poller.DeviceID, 0)
	d := receivingAs(t, "python-aio").open(t, awayString)
	d.wantMessages("first", "second")
	waitForQueue(t, away.DeviceID, 0)
	for _, end := range []*client{old, c, d} {
		end.stop()
		end.finish()
	}
}

// polled is a device that polls, after a restart: its lock is good still, and the next message is the one behind.
func polled(t *testing.T, cs, path, lock string) {
	t.Helper()
	next := rest(t, cs, http.MethodGet, path, nil, "")
	if id := next.header.Get("Iothub-Messageid"); next.status != http.StatusOK || id != "waiting" {
		t.Fatalf("after the restart a poll answers %d with %q, want the message behind the locked one", next.status, id)
	}
	for _, token := range []string{lock, next.header.Get("Etag")} {
		if a := rest(t, cs, http.MethodDelete, path+"/"+token[1:len(token)-1], nil, ""); a.status != http.StatusNoContent {
			t.Errorf("completing after the restart answers %d %s", a.status, a.body)
		}
	}
}
