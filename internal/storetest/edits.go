package storetest

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

var editTests = []test{
	{"replaceKeepsConnection", testEditReplace},
	{"getsACopy", testEditCopy},
	{"deleteAndCreateAgain", testEditDelete},
	{"storesUnderItsID", testEditID},
	{"runInOrderOnOneAnothersRows", testEditOrder},
	{"failureIsItsOwn", testEditFailure},
	{"ofNothing", testEditNothing},
	{"ofUnknownHubChangesNothing", testEditUnknownHub},
	{"panicFailsTheCallAlone", testEditPanic},
	{"endedContext", testEditEndedContext},
	{"readersSeeWholeCalls", testEditAtomic},
	{"tellEvents", testEditEvents},
	{"tellNothingThatDidNotHappen", testEditNoEvents},
}

// testEditReplace: an edit may change everything but what EditConnections owns.
func testEditReplace(t *testing.T, s hub.Store) {
	withHome(t, s, "d")
	next := &hub.Registration{Device: hubward.Device{
		DeviceID:                   "d",
		GenerationID:               "2",
		ETag:                       "Mg==",
		ConnectionState:            hubward.Connected,
		Status:                     hubward.StatusDisabled,
		ConnectionStateUpdatedTime: hubward.Time{Time: aTime.Add(time.Hour)},
		StatusUpdatedTime:          hubward.Time{Time: aTime.Add(time.Minute)},
		Authentication: &hubward.Authentication{
			X509Thumbprint: hubward.X509Thumbprint{PrimaryThumbprint: "FF"}, Type: hubward.AuthSelfSigned,
		},
	}}
	edit(t, s, homeHub, dev("d"), func(old *hub.Registration) (*hub.Registration, error) {
		wantEqual(t, "old", old, aDevice("d"))
		return next, nil
	})
	want := *next
	want.ConnectionState = hubward.Disconnected
	want.ConnectionStateUpdatedTime = aDevice("d").ConnectionStateUpdatedTime
	want.LastActivityTime = aDevice("d").LastActivityTime
	wantEqual(t, "device", device(t, s, homeHub, "d"), &want)
}

// testEditCopy: what an edit gets and gives shares nothing with what is stored.
func testEditCopy(t *testing.T, s hub.Store) {
	withHome(t, s)
	given := aDevice("d")
	create(t, s, homeHub, given)
	spoil := func(r *hub.Registration) {
		r.ETag, r.ParentScopes[0], r.Authentication.SymmetricKey.PrimaryKey = "x", "x", "x"
	}
	spoil(given)
	spoil(device(t, s, homeHub, "d"))
	e := identityEdit(dev("d"), func(old *hub.Registration) (*hub.Registration, error) {
		spoil(old)
		return nil, errors.New("after spoiling")
	})
	if err := s.EditIdentities(t.Context(), homeHub, []*hub.IdentityEdit{e}); err != nil || e.Err == nil {
		t.Fatalf("errors %v, %v", err, e.Err)
	}
	wantEqual(t, "device", device(t, s, homeHub, "d"), aDevice("d"))
}

func testEditDelete(t *testing.T, s hub.Store) {
	withHome(t, s, "d", "d2")
	saveSession(t, s, homeHub, dev("d"), 1, aState)
	saveSession(t, s, homeHub, dev("d2"), 1, aState)

	edit(t, s, homeHub, dev("d"), remove)
	wantNoDevice(t, s, homeHub, "d")
	wantNoSession(t, s, homeHub, dev("d"))
	wantDevices(t, s, homeHub, 10, *aDevice("d2"))
	wantSession(t, s, homeHub, dev("d2"), aState)
	edit(t, s, homeHub, dev("d"), remove) // there is nothing to delete: no error

	again := aDevice("d")
	again.GenerationID, again.ConnectionStateUpdatedTime, again.LastActivityTime = "2", hubward.Time{}, hubward.Time{}
	create(t, s, homeHub, again)
	wantEqual(t, "device", device(t, s, homeHub, "d"), again)
	wantNoSession(t, s, homeHub, dev("d"))
}

// testEditID: whatever ids a registration says it has.
func testEditID(t *testing.T, s hub.Store) {
	withHome(t, s)
	edit(t, s, homeHub, dev("d"), func(*hub.Registration) (*hub.Registration, error) { return anIdentity(mod("other", "m")), nil })
	want := anIdentity(mod("other", "m"))
	want.DeviceID, want.ModuleID = "d", ""
	wantDevices(t, s, homeHub, 10, *want)
	edit(t, s, homeHub, mod("d", "m"), func(*hub.Registration) (*hub.Registration, error) { return anIdentity(dev("d")), nil })
	module := anIdentity(dev("d"))
	module.ModuleID = "m"
	wantEqual(t, "module", identity(t, s, homeHub, mod("d", "m")), module)
	wantDevices(t, s, homeHub, 10, *want)
}

// testEditOrder: each edit of a call sees what those before it have done.
func testEditOrder(t *testing.T, s hub.Store) {
	withHome(t, s)
	var seen []string
	step := func(next *hub.Registration) *hub.IdentityEdit {
		return identityEdit(dev("d"), func(old *hub.Registration) (*hub.Registration, error) {
			if old == nil {
				seen = append(seen, "none")
			} else {
				seen = append(seen, old.ETag)
			}
			return next, nil
		})
	}
	one, two, three := aDevice("d"), aDevice("d"), aDevice("d")
	one.ETag, two.ETag, three.ETag = "1", "2", "3"
	mustEdit(t, s, homeHub, step(one), step(two), step(nil), step(three))
	if got := strings.Join(seen, " "); got != "none 1 2 none" {
		t.Errorf("edits saw %q", got)
	}
	wantEqual(t, "device", device(t, s, homeHub, "d"), three)
}

// testEditFailure: a failing edit leaves its row alone, and the others stand.
func testEditFailure(t *testing.T, s hub.Store) {
	withHome(t, s, "kept")
	refusal := hubward.Errorf(hubward.CodePreconditionFailed, "not this one")
	refuse := func(id string) *hub.IdentityEdit {
		return identityEdit(dev(id), func(*hub.Registration) (*hub.Registration, error) {
			d := aDevice(id)
			d.ETag = "must not be stored"
			return d, refusal
		})
	}
	edits := []*hub.IdentityEdit{put(dev("a")), refuse("kept"), refuse("b"), put(dev("c")), refuse("a")}
	edits[0].Err, edits[0].Then = errors.New("from an earlier call"), []*hub.IdentityEdit{put(dev("x"))}
	if err := s.EditIdentities(t.Context(), homeHub, edits); err != nil {
		t.Fatal(err)
	}
	for i, want := range []error{nil, refusal, refusal, nil, refusal} {
		if edits[i].Err != want || len(edits[i].Then) != 0 {
			t.Errorf("edit %d: error %v, want %v; edits behind it %v", i, edits[i].Err, want, edits[i].Then)
		}
	}
	wantDevices(t, s, homeHub, 10, *aDevice("a"), *aDevice("c"), *aDevice("kept"))
}

func testEditNothing(t *testing.T, s hub.Store) {
	withHome(t, s)
	mustEdit(t, s, homeHub)
	edit(t, s, homeHub, dev("d"), remove)
	wantDevices(t, s, homeHub, 10)
}

func testEditUnknownHub(t *testing.T, s hub.Store) {
	withHome(t, s)
	wantCode(t, s.EditIdentities(t.Context(), "nowhere", []*hub.IdentityEdit{put(dev("d"))}), hubward.CodeHubNotFound)
	saveHub(t, s, aHub("nowhere", aTime))
	wantNoDevice(t, s, "nowhere", "d")
}

func testEditPanic(t *testing.T, s hub.Store) {
	withHome(t, s)
	edits := []*hub.IdentityEdit{
		put(dev("a")),
		identityEdit(dev("b"), func(*hub.Registration) (*hub.Registration, error) { panic("out of its mind") }),
	}
	err := s.EditIdentities(t.Context(), homeHub, edits)
	wantCode(t, err, hubward.CodeServerError)
	if !strings.Contains(err.Error(), "out of its mind") {
		t.Errorf("error %q does not tell the panic", err)
	}
	wantNoDevice(t, s, homeHub, "a")
	create(t, s, homeHub, aDevice("a")) // the store is still alive
}

func testEditEndedContext(t *testing.T, s hub.Store) {
	withHome(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.EditIdentities(ctx, homeHub, []*hub.IdentityEdit{put(dev("d"))}); !errors.Is(err, ctx.Err()) {
		t.Errorf("error %v, want %v", err, ctx.Err())
	}
	wantNoDevice(t, s, homeHub, "d")
}

// testEditAtomic: a reader never sees half of a call.
func testEditAtomic(t *testing.T, s hub.Store) {
	withHome(t, s)
	const rounds = 50
	both := func(etag string) []*hub.IdentityEdit {
		var edits []*hub.IdentityEdit
		for _, id := range []string{"a", "b"} {
			edits = append(edits, identityEdit(dev(id), func(*hub.Registration) (*hub.Registration, error) {
				d := aDevice(id)
				d.ETag = etag
				return d, nil
			}))
		}
		return edits
	}
	mustEdit(t, s, homeHub, both("0")...)
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range rounds {
			if err := s.EditIdentities(t.Context(), homeHub, both(strconv.Itoa(i))); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range rounds {
		list, err := s.Devices(t.Context(), homeHub, "", 10)
		if err != nil || len(list) != 2 || list[0].ETag != list[1].ETag {
			t.Errorf("half of a call is seen: %v, %v", list, err)
			break
		}
	}
	wg.Wait()
}

// telling makes an edit tell events that bear names.
func telling(e *hub.IdentityEdit, names ...string) *hub.IdentityEdit {
	run := e.Edit
	e.Edit = func(old *hub.Registration) (*hub.Registration, []hub.HubEvent, error) {
		next, events, err := run(old)
		for _, name := range names {
			events = append(events, told(e.ID, name))
		}
		return next, events, err
	}
	return e
}

// testEditEvents: an event is told with the change, in order, and outlives its identity.
func testEditEvents(t *testing.T, s hub.Store) {
	withHome(t, s)
	mustEdit(t, s, homeHub,
		telling(put(dev("d")), "created"),
		telling(put(mod("d", "m")), "created m", "told of m"),
		telling(put(dev("d")), "updated"))
	want := []hub.HubEvent{
		told(dev("d"), "created"), told(mod("d", "m"), "created m"), told(mod("d", "m"), "told of m"), told(dev("d"), "updated"),
	}
	wantOutbox(t, s, homeHub, want...)
	mustEdit(t, s, homeHub, telling(identityEdit(dev("d"), remove), "deleted"), telling(identityEdit(dev("d"), remove), "deleted again"))
	wantNoDevice(t, s, homeHub, "d")
	wantOutbox(t, s, homeHub, append(want, told(dev("d"), "deleted"), told(dev("d"), "deleted again"))...)
}

func testEditNoEvents(t *testing.T, s hub.Store) {
	withHome(t, s, "d")
	refuse := func(*hub.Registration) (*hub.Registration, error) { return nil, errors.New("refused") }
	edits := []*hub.IdentityEdit{telling(identityEdit(dev("d"), refuse), "refused"), telling(put(mod("e", "m")), "orphan")}
	if err := s.EditIdentities(t.Context(), homeHub, edits); err != nil || edits[0].Err == nil || edits[1].Err == nil {
		t.Fatalf("errors %v, %v, %v", err, edits[0].Err, edits[1].Err)
	}
	edits = []*hub.IdentityEdit{
		telling(put(dev("d")), "rolled back"),
		identityEdit(dev("e"), func(*hub.Registration) (*hub.Registration, error) { panic("out of its mind") }),
	}
	wantCode(t, s.EditIdentities(t.Context(), homeHub, edits), hubward.CodeServerError)
	wantOutbox(t, s, homeHub)
}
