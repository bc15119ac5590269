package restfront_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
)

const defaultC2D = `"cloudToDevice":{"defaultTtl":"1h0m0s","maxDeliveryCount":10,"feedback":{"ttl":"1h0m0s","lockDuration":"1m0s","maxDeliveryCount":10}}`

func TestHubs_lifeCycle(t *testing.T) {
	f := newFixture(t)
	r := f.do(ask{method: "PUT", path: "/$hubward/hubs/Two", body: `{"hostNames":["two.example"],"partitions":2,"retention":"48h"}`}).wantStatus(t, 201)
	want := `{"name":"Two","hostNames":["two.example"],"partitions":2,"retention":"48h0m0s","created":"2026-01-31T00:49:39.0000000Z","consumerGroups":["$Default"],` + defaultC2D + `}`
	if diff := cmp.Diff(want, r.body); diff != "" {
		t.Error(diff)
	}
	f.do(ask{method: "PUT", path: "/$hubward/hubs/two", body: `{}`}).wantError(t, hubward.CodeHubAlreadyExists, "Two")
	if r := f.do(ask{path: "/$hubward/hubs/Two"}).wantStatus(t, 200); r.body != want {
		t.Errorf("got %s", r.body)
	}
	if hubs := decode[[]struct{ Name string }](t, f.do(ask{path: "/$hubward/hubs/"})); len(hubs) != 2 || hubs[0].Name != "plant" || hubs[1].Name != "Two" {
		t.Errorf("hubs: %+v", hubs)
	}
	// The new hub's own owner speaks to it by its names, and may not manage hubs.
	token := f.token("Two", "iothubowner", "two.localhost")
	if r := f.do(ask{path: "/$hubward/hub", host: "two.localhost", token: token}); r.body != want {
		t.Errorf("got %d %s", r.StatusCode, r.body)
	}
	f.do(ask{path: "/$hubward/hubs", host: "two.example", token: token}).wantError(t, hubward.CodeUnauthorizedAccess, "")
	f.do(ask{method: "DELETE", path: "/$hubward/hubs/Two"}).wantStatus(t, 204)
	f.do(ask{path: "/$hubward/hubs/Two"}).wantError(t, hubward.CodeNoSuchHub, "Two")
	f.do(ask{method: "DELETE", path: "/$hubward/hubs/plant"}).wantError(t, hubward.CodeInvalidOperation, "plant")
}

// A call that is under way when its hub is deleted gets what the next one gets.
func TestHubs_deletedUnderACall(t *testing.T) {
	f := newFixture(t)
	f.do(ask{method: "PUT", path: "/$hubward/hubs/two", body: `{}`}).wantStatus(t, 201)
	token := f.token("two", "iothubowner", "two.localhost")
	c := f.dial()
	fmt.Fprintf(c.nc, "POST /devices/d1/messages/deviceBound%s HTTP/1.1\r\nHost: two.localhost\r\nAuthorization: %s\r\n"+
		"Content-Length: 1\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n", version, token)
	in := bufio.NewReader(c.nc)
	if line, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 100") { // it is let in, and reads
		t.Fatalf("%q, %v", line, err)
	}
	f.do(ask{method: "DELETE", path: "/$hubward/hubs/two"}).wantStatus(t, 204)
	fmt.Fprint(c.nc, "x")
	in.ReadString('\n') // the end of what came first
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	response{res, string(body)}.wantError(t, hubward.CodeHubNotFound, "deleted")
}

func TestUpdateHub_keepsWhatIsAbsent(t *testing.T) {
	f := newFixture(t)
	path := "/$hubward/hubs/two"
	f.do(ask{method: "PUT", path: path, body: `{"hostNames":["two.example"],"partitions":2,"retention":"7d"}`}).wantStatus(t, 201)
	for _, test := range []struct{ body, hostNames, retention string }{
		{`{}`, `["two.example"]`, "168h0m0s"},
		{`{"retention":"2d"}`, `["two.example"]`, "48h0m0s"},
		{`{"hostNames":["Deux.example","zwei.example"]}`, `["deux.example","zwei.example"]`, "48h0m0s"},
		{`{"hostNames":null,"retention":"90m"}`, `["deux.example","zwei.example"]`, "1h30m0s"},
		{`{"hostNames":[]}`, `[]`, "1h30m0s"},
	} {
		want := `{"name":"two","hostNames":` + test.hostNames + `,"partitions":2,"retention":"` + test.retention +
			`","created":"2026-01-31T00:49:39.0000000Z","consumerGroups":["$Default"],` + defaultC2D + `}`
		if r := f.do(ask{method: "PATCH", path: path, body: test.body}).wantStatus(t, 200); r.body != want {
			t.Errorf("%s answers %s\nwant %s", test.body, r.body, want)
		}
		if r := f.do(ask{path: path}).wantStatus(t, 200); r.body != want {
			t.Errorf("after %s: %s", test.body, r.body)
		}
	}
}

func TestHubs_c2dSettings(t *testing.T) {
	f := newFixture(t)
	path := "/$hubward/hubs/two"
	settings := func(r response) string {
		_, rest, _ := strings.Cut(r.body, `"cloudToDevice":`)
		return strings.TrimSuffix(rest, "}")
	}
	made := f.do(ask{method: "PUT", path: path, body: `{"cloudToDevice":{"defaultTtl":"1d","feedback":{"lockDuration":"5m"}}}`}).wantStatus(t, 201)
	if got := settings(made); got != `{"defaultTtl":"24h0m0s","maxDeliveryCount":10,"feedback":{"ttl":"1h0m0s","lockDuration":"5m0s","maxDeliveryCount":10}}` {
		t.Error(got)
	}
	changed := f.do(ask{method: "PATCH", path: path, body: `{"cloudToDevice":{"maxDeliveryCount":3,"feedback":{"ttl":"2d","maxDeliveryCount":100}}}`}).wantStatus(t, 200)
	want := `{"defaultTtl":"24h0m0s","maxDeliveryCount":3,"feedback":{"ttl":"48h0m0s","lockDuration":"5m0s","maxDeliveryCount":100}}`
	if got := settings(changed); got != want {
		t.Error(got)
	}
	if got := settings(f.do(ask{method: "PATCH", path: path, body: `{"retention":"2d"}`})); got != want {
		t.Error(got)
	}
}

func TestUpdateHub_refusals(t *testing.T) {
	f := newFixture(t)
	f.do(ask{method: "PUT", path: "/$hubward/hubs/two", body: `{}`}).wantStatus(t, 201)
	before := f.do(ask{path: "/$hubward/hubs/two"}).body
	for body, text := range map[string]string{
		`{"retention":"soon"}`:                                   "retention",
		`{"retention":"0d"}`:                                     "retention",
		`{"retention":"1s"}`:                                     "retention",
		`{"hostNames":["hub.example"]}`:                          "hostNames",
		`{"hostNames":["a b"]}`:                                  "hostNames",
		`{"partitions":8}`:                                       "partitions",
		`{"cloudToDevice":{"defaultTtl":"3d"}}`:                  "cloudToDevice.defaultTtl",
		`{"cloudToDevice":{"defaultTtl":"x"}}`:                   "cloudToDevice.defaultTtl",
		`{"cloudToDevice":{"maxDeliveryCount":101}}`:             "cloudToDevice.maxDeliveryCount",
		`{"cloudToDevice":{"feedback":{"lockDuration":"301s"}}}`: "cloudToDevice.feedback.lockDuration",
		`{"cloudToDevice":{"feedback":{"ttl":5}}}`:               "ttl",
		``:                               "body",
		`{"retention":"24h","x":{}} end`: "JSON",
	} {
		r := f.do(ask{method: "PATCH", path: "/$hubward/hubs/two", body: body})
		if r.StatusCode != 400 || !strings.Contains(r.body, text) {
			t.Errorf("%s: %d %s", body, r.StatusCode, r.body)
		}
	}
	if after := f.do(ask{path: "/$hubward/hubs/two"}).body; after != before {
		t.Errorf("a refused change left %s", after)
	}
	f.do(ask{method: "PATCH", path: "/$hubward/hubs/none", body: `{}`}).wantError(t, hubward.CodeNoSuchHub, "none")
	owner := f.token("two", "iothubowner", "two.localhost")
	f.do(ask{method: "PATCH", path: "/$hubward/hubs/two", body: `{}`, token: owner}).wantError(t, hubward.CodeUnauthorizedAccess, "")
}

func TestCreateHub_refusals(t *testing.T) {
	f := newFixture(t)
	for body, text := range map[string]string{
		`{"retention":"1 day"}`:           "retention",
		`{"retention":"0s"}`:              "retention",
		`{"retention":"-7d"}`:             "retention",
		`{"retention":5}`:                 "retention",
		`{"partitions":33}`:               "partitions",
		`{"hostNames":["hub.example"]}`:   "hostNames",
		`{"hostNames":"hub.example"}`:     "hostNames",
		`{"hostNames":["hub.example."]}`:  "hostNames: hub.example is a name of hub plant",
		`{"hostNames":["https://x"]}`:     "hostNames: \\\"https://x\\\": not a host name",
		`{"hostNames":["ünicode.org"]}`:   "xn--nicode-2ya.org",
		`{"retention":"24h","x":{}} tail`: "JSON",
	} {
		r := f.do(ask{method: "PUT", path: "/$hubward/hubs/two", body: body})
		if r.StatusCode != 400 || !strings.Contains(r.body, text) {
			t.Errorf("%s: %d %s", body, r.StatusCode, r.body)
		}
	}
}

func TestPolicies_lifeCycle(t *testing.T) {
	f := newFixture(t)
	type policy struct {
		Name                     string
		Permissions              []string
		PrimaryKey, SecondaryKey string
	}
	base := "/$hubward/hubs/plant/policies"
	made := decode[policy](t, f.do(ask{method: "PUT", path: base + "/reader", body: `{"permissions":["serviceconnect","RegistryRead"]}`}).wantStatus(t, 201))
	if diff := cmp.Diff([]string{"RegistryRead", "ServiceConnect"}, made.Permissions); diff != "" || made.PrimaryKey == "" {
		t.Errorf("made %+v: %s", made, diff)
	}
	f.do(ask{method: "PUT", path: base + "/reader", body: `{"permissions":["ServiceConnect"]}`}).wantError(t, hubward.CodePolicyAlreadyExists, "reader")
	f.do(ask{method: "PUT", path: base + "/other", body: `{"rights":["ServiceConnect"]}`}).wantError(t, hubward.CodeArgumentInvalid, "permission")
	f.do(ask{method: "PUT", path: base + "/other", body: `{"permissions":["Everything"]}`}).wantError(t, hubward.CodeArgumentInvalid, "Everything")
	f.do(ask{method: "PUT", path: base + "/other", body: `{}`}).wantError(t, hubward.CodeArgumentInvalid, "permission")
	token := f.token("plant", "reader", "hub.example")
	f.do(ask{path: "/statistics/service" + version, token: token}).wantStatus(t, 200)

	renewed := decode[policy](t, f.do(ask{method: "POST", path: base + "/reader/Regenerate", body: `{"key":"Primary"}`}).wantStatus(t, 200))
	if renewed.PrimaryKey == made.PrimaryKey || renewed.SecondaryKey != made.SecondaryKey {
		t.Errorf("made %+v, renewed %+v", made, renewed)
	}
	f.do(ask{path: "/statistics/service" + version, token: token}).wantError(t, hubward.CodeUnauthorizedAccess, "")
	f.do(ask{method: "POST", path: base + "/reader/regenerate", body: `{"key":"third"}`}).wantError(t, hubward.CodeArgumentInvalid, "key")

	if all := decode[[]policy](t, f.do(ask{path: base})); len(all) != 6 || all[5].Name != "reader" {
		t.Errorf("policies: %+v", all)
	}
	f.do(ask{method: "DELETE", path: base + "/reader"}).wantStatus(t, 204)
	f.do(ask{method: "DELETE", path: base + "/reader"}).wantError(t, hubward.CodeNoSuchPolicy, "reader")
}

func TestPolicies_ownerOfTheHubOrOperator(t *testing.T) {
	f := newFixture(t)
	f.do(ask{method: "PUT", path: "/$hubward/hubs/two", body: `{}`}).wantStatus(t, 201)
	owner := f.token("two", "iothubowner", "two.localhost")
	f.do(ask{path: "/$hubward/hubs/two/policies", token: owner}).wantStatus(t, 200)
	f.do(ask{path: "/$hubward/hubs/two/policies"}).wantStatus(t, 200)
	f.do(ask{path: "/$hubward/hubs/plant/policies", token: owner}).wantError(t, hubward.CodeUnauthorizedAccess, "")
	// Who may not look does not learn which hubs there are.
	f.do(ask{path: "/$hubward/hubs/none/policies", token: owner}).wantError(t, hubward.CodeUnauthorizedAccess, "")
	f.do(ask{path: "/$hubward/hubs/none/policies"}).wantError(t, hubward.CodeNoSuchHub, "none")
}
