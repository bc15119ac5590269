//go:build interop

package interop_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// twinKeepers lists the clients that have a twin.
func twinKeepers() []receiving {
	return slices.DeleteFunc(receivers(), func(r receiving) bool { return r.name == "http" || r.sdk == "python" && r.name == "sync" })
}

// twin is a twin as the hub shows it, with its numbers as they are written.
type twin struct {
	ETag       string          `json:"etag"`
	Version    int             `json:"version"`
	Tags       json.RawMessage `json:"tags"`
	Properties struct {
		Desired  json.RawMessage `json:"desired"`
		Reported json.RawMessage `json:"reported"`
	} `json:"properties"`
}

// storedTwin asks the hub itself for a twin.
func storedTwin(t *testing.T, device string) twin {
	t.Helper()
	return twinIn(t, owner(t, http.MethodGet, "/twins/"+device).body)
}

func twinIn(t *testing.T, text string) twin {
	t.Helper()
	var found twin
	decode(t, text, &found)
	return found
}

// section is what a section of a twin holds, without what the hub adds.
func section(t *testing.T, text json.RawMessage) any {
	t.Helper()
	v := value(t, string(text))
	if members, ok := v.(map[string]any); ok {
		delete(members, "$metadata")
		delete(members, "$version")
	}
	return v
}

// versionOf is the $version of a section.
func versionOf(t *testing.T, text json.RawMessage) int {
	t.Helper()
	var found struct {
		Version int `json:"$version"`
	}
	decode(t, string(text), &found)
	return found.Version
}

// merged is RFC 7396: what a patch makes of a value.
func merged(old, patch any) any {
	members, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	was, _ := old.(map[string]any)
	made := map[string]any{}
	maps.Copy(made, was)
	for name, member := range members {
		if member == nil {
			delete(made, name)
		} else {
			made[name] = merged(made[name], member)
		}
	}
	return made
}

// wantValue compares a value with what has to be there.
func wantValue(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(twinNow{})); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

// patches of a section, one after the other.
var patches = []string{
	`{"numbers":{"decimal":1.50,"large":1e21,"greatest":4503599627370495,"negative":-0.25},"text":"ä € \" \\ 😀","yes":true,
	  "nested":{"a":{"b":[1,"two",{"three":[3]}]},"gone":{"at":"all"}},"gone":1,"empty":{},"list":[]}`,
	`{"gone":null,"absent":null,"nested":{"a":{"b":[9]},"gone":null},"text":null,"list":[[1],[2,3]]}`,
}

// A device on each SDK and transport has the same twin as a back end on each SDK, whoever writes it.
func TestTwins(t *testing.T) {
	services := map[string]*driven{"node": familyOf(t, "node").openDrivenService(t), "python": familyOf(t, "python").openDrivenService(t)}
	together(t, twinKeepers(), func(t *testing.T, r receiving) {
		device, cs := createDevice(t, "twins-"+r.String())
		j := &twinJourney{device: device.DeviceID, family: r.sdk, client: r.openDrivenDevice(t, cs), services: services}
		for _, j.by = range []string{"node", "python"} {
			j.get(t)
			j.report(t)
			j.update(t)
			j.writers(t)
			j.replace(t)
			j.refused(t)
		}
		j.get(t)
		j.query(t)
		j.events(t)
	})
}

// twinJourney is one device's.
type twinJourney struct {
	device, family string
	client         *driven
	services       map[string]*driven
	by             string // the service that writes
	watching       bool
	version        int // of the desired properties that the device knows
	known          any // the desired properties that it knows
}

func (j *twinJourney) service() *driven { return j.services[j.by] }

// get compares what the device, a back end and the hub show.
func (j *twinJourney) get(t *testing.T) {
	t.Helper()
	stored := storedTwin(t, j.device)
	if !j.watching && j.family == "java" { // whose SDK wants it in this order
		j.client.must(t, "watch", nil)
	}
	var got struct{ Desired, Reported json.RawMessage }
	decode(t, j.client.must(t, "twin", nil), &got)
	wantValue(t, "desired properties on the device", carried(j.family, section(t, stored.Properties.Desired)), section(t, got.Desired))
	wantValue(t, "reported properties on the device", carried(j.family, section(t, stored.Properties.Reported)), section(t, got.Reported))
	for _, pair := range [][2]json.RawMessage{{stored.Properties.Desired, got.Desired}, {stored.Properties.Reported, got.Reported}} {
		wantValue(t, "$version on the device", versionOf(t, pair[0]), versionOf(t, pair[1]))
	}
	if j.watching {
		wantValue(t, "what the device was told of", j.known, section(t, got.Desired))
		return
	}
	if j.family != "java" {
		j.client.must(t, "watch", nil)
	}
	j.watching, j.version, j.known = true, versionOf(t, got.Desired), section(t, got.Desired)
}

// report updates reported properties on the device.
func (j *twinJourney) report(t *testing.T) {
	t.Helper()
	before := storedTwin(t, j.device)
	want := section(t, before.Properties.Reported)
	for _, patch := range patches {
		j.client.must(t, "report", fields{"patch": json.RawMessage(patch)})
		want = merged(want, carried(j.family, value(t, patch)))
	}
	stored := storedTwin(t, j.device)
	wantValue(t, "reported properties", want, section(t, stored.Properties.Reported))
	if stored.ETag != before.ETag || stored.Version < before.Version+len(patches) || j.family != "java" && stored.Version != before.Version+len(patches) {
		t.Errorf("%d patches made version %d and etag %s of %d and %s", len(patches), stored.Version, stored.ETag, before.Version, before.ETag)
	}
	seen := twinIn(t, j.service().must(t, "get", fields{"device": j.device}))
	wantValue(t, "reported properties in the back end", carried(j.by, want), section(t, seen.Properties.Reported))
}

// update writes tags and desired properties in the back end, and waits until the device has been told.
func (j *twinJourney) update(t *testing.T) {
	t.Helper()
	before := storedTwin(t, j.device)
	desired, tags := section(t, before.Properties.Desired), value(t, string(before.Tags))
	for i, patch := range patches {
		marks := fields{"building": fields{"floor": i, "by": j.by}, "gone": []any{"here", nil}[i]}
		all := fields{"tags": marks, "properties": fields{"desired": json.RawMessage(patch)}}
		answer := twinIn(t, j.service().must(t, "update", fields{"device": j.device, "patch": all}))
		change := carried(j.by, value(t, patch))
		desired, tags = merged(desired, change), merged(tags, carried("", value(t, asJSON(t, marks))))
		wantValue(t, "tags in the answer", tags, value(t, string(answer.Tags)))
		wantValue(t, "desired properties in the answer", carried(j.by, desired), section(t, answer.Properties.Desired))
		wantValue(t, "the change that the device is told of", carried(j.family, change), j.told(t))
	}
	stored := storedTwin(t, j.device)
	wantValue(t, "tags", tags, value(t, string(stored.Tags)))
	wantValue(t, "desired properties", desired, section(t, stored.Properties.Desired))
	for i := range 5 {
		j.service().must(t, "update", fields{"device": j.device, "patch": fields{"properties": fields{"desired": fields{"step": i}}}})
	}
	for i := range 5 {
		wantValue(t, "the next change", map[string]any{"step": number(strconv.Itoa(i))}, j.told(t))
	}
}

// told waits for the change that follows what the device knows, and returns it. Node shows what it has been given at any
// other time, too.
func (j *twinJourney) told(t *testing.T) any {
	t.Helper()
	for {
		select {
		case change := <-j.client.desired:
			version := versionOf(t, change)
			if version <= j.version {
				continue
			}
			if version != j.version+1 {
				t.Fatalf("the device is told of version %d after %d", version, j.version)
			}
			j.version = version
			told := section(t, change)
			j.known = merged(j.known, told)
			return told
		case <-j.client.done:
			t.Fatalf("the device ended:\n%s", j.client.client.stderr.String())
		case <-time.After(readerWithin):
			t.Fatalf("the device is not told of version %d", j.version+1)
		}
	}
}

// preconditionFailed is what the SDKs make of status 412.
var preconditionFailed = map[string]failure{
	"node":   {Name: "InvalidEtagError", Status: http.StatusPreconditionFailed, Code: "PreconditionFailed"},
	"python": {Name: "HttpOperationError", Status: http.StatusPreconditionFailed, Code: "PreconditionFailed"},
}

// writers update with the same etag at once: one of them is first.
func (j *twinJourney) writers(t *testing.T) {
	t.Helper()
	etag := storedTwin(t, j.device).ETag
	waiting := map[string]<-chan outcome{}
	for name, service := range j.services {
		patch := fields{"properties": fields{"desired": fields{"winner": name}}}
		waiting[name] = service.begin(t, "update", fields{"device": j.device, "etag": etag, "patch": patch})
	}
	var winners []string
	for name, answer := range waiting {
		if o := j.services[name].wait(t, answer, "update"); o.failure == nil {
			winners = append(winners, name)
		} else {
			wantValue(t, "the error of who came too late", preconditionFailed[name], *o.failure)
		}
	}
	if len(winners) != 1 {
		t.Fatalf("of two writers with one etag these won: %q", winners)
	}
	wantValue(t, "the change of the winner", map[string]any{"winner": winners[0]}, j.told(t))
}

// replace makes a full update, which Node's service SDK has no call for.
func (j *twinJourney) replace(t *testing.T) {
	t.Helper()
	desired := `{"only":{"this":[1.5]},"nested":{"a":{"new":true}}}`
	all := fields{"tags": fields{"place": "roof"}, "properties": fields{"desired": json.RawMessage(desired)}}
	j.services["python"].must(t, "replace", fields{"device": j.device, "patch": all, "etag": storedTwin(t, j.device).ETag})
	stored := storedTwin(t, j.device)
	wantValue(t, "tags", map[string]any{"place": "roof"}, value(t, string(stored.Tags)))
	wantValue(t, "desired properties", value(t, desired), section(t, stored.Properties.Desired))
	j.told(t)
	wantValue(t, "what the device makes of the changes", value(t, desired), j.known)
}

// argumentInvalid is what the service SDKs make of status 400.
var argumentInvalid = map[string]failure{
	"node":   {Name: "ArgumentError", Status: http.StatusBadRequest, Code: "ArgumentInvalid"},
	"python": {Name: "HttpOperationError", Status: http.StatusBadRequest, Code: "ArgumentInvalid"},
}

// refusedPatch is the error that a device's SDK has for a patch with a bad property: its name, and a part of its text.
// Node alone shows what the hub says.
func refusedPatch(family, property string) failure {
	return map[string]failure{
		"node":   {Name: "Error", Message: "properties.reported." + property + ": "},
		"python": {Name: "ClientError", Message: "twin operation returned status 400"},
		"java":   {Name: "BAD_FORMAT"},
	}[family]
}

// refused writes what breaks a limit: nothing changes, the writer gets its error, and its connection lives on.
func (j *twinJourney) refused(t *testing.T) {
	t.Helper()
	before := storedTwin(t, j.device)
	for property, bad := range map[string]any{"long": strings.Repeat("x", 4097), "large": json.RawMessage("4503599627370496")} {
		patch := fields{property: bad}
		got := j.client.mustFail(t, "report", fields{"patch": patch})
		if want := refusedPatch(j.family, property); got.Name != want.Name || !strings.Contains(got.Message, want.Message) {
			t.Errorf("the device's error is %+v, want %+v", got, want)
		}
		got = j.service().mustFail(t, "update", fields{"device": j.device, "patch": fields{"properties": fields{"desired": patch}}})
		wantValue(t, "the back end's error", argumentInvalid[j.by], got)
	}
	wantValue(t, "the version after what was refused", before.Version, storedTwin(t, j.device).Version)
	j.client.must(t, "report", fields{"patch": fields{"alive": j.by}})
}

// query finds the twin with both services.
func (j *twinJourney) query(t *testing.T) {
	t.Helper()
	stored := storedTwin(t, j.device)
	for name, service := range j.services {
		var rows []json.RawMessage
		decode(t, service.must(t, "query", fields{"text": "SELECT * FROM devices"}), &rows)
		i := slices.IndexFunc(rows, func(row json.RawMessage) bool {
			var found struct{ DeviceID string }
			decode(t, string(row), &found)
			return found.DeviceID == j.device
		})
		if i < 0 {
			t.Fatalf("%s does not find %s among %d devices", name, j.device, len(rows))
		}
		row := twinIn(t, string(rows[i]))
		wantValue(t, "tags of the row", carried(name, value(t, string(stored.Tags))), value(t, string(row.Tags)))
		wantValue(t, "desired properties of the row", carried(name, section(t, stored.Properties.Desired)), section(t, row.Properties.Desired))
		wantValue(t, "reported properties of the row", carried(name, section(t, stored.Properties.Reported)), section(t, row.Properties.Reported))
		wantValue(t, "version of the row", stored.Version, row.Version)
	}
}
