package storetest

import (
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/c2d"
	"github.com/hubward/hubward/internal/hub/c2dqueue"
)

var moduleTests = []test{
	{"keepEveryField", testModuleFields},
	{"areNoDevices", testModulesApart},
	{"needADevice", testModuleOrphan},
	{"editOfOne", testModuleEdit},
	{"goWithTheirDevice", testModulesDeleted},
	{"deleteOfOneLeavesTheRest", testModuleDeleted},
}

func testModuleFields(t *testing.T, s hub.Store) {
	withHome(t, s, "d")
	create(t, s, homeHub, anIdentity(mod("d", "m")))
	wantEqual(t, "module", identity(t, s, homeHub, mod("d", "m")), anIdentity(mod("d", "m")))
	wantNoIdentity(t, s, homeHub, mod("d", "M"))
	wantNoIdentity(t, s, homeHub, mod("d", "n"))
}

// testModulesApart: a device and its modules share nothing but the device id.
func testModulesApart(t *testing.T, s hub.Store) {
	withHome(t, s, "d", "e")
	create(t, s, homeHub, anIdentity(mod("d", "m")))
	wantDevices(t, s, homeHub, 10, *aDevice("d"), *aDevice("e"))
	wantStatistics(t, s, homeHub, hubward.RegistryStatistics{TotalDeviceCount: 2, EnabledDeviceCount: 2})

	saveSession(t, s, homeHub, mod("d", "m"), 1, aState)
	wantNoSession(t, s, homeHub, dev("d"))
	connect(t, s, homeHub, hub.Connection{ID: dev("d"), Fence: 7, State: hubward.Connected, StateUpdated: aTime})
	fillQueue(t, s, mod("d", "m"), 2)
	edit(t, s, homeHub, dev("d"), func(old *hub.Registration) (*hub.Registration, error) {
		old.ETag = "edited"
		return old, nil
	})
	want := anIdentity(mod("d", "m"))
	want.CloudToDeviceMessageCount = 2
	wantEqual(t, "module", identity(t, s, homeHub, mod("d", "m")), want)
	wantNewQueue(t, s, dev("d"))
	wantContents(t, s, dev("d"), 1, 9)
	wantContents(t, s, mod("d", "m"), 1, 9, "1:one", "2:two")
}

// testModuleOrphan: a module without its device is the device's absence, and its own failure.
func testModuleOrphan(t *testing.T, s hub.Store) {
	withHome(t, s, "e")
	create(t, s, homeHub, anIdentity(mod("e", "d"))) // "d" is registered, but no device
	edits := []*hub.IdentityEdit{put(mod("d", "m")), put(dev("a")), put(mod("a", "m"))}
	if err := s.EditIdentities(t.Context(), homeHub, edits); err != nil || edits[1].Err != nil || edits[2].Err != nil {
		t.Fatalf("%v, %v, %v", err, edits[1].Err, edits[2].Err)
	}
	wantNotFound(t, edits[0].Err, dev("d"))
	wantNoIdentity(t, s, homeHub, mod("d", "m"))
	wantEqual(t, "module of a device of the same call", identity(t, s, homeHub, mod("a", "m")), anIdentity(mod("a", "m")))

	orphan := put(mod("d", "m"))
	if err := s.EditIdentities(t.Context(), "nowhere", []*hub.IdentityEdit{orphan}); err != nil {
		t.Fatal(err)
	}
	wantNotFound(t, orphan.Err, dev("d"))
	edit(t, s, homeHub, mod("d", "m"), remove) // there is nothing to delete: no error
}

func testModuleEdit(t *testing.T, s hub.Store) {
	withHome(t, s, "d")
	for _, id := range []string{"m", "n"} {
		create(t, s, homeHub, anIdentity(mod("d", id)))
	}
	edit(t, s, homeHub, mod("d", "m"), func(old *hub.Registration) (*hub.Registration, error) {
		wantEqual(t, "old", old, anIdentity(mod("d", "m")))
		old.ManagedBy, old.ETag, old.Status = "", "Mg==", hubward.StatusDisabled
		return old, nil
	})
	want := anIdentity(mod("d", "m"))
	want.ManagedBy, want.ETag, want.Status = "", "Mg==", hubward.StatusDisabled
	wantEqual(t, "module", identity(t, s, homeHub, mod("d", "m")), want)
	wantEqual(t, "other module", identity(t, s, homeHub, mod("d", "n")), anIdentity(mod("d", "n")))
	wantEqual(t, "device", device(t, s, homeHub, "d"), aDevice("d"))
	if q := readQueue(t, s, mod("d", "m")); !q.Disabled {
		t.Error("the queue of a disabled module does not say so")
	}
}

// testModulesDeleted: whoever deletes a device is told which modules went with it, as they were.
func testModulesDeleted(t *testing.T, s hub.Store) {
	withHome(t, s, "d", "d2")
	for _, id := range []string{"n", "m", "M"} {
		create(t, s, homeHub, anIdentity(mod("d", id)))
	}
	create(t, s, homeHub, anIdentity(mod("d2", "m")))
	for _, device := range []string{"d", "d2"} {
		id := mod(device, "m")
		saveSession(t, s, homeHub, id, 3, aState)
		connect(t, s, homeHub, hub.Connection{ID: id, Fence: 3, State: hubward.Connected, StateUpdated: aTime.Add(time.Hour)})
		fillQueue(t, s, id, 2)
		endMessage(t, s, id)
	}
	m := anIdentity(mod("d", "m"))
	m.CloudToDeviceMessageCount, m.ConnectionState, m.LastActivityTime = 1, hubward.Connected, hubward.Time{}
	m.ConnectionStateUpdatedTime = hubward.Time{Time: aTime.Add(time.Hour)}

	e := identityEdit(dev("d"), remove)
	mustEdit(t, s, homeHub, e)
	wantEqual(t, "modules that went along", e.Modules, []hub.Registration{*anIdentity(mod("d", "M")), *m, *anIdentity(mod("d", "n"))})
	for _, id := range []string{"n", "m", "M"} {
		wantNoIdentity(t, s, homeHub, mod("d", id))
	}
	wantNoSession(t, s, homeHub, mod("d", "m"))
	wantConnected(t, s, homeHub, hub.Connection{ID: mod("d2", "m"), Fence: 3, State: hubward.Connected, StateUpdated: aTime.Add(time.Hour)})
	wantDue(t, s, c2d.Due{Key: home(mod("d2", "m")), At: aMessage(2).Expires})
	batchAll(t, s, 1)
	wantEqual(t, "feedback", lockFeedback(t, s, "t", aTime).Feedback, []c2dqueue.Record{aRecord(mod("d2", "m"), 1)})

	create(t, s, homeHub, aDevice("d"))
	create(t, s, homeHub, anIdentity(mod("d", "m")))
	wantNewQueue(t, s, mod("d", "m"))
	wantNoSession(t, s, homeHub, mod("d", "m"))
}

func testModuleDeleted(t *testing.T, s hub.Store) {
	withHome(t, s, "d")
	for _, id := range []string{"m", "n"} {
		create(t, s, homeHub, anIdentity(mod("d", id)))
		saveSession(t, s, homeHub, mod("d", id), 1, aState)
	}
	e := identityEdit(mod("d", "m"), remove)
	mustEdit(t, s, homeHub, e)
	wantEqual(t, "modules that went along", e.Modules, []hub.Registration(nil))
	wantNoIdentity(t, s, homeHub, mod("d", "m"))
	wantNoSession(t, s, homeHub, mod("d", "m"))
	wantEqual(t, "other module", identity(t, s, homeHub, mod("d", "n")), anIdentity(mod("d", "n")))
	wantSession(t, s, homeHub, mod("d", "n"), aState)
	wantEqual(t, "device", device(t, s, homeHub, "d"), aDevice("d"))
}
