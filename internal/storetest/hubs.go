package storetest

import (
	"strings"
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
	{"saveKeepsIdentities", testHubReplaceKeepsIdentities},
	{"saveComparesVersions", testHubVersions},
	{"namesAreUniqueWithoutCase", testHubNames},
	{"hostNamesAreUnique", testHubHosts},
	{"hostNamesAreGivenBack", testHubHostsFree},
	{"deleteTakesEverythingAlong", testHubDelete},
	{"deleteOfUnknownIsNoError", testHubDeleteUnknown},
	{"deleteNotesTheLog", testHubDeletedLogs},
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
	c := saveHub(t, s, aHub("factory", aTime))
	if c.Version != 1 {
		t.Errorf("version %d", c.Version)
	}
	wantHubs(t, s, c)
}

func testHubBare(t *testing.T, s hub.Store) {
	wantHubs(t, s, saveHub(t, s, hub.Config{Name: "bare", Partitions: 1}))
}

func testHubOrder(t *testing.T, s hub.Store) {
	third := saveHub(t, s, aHub("a", aTime.Add(time.Hour)))
	first := saveHub(t, s, aHub("b", aTime))
	second := saveHub(t, s, aHub("c", aTime.Add(100*time.Nanosecond)))
	wantHubs(t, s, first, second, third)
}

func testHubReplace(t *testing.T, s hub.Store) {
	other := saveHub(t, s, aHub("other", aTime.Add(-time.Hour)))
	c := saveHub(t, s, aHub("factory", aTime))
	c.HostNames = []string{"new.example.org"}
	c.Retention = time.Hour
	c.ConsumerGroups = []string{"$Default"}
	c.C2D = hub.C2DSettings{FeedbackMaxDeliveryCount: 1}
	c.Switches = access.Switches{DisableDeviceSAS: true}
	c.Authorities = c.Authorities[1:]
	c.Issuing.Keys = nil
	c.Policies = []access.Policy{
		{Name: "new", Permissions: access.RegistryRead, PrimaryKey: "bmV3", SecondaryKey: "b2xk"},
		{Name: "all", Permissions: access.DeviceConnect, PrimaryKey: "YQ==", SecondaryKey: "Yg=="},
		{Name: "service", Permissions: access.RegistryWrite, PrimaryKey: "Yw==", SecondaryKey: "ZA=="},
	}
	c = saveHub(t, s, c)
	wantHubs(t, s, other, c)
	c = saveHub(t, s, c) // nothing differs but the version
	if c.Version != 3 {
		t.Errorf("version %d", c.Version)
	}
	wantHubs(t, s, other, c)
}

func testHubReplaceKeepsIdentities(t *testing.T, s hub.Store) {
	c := saveHub(t, s, aHub(homeHub, aTime))
	create(t, s, homeHub, aDevice("d"))
	create(t, s, homeHub, anIdentity(mod("d", "m")))
	saveSession(t, s, homeHub, dev("d"), 1, aState)
	fillQueue(t, s, dev("d"), 1)
	saveHub(t, s, c)
	want := aDevice("d")
	want.CloudToDeviceMessageCount = 1
	wantEqual(t, "device", device(t, s, homeHub, "d"), want)
	wantEqual(t, "module", identity(t, s, homeHub, mod("d", "m")), anIdentity(mod("d", "m")))
	wantSession(t, s, homeHub, dev("d"), aState)
}

// testHubVersions: a save that comes too late changes nothing, neither the hub nor its policies nor its host names.
func testHubVersions(t *testing.T, s hub.Store) {
	stale := aHub("factory", aTime)
	stale.Version = 1
	wantCode(t, s.SaveHub(t.Context(), stale), hubward.CodePreconditionFailed)
	wantHubs(t, s)

	first := saveHub(t, s, aHub("factory", aTime))
	second := first
	second.Retention = time.Hour
	second = saveHub(t, s, second)
	for _, version := range []int64{-1, 1, 3} {
		late := second
		late.Version = version
		late.Retention, late.HostNames, late.Policies = time.Minute, []string{"late.example.org"}, nil
		wantCode(t, s.SaveHub(t.Context(), late), hubward.CodePreconditionFailed)
	}
	wantHubs(t, s, second)
	claim := hub.Config{Name: "other", Partitions: 1, HostNames: []string{"late.example.org"}, Created: aTime.Add(time.Hour)}
	claim = saveHub(t, s, claim)

	if err := s.DeleteHub(t.Context(), "factory"); err != nil {
		t.Fatal(err)
	}
	wantCode(t, s.SaveHub(t.Context(), second), hubward.CodePreconditionFailed)
	wantHubs(t, s, claim)
	again := saveHub(t, s, aHub("factory", aTime))
	wantHubs(t, s, again, claim)
}

func testHubNames(t *testing.T, s hub.Store) {
	first := saveHub(t, s, hub.Config{Name: "Factory-1", Partitions: 1})
	for _, name := range []string{"Factory-1", "factory-1", "FACTORY-1"} {
		taken := hub.Config{Name: name, Partitions: 2, HostNames: []string{"taken.example.org"}}
		wantCode(t, s.SaveHub(t.Context(), taken), hubward.CodeHubAlreadyExists)
	}
	other := hub.Config{Name: "factory-1", Partitions: 1, Version: 1}
	wantCode(t, s.SaveHub(t.Context(), other), hubward.CodePreconditionFailed) // the name of a hub is as it is written
	wantHubs(t, s, first)
	saveHub(t, s, hub.Config{Name: "factory-2", Partitions: 1, HostNames: []string{"taken.example.org"}})
}

// testHubHosts: a hub whose host name is another's is not stored at all.
func testHubHosts(t *testing.T, s hub.Store) {
	owner := saveHub(t, s, aHub("owner", aTime))
	other := saveHub(t, s, aHub("other", aTime.Add(time.Hour)))
	wantTaken := func(c hub.Config) {
		t.Helper()
		c.HostNames = []string{"free.example.org", "owner.example.org"}
		err := s.SaveHub(t.Context(), c)
		wantCode(t, err, hubward.CodeArgumentInvalid)
		if !strings.Contains(err.Error(), "owner.example.org") || strings.Contains(err.Error(), "free.example.org") {
			t.Errorf("error %q does not name the host name that is taken", err)
		}
	}
	wantTaken(hub.Config{Name: "new", Partitions: 1})
	changed := other
	changed.Retention, changed.Policies = time.Hour, nil
	wantTaken(changed)
	wantHubs(t, s, owner, other)

	third := hub.Config{Name: "third", Partitions: 1, Created: aTime.Add(2 * time.Hour)}
	third.HostNames = []string{"free.example.org", "third.example.org", "free.example.org"} // twice: no other hub has it
	third = saveHub(t, s, third)
	wantHubs(t, s, owner, other, third)
}

func testHubHostsFree(t *testing.T, s hub.Store) {
	host := func(hosts ...string) []string { return hosts }
	a := saveHub(t, s, hub.Config{Name: "a", Partitions: 1, HostNames: host("one", "two")})
	b := saveHub(t, s, hub.Config{Name: "b", Partitions: 1, HostNames: host("three")})
	a.HostNames = host("four", "two")
	a = saveHub(t, s, a)
	b.HostNames = host("one", "three")
	b = saveHub(t, s, b)
	wantHubs(t, s, a, b)
	if err := s.DeleteHub(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	b.HostNames = host("two", "four")
	wantHubs(t, s, saveHub(t, s, b))
}

func testHubDelete(t *testing.T, s hub.Store) {
	other := saveHub(t, s, aHub("other", aTime))
	create(t, s, "other", aDevice("d"))
	tell(t, s, "other", dev("d"), "e")
	withHome(t, s, "d")
	create(t, s, homeHub, anIdentity(mod("d", "m")))
	saveSession(t, s, homeHub, dev("d"), 1, aState)
	fillQueue(t, s, dev("d"), 2)
	endMessage(t, s, dev("d"))
	batchAll(t, s, 1)
	endMessage(t, s, dev("d"))
	tell(t, s, homeHub, dev("d"), "e")

	if err := s.DeleteHub(t.Context(), homeHub); err != nil {
		t.Fatal(err)
	}
	wantHubs(t, s, other)
	wantNoDevice(t, s, homeHub, "d")
	device(t, s, "other", "d")

	withHome(t, s)
	wantNoDevice(t, s, homeHub, "d")
	wantNoIdentity(t, s, homeHub, mod("d", "m"))
	wantNoSession(t, s, homeHub, dev("d"))
	wantDue(t, s)
	wantNoFeedback(t, s)
	wantOutbox(t, s, homeHub)
	wantOutbox(t, s, "other", told(dev("d"), "e"))
	create(t, s, homeHub, aDevice("d"))
	wantNewQueue(t, s, dev("d"))
	edit(t, s, homeHub, dev("d"), remove)
	wantStatistics(t, s, homeHub, hubward.RegistryStatistics{})
}

func testHubDeleteUnknown(t *testing.T, s hub.Store) {
	c := saveHub(t, s, aHub(homeHub, aTime))
	for _, name := range []string{"nowhere", "HOME"} {
		if err := s.DeleteHub(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	wantHubs(t, s, c)
}

func testHubDeletedLogs(t *testing.T, s hub.Store) {
	want := func(names ...string) {
		t.Helper()
		logs, err := s.DeletedLogs(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, l := range logs {
			got = append(got, l.Name)
			if l.Deleted.IsZero() {
				t.Errorf("%s was deleted at no time", l.Name)
			}
		}
		wantEqual(t, "deleted logs", got, names)
	}
	named := aHub("named", aTime)
	named.LogName = "named.1"
	named = saveHub(t, s, named)
	saveHub(t, s, hub.Config{Name: "bare", Partitions: 1})
	other := named
	other.LogName = "named.2"
	wantCode(t, s.SaveHub(t.Context(), other), hubward.CodePreconditionFailed) // that of a hub never changes
	want()
	for _, name := range []string{"named", "bare", "unknown"} {
		if err := s.DeleteHub(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	want("bare", "named.1")
	saveHub(t, s, hub.Config{Name: "bare", Partitions: 1})
	for _, name := range []string{"named.1", "unknown"} {
		if err := s.ForgetDeletedLog(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	want("bare")
	if err := s.DeleteHub(t.Context(), "bare"); err != nil {
		t.Fatal(err)
	}
	want("bare")
}
