package twindoc_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward/internal/hub/twindoc"
)

func TestAppend_newSections(t *testing.T) {
	for want, s := range map[string]twindoc.Section{
		`{}`: {},
		`{"$metadata":{"$lastUpdated":"0001-01-01T00:00:00Z"},"$version":1}`: {Version: 1},
	} {
		if got := full(t, s); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	if got := string(twindoc.Section{Version: 1}.AppendDocument([]byte("x"))); got != `x{"$version":1}` {
		t.Errorf("for devices: %s", got)
	}
	if got := string(twindoc.Section{}.AppendDocument(nil)); got != `{}` {
		t.Errorf("tags for devices: %s", got)
	}
}

const (
	first  = `"$lastUpdated":"2026-01-02T03:04:05.6789012Z"`
	second = `"$lastUpdated":"2026-01-02T03:04:06.0000000Z"`
)

// Each object and each leaf says when it was written; arrays are leaves; the levels on the path to a change are written with it.
func TestAppendFull_metadata(t *testing.T) {
	later := time.Date(2026, 1, 2, 4, 4, 6, 99, time.FixedZone("CET", 3600))
	for k, want := range map[twindoc.Kind]string{
		twindoc.Tags: `{"a":{"b":{"c":1,"d":[{"e":1}]},"f":2},"g":{}}`,
		twindoc.Reported: `{"a":{"b":{"c":1,"d":[{"e":1}]},"f":2},"g":{},` +
			`"$metadata":{` + second + `,"a":{` + second + `,"b":{` + second + `,"c":{` + second + `},"d":{` + first + `}},"f":{` + first + `}},"g":{` + first + `}},"$version":3}`,
		twindoc.Desired: `{"a":{"b":{"c":1,"d":[{"e":1}]},"f":2},"g":{},` +
			`"$metadata":{` + second + `,"$lastUpdatedVersion":3,"a":{` + second + `,"$lastUpdatedVersion":3,` +
			`"b":{` + second + `,"$lastUpdatedVersion":3,"c":{` + second + `,"$lastUpdatedVersion":3},"d":{` + first + `,"$lastUpdatedVersion":2}},` +
			`"f":{` + first + `,"$lastUpdatedVersion":2}},"g":{` + first + `,"$lastUpdatedVersion":2}},"$version":3}`,
	} {
		s := twindoc.Section{}
		if k != twindoc.Tags {
			s.Version = 1
		}
		s = merge(t, s, k, `{"a":{"b":{"d":[{"e":1}],"x":5},"f":2},"g":{}}`, start)
		s = merge(t, s, k, `{"a":{"b":{"c":1,"x":null}}}`, later)
		if diff := cmp.Diff(want, full(t, s)); diff != "" {
			t.Errorf("%v (-want +got)\n%s", k, diff)
		}
	}
}

func TestAppendChange(t *testing.T) {
	const document = `{"a":{"b":1,"c":2},"d":3,"é":4}`
	stamp := second + `,"$lastUpdatedVersion":3`
	for _, row := range []struct {
		kind        twindoc.Kind
		patch, want string
	}{
		{twindoc.Tags, `{"a":{"b":null,"x":1},"d":null}`, `{"a":{"b":null,"x":1},"d":null}`},
		{twindoc.Tags, `null`, `{"a":null,"d":null,"é":null}`},
		{twindoc.Desired, `{"a":{"b":null,"x":[1]},"d":null}`, `{"a":{"b":null,"x":[1]},"d":null,` +
			`"$metadata":{` + stamp + `,"a":{` + stamp + `,"x":{` + stamp + `}}},"$version":3}`},
		{twindoc.Desired, `null`, `{"a":null,"d":null,"é":null,"$metadata":{` + stamp + `},"$version":3}`},
		{twindoc.Reported, `{"x":null}`, `{"x":null,"$metadata":{` + second + `},"$version":3}`},
	} {
		before := twindoc.Section{}
		if row.kind != twindoc.Tags {
			before.Version = 1
		}
		before = merge(t, before, row.kind, document, start)
		p, err := twindoc.ParsePatch(row.kind, []byte(row.patch))
		if err != nil {
			t.Fatal(err)
		}
		after, err := before.Merge(p, time.Date(2026, 1, 2, 3, 4, 6, 0, time.UTC))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(row.want, string(after.AppendChange(nil, before, p))); diff != "" {
			t.Errorf("%v %s (-want +got)\n%s", row.kind, row.patch, diff)
		}
	}
}

func TestNotification(t *testing.T) {
	for _, row := range []struct {
		document, write string
		replaced        bool
		want            string
	}{
		{`{"a":1}`, `{"b":{"c":1,"d":null},"a":null}`, false, `{"a":null,"b":{"c":1,"d":null},"$version":3}`},
		{`{"a":{"x":1},"b":2}`, `null`, false, `{"a":null,"b":null,"$version":3}`},
		{`{}`, `null`, false, ``},
		{`{}`, `{}`, true, ``},
		{`{}`, `{"a":null}`, true, ``},
		{`{}`, `{"a":{}}`, true, `{"a":{},"$version":3}`},
		{`{"a":1,"b":2}`, `{}`, true, `{"a":null,"b":null,"$version":3}`},
		{`{"b":1,"d":2,"f":3}`, `{"a":0,"d":2,"g":4}`, true, `{"a":0,"b":null,"d":2,"f":null,"g":4,"$version":3}`},
		{`{"a":{"b":{"c":1,"d":2},"e":3}}`, `{"a":{"b":{"d":4}}}`, true, `{"a":{"b":{"c":null,"d":4},"e":null},"$version":3}`},
		{`{"a":{"b":1}}`, `{"a":{}}`, true, `{"a":{"b":null},"$version":3}`},
		{`{"a":{"b":1}}`, `{"a":[1]}`, true, `{"a":[1],"$version":3}`},
		{`{"a":[1]}`, `{"a":{"b":1}}`, true, `{"a":{"b":1},"$version":3}`},
		{`{"a":[{"x":1}]}`, `{"a":[{"y":1}]}`, true, `{"a":[{"y":1}],"$version":3}`},
	} {
		before := replace(t, twindoc.Section{Version: 1}, twindoc.Desired, row.document, start)
		parse, write := twindoc.ParsePatch, twindoc.Section.Merge
		if row.replaced {
			parse, write = twindoc.ParseDocument, twindoc.Section.Replace
		}
		p, err := parse(twindoc.Desired, []byte(row.write))
		if err != nil {
			t.Fatal(err)
		}
		after, err := write(before, p, start)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(after.Notification(before, p, row.replaced)); got != row.want {
			t.Errorf("%s, then %s\ngot  %s\nwant %s", row.document, row.write, got, row.want)
		}
	}
	s := twindoc.Section{Version: 1}
	if got := s.Notification(s, nil, false); got != nil {
		t.Errorf("of nothing: %s", got)
	}
}
