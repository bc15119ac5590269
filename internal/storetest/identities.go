package storetest

import (
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

var identityTests = []test{
	{"keepEveryField", testIdentityFields},
	{"keepAbsentFieldsAbsent", testIdentityBare},
	{"keepTimesTo100ns", testIdentityTimes},
	{"unknownIsNotFound", testIdentityUnknown},
	{"idsAreCaseSensitive", testIdentityCase},
	{"listInOrderUpToLimit", testDeviceList},
	{"listInPages", testDevicePages},
	{"listInPagesWhileOthersComeAndGo", testDevicePagesUnderWrites},
	{"statisticsCountByStatus", testStatistics},
	{"hubsAreApart", testHubsApart},
}

func testIdentityFields(t *testing.T, s hub.Store) {
	withHome(t, s, "d")
	wantEqual(t, "device", device(t, s, homeHub, "d"), aDevice("d"))
	wantDevices(t, s, homeHub, 10, *aDevice("d"))
}

func testIdentityBare(t *testing.T, s hub.Store) {
	withHome(t, s)
	bare := &hub.Registration{Device: hubward.Device{DeviceID: "d", Status: hubward.StatusDisabled, ConnectionState: hubward.Disconnected}}
	create(t, s, homeHub, bare)
	got := device(t, s, homeHub, "d")
	wantEqual(t, "device", got, bare)
	if got.Authentication != nil {
		t.Error("an authentication came from nowhere")
	}

	noKeys := &hub.Registration{Device: hubward.Device{
		DeviceID: "e", Status: hubward.StatusEnabled, ConnectionState: hubward.Disconnected,
		Authentication: &hubward.Authentication{Type: hubward.AuthCertificate},
	}}
	create(t, s, homeHub, noKeys)
	wantEqual(t, "device without keys", device(t, s, homeHub, "e"), noKeys)

	edit(t, s, homeHub, dev("e"), func(*hub.Registration) (*hub.Registration, error) { return bare, nil })
	bare.DeviceID = "e"
	wantEqual(t, "device that lost its authentication", device(t, s, homeHub, "e"), bare)
}

func testIdentityTimes(t *testing.T, s hub.Store) {
	withHome(t, s)
	east := time.FixedZone("east", 2*3600)
	for i, c := range []struct {
		what      string
		give, get time.Time
	}{
		{"all digits", aTime, aTime},
		{"100 ns", time.Unix(1, 100).UTC(), time.Unix(1, 100).UTC()},
		{"more digits than are kept", aTime.Add(99), aTime},
		{"another zone", aTime.In(east), aTime},
		{"1970", time.Unix(0, 0), time.Unix(0, 0).UTC()},
		{"before 1970", time.Date(1969, 12, 31, 23, 59, 59, 999999900, time.UTC), time.Date(1969, 12, 31, 23, 59, 59, 999999900, time.UTC)},
		{"the first tick", time.Date(1, 1, 1, 0, 0, 0, 100, time.UTC), time.Date(1, 1, 1, 0, 0, 0, 100, time.UTC)},
		{"the last one", time.Date(9999, 12, 31, 23, 59, 59, 999999900, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999999900, time.UTC)},
		{"never", time.Time{}, time.Time{}},
	} {
		d := aDevice(fmt.Sprintf("d%d", i))
		d.StatusUpdatedTime = hubward.Time{Time: c.give}
		create(t, s, homeHub, d)
		got := device(t, s, homeHub, d.DeviceID).StatusUpdatedTime
		if !got.Equal(c.get) || got.Location() != time.UTC || got.IsZero() != c.get.IsZero() {
			t.Errorf("%s: gave %v, got %v, want %v", c.what, c.give, got.Time, c.get)
		}
	}
}

func testIdentityUnknown(t *testing.T, s hub.Store) {
	withHome(t, s, "d")
	for _, id := range []hubward.Identity{dev("e"), mod("d", "m"), mod("e", "m")} {
		wantNoIdentity(t, s, homeHub, id)
	}
	wantNoDevice(t, s, "nowhere", "d")
	wantNoIdentity(t, s, "nowhere", mod("d", "m"))
	wantDevices(t, s, "nowhere", 10)
}

func testIdentityCase(t *testing.T, s hub.Store) {
	withHome(t, s, "device", "Device")
	wantNoDevice(t, s, homeHub, "DEVICE")
	wantDevices(t, s, homeHub, 10, *aDevice("Device"), *aDevice("device"))
}

// testDeviceList uses ids that sort differently by byte, by letter and by number.
func testDeviceList(t *testing.T, s hub.Store) {
	ids := []string{"b", "B", "a10", "a9", "a", "_", "-", "Z", "%41", "a'b", "#", "é"}
	withHome(t, s, ids...)
	slices.Sort(ids)
	var want []hub.Registration
	for _, id := range ids {
		want = append(want, *aDevice(id))
	}
	wantDevices(t, s, homeHub, 0)
	for _, limit := range []int{1, len(ids) - 1, len(ids)} {
		wantDevices(t, s, homeHub, limit, want[:limit]...)
	}
	wantDevices(t, s, homeHub, len(ids)+1, want...)
}

// testDevicePages has modules among the devices, and another hub behind them.
func testDevicePages(t *testing.T, s hub.Store) {
	ids := []string{"#", "-", "B", "a", "a'b", "a10", "a9", "b"}
	withHome(t, s, ids...)
	saveHub(t, s, aHub(homeHub+"2", aTime))
	create(t, s, homeHub+"2", aDevice("c"))
	for _, id := range []string{"a", "b"} {
		create(t, s, homeHub, anIdentity(mod(id, "m")))
	}
	for limit := 1; limit <= len(ids)+1; limit++ {
		var got []string
		for page := range pages(t, s, limit) {
			got = append(got, page...)
		}
		wantEqual(t, fmt.Sprintf("ids in pages of %d", limit), got, ids)
	}
	for after, want := range map[string][]string{
		"": ids, "!": ids, "a": ids[4:], "a1": ids[5:], "a9": ids[7:], "b": nil, "c": nil, "%": ids[1:], "\x7f": nil,
	} {
		wantEqual(t, fmt.Sprintf("ids behind %q", after), page(t, s, after, 100), want)
	}
}

// testDevicePagesUnderWrites changes, deletes and creates devices on both sides of where a reader is.
func testDevicePagesUnderWrites(t *testing.T, s hub.Store) {
	withHome(t, s, "b", "d", "f", "h", "j")
	var got []string
	for ids := range pages(t, s, 2) {
		if got = append(got, ids...); len(got) == 2 { // b and d
			edit(t, s, homeHub, dev("b"), remove)
			edit(t, s, homeHub, dev("d"), remove) // the one that the next page begins behind
			edit(t, s, homeHub, dev("f"), remove)
			for _, id := range []string{"a", "c", "e", "k"} {
				create(t, s, homeHub, aDevice(id))
			}
			create(t, s, homeHub, aDevice("d"))
		}
	}
	wantEqual(t, "ids", got, []string{"b", "d", "e", "h", "j", "k"})
}

// pages gives the ids of the home hub's devices, limit by limit, until there are no more.
func pages(t *testing.T, s hub.Store, limit int) iter.Seq[[]string] {
	return func(yield func([]string) bool) {
		after := ""
		for {
			ids := page(t, s, after, limit)
			if len(ids) > limit {
				t.Fatalf("%d rows are more than %d", len(ids), limit)
			}
			if len(ids) == 0 || !yield(ids) {
				return
			}
			after = ids[len(ids)-1]
		}
	}
}

func page(t *testing.T, s hub.Store, after string, limit int) (ids []string) {
	t.Helper()
	rows, err := s.Devices(t.Context(), homeHub, after, limit)
	if err != nil {
		t.Fatalf("Devices behind %q: %v", after, err)
	}
	for _, r := range rows {
		ids = append(ids, r.DeviceID)
	}
	return ids
}

func testStatistics(t *testing.T, s hub.Store) {
	withHome(t, s)
	wantStatistics(t, s, homeHub, hubward.RegistryStatistics{})
	for i, status := range []hubward.Status{hubward.StatusEnabled, hubward.StatusDisabled, hubward.StatusEnabled} {
		d := aDevice(fmt.Sprintf("d%d", i))
		d.Status = status
		create(t, s, homeHub, d)
	}
	wantStatistics(t, s, homeHub, hubward.RegistryStatistics{TotalDeviceCount: 3, EnabledDeviceCount: 2, DisabledDeviceCount: 1})

	edit(t, s, homeHub, dev("d0"), func(old *hub.Registration) (*hub.Registration, error) {
		old.Status = hubward.StatusDisabled
		return old, nil
	})
	edit(t, s, homeHub, dev("d1"), remove)
	wantStatistics(t, s, homeHub, hubward.RegistryStatistics{TotalDeviceCount: 2, EnabledDeviceCount: 1, DisabledDeviceCount: 1})
}

// testHubsApart uses one id in two hubs, one of which has a name that begins with the other's.
func testHubsApart(t *testing.T, s hub.Store) {
	withHome(t, s)
	saveHub(t, s, aHub(homeHub+"2", aTime))
	for _, name := range []string{homeHub, homeHub + "2"} {
		d := aDevice("d")
		d.ETag = "etag in " + name
		create(t, s, name, d)
		saveSession(t, s, name, dev("d"), 1, []byte(name))
	}
	connect(t, s, homeHub+"2", hub.Connection{ID: dev("d"), Fence: 1, State: hubward.Connected, StateUpdated: aTime.Add(time.Hour)})
	edit(t, s, homeHub+"2", dev("d"), func(old *hub.Registration) (*hub.Registration, error) {
		old.StatusReason = "edited"
		return old, nil
	})
	want := aDevice("d")
	want.ETag = "etag in " + homeHub
	wantEqual(t, "device of the other hub", device(t, s, homeHub, "d"), want)
	wantConnected(t, s, homeHub)

	edit(t, s, homeHub+"2", dev("d"), remove)
	wantEqual(t, "device of the other hub", device(t, s, homeHub, "d"), want)
	wantDevices(t, s, homeHub, 10, *want)
	wantDevices(t, s, homeHub+"2", 10)
	wantSession(t, s, homeHub, dev("d"), []byte(homeHub))
	wantNoSession(t, s, homeHub+"2", dev("d"))
	wantStatistics(t, s, homeHub, hubward.RegistryStatistics{TotalDeviceCount: 1, EnabledDeviceCount: 1})
}

func wantDevices(t *testing.T, s hub.Store, hubName string, limit int, want ...hub.Registration) {
	t.Helper()
	got, err := s.Devices(t.Context(), hubName, "", limit)
	if err != nil {
		t.Fatalf("Devices(%s): %v", hubName, err)
	}
	wantEqual(t, fmt.Sprintf("devices of %s, limit %d", hubName, limit), got, want)
}

func wantStatistics(t *testing.T, s hub.Store, hubName string, want hubward.RegistryStatistics) {
	t.Helper()
	got, err := s.DeviceStatistics(t.Context(), hubName)
	if err != nil {
		t.Fatalf("DeviceStatistics(%s): %v", hubName, err)
	}
	wantEqual(t, "statistics of "+hubName, got, want)
}
