package restfront_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/sas"
)

const eventsPath = "/devices/d1/messages/events" + version

// stored returns the messages of d1 in the log.
func (f *fixture) stored() []hubward.Event {
	f.t.Helper()
	var out []hubward.Event
	enough := errors.New("no more")
	q := hub.EventQuery{DeviceID: "d1", From: hub.Position{Kind: hub.PositionEarliest}}
	err := f.hub.ReadEvents(f.t.Context(), f.process, q, func(e *hubward.Event) error {
		if e == nil {
			f.t.Log(len(out), "events read")
			return nil
		}
		if string(e.Message.Body) == "last" {
			return enough
		}
		out = append(out, *e)
		return nil
	})
	if !errors.Is(err, enough) {
		f.t.Fatal(err)
	}
	return out
}

// storedMessages sends a last message, so that all before it can be read, and returns those.
func (f *fixture) storedMessages(token string) []hubward.Message {
	f.t.Helper()
	f.do(ask{method: "POST", path: eventsPath, token: token, body: "last"}).wantStatus(f.t, 204)
	messages := []hubward.Message{}
	for _, e := range f.stored() {
		messages = append(messages, e.Message)
	}
	return messages
}

// raw is a connection on which requests are written as they stand.
type raw struct {
	t  testing.TB
	nc net.Conn
	in *bufio.Reader
}

func (f *fixture) dial() *raw {
	f.t.Helper()
	nc, err := net.Dial("tcp", f.server.Listener.Addr().String())
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	return &raw{f.t, nc, bufio.NewReader(nc)}
}

// send writes a request, of which lines end in \n here, in pieces of at most size bytes.
func (r *raw) send(request string, size int) {
	r.t.Helper()
	head, body, _ := strings.Cut(request, "\n\n")
	text := strings.ReplaceAll(head, "\n", "\r\n") + "\r\n\r\n" + body
	for len(text) > 0 {
		n := min(size, len(text))
		if _, err := io.WriteString(r.nc, text[:n]); err != nil {
			r.t.Fatal(err)
		}
		text = text[n:]
	}
}

func (r *raw) wantStatus(status int) *http.Response {
	r.t.Helper()
	res, err := http.ReadResponse(r.in, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != status {
		r.t.Fatalf("status %d, %v, want %d; body %s", res.StatusCode, err, status, body)
	}
	return res
}

// The request is the Node SDK's, spelt as it spells it, chunked; the others are those of the other SDKs.
func TestSendTelemetry_headersOfAllClients(t *testing.T) {
	f := newFixture(t)
	d := f.create("d1")
	token := f.deviceToken(d)
	requests := []string{
		"POST " + eventsPath + " HTTP/1.1\nAuthorization: " + token + "\niothub-to: /devices/d1/messages/events\nUser-Agent: azure-iot-device/1.18.4\n" +
			"iothub-app-runId: r1\nIoTHub-MessageId: m1\nIoTHub-CorrelationId: c1\nIoTHub-UserId: u1\nIoTHub-Ack: full\nIoTHub-Expiry: 2026-02-01T00:00:00.000Z\n" +
			"iothub-contenttype: application/json\niothub-contentencoding: utf-8\niothub-app-B: 2\niothub-app-b: 3\nHost: hub.example\nTransfer-Encoding: chunked\n\n" +
			"5\r\n{\"a\":\r\n2\r\n1}\r\n0\r\n\r\n",
		"POST " + eventsPath + " HTTP/1.1\nHost: hub.example\nauthorization: " + token + "\nIOTHUB-APP-Z: 1\niothub-app-a:\niothub-app-Z: two\niothub-app-Z: three\n" +
			"iothub-creationtimeutc: 2026-01-31T00:00:00Z\niothub-interface-id: urn:x\ndt-subject: s\niothub-messageschema: sc\niothub-operation: d2c\n" +
			"iothub-app-iothub-connection-device-id: forged\nContent-Type: application/octet-stream\nContent-Length: 4\n\nbody",
		"POST " + eventsPath + " HTTP/1.1\nHost: hub.example\nAuthorization: " + token + "\ncontent-type: application/json; charset=utf-8\ncontent-encoding: utf-8\n" +
			"iothub-creation-time-utc: t\nContent-Length: 2\n\n{}",
	}
	want := []hubward.Message{
		{
			MessageID: "m1", CorrelationID: "c1", UserID: "u1", ContentType: "application/json", ContentEncoding: "utf-8",
			Expiry:     time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC),
			Properties: []hubward.Property{{Name: "runId", Value: "r1"}, {Name: "B", Value: "2"}, {Name: "b", Value: "3"}}, Body: []byte(`{"a":1}`),
		},
		{
			CreationTime: "2026-01-31T00:00:00Z", InterfaceID: "urn:x", Subject: "s", Schema: "sc",
			Properties: []hubward.Property{{Name: "Z", Value: "three"}, {Name: "a"}}, Body: []byte("body"),
		},
		{ContentType: "application/json; charset=utf-8", ContentEncoding: "utf-8", CreationTime: "t", Body: []byte("{}")},
	}
	all := f.dial() // one connection for all requests
	for i, request := range requests {
		all.send(request, 1<<20)
		if res := all.wantStatus(204); res.Header.Get("x-ms-request-id") == "" {
			t.Error("no x-ms-request-id")
		}
		one := f.dial()
		one.send(request, []int{1, 7, 100}[i]) // in pieces, on a connection of its own
		one.wantStatus(204)
	}
	var twice []hubward.Message
	for _, m := range want {
		twice = append(twice, m, m)
	}
	if diff := cmp.Diff(twice, f.storedMessages(token)); diff != "" {
		t.Error(diff)
	}
	for _, e := range f.stored() {
		if e.DeviceID != "d1" || e.GenerationID != d.GenerationID || e.AuthMethod != `{"scope":"device","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}` ||
			e.MessageSource != "Telemetry" || !e.HubEnqueued.Equal(testNow) {
			t.Errorf("stamps %+v", e)
		}
	}
	if d, err := f.hub.Device(t.Context(), f.process, "d1"); err != nil || d.ConnectionState != hubward.Disconnected {
		t.Errorf("%+v, %v: a call is no connection", d, err)
	}
}

// A property has the name that the client's HTTP library wrote, as in iothub-app-windColour, whatever the program said.
//
// Observed with azure-iot-device-http 1.14.4, Python's http.client, requests 2.34, httpx 0.28, aiohttp 3.14, Java 17's
// HttpURLConnection and java.net.http, curl 7.88, fetch of Node 20, which keep it; urllib.request of Python 3.11 and net/http
// of Go, which do not. Azure/azure-iot-sdk-csharp HttpTransportHandler.cs and Azure/azure-iot-sdk-java HttpsSingleMessage.java
// write names as they are.
func TestSendTelemetry_namesAsLibrariesWriteThem(t *testing.T) {
	f := newFixture(t)
	token := f.deviceToken(f.create("d1"))
	var want []hubward.Message
	for header, property := range map[string]string{
		"iothub-app-windColour": "windColour",
		"Iothub-App-Windcolour": "Windcolour", // urllib.request, net/http
		"iothub-app-windcolour": "windcolour", // over HTTP/2, by a proxy
		"IOTHUB-APP-WINDCOLOUR": "WINDCOLOUR",
	} {
		r := f.dial()
		r.send("POST "+eventsPath+" HTTP/1.1\nHost: hub.example\nAuthorization: "+token+"\n"+header+": red\nContent-Length: 1\n\nx", 1<<20)
		r.wantStatus(204)
		want = append(want, hubward.Message{Properties: []hubward.Property{{Name: property, Value: "red"}}, Body: []byte("x")})
	}
	if diff := cmp.Diff(want, f.storedMessages(token)); diff != "" {
		t.Error(diff)
	}
}

// Header lines that are no UTF-8 are refused, of telemetry and of messages to devices.
func TestMessages_headersThatAreNoUTF8(t *testing.T) {
	f := newFixture(t)
	token := f.deviceToken(f.create("d1"))
	for path, token := range map[string]string{eventsPath: token, boundPath + version: f.token("plant", "service", "hub.example")} {
		for _, line := range []string{
			"iothub-messageid: \xff", "iothub-correlationid: \xff", "iothub-userid: \xff", "iothub-contenttype: \xff", "content-encoding: \xff",
			"iothub-app-a: \xff", "iothub-app-\xff: a", "dt-subject: \xff", "iothub-creation-time-utc: \xff",
		} {
			r := f.dial()
			r.send("POST "+path+" HTTP/1.1\nHost: hub.example\nAuthorization: "+token+"\n"+line+"\nContent-Length: 1\n\nx", 1<<20)
			if got := r.head()[0]; !strings.HasPrefix(got, "HTTP/1.1 400 ") {
				t.Errorf("%q to %s: %s", line, path, got)
			}
		}
	}
	if got := f.storedMessages(token); len(got) > 0 {
		t.Errorf("%+v", got)
	}
}

// A client that does not wait for answers loses the case of names, and nothing else.
func TestSendTelemetry_pipelined(t *testing.T) {
	f := newFixture(t)
	token := f.deviceToken(f.create("d1"))
	request := func(n string) string {
		return "POST " + eventsPath + " HTTP/1.1\r\nHost: hub.example\r\nAuthorization: " + token +
			"\r\niothub-app-runId: " + n + "\r\niothub-app-A: x\r\nContent-Length: 1\r\n\r\n" + n
	}
	r := f.dial()
	io.WriteString(r.nc, request("1")+request("2"))
	r.wantStatus(204)
	r.wantStatus(204)
	io.WriteString(r.nc, request("3"))
	r.wantStatus(204)
	want := []hubward.Message{
		{Properties: []hubward.Property{{Name: "runId", Value: "1"}, {Name: "A", Value: "x"}}, Body: []byte("1")},
		{Properties: []hubward.Property{{Name: "a", Value: "x"}, {Name: "runid", Value: "2"}}, Body: []byte("2")},
		{Properties: []hubward.Property{{Name: "runId", Value: "3"}, {Name: "A", Value: "x"}}, Body: []byte("3")},
	}
	if diff := cmp.Diff(want, f.storedMessages(token)); diff != "" {
		t.Error(diff)
	}
}

func TestSendTelemetry_batch(t *testing.T) {
	f := newFixture(t)
	token := f.deviceToken(f.create("d1"))
	batch := map[string]string{"Content-Type": "application/vnd.microsoft.iothub.json; charset=utf-8"}
	body := `[{"body":"aGVsbG8=","properties":{"iothub-messageid":"1","iothub-app-runId":"b","IoTHub-App-n":null}},
		{"body":"raw text","base64Encoded":false},{"body":"eA==","base64Encoded":true,"properties":null}]`
	f.do(ask{method: "POST", path: eventsPath, token: token, header: batch, body: body}).wantStatus(t, 204)
	f.do(ask{method: "POST", path: eventsPath, token: token, header: batch, body: "[]"}).wantStatus(t, 204)

	// What is wrong with one is wrong with all: nothing of these is stored.
	half := strings.Repeat("x", hubward.MaxMessageSize/2)
	for body, code := range map[string]hubward.Code{
		`[{"body":"eA=="},{"body":"not base64"}]`:              hubward.CodeArgumentInvalid,
		`[{"body":"eA=="},{"body":5}]`:                         hubward.CodeFormatError,
		`[{"body":"eA=="},{"properties":{"iothub-app-a":{}}}]`: hubward.CodeFormatError,
		`[{"body":"eA=="}`:                                     hubward.CodeFormatError,
		"[{\"body\":\"\xff\",\"base64Encoded\":false}]":        hubward.CodeFormatError,
		"[{\"properties\":{\"iothub-app-a\":\"\xff\"}}]":       hubward.CodeFormatError,
		`[{"body":"eA=="}]x`:                                   hubward.CodeFormatError,
		`{"body":"eA=="}`:                                      hubward.CodeFormatError,
		``:                                                     hubward.CodeFormatError,
		`[{"body":"` + half + `","base64Encoded":false},{"body":"` + half + `x","base64Encoded":false}]`: hubward.CodeMessageTooLarge,
		`[` + strings.Repeat("{},", 5000) + `{}]`:                                                        hubward.CodeMessageTooLarge,
		`[{"body":"` + strings.Repeat("x", 1<<20) + `"}]`:                                                hubward.CodeMessageTooLarge,
	} {
		f.do(ask{method: "POST", path: eventsPath, token: token, header: batch, body: body}).wantError(t, code, "")
	}
	want := []hubward.Message{
		{MessageID: "1", Properties: []hubward.Property{{Name: "runId", Value: "b"}, {Name: "n", Null: true}}, Body: []byte("hello")},
		{Body: []byte("raw text")},
		{Body: []byte("x")},
	}
	if diff := cmp.Diff(want, f.storedMessages(token)); diff != "" {
		t.Error(diff)
	}
}

func TestSendTelemetry_limits(t *testing.T) {
	f := newFixture(t)
	token := f.deviceToken(f.create("d1"))
	send := func(size int, header map[string]string) response {
		return f.do(ask{method: "POST", path: eventsPath, token: token, body: strings.Repeat("x", size), header: header})
	}
	send(hubward.MaxMessageSize, nil).wantStatus(t, 204)
	send(hubward.MaxMessageSize+1, nil).wantError(t, hubward.CodeMessageTooLarge, "262144")
	properties := map[string]string{"iothub-app-a": "b"}
	send(hubward.MaxMessageSize-2, properties).wantStatus(t, 204)
	send(hubward.MaxMessageSize-1, properties).wantError(t, hubward.CodeMessageTooLarge, "262145")
	send(1, map[string]string{"iothub-messageid": strings.Repeat("m", 128)}).wantStatus(t, 204)
	send(1, map[string]string{"iothub-messageid": strings.Repeat("m", 129)}).wantError(t, hubward.CodeArgumentInvalid, "128")
	many := map[string]string{}
	for i := range 500 {
		many[fmt.Sprint("iothub-app-", i)] = ""
	}
	send(1, many).wantStatus(t, 204)
	many["iothub-app-x"] = ""
	send(1, many).wantError(t, hubward.CodeFormatError, "500")
	if got := len(f.storedMessages(token)); got != 4 {
		t.Errorf("%d messages are stored", got)
	}
}

// A 204 means that the message is durable.
func TestSendTelemetry_brokenLog(t *testing.T) {
	f := newFixture(t)
	token := f.deviceToken(f.create("d1"))
	f.log.Close()
	f.do(ask{method: "POST", path: eventsPath, token: token, body: "x"}).wantError(t, hubward.CodeServiceUnavailable, "")
}

func TestDeviceCalls_authorization(t *testing.T) {
	f := newFixture(t)
	d1, d2 := f.create("d1"), f.create("d2")
	disabled := f.create("off")
	key := string(disabled.Authentication.SymmetricKey.PrimaryKey)
	disabled.Status = hubward.StatusDisabled
	if _, err := f.hub.PutDevice(t.Context(), f.process, *disabled, "*"); err != nil {
		t.Fatal(err)
	}
	sign := func(resource, key, policy string) string {
		token, err := sas.Sign(resource, key, policy, testNow.Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	d1Key := string(d1.Authentication.SymmetricKey.PrimaryKey)
	expired, err := sas.Sign("hub.example/devices/d1", d1Key, "", testNow.Add(-time.Second))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		device, token string
		code          hubward.Code // 0: good
	}{
		"its own key":                       {"d1", f.deviceToken(d1), 0},
		"its own key, for the whole hub":    {"d1", sign("hub.example", d1Key, ""), 0},
		"another device's":                  {"d1", f.deviceToken(d2), hubward.CodeUnauthorizedAccess},
		"expired":                           {"d1", expired, hubward.CodeUnauthorizedAccess},
		"none":                              {"d1", " ", hubward.CodeUnauthorizedAccess},
		"Entra ID":                          {"d1", "Bearer abc", hubward.CodeUnauthorizedAccess},
		"disabled":                          {"off", sign("hub.example/devices/off", key, ""), hubward.CodeUnauthorizedAccess},
		"unknown":                           {"d9", sign("hub.example/devices/d9", d1Key, ""), hubward.CodeUnauthorizedAccess},
		"the owner":                         {"d1", f.token("plant", "iothubowner", "hub.example"), 0},
		"a policy of devices, for a device": {"d1", f.token("plant", "device", "hub.example/devices/d1"), 0},
		"a policy, for another device":      {"d1", f.token("plant", "device", "hub.example/devices/d2"), hubward.CodeUnauthorizedAccess},
		"a policy without DeviceConnect":    {"d1", f.token("plant", "service", "hub.example"), hubward.CodeUnauthorizedAccess},
		"a policy, unknown device":          {"d9", f.token("plant", "device", "hub.example"), hubward.CodeDeviceNotFound},
		"a policy, disabled device":         {"off", f.token("plant", "device", "hub.example"), hubward.CodeUnauthorizedAccess},
		"a policy, no such id":              {"d 9", f.token("plant", "device", "hub.example"), hubward.CodeDeviceNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			got := f.do(ask{method: "POST", path: "/devices/" + strings.ReplaceAll(test.device, " ", "%20") + "/messages/events" + version, token: test.token, body: "x"})
			if test.code == 0 {
				got.wantStatus(t, 204)
				return
			}
			got.wantError(t, test.code, "")
		})
	}
	f.do(ask{method: "POST", path: eventsPath, token: f.deviceToken(d1), host: "other.example"}).wantError(t, hubward.CodeHubNotFound, "other.example")
	f.do(ask{method: "POST", path: "/devices/d1/messages/events", token: f.deviceToken(d1)}).wantError(t, hubward.CodeInvalidProtocolVersion, "")
	f.do(ask{path: eventsPath, token: f.deviceToken(d1)}).wantError(t, hubward.CodeMethodNotAllowed, "GET")
}

func TestSendTelemetry_ofADeletedDevice(t *testing.T) {
	f := newFixture(t)
	token := f.deviceToken(f.create("d1"))
	f.do(ask{method: "POST", path: eventsPath, token: token, body: "x"}).wantStatus(t, 204)
	if err := f.hub.DeleteDevice(context.WithoutCancel(t.Context()), f.process, "d1", "*"); err != nil {
		t.Fatal(err)
	}
	f.do(ask{method: "POST", path: eventsPath, token: token, body: "x"}).wantError(t, hubward.CodeUnauthorizedAccess, "")
}
