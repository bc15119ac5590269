package restfront_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
)

// twinAnswer is what an answer tells of a twin, and the header's etag.
type twinAnswer struct {
	DeviceID   string
	ModuleID   string
	ETag       string
	Version    int64
	Tags       json.RawMessage
	Properties struct{ Desired, Reported json.RawMessage }
}

func (r response) twin(t testing.TB) twinAnswer {
	t.Helper()
	r.wantStatus(t, 200)
	a := decode[twinAnswer](t, r)
	if got := r.Header.Values("ETag"); len(got) != 1 || got[0] != strconv.Quote(a.ETag) {
		t.Errorf("ETag header %q, etag %q", got, a.ETag)
	}
	if got := r.Header.Get("Content-Type"); got != "application/json; charset=utf-8" {
		t.Errorf("Content-Type %q", got)
	}
	return a
}

// bare is a section without what the hub writes into it, members in order.
func bare(t testing.TB, section json.RawMessage) string {
	t.Helper()
	var members map[string]json.RawMessage
	if err := json.Unmarshal(section, &members); err != nil {
		t.Fatal(err)
	}
	delete(members, "$metadata")
	delete(members, "$version")
	text, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (a twinAnswer) want(t testing.TB, what string, version int64, tags, desired string) {
	t.Helper()
	got := []string{string(a.Tags), bare(t, a.Properties.Desired)}
	if diff := cmp.Diff([]string{tags, desired}, got); diff != "" || a.Version != version {
		t.Errorf("%s: version %d, want %d (-want +got):\n%s", what, a.Version, version, diff)
	}
}

func twinPath(id string) string { return "/twins/" + id + version }

// A new identity's twin, in full.
func TestTwin_new(t *testing.T) {
	f := newFixture(t)
	d := f.create("d1")
	r := f.do(ask{path: twinPath("d1")})
	r.twin(t)
	const section = `{"$metadata":{"$lastUpdated":"0001-01-01T00:00:00Z"},"$version":1}`
	want := `{"deviceId":"d1","etag":"AAAAAAAAAAE=","deviceEtag":"` + d.ETag + `","status":"enabled","statusUpdateTime":"0001-01-01T00:00:00",` +
		`"connectionState":"Disconnected","lastActivityTime":"0001-01-01T00:00:00","cloudToDeviceMessageCount":0,"authenticationType":"sas",` +
		`"x509Thumbprint":{"primaryThumbprint":null,"secondaryThumbprint":null},"modelId":"","version":2,"tags":{},` +
		`"properties":{"desired":` + section + `,"reported":` + section + `},"capabilities":{"iotEdge":false}}`
	if diff := cmp.Diff(want, r.body); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// PATCH merges what it has, as it was written; PUT replaces both sections.
func TestTwin_writes(t *testing.T) {
	f := newFixture(t)
	f.create("d1")
	patch := func(body string) response { return f.do(ask{method: "PATCH", path: twinPath("d1"), body: body}) }
	put := func(body string) response { return f.do(ask{method: "PUT", path: twinPath("d1"), body: body}) }
	patch(`{"tags":{"a":1.00,"<b>":"&"},"properties":{"desired":{"n":9007199254740993e0,"o":{"p":[1,2.50]}}}}`).twin(t).
		want(t, "both", 3, `{"<b>":"&","a":1.00}`, `{"n":9007199254740993e0,"o":{"p":[1,2.50]}}`)
	patch(`{"properties":{"desired":{"n":null}}}`).twin(t).want(t, "desired only", 4, `{"<b>":"&","a":1.00}`, `{"o":{"p":[1,2.50]}}`)
	patch(`{"Tags":{"a":null,"<b>":null,"c":true},"etag":null,"version":null,"properties":{"reported":{"x":1}}}`).twin(t).
		want(t, "what is not ours is passed over", 5, `{"c":true}`, `{"o":{"p":[1,2.50]}}`)
	for _, nothing := range []string{
		`{"tags":{},"properties":{"desired":{}},"etag":null}`, `{}`, `{"properties":null}`, `{"properties":{"reported":{}}}`,
	} {
		patch(nothing).twin(t).want(t, "nothing: "+nothing, 5, `{"c":true}`, `{"o":{"p":[1,2.50]}}`)
	}
	r := f.do(ask{method: "POST", path: twinPath("d1"), body: `{"tags":{"d":2}}`, header: map[string]string{"X-HTTP-Method-Override": "PATCH"}})
	r.twin(t).want(t, "POST that means PATCH", 6, `{"c":true,"d":2}`, `{"o":{"p":[1,2.50]}}`)
	// Whole twins are posted back.
	patch(r.body).twin(t).want(t, "the whole twin, PATCH", 7, `{"c":true,"d":2}`, `{"o":{"p":[1,2.50]}}`)
	put(r.body).twin(t).want(t, "the whole twin, PUT", 8, `{"c":true,"d":2}`, `{"o":{"p":[1,2.50]}}`)
	patch(`{"properties":{"desired":null}}`).twin(t).want(t, "desired cleared", 9, `{"c":true,"d":2}`, `{}`)
	put(`{"properties":{"desired":{"x":1}}}`).twin(t).want(t, "PUT without tags", 10, `{}`, `{"x":1}`)
	put(`{"tags":{"a":1},"properties":{"desired":{}}}`).twin(t).want(t, "PUT with empty desired properties", 11, `{"a":1}`, `{}`)
	f.do(ask{path: twinPath("d1")}).twin(t).want(t, "GET", 11, `{"a":1}`, `{}`)
}

func TestTwin_ifMatch(t *testing.T) {
	f := newFixture(t)
	f.create("d1")
	etag := f.do(ask{path: twinPath("d1")}).twin(t).ETag
	for _, method := range []string{"PATCH", "PUT"} {
		for _, spelling := range []string{`"%"`, `%`, `W/"%"`, `*`, `"*"`, ``} {
			header := map[string]string{"If-Match": strings.ReplaceAll(spelling, "%", etag)}
			next := f.do(ask{method: method, path: twinPath("d1"), body: `{"tags":{"a":1}}`, header: header}).twin(t).ETag
			if next == etag {
				t.Errorf("%s, If-Match %s: the etag stays", method, spelling)
			}
			f.do(ask{method: method, path: twinPath("d1"), body: `{"tags":{"a":2}}`, header: map[string]string{"If-Match": strconv.Quote(etag)}}).
				wantError(t, hubward.CodePreconditionFailed, "etag")
			etag = next
		}
	}
}

func TestTwin_module(t *testing.T) {
	f := newFixture(t)
	f.create("d1")
	f.createModule(hubward.Identity{Device: "d1", Module: "m1"})
	const path = "/twins/d1/modules/m1" + version
	if got := f.do(ask{path: path}).twin(t); got.DeviceID != "d1" || got.ModuleID != "m1" {
		t.Errorf("got %+v", got)
	}
	f.do(ask{method: "PATCH", path: path, body: `{"tags":{"a":1}}`}).twin(t).want(t, "PATCH", 3, `{"a":1}`, `{}`)
	f.do(ask{method: "PUT", path: path, body: `{"properties":{"desired":{"b":1}}}`}).twin(t).want(t, "PUT", 4, `{}`, `{"b":1}`)
	f.do(ask{path: twinPath("d1")}).twin(t).want(t, "the device", 2, `{}`, `{}`)
}

func TestTwin_refusals(t *testing.T) {
	f := newFixture(t)
	f.create("d1")
	for _, method := range []string{"GET", "PATCH", "PUT"} {
		body := `{"tags":{"a":1}}`
		f.do(ask{method: method, path: twinPath("d2"), body: body}).wantError(t, hubward.CodeDeviceNotFound, "d2")
		f.do(ask{method: method, path: "/twins/d2/modules/m1" + version, body: body}).wantNested(t, hubward.CodeDeviceNotFound, "d2")
		// The cloud service says so of a module, too.
		f.do(ask{method: method, path: "/twins/d1/modules/m1" + version, body: body}).wantNested(t, hubward.CodeDeviceNotFound, "m1")
		f.do(ask{method: method, path: twinPath("d1"), body: body, policy: "registryReadWrite"}).wantError(t, hubward.CodeUnauthorizedAccess, "")
	}
	for _, test := range []struct {
		body string
		code hubward.Code
		text string
	}{
		{"", hubward.CodeArgumentNull, "no body"},
		{`{"tags":`, hubward.CodeFormatError, "JSON"},
		{`[]`, hubward.CodeArgumentInvalid, "the body"},
		{`{"tags":[]}`, hubward.CodeArgumentInvalid, "tags"},
		{`{"properties":[]}`, hubward.CodeArgumentInvalid, "properties"},
		{`{"properties":{"desired":"x"}}`, hubward.CodeArgumentInvalid, "properties.desired"},
		{`{"properties":{"desired":{"a":{"b.c":1}}}}`, hubward.CodeArgumentInvalid, "properties.desired.a"},
		{`{"tags":{"a":"` + strings.Repeat("x", 4097) + `"}}`, hubward.CodeArgumentInvalid, "tags.a"},
		{`{"a":"` + strings.Repeat("x", 4<<20) + `"}`, hubward.CodeMessageTooLarge, "larger"},
	} {
		for _, method := range []string{"PATCH", "PUT"} {
			f.do(ask{method: method, path: twinPath("d1"), body: test.body}).wantError(t, test.code, test.text)
		}
	}
	f.do(ask{path: twinPath("d1")}).twin(t).want(t, "nothing was written", 2, `{}`, `{}`)
	f.do(ask{method: "DELETE", path: twinPath("d1")}).wantError(t, hubward.CodeMethodNotAllowed, "DELETE")
}

// The largest twin that there can be can be posted back.
func TestTwin_largest(t *testing.T) {
	f := newFixture(t)
	f.create("d1")
	var desired strings.Builder
	size := 0
	for i := 0; ; i++ {
		name := strconv.FormatInt(int64(i), 36)
		if size += len(name); size > 32<<10 {
			break
		}
		desired.WriteString(`,"` + name + `":{}`)
	}
	body := `{"properties":{"desired":{` + desired.String()[1:] + `}}}`
	r := f.do(ask{method: "PUT", path: twinPath("d1"), body: body})
	r.twin(t)
	var pretty strings.Builder
	enc := json.NewEncoder(&pretty)
	enc.SetIndent("", "    ")
	if err := enc.Encode(json.RawMessage(r.body)); err != nil {
		t.Fatal(err)
	}
	f.do(ask{method: "PUT", path: twinPath("d1"), body: pretty.String()}).twin(t)
	t.Logf("%d bytes, %d as people write it", len(r.body), pretty.Len())
}
