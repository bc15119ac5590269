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
	{"listOfADevice", testModuleList},
	{"listInPages", testModulePages},
	{"limit", testModuleLimit},
	{"editsBehindADevices", testEditsBehind},
	{"childrenOfAScope", testChildren},
}

// removal is an edit that deletes a device, and says which modules it had.
func removal(id hubward.Identity) (*hub.IdentityEdit, *[]hub.Registration) {
	modules := new([]hub.Registration)
	e := identityEdit(id, func(old *hub.Registration) (*hub.Registration, error) {
		*modules = nil
		if old != nil {
			*modules = old.Modules
		}
		return nil, nil
	})
	e.WithModules = true
	return e, modules
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

// testModulesDeleted: whoever deletes a device sees which modules it has, which go with it.
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

	e, gone := removal(dev("d"))
	mustEdit(t, s, homeHub, e)
	wantEqual(t, "modules that went along", *gone, []hub.Registration{*anIdentity(mod("d", "M")), *m, *anIdentity(mod("d", "n"))})
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
	e, gone := removal(mod("d", "m"))
	mustEdit(t, s, homeHub, e)
	wantEqual(t, "modules of a module", *gone, []hub.Registration(nil))
	wantNoIdentity(t, s, homeHub, mod("d", "m"))
	wantNoSession(t, s, homeHub, mod("d", "m"))
	wantEqual(t, "other module", identity(t, s, homeHub, mod("d", "n")), anIdentity(mod("d", "n")))
	wantSession(t, s, homeHub, mod("d", "n"), aState)
	wantEqual(t, "device", device(t, s, homeHub, "d"), aDevice("d"))
}

// testModuleList has modules of other devices and hubs around, and ids that sort differently by byte and by letter.
func testModuleList(t *testing.T, s hub.Store) {
	withHome(t, s, "c", "d", "d2", "e")
	saveHub(t, s, aHub(homeHub+"2", aTime))
	create(t, s, homeHub+"2", aDevice("d"))
	create(t, s, homeHub+"2", anIdentity(mod("d", "m")))
	var want []hub.Registration
	for _, id := range []string{"$edgeHub", "B", "a", "b"} {
		create(t, s, homeHub, anIdentity(mod("d", id)))
		create(t, s, homeHub, anIdentity(mod("d2", id)))
		want = append(want, *anIdentity(mod("d", id)))
	}
	fillQueue(t, s, mod("d", "b"), 2)
	want[3].CloudToDeviceMessageCount = 2
	got, err := s.Modules(t.Context(), homeHub, "d")
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "modules", got, want)
	if got, err = s.Modules(t.Context(), homeHub, "e"); err != nil || len(got) != 0 {
		t.Errorf("modules of a device without: %v, %v", got, err)
	}
	_, err = s.Modules(t.Context(), homeHub, "D")
	wantNotFound(t, err, dev("D"))
	_, err = s.Modules(t.Context(), "nowhere", "d")
	wantNotFound(t, err, dev("d"))
}

func testModulePages(t *testing.T, s hub.Store) {
	withHome(t, s, "a", "b", "b2", "c")
	saveHub(t, s, aHub(homeHub+"2", aTime))
	create(t, s, homeHub+"2", aDevice("c"))
	create(t, s, homeHub+"2", anIdentity(mod("c", "m")))
	var want []hub.Registration
	for _, id := range []hubward.Identity{mod("a", "m"), mod("a", "n"), mod("b", "$m"), mod("b", "m"), mod("b2", "a"), mod("c", "m")} {
		create(t, s, homeHub, anIdentity(id))
		want = append(want, *anIdentity(id))
	}
	for limit := 1; limit <= len(want)+1; limit++ {
		var got []hub.Registration
		after := hubward.Identity{}
		for {
			page, err := s.AllModules(t.Context(), homeHub, after, limit)
			if err != nil || len(page) > limit {
				t.Fatalf("a page of %d: %v, %v", limit, page, err)
			}
			if got = append(got, page...); len(page) < limit {
				break
			}
			after = page[limit-1].Identity()
		}
		wantEqual(t, "modules of all pages", got, want)
	}
	if page, err := s.AllModules(t.Context(), homeHub, hubward.Identity{}, 0); err != nil || len(page) != 0 {
		t.Errorf("none are %v, %v", page, err)
	}
	page, err := s.AllModules(t.Context(), homeHub, dev("b"), 1)
	if err != nil || len(page) != 1 || page[0].Identity() != mod("b", "$m") {
		t.Errorf("behind a device: %v, %v", page, err)
	}
}

func testModuleLimit(t *testing.T, s hub.Store) {
	withHome(t, s, "d", "e")
	limited := func(id hubward.Identity) error {
		e := put(id)
		e.MostModules = 2
		return editOne(t, s, e)
	}
	create(t, s, homeHub, anIdentity(mod("e", "other")))
	create(t, s, homeHub, anIdentity(mod("d", "$not-counted")))
	for _, id := range []string{"a", "b", "b"} { // the second b replaces the first
		if err := limited(mod("d", id)); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{"c", "$d"} {
		wantCode(t, limited(mod("d", id)), hubward.CodeTooManyModulesOnDevice)
		wantNoIdentity(t, s, homeHub, mod("d", id))
	}
	edit(t, s, homeHub, mod("d", "a"), remove)
	if err := limited(mod("d", "c")); err != nil {
		t.Errorf("in place of a deleted one: %v", err)
	}
	if err := limited(dev("new")); err != nil {
		t.Errorf("a device is limited: %v", err)
	}
	create(t, s, homeHub, anIdentity(mod("d", "no limit")))
}

// testEditsBehind: what an edit has set is run behind it, sees it, tells behind it, and is not run when it fails.
func testEditsBehind(t *testing.T, s hub.Store) {
	withHome(t, s)
	refusal := hubward.Errorf(hubward.CodeArgumentInvalid, "not this one")
	with := func(err error) *hub.IdentityEdit {
		e := telling(put(dev("d")), "d")
		run := e.Edit
		e.Edit = func(old *hub.Registration) (*hub.Registration, []hub.HubEvent, error) {
			next, events, _ := run(old)
			failing := identityEdit(mod("d", "b"), func(*hub.Registration) (*hub.Registration, error) { return nil, refusal })
			e.Then = []*hub.IdentityEdit{telling(put(mod("d", "a")), "a"), failing, telling(put(mod("d", "c")), "c")}
			return next, events, err
		}
		return e
	}
	failing := with(refusal)
	if err := s.EditIdentities(t.Context(), homeHub, []*hub.IdentityEdit{failing}); err != nil || failing.Err != refusal {
		t.Fatal(err, failing.Err)
	}
	wantNoIdentity(t, s, homeHub, mod("d", "a"))
	wantOutbox(t, s, homeHub)

	done := with(nil)
	mustEdit(t, s, homeHub, done)
	if done.Then[0].Err != nil || done.Then[1].Err != refusal || done.Then[2].Err != nil {
		t.Errorf("errors %v, %v, %v", done.Then[0].Err, done.Then[1].Err, done.Then[2].Err)
	}
	list, err := s.Modules(t.Context(), homeHub, "d")
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "modules", list, []hub.Registration{*anIdentity(mod("d", "a")), *anIdentity(mod("d", "c"))})
	wantOutbox(t, s, homeHub, told(dev("d"), "d"), told(mod("d", "a"), "a"), told(mod("d", "c"), "c"))
}

// testChildren: a device of one parent is found by its scope.
func testChildren(t *testing.T, s hub.Store) {
	withHome(t, s, "two-parents")
	saveHub(t, s, aHub(homeHub+"2", aTime))
	child := func(id string, scopes ...string) *hub.Registration {
		r := aDevice(id)
		r.ParentScopes = scopes
		return r
	}
	create(t, s, homeHub+"2", child("elsewhere", "s"))
	var want []hub.Registration
	for _, id := range []string{"B", "a", "b", "c"} {
		create(t, s, homeHub, child(id, `s"\u00e9`))
		want = append(want, *child(id, `s"\u00e9`))
	}
	create(t, s, homeHub, child("alone"))
	create(t, s, homeHub, child("other", "S"))
	m := anIdentity(mod("a", "m"))
	m.ParentScopes = []string{`s"\u00e9`}
	create(t, s, homeHub, m)
	for _, c := range []struct {
		scope, after string
		limit        int
		want         []hub.Registration
	}{
		{`s"\u00e9`, "", 10, want}, {`s"\u00e9`, "", 2, want[:2]}, {`s"\u00e9`, "a", 2, want[2:]}, {`s"\u00e9`, "c", 2, nil},
		{`s"\u00e9`, "", 0, nil}, {"s", "", 10, nil}, {"", "", 10, nil}, {"ms-azure-iot-edge://parent-1", "", 10, nil},
	} {
		got, err := s.Children(t.Context(), homeHub, c.scope, c.after, c.limit)
		if err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "children of "+c.scope+" behind "+c.after, got, c.want)
	}
}
