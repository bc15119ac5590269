package twindoc_test

import (
	"strings"
	"testing"

	"github.com/hubward/hubward/internal/hub/twindoc"
)

// The examples of RFC 7396 appendix A whose documents are objects without null; the rest are names and rules of ours.
var merges = []struct{ document, patch, result string }{
	{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
	{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
	{`{"a":"b"}`, `{"a":null}`, `{}`},
	{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
	{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
	{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
	{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
	{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
	{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
	{`{"a":"foo"}`, `null`, `{}`},
	{`{"a":"foo"}`, `{}`, `{"a":"foo"}`},

	{`{"a":1}`, `{"a":{}}`, `{"a":{}}`},
	{`{"a":{"b":1}}`, `{"a":{}}`, `{"a":{"b":1}}`},
	{`{"a":{"b":1}}`, `{"a":{"b":null}}`, `{"a":{}}`},
	{`{"a":{"b":{"c":1,"d":2}},"e":3}`, `{"a":{"b":{"c":null}}}`, `{"a":{"b":{"d":2}},"e":3}`},
	{`{"a":{"b":1}}`, `{"a":2}`, `{"a":2}`},
	{`{"a":{"b":1}}`, `{"a":[{"b":2}]}`, `{"a":[{"b":2}]}`},
	{`{"a":[{"b":1}]}`, `{"a":{"b":2,"c":null}}`, `{"a":{"b":2}}`},
	{`{"a":1}`, `{"a":{"b":{"c":null,"d":1},"e":null}}`, `{"a":{"b":{"d":1}}}`},
	{`{"b":2}`, `{"a":1,"c":3}`, `{"a":1,"b":2,"c":3}`},
	{`{"a":1,"c":3}`, `{"b":2}`, `{"a":1,"b":2,"c":3}`},
	{`{"a":1,"b":2,"c":3}`, `{"b":null}`, `{"a":1,"c":3}`},
	{`{"a":1,"b":2,"c":3}`, `{"c":null}`, `{"a":1,"b":2}`},
	{`{"a":1,"b":2,"c":3}`, `{"a":null,"b":null,"c":null}`, `{}`},
	{`{"a":1}`, `{"x":null}`, `{"a":1}`},
	{`{}`, `{"x":null}`, `{}`},
	{`{"a":{"x":1,"y":2,"z":3},"b":1}`, `{"a":{"w":0}}`, `{"a":{"w":0,"x":1,"y":2,"z":3},"b":1}`},
	{`{"a":{"x":1,"y":2,"z":3},"b":1}`, `{"a":{"zz":0},"c":{}}`, `{"a":{"x":1,"y":2,"z":3,"zz":0},"b":1,"c":{}}`},
	{`{"":1,"é":2}`, `{"":{"":3}}`, `{"":{"":3},"é":2}`},
	{`{"q\"":"}","b\\":"\\"}`, `{"q\"":"{","c":"\"\\"}`, `{"b\\":"\\","c":"\"\\","q\"":"{"}`},
	{`{"a":"x","n":1.0}`, `{"a":-0,"n":1.0E21}`, `{"a":-0,"n":1.0E21}`},
}

func TestMerge_documents(t *testing.T) {
	for _, k := range []twindoc.Kind{twindoc.Tags, twindoc.Desired} {
		for _, m := range merges {
			s := replace(t, twindoc.Section{}, k, m.document, start)
			before := string(s.Document)
			if got := string(merge(t, s, k, m.patch, start).Document); got != m.result {
				t.Errorf("%v: %s with %s\ngot  %s\nwant %s", k, m.document, m.patch, got, m.result)
			}
			if string(s.Document) != before {
				t.Errorf("%s was changed to %s", before, s.Document)
			}
		}
	}
}

func TestParse_canonical(t *testing.T) {
	for text, want := range map[string]string{
		" { \"b\" :\t1 ,\r\n\"a\":[ 1 , { \"d\":2, \"c\" : 3 } ] } ": `{"a":[1,{"c":3,"d":2}],"b":1}`,
		`{"a":1,"b":2,"a":3}`:                              `{"a":3,"b":2}`,
		`{"a":{"x":1},"a":{"y":1}}`:                        `{"a":{"y":1}}`,
		`{"\u0061":1,"a":2}`:                               `{"a":2}`,
		`{"a":2,"\u0061":1}`:                               `{"a":1}`,
		`{"ab":1,"a":2,"":3,"é":4,"z":5,"A":6}`:            `{"":3,"A":6,"a":2,"ab":1,"z":5,"é":4}`,
		`{"q\"":1,"q!":2,"q]":3}`:                          `{"q!":2,"q\"":1,"q]":3}`,
		`{"s":"\u00e9\/\u003c<&>\u2028\uD83D\ude00\""}`:    "{\"s\":\"é/<<&>\u2028😀\\\"\"}",
		`{"s":"\u0008\u000C\u000a\u000d\u0009\u001F\b\f"}`: `{"s":"\b\f\n\r\t\u001f\b\f"}`,
		`{"s":"\u007f\u0080"}`:                             "{\"s\":\"\x7f\u0080\"}",
		`{"n":[-0,0.0,1E5,1e+05,1.50,-12.5e-07]}`:          `{"n":[-0,0.0,1E5,1e+05,1.50,-12.5e-07]}`,
		`{"$version":1,"b":1,"$etag":"x","a":1,"$metadata":{"a":{"$lastUpdated":"x"}}}`: `{"a":1,"b":1}`,
	} {
		if got := string(merge(t, twindoc.Section{}, twindoc.Tags, text, start).Document); got != want {
			t.Errorf("%s merged\ngot  %s\nwant %s", text, got, want)
		}
		if got := string(replace(t, twindoc.Section{}, twindoc.Tags, text, start).Document); got != want {
			t.Errorf("%s as a document\ngot  %s\nwant %s", text, got, want)
		}
	}
}

// In a document that replaces a section a member that is null is one that is not there, also when another of the name came first.
func TestParseDocument_nulls(t *testing.T) {
	for text, want := range map[string]string{
		`null`:                          `{}`,
		`{"a":null}`:                    `{}`,
		`{"a":1,"a":null}`:              `{}`,
		`{"a":null,"a":1}`:              `{"a":1}`,
		`{"a":{"b":null,"c":1,"d":{}}}`: `{"a":{"c":1,"d":{}}}`,
		`{"a":{"b":{"c":null}}}`:        `{"a":{"b":{}}}`,
	} {
		if got := string(replace(t, twindoc.Section{}, twindoc.Desired, text, start).Document); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", text, got, want)
		}
	}
}

func TestMerge_versions(t *testing.T) {
	s := twindoc.Section{Version: 1}
	s = merge(t, s, twindoc.Desired, `{"a":1}`, start)
	s = merge(t, s, twindoc.Desired, `{"a":1}`, start)    // equal to what is there: still a write
	s = merge(t, s, twindoc.Desired, `{}`, start)         // no write
	s = merge(t, s, twindoc.Desired, `{"x":null}`, start) // a write
	s = merge(t, s, twindoc.Desired, `null`, start)       // a write
	s = replace(t, s, twindoc.Desired, `{}`, start)       // a write
	if s.Version != 6 {
		t.Errorf("version %d, want 6", s.Version)
	}
	s = replace(t, merge(t, twindoc.Section{}, twindoc.Tags, `{"a":1}`, start), twindoc.Tags, `{"b":1}`, start)
	if s.Version != 0 || s.Metadata != nil {
		t.Errorf("tags have the version %d and the metadata %x", s.Version, s.Metadata)
	}
}

// A stored section that is no document makes an error, nothing worse.
func TestMerge_damaged(t *testing.T) {
	p, err := twindoc.ParsePatch(twindoc.Reported, []byte(`{"b":{"c":1},"d":null}`))
	if err != nil {
		t.Fatal(err)
	}
	sound := merge(t, twindoc.Section{Version: 1}, twindoc.Reported, `{"a":[1,"x"],"b":{"a":true}}`, start)
	for i := range sound.Document {
		damaged := sound
		damaged.Document = sound.Document[:i:i]
		if i < 2 {
			continue // taken for an empty one, which has fewer nodes
		}
		if _, err := damaged.AppendFull(nil); err == nil {
			t.Errorf("%s was shown", damaged.Document)
		}
		if strings.HasSuffix(string(damaged.Document), "}") {
			continue
		}
		if next, err := damaged.Merge(p, start); err == nil {
			t.Errorf("%s became %s", damaged.Document, next.Document)
		}
	}
}

func TestMerge_allocations(t *testing.T) {
	s := written(t, 1000)
	p, err := twindoc.ParsePatch(twindoc.Reported, []byte(`{"property0450":1,"property9999":{"a":2}}`))
	if err != nil {
		t.Fatal(err)
	}
	n := testing.AllocsPerRun(10, func() {
		if _, err := s.Merge(p, start); err != nil {
			t.Fatal(err)
		}
	})
	if n > 4 {
		t.Errorf("%v allocations for a small patch, want 4 at most", n)
	}
}
