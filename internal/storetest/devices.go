package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

var deviceTests = []test{
	{"keepEveryField", testDeviceFields},
	{"keepAbsentFieldsAbsent", testDeviceBare},
	{"keepTimesTo100ns", testDeviceTimes},
	{"unknownIsNotFound", testDeviceUnknown},
	{"idsAreCaseSensitive", testDeviceCase},
	{"listInOrderUpToLimit", testDeviceList},
	{"statisticsCountByStatus", testStatistics},
	{"hubsAreApart", testHubsApart},
}

func testDeviceFields(t *testing.T, s hub.Store) {
	withHome(t, s)
	create(t, s, homeHub, aDevice("d"))
	wantEqual(t, "device", device(t, s, homeHub, "d"), aDevice("d"))
	wantDevices(t, s, homeHub, 10, *aDevice("d"))
}

func testDeviceBare(t *testing.T, s hub.Store) {
	withHome(t, s)
	bare := &hubward.Device{DeviceID: "d", Status: hubward.StatusDisabled, ConnectionState: hubward.Disconnected}
	create(t, s, homeHub, bare)
	got := device(t, s, homeHub, "d")
	wantEqual(t, "device", got, bare)
	if got.Authentication != nil {
		t.Error("an authentication came from nowhere")
	}

	noKeys := &hubward.Device{
		DeviceID: "e", Status: hubward.StatusEnabled, ConnectionState: hubward.Disconnected,
		Authentication: &hubward.Authentication{Type: hubward.AuthCertificate},
	}
	create(t, s, homeHub, noKeys)
	wantEqual(t, "device without keys", device(t, s, homeHub, "e"), noKeys)

	edit(t, s, homeHub, "e", func(old *hubward.Device) (*hubward.Device, error) { return bare, nil })
	bare.DeviceID = "e"
	wantEqual(t, "device that lost its authentication", device(t, s, homeHub, "e"), bare)
}

func testDeviceTimes(t *testing.T, s hub.Store) {
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

func testDeviceUnknown(t *testing.T, s hub.Store) {
	withHome(t, s)
	wantNoDevice(t, s, homeHub, "d")
	wantNoDevice(t, s, "nowhere", "d")
	wantDevices(t, s, homeHub, 10)
	wantDevices(t, s, "nowhere", 10)
}

func testDeviceCase(t *testing.T, s hub.Store) {
	withHome(t, s)
	create(t, s, homeHub, aDevice("device"))
	create(t, s, homeHub, aDevice("Device"))
	wantNoDevice(t, s, homeHub, "DEVICE")
	wantDevices(t, s, homeHub, 10, *aDevice("Device"), *aDevice("device"))
}

// testDeviceList uses ids that sort differently by byte, by letter and by number.
func testDeviceList(t *testing.T, s hub.Store) {
	withHome(t, s)
	ids := []string{"b", "B", "a10", "a9", "a", "_", "-", "Z", "%41", "a'b", "#", "é"}
	for _, id := range ids {
		create(t, s, homeHub, aDevice(id))
	}
	slices.Sort(ids)
	var want []hubward.Device
	for _, id := range ids {
		want = append(want, *aDevice(id))
	}
	wantDevices(t, s, homeHub, 0)
	for _, limit := range []int{1, len(ids) - 1, len(ids)} {
		wantDevices(t, s, homeHub, limit, want[:limit]...)
	}
	wantDevices(t, s, homeHub, len(ids)+1, want...)
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

	edit(t, s, homeHub, "d0", func(old *hubward.Device) (*hubward.Device, error) {
		old.Status = hubward.StatusDisabled
		return old, nil
	})
	edit(t, s, homeHub, "d1", remove)
	wantStatistics(t, s, homeHub, hubward.RegistryStatistics{TotalDeviceCount: 2, EnabledDeviceCount: 1, DisabledDeviceCount: 1})
}

// testHubsApart uses one id in two hubs, one of which has a name that begins with the other's.
func testHubsApart(t *testing.T, s hub.Store) {
	withHome(t, s)
	saveHub(t, s, aHub(homeHub+"2", aTime))
	id := hubward.Identity{Device: "d"}
	for _, name := range []string{homeHub, homeHub + "2"} {
		d := aDevice("d")
		d.ETag = "etag in " + name
		create(t, s, name, d)
		saveSession(t, s, name, id, []hub.Subscription{{Filter: name}})
	}
	activity := []hub.Activity{{ID: "d", State: hubward.Connected, StateUpdated: aTime.Add(time.Hour)}}
	if err := s.RecordActivity(t.Context(), homeHub+"2", activity); err != nil {
		t.Fatal(err)
	}
	edit(t, s, homeHub+"2", "d", func(old *hubward.Device) (*hubward.Device, error) {
		old.StatusReason = "edited"
		return old, nil
	})
	want := aDevice("d")
	want.ETag = "etag in " + homeHub
	wantEqual(t, "device of the other hub", device(t, s, homeHub, "d"), want)

	edit(t, s, homeHub+"2", "d", remove)
	wantEqual(t, "device of the other hub", device(t, s, homeHub, "d"), want)
	wantDevices(t, s, homeHub, 10, *want)
	wantDevices(t, s, homeHub+"2", 10)
	wantSession(t, s, homeHub, id, []hub.Subscription{{Filter: homeHub}})
	wantNoSession(t, s, homeHub+"2", id)
	wantStatistics(t, s, homeHub, hubward.RegistryStatistics{TotalDeviceCount: 1, EnabledDeviceCount: 1})
}

func wantDevices(t *testing.T, s hub.Store, hubName string, limit int, want ...hubward.Device) {
	t.Helper()
	got, err := s.Devices(t.Context(), hubName, limit)
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
