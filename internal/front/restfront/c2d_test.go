package restfront_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
)

const boundPath = "/devices/d1/messages/deviceBound"

// sendC2D puts a message into d1's queue as Explorer does.
func (f *fixture) sendC2D(body string, header ...string) response {
	f.t.Helper()
	headers := map[string]string{}
	for i := 0; i+1 < len(header); i += 2 {
		headers[header[i]] = header[i+1]
	}
	return f.do(ask{method: "POST", path: boundPath + version, policy: "service", body: body, header: headers})
}

// receive locks d1's next message and returns its lock token, with the quotes cut off as Node does it.
func (f *fixture) receive(token string) (lock, body string) {
	f.t.Helper()
	r := f.do(ask{path: boundPath + version, token: token})
	if r.StatusCode == 204 {
		return "", ""
	}
	r.wantStatus(f.t, 200)
	etag := r.Header.Get("ETag")
	return etag[1 : len(etag)-1], r.body
}

// The C and .NET SDKs compare the names of headers byte for byte, so the answer is read as it stands on the wire.
func TestReceiveC2D_spelling(t *testing.T) {
	f := newFixture(t)
	token := f.deviceToken(f.create("d1"))
	r := f.dial()
	r.send("POST "+boundPath+version+" HTTP/1.1\nHost: hub.example\nAuthorization: "+f.token("plant", "service", "hub.example")+
		"\niothub-messageid: m1\niothub-app-windAlert: yes\niothub-app-B: 2\niothub-app-b:\niothub-ack: Full\niothub-to: elsewhere\n"+
		"iothub-expiry: 2026-01-31T12:34:56.5Z\nContent-Type: application/json\nContent-Encoding: utf-8\nContent-Length: 7\n\n{\"a\":1}", 1<<20)
	r.wantStatus(204)

	r.send("GET /devices/d1/messages/deviceBound"+version+"&iothub-messagelocktimeout=60 HTTP/1.1\nHost: hub.example\nAuthorization: "+token+"\n\n", 1<<20)
	lines := r.head()
	if lines[0] != "HTTP/1.1 200 OK" {
		t.Fatal(lines)
	}
	body := make([]byte, 7)
	if _, err := io.ReadFull(r.in, body); err != nil || string(body) != `{"a":1}` {
		t.Errorf("body %q, %v", body, err)
	}
	got := map[string]string{}
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ": ")
		got[name] = value
	}
	lock := got["iothub-messagelocktoken"]
	want := map[string]string{
		"ETag": `"` + lock + `"`, "iothub-messageid": "m1", "iothub-correlationid": "", "iothub-userid": "",
		"iothub-to": "/devices/d1/messages/deviceBound", "iothub-sequencenumber": "1", "iothub-enqueuedtime": "1/31/2026 12:49:39 AM",
		"iothub-expiry": "1/31/2026 12:34:56 PM", "iothub-deliverycount": "0", "iothub-ack": "full", "iothub-messagelocktoken": lock,
		"ContentType": "application/json", "ContentEncoding": "utf-8", "iothub-app-windAlert": "yes", "iothub-app-B": "2", "iothub-app-b": "",
		"Content-Type": "application/octet-stream", "Content-Length": "7",
		"x-ms-request-id": got["x-ms-request-id"], "Date": got["Date"], "Server": "hubward/1.2.3",
	}
	if diff := cmp.Diff(want, got); diff != "" || len(lock) != 36 {
		t.Error(diff)
	}

	// It is locked: there is nothing else to get. The C SDK wants exactly 204.
	r.send("GET /DEVICES/d1/Messages/DEVICEBOUND"+version+" HTTP/1.1\nHost: hub.example\nAuthorization: "+token+"\n\n", 1<<20)
	r.wantStatus(204)
	r.send("DELETE "+boundPath+"/"+lock+version+" HTTP/1.1\nHost: hub.example\nAuthorization: "+token+"\nIf-Match: \""+lock+"\"\n\n", 1<<20)
	if lines := r.head(); lines[0] != "HTTP/1.1 204 No Content" {
		t.Error(lines)
	}
	f.do(ask{method: "DELETE", path: boundPath + "/" + lock + version, token: token}).wantError(t, hubward.CodeDeviceMessageLockLost, "")
}

// head reads an answer's header lines.
func (r *raw) head() (lines []string) {
	r.t.Helper()
	text := textproto.NewReader(r.in)
	for {
		line, err := text.ReadLine()
		if err != nil {
			r.t.Fatal(err)
		}
		if line == "" {
			return lines
		}
		lines = append(lines, line)
	}
}

// Each client settles in its own words. What became of the message is in the feedback.
func TestSettleC2D_spellings(t *testing.T) {
	f := newFixture(t)
	f.run()
	token := f.deviceToken(f.create("d1"))
	for _, test := range []struct {
		method, path string // LOCK stands for the token
		header       map[string]string
		want         hubward.FeedbackStatus // empty: it comes again
	}{
		{"DELETE", "/LOCK?api-version=2021-04-12", nil, hubward.FeedbackSuccess},
		{"DELETE", "/LOCK?api-version=2021-04-12", map[string]string{"If-Match": "LOCK"}, hubward.FeedbackSuccess},
		{"DELETE", "/LOCK?api-version=2021-04-12&reject", map[string]string{"If-Match": "LOCK"}, hubward.FeedbackRejected}, // Node
		{"DELETE", "/LOCK?reject&api-version=2021-04-12", nil, hubward.FeedbackRejected},
		{"DELETE", "/LOCK?api-version=2016-11-14&reject=true", nil, hubward.FeedbackRejected},
		{"DELETE", "/LOCK?api-version=2020-09-30&%3Freject=true", nil, hubward.FeedbackRejected}, // Java
		{"DELETE", "/LOCK?api-version=2020-09-30&reject=false", nil, hubward.FeedbackSuccess},
		{"POST", "/LOCK/abandon?api-version=2020-09-30", map[string]string{"IfMatch": "LOCK"}, ""}, // .NET
		{"POST", "/LOCK/Abandon?api-version=2020-09-30", nil, ""},
	} {
		t.Run(test.method+test.path, func(t *testing.T) {
			f.passed.Add(int64(20 * time.Second)) // beyond the last feedback message: the next one is made at once
			f.sendC2D("x", "iothub-ack", "full", "iothub-messageid", test.path).wantStatus(t, 204)
			lock, _ := f.receive(token)
			header := map[string]string{}
			for name, value := range test.header {
				header[name] = strings.ReplaceAll(value, "LOCK", lock)
			}
			r := f.do(ask{method: test.method, path: boundPath + strings.ReplaceAll(test.path, "LOCK", lock), token: token, header: header, body: "x"})
			if r.wantStatus(t, 204); r.body != "" {
				t.Errorf("body %q", r.body)
			}
			again, _ := f.receive(token)
			if (again != "") != (test.want == "") || again == lock {
				t.Fatalf("lock %q comes after %q", again, lock)
			}
			if again != "" {
				f.do(ask{method: "DELETE", path: boundPath + "/" + again + version, token: token}).wantStatus(t, 204)
				test.want = hubward.FeedbackSuccess
			}
			records := f.feedback()
			if len(records) != 1 || records[0].StatusCode != test.want || records[0].OriginalMessageID != test.path || records[0].DeviceID != "d1" {
				t.Errorf("feedback %+v, want %s", records, test.want)
			}
		})
	}
}

// feedback waits for the next feedback message and completes it.
func (f *fixture) feedback() []hubward.Feedback {
	f.t.Helper()
	r := f.do(ask{path: "/messages/serviceBound/feedback" + version + "&wait=20", policy: "service"}).wantStatus(f.t, 200)
	f.do(ask{method: "DELETE", path: "/messages/servicebound/feedback/" + r.Header.Get("iothub-messagelocktoken") + version, policy: "service"}).wantStatus(f.t, 204)
	return decode[[]hubward.Feedback](f.t, r)
}

func TestSettleC2D_lockLost(t *testing.T) {
	f := newFixture(t)
	token := f.deviceToken(f.create("d1"))
	for _, lock := range []string{"00000000-0000-0000-0000-000000000000", "x", "a%2Fb", "%F0%9F%98%80"} {
		f.do(ask{method: "DELETE", path: boundPath + "/" + lock + version, token: token}).wantError(t, hubward.CodeDeviceMessageLockLost, "")
		f.do(ask{method: "DELETE", path: boundPath + "/" + lock + version + "&reject", token: token}).wantError(t, hubward.CodeDeviceMessageLockLost, "")
		f.do(ask{method: "POST", path: boundPath + "/" + lock + "/abandon" + version, token: token}).wantError(t, hubward.CodeDeviceMessageLockLost, "")
	}
	// The lock of another device's message is none of this one.
	f.sendC2D("x").wantStatus(t, 204)
	lock, _ := f.receive(token)
	other := f.deviceToken(f.create("d2"))
	f.do(ask{method: "DELETE", path: "/devices/d2/messages/deviceBound/" + lock + version, token: other}).wantError(t, hubward.CodeDeviceMessageLockLost, "")
	f.do(ask{method: "DELETE", path: boundPath + "/" + lock + version, token: other}).wantError(t, hubward.CodeUnauthorizedAccess, "")
	f.do(ask{method: "DELETE", path: boundPath + "/" + lock + version, token: token}).wantStatus(t, 204)
}

func TestReceiveC2D_lockTimeout(t *testing.T) {
	f := newFixture(t)
	token := f.deviceToken(f.create("d1"))
	for text, good := range map[string]bool{"5": true, "60": true, "300": true, "4": false, "301": false, "x": false, "-1": false, "1e3": false, "99999999999999": false} {
		f.sendC2D(text).wantStatus(t, 204)
		for _, a := range []ask{
			{path: boundPath + version + "&IoTHub-MessageLockTimeout=" + text, token: token},
			{path: boundPath + version, token: token, header: map[string]string{"IotHub-MessageLockTimeout": text}},
		} {
			r := f.do(a)
			if !good {
				r.wantError(t, hubward.CodeArgumentInvalid, "lock")
				continue
			}
			if r.StatusCode != 200 && r.StatusCode != 204 {
				t.Errorf("%q: %d %s", text, r.StatusCode, r.body)
			}
		}
		f.do(ask{method: "DELETE", path: "/devices/d1/commands" + version}).wantStatus(t, 200)
	}
}

func TestSendC2D_refusals(t *testing.T) {
	f := newFixture(t)
	device := f.create("d1")
	path := boundPath + version
	f.do(ask{method: "POST", path: path, token: f.deviceToken(device), body: "x"}).wantError(t, hubward.CodeUnauthorizedAccess, "")
	f.do(ask{method: "POST", path: path, policy: "device", body: "x"}).wantError(t, hubward.CodeUnauthorizedAccess, "")
	f.do(ask{method: "POST", path: path, policy: "registryReadWrite", body: "x"}).wantError(t, hubward.CodeUnauthorizedAccess, "")
	f.do(ask{method: "POST", path: "/devices/d9/messages/devicebound" + version, body: "x"}).wantError(t, hubward.CodeDeviceNotFound, "")
	f.sendC2D("x", "iothub-ack", "perhaps").wantError(t, hubward.CodeArgumentInvalid, "iothub-ack")
	f.sendC2D("x", "iothub-expiry", "tomorrow").wantError(t, hubward.CodeArgumentInvalid, "iothub-expiry")
	f.sendC2D("x", "iothub-expiry", "2026-01-31T00:49:38Z").wantError(t, hubward.CodeArgumentInvalid, "past")
	f.sendC2D("x", "iothub-messageid", strings.Repeat("m", 129)).wantError(t, hubward.CodeArgumentInvalid, "128")
	f.sendC2D(strings.Repeat("x", 64<<10+1)).wantError(t, hubward.CodeMessageTooLarge, "65536")
	f.sendC2D(strings.Repeat("x", hubward.MaxMessageSize+1)).wantError(t, hubward.CodeMessageTooLarge, "")
	f.sendC2D(strings.Repeat("x", 64<<10)).wantStatus(t, 204)
	f.sendC2D("", "iothub-expiry", "0001-01-01T00:00:00Z").wantStatus(t, 204)
	for range 48 {
		f.sendC2D("x").wantStatus(t, 204)
	}
	f.sendC2D("x").wantError(t, hubward.CodeDeviceMaximumQueueDepth, "")
}

// Explorer escapes the id, and then the path.
func TestSendC2D_explorersPath(t *testing.T) {
	f := newFixture(t)
	f.create("a#1%")
	f.do(ask{method: "POST", path: "/devices%2Fa%252523%2Fx" + version, body: "x"}).wantError(t, hubward.CodeNotFound, "")
	f.do(ask{method: "POST", path: "/devices%2Fa%25231%2525%2Fmessages%2FdeviceBound" + version, body: "x"}).wantStatus(t, 204)
	f.do(ask{method: "POST", path: "/devices/a%231%25/messages/deviceBound" + version, body: "x"}).wantStatus(t, 204)
	purged := f.do(ask{method: "DELETE", path: "/devices/a%231%25/commands" + version}).wantStatus(t, 200)
	if want := `{"totalMessagesPurged":2,"deviceId":"a#1%","moduleId":null}`; purged.body != want {
		t.Errorf("%s", purged.body)
	}
}

func TestPurgeC2D(t *testing.T) {
	f := newFixture(t)
	f.run()
	token := f.deviceToken(f.create("d1"))
	purge := ask{method: "DELETE", path: "/devices/d1/Commands" + version, policy: "service"}
	if r := f.do(purge).wantStatus(t, 200); r.body != `{"totalMessagesPurged":0,"deviceId":"d1","moduleId":null}` {
		t.Error(r.body)
	}
	f.sendC2D("1", "iothub-ack", "negative").wantStatus(t, 204)
	f.sendC2D("2").wantStatus(t, 204)
	lock, _ := f.receive(token)
	if r := f.do(purge).wantStatus(t, 200); r.body != `{"totalMessagesPurged":2,"deviceId":"d1","moduleId":null}` {
		t.Error(r.body)
	}
	f.do(ask{method: "DELETE", path: boundPath + "/" + lock + version, token: token}).wantError(t, hubward.CodeDeviceMessageLockLost, "")
	if records := f.feedback(); len(records) != 1 || records[0].StatusCode != hubward.FeedbackPurged {
		t.Errorf("%+v", records)
	}
	f.do(ask{method: "DELETE", path: "/devices/d9/commands" + version}).wantError(t, hubward.CodeDeviceNotFound, "")
	f.do(ask{method: "DELETE", path: "/devices/d1/commands" + version, token: token}).wantError(t, hubward.CodeUnauthorizedAccess, "")
}

func TestFeedback_lifeCycle(t *testing.T) {
	f := newFixture(t)
	f.run()
	d := f.create("d1")
	token := f.deviceToken(d)
	path := "/messages/serviceBound/feedback"
	take := func(query string) response { return f.do(ask{path: path + version + query, policy: "service"}) }
	take("").wantStatus(t, 204)
	f.sendC2D("x", "iothub-ack", "positive", "iothub-messageid", "m1").wantStatus(t, 204)
	lock, _ := f.receive(token)
	f.do(ask{method: "DELETE", path: boundPath + "/" + lock + version, token: token}).wantStatus(t, 204)

	first := take("&wait=20").wantStatus(t, 200)
	want := `[{"originalMessageId":"m1","deviceGenerationId":"` + d.GenerationID + `","deviceId":"d1","enqueuedTimeUtc":"2026-01-31T00:49:39.0000000Z","statusCode":"Success","description":"Success"}]`
	if diff := cmp.Diff(want, first.body); diff != "" {
		t.Error(diff)
	}
	feedbackLock := first.Header.Get("iothub-messagelocktoken")
	if first.Header.Get("ETag") != `"`+feedbackLock+`"` || first.Header.Get("Content-Type") != "application/vnd.microsoft.iothub.feedback.json" ||
		first.Header.Get("iothub-deliverycount") != "0" || first.Header.Get("iothub-enqueuedtime") != "1/31/2026 12:49:39 AM" || first.Header.Get("iothub-messageid") == "" {
		t.Errorf("%v", first.Header)
	}
	take("").wantStatus(t, 204) // it is locked
	f.do(ask{method: "POST", path: path + "/" + feedbackLock + "/abandon" + version, policy: "service", body: "x"}).wantStatus(t, 204)
	second := take("").wantStatus(t, 200)
	if second.body != want || second.Header.Get("iothub-deliverycount") != "1" || second.Header.Get("iothub-messagelocktoken") == feedbackLock {
		t.Errorf("%v %s", second.Header, second.body)
	}
	f.do(ask{method: "DELETE", path: path + "/" + feedbackLock + version, policy: "service"}).wantError(t, hubward.CodeDeviceMessageLockLost, "")
	f.do(ask{method: "DELETE", path: path + "/" + second.Header.Get("iothub-messagelocktoken") + version, policy: "service"}).wantStatus(t, 204)
	take("").wantStatus(t, 204)

	f.do(ask{path: path + version, token: token}).wantError(t, hubward.CodeUnauthorizedAccess, "")
	f.do(ask{path: path + version, policy: "registryReadWrite"}).wantError(t, hubward.CodeUnauthorizedAccess, "")
	for _, bad := range []string{"-1", "31", "x"} {
		take("&wait="+bad).wantError(t, hubward.CodeArgumentInvalid, "wait")
	}
}

// A call that waits ends with the process, and with its time.
func TestFeedback_waitEnds(t *testing.T) {
	f := newFixture(t)
	if r := f.do(ask{path: "/messages/serviceBound/feedback" + version + "&wait=1"}); r.StatusCode != 204 {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	answered := make(chan response)
	go func() { answered <- f.do(ask{path: "/messages/serviceBound/feedback" + version + "&wait=30"}) }()
	f.drain()
	select {
	case r := <-answered:
		r.wantStatus(t, 204)
	case <-time.After(20 * time.Second):
		t.Error("it still waits")
	}
}

// What a message holds, its device gets: nothing in it can end a header or add one.
func TestReceiveC2D_hostileProperties(t *testing.T) {
	f := newFixture(t)
	token := f.deviceToken(f.create("d1"))
	err := f.hub.SendC2D(t.Context(), f.process, hubward.Identity{Device: "d1"}, &hubward.Message{
		CorrelationID: "c\r\nETag: \"forged\"", Body: []byte("x"),
		Properties: []hubward.Property{{Name: "a b", Value: "1"}, {Name: "n\r\nx", Value: "2"}, {Name: "v", Value: "1\r\n\r\nHTTP/1.1"}, {Name: "é", Value: "3"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := f.dial()
	fmt.Fprintf(r.nc, "GET %s HTTP/1.1\r\nHost: hub.example\r\nAuthorization: %s\r\nConnection: close\r\n\r\n", boundPath+version, token)
	res, err := http.ReadResponse(bufio.NewReader(r.nc), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil || string(body) != "x" || len(res.Header["Etag"]) != 1 || len(res.Header["Etag"][0]) != 38 ||
		res.Header.Get("iothub-app-v") != "1    HTTP/1.1" || res.Header.Get("iothub-correlationid") != `c  ETag: "forged"` {
		t.Errorf("%v %q %v", err, body, res.Header)
	}
}
