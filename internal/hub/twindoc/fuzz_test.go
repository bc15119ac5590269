package twindoc_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/twindoc"
)

// withoutNulls is a tree without members that are null.
func withoutNulls(tree any) any {
	members, ok := tree.(map[string]any)
	if !ok {
		return tree
	}
	for name, value := range members {
		if members[name] = withoutNulls(value); value == nil {
			delete(members, name)
		}
	}
	return members
}

// withoutOurs is the tree of a section without what the hub itself writes.
func withoutOurs(tree any) any {
	if members, ok := tree.(map[string]any); ok {
		for _, name := range []string{"$version", "$metadata", "$etag"} {
			delete(members, name)
		}
	}
	return tree
}

func addTexts(add func(text string)) {
	for _, v := range values {
		add(v.text)
	}
	for _, m := range merges {
		add(m.patch)
	}
	for _, text := range []string{
		`{"a":1,"b":{"y":null,"x":[{"q":1,"p":2,"q":3}]},"a":null,"$version":7,"$metadata":{"x.y":[null]}}`,
		`{"é\"\\\/\b\f\n\r\t\u001f":1}`, `{"a":-0.50E+07,"b":1e400}`, `NaN`, `[1`, `{"a":"\ud83d\ude00"}`,
	} {
		add(text)
	}
}

// What is taken is canonical, stays as it is when it is read again, and means what encoding/json makes of it. What is taken for
// no JSON is none.
func FuzzParsePatch(f *testing.F) {
	addTexts(func(text string) { f.Add([]byte(text)) })
	f.Fuzz(func(t *testing.T, text []byte) {
		if p, err := twindoc.ParsePatch(twindoc.Desired, text); hubward.CodeOf(err) == hubward.CodeFormatError && json.Valid(text) {
			t.Fatalf("%q is JSON: %v", text, err)
		} else if err == nil && p == nil {
			if tree := decoded(t, text); len(withoutOurs(tree).(map[string]any)) > 0 {
				t.Fatalf("%q changes nothing", text)
			}
		}
		p, err := twindoc.ParseDocument(twindoc.Desired, text)
		if err != nil {
			return
		}
		s, err := twindoc.Section{Version: 1}.Replace(p, start)
		if err != nil {
			return
		}
		want := withoutNulls(withoutOurs(decoded(t, text)))
		if want == nil {
			want = map[string]any{}
		}
		if diff := diffTrees(want, decoded(t, s.Document)); diff != "" {
			t.Fatalf("%q (-want +got)\n%s", text, diff)
		}
		if s.Size != modelSize(want) {
			t.Fatalf("%q has the size %d, want %d", text, s.Size, modelSize(want))
		}
		checkCanonical(t, s.Document)
		again := replace(t, twindoc.Section{}, twindoc.Desired, string(s.Document), start)
		if !bytes.Equal(again.Document, s.Document) {
			t.Fatalf("%q became %q when it was read again", s.Document, again.Document)
		}
	})
}

// A document and two patches, merged one after the other, make what the model makes of them, and what devices are told leads
// them there.
func FuzzMerge(f *testing.F) {
	for i, m := range merges {
		f.Add([]byte(m.document), []byte(m.patch), []byte(merges[(i+7)%len(merges)].patch))
	}
	f.Fuzz(func(t *testing.T, document, patch1, patch2 []byte) {
		r := run{t: t, model: newModel(twindoc.Desired), section: twindoc.Section{Version: 1}, device: map[string]any{}}
		for i, text := range [][]byte{document, patch1, patch2, document} {
			replaced := i%3 == 0
			parse := twindoc.ParsePatch
			if replaced {
				parse = twindoc.ParseDocument
			}
			if p, err := parse(twindoc.Desired, text); err != nil || p == nil {
				return
			}
			r.write(text, withoutOurs(decoded(t, text)), replaced, start)
		}
	})
}

// Whatever is stored, a merge and what is shown end with a result or an error, and what is shown is JSON if the document is.
func FuzzMetadata(f *testing.F) {
	s := merge(f, twindoc.Section{Version: 1}, twindoc.Reported, `{"a":{"b":[1,{"x":"\"}"}]},"c":true}`, start)
	s = merge(f, s, twindoc.Reported, `{"a":{"d":-1.5}}`, start.AddDate(0, 0, 1))
	f.Add(s.Document, s.Metadata, []byte(`{"a":{"b":null,"x":1},"c":{"d":null}}`))
	f.Add(s.Document, []byte(nil), []byte(`{"a":1}`))
	s = written(f, 60)
	f.Add(s.Document, s.Metadata, []byte(`{"property5000":1,"property9000":null}`))
	f.Add([]byte(`{"a":`), s.Metadata, []byte(`{"a":{"b":1}}`))
	f.Add([]byte(`{"a":[}`), []byte("\x01\x08\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00"), []byte(`{"a":{"b":1}}`))
	f.Add([]byte(`""`), []byte(nil), []byte(`{"a":1}`))
	f.Add([]byte(`{}}`), []byte(nil), []byte(`{"a":1}`))
	f.Fuzz(func(t *testing.T, document, metadata, patch []byte) {
		before := twindoc.Section{Document: document, Metadata: metadata, Version: 1}
		if text, err := before.AppendFull(nil); err == nil && json.Valid(document) && !json.Valid(text) {
			t.Fatalf("%q with %x is shown as %q", document, metadata, text)
		}
		p, err := twindoc.ParsePatch(twindoc.Reported, patch)
		if err != nil || p == nil {
			return
		}
		before.Notification(twindoc.Section{}, p, true)
		twindoc.Section{}.Notification(before, p, true)
		after, err := before.Merge(p, start)
		if err != nil {
			return
		}
		after.AppendChange(nil, before, p)
		if _, err := before.AppendFull(nil); err != nil || !json.Valid(document) {
			return
		}
		if _, err := twindoc.CheckIndex(before); err != nil {
			return
		}
		if _, err := after.AppendFull(nil); err != nil {
			t.Fatalf("%q with %x took %q and became %q with %x: %v", document, metadata, patch, after.Document, after.Metadata, err)
		}
	})
}

// A payload means the same as before, with each name once in an object, and stays as it is when it is read again.
func FuzzCanonicalValue(f *testing.F) {
	addTexts(func(text string) { f.Add([]byte(text)) })
	f.Fuzz(func(t *testing.T, text []byte) {
		const depth = 64
		got, err := twindoc.CanonicalValue(nil, text, depth)
		if err != nil {
			if code := hubward.CodeOf(err); code != hubward.CodeFormatError {
				t.Fatalf("code %v", code)
			}
			return
		}
		if diff := diffTrees(decoded(t, text), decoded(t, got)); diff != "" {
			t.Fatalf("%q (-want +got)\n%s", text, diff)
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, got); err != nil || !bytes.Equal(compact.Bytes(), got) {
			t.Fatalf("not compact, %v: %q", err, got)
		}
		again, err := twindoc.CanonicalValue(nil, got, depth)
		if err != nil || !bytes.Equal(again, got) {
			t.Fatalf("%q became %q when it was read again: %v", got, again, err)
		}
	})
}
