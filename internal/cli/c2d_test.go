package cli_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/testhub"
	"github.com/hubward/hubward/service"
)

// received is what c2d receive -o json prints of a message.
type received struct {
	DeviceID         string
	SequenceNumber   uint64
	DeliveryCount    int
	Body             any
	BodyBase64       []byte
	Properties       map[string]string
	SystemProperties map[string]string
}

var protocols = []string{"mqtt", "mqtt-ws", "amqp", "amqp-ws", "https"}

// as are the flags with which a command reaches the hub by a protocol.
func (c *client) as(protocol string) []string {
	return []string{"--protocol", protocol, "--mqtts", c.hub.MQTT, "--amqps", c.hub.AMQP}
}

func (c *client) receive(protocol string, args ...string) received {
	c.t.Helper()
	line := append([]string{"c2d", "receive", "d1", "--count", "1", "-o", "json"}, append(c.as(protocol), args...)...)
	return fromJSON[received](c.t, c.ok(line...))
}

func TestC2D_byEveryProtocol(t *testing.T) {
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			c := newClient(t)
			c.ok("device", "create", "d1")
			c.ok("c2d", "send", "d1", "--body", `{"fan": "on"}`, "--property", "a=b=c", "--property", "e=", "--ack", "full",
				"--message-id", "m1", "--correlation-id", "c1", "--content-type", "application/json", "--expiry", "30m")
			got := c.receive(protocol)
			if got.SystemProperties["expiryTimeUtc"] == "" || !strings.HasSuffix(got.SystemProperties["to"], "/devices/d1/messages/deviceBound") &&
				!strings.HasSuffix(got.SystemProperties["to"], "/devices/d1/messages/devicebound") {
				t.Errorf("system properties %v", got.SystemProperties)
			}
			for _, name := range []string{"expiryTimeUtc", "to", "userId"} {
				delete(got.SystemProperties, name) // a time, and what protocols spell each their own way
			}
			got.SequenceNumber = 0 // MQTT does not tell
			want := received{
				DeviceID: "d1", Body: map[string]any{"fan": "on"}, Properties: map[string]string{"a": "b=c", "e": ""},
				SystemProperties: map[string]string{"messageId": "m1", "correlationId": "c1", "contentType": "application/json", "ack": "full"},
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			f := fromJSON[hubward.Feedback](t, c.ok("feedback", "--count", "1", "-o", "json"))
			if f.OriginalMessageID != "m1" || f.DeviceID != "d1" || f.StatusCode != hubward.FeedbackSuccess {
				t.Errorf("feedback %+v", f)
			}
		})
	}
}

func TestC2DReceive_printsForPeople(t *testing.T) {
	c := newClient(t)
	c.ok("device", "create", "d1")
	id := strings.TrimSpace(c.ok("c2d", "send", "d1", "--body", "on\x1b[2J", "--property", "room=1"))
	out := c.ok("c2d", "receive", "d1", "--count", "1")
	for _, text := range []string{"Z  d1  on\\u001b[2J\n", "    room: 1\n", "    system messageId: " + id + "\n"} {
		if !strings.Contains(out, text) {
			t.Errorf("no %q in\n%s", text, out)
		}
	}
	if strings.Contains(out, "\x1b") {
		t.Error("the terminal is commanded")
	}
}

func TestC2DReceive_abandonAndReject(t *testing.T) {
	for _, protocol := range []string{"amqp", "https"} {
		c := newClient(t)
		c.ok("device", "create", "d1")
		c.ok("c2d", "send", "d1", "--body", "x", "--message-id", "m1", "--ack", "negative")
		if n := c.receive(protocol, "--abandon").DeliveryCount; n != 0 {
			t.Errorf("%s: delivery count %d", protocol, n)
		}
		if n := c.receive(protocol, "--reject").DeliveryCount; n != 1 {
			t.Errorf("%s: delivery count %d after it was given back", protocol, n)
		}
		if out := c.ok("feedback", "--count", "1"); !strings.Contains(out, "  d1  Rejected  m1\n") {
			t.Errorf("%s: feedback prints\n%s", protocol, out)
		}
	}
}

func TestC2DSend_wait(t *testing.T) {
	for _, test := range []struct {
		how, want string
		status    int
	}{{"--complete", "Success", 0}, {"--reject", "Rejected", 1}} {
		c := newClient(t) // a hub that has told of nothing tells at once
		c.ok("device", "create", "d1")
		done := c.receiveOne(test.how)
		status, stdout, stderr := runLine(t, c.env, "c2d", "send", "d1", "--body", "x", "--wait", "--message-id", "m1")
		<-done
		if status != test.status || !strings.HasSuffix(stdout, "  d1  "+test.want+"  m1\n") {
			t.Errorf("%s: status %d\n%s%s", test.how, status, stdout, stderr)
		}
		if status != 0 && !strings.Contains(stderr, "m1: Rejected") {
			t.Errorf("%s: %s", test.how, stderr)
		}
	}
}

// receiveOne receives and settles the next message while the test goes on.
func (c *client) receiveOne(how string) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if status, _, stderr := runLine(c.t, c.env, "c2d", "receive", "d1", "--count", "1", how); status != 0 {
			c.t.Errorf("c2d receive: status %d, %s", status, stderr)
		}
	}()
	return done
}

// What others wait for stays in the queue of feedback.
func TestC2DSend_waitLeavesOtherFeedback(t *testing.T) {
	var later atomic.Int64 // the hub's clock can be put forward: it sends feedback every 15 s
	h := testhub.Start(t, testhub.Now(func() time.Time { return time.Now().Add(time.Duration(later.Load())) }))
	c := &client{t: t, hub: h, env: map[string]string{"HUBWARD_CONNECTION_STRING": loginOf(h, "iothubowner"), "HUBWARD_CA": h.CAFile}}
	c.ok("device", "create", "d1")
	for _, id := range []string{"first", "other"} {
		c.ok("c2d", "send", "d1", "--body", "x", "--message-id", id, "--ack", "full")
		<-c.receiveOne("--complete")
		if id == "first" {
			c.ok("feedback", "--count", "1")
			later.Store(int64(20 * time.Second))
		}
	}
	done := c.receiveOne("--complete")
	later.Store(int64(40 * time.Second))
	c.ok("c2d", "send", "d1", "--body", "x", "--wait", "--message-id", "mine")
	<-done
	if out := c.ok("feedback", "--count", "1"); !strings.Contains(out, " other\n") {
		t.Errorf("feedback prints\n%s", out)
	}
}

func TestC2DPurge(t *testing.T) {
	c := newClient(t)
	c.ok("device", "create", "d1")
	for range 3 {
		c.ok("c2d", "send", "d1", "--body", "x")
	}
	if out := c.ok("device", "show", "d1"); !strings.Contains(out, "pending messages:  3\n") {
		t.Errorf("device show prints\n%s", out)
	}
	if out := c.ok("c2d", "purge", "d1"); out != "purged 3 messages to device d1\n" {
		t.Errorf("it prints %q", out)
	}
	if out := c.ok("c2d", "purge", "d1", "-o", "json"); out != `{"deviceId":"d1","totalMessagesPurged":0}`+"\n" {
		t.Errorf("it prints %q", out)
	}
	c.fails(1, "DeviceNotFound", "c2d", "purge", "none")
}

func TestC2D_wrongUsage(t *testing.T) {
	c := newClient(t)
	for _, row := range []struct{ args, want string }{
		{"send d1", "--body"},
		{"send a/b --body x", "no device id"},
		{"send d1 --body x --ack loud", "--ack"},
		{"send d1 --body x --wait --ack positive", "--ack full"},
		{"send d1 --body x --property novalue", "NAME=VALUE"},
		{"send d1 --body x --expiry soon", "--expiry"},
		{"receive d1 --count -1", "--count"},
		{"receive d1 --abandon --reject", "one of"},
		{"receive d1 --reject --protocol mqtt", "MQTT can only complete"},
		{"receive d1 --protocol coap", "mqtt-ws"},
		{"receive d1 --amqps nowhere", "--amqps"},
		{"purge", "ID is missing"},
	} {
		c.fails(2, row.want, append([]string{"c2d"}, strings.Fields(row.args)...)...)
	}
	c.fails(2, "--count", "feedback", "--count", "-1")
	c.fails(2, "mqtt-ws", "simulate", "d1", "--protocol", "coap")
	c.fails(1, "DeviceNotFound", "c2d", "send", "none", "--body", "x")
	c.fails(1, "none", "c2d", "receive", "none")
}

func TestSimulate_byEveryProtocol(t *testing.T) {
	c := newClient(t)
	c.ok("device", "create", "d1")
	for i, protocol := range protocols {
		out := c.ok(append([]string{"simulate", "d1", "--count", "20", "--interval", "0s", "-o", "json"}, c.as(protocol)...)...)
		if !strings.HasPrefix(out, `{"sent":20,"acknowledged":20,`) {
			t.Errorf("%s: it prints %s", protocol, out)
		}
		if out := c.ok("monitor", "--from", "earliest", "--count", "20", "--device", "d1"); i == 0 && strings.Count(out, "windSpeed") != 20 {
			t.Errorf("%s: monitor prints\n%s", protocol, out)
		}
	}
}

func TestHub_c2dSettings(t *testing.T) {
	c := newClient(t)
	h := fromJSON[service.Hub](t, c.ok("hub", "create", "plant", "--c2d-ttl", "2h", "--feedback-max-deliveries", "3", "-o", "json"))
	if got := h.CloudToDevice; time.Duration(got.DefaultTTL) != 2*time.Hour || got.Feedback.MaxDeliveryCount != 3 || got.MaxDeliveryCount != 10 {
		t.Errorf("create gives %+v", got)
	}
	h = fromJSON[service.Hub](t, c.ok("hub", "update", "plant", "--c2d-max-deliveries", "7", "--feedback-lock", "30s", "--feedback-ttl", "2d", "-o", "json"))
	if got := h.CloudToDevice; time.Duration(got.DefaultTTL) != 2*time.Hour || got.MaxDeliveryCount != 7 ||
		time.Duration(got.Feedback.LockDuration) != 30*time.Second || time.Duration(got.Feedback.TTL) != 48*time.Hour {
		t.Errorf("update gives %+v", got)
	}
	if out := c.ok("hub", "show", "plant"); !strings.Contains(out, "kept for 2h0m0s, delivered 7 times at most") {
		t.Errorf("show prints\n%s", out)
	}
	c.fails(1, "maxDeliveryCount", "hub", "update", "plant", "--c2d-max-deliveries", "101")
	c.fails(2, "above 0", "hub", "update", "plant", "--c2d-max-deliveries", "0")
	c.fails(2, "nothing to change", "hub", "update", "plant")
}
