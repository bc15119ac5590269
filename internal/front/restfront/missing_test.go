package restfront_test

import (
	"testing"

	"github.com/hubward/hubward"
)

func TestMissingFeatures_areNamed(t *testing.T) {
	f := newFixture(t)
	f.create("d1")
	for _, test := range []struct{ method, path, feature string }{
		{"POST", "/devices/d1/applyConfigurationContent", "configurations"},
		{"POST", "/devices/d1/files/", "file uploads"},
		{"POST", "/devices/d1/files/notifications/", "file uploads"},
		{"GET", "/configurations", "configurations"},
		{"PUT", "/configurations/c1", "configurations"},
		{"POST", "/configurations/testQueries", "configurations"},
		{"PUT", "/jobs/v2/j1", "jobs"},
		{"POST", "/jobs/create", "jobs"},
		{"GET", "/jobs", "jobs"},
		{"GET", "/digitaltwins/d1", "digital twins"},
		{"POST", "/digitaltwins/d1/components/c/commands/x", "digital twins"},
	} {
		t.Run(test.method+" "+test.path, func(t *testing.T) {
			want := "this hub does not have " + test.feature + " yet"
			f.do(ask{method: test.method, path: test.path + version, body: "{}"}).wantError(t, hubward.CodeInvalidOperation, want)
			// A device's token, or one of Entra ID, is no reason to say something else.
			f.do(ask{method: test.method, path: test.path + version, token: "Bearer abc"}).wantError(t, hubward.CodeInvalidOperation, want)
		})
	}
}

// What is near such a call, and is none.
func TestMissingFeatures_leaveOthersAlone(t *testing.T) {
	f := newFixture(t)
	f.create("query")
	f.do(ask{path: "/devices/query" + version}).wantStatus(t, 200)
	f.do(ask{method: "POST", path: "/devices/d1" + version}).wantError(t, hubward.CodeMethodNotAllowed, "POST")
	f.do(ask{method: "POST", path: "/devices/query/x" + version}).wantError(t, hubward.CodeNotFound, "path")
	f.do(ask{path: "/devices/d1/messages" + version}).wantError(t, hubward.CodeNotFound, "path")
	f.do(ask{path: "/twin/d1" + version}).wantError(t, hubward.CodeNotFound, "path")
}
