package twindoc_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub/twindoc"
)

// writer makes up what clients write.
type writer struct {
	*rand.Rand
	big bool // much at a time, and seldom from anew: the limits come near
}

var (
	memberNames = []string{"", "a", "b", "c", "d", "ab", "é", `q"`, `q!`, `b\`, "__t", "温度"}
	scalars     = []string{"0", "-0", "1", "1.0", "1.0E21", "1e+16", "4503599627370495", "true", "false", `""`, `"x"`, `"é\n\u0001\""`, `"\u00e9\/"`, "\"\u007f\u0085\""}
)

// object writes an object with up to most members. nulls says whether some of them are null.
func (w writer) object(depth, most int, nulls bool) string {
	var members []string
	for range w.IntN(most + 1) {
		value := "null"
		if !nulls || w.IntN(4) > 0 {
			value = w.value(depth, nulls)
		}
		members = append(members, w.name()+w.space()+":"+w.space()+value)
	}
	return "{" + strings.Join(members, w.space()+","+w.space()) + "}"
}

func (w writer) name() string {
	name := memberNames[w.IntN(len(memberNames))]
	quoted := strconv.Quote(name)
	if w.IntN(8) == 0 && name != "" && name[0] == 'a' {
		return `"\u0061` + quoted[2:]
	}
	return quoted
}

func (w writer) value(depth int, nulls bool) string {
	switch n := w.IntN(20); {
	case n < 6 && depth > 0:
		return w.object(depth-1, 4, nulls)
	case n < 8 && depth > 0:
		elements := make([]string, w.IntN(4))
		for i := range elements {
			elements[i] = w.value(depth-1, false)
		}
		return "[" + strings.Join(elements, ",") + "]"
	case n == 8:
		return strconv.Quote(strings.Repeat("x", w.IntN(4097)))
	}
	return scalars[w.IntN(len(scalars))]
}

func (w writer) space() string { return [...]string{"", "", "", " ", "\r\n\t"}[w.IntN(5)] }

// bulky writes members under names of their own.
func (w writer) bulky() string {
	var members []string
	for range 1 + w.IntN(4) {
		members = append(members, fmt.Sprintf(`"m%d":{"%d":%q}`, w.IntN(12), w.IntN(2), strings.Repeat("y", w.IntN(4097))))
	}
	return "{" + strings.Join(members, ",") + "}"
}

// write makes up one write, and whether it replaces the section.
func (w writer) write(k twindoc.Kind) (text string, replaced bool) {
	if w.big && w.IntN(2) == 0 {
		return w.bulky(), w.IntN(30) == 0
	}
	switch n := w.IntN(60); {
	case n == 0 && k != twindoc.Reported:
		return "null", false
	case n == 1, n < 5 && !w.big:
		return w.object(3, 6, true), true
	}
	return w.object(3, 6, true), false
}

// Any sequence of writes ends in what the model says: document, size, versions and metadata; and a device that merges what it is
// told of has the same desired properties.
func TestRandomWrites(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	for round := range uint64(30) {
		t.Run(fmt.Sprintf("seed %d", seed+round), func(t *testing.T) {
			w := writer{Rand: rand.New(rand.NewPCG(seed+round, 0))}
			w.big = w.IntN(3) == 0
			kind := twindoc.Kind(w.IntN(3))
			r := run{t: t, model: newModel(kind), device: map[string]any{}}
			r.section.Version = r.model.version
			for i := range 40 {
				text, replaced := w.write(kind)
				r.step(text, replaced, start.Add(time.Duration(i)*time.Second))
			}
		})
	}
}

// run is one sequence of writes.
type run struct {
	t       *testing.T
	model   *model
	section twindoc.Section
	device  any        // what a device has that was told of each change of the desired properties
	nodes   *modelNode // beside it
}

// step writes one text to the section and to the model.
func (r *run) step(text string, replaced bool, at time.Time) {
	r.t.Helper()
	r.write([]byte(text), decoded(r.t, []byte(text)), replaced, at)
}

// write writes a text, of which tree is what encoding/json makes.
func (r *run) write(text []byte, tree any, replaced bool, at time.Time) {
	r.t.Helper()
	parse, write := twindoc.ParsePatch, twindoc.Section.Merge
	if replaced {
		parse, write = twindoc.ParseDocument, twindoc.Section.Replace
	}
	p, err := parse(r.model.kind, text)
	if err != nil {
		r.t.Fatalf("%s: %v", text, err)
	}
	if members, ok := tree.(map[string]any); !replaced && ok && len(members) == 0 {
		if p != nil {
			r.t.Fatalf("%s is a patch", text)
		}
		return
	}
	before := r.section
	next, fits := r.model.write(tree, replaced, at)
	after, err := write(before, p, at)
	if fits != (err == nil) || err != nil && hubward.CodeOf(err) != hubward.CodeArgumentInvalid {
		r.t.Fatalf("%s: %v, want it to fit: %v", text, err, fits)
	}
	if !fits {
		return
	}
	r.model, r.section = next, after
	r.model.check(r.t, after)
	if !replaced {
		r.checkChange(string(after.AppendChange(nil, before, p)), tree, before)
	}
	if r.model.kind == twindoc.Desired {
		r.notify(after.Notification(before, p, replaced))
	}
}

// checkChange wants the event of a change to show the members of the patch, or null for each of a cleared section, with the
// metadata of the members that are there.
func (r *run) checkChange(text string, patch any, before twindoc.Section) {
	r.t.Helper()
	members, _ := patch.(map[string]any)
	want := map[string]any{}
	for name, value := range members {
		want[name] = value
	}
	if patch == nil {
		for name := range decoded(r.t, before.AppendDocument(nil)).(map[string]any) {
			want[name] = nil
		}
		delete(want, "$version")
	}
	if r.model.kind != twindoc.Tags {
		now := modelNode{written: r.model.metadata.written, version: r.model.version}
		_, named := mergeModel(map[string]any{}, members, &modelNode{}, now)
		want["$metadata"] = named.shown(r.model.kind == twindoc.Desired)
		want["$version"] = json.Number(strconv.FormatInt(r.model.version, 10))
	}
	if diff := diffTrees(any(want), decoded(r.t, []byte(text))); diff != "" {
		r.t.Fatalf("the event (-want +got)\n%s", diff)
	}
}

// notify has the device merge what it is told, as RFC 7396 says.
func (r *run) notify(text []byte) {
	r.t.Helper()
	if text != nil {
		r.device, r.nodes = mergeModel(r.device, decoded(r.t, text), r.nodes, modelNode{})
		if len(decoded(r.t, text).(map[string]any)) == 1 {
			r.t.Fatalf("nothing but a version: %s", text)
		}
	}
	want := decoded(r.t, r.section.AppendDocument(nil)).(map[string]any)
	got := r.device.(map[string]any)
	if text == nil {
		delete(want, "$version")
		got = withoutVersion(got)
	}
	if diff := diffTrees(any(want), any(got)); diff != "" {
		r.t.Fatalf("the device, told %s (-want +got)\n%s", text, diff)
	}
}

func withoutVersion(document map[string]any) map[string]any {
	rest := map[string]any{}
	for name, value := range document {
		if name != "$version" {
			rest[name] = value
		}
	}
	return rest
}
