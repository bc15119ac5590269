package restfront_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/front/httpserver"
	"github.com/hubward/hubward/internal/front/restfront"
	"github.com/hubward/hubward/internal/hub"
)

// callee is a connected identity whose methods a test answers.
type callee struct {
	*hub.Link
	answer func(*hub.MethodCall)
}

func (e *callee) Deliver(d hub.Delivery) { e.answer(d.(*hub.MethodCall)) }
func (e *callee) Close(error)            {}

// takes connects an identity that takes methods.
func (f *fixture) takes(id hubward.Identity, answer func(*callee, *hub.MethodCall)) *callee {
	f.t.Helper()
	e := &callee{}
	e.answer = func(m *hub.MethodCall) { answer(e, m) }
	var err error
	if e.Link, err = f.hub.Connect(f.t.Context(), f.process, hub.ConnectRequest{Identity: id, Session: e}); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(e.Disconnect)
	e.TakeMethods(true)
	return e
}

func invoke(body string) ask {
	return ask{method: "POST", path: "/twins/d1/methods" + version, body: body}
}

// wantNested checks an answer in the second form of errors, in every place that tells its code.
func (r response) wantNested(t testing.TB, code hubward.Code, text string) {
	t.Helper()
	if r.StatusCode != code.HTTPStatus() || r.Header.Get("iothub-errorcode") != code.String() {
		t.Fatalf("got %d %s, want %d %s; body %s", r.StatusCode, r.Header.Get("iothub-errorcode"), code.HTTPStatus(), code, r.body)
	}
	if got := r.Header.Get("Content-Type"); got != "application/json; charset=utf-8" {
		t.Errorf("Content-Type is %q", got)
	}
	outer := decode[map[string]string](t, r)
	var inner map[string]any
	if err := json.Unmarshal([]byte(outer["Message"]), &inner); err != nil {
		t.Fatalf("body %s: %v", r.body, err)
	}
	message, _ := inner["message"].(string)
	if empty, there := outer["ExceptionMessage"]; !there || empty != "" || len(outer) != 2 || len(inner) != 4 ||
		inner["errorCode"] != float64(code) || !strings.Contains(message, text) || strings.Contains(message, ";") {
		t.Errorf("body %s", r.body)
	}
	for member, want := range map[string]string{"trackingId": "-G:0-TimeStamp:01/31/2026 00:49:39", "timestampUtc": "2026-01-31T00:49:39.0000000Z"} {
		if got, _ := inner[member].(string); !strings.HasSuffix(got, want) {
			t.Errorf("%s is %v", member, inner[member])
		}
	}
}

// A call goes to the device as it was written, and so does the answer come back.
func TestInvokeMethod(t *testing.T) {
	f := newFixture(t)
	f.create("d1")
	var got hub.MethodCall
	var status int
	var answer string
	f.takes(hubward.Identity{Device: "d1"}, func(e *callee, m *hub.MethodCall) {
		got = *m
		e.RespondMethod(m.ID, status, []byte(answer))
	})
	for name, test := range map[string]struct {
		body, payload   string
		status          int
		answer, answer2 string // as the device gives it, as the caller gets it
	}{
		"whole":           {`{"methodName":"m","payload":{"<a>":1.0},"responseTimeoutInSeconds":30,"connectTimeoutInSeconds":0}`, `{"<a>":1.0}`, 200, `{"b":1e2,"<":">"}`, `{"b":1e2,"<":">"}`},
		"no payload":      {`{"methodName":"m"}`, "null", 200, "", "null"},
		"null":            {`{"methodName":"m","payload":null,"responseTimeoutInSeconds":null,"connectTimeoutInSeconds":null}`, "null", -7, "null", "null"},
		"text":            {`{"METHODNAME":"m","Payload":""}`, `""`, 2147483647, `"\"x\""`, `"\"x\""`},
		"floating":        {`{"methodName":"m","payload":[12345678901234567890],"responseTimeoutInSeconds":3e1,"connectTimeoutInSeconds":5.0}`, "[12345678901234567890]", 0, "1.10", "1.10"},
		"of the C SDK":    {`{"methodName":"m","timeout":60,"payload":true}`, "true", 500, "false", "false"},
		"twice a name":    {`{"methodName":"m","payload":{"a":1,"b":3,"a":2}}`, `{"b":3,"a":2}`, 200, `{"a":1,"a":2}`, `{"a":2}`},
		"members unknown": {`{"methodName":"m","payload":{},"digest":{"a":[]}}`, "{}", 200, "{}", "{}"},
	} {
		status, answer = test.status, test.answer
		r := f.do(invoke(test.body)).wantStatus(t, 200)
		want := `{"status":` + json.Number(jsonInt(test.status)).String() + `,"payload":` + test.answer2 + "}"
		if r.body != want || got.Name != "m" || string(got.Payload) != test.payload {
			t.Errorf("%s: the device got %s %s, and we %s, want %s, %s", name, got.Name, got.Payload, r.body, test.payload, want)
		}
		if r.Header.Get("Content-Type") != "application/json; charset=utf-8" {
			t.Errorf("%s: Content-Type %q", name, r.Header.Get("Content-Type"))
		}
	}
}

func jsonInt(n int) string {
	b, _ := json.Marshal(n)
	return string(b)
}

func TestInvokeMethod_badRequests(t *testing.T) {
	f := newFixture(t)
	f.create("d1")
	e := f.takes(hubward.Identity{Device: "d1"}, func(e *callee, m *hub.MethodCall) { e.RespondMethod(m.ID, 200, nil) })
	for _, test := range []struct {
		body string
		code hubward.Code
		text string
	}{
		{"", hubward.CodeArgumentNull, "no body"},
		{"{", hubward.CodeFormatError, "no JSON"},
		{"[]", hubward.CodeArgumentInvalid, "the body"},
		{`{"payload":1}`, hubward.CodeArgumentInvalid, "methodName"},
		{`{"methodName":5}`, hubward.CodeArgumentInvalid, "methodName"},
		{`{"methodName":"a/b"}`, hubward.CodeArgumentInvalid, "methodName"},
		{`{"methodName":"a;b","responseTimeoutInSeconds":4}`, hubward.CodeArgumentInvalid, "responseTimeoutInSeconds: it is not within 5 to 300"},
		{`{"methodName":"m","responseTimeoutInSeconds":301}`, hubward.CodeArgumentInvalid, "responseTimeoutInSeconds"},
		{`{"methodName":"m","responseTimeoutInSeconds":-5}`, hubward.CodeArgumentInvalid, "responseTimeoutInSeconds"},
		{`{"methodName":"m","responseTimeoutInSeconds":1e400}`, hubward.CodeArgumentInvalid, "responseTimeoutInSeconds: it is not within 5 to 300"},
		{`{"methodName":"m","responseTimeoutInSeconds":5.5}`, hubward.CodeArgumentInvalid, "responseTimeoutInSeconds: 5.5 is no whole number"},
		{`{"methodName":"m","responseTimeoutInSeconds":{}}`, hubward.CodeArgumentInvalid, "responseTimeoutInSeconds"},
		{`{"methodName":"m","timeout":0.5}`, hubward.CodeArgumentInvalid, "timeout: 0.5"},
		{`{"methodName":"m","connectTimeoutInSeconds":-1}`, hubward.CodeArgumentInvalid, "connectTimeoutInSeconds"},
		{`{"methodName":"m","connectTimeoutInSeconds":31}`, hubward.CodeArgumentInvalid, "connectTimeoutInSeconds"},
		{`{"methodName":"m","connectTimeoutInSeconds":"soon"}`, hubward.CodeArgumentInvalid, "soon"},
		{`{"methodName":"m","payload":"\ud800"}`, hubward.CodeFormatError, "payload"},
		{`{"methodName":"m","payload":"` + strings.Repeat("x", hubward.MaxMethodPayload-1) + `"}`, hubward.CodeMessageTooLarge, "131073"},
		{`{"methodName":"m","payload":"` + strings.Repeat("x", 200<<10) + `"}`, hubward.CodeMessageTooLarge, "larger"},
	} {
		f.do(invoke(test.body)).wantError(t, test.code, test.text)
	}
	f.do(invoke(`{"methodName":"m","payload":"`+strings.Repeat("x", hubward.MaxMethodPayload-2)+`"}`)).wantStatus(t, 200)
	e.Disconnect()
	a := invoke(`{"methodName":"m"}`)
	a.policy = "registryReadWrite"
	f.do(a).wantError(t, hubward.CodeUnauthorizedAccess, "")
	a = invoke(`{"methodName":"m"}`)
	a.method = "GET"
	f.do(a).wantError(t, hubward.CodeMethodNotAllowed, "GET")
	a.method, a.path = "POST", "/twins/d1/methods"
	f.do(a).wantError(t, hubward.CodeInvalidProtocolVersion, "api-version")
}

func TestInvokeMethod_failures(t *testing.T) {
	f := newFixture(t)
	f.create("d1")
	body := `{"methodName":"m"}`
	at := func(path string) ask { return ask{method: "POST", path: path + version, body: body} }
	f.do(at("/twins/d2/methods")).wantNested(t, hubward.CodeDeviceNotFound, "d2")
	f.do(at("/twins/d2/modules/m/methods")).wantNested(t, hubward.CodeDeviceNotFound, "d2")
	f.do(at("/twins/d1/modules/$edgeAgent/methods")).wantNested(t, hubward.CodeModuleNotFound, "edgeAgent")
	f.do(at("/twins/d1/methods/")).wantNested(t, hubward.CodeDeviceNotOnline, "d1")
	respond := func(e *callee, m *hub.MethodCall) { e.RespondMethod(m.ID, 200, []byte("no; JSON")) }
	e := f.takes(hubward.Identity{Device: "d1"}, func(e *callee, m *hub.MethodCall) { respond(e, m) })
	f.do(at("/twins/d1/methods")).wantNested(t, hubward.CodeBadDeviceResponse, "the device's answer")
	respond = func(e *callee, m *hub.MethodCall) { e.Disconnect() }
	f.do(at("/twins/d1/methods")).wantNested(t, hubward.CodeDeviceConnectionClosed, "connection")
	if strings.Contains(f.logs.String(), "level=ERROR") {
		t.Errorf("what devices do is logged as if it were the hub's fault: %s", f.logs)
	}
	e.Disconnect()
	f.breakStore()
	f.do(at("/twins/d1/methods")).wantError(t, hubward.CodeServiceUnavailable, "again")
}

// A client that leaves ends its call: on the device's side its place is free.
func TestInvokeMethod_clientLeaves(t *testing.T) {
	f := newFixture(t)
	f.create("d1")
	calls := make(chan *hub.MethodCall)
	f.takes(hubward.Identity{Device: "d1"}, func(_ *callee, m *hub.MethodCall) { go func() { calls <- m }() })
	ctx, cancel := context.WithCancel(t.Context())
	var leaving sync.WaitGroup
	leaving.Go(func() {
		if res, err := f.server.Client().Do(f.request(ctx, invoke(`{"methodName":"m","responseTimeoutInSeconds":300}`))); err == nil {
			t.Errorf("answered with %s", res.Status)
			res.Body.Close()
		}
	})
	<-calls
	cancel()
	leaving.Wait()
	f.server.Config.Shutdown(t.Context()) // returns once no handler waits
}

// While the process drains, a call that waits gets an answer, soon.
func TestInvokeMethod_drain(t *testing.T) {
	f := newFixture(t, func(o *restfront.Options) { o.MethodDrain = 1 })
	f.create("d1")
	f.takes(hubward.Identity{Device: "d1"}, func(*callee, *hub.MethodCall) { f.drain() })
	f.create("offline")
	body := `{"methodName":"m","responseTimeoutInSeconds":300,"connectTimeoutInSeconds":300}`
	f.do(invoke(body)).wantError(t, hubward.CodeServiceUnavailable, "again")
	f.do(ask{method: "POST", path: "/twins/offline/methods" + version, body: body}).wantError(t, hubward.CodeServiceUnavailable, "again")
	if strings.Contains(f.logs.String(), "level=ERROR") {
		t.Errorf("a drain is logged as a failure: %s", f.logs)
	}
}

// The time-outs of the server leave a call the time that it asks for.
func TestInvokeMethod_outlivesWriteTimeout(t *testing.T) {
	f := newFixture(t)
	f.create("d1")
	server := httpserver.New(f.server.Config.Handler, nil)
	server.WriteTimeout = 1 // over before the device is called
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { server.Serve(l) })
	defer serving.Wait()
	defer server.Close()
	f.takes(hubward.Identity{Device: "d1"}, func(e *callee, m *hub.MethodCall) {
		e.RespondMethod(m.ID, 200, bytes.Repeat([]byte("1"), 100))
	})
	r := f.request(t.Context(), invoke(`{"methodName":"m"}`))
	r.URL.Host = l.Addr().String()
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err != nil || res.StatusCode != 200 || len(body) < 100 {
		t.Errorf("%s, %v: %s", res.Status, err, body)
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

// A module is called by its own path.
func TestInvokeMethod_module(t *testing.T) {
	f := newFixture(t)
	f.create("d1")
	id := hubward.Identity{Device: "d1", Module: "m1"}
	f.createModule(id)
	f.takes(id, func(e *callee, m *hub.MethodCall) { e.RespondMethod(m.ID, 200, []byte(`"`+m.Name+`"`)) })
	r := f.do(ask{method: "POST", path: "/twins/d1/modules/m1/methods" + version, body: `{"methodName":"thermostat*reboot"}`}).wantStatus(t, 200)
	if r.body != `{"status":200,"payload":"thermostat*reboot"}` {
		t.Errorf("got %s", r.body)
	}
}
