package restfront_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
)

const keyPair = `"primaryKey":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=","secondaryKey":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="`

// What clients read is compared as a text: the order of members counts for the .NET SDK.
func TestModule_exactly(t *testing.T) {
	f := newFixture(t)
	f.create("d1")
	const path = "/devices/d1/modules/m1" + version
	made := f.do(ask{method: "PUT", path: path, body: `{"deviceId":"d1","moduleId":"m1","managedBy":"me","authentication":{"type":"SAS","symmetricKey":{` + keyPair + `}}}`}).wantStatus(t, 200)
	etag := decode[hubward.Module](t, made).ETag
	want := `{"moduleId":"m1","managedBy":"me","deviceId":"d1","generationId":"639054173790000000","etag":"` + etag + `","connectionState":"Disconnected",` +
		`"connectionStateUpdatedTime":"0001-01-01T00:00:00","lastActivityTime":"0001-01-01T00:00:00","cloudToDeviceMessageCount":0,` +
		`"authentication":{"symmetricKey":{` + keyPair + `},"x509Thumbprint":{"primaryThumbprint":null,"secondaryThumbprint":null},"type":"sas"}}`
	if diff := cmp.Diff(want, strings.TrimSpace(made.body)); diff != "" {
		t.Error(diff)
	}
	if got := made.Header.Get("ETag"); got != `"`+etag+`"` {
		t.Errorf("ETag is %s", got)
	}
	got := f.do(ask{path: path, policy: "registryRead"}).wantStatus(t, 200)
	if got.body != made.body || got.Header.Get("ETag") != made.Header.Get("ETag") {
		t.Errorf("got %s", got.body)
	}
	list := f.do(ask{path: "/devices/d1/modules" + version}).wantStatus(t, 200)
	if diff := cmp.Diff("["+want+"]", strings.TrimSpace(list.body)); diff != "" || list.Header.Get("ETag") != "" {
		t.Error(diff)
	}
	f.create("d2")
	if r := f.do(ask{path: "/Devices/d2/Modules/" + version}).wantStatus(t, 200); strings.TrimSpace(r.body) != "[]" {
		t.Errorf("no modules are %s", r.body)
	}
}

func TestModule_lifeCycle(t *testing.T) {
	f := newFixture(t)
	f.create("d1")
	const path = "/devices/d1/modules/m1" + version
	put := func(body, ifMatch string) response {
		header := map[string]string{}
		if ifMatch != "" {
			header["If-Match"] = ifMatch
		}
		return f.do(ask{method: "PUT", path: path, body: body, header: header})
	}
	put(`{}`, `"*"`).wantError(t, hubward.CodeModuleNotFound, "d1/m1")
	first := decode[hubward.Module](t, put(`{"managedBy":"me"}`, "").wantStatus(t, 200))
	put(`{}`, "").wantError(t, hubward.CodeModuleAlreadyExistsOnDevice, "m1")
	put(`{}`, `"MA=="`).wantError(t, hubward.CodePreconditionFailed, "etag")
	second := decode[hubward.Module](t, put(`{"etag":"ignored","managedBy":null}`, `W/"`+first.ETag+`"`).wantStatus(t, 200))
	if second.ManagedBy != "" || second.ETag == first.ETag || second.GenerationID != first.GenerationID {
		t.Errorf("replaced by %+v", second)
	}
	put(`{"managedBy":"you"}`, "*").wantStatus(t, 200)
	del := func(ifMatch string) response {
		return f.do(ask{method: "DELETE", path: path, header: map[string]string{"If-Match": ifMatch}})
	}
	del("").wantError(t, hubward.CodePreconditionFailed, "If-Match")
	del(first.ETag).wantError(t, hubward.CodePreconditionFailed, "etag")
	if r := del(`"*"`).wantStatus(t, 204); r.body != "" {
		t.Errorf("body %q", r.body)
	}
	del("*").wantError(t, hubward.CodeModuleNotFound, "m1")
	f.do(ask{path: path}).wantError(t, hubward.CodeModuleNotFound, "m1")
}

func TestModule_ids(t *testing.T) {
	f := newFixture(t)
	f.create("d#1")
	for _, id := range append(oddIDs[:len(oddIDs):len(oddIDs)], "modules", "keys") {
		path := "/devices/d%231/modules/" + pathEscape(id)
		r := f.do(ask{method: "PUT", path: path + version, body: `{}`})
		if strings.HasPrefix(id, "$") {
			r.wantError(t, hubward.CodeArgumentInvalid, "$")
			continue
		}
		if m := decode[hubward.Module](t, r.wantStatus(t, 200)); m.ModuleID != id || m.DeviceID != "d#1" {
			t.Fatalf("created %+v", m)
		}
		f.do(ask{path: "/devices%2Fd%231%2Fmodules%2F" + pathEscape(id) + version}).wantStatus(t, 200)
		f.do(ask{method: "DELETE", path: path + version, header: map[string]string{"If-Match": "*"}}).wantStatus(t, 204)
	}
	f.do(ask{method: "PUT", path: "/devices/d%231/modules/a%20b" + version, body: `{}`}).wantError(t, hubward.CodeArgumentInvalid, "id")
	f.do(ask{method: "PUT", path: "/devices/d%231/modules/" + strings.Repeat("n", 129) + version, body: `{}`}).wantError(t, hubward.CodeArgumentInvalid, "129")
}

func TestModule_refusals(t *testing.T) {
	f := newFixture(t)
	f.create("d1")
	const path = "/devices/d1/modules/m1" + version
	for _, test := range []struct {
		body string
		code hubward.Code
		text string
	}{
		{"", hubward.CodeArgumentNull, "no body"},
		{`{"managedBy":`, hubward.CodeFormatError, "JSON"},
		{`[]`, hubward.CodeArgumentInvalid, "the body"},
		{`{"deviceId":"d2"}`, hubward.CodeArgumentInvalid, "deviceId"},
		{`{"moduleId":"m2"}`, hubward.CodeArgumentInvalid, "moduleId"},
		{`{"managedBy":"` + strings.Repeat("x", 129) + `"}`, hubward.CodeArgumentInvalid, "managedBy"},
		{`{"authentication":{"type":"password"}}`, hubward.CodeArgumentInvalid, "authentication.type"},
		{`{"authentication":{"symmetricKey":{"primaryKey":"x"}}}`, hubward.CodeArgumentInvalid, "primaryKey"},
		{`{"authentication":{"type":"selfSigned","x509Thumbprint":{"primaryThumbprint":"x"}}}`, hubward.CodeArgumentInvalid, "StringIsNotThumbprint"},
	} {
		f.do(ask{method: "PUT", path: path, body: test.body}).wantError(t, test.code, test.text)
	}
	f.do(ask{method: "PUT", path: path, body: `{}`, policy: "registryRead"}).wantError(t, hubward.CodeUnauthorizedAccess, "")
	f.do(ask{path: path, policy: "service"}).wantError(t, hubward.CodeUnauthorizedAccess, "")
	for _, call := range []ask{{path: "/devices/none/modules"}, {path: "/devices/none/modules/m"}, {method: "PUT", path: "/devices/none/modules/m", body: `{}`}} {
		call.path += version
		f.do(call).wantError(t, hubward.CodeDeviceNotFound, "none")
	}
	f.do(ask{method: "POST", path: path}).wantError(t, hubward.CodeMethodNotAllowed, "POST")
	f.do(ask{path: "/devices/d1/modules"}).wantError(t, hubward.CodeInvalidProtocolVersion, "api-version")
}

func TestModule_limit(t *testing.T) {
	f := newFixture(t)
	f.create("d1")
	for i := range hubward.MaxModules {
		f.createModule(hubward.Identity{Device: "d1", Module: fmt.Sprint("m", i)})
	}
	r := f.do(ask{method: "PUT", path: "/devices/d1/modules/m50" + version, body: `{}`})
	r.wantError(t, hubward.CodeTooManyModulesOnDevice, "50 modules")
	if r.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d", r.StatusCode)
	}
}

// The runtime of an Edge device looks after its modules with the device's own token.
func TestModule_byTheDeviceItself(t *testing.T) {
	f := newFixture(t)
	d := f.create("d1")
	other := f.create("d2")
	call := func(d *hubward.Device, method, path, body, ifMatch string) response {
		header := map[string]string{}
		if ifMatch != "" {
			header["If-Match"] = ifMatch
		}
		return f.do(ask{method: method, path: path + "?api-version=2017-11-08-preview", body: body, token: f.deviceToken(d), header: header})
	}
	const path = "/devices/d1/modules/m1"
	made := decode[hubward.Module](t, call(d, "PUT", path, `{"moduleId":"m1","managedBy":"IotEdge","deviceId":"d1","authentication":{"type":"none"}}`, "").wantStatus(t, 200))
	if made.Authentication.Type != hubward.AuthSAS || made.ManagedBy != "IotEdge" {
		t.Errorf("made %+v", made)
	}
	call(d, "PUT", path, `{"moduleId":"m1","deviceId":"d1"}`, "*").wantStatus(t, 200)
	if list := decode[[]hubward.Module](t, call(d, "GET", "/devices/d1/modules", "", "").wantStatus(t, 200)); len(list) != 1 {
		t.Errorf("list %+v", list)
	}
	call(d, "GET", path, "", "").wantStatus(t, 200)
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		call(other, method, path, `{}`, "*").wantError(t, hubward.CodeUnauthorizedAccess, "")
	}
	f.do(ask{path: "/devices/d1" + version, token: f.deviceToken(d)}).wantError(t, hubward.CodeUnauthorizedAccess, "")
	f.do(ask{path: path + version, token: f.token("plant", "device", "hub.example")}).wantError(t, hubward.CodeUnauthorizedAccess, "")
	f.do(ask{path: path + version, token: f.moduleToken(&made)}).wantError(t, hubward.CodeUnauthorizedAccess, "")
	call(d, "DELETE", path, "", "*").wantStatus(t, 204)
	d.Status = hubward.StatusDisabled
	if _, err := f.hub.PutDevice(t.Context(), f.process, *d, "*"); err != nil {
		t.Fatal(err)
	}
	call(d, "GET", "/devices/d1/modules", "", "").wantError(t, hubward.CodeUnauthorizedAccess, "")
	f.do(ask{path: "/devices/d1/modules" + version}).wantStatus(t, 200)
}

// Rows of modules stand in bulk calls in all modes; an error names the module.
func TestBulkDevices_modules(t *testing.T) {
	f := newFixture(t)
	f.create("d1")
	bulk := func(body string, status int) response {
		return f.do(ask{method: "POST", path: "/devices" + version, body: body}).wantStatus(t, status)
	}
	bulk(`[{"id":"d1","moduleId":"m1","managedBy":"me","importMode":"create","status":null,"authentication":{"type":"sas","symmetricKey":{`+keyPair+`}},"tags":{"a":1}}]`, 200)
	m := decode[hubward.Module](t, f.do(ask{path: "/devices/d1/modules/m1" + version}))
	if m.ManagedBy != "me" || m.Authentication.SymmetricKey.PrimaryKey[:4] != "AAEC" {
		t.Errorf("made %+v", m)
	}
	f.do(ask{path: "/twins/d1/modules/m1" + version}).twin(t).want(t, "the twin", 2, `{"a":1}`, `{}`)
	r := bulk(`[{"id":"d1","moduleId":"m1","importMode":"create"}]`, 400)
	if want := `{"deviceId":"d1","moduleId":"m1","errorCode":409301,`; !strings.Contains(r.body, want) {
		t.Errorf("got %s", r.body)
	}
	bulk(`[{"id":"d1","moduleId":"m1","importMode":"updateTwin","properties":{"desired":{"b":2}}}]`, 200)
	bulk(`[{"id":"d1","moduleId":"m1","eTag":"`+m.ETag+`","importMode":"deleteIfMatchETag"}]`, 200)
	f.do(ask{path: "/devices/d1/modules/m1" + version}).wantError(t, hubward.CodeModuleNotFound, "m1")
}

// Telemetry of a module over HTTPS is its own.
func TestSendTelemetry_module(t *testing.T) {
	f := newFixture(t)
	f.create("d1")
	m := f.createModule(hubward.Identity{Device: "d1", Module: "m1"})
	path := "/devices/d1/modules/m1/messages/events" + version
	f.do(ask{method: "POST", path: path, body: "x", token: f.moduleToken(m)}).wantStatus(t, 204)
	f.do(ask{method: "POST", path: strings.Replace(path, "m1", "m2", 1), body: "x", token: f.moduleToken(m)}).wantError(t, hubward.CodeUnauthorizedAccess, "")
	f.do(ask{method: "POST", path: path, body: "last", token: f.moduleToken(m)}).wantStatus(t, 204)
	events := f.stored()
	if len(events) != 1 || events[0].ModuleID != "m1" || string(events[0].Message.Body) != "x" {
		t.Errorf("events %+v", events)
	}
}

func TestPageModules(t *testing.T) {
	f := newFixture(t)
	for _, d := range []string{"a", "b"} {
		f.create(d)
		for _, m := range []string{"m", "n"} {
			f.createModule(hubward.Identity{Device: d, Module: m})
		}
	}
	page := func(query string) (names []string) {
		for _, m := range decode[[]hubward.Module](t, f.do(ask{path: "/$hubward/modules?" + query}).wantStatus(t, 200)) {
			names = append(names, m.DeviceID+"/"+m.ModuleID)
		}
		return names
	}
	for query, want := range map[string][]string{
		"": {"a/m", "a/n", "b/m", "b/n"}, "top=3": {"a/m", "a/n", "b/m"}, "after=a&afterModule=m&top=2": {"a/n", "b/m"}, "after=b&afterModule=n": nil,
	} {
		if diff := cmp.Diff(want, page(query)); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
	f.do(ask{path: "/$hubward/modules?top=x"}).wantError(t, hubward.CodeArgumentInvalid, "top")
	f.do(ask{path: "/$hubward/modules", policy: "service"}).wantError(t, hubward.CodeUnauthorizedAccess, "")
}
