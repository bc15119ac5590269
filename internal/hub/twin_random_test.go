package hub_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
)

// object is a JSON object as the plain model has it; numbers are json.Number, so that their texts count.
type object = map[string]any

func parseObject(t *testing.T, text []byte) (v object) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

// merged is RFC 7396, "MergePatch", line by line.
func merged(target any, patch any) any {
	p, isObject := patch.(object)
	if !isObject {
		return patch
	}
	result := object{}
	if t, wasObject := target.(object); wasObject {
		result = maps.Clone(t)
	}
	for name, value := range p {
		if value == nil {
			delete(result, name)
		} else {
			result[name] = merged(result[name], value)
		}
	}
	return result
}

// randomJSON makes documents of few names, so that they meet.
type randomJSON struct{ *rand.Rand }

func (r randomJSON) object(depth int) object {
	o := object{}
	for range r.IntN(4) {
		o[string(rune('a'+r.IntN(4)))] = r.value(depth)
	}
	return o
}

func (r randomJSON) value(depth int) any {
	switch n := r.IntN(10); {
	case n < 3 && depth > 0:
		return r.object(depth - 1)
	case n < 5:
		return nil
	case n < 6:
		return []any{json.Number("1"), r.object(0), "x"}[:r.IntN(3)]
	}
	return []any{json.Number("1.50"), json.Number("1e2"), json.Number("-0"), true, false, "", "é \" <&> \\ \u2028", "long"}[r.IntN(8)]
}

// section makes the text of a section, empty for none. Arrays hold no null.
func (r randomJSON) section() (text string, value any) {
	switch r.IntN(8) {
	case 0:
		return "", nil
	case 1:
		return "null", nil
	}
	o := r.object(3)
	for containsNullInArray(o) {
		o = r.object(3)
	}
	raw, _ := json.Marshal(o)
	return string(raw), o
}

func containsNullInArray(v any) bool {
	switch v := v.(type) {
	case object:
		for _, inner := range v {
			if containsNullInArray(inner) {
				return true
			}
		}
	case []any:
		raw, _ := json.Marshal(v)
		return bytes.Contains(raw, []byte("null"))
	}
	return false
}

// model is a twin as plainly as can be.
type model struct {
	tags, desired, reported object
	etag                    int64
	desiredVersion          int64
	reportedVersion         int64
}

// write is what a back end's write makes of a section, and whether that is a write.
func (m *model) write(section object, text string, value any, replace bool) (object, bool) {
	o, isObject := value.(object)
	switch {
	case replace && !isObject, text == "null":
		return object{}, true
	case replace:
		return merged(object{}, o).(object), true // leaves out nulls
	case text == "" || len(o) == 0:
		return section, false
	}
	return merged(section, o).(object), true
}

// Any sequence of writes, of back ends on any node and of the device, ends in what a plain model of RFC 7396 has, at the hub and
// at a device that merges what it is told.
func TestTwin_isThePlainModel(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			onOneAndTwo(t, func(t *testing.T, c *crew) {
				r := randomJSON{rand.New(rand.NewPCG(seed, 1))}
				device := c.device("d1")
				m := &model{tags: object{}, desired: object{}, reported: object{}, etag: 1, desiredVersion: 1, reportedVersion: 1}
				conn := c.connect(c.other(), device)
				d := c.follow(conn)
				copied := object{}
				for range 80 {
					switch n := r.IntN(10); {
					case n < 5:
						c.randomWrite(r, m)
					case n < 8:
						c.randomReport(r, m, conn)
					case n < 9:
						d.hold(r.IntN(2) == 0 && m.desiredVersion%8 == 0) // never for longer than is remembered
					default:
						conn = c.connect(r.IntN(len(c.nodes)), device)
						d = c.follow(conn)
						copied = c.desiredOf(conn)
					}
					if m.desiredVersion%8 == 7 {
						d.hold(false)
					}
					copied = d.mergeInto(t, copied)
				}
				d.hold(false)
				copied = d.mergeInto(t, copied)
				c.compare(m, conn, copied)
			})
		})
	}
}

func (c *crew) randomWrite(r randomJSON, m *model) {
	c.t.Helper()
	tags, tagsValue := r.section()
	desired, desiredValue := r.section()
	replace := r.IntN(4) == 0
	h := c.nodes[r.IntN(len(c.nodes))]
	update := h.UpdateTwin
	if replace {
		update = h.ReplaceTwin
	}
	twin, err := update(c.t.Context(), "plant", "d1", write(tags, desired), "*")
	if err != nil {
		c.t.Fatalf("%s, %s: %v", tags, desired, err)
	}
	var wroteTags, wroteDesired bool
	m.tags, wroteTags = m.write(m.tags, tags, tagsValue, replace)
	m.desired, wroteDesired = m.write(m.desired, desired, desiredValue, replace)
	if wroteTags || wroteDesired {
		m.etag++
	}
	if wroteDesired {
		m.desiredVersion++
	}
	c.compareTwin(m, twin)
}

func (c *crew) randomReport(r randomJSON, m *model, conn connection) {
	c.t.Helper()
	text, value := r.section()
	version, err := conn.report(c.t.Context(), text, int64(r.IntN(2))*m.reportedVersion)
	o, isObject := value.(object)
	if !isObject {
		if err == nil {
			c.t.Errorf("%q was taken", text)
		}
		return
	}
	if len(o) > 0 {
		m.reportedVersion++
		m.reported = merged(m.reported, o).(object)
	}
	if version != m.reportedVersion || err != nil {
		c.t.Errorf("%s: version %d, %v, want %d", text, version, err, m.reportedVersion)
	}
}

// desiredOf is what a GET of the device says.
func (c *crew) desiredOf(conn connection) object {
	c.t.Helper()
	document, err := conn.get(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	desired := parseObject(c.t, []byte(document))["desired"].(object)
	delete(desired, "$version")
	return desired
}

// mergeInto merges what has come into a device's copy.
func (d *told) mergeInto(t *testing.T, copied object) object {
	t.Helper()
	for _, text := range d.take() {
		patch := parseObject(t, []byte(text))
		delete(patch, "$version")
		copied = merged(copied, patch).(object)
	}
	return copied
}

func (c *crew) compareTwin(m *model, twin *hubward.Twin) {
	c.t.Helper()
	tags, desired := parseObject(c.t, twin.Tags), parseObject(c.t, twin.Properties.Desired)
	reported := parseObject(c.t, twin.Properties.Reported)
	want := fmt.Sprint(m.etag+m.reportedVersion, " ", m.desiredVersion, " ", m.reportedVersion)
	if got := fmt.Sprint(twin.Version, " ", desired["$version"], " ", reported["$version"]); got != want {
		c.t.Errorf("versions %s, want %s", got, want)
	}
	sections := map[string]object{"desired": desired, "reported": reported}
	for name, section := range sections {
		metadata := section["$metadata"].(object)
		delete(section, "$metadata")
		delete(section, "$version")
		if !hasMetadata(section, metadata) {
			c.t.Errorf("%s %v has the metadata %v", name, section, metadata)
		}
	}
	if diff := cmp.Diff([]object{m.tags, m.desired, m.reported}, []object{tags, desired, reported}); diff != "" {
		c.t.Errorf("the hub has other sections (-want +got):\n%s", diff)
	}
}

// hasMetadata reports whether metadata says of the value, and of each member of it, when it was written, and of nothing else.
func hasMetadata(value any, metadata object) bool {
	if _, ok := metadata["$lastUpdated"].(string); !ok {
		return false
	}
	of, _ := value.(object)
	for name, inner := range of {
		m, ok := metadata[name].(object)
		if !ok || !hasMetadata(inner, m) {
			return false
		}
	}
	for name := range metadata {
		if _, ok := of[name]; !ok && name != "$lastUpdated" && name != "$lastUpdatedVersion" {
			return false
		}
	}
	return true
}

func (c *crew) compare(m *model, conn connection, copied object) {
	c.t.Helper()
	synctest.Wait()
	for _, h := range c.nodes {
		twin, err := h.Twin(c.t.Context(), "plant", "d1")
		if err != nil {
			c.t.Fatal(err)
		}
		c.compareTwin(m, twin)
	}
	if diff := cmp.Diff(m.desired, c.desiredOf(conn)); diff != "" {
		c.t.Errorf("the device is given other desired properties (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(m.desired, copied); diff != "" {
		c.t.Errorf("the device has merged other desired properties (-want +got):\n%s", diff)
	}
}
