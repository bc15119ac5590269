package restfront_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward/internal/front/restfront"
)

func TestSplitPath(t *testing.T) {
	for _, test := range []struct {
		escaped string
		want    []string
	}{
		{"/devices", []string{"devices"}},
		{"/devices/", []string{"devices"}},
		{"/devices/d1", []string{"devices", "d1"}},
		{"/devices/d1/", []string{"devices", "d1"}},
		{"/devices/a%25b", []string{"devices", "a%b"}},
		{"/devices/a%2541", []string{"devices", "a%41"}}, // once, not twice
		{"/devices/a+b", []string{"devices", "a+b"}},
		{"/devices/..", []string{"devices", ".."}},
		{"/devices/a%23%3F:$", []string{"devices", "a#?:$"}},
		{"/devices%2Fd1", []string{"devices", "d1"}},
		{"/devices%2fkeys%2fregenerate", []string{"devices", "keys", "regenerate"}},
		{"/devices%2F", []string{"devices"}},
		{"/devices%2Fa%2541", []string{"devices", "a%41"}}, // whole path escaped: once, too
		{"/devices%2Fd1/", []string{"devices", "d1"}},
		{"/%24hubward/hub", []string{"$hubward", "hub"}},
		{"//devices", []string{"", "devices"}},
		{"/", []string{""}},
	} {
		got, ok := restfront.SplitPath(test.escaped)
		if !ok || cmp.Diff(test.want, got) != "" {
			t.Errorf("SplitPath(%q) = %q, %t, want %q", test.escaped, got, ok, test.want)
		}
	}
	for _, bad := range []string{"/devices/%", "/devices/%zz", "/devices%2Fd%"} {
		if got, ok := restfront.SplitPath(bad); ok {
			t.Errorf("SplitPath(%q) = %q, want a failure", bad, got)
		}
	}
}

func TestIsVersion(t *testing.T) {
	for version, want := range map[string]bool{
		"2021-04-12": true, "2016-02-03": true, "2020-05-31-preview": true, "2099-99-99": true,
		"": false, "2021": false, "2021-4-12": false, "2021-04-12-beta": false, "2021-04-12 ": false, "x021-04-12": false,
		"2021-04-12-preview-preview": false, "2021/04/12": false, "-preview": false, "2021-04-1-preview": false,
	} {
		if got := restfront.IsVersion(version); got != want {
			t.Errorf("IsVersion(%q) = %t, want %t", version, got, want)
		}
	}
}
