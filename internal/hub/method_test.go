package hub_test

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// invoke calls a method of a device, as a back end on the first node.
func (c *crew) invoke(device string, call hubward.MethodCall) (hubward.MethodResult, error) {
	call.Name = cmp.Or(call.Name, "reboot")
	return c.nodes[0].InvokeMethod(c.t.Context(), "plant", hubward.Identity{Device: device}, call)
}

// invocation is a call that is under way.
type invocation struct {
	t      *testing.T
	done   chan struct{}
	result hubward.MethodResult
	err    error
	took   time.Duration
	cancel func()
}

func (c *crew) begin(device string, call hubward.MethodCall) *invocation {
	return c.beginAs(hubward.Identity{Device: device}, call)
}

func (c *crew) beginAs(id hubward.Identity, call hubward.MethodCall) *invocation {
	call.Name = cmp.Or(call.Name, "reboot")
	ctx, cancel := context.WithCancel(c.t.Context())
	i := &invocation{t: c.t, done: make(chan struct{}), cancel: cancel}
	begin := time.Now()
	go func() {
		defer close(i.done)
		i.result, i.err = c.nodes[0].InvokeMethod(ctx, "plant", id, call)
		i.took = time.Since(begin)
	}()
	synctest.Wait()
	return i
}

func (i *invocation) wantPending() {
	i.t.Helper()
	synctest.Wait()
	select {
	case <-i.done:
		i.t.Errorf("the call has ended: %+v, %v", i.result, i.err)
	default:
	}
}

func (i *invocation) wantError(what string, want hubward.Code, took time.Duration) {
	i.t.Helper()
	<-i.done
	wantCode(i.t, what, i.err, want)
	if i.took != took {
		i.t.Errorf("%s took %v, want %v", what, i.took, took)
	}
}

func (i *invocation) wantResult(status int, payload string) {
	i.t.Helper()
	<-i.done
	if i.err != nil || i.result.Status != status || string(i.result.Payload) != payload {
		i.t.Errorf("got %d %s, %v, want %d %s", i.result.Status, i.result.Payload, i.err, status, payload)
	}
}

// callee is a connected device that takes methods.
type callee struct {
	connection
	mu    sync.Mutex
	calls []hub.MethodCall
}

// takes connects a device that takes methods and answers none.
func (c *crew) takes(node int, d *hubward.Device) *callee {
	c.t.Helper()
	e := &callee{connection: c.connect(node, d)}
	e.session.deliver = func(d hub.Delivery) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.calls = append(e.calls, *d.(*hub.MethodCall))
	}
	e.TakeMethods(true)
	return e
}

// got returns what has come, once nothing more does.
func (e *callee) got() []hub.MethodCall {
	synctest.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	calls := e.calls
	e.calls = nil
	return calls
}

func (e *callee) one(t *testing.T) hub.MethodCall {
	t.Helper()
	calls := e.got()
	if len(calls) != 1 {
		t.Fatalf("%d calls came, want one", len(calls))
	}
	return calls[0]
}

// A back end reaches a device whichever node each of them is on: name and payload come as they are, and so does the answer.
func TestInvokeMethod(t *testing.T) {
	onOneAndTwo(t, func(t *testing.T, c *crew) {
		e := c.takes(c.other(), c.device("d1"))
		for name, call := range map[string]struct {
			payload, comes string
			answer         string
			status         int
			back           string
		}{
			"object":  {`{"in":5.0,"<":"ü"}`, `{"in":5.0,"<":"ü"}`, `{"a":1.00,"<":"&"}`, 200, `{"a":1.00,"<":"&"}`},
			"nothing": {"", "null", "", 0, "null"},
			"null":    {"null", "null", "null", -1, "null"},
			"texts":   {`""`, `""`, `"foo"`, math.MaxInt32, `"foo"`},
			"numbers": {"12345678901234567890", "12345678901234567890", "1e21", math.MinInt32, "1e21"},
			"arrays":  {"[]", "[]", "[1,[2]]", 404, "[1,[2]]"},
		} {
			i := c.begin("d1", hubward.MethodCall{Name: "component*" + name, Payload: []byte(call.payload)})
			got := e.one(t)
			if got.Name != "component*"+name || string(got.Payload) != call.comes {
				t.Errorf("%s: %s %s came, want %s", name, got.Name, got.Payload, call.comes)
			}
			e.RespondMethod(got.ID, call.status, []byte(call.answer))
			i.wantResult(call.status, call.back)
		}
	})
}

func TestInvokeMethod_badCalls(t *testing.T) {
	onOneAndTwo(t, func(t *testing.T, c *crew) {
		e := c.takes(c.other(), c.device("d1"))
		e.session.deliver = func(d hub.Delivery) { e.RespondMethod(d.(*hub.MethodCall).ID, 200, nil) }
		text := func(n int) []byte { return []byte(`"` + strings.Repeat("x", n-2) + `"`) }
		deep := func(n int) []byte { return []byte(strings.Repeat("[", n) + strings.Repeat("]", n)) }
		good := hubward.Code(0)
		for name, test := range map[string]struct {
			call hubward.MethodCall
			want hubward.Code
		}{
			"no name":                 {hubward.MethodCall{Name: " "}, good}, // a blank is one
			"name of 100 characters":  {hubward.MethodCall{Name: strings.Repeat("ü", 100)}, good},
			"name of 101 characters":  {hubward.MethodCall{Name: strings.Repeat("x", 101)}, hubward.CodeArgumentInvalid},
			"name not UTF-8":          {hubward.MethodCall{Name: "a\xff"}, hubward.CodeArgumentInvalid},
			"name with a slash":       {hubward.MethodCall{Name: "a/b"}, hubward.CodeArgumentInvalid},
			"name with a mark":        {hubward.MethodCall{Name: "a?b"}, hubward.CodeArgumentInvalid},
			"name with a number sign": {hubward.MethodCall{Name: "a#"}, hubward.CodeArgumentInvalid},
			"name with a plus":        {hubward.MethodCall{Name: "+"}, hubward.CodeArgumentInvalid},
			"name with a line":        {hubward.MethodCall{Name: "a\nb"}, hubward.CodeArgumentInvalid},
			"name with a C1":          {hubward.MethodCall{Name: "a\u0085b"}, hubward.CodeArgumentInvalid},
			"response below":          {hubward.MethodCall{ResponseTimeout: 4 * time.Second}, hubward.CodeArgumentInvalid},
			"response least":          {hubward.MethodCall{ResponseTimeout: 5 * time.Second}, good},
			"response most":           {hubward.MethodCall{ResponseTimeout: 300 * time.Second}, good},
			"response above":          {hubward.MethodCall{ResponseTimeout: 301 * time.Second}, hubward.CodeArgumentInvalid},
			"response in parts":       {hubward.MethodCall{ResponseTimeout: 5500 * time.Millisecond}, hubward.CodeArgumentInvalid},
			"connect below":           {hubward.MethodCall{ConnectTimeout: -time.Second}, hubward.CodeArgumentInvalid},
			"connect most":            {hubward.MethodCall{ResponseTimeout: 300 * time.Second, ConnectTimeout: 300 * time.Second}, good},
			"connect above":           {hubward.MethodCall{ResponseTimeout: 300 * time.Second, ConnectTimeout: 301 * time.Second}, hubward.CodeArgumentInvalid},
			"connect as the default":  {hubward.MethodCall{ConnectTimeout: 30 * time.Second}, good},
			"connect above response":  {hubward.MethodCall{ConnectTimeout: 31 * time.Second}, hubward.CodeArgumentInvalid},
			"payload most":            {hubward.MethodCall{Payload: text(hubward.MaxMethodPayload)}, good},
			"payload above":           {hubward.MethodCall{Payload: text(hubward.MaxMethodPayload + 1)}, hubward.CodeMessageTooLarge},
			"payload of depth 200":    {hubward.MethodCall{Payload: deep(200)}, good},
			"payload of depth 201":    {hubward.MethodCall{Payload: deep(201)}, hubward.CodeFormatError},
			"payload no JSON":         {hubward.MethodCall{Payload: []byte("{")}, hubward.CodeFormatError},
			"payload NaN":             {hubward.MethodCall{Payload: []byte("NaN")}, hubward.CodeFormatError},
		} {
			_, err := c.invoke("d1", test.call)
			if test.want == good && err != nil {
				t.Errorf("%s: %v", name, err)
			} else if test.want != good {
				wantCode(t, name, err, test.want)
			}
		}
		_, err := c.nodes[0].InvokeMethod(t.Context(), "plant", hubward.Identity{Device: "d1"}, hubward.MethodCall{})
		wantCode(t, "no name", err, hubward.CodeArgumentInvalid)
	})
}

// Errors write numbers as their reader would.
func TestInvokeMethod_textOfTimeouts(t *testing.T) {
	inCrew(t, 1, func(t *testing.T, c *crew) {
		c.device("d1")
		for want, call := range map[string]hubward.MethodCall{
			"responseTimeoutInSeconds: it is not within 5 to 300":                            {ResponseTimeout: 1e6 * time.Second},
			"connectTimeoutInSeconds: it is not within 0 to 300":                             {ConnectTimeout: -1e6 * time.Second},
			"connectTimeoutInSeconds: 0.000000001 is no whole number":                        {ConnectTimeout: 1},
			"connectTimeoutInSeconds: 31 is more than responseTimeoutInSeconds, which is 30": {ConnectTimeout: 31 * time.Second},
		} {
			if _, err := c.invoke("d1", call); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %s", err, want)
			}
		}
	})
}

// What cannot be reached is said at once, whoever it is.
func TestInvokeMethod_whoIsNotThere(t *testing.T) {
	onOneAndTwo(t, func(t *testing.T, c *crew) {
		d := c.device("d1")
		off, err := c.nodes[0].PutDevice(t.Context(), "plant", hubward.Device{DeviceID: "off", Status: hubward.StatusDisabled}, "")
		if err != nil {
			t.Fatal(err)
		}
		want := func(what string, id hubward.Identity, want hubward.Code) {
			t.Helper()
			c.beginAs(id, hubward.MethodCall{ConnectTimeout: 0}).wantError(what, want, 0)
		}
		want("unknown device", hubward.Identity{Device: "d2"}, hubward.CodeDeviceNotFound)
		want("impossible device", hubward.Identity{Device: "d 2"}, hubward.CodeDeviceNotFound)
		want("disabled device", hubward.Identity{Device: off.DeviceID}, hubward.CodeDeviceNotFound)
		want("module of an unknown device", hubward.Identity{Device: "d2", Module: "m"}, hubward.CodeDeviceNotFound)
		want("unknown module", hubward.Identity{Device: "d1", Module: "m"}, hubward.CodeModuleNotFound)
		want("not connected", hubward.Identity{Device: "d1"}, hubward.CodeDeviceNotOnline)
		conn := c.connect(c.other(), d)
		conn.session.deliver = func(hub.Delivery) { t.Error("it takes no methods") }
		want("takes no methods", hubward.Identity{Device: "d1"}, hubward.CodeDeviceNotOnline)
		conn.TakeMethods(true)
		conn.TakeMethods(false)
		want("takes no methods any more", hubward.Identity{Device: "d1"}, hubward.CodeDeviceNotOnline)
		// Only a call that would be made has to wait.
		c.begin("off", hubward.MethodCall{ConnectTimeout: 5 * time.Second}).wantError("disabled device", hubward.CodeDeviceNotFound, 0)

		conn.TakeMethods(true)
		d.Status = hubward.StatusDisabled
		if _, err := c.nodes[0].PutDevice(t.Context(), "plant", *d, "*"); err != nil {
			t.Fatal(err)
		}
		want("disabled a moment ago", hubward.Identity{Device: "d1"}, hubward.CodeDeviceNotFound)
	})
}

// A module is called as a device is, and neither gets what is the other's.
func TestInvokeMethod_module(t *testing.T) {
	onOneAndTwo(t, func(t *testing.T, c *crew) {
		c.device("d1")
		id := hubward.Identity{Device: "d1", Module: "m1"}
		c.module(id)
		p, err := c.nodes[0].as(t.Context(), "plant", id)
		if err != nil {
			t.Fatal(err)
		}
		s := &session{}
		link, err := c.nodes[c.other()].Connect(t.Context(), p, hub.ConnectRequest{Identity: id, Session: s})
		if err != nil {
			t.Fatal(err)
		}
		s.deliver = func(d hub.Delivery) { link.RespondMethod(d.(*hub.MethodCall).ID, 201, nil) }
		link.TakeMethods(true)
		c.beginAs(id, hubward.MethodCall{}).wantResult(201, "null")
		c.begin("d1", hubward.MethodCall{}).wantError("the device", hubward.CodeDeviceNotOnline, 0)
	})
}

func TestInvokeMethod_noAnswer(t *testing.T) {
	onOneAndTwo(t, func(t *testing.T, c *crew) {
		e := c.takes(c.other(), c.device("d1"))
		c.begin("d1", hubward.MethodCall{}).wantError("by default", hubward.CodeGatewayTimeout, 30*time.Second)
		late := e.one(t)
		i := c.begin("d1", hubward.MethodCall{ResponseTimeout: 7 * time.Second})
		e.RespondMethod(late.ID, 200, []byte(`"late"`))
		i.wantError("an answer to the call before", hubward.CodeGatewayTimeout, 7*time.Second)
	})
}

// Answers that nobody waits for are dropped, and reach no other call.
func TestRespondMethod_dropped(t *testing.T) {
	onOneAndTwo(t, func(t *testing.T, c *crew) {
		d := c.device("d1")
		foreign := c.takes(0, c.device("d2"))
		e := c.takes(c.other(), d)
		first := c.begin("d1", hubward.MethodCall{})
		call := e.one(t)
		second := c.begin("d1", hubward.MethodCall{})
		other := e.one(t)
		foreign.RespondMethod(call.ID, 500, nil)
		e.RespondMethod(call.ID+1000, 500, nil)
		e.RespondMethod(0, 500, nil)
		first.wantPending()
		e.RespondMethod(call.ID, 200, []byte(`"first"`))
		e.RespondMethod(call.ID, 500, []byte(`"twice"`))
		first.wantResult(200, `"first"`)
		second.wantPending()
		again := c.takes(0, d) // takes over
		second.wantError("a call to the connection before", hubward.CodeDeviceConnectionClosed, 0)
		third := c.begin("d1", hubward.MethodCall{})
		for _, id := range []uint64{call.ID, other.ID} {
			e.RespondMethod(id, 500, nil)
			again.RespondMethod(id, 500, nil)
		}
		third.wantPending()
		again.RespondMethod(again.one(t).ID, 200, nil)
		third.wantResult(200, "null")
	})
}

func TestInvokeMethod_badAnswers(t *testing.T) {
	onOneAndTwo(t, func(t *testing.T, c *crew) {
		e := c.takes(c.other(), c.device("d1"))
		text := func(n int) string { return `"` + strings.Repeat("x", n-2) + `"` }
		try := func(status int, answer string) *invocation {
			i := c.begin("d1", hubward.MethodCall{})
			e.RespondMethod(e.one(t).ID, status, []byte(answer))
			return i
		}
		try(200, text(hubward.MaxMethodPayload)).wantResult(200, text(hubward.MaxMethodPayload))
		for name, i := range map[string]*invocation{
			"too long":       try(200, text(hubward.MaxMethodPayload+1)),
			"no JSON":        try(200, "ok"),
			"two values":     try(200, "1 2"),
			"half an object": try(200, `{"a":1`),
			"too deep":       try(200, strings.Repeat("[", 201)+strings.Repeat("]", 201)),
			"status above":   try(math.MaxInt32+1, "1"),
			"status below":   try(math.MinInt32-1, "1"),
		} {
			i.wantError(name, hubward.CodeBadDeviceResponse, 0)
			if name == "too long" && !strings.Contains(i.err.Error(), "more than 131072 bytes") {
				t.Errorf("%s: %v", name, i.err)
			}
		}
	})
}

// The answers of a thousand calls at once come in any order, each to its own.
func TestInvokeMethod_thousand(t *testing.T) {
	onOneAndTwo(t, func(t *testing.T, c *crew) {
		e := c.takes(c.other(), c.device("d1"))
		const n = 1000
		var all []*invocation
		for k := range n {
			ctx, cancel := context.WithCancel(t.Context())
			i := &invocation{t: t, done: make(chan struct{}), cancel: cancel}
			go func() {
				defer close(i.done)
				i.result, i.err = c.nodes[0].InvokeMethod(ctx, "plant", hubward.Identity{Device: "d1"}, hubward.MethodCall{Name: "echo", Payload: fmt.Append(nil, k)})
			}()
			all = append(all, i)
		}
		calls := e.got()
		c.begin("d1", hubward.MethodCall{}).wantError("one more", hubward.CodeThrottled, 0)
		seen := make(map[uint64]bool)
		rand.New(rand.NewPCG(1, 2)).Shuffle(len(calls), func(i, j int) { calls[i], calls[j] = calls[j], calls[i] })
		for _, call := range calls {
			seen[call.ID] = true
			e.RespondMethod(call.ID, 200, call.Payload)
		}
		if len(seen) != n {
			t.Errorf("%d ids of %d calls", len(seen), n)
		}
		for k, i := range all {
			i.wantResult(200, fmt.Sprint(k))
		}
	})
}

// The payloads of the calls under way are bounded too.
func TestInvokeMethod_bytes(t *testing.T) {
	onOneAndTwo(t, func(t *testing.T, c *crew) {
		e := c.takes(c.other(), c.device("d1"))
		large := []byte(`"` + strings.Repeat("x", hubward.MaxMethodPayload-2) + `"`)
		var all []*invocation
		for range 4 << 20 / hubward.MaxMethodPayload {
			all = append(all, c.begin("d1", hubward.MethodCall{Payload: large}))
		}
		c.begin("d1", hubward.MethodCall{Payload: []byte("1")}).wantError("one byte more", hubward.CodeThrottled, 0)
		calls := e.got()
		e.RespondMethod(calls[0].ID, 200, nil)
		all[0].wantResult(200, "null")
		last := c.begin("d1", hubward.MethodCall{Payload: large})
		last.wantPending()
		e.Disconnect()
		last.wantError("the end", hubward.CodeDeviceConnectionClosed, 0)
	})
}

func TestInvokeMethod_isCounted(t *testing.T) {
	f := newFixture(t)
	link, s, err := f.connect(f.createDevice("d1"))
	if err != nil {
		t.Fatal(err)
	}
	s.deliver = func(d hub.Delivery) { link.RespondMethod(d.(*hub.MethodCall).ID, 200, []byte("true")) }
	link.TakeMethods(true)
	if _, err := f.InvokeMethod(t.Context(), "plant", hubward.Identity{Device: "d1"}, hubward.MethodCall{Name: "m", Payload: []byte("12")}); err != nil {
		t.Fatal(err)
	}
	_, err = f.InvokeMethod(t.Context(), "plant", hubward.Identity{Device: "d2"}, hubward.MethodCall{Name: "m"})
	wantCode(t, "another device", err, hubward.CodeDeviceNotFound)
	if diff := gocmp.Diff([]calledMethod{{"plant", true, 2, 4}, {"plant", false, 0, 0}}, f.seen.methods); diff != "" {
		t.Error(diff)
	}
}
