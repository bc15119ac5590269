//go:build interop

package interop_test

import (
	"net/http"
	"testing"
	"time"
)

// openMQTT starts a device on MQTT.js alone.
func openMQTT(t *testing.T, cs string, hold bool) *client {
	t.Helper()
	vars := map[string]string{"DEVICE_CONNECTION_STRING": cs}
	if hold {
		vars["HOLD"] = "1"
	}
	return familyOf(t, "node").start(t, "c2d_mqtt", vars)
}

// takeover is a device that connects elsewhere.
type takeover struct {
	name     string
	from, to func(t *testing.T, cs string) *client
	dup      bool // the second delivery says that it is not the first
}

func takeovers() []takeover {
	holding := func(t *testing.T, cs string) *client { return openMQTT(t, cs, true) }
	as := func(name string, vars ...string) func(t *testing.T, cs string) *client {
		return func(t *testing.T, cs string) *client { return receivingAs(t, name).open(t, cs, vars...) }
	}
	return []takeover{
		{"mqtt to mqtt", holding, func(t *testing.T, cs string) *client { return openMQTT(t, cs, false) }, true},
		{"mqtt to amqp", holding, as("node-amqp"), false},
		{"mqtt to python", holding, as("python-aio"), false},
		{"amqp to mqtt", as("node-amqp", "OUTCOME=hold"), as("node-mqtt-ws"), false},
		{"amqp to mqtt, with the mark", as("node-amqp", "OUTCOME=hold"), func(t *testing.T, cs string) *client { return openMQTT(t, cs, false) }, true},
		{"amqp to amqp-ws", as("node-amqp", "OUTCOME=hold"), as("node-amqp-ws"), false},
	}
}

// A device that connects elsewhere gets what it held there, and that comes before what is new. The old connection ends.
func TestC2D_takeover(t *testing.T) {
	for i, to := range takeovers() {
		t.Run(to.name, func(t *testing.T) {
			device, cs := createDevice(t, "c2d-takeover-"+string(rune('a'+i)))
			mustSend(t, restBackEnd{}, device.DeviceID, message{ID: "held", Body: "1"})
			old := to.from(t, cs)
			if first := old.nextMessage(); first.ID != "held" || first.Dup {
				t.Fatalf("the first delivery is %+v", first)
			}
			mustSend(t, restBackEnd{}, device.DeviceID, message{ID: "new", Body: "2"})

			c := to.to(t, cs)
			again := c.nextMessage()
			c.wantMessages("new")
			if again.ID != "held" || again.Dup != to.dup {
				t.Errorf("the second delivery is %+v, want dup %v", again, to.dup)
			}
			waitForQueue(t, device.DeviceID, 0)
			mustSend(t, restBackEnd{}, device.DeviceID, message{ID: "last", Body: "3"})
			c.wantMessages("last")
			for _, end := range []*client{c, old} {
				end.stop()
				end.finish()
			}
		})
	}
}

// shortestLock is the shortest that a device may ask for.
const shortestLock = 5 * time.Second

// A device that polls loses a message whose lock it lets pass: another connection gets it, and the old token is void.
func TestC2D_lockExpires(t *testing.T) {
	device, cs := createDevice(t, "c2d-lock")
	mustSend(t, restBackEnd{}, device.DeviceID, message{ID: "slow", Body: "1"})
	path := "/devices/" + device.DeviceID + "/messages/deviceBound"
	began := time.Now()
	a := rest(t, cs, http.MethodGet, path, map[string]string{"IotHub-MessageLockTimeout": "5"}, "")
	if a.status != http.StatusOK || a.body != "1" {
		t.Fatalf("the first poll answers %d %q", a.status, a.body)
	}
	token := a.header.Get("Etag")
	if again := rest(t, cs, http.MethodGet, path, nil, ""); again.status != http.StatusNoContent {
		t.Errorf("a poll while the message is locked answers %d %q", again.status, again.body)
	}
	c := receivingAs(t, "node-mqtt").open(t, cs)
	c.wantMessages("slow")
	if after := time.Since(began); after < shortestLock {
		t.Errorf("the message came again after %s, within its lock", after)
	}
	waitForQueue(t, device.DeviceID, 0)
	void := rest(t, cs, http.MethodDelete, path+"/"+token[1:len(token)-1], nil, "")
	if code := void.header.Get("Iothub-Errorcode"); void.status != http.StatusPreconditionFailed || code != "DeviceMessageLockLost" {
		t.Errorf("the old token answers %d %q", void.status, code)
	}
	c.stop()
	c.finish()
}
