package hub_test

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// write makes a write of the whole of what a back end may, empty texts for sections that are not there.
func write(tags, desired string) (u hub.TwinUpdate) {
	if tags != "" {
		u.Tags = []byte(tags)
	}
	if desired != "" {
		u.Desired = []byte(desired)
	}
	return u
}

func (f *fixture) patchTwin(id, tags, desired string) *hubward.Twin {
	f.t.Helper()
	twin, err := f.UpdateTwin(f.t.Context(), "plant", id, write(tags, desired), "")
	if err != nil {
		f.t.Fatal(err)
	}
	return twin
}

func (f *fixture) replaceTwin(id, tags, desired string) *hubward.Twin {
	f.t.Helper()
	twin, err := f.ReplaceTwin(f.t.Context(), "plant", id, write(tags, desired), "")
	if err != nil {
		f.t.Fatal(err)
	}
	return twin
}

// counters are what of a twin says how often it was written.
func counters(t *hubward.Twin) string {
	version := func(section string) string {
		return section[strings.LastIndex(section, ":")+1 : len(section)-1]
	}
	return t.ETag + " " + strconv.FormatInt(t.Version, 10) + " " + version(string(t.Properties.Desired)) + " " + version(string(t.Properties.Reported))
}

func wantCounters(t *testing.T, what string, twin *hubward.Twin, want string) {
	t.Helper()
	if got := counters(twin); got != want {
		t.Errorf("%s: etag, version, desired and reported $version are %s, want %s", what, got, want)
	}
}

const (
	newSection  = `{"$metadata":{"$lastUpdated":"0001-01-01T00:00:00Z"},"$version":1}`
	noonSection = `"$lastUpdated":"2026-03-01T12:00:00.0000000Z"`
)

// The twin of a new identity is there at once, as the cloud prints it.
func TestTwin_ofANewIdentity(t *testing.T) {
	f := newFixture(t)
	d := f.put(hubward.Device{DeviceID: "d1", Status: hubward.StatusDisabled, StatusReason: "spare", Capabilities: hubward.Capabilities{IotEdge: true}}, "")
	got, err := f.Twin(t.Context(), "plant", "d1")
	if err != nil {
		t.Fatal(err)
	}
	want := &hubward.Twin{
		DeviceID: "d1", ETag: "AAAAAAAAAAE=", DeviceETag: d.ETag, Status: hubward.StatusDisabled, StatusReason: "spare",
		ConnectionState: hubward.Disconnected, AuthenticationType: hubward.AuthSAS, Version: 2, Tags: []byte(`{}`),
		Properties:   hubward.TwinProperties{Desired: got.Properties.Desired, Reported: []byte(newSection)},
		Capabilities: hubward.Capabilities{IotEdge: true}, DeviceScope: d.DeviceScope,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	wantCounters(t, "new", got, "AAAAAAAAAAE= 2 1 1")
	_, err = f.Twin(t.Context(), "plant", "nobody")
	wantCode(t, "the twin of nobody", err, hubward.CodeDeviceNotFound)
	_, err = f.Twin(t.Context(), "plant", "no id")
	wantCode(t, "the twin of what is no id", err, hubward.CodeArgumentInvalid)
	_, err = f.Hub.Twin(t.Context(), f.of("plant"), hubward.Identity{Device: "d1", Module: "m"})
	wantCode(t, "the twin of no module", err, hubward.CodeModuleNotFound)
}

// Each write of tags and desired properties is one step of the etag and of the version, whatever it is of.
func TestUpdateTwin_countsWrites(t *testing.T) {
	f := newFixture(t)
	f.createDevice("d1")
	for _, step := range []struct {
		what, tags, desired string
		replace             bool
		want                string
	}{
		{"tags", `{"a":1}`, "", false, "AAAAAAAAAAI= 3 1 1"},
		{"desired properties", "", `{"b":1}`, false, "AAAAAAAAAAM= 4 2 1"},
		{"both", `{"a":2}`, `{"b":2}`, false, "AAAAAAAAAAQ= 5 3 1"},
		{"what is there already", `{"a":2}`, `{"b":2}`, false, "AAAAAAAAAAU= 6 4 1"},
		{"nothing", "", "", false, "AAAAAAAAAAU= 6 4 1"},
		{"empty sections", `{}`, `{}`, false, "AAAAAAAAAAU= 6 4 1"},
		{"what is the hub's", "", `{"$version":77,"$metadata":{}}`, false, "AAAAAAAAAAU= 6 4 1"},
		{"null in place of tags", `null`, "", false, "AAAAAAAAAAY= 7 4 1"},
		{"null in place of desired properties", "", `null`, false, "AAAAAAAAAAc= 8 5 1"},
		{"the same again", "", `null`, false, "AAAAAAAAAAg= 9 6 1"},
		{"a replacement", `{"a":1}`, `{"b":1}`, true, "AAAAAAAAAAk= 10 7 1"},
		{"a replacement by the same", `{"a":1}`, `{"b":1}`, true, "AAAAAAAAAAo= 11 8 1"},
		{"a replacement by nothing", "", "", true, "AAAAAAAAAAs= 12 9 1"},
		{"a replacement by null", `null`, `null`, true, "AAAAAAAAAAw= 13 10 1"},
	} {
		update := f.patchTwin
		if step.replace {
			update = f.replaceTwin
		}
		wantCounters(t, step.what, update("d1", step.tags, step.desired), step.want)
		twin, err := f.Twin(t.Context(), "plant", "d1")
		if err != nil {
			t.Fatal(err)
		}
		wantCounters(t, step.what+", as it is read", twin, step.want)
	}
}

// What comes back of a write is the twin as this write has left it.
func TestUpdateTwin_returnsWhatItWrote(t *testing.T) {
	f := newFixture(t)
	f.createDevice("d1")
	f.patchTwin("d1", `{"site":{"floor":1},"gone":true}`, `{"z":1.50,"a":{"x":1,"y":2}}`)
	f.advance(time.Second)
	twin := f.patchTwin("d1", `{"site":{"room":"7"},"gone":null}`, `{"a":{"x":null,"é":[1]}}`)
	const at = `"$lastUpdated":"2026-03-01T12:00:01.0000000Z","$lastUpdatedVersion":3`
	const before = `"$lastUpdated":"2026-03-01T12:00:00.0000000Z","$lastUpdatedVersion":2`
	want := &hubward.Twin{
		DeviceID: "d1", ETag: "AAAAAAAAAAM=", DeviceETag: twin.DeviceETag, Status: hubward.StatusEnabled,
		ConnectionState: hubward.Disconnected, AuthenticationType: hubward.AuthSAS, Version: 4,
		Tags: []byte(`{"site":{"floor":1,"room":"7"}}`),
		Properties: hubward.TwinProperties{
			Desired:  []byte(`{"a":{"y":2,"é":[1]},"z":1.50,"$metadata":{` + at + `,"a":{` + at + `,"y":{` + before + `},"é":{` + at + `}},"z":{` + before + `}},"$version":3}`),
			Reported: []byte(newSection),
		},
	}
	if diff := cmp.Diff(want, twin); diff != "" {
		t.Error(diff)
	}
	twin = f.replaceTwin("d1", "", `{"a":null,"b":"new"}`)
	if string(twin.Tags) != `{}` || !strings.HasPrefix(string(twin.Properties.Desired), `{"b":"new","$metadata":`) {
		t.Errorf("replaced: %s %s", twin.Tags, twin.Properties.Desired)
	}
}

func TestUpdateTwin_ifMatch(t *testing.T) {
	f := newFixture(t)
	f.createDevice("d1")
	old := f.patchTwin("d1", `{"n":0}`, "").ETag
	now := f.patchTwin("d1", `{"n":1}`, "").ETag
	for _, u := range []hub.TwinUpdate{write(`{"n":2}`, ""), write("", `{"n":2}`), write(`{}`, `{}`), {}} {
		for _, etag := range []string{old, "AAAAAAAAAA==", "x", now + " "} {
			_, err := f.UpdateTwin(t.Context(), "plant", "d1", u, etag)
			wantCode(t, "an update of "+old+" with "+etag, err, hubward.CodePreconditionFailed)
			_, err = f.ReplaceTwin(t.Context(), "plant", "d1", u, etag)
			wantCode(t, "a replacement of "+old+" with "+etag, err, hubward.CodePreconditionFailed)
		}
	}
	for _, etag := range []string{now, "*", ""} {
		if _, err := f.UpdateTwin(t.Context(), "plant", "d1", write(`{"n":2}`, ""), etag); err != nil {
			t.Errorf("with %q: %v", etag, err)
		}
	}
	twin, err := f.ReplaceTwin(t.Context(), "plant", "d1", write(`{"n":3}`, ""), "*")
	if err != nil || string(twin.Tags) != `{"n":3}` {
		t.Errorf("%+v, %v", twin, err)
	}
	_, err = f.UpdateTwin(t.Context(), "plant", "nobody", write(`{"n":2}`, ""), "*")
	wantCode(t, "an update of nobody", err, hubward.CodeDeviceNotFound)
}

// A write that is refused leaves nothing behind, of neither section, and says which property is at fault.
func TestUpdateTwin_refusesAsAWhole(t *testing.T) {
	f := newFixture(t)
	f.createDevice("d1")
	before := f.patchTwin("d1", `{"a":1}`, `{"b":1}`)
	for what, c := range map[string]struct {
		tags, desired string
		code          hubward.Code
		says          string
	}{
		"no JSON":          {`{"a":2}`, `{"b":`, hubward.CodeFormatError, "properties.desired"},
		"a list":           {`{"a":2}`, `[1]`, hubward.CodeArgumentInvalid, "properties.desired"},
		"a text":           {`"x"`, `{"b":2}`, hubward.CodeArgumentInvalid, "tags"},
		"a dot":            {`{"a":2}`, `{"c":{"x.y":1}}`, hubward.CodeArgumentInvalid, "properties.desired.c"},
		"a large integer":  {`{"n":4503599627370496}`, "", hubward.CodeArgumentInvalid, "tags.n"},
		"too much of tags": {`{"x":"` + strings.Repeat("x", 4096) + `","y":"` + strings.Repeat("y", 4096) + `"}`, `{"b":2}`, hubward.CodeArgumentInvalid, "tags"},
	} {
		_, err := f.UpdateTwin(t.Context(), "plant", "d1", write(c.tags, c.desired), "")
		wantCode(t, what, err, c.code)
		_, again := f.ReplaceTwin(t.Context(), "plant", "d1", write(c.tags, c.desired), "")
		wantCode(t, what+", in a replacement", again, c.code)
		for _, err := range []error{err, again} {
			if err != nil && (!strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), ";")) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	after, err := f.Twin(t.Context(), "plant", "d1")
	if diff := cmp.Diff(before, after); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

// Writers that go by etags lose nothing of one another.
func TestUpdateTwin_concurrentWriters(t *testing.T) {
	f := newFixture(t)
	f.createDevice("d1")
	f.patchTwin("d1", `{"n":0}`, "")
	const writers, each = 4, 10
	var running sync.WaitGroup
	for w := range writers {
		running.Go(func() {
			for done := 0; done < each; {
				node := f.nodes[w%len(f.nodes)]
				twin, err := node.Twin(t.Context(), "plant", "d1")
				if err != nil {
					t.Error(err)
					return
				}
				n, err := strconv.Atoi(strings.Trim(string(twin.Tags), `{}"n:`))
				if err != nil {
					t.Error(err)
					return
				}
				_, err = node.UpdateTwin(t.Context(), "plant", "d1", write(`{"n":`+strconv.Itoa(n+1)+`}`, ""), twin.ETag)
				switch {
				case err == nil:
					done++
				case hubward.CodeOf(err) != hubward.CodePreconditionFailed:
					t.Error(err)
					return
				}
			}
		})
	}
	running.Wait()
	twin, err := f.Twin(t.Context(), "plant", "d1")
	if err != nil || string(twin.Tags) != `{"n":`+strconv.Itoa(writers*each)+`}` || twin.Version != 3+writers*each {
		t.Errorf("%s, version %d, %v", twin.Tags, twin.Version, err)
	}
}

// The twin says who is connected now, with the model that he has named, and remembers that.
func TestTwin_ofWhoIsConnected(t *testing.T) {
	f := newFixture(t)
	d := f.createDevice("d1")
	f.advance(time.Minute)
	at := f.clock()
	link, err := f.other().logIn(t.Context(), logIn{
		Host: "plant.example", Identity: hubward.Identity{Device: "d1"}, Token: f.token(d), ModelID: "dtmi:com:example:Pump;1", Session: &session{},
	})
	if err != nil {
		t.Fatal(err)
	}
	f.record(t)
	want := func(what string, state hubward.ConnectionState) {
		t.Helper()
		read, err := f.Twin(t.Context(), "plant", "d1")
		page, queryErr := f.Query(t.Context(), f.of("plant"), hub.Query{Text: allDevices})
		if err := errors.Join(err, queryErr); err != nil {
			t.Fatal(err)
		}
		for _, twin := range []*hubward.Twin{read, f.patchTwin("d1", `{"a":1}`, ""), f.patchTwin("d1", "", ""), &page.Twins[0]} {
			if twin.ConnectionState != state || twin.ModelID != "dtmi:com:example:Pump;1" || !twin.LastActivityTime.Equal(at) {
				t.Errorf("%s: %+v", what, twin)
			}
		}
	}
	want("connected", hubward.Connected)
	link.Disconnect()
	f.record(t)
	want("disconnected", hubward.Disconnected)
	if _, _, err := f.connect(d); err != nil {
		t.Fatal(err)
	}
	f.record(t)
	if twin, err := f.Twin(t.Context(), "plant", "d1"); err != nil || twin.ModelID != "dtmi:com:example:Pump;1" {
		t.Errorf("connected without a model: %q, %v", twin.ModelID, err)
	}
}

// Who is registered anew under an old name has nothing of the old twin.
func TestTwin_ofWhoIsRegisteredAnew(t *testing.T) {
	f := newFixture(t)
	f.createDevice("d1")
	f.patchTwin("d1", `{"a":1}`, `{"b":1}`)
	if err := f.DeleteDevice(t.Context(), "plant", "d1", "*"); err != nil {
		t.Fatal(err)
	}
	_, err := f.Twin(t.Context(), "plant", "d1")
	wantCode(t, "the twin of a deleted device", err, hubward.CodeDeviceNotFound)
	f.createDevice("d1")
	twin, err := f.Twin(t.Context(), "plant", "d1")
	if err != nil || string(twin.Tags) != `{}` || string(twin.Properties.Desired) != newSection {
		t.Errorf("%+v, %v", twin, err)
	}
	wantCounters(t, "anew", twin, "AAAAAAAAAAE= 2 1 1")
}

// What is written to the identity leaves the twin as it is, and the other way round.
func TestTwin_isBesideTheIdentity(t *testing.T) {
	f := newFixture(t)
	d := f.createDevice("d1")
	before := f.patchTwin("d1", `{"a":1}`, `{"b":1}`)
	d.StatusReason = "why not"
	changed := f.put(*d, "*")
	after, err := f.Twin(t.Context(), "plant", "d1")
	if err != nil {
		t.Fatal(err)
	}
	before.DeviceETag, before.StatusReason = changed.ETag, "why not"
	if diff := cmp.Diff(before, after); diff != "" {
		t.Error(diff)
	}
	if d, err := f.Device(t.Context(), "plant", "d1"); err != nil || d.ETag != changed.ETag {
		t.Errorf("the identity %+v, %v", d, err)
	}
}

// A module has a twin of its own.
func TestTwin_ofAModule(t *testing.T) {
	f := newFixture(t)
	f.createDevice("d1")
	id := hubward.Identity{Device: "d1", Module: "m1"}
	m := f.createModule(id)
	f.patchTwin("d1", `{"of":"the device"}`, "")
	twin, err := f.Hub.UpdateTwin(t.Context(), f.of("plant"), id, write(`{"of":"the module"}`, `{"b":1}`), "AAAAAAAAAAE=")
	if err != nil || twin.DeviceID != "d1" || twin.ModuleID != "m1" || twin.DeviceETag != m.ETag || string(twin.Tags) != `{"of":"the module"}` {
		t.Errorf("%+v, %v", twin, err)
	}
	if twin, err := f.Twin(t.Context(), "plant", "d1"); err != nil || string(twin.Tags) != `{"of":"the device"}` {
		t.Errorf("%+v, %v", twin, err)
	}
}
