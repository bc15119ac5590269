package mqttfront_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/front/mqttfront"
	"github.com/hubward/hubward/internal/mqttwire"
)

const methodFilter = "$iothub/methods/POST/#"

// outcome is what a back end gets for its call.
type outcome struct {
	hubward.MethodResult
	err error
}

// invoke calls a method with a payload, and returns where its outcome comes.
func (f *fixture) invoke(id hubward.Identity, call hubward.MethodCall) <-chan outcome {
	f.t.Helper()
	got := make(chan outcome, 1)
	go func() {
		result, err := f.hub.InvokeMethod(f.t.Context(), f.plant, id, call)
		got <- outcome{result, err}
	}()
	return got
}

// wantStatus checks an outcome.
func (f *fixture) wantStatus(got <-chan outcome, status int, payload string) {
	f.t.Helper()
	if o := <-got; o.err != nil || o.Status != status || string(o.Payload) != payload {
		f.t.Errorf("the caller gets %d %s, %v; want %d %s", o.Status, o.Payload, o.err, status, payload)
	}
}

func (f *fixture) wantCode(got <-chan outcome, want hubward.Code) {
	f.t.Helper()
	if o := <-got; hubward.CodeOf(o.err) != want {
		f.t.Errorf("the caller gets %d %s, %v; want %v", o.Status, o.Payload, o.err, want)
	}
}

// publishOf reads a PUBLISH of any size below a topic, and returns the rest of its topic.
func (c *client) publishOf(topic string) (rest string, p mqttwire.PublishPacket) {
	c.t.Helper()
	p, err := readPublish(c.in)
	if err != nil {
		c.t.Fatal(err)
	}
	rest, ok := strings.CutPrefix(string(p.Topic), topic)
	if !ok {
		c.t.Fatalf("got a PUBLISH to %s, want %s", p.Topic, topic)
	}
	if p.QoS != 0 || p.Dup || p.Retain {
		c.t.Errorf("%s came with QoS %d, DUP %v, RETAIN %v", p.Topic, p.QoS, p.Dup, p.Retain)
	}
	return rest, p
}

// call reads a call of a method, and returns its $rid.
func (c *client) call(name, payload string) (rid string) {
	c.t.Helper()
	rid, p := c.publishOf("$iothub/methods/POST/" + name + "/?$rid=")
	if string(p.Payload) != payload {
		c.t.Errorf("%s was called with %q, want %q", name, p.Payload, payload)
	}
	if rid == "" || strings.Trim(rid, "0123456789abcdef") != "" {
		c.t.Errorf("$rid %q", rid)
	}
	return rid
}

// respond answers a call.
func (c *client) respond(qos byte, status, rid, payload string) {
	c.t.Helper()
	c.publish(qos, uint16(qos)*88, "$iothub/methods/res/"+status+"/?$rid="+rid, payload)
	if qos > 0 {
		c.expectPuback(88)
	}
}

func TestMethod_roundTrip(t *testing.T) {
	f := newFixture(t)
	d := f.createDevice("d1")
	f.createModule(m1, keys())
	logins := map[hubward.Identity]*mqttwire.ConnectPacket{d1: login(t, d), m1: loginAs(m1, tokenOf(t, m1, keys()))}
	for id, p := range logins {
		c := f.connected(p)
		c.subscribe(1, methodFilter)
		for _, r := range []struct{ sent, toDevice, answer, toCaller string }{
			{`{"after":5}`, `{"after":5}`, `{"ok":true}`, `{"ok":true}`},
			{``, `null`, ``, `null`}, // Node answers an empty body by itself
			{`null`, `null`, `null`, `null`},
			{`""`, `""`, `"text"`, `"text"`},
			{`[1,2.50]`, `[1,2.50]`, `17`, `17`},
		} {
			for qos := range byte(2) {
				got := f.invoke(id, hubward.MethodCall{Name: "reboot", Payload: json.RawMessage(r.sent)})
				c.respond(qos, "200", c.call("reboot", r.toDevice), r.answer)
				f.wantStatus(got, 200, r.toCaller)
			}
		}
	}
}

func TestMethod_namesStandRaw(t *testing.T) {
	f := newFixture(t)
	c := f.connected(login(t, f.createDevice("d1")))
	c.subscribe(0, methodFilter)
	for _, name := range []string{"a", "thermostat1*getMaxMinReport", "with space", "50%", "%20", "größe", "a&b=c", strings.Repeat("n", 100)} {
		got := f.invoke(d1, hubward.MethodCall{Name: name})
		c.respond(0, "200", c.call(name, "null"), "")
		f.wantStatus(got, 200, "null")
	}
}

func TestMethod_largestPayload(t *testing.T) {
	f := newFixture(t)
	c := f.connected(login(t, f.createDevice("d1")))
	c.subscribe(0, methodFilter)
	largest := `"` + strings.Repeat("x", hubward.MaxMethodPayload-2) + `"`
	got := f.invoke(d1, hubward.MethodCall{Name: "echo", Payload: json.RawMessage(largest)})
	c.respond(1, "200", c.call("echo", largest), largest)
	f.wantStatus(got, 200, largest)
	for name, payload := range map[string]string{"too long": largest + " ", "no JSON": "{", "text": "ok"} {
		f.run(name, func(*testing.T) {
			got := f.invoke(d1, hubward.MethodCall{Name: "echo"})
			c.respond(1, "200", c.call("echo", "null"), payload)
			f.wantCode(got, hubward.CodeBadDeviceResponse)
		})
	}
}

// The status is whatever the application gave to its SDK.
func TestMethod_statusesOfAllClients(t *testing.T) {
	f := newFixture(t)
	c := f.connected(login(t, f.createDevice("d1")))
	c.subscribe(0, methodFilter)
	for status, want := range map[string]int{
		"200": 200, "0": 0, "-1": -1, "": 0, "null": 0, "200.5": 200, "-0.5": 0, "1e3": 1000, "undefined": 0, "None": 0, "a b/c": 0, "NaN": 0, "0x10": 0,
		"2147483647": 2147483647, "-2147483648": -2147483648,
	} {
		f.run("status "+status, func(t *testing.T) {
			got := f.invoke(d1, hubward.MethodCall{Name: "reboot"})
			c.respond(1, status, c.call("reboot", "null"), "{}")
			f.wantStatus(got, want, "{}")
		})
	}
	for _, status := range []string{"2147483648", "-2147483649", "1e300"} {
		got := f.invoke(d1, hubward.MethodCall{Name: "reboot"})
		c.respond(1, status, c.call("reboot", "null"), "{}")
		f.wantCode(got, hubward.CodeBadDeviceResponse)
	}
}

// The Python SDK sends each answer twice. Whatever else names no call that waits is acknowledged and dropped, too.
func TestMethod_answersToNothing(t *testing.T) {
	f := newFixture(t)
	c := f.connected(login(t, f.createDevice("d1")))
	for i, topic := range []string{
		"$iothub/methods/res", "$iothub/methods/res/", "$iothub/methods/res/200", "$iothub/methods/res/200/", "$iothub/methods/res/200/?$rid=",
		"$iothub/methods/res/200/?$rid=1", "$iothub/methods/res/200/?$rid=g", "$iothub/methods/res/200/?$rid=-1", "$iothub/methods/res/200/?rid=1",
		"$iothub/methods/res/200/?$rid=fffffffffffffffffffff", "$iothub/methods/res/?$rid=1", "$iothub/methods/res//////?$rid=1",
	} {
		c.publish(1, uint16(i+1), topic, "{}")
		c.expectPuback(uint16(i + 1))
	}
	c.subscribe(1, methodFilter)
	got := f.invoke(d1, hubward.MethodCall{Name: "reboot"})
	rid := c.call("reboot", "null")
	c.respond(1, "200", rid, `"first"`)
	c.respond(1, "201", rid, `"second"`)
	f.wantStatus(got, 200, `"first"`)
	next := f.invoke(d1, hubward.MethodCall{Name: "reboot"})
	nextRID := c.call("reboot", "null")
	c.respond(1, "202", rid, `"third"`)
	c.respond(1, "200", strings.ToUpper(nextRID), `"its own"`)
	f.wantStatus(next, 200, `"its own"`)
	c.ping()
}

func TestMethod_concurrentCallsInAnyOrder(t *testing.T) {
	f := newFixture(t)
	c := f.connected(login(t, f.createDevice("d1")))
	c.subscribe(0, methodFilter)
	const n = 200
	outcomes := make([]<-chan outcome, n)
	for i := range n {
		outcomes[i] = f.invoke(d1, hubward.MethodCall{Name: "echo", Payload: json.RawMessage(fmt.Sprint(i))})
	}
	rids := map[string]string{}
	for range n {
		rid, p := c.publishOf("$iothub/methods/POST/echo/?$rid=")
		rids[rid] = string(p.Payload)
	}
	if len(rids) != n {
		t.Fatalf("%d ids for %d calls", len(rids), n)
	}
	for rid, payload := range rids { // in the order of a map
		c.respond(byte(rand.IntN(2)), "200", rid, payload)
	}
	for i, got := range outcomes {
		f.wantStatus(got, 200, fmt.Sprint(i))
	}
}

func TestMethod_onlyWithASubscription(t *testing.T) {
	f := newFixture(t)
	c := f.connected(login(t, f.createDevice("d1")))
	call := hubward.MethodCall{Name: "reboot"}
	f.wantCode(f.invoke(d1, call), hubward.CodeDeviceNotOnline)
	for _, filter := range []string{"#", "$iothub/methods/res/#", "$iothub/methods/POST/", "$iothub/methods/POST/reboot", "$iothub/methods/+", "$iothub/twin/#"} {
		c.subscribe(1, filter)
		f.wantCode(f.invoke(d1, call), hubward.CodeDeviceNotOnline)
	}
	for _, filter := range []string{
		methodFilter, "$iothub/methods/#", "$iothub/#", "$iothub/methods/POST/+/#", "$iothub/methods/POST/+/+", "$iothub/+/POST/#", "$iothub/methods/POST/reboot/#",
	} {
		c.subscribe(1, filter)
		got := f.invoke(d1, call)
		c.respond(1, "200", c.call("reboot", "null"), "")
		f.wantStatus(got, 200, "null")
		c.unsubscribe(filter)
		f.wantCode(f.invoke(d1, call), hubward.CodeDeviceNotOnline)
	}
}

func TestCoversMethod(t *testing.T) {
	for filter, want := range map[string]bool{
		methodFilter: true, "$iothub/methods/POST/a/#": true, "$iothub/methods/POST/a/+": true, "$iothub/+/+/+/+": true, "$iothub/methods/POST/+/+": true,
		"$iothub/methods/POST/a": false, "$iothub/methods/POST/+": false, "$iothub/methods/POST": false, "$iothub/methods/POST/a/?$rid=1": false,
		"$iothub/methods/POST/a/+/#": true, "$iothub/methods/POST/a/+/b": false, "#": false, "+/methods/POST/#": false, "": false,
	} {
		if got := mqttfront.CoversMethod(filter); got != want {
			t.Errorf("%s: %t", filter, got)
		}
	}
}

// Who subscribed to one method gets no other: its caller waits in vain, as for one that the device does not know.
func TestMethod_anotherThanSubscribed(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFixture(t)
		c := f.connected(login(t, f.createDevice("d1")))
		c.subscribe(1, "$iothub/methods/POST/reboot/#")
		got := f.invoke(d1, hubward.MethodCall{Name: "update", ResponseTimeout: 5 * time.Second})
		c.quiet()
		f.wantCode(got, hubward.CodeGatewayTimeout)
	})
}

// An answer that comes too late is nobody's, and not that of the next call.
func TestMethod_lateAnswer(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFixture(t)
		c := f.connected(login(t, f.createDevice("d1")))
		c.subscribe(1, methodFilter)
		got := f.invoke(d1, hubward.MethodCall{Name: "reboot", ResponseTimeout: 5 * time.Second})
		late := c.call("reboot", "null")
		f.wantCode(got, hubward.CodeGatewayTimeout)
		got = f.invoke(d1, hubward.MethodCall{Name: "reboot"})
		rid := c.call("reboot", "null")
		c.respond(1, "200", late, `"late"`)
		c.respond(1, "200", rid, `"in time"`)
		f.wantStatus(got, 200, `"in time"`)
	})
}

// A device that leaves its calls unread costs bounded memory, whatever its callers do; and one that reads on gets the next ones.
func TestMethod_clientThatDoesNotRead(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := newFixture(t)
		p := login(t, f.createDevice("d1"))
		c := f.connected(p)
		c.subscribe(1, methodFilter)
		large := json.RawMessage(`"` + strings.Repeat("x", 100_000) + `"`)
		const n = 4
		sent := 0
		for range n { // within the 30 s that a client has to read
			var outcomes []<-chan outcome
			for range 40 {
				outcomes = append(outcomes, f.invoke(d1, hubward.MethodCall{Name: "a", Payload: large, ResponseTimeout: 5 * time.Second}))
			}
			sent += len(outcomes)
			for _, got := range outcomes {
				f.wantCode(got, hubward.CodeGatewayTimeout)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		read := make(chan int)
		go func() {
			bytes := 0
			for ctx.Err() == nil {
				p, err := readPublish(c.in)
				if err != nil || string(p.Topic[:23]) == "$iothub/methods/POST/b/" {
					break
				}
				bytes += len(p.Payload)
			}
			read <- bytes
		}()
		synctest.Wait()
		f.invoke(d1, hubward.MethodCall{Name: "b", ResponseTimeout: 5 * time.Second})
		bytes := <-read
		cancel()
		if bytes < 8_000_000 || bytes > 13_000_000 {
			t.Errorf("%d bytes of %d calls were kept", bytes, sent)
		}
	})
}
