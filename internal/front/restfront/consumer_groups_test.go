package restfront_test

import (
	"strings"
	"testing"

	"github.com/hubward/hubward"
)

func TestConsumerGroups_lifeCycle(t *testing.T) {
	f := newFixture(t)
	base := "/$hubward/hubs/plant/consumer-groups"
	for _, path := range []string{"/dashboards", "/Dashboards", "/dashboards/"} { // there already is no error
		if r := f.do(ask{method: "PUT", path: base + path}).wantStatus(t, 200); r.body != `{"name":"dashboards"}` {
			t.Errorf("%s: got %s", path, r.body)
		}
	}
	if r := f.do(ask{path: base}).wantStatus(t, 200); r.body != `[{"name":"$Default"},{"name":"dashboards"}]` {
		t.Errorf("got %s", r.body)
	}
	if r := f.do(ask{path: "/$hubward/hubs/plant"}); !strings.Contains(r.body, `"consumerGroups":["$Default","dashboards"]`) {
		t.Errorf("the hub: %s", r.body)
	}
	f.do(ask{method: "PUT", path: base + "/%24Default"}).wantStatus(t, 200)
	f.do(ask{method: "PUT", path: base + "/a%20b"}).wantError(t, hubward.CodeArgumentInvalid, "name")
	f.do(ask{method: "DELETE", path: base + "/DASHBOARDS"}).wantStatus(t, 204)
	f.do(ask{method: "DELETE", path: base + "/dashboards"}).wantError(t, hubward.CodeNoSuchConsumerGroup, "dashboards")
	f.do(ask{method: "DELETE", path: base + "/$default"}).wantError(t, hubward.CodeInvalidOperation, "$Default")
	f.do(ask{method: "POST", path: base + "/dashboards"}).wantError(t, hubward.CodeMethodNotAllowed, "")
}

func TestConsumerGroups_ownerOfTheHubOrOperator(t *testing.T) {
	f := newFixture(t)
	f.do(ask{method: "PUT", path: "/$hubward/hubs/two", body: `{}`}).wantStatus(t, 201)
	owner, service := f.token("two", "iothubowner", "two.localhost"), f.token("two", "service", "two.localhost")
	for _, test := range []struct {
		method, path string
		status       int
	}{{"PUT", "/g", 200}, {"GET", "", 200}, {"DELETE", "/g", 204}} {
		f.do(ask{method: "PUT", path: "/$hubward/hubs/plant/consumer-groups/g"}).wantStatus(t, 200)
		f.do(ask{method: "PUT", path: "/$hubward/hubs/two/consumer-groups/g"}).wantStatus(t, 200)
		two := "/$hubward/hubs/two/consumer-groups" + test.path
		f.do(ask{method: test.method, path: two, token: service}).wantError(t, hubward.CodeUnauthorizedAccess, "")
		f.do(ask{method: test.method, path: two, token: owner}).wantStatus(t, test.status)
		for _, other := range []string{"plant", "none"} {
			f.do(ask{method: test.method, path: "/$hubward/hubs/" + other + "/consumer-groups" + test.path, token: owner}).wantError(t, hubward.CodeUnauthorizedAccess, "")
		}
		f.do(ask{method: test.method, path: "/$hubward/hubs/none/consumer-groups" + test.path}).wantError(t, hubward.CodeNoSuchHub, "none")
	}
}
