package storetest

import (
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
)

var hubTests = []test{
	{"emptyStoreHasNone", func(t *testing.T, s hub.Store) { wantHubs(t, s) }},
	{"keepEveryField", testHubFields},
	{"keepAbsentFieldsAbsent", testHubBare},
	{"oldestFirst", testHubOrder},
	{"saveReplaces", testHubReplace},
	{"saveKeepsDevices", testHubReplaceKeepsDevices},
	{"deleteTakesEverythingAlong", testHubDelete},
	{"deleteOfUnknownIsNoError", testHubDeleteUnknown},
}

func wantHubs(t *testing.T, s hub.Store, want ...hub.Config) {
	t.Helper()
	got, err := s.Hubs(t.Context())
	if err != nil {
		t.Fatalf("Hubs: %v", err)
	}
	wantEqual(t, "hubs", got, want)
}

func testHubFields(t *testing.T, s hub.Store) {
	c := aHub("factory", aTime)
	saveHub(t, s, c)
	wantHubs(t, s, c)
}

func testHubBare(t *testing.T, s hub.Store) {
	c := hub.Config{Name: "bare", Partitions: 1}
	saveHub(t, s, c)
	wantHubs(t, s, c)
}

func testHubOrder(t *testing.T, s hub.Store) {
	third, first, second := aHub("a", aTime.Add(time.Hour)), aHub("b", aTime), aHub("c", aTime.Add(100*time.Nanosecond))
	for _, c := range []hub.Config{third, first, second} {
		saveHub(t, s, c)
	}
	wantHubs(t, s, first, second, third)
}

func testHubReplace(t *testing.T, s hub.Store) {
	other := aHub("other", aTime.Add(-time.Hour))
	saveHub(t, s, other)
	c := aHub("factory", aTime)
	saveHub(t, s, c)
	c.HostNames = []string{"new.example.org"}
	c.Retention = time.Hour
	c.ConsumerGroups = []string{"$Default"}
	c.C2D = hub.C2DSettings{FeedbackMaxDeliveryCount: 1}
	c.Policies = []access.Policy{
		{Name: "new", Rights: access.RegistryRead, PrimaryKey: "bmV3", SecondaryKey: "b2xk"},
		{Name: "all", Rights: access.DeviceConnect, PrimaryKey: "YQ==", SecondaryKey: "Yg=="},
		{Name: "service", Rights: access.RegistryWrite, PrimaryKey: "Yw==", SecondaryKey: "ZA=="},
	}
	saveHub(t, s, c)
	wantHubs(t, s, other, c)
}

func testHubReplaceKeepsDevices(t *testing.T, s hub.Store) {
	withHome(t, s)
	create(t, s, homeHub, aDevice("d"))
	saveSession(t, s, homeHub, hubward.Identity{Device: "d"}, someFilters)
	withHome(t, s)
	wantEqual(t, "device", device(t, s, homeHub, "d"), aDevice("d"))
	wantSession(t, s, homeHub, hubward.Identity{Device: "d"}, someFilters)
}

func testHubDelete(t *testing.T, s hub.Store) {
	other := aHub("other", aTime)
	saveHub(t, s, other)
	create(t, s, "other", aDevice("d"))
	withHome(t, s)
	create(t, s, homeHub, aDevice("d"))
	saveSession(t, s, homeHub, hubward.Identity{Device: "d"}, someFilters)
	fillQueue(t, s, "d", 2)
	endMessage(t, s, "d")
	makeBatch(t, s, 1)
	endMessage(t, s, "d")

	if err := s.DeleteHub(t.Context(), homeHub); err != nil {
		t.Fatal(err)
	}
	wantHubs(t, s, other)
	wantNoDevice(t, s, homeHub, "d")
	device(t, s, "other", "d")

	withHome(t, s)
	wantNoDevice(t, s, homeHub, "d")
	wantNoSession(t, s, homeHub, hubward.Identity{Device: "d"})
	wantDue(t, s)
	wantNoFeedback(t, s)
	create(t, s, homeHub, aDevice("d"))
	wantNewQueue(t, s, "d")
	edit(t, s, homeHub, "d", remove)
	wantStatistics(t, s, homeHub, hubward.RegistryStatistics{})
}

func testHubDeleteUnknown(t *testing.T, s hub.Store) {
	withHome(t, s)
	if err := s.DeleteHub(t.Context(), "nowhere"); err != nil {
		t.Fatal(err)
	}
	wantHubs(t, s, aHub(homeHub, aTime))
}
