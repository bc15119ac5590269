package hub_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// What each mode does with the twin that a row brings, to a device that is there and to one that is not.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-bulk-identity-mgmt, import behavior.
func TestBulkDevices_twins(t *testing.T) {
	const (
		conflict, none, exists = hubward.CodePreconditionFailed, hubward.CodeDeviceNotFound, hubward.CodeDeviceAlreadyExists
		right                  = "AAAAAAAAAAI=" // of the twin that is there
		replaced               = `{"new":1}`
		merged                 = `{"new":1,"old":true}`
	)
	for _, test := range []struct {
		mode           hub.ImportMode
		etag, twinETag string
		missing, there hubward.Code // 0: it is done
		tags           string       // of who is there, then
	}{
		{mode: "", tags: replaced},
		{mode: "create", there: exists},
		{mode: "update", missing: none, tags: replaced},
		{mode: "createOrUpdate", tags: replaced},
		{mode: "createOrUpdateIfMatchETag", etag: "*", tags: replaced},
		{mode: "updateIfMatchETag", etag: "*", missing: none, tags: replaced},
		{mode: "updateIfMatchETag", etag: "stale", missing: none, there: conflict},
		{mode: "updateTwin", missing: none, tags: merged},
		{mode: "UpdateTwin", etag: "stale", missing: none, tags: merged},
		{mode: "updateTwinIfMatchETag", missing: none, there: conflict},
		{mode: "updateTwinIfMatchETag", etag: "*", missing: none, there: conflict},

		{mode: "updateTwinIfMatchETag", twinETag: right, missing: none, tags: merged},
		{mode: "updateTwinIfMatchETag", twinETag: "*", missing: none, tags: merged},
		{mode: "updateTwinIfMatchETag", twinETag: "stale", missing: none, there: conflict},
		{mode: "updateTwin", twinETag: right, missing: none, tags: merged},
		{mode: "updateTwin", twinETag: "stale", missing: none, tags: merged},
		{mode: "update", twinETag: right, missing: none, tags: replaced},
		{mode: "update", twinETag: "stale", missing: none, tags: replaced},
		{mode: "createOrUpdate", twinETag: "stale", tags: replaced},
		{mode: "create", twinETag: "stale", there: exists},
	} {
		t.Run(string(test.mode)+"/"+test.etag+"/"+test.twinETag, func(t *testing.T) {
			f := newFixture(t)
			d := f.createDevice("there")
			f.patchTwin("there", `{"old":true}`, `{"old":true}`)
			item := func(id string) hub.BulkItem {
				return hub.BulkItem{
					Device: hubward.Device{DeviceID: id, StatusReason: "changed"}, Mode: test.mode, ETag: test.etag, TwinETag: test.twinETag,
					Tags: []byte(replaced), Desired: []byte(replaced),
				}
			}
			failed, err := f.BulkDevices(t.Context(), "plant", []hub.BulkItem{item("missing"), item("there")})
			if err != nil {
				t.Fatal(err)
			}
			codes := map[string]hubward.Code{}
			for _, e := range failed {
				codes[e.Identity.Device] = hubward.CodeOf(e.Err)
			}
			if codes["missing"] != test.missing || codes["there"] != test.there {
				t.Fatalf("%v", codes)
			}
			if test.missing == 0 {
				f.wantTwin("missing", replaced, replaced, "AAAAAAAAAAE= 2 1 1")
			}
			if test.there != 0 {
				f.wantTwin("there", `{"old":true}`, `{"old":true}`, "AAAAAAAAAAI= 3 2 1")
			} else {
				f.wantTwin("there", test.tags, test.tags, "AAAAAAAAAAM= 4 3 1")
			}
			now, err := f.Device(t.Context(), "plant", "there")
			if err != nil {
				t.Fatal(err)
			}
			if changed := now.ETag != d.ETag; changed != (test.tags == replaced) || changed != (now.StatusReason == "changed") {
				t.Errorf("the identity was %+v, and is %+v", d, now)
			}
		})
	}
}

// wantTwin checks a twin: tags and desired properties without what the hub adds.
func (f *fixture) wantTwin(device, tags, desired, counters string) {
	f.t.Helper()
	twin, err := f.Twin(f.t.Context(), "plant", device)
	if err != nil {
		f.t.Fatal(err)
	}
	wantCounters(f.t, device, twin, counters)
	if got := string(twin.Tags) + " " + withoutHubs(string(twin.Properties.Desired)); got != tags+" "+desired {
		f.t.Errorf("%s has tags and desired properties %s, want %s %s", device, got, tags, desired)
	}
}

// withoutHubs cuts $metadata and $version, which come last, off a section.
func withoutHubs(section string) string {
	own, _, _ := strings.Cut(section, `"$metadata"`)
	return strings.TrimSuffix(own, ",") + "}"
}

// A section that a row does not have stays as it is; what is in a section of an export besides properties is passed over.
func TestBulkDevices_sectionsOfARow(t *testing.T) {
	const exported = `{"a":1,"$metadata":{"$lastUpdated":"2020-01-01T00:00:00Z"},"$version":77}`
	for name, test := range map[string]struct {
		tags, desired  string
		want, wanted   string // sections then
		created, there string // counters
	}{
		"none":         {"", "", `{"t":1}`, `{"d":1}`, "AAAAAAAAAAE= 2 1 1", "AAAAAAAAAAI= 3 2 1"},
		"nulls":        {"null", " null ", `{"t":1}`, `{"d":1}`, "AAAAAAAAAAE= 2 1 1", "AAAAAAAAAAI= 3 2 1"},
		"tags":         {`{"n":1}`, "", `{"n":1}`, `{"d":1}`, "AAAAAAAAAAE= 2 1 1", "AAAAAAAAAAM= 4 2 1"},
		"desired":      {"", `{"n":1}`, `{"t":1}`, `{"n":1}`, "AAAAAAAAAAE= 2 1 1", "AAAAAAAAAAM= 4 3 1"},
		"an export":    {`{}`, exported, `{}`, `{"a":1}`, "AAAAAAAAAAE= 2 1 1", "AAAAAAAAAAM= 4 3 1"},
		"nulls inside": {`{"n":null,"m":1}`, `{"n":null}`, `{"m":1}`, `{}`, "AAAAAAAAAAE= 2 1 1", "AAAAAAAAAAM= 4 3 1"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.createDevice("there")
			f.patchTwin("there", `{"t":1}`, `{"d":1}`)
			u := write(test.tags, test.desired)
			failed, err := f.BulkDevices(t.Context(), "plant", []hub.BulkItem{
				{Device: hubward.Device{DeviceID: "there"}, Tags: u.Tags, Desired: u.Desired},
				{Device: hubward.Device{DeviceID: "new"}, Tags: u.Tags, Desired: u.Desired},
			})
			if err != nil || failed != nil {
				t.Fatal(failed, err)
			}
			f.wantTwin("there", test.want, test.wanted, test.there)
			twin, err := f.Twin(t.Context(), "plant", "new")
			if err != nil {
				t.Fatal(err)
			}
			wantCounters(t, "new", twin, test.created)
		})
	}
}

// A bad twin fails its row, with nothing of it done, and no other.
func TestBulkDevices_badTwins(t *testing.T) {
	f := newFixture(t)
	f.createDevice("there")
	items := []hub.BulkItem{
		{Device: hubward.Device{DeviceID: "a"}, Tags: []byte(`{"a.b":1}`)},
		{Device: hubward.Device{DeviceID: "b"}, Desired: []byte(`[]`)},
		{Device: hubward.Device{DeviceID: "c"}, Tags: []byte(`{"good":1}`)},
		{Device: hubward.Device{DeviceID: "there", StatusReason: "changed"}, Desired: []byte(`"x"`)},
	}
	failed, err := f.BulkDevices(t.Context(), "plant", items)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, e := range failed {
		ids = append(ids, e.Identity.Device)
		wantCode(t, e.Identity.Device, e.Err, hubward.CodeArgumentInvalid)
	}
	if diff := cmp.Diff([]string{"a", "b", "there"}, ids); diff != "" {
		t.Error(diff)
	}
	f.wantTwin("c", `{"good":1}`, `{}`, "AAAAAAAAAAE= 2 1 1")
	if d, err := f.Device(t.Context(), "plant", "there"); err != nil || d.StatusReason != "" {
		t.Errorf("%+v, %v", d, err)
	}
	for _, id := range []string{"a", "b"} {
		_, err := f.Device(t.Context(), "plant", id)
		wantCode(t, id, err, hubward.CodeDeviceNotFound)
	}
}

// What a bulk call changes, connected devices are told, and events tell.
func TestBulkDevices_twinsAreTold(t *testing.T) {
	onOneAndTwo(t, func(t *testing.T, c *crew) {
		device := c.device("d1")
		c.desire(`{"old":1}`)
		d := c.follow(c.connect(c.other(), device))
		c.events() // the connect was recorded
		run := func(item hub.BulkItem) {
			item.Device = *device
			failed, err := c.nodes[0].BulkDevices(t.Context(), "plant", []hub.BulkItem{item})
			if err != nil || failed != nil {
				t.Fatal(failed, err)
			}
		}
		run(hub.BulkItem{Mode: hub.ModeUpdateTwin, Desired: []byte(`{"merged":1}`)})
		run(hub.BulkItem{Mode: hub.ModeUpdate, Desired: []byte(`{"new":1}`)})
		run(hub.BulkItem{Mode: hub.ModeUpdate, Tags: []byte(`{"t":1}`)})
		run(hub.BulkItem{Mode: hub.ModeUpdateTwin})
		d.want(t, "desired properties", `{"merged":1,"$version":3}`, `{"merged":null,"new":1,"old":null,"$version":4}`)
		c.events() // they were moved
		c.wantOperations("d1", "createDeviceIdentity", "updateTwin", "deviceConnected", "updateTwin", "replaceTwin", "replaceTwin")
	})
}

// A row that changes keys or disables closes the connection, which then needs not be told.
func TestBulkDevices_twinAndKeys(t *testing.T) {
	f := newFixture(t)
	_, s, err := f.connect(f.createDevice("d1"))
	if err != nil {
		t.Fatal(err)
	}
	f.advance(time.Second)
	item := hub.BulkItem{Device: hubward.Device{DeviceID: "d1"}, Mode: hub.ModeUpdate, Desired: []byte(`{"a":1}`)}
	failed, err := f.BulkDevices(t.Context(), "plant", []hub.BulkItem{item})
	if err != nil || failed != nil {
		t.Fatal(failed, err)
	}
	wantCode(t, "the connection", s.closed(), hubward.CodeUnauthorizedAccess)
	f.wantTwin("d1", `{}`, `{"a":1}`, "AAAAAAAAAAI= 3 2 1")
}
