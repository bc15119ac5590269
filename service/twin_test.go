package service_test

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/service"
)

var (
	device1 = hubward.Identity{Device: "d#1"}
	module1 = hubward.Identity{Device: "d#1", Module: "m%1"}
)

const twinJSON = `{"deviceId":"d#1","etag":"AAAAAAAAAAI=","deviceEtag":"MQ==","status":"enabled","statusReason":null,` +
	`"statusUpdateTime":"0001-01-01T00:00:00","connectionState":"Connected","lastActivityTime":"2026-01-31T00:49:39.1234567Z",` +
	`"cloudToDeviceMessageCount":0,"authenticationType":"sas","x509Thumbprint":{"primaryThumbprint":null,"secondaryThumbprint":null},` +
	`"modelId":"","version":4,"tags":{"n":9007199254740993},"properties":{"desired":{"a":1.0,"$metadata":{},"$version":2},` +
	`"reported":{"$metadata":{},"$version":1}},"capabilities":{"iotEdge":false},"configurations":{}}`

// sent is what a call asked of the hub: the line, the etag, and the body.
type sent struct{ line, ifMatch, body string }

// hubAnswering answers each call with twinJSON, and notes what it asked.
func hubAnswering(t *testing.T, got *sent, answerBody string) *service.Client {
	f := newFakeHub(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		*got = sent{r.Method + " " + r.URL.EscapedPath() + "?" + r.URL.RawQuery, r.Header.Get("If-Match"), string(body)}
		answer(w, 200, answerBody)
	})
	return f.client(t, nil)
}

func TestTwin(t *testing.T) {
	var got sent
	c := hubAnswering(t, &got, twinJSON)
	twin, err := c.Twin(t.Context(), device1)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sent{line: "GET /twins/d%231?api-version=2021-04-12"}, got, cmp.AllowUnexported(sent{})); diff != "" {
		t.Error(diff)
	}
	if twin.ETag != "AAAAAAAAAAI=" || twin.Version != 4 || string(twin.Tags) != `{"n":9007199254740993}` || twin.ConnectionState != hubward.Connected ||
		hubward.SectionVersion(twin.Properties.Desired) != 2 || twin.LastActivityTime.Nanosecond() != 123456700 {
		t.Errorf("got %+v", twin)
	}
	if _, err := c.Twin(t.Context(), module1); err != nil || got.line != "GET /twins/d%231/modules/m%251?api-version=2021-04-12" {
		t.Errorf("%v: %s", err, got.line)
	}
	if _, err := c.Twin(t.Context(), hubward.Identity{}); hubward.CodeOf(err) != hubward.CodeArgumentInvalid {
		t.Errorf("no id: %v", err)
	}
}

func TestWriteTwin(t *testing.T) {
	var got sent
	c := hubAnswering(t, &got, twinJSON)
	type config struct {
		Speed int `json:"speed"`
	}
	var noMap map[string]any
	var noConfig *config
	raw := func(text string) json.RawMessage { return json.RawMessage(text) }
	for name, test := range map[string]struct {
		patch                     service.TwinPatch
		etag                      string
		update, replace, wantETag string
	}{
		"a map and a struct": {
			service.TwinPatch{Tags: map[string]any{"room": "a<b"}, Desired: config{3}}, "",
			`{"tags":{"room":"a<b"},"properties":{"desired":{"speed":3}}}`, `{"tags":{"room":"a<b"},"properties":{"desired":{"speed":3}}}`, "",
		},
		"raw JSON, with numbers as they are": {
			service.TwinPatch{Tags: raw(`{"n":9007199254740993, "f":1.0, "e":1E2, "z":null}`)}, service.AnyETag,
			`{"tags":{"n":9007199254740993,"f":1.0,"e":1E2,"z":null}}`, `{"tags":{"n":9007199254740993,"f":1.0,"e":1E2,"z":null},"properties":{"desired":{}}}`, `"*"`,
		},
		"one section": {
			service.TwinPatch{Desired: raw(`{"b":1,"a":2}`)}, "AAAAAAAAAAE=",
			`{"properties":{"desired":{"b":1,"a":2}}}`, `{"tags":{},"properties":{"desired":{"b":1,"a":2}}}`, `"AAAAAAAAAAE="`,
		},
		"sections emptied": {
			service.TwinPatch{Tags: raw(`null`), Desired: raw(`null`)}, "",
			`{"tags":null,"properties":{"desired":null}}`, `{"tags":null,"properties":{"desired":null}}`, "",
		},
		"nothing, in all its forms": {service.TwinPatch{Tags: noMap, Desired: noConfig}, "", `{}`, `{"tags":{},"properties":{"desired":{}}}`, ""},
		"no raw JSON":               {service.TwinPatch{Tags: raw("")[:0:0], Desired: json.RawMessage(nil)}, "", "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for method, write := range map[string]func() (*hubward.Twin, error){
				"PATCH": func() (*hubward.Twin, error) { return c.UpdateTwin(t.Context(), device1, test.patch, test.etag) },
				"PUT":   func() (*hubward.Twin, error) { return c.ReplaceTwin(t.Context(), device1, test.patch, test.etag) },
			} {
				want := sent{method + " /twins/d%231?api-version=2021-04-12", test.wantETag, test.update}
				if method == "PUT" {
					want.body = test.replace
				}
				twin, err := write()
				if want.body == "" { // empty and no JSON
					if hubward.CodeOf(err) != hubward.CodeArgumentInvalid {
						t.Errorf("%s: %v", method, err)
					}
					continue
				}
				if err != nil || twin.Version != 4 {
					t.Fatalf("%s: %+v, %v", method, twin, err)
				}
				if diff := cmp.Diff(want, got, cmp.AllowUnexported(sent{})); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

func TestUpdateTwin_whatIsNoSection(t *testing.T) {
	f := newFakeHub(t, func(w http.ResponseWriter, r *http.Request) { answer(w, 200, twinJSON) })
	c := f.client(t, nil)
	for want, v := range map[string]any{
		"no JSON object: [1]":  []int{1},
		`no JSON object: "x"`:  "x",
		"no JSON object: 5":    json.RawMessage(" 5"),
		"cannot be encoded":    math.NaN(),
		"encoded: json: error": json.RawMessage(`{"a":}`),
	} {
		for section, p := range map[string]service.TwinPatch{"tags": {Tags: v}, "desired properties": {Desired: v}} {
			_, err := c.UpdateTwin(t.Context(), module1, p, "")
			var e *hubward.Error
			if !errors.As(err, &e) || e.Code != hubward.CodeArgumentInvalid || e.Identity != module1 || e.Op != "service.UpdateTwin" ||
				!strings.HasPrefix(e.Message, "the "+section) || !strings.Contains(e.Message, want) {
				t.Errorf("%v: %v", v, err)
			}
		}
	}
	if n := len(f.requests()); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

// The envelopes in which hubs tell of errors of twins and methods: twice wrapped for methods and modules.
func TestTwin_errors(t *testing.T) {
	status, body := 0, ""
	c := newFakeHub(t, func(w http.ResponseWriter, r *http.Request) { answer(w, status, body) }).client(t, nil)
	for _, test := range []struct {
		status int
		body   string
		code   hubward.Code
		text   string
	}{
		{412, `{"Message":"ErrorCode:PreconditionFailed;the etag is another one","ExceptionMessage":"Tracking ID:1"}`, hubward.CodePreconditionFailed, "the etag is another one"},
		{400, `{"Message":"ErrorCode:ArgumentInvalid;tags.a: too deep","ExceptionMessage":""}`, hubward.CodeArgumentInvalid, "tags.a: too deep"},
		{404, `{"Message":"{\"errorCode\":404001,\"trackingId\":\"1\",\"message\":\"no such device\",\"timestampUtc\":\"2026-01-31\"}","ExceptionMessage":""}`, hubward.CodeDeviceNotFound, "no such device"},
		{404, `{"errorCode":404010,"trackingId":"1","message":"no such module","info":{},"timestampUtc":"2026-01-31"}`, hubward.CodeModuleNotFound, "no such module"},
	} {
		status, body = test.status, test.body
		_, err := c.UpdateTwin(t.Context(), module1, service.TwinPatch{}, "x")
		var e *hubward.Error
		if !errors.As(err, &e) || e.Code != test.code || e.Message != test.text || e.Identity != module1 {
			t.Errorf("%d %s: %v", test.status, test.body, err)
		}
	}
}
