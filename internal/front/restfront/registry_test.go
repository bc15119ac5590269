package restfront_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
)

// Each of the marks that an id may hold, plus what looks like a path or a keyword.
var oddIDs = []string{"a%41", "a#b?c", "a:b+c", "$x;y='z'", "..", ".", "query", "a,b=c@d!", "(x)*_-", strings.Repeat("n", 128)}

func TestPutDevice_createThenGet(t *testing.T) {
	f := newFixture(t)
	for _, id := range oddIDs {
		path := "/devices/" + pathEscape(id)
		made := f.do(ask{method: "PUT", path: path + version, body: `{}`}).wantStatus(t, 200)
		d := decode[hubward.Device](t, made)
		if d.DeviceID != id || d.Authentication.SymmetricKey.PrimaryKey == "" {
			t.Fatalf("created %+v", d)
		}
		if want := `"` + d.ETag + `"`; made.Header.Get("ETag") != want {
			t.Errorf("ETag is %s, want %s", made.Header.Get("ETag"), want)
		}
		got := f.do(ask{path: path + "/" + version}).wantStatus(t, 200)
		if diff := cmp.Diff(made.body, got.body); diff != "" {
			t.Errorf("%s: %s", id, diff)
		}
		whole := f.do(ask{path: "/devices%2F" + pathEscape(id) + version})
		if whole.wantStatus(t, 200).body != got.body {
			t.Errorf("%s: the wholly escaped path gives %s", id, whole.body)
		}
	}
}

// pathEscape escapes every byte but letters and digits.
func pathEscape(id string) string {
	var b strings.Builder
	for i := range len(id) {
		fmt.Fprintf(&b, "%%%02X", id[i])
	}
	return b.String()
}

// A wire image, since Go's client would hide how names are spelt.
func TestGetDevice_headersOnTheWire(t *testing.T) {
	f := newFixture(t)
	d := f.create("d1")
	request := "GET /Devices/d1?api-version=2021-04-12 HTTP/1.1\r\nHost: HUB.example:443\r\nConnection: close\r\n" +
		"Request-Id: cf1caaad-4a53-43c9-b8db-c0a40d0dd6d7\r\nAuthorization: " + f.token("plant", "registryRead", "hub.example") + "\r\n\r\n"
	answer := f.raw(request)
	for _, want := range []string{
		"HTTP/1.1 200 OK\r\n", "\r\nETag: \"" + d.ETag + "\"\r\n", "\r\nContent-Type: application/json; charset=utf-8\r\n",
		"\r\nx-ms-request-id: cf1caaad-4a53-43c9-b8db-c0a40d0dd6d7\r\n", "\r\nServer: hubward/1.2.3\r\n",
	} {
		if !strings.Contains(answer, want) {
			t.Errorf("the answer lacks %q:\n%s", want, answer)
		}
	}
	if i, j := strings.Index(answer, `"type":"sas"`), strings.Index(answer, `"x509Thumbprint"`); i < j {
		t.Errorf("type must be the last member of authentication:\n%s", answer)
	}
	refused := f.raw(strings.Replace(request, "/d1", "/d2", 1))
	if !strings.Contains(refused, "HTTP/1.1 404 Not Found\r\n") || !strings.Contains(refused, "\r\niothub-errorcode: DeviceNotFound\r\n") {
		t.Errorf("got\n%s", refused)
	}
}

func (f *fixture) raw(request string) string {
	f.t.Helper()
	conn, err := net.Dial("tcp", f.server.Listener.Addr().String())
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		f.t.Fatal(err)
	}
	answer, err := io.ReadAll(bufio.NewReader(conn))
	if err != nil {
		f.t.Fatal(err)
	}
	return string(answer)
}

func TestError_envelope(t *testing.T) {
	f := newFixture(t)
	r := f.do(ask{path: "/devices/none" + version})
	r.wantError(t, hubward.CodeDeviceNotFound, "none")
	want := `-G:0-TimeStamp:01/31/2026 00:49:39"}`
	if !strings.HasSuffix(r.body, want) || !strings.HasPrefix(r.body, `{"Message":"ErrorCode:DeviceNotFound;`) {
		t.Errorf("body is %s", r.body)
	}
	// An id may hold a semicolon, the text may not: SDKs split there.
	f.do(ask{path: "/devices/a;b" + version}).wantError(t, hubward.CodeDeviceNotFound, "a,b")
}

func TestIfMatch_spellings(t *testing.T) {
	for _, spelling := range []string{`"*"`, `*`, `%s`, `"%s"`, `W/"%s"`} {
		t.Run(spelling, func(t *testing.T) {
			f := newFixture(t)
			d := f.create("d1")
			if strings.Contains(spelling, "%s") {
				spelling = fmt.Sprintf(spelling, d.ETag)
			}
			header := map[string]string{"If-Match": spelling}
			r := f.do(ask{method: "PUT", path: "/devices/d1" + version, body: `{"deviceId":"d1","status":"disabled"}`, header: header})
			d2 := decode[hubward.Device](t, r.wantStatus(t, 200))
			if d2.Status != hubward.StatusDisabled {
				t.Errorf("status is %s", d2.Status)
			}
			if !strings.Contains(spelling, "*") {
				header["If-Match"] = strings.Replace(spelling, d.ETag, d2.ETag, 1)
			}
			if r := f.do(ask{method: "DELETE", path: "/devices/d1" + version, header: header}).wantStatus(t, 204); r.body != "" {
				t.Errorf("204 with body %q", r.body)
			}
		})
	}
}

func TestIfMatch_refusals(t *testing.T) {
	f := newFixture(t)
	f.create("d1")
	stale := map[string]string{"If-Match": `"c3RhbGU="`}
	f.do(ask{method: "PUT", path: "/devices/d1" + version, body: `{}`}).wantError(t, hubward.CodeDeviceAlreadyExists, "d1")
	f.do(ask{method: "PUT", path: "/devices/d1" + version, body: `{}`, header: stale}).wantError(t, hubward.CodePreconditionFailed, "etag")
	f.do(ask{method: "DELETE", path: "/devices/d1" + version, header: stale}).wantError(t, hubward.CodePreconditionFailed, "etag")
	f.do(ask{method: "DELETE", path: "/devices/d1" + version}).wantError(t, hubward.CodePreconditionFailed, "etag")
	any := map[string]string{"If-Match": `"*"`}
	f.do(ask{method: "PUT", path: "/devices/d2" + version, body: `{}`, header: any}).wantError(t, hubward.CodeDeviceNotFound, "d2")
	f.do(ask{method: "DELETE", path: "/devices/d2" + version, header: any}).wantError(t, hubward.CodeDeviceNotFound, "d2")
}

func TestPutDevice_readsAnyCaseAndIgnoresWhatTheServerOwns(t *testing.T) {
	f := newFixture(t)
	body := `{"DeviceID":"d1","Status":"Disabled","statusREASON":"why","lastActivityTime":42,"etag":7,"unknown":{},
		"authentication":{"TYPE":"selfsigned","x509Thumbprint":{"primaryThumbprint":"` + strings.Repeat("aB", 20) + `"}}}`
	d := decode[hubward.Device](t, f.do(ask{method: "PUT", path: "/devices/d1" + version, body: body}).wantStatus(t, 200))
	if d.Status != hubward.StatusDisabled || d.StatusReason != "why" || d.Authentication.Type != hubward.AuthSelfSigned ||
		d.Authentication.X509Thumbprint.PrimaryThumbprint != hubward.NullString(strings.Repeat("aB", 20)) {
		t.Errorf("stored %+v %+v", d, d.Authentication)
	}
}

func TestPutDevice_refusesBadBodies(t *testing.T) {
	f := newFixture(t)
	for _, test := range []struct {
		body string
		code hubward.Code
		text string
	}{
		{``, hubward.CodeArgumentNull, "no body"},
		{`{"status":"enabled"`, hubward.CodeFormatError, "JSON"},
		{`{} {}`, hubward.CodeFormatError, "JSON"},
		{`null`, hubward.CodeArgumentNull, "null"},
		{`[]`, hubward.CodeArgumentInvalid, "array"},
		{`{"status":5}`, hubward.CodeArgumentInvalid, "status"},
		{`{"authentication":{"symmetricKey":{"primaryKey":{}}}}`, hubward.CodeArgumentInvalid, "authentication.symmetricKey.primaryKey"},
		{`{"authentication":{"symmetricKey":{"primaryKey":"!","secondaryKey":"!"}}}`, hubward.CodeArgumentInvalid, "authentication.symmetricKey.primaryKey: it is not base64"},
		{`{"deviceId":"other"}`, hubward.CodeArgumentInvalid, "deviceId"},
		{`{"status":"off"}`, hubward.CodeArgumentInvalid, "status"},
		{strings.Repeat("[", 20000), hubward.CodeFormatError, "depth"},
		{`{"statusReason":"` + strings.Repeat("x", 1<<20) + `"}`, hubward.CodeMessageTooLarge, "1048576"},
	} {
		name := test.body[:min(40, len(test.body))]
		t.Run(name, func(t *testing.T) {
			f.do(ask{method: "PUT", path: "/devices/d1" + version, body: test.body}).wantError(t, test.code, test.text)
		})
	}
	f.do(ask{path: "/devices/d1" + version}).wantError(t, hubward.CodeDeviceNotFound, "")
}

func TestListDevices_top(t *testing.T) {
	f := newFixture(t)
	if r := f.do(ask{path: "/devices/" + version}).wantStatus(t, 200); r.body != "[]" {
		t.Errorf("an empty registry is %s", r.body)
	}
	for _, id := range []string{"a", "b", "c"} {
		f.create(id)
	}
	for top, want := range map[string]int{"": 3, "&top=2": 2, "&top=0": 3, "&top=-1": 3, "&top=5000": 3, "&top=3": 3} {
		r := f.do(ask{path: "/devices/" + version + top, policy: "registryRead"}).wantStatus(t, 200)
		if got := decode[[]hubward.Device](t, r); len(got) != want {
			t.Errorf("top %q gives %d devices, want %d", top, len(got), want)
		}
	}
	f.do(ask{path: "/devices?top=x&api-version=2021-04-12"}).wantError(t, hubward.CodeArgumentInvalid, "top")
}

func TestRouting_refusals(t *testing.T) {
	f := newFixture(t)
	for _, path := range []string{"/", "/nothing", "//devices", "/devices//d1", "/devices/d1/x/y", "/statistics", "/$hubward", "/$hubward/hubs/a/b"} {
		f.do(ask{path: path + version}).wantError(t, hubward.CodeNotFound, "path")
	}
	r := f.do(ask{method: "DELETE", path: "/devices" + version})
	r.wantError(t, hubward.CodeMethodNotAllowed, "DELETE")
	if got := r.Header.Get("Allow"); got != "GET, POST" {
		t.Errorf("Allow is %q", got)
	}
	override := map[string]string{"X-HTTP-Method-Override": "patch"}
	f.do(ask{method: "POST", path: "/devices" + version, body: "[]", header: override}).wantError(t, hubward.CodeMethodNotAllowed, "PATCH")
}

func TestVersion_requiredExceptBelowHubward(t *testing.T) {
	f := newFixture(t)
	f.do(ask{path: "/devices"}).wantError(t, hubward.CodeInvalidProtocolVersion, "api-version")
	f.do(ask{path: "/devices?api-version=v1"}).wantError(t, hubward.CodeInvalidProtocolVersion, "v1")
	f.do(ask{path: "/devices?api-version=2016-02-03"}).wantStatus(t, 200)
	f.do(ask{path: "/devices?top=1&api-version=2020-05-31-preview"}).wantStatus(t, 200)
	f.do(ask{path: "/$hubward/hub"}).wantStatus(t, 200)
}

func TestAuthorization_permissions(t *testing.T) {
	f := newFixture(t)
	f.create("d1")
	for _, test := range []struct {
		method, path, body string
		allowed            string // policies besides iothubowner
	}{
		{"GET", "/devices/d1", "", "registryRead registryReadWrite"},
		{"GET", "/devices", "", "registryRead registryReadWrite"},
		{"PUT", "/devices/d1", "{}", "registryReadWrite"},
		{"DELETE", "/devices/d1", "", "registryReadWrite"},
		{"POST", "/devices", "[]", "registryReadWrite"},
		{"POST", "/devices/keys/regenerate", `{"policyKey":"both"}`, "registryReadWrite"},
		{"GET", "/statistics/devices", "", "registryRead registryReadWrite"},
		{"GET", "/statistics/service", "", "service"},
		{"POST", "/devices/d1/messages/deviceBound", "x", "service"},
		{"DELETE", "/devices/d1/commands", "", "service"},
		{"GET", "/messages/serviceBound/feedback", "", "service"},
		{"DELETE", "/messages/serviceBound/feedback/x", "", "service"},
		{"POST", "/messages/serviceBound/feedback/x/abandon", "", "service"},
		{"POST", "/devices/d1/messages/events", "x", "device"},
		{"GET", "/devices/d1/messages/deviceBound", "", "device"},
		{"DELETE", "/devices/d1/messages/deviceBound/x", "", "device"},
		{"POST", "/devices/d1/messages/deviceBound/x/abandon", "", "device"},
		{"GET", "/$hubward/hub", "", "service device registryRead registryReadWrite"},
		{"GET", "/$hubward/hubs", "", ""},
		{"PUT", "/$hubward/hubs/x", "{}", ""},
		{"PATCH", "/$hubward/hubs/plant", "{}", ""},
		{"DELETE", "/$hubward/hubs/plant", "", ""},
		{"GET", "/$hubward/hubs/plant/policies", "", ""},
		{"PUT", "/$hubward/hubs/plant/policies/x", `{"permissions":["ServiceConnect"]}`, ""},
		{"POST", "/$hubward/hubs/plant/policies/service/regenerate", `{"key":"primary"}`, ""},
		{"DELETE", "/$hubward/hubs/plant/policies/service", "", ""},
		{"GET", "/$hubward/hubs/plant/consumer-groups", "", ""},
	} {
		for _, policy := range []string{"service", "device", "registryRead", "registryReadWrite"} {
			r := f.do(ask{method: test.method, path: test.path + version, body: test.body, policy: policy})
			if allowed := strings.Contains(" "+test.allowed+" ", " "+policy+" "); allowed != (r.StatusCode != 401) {
				t.Errorf("%s %s with policy %s: %d", test.method, test.path, policy, r.StatusCode)
			}
			if r.StatusCode == 401 {
				r.wantError(t, hubward.CodeUnauthorizedAccess, "Unauthorized")
			}
		}
	}
}

// A device's own key opens its own calls, and nothing else; nobody learns by one which devices there are.
func TestAuthorization_devicesKey(t *testing.T) {
	f := newFixture(t)
	d := f.create("d1")
	unknown := *d
	unknown.DeviceID = "d9"
	for _, token := range []string{f.deviceToken(d), f.deviceToken(&unknown)} {
		for _, path := range []string{"/devices/d1", "/devices", "/statistics/service", "/messages/serviceBound/feedback", "/$hubward/hub", "/$hubward/events", "/$hubward/hubs", "/$hubward/hubs/plant/policies"} {
			f.do(ask{path: path + version, token: token}).wantError(t, hubward.CodeUnauthorizedAccess, "Unauthorized")
		}
	}
}

func TestAuthorization_refusals(t *testing.T) {
	f := newFixture(t)
	for name, token := range map[string]string{
		"none":       "-",
		"bearer":     "Bearer abc",
		"other host": f.token("plant", "iothubowner", "other.example"),
		"other path": f.token("plant", "iothubowner", "hub.example/devices/d2"),
		"wrong key":  strings.Replace(f.token("plant", "service", "hub.example"), "skn=service", "skn=iothubowner", 1),
	} {
		t.Run(name, func(t *testing.T) {
			f.do(ask{path: "/devices/d1" + version, token: token}).wantError(t, hubward.CodeUnauthorizedAccess, "Unauthorized")
		})
	}
	f.create("d1")
	own := f.token("plant", "iothubowner", "hub.example/devices/d1")
	f.do(ask{path: "/devices/d1" + version, token: own}).wantStatus(t, 200)
	for _, path := range []string{"/devices", "/$hubward/hub", "/$hubward/events", "/$hubward/hubs", "/$hubward/hubs/plant/policies"} {
		f.do(ask{path: path + version, token: own}).wantError(t, hubward.CodeUnauthorizedAccess, "Unauthorized")
	}
	// Calls that manage hubs go by the token's host. One that there is not is told to nobody.
	other := f.token("plant", "iothubowner", "other.example")
	f.do(ask{path: "/$hubward/hubs", token: other}).wantError(t, hubward.CodeUnauthorizedAccess, "Unauthorized")
	f.do(ask{path: "/devices/d1" + version, host: "unknown.example"}).wantError(t, hubward.CodeHubNotFound, "unknown.example")
	if text := f.logs.String(); strings.Contains(text, "sig=") || !strings.Contains(text, "does not match the policy's keys") {
		t.Errorf("the log should hold reasons, not tokens:\n%s", text)
	}
}

// The endpoints beside a host name are the same hub, in the Host header and in tokens, whichever of them was meant.
func TestAuthorization_endpoints(t *testing.T) {
	f := newFixture(t)
	f.create("d1")
	hosts := []string{"hub.example", "hub.example.", "hub.device.example", "hub.service.example:8443", "plant.device.localhost"}
	for _, host := range hosts {
		for _, resource := range hosts {
			f.do(ask{path: "/devices/d1" + version, host: host, token: f.token("plant", "iothubowner", resource)}).wantStatus(t, 200)
		}
	}
	f.do(ask{path: "/devices/d1" + version, host: "hub.other.example"}).wantError(t, hubward.CodeHubNotFound, "hub.other.example")
}

func TestStatistics(t *testing.T) {
	f := newFixture(t)
	f.create("d1")
	f.connect(f.create("d2"))
	if _, err := f.hub.PutDevice(t.Context(), f.process, hubward.Device{DeviceID: "d3", Status: hubward.StatusDisabled}, ""); err != nil {
		t.Fatal(err)
	}
	if got, want := f.do(ask{path: "/statistics/devices" + version}).body, `{"totalDeviceCount":3,"enabledDeviceCount":2,"disabledDeviceCount":1}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := f.do(ask{path: "/Statistics/Service/" + version}).body, `{"connectedDeviceCount":1}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestServerError_keepsItsCauseToItself(t *testing.T) {
	f := newFixture(t)
	f.breakStore()
	r := f.do(ask{path: "/devices/d1" + version})
	if r.StatusCode < 500 {
		t.Fatalf("status %d, body %s", r.StatusCode, r.body)
	}
	if strings.Contains(r.body, "sql") || strings.Contains(r.body, "closed") {
		t.Errorf("the answer tells about our insides: %s", r.body)
	}
	id := r.Header.Get("x-ms-request-id")
	if log := f.logs.String(); !strings.Contains(log, "level=ERROR") || !strings.Contains(log, id) || !strings.Contains(log, "device=d1") {
		t.Errorf("the log lacks the error with request %s:\n%s", id, log)
	}
}
