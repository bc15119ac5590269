package twindoc_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/twindoc"
)

// model is a section as one would write it without a thought for speed: trees of encoding/json, merged as RFC 7396 says.
type model struct {
	kind     twindoc.Kind
	document map[string]any
	metadata *modelNode
	version  int64
}

// modelNode is the metadata of one member.
type modelNode struct {
	written  string
	version  int64
	children map[string]*modelNode
}

func newModel(k twindoc.Kind) *model {
	m := &model{kind: k, document: map[string]any{}, metadata: &modelNode{written: "0001-01-01T00:00:00Z"}}
	if k != twindoc.Tags {
		m.version = 1
	}
	return m
}

// write returns the model after a patch, or, as a whole, a replacement, and whether it fits.
func (m *model) write(patch any, replaced bool, at time.Time) (*model, bool) {
	next := &model{kind: m.kind}
	if m.kind != twindoc.Tags {
		next.version = m.version + 1
	}
	now := modelNode{written: at.UTC().Format(hubward.TimeLayout), version: next.version}
	target, node := any(m.document), m.metadata
	if replaced || patch == nil {
		target, node = map[string]any{}, &modelNode{}
	}
	if patch == nil {
		patch = map[string]any{}
	}
	document, metadata := mergeModel(target, patch, node, now)
	next.document, next.metadata = document.(map[string]any), metadata
	limit := 32768
	if m.kind == twindoc.Tags {
		limit = 8192
	}
	size := modelSize(next.document)
	return next, size <= limit || size <= modelSize(m.document)
}

// mergeModel is the algorithm of RFC 7396 section 2, which leaves target as it is and keeps metadata beside the document. now has no
// children.
func mergeModel(target, patch any, node *modelNode, now modelNode) (any, *modelNode) {
	written := now
	members, ok := patch.(map[string]any)
	if !ok {
		return patch, &written
	}
	result := map[string]any{}
	written.children = map[string]*modelNode{}
	if old, ok := target.(map[string]any); ok {
		for name, value := range old {
			result[name], written.children[name] = value, node.children[name]
		}
	}
	for name, value := range members {
		if value == nil {
			delete(result, name)
			delete(written.children, name)
			continue
		}
		result[name], written.children[name] = mergeModel(result[name], value, written.children[name], now)
	}
	return result, &written
}

// modelSize is the arithmetic of the limits.
func modelSize(value any) int {
	size := 0
	switch v := value.(type) {
	case map[string]any:
		for name, value := range v {
			size += modelSize(name) + modelSize(value)
		}
	case []any:
		for _, value := range v {
			size += modelSize(value)
		}
	case string:
		for _, r := range v {
			if r >= 0x20 && r < 0x7F || r > 0x9F {
				size += utf8.RuneLen(r)
			}
		}
	case json.Number:
		size = 8
	case bool:
		size = 4
	}
	return size
}

// shown is the section as back ends see it, as a tree.
func (m *model) shown() map[string]any {
	tree := map[string]any{}
	for name, value := range m.document {
		tree[name] = value
	}
	if m.kind != twindoc.Tags {
		tree["$metadata"] = m.metadata.shown(m.kind == twindoc.Desired)
		tree["$version"] = json.Number(strconv.FormatInt(m.version, 10))
	}
	return tree
}

func (n *modelNode) shown(withVersion bool) map[string]any {
	tree := map[string]any{"$lastUpdated": n.written}
	if withVersion && n.version != 0 {
		tree["$lastUpdatedVersion"] = json.Number(strconv.FormatInt(n.version, 10))
	}
	for name, child := range n.children {
		tree[name] = child.shown(withVersion)
	}
	return tree
}

// decoded returns JSON as a tree, with numbers as they are written.
func decoded(tb testing.TB, text []byte) any {
	tb.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var tree any
	if err := d.Decode(&tree); err != nil {
		tb.Fatalf("%v: %s", err, text)
	}
	if d.More() {
		tb.Fatalf("more than one value: %s", text)
	}
	return tree
}

// diffTrees is cmp.Diff, which takes its time even where nothing differs.
func diffTrees(want, got any) string {
	if reflect.DeepEqual(want, got) {
		return ""
	}
	return cmp.Diff(want, got)
}

// check compares a section with the model.
func (m *model) check(tb testing.TB, s twindoc.Section) {
	tb.Helper()
	if diff := diffTrees(any(m.shown()), decoded(tb, []byte(full(tb, s)))); diff != "" {
		tb.Fatalf("the section (-want +got)\n%s", diff)
	}
	device := map[string]any{}
	for name, value := range m.document {
		device[name] = value
	}
	if m.version > 0 {
		device["$version"] = json.Number(strconv.FormatInt(m.version, 10))
	}
	if diff := diffTrees(any(device), decoded(tb, s.AppendDocument(nil))); diff != "" {
		tb.Fatalf("what devices see (-want +got)\n%s", diff)
	}
	if s.Size != modelSize(m.document) {
		tb.Fatalf("the size is %d, want %d", s.Size, modelSize(m.document))
	}
	if s.Version != m.version {
		tb.Fatalf("the version is %d, want %d", s.Version, m.version)
	}
	if err := s.Check(m.kind); err != nil {
		tb.Fatalf("%v: %+v", err, s)
	}
	checkCanonical(tb, s.Document)
	if _, err := twindoc.CheckIndex(s); err != nil {
		tb.Fatal(err)
	}
}

// checkCanonical wants a document to be canonical, and to be taken as one.
func checkCanonical(tb testing.TB, document []byte) {
	tb.Helper()
	var compact bytes.Buffer
	if err := json.Compact(&compact, document); err != nil || !bytes.Equal(compact.Bytes(), document) {
		tb.Fatalf("not compact, or no JSON, %v: %q", err, document)
	}
	if !utf8.Valid(document) || bytes.Contains(document, []byte(`\/`)) || bytes.Contains(document, []byte(`\u00e`)) {
		tb.Fatalf("needless escapes, or no UTF-8: %q", document)
	}
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	checkOrder(tb, d, document)
}

// checkOrder reads one value, and wants the names in each object to be in order, as they are written.
func checkOrder(tb testing.TB, d *json.Decoder, document []byte) {
	tb.Helper()
	token, err := d.Token()
	if err != nil {
		tb.Fatalf("%v: %s", err, document)
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return
	}
	last := ""
	for i := 0; d.More(); i++ {
		if delim == '{' {
			before := d.InputOffset()
			if _, err = d.Token(); err != nil {
				tb.Fatal(err)
			}
			raw := strings.TrimLeft(string(document[before:d.InputOffset()]), ",")
			raw = raw[1 : len(raw)-1]
			if i > 0 && raw <= last {
				tb.Fatalf("%q stands behind %q: %s", raw, last, document)
			}
			last = raw
		}
		checkOrder(tb, d, document)
	}
	if _, err = d.Token(); err != nil {
		tb.Fatalf("%v: %s", err, document)
	}
}
