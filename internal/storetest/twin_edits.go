package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/twindoc"
)

// testTwinsApart: one id in two hubs, a device and its modules.
func testTwinsApart(t *testing.T, s hub.Store) {
	withHome(t, s)
	saveHub(t, s, aHub(homeHub+"2", aTime))
	ids := []hubward.Identity{dev("d"), mod("d", "d"), mod("d", "m")}
	for _, name := range []string{homeHub, homeHub + "2"} {
		for _, id := range ids {
			create(t, s, name, anIdentity(id))
		}
	}
	want := func(name string, fullAt int) {
		t.Helper()
		for i, id := range ids {
			twin := hub.NewTwin()
			if i == fullAt {
				twin = aTwin(0)
			}
			wantTwin(t, s, name, withTwin(anIdentity(id), twin))
		}
	}
	editTwins(t, s, homeHub, twinEdit(ids[1], fill))
	want(homeHub, 1)
	want(homeHub+"2", -1)
	editReported(t, s, homeHub+"2", reportedEdit(ids[2], func(int64, twindoc.Section) twindoc.Section { return aTwin(0).Reported }))
	want(homeHub, 1)
	editTwins(t, s, homeHub+"2", twinEdit(ids[2], fill))
	want(homeHub+"2", 2)
	edit(t, s, homeHub+"2", ids[2], remove)
	want(homeHub, 1)
}

// testTwinAlone: what edits of a twin do to the rest of the identity, and those of one part of it to the others.
func testTwinAlone(t *testing.T, s hub.Store) {
	withHome(t, s, "d")
	connected := hub.Connection{ID: dev("d"), Fence: 3, State: hubward.Connected, StateUpdated: aTime, LastActivity: aTime, ModelID: "dtmi:other;2"}
	connect(t, s, homeHub, connected)
	want := aDevice("d")
	want.ConnectionState, want.ModelID = hubward.Connected, connected.ModelID
	want.ConnectionStateUpdatedTime, want.LastActivityTime = hubward.Time{Time: aTime}, hubward.Time{Time: aTime}
	e := &hub.TwinEdit{ID: dev("d"), Edit: func(r *hub.Registration) ([]hub.HubEvent, error) {
		wantEqual(t, "what the edit gets", r, withTwin(want, hub.NewTwin()))
		r.Device, r.ModelID, r.ManagedBy = hubward.Device{DeviceID: "other"}, "other", "other"
		r.Twin.Desired = aTwin(0).Desired
		return nil, nil
	}}
	editTwins(t, s, homeHub, e)
	want.Twin = hub.NewTwin()
	want.Twin.Desired = aTwin(0).Desired
	wantTwin(t, s, homeHub, want)
	wantEqual(t, "connection", connection(t, s, dev("d")), connected)

	editReported(t, s, homeHub, reportedEdit(dev("d"), report))
	want.Twin.Reported = report(0, hub.NewTwin().Reported)
	wantTwin(t, s, homeHub, want)

	editTwins(t, s, homeHub, twinEdit(dev("d"), func(t *hub.StoredTwin) { t.Tags = aTwin(0).Tags }))
	want.Twin.Tags = aTwin(0).Tags
	wantTwin(t, s, homeHub, want)

	connected.Fence, connected.LastActivity = 4, aTime.Add(time.Hour)
	connect(t, s, homeHub, connected)
	want.LastActivityTime = hubward.Time{Time: connected.LastActivity}
	wantTwin(t, s, homeHub, want)
}

// testTwinCopy: what an edit gets and gives shares nothing with what is stored, and what fails leaves it alone.
func testTwinCopy(t *testing.T, s hub.Store) {
	withHome(t, s)
	given := aTwin(0)
	create(t, s, homeHub, withTwin(aDevice("d"), given))
	spoil := func(twin *hub.StoredTwin) {
		twin.ETag = 99
		for _, b := range [][]byte{
			twin.Tags.Document, twin.Desired.Document, twin.Desired.Metadata, twin.Reported.Document, twin.Reported.Metadata, twin.DesiredChanges[0].Patch,
		} {
			b[len(b)-1] = 'x'
		}
		twin.DesiredChanges[0].Version = 99
	}
	spoil(given)
	refusal := errors.New("after spoiling")
	twin := &hub.TwinEdit{ID: dev("d"), Edit: func(r *hub.Registration) ([]hub.HubEvent, error) {
		spoil(r.Twin)
		return nil, refusal
	}}
	reported := &hub.ReportedEdit{ID: dev("d"), Edit: func(_ int64, old twindoc.Section) (twindoc.Section, []hub.HubEvent, error) {
		return aTwin(0).Tags, nil, refusal
	}}
	err := errors.Join(s.EditTwins(t.Context(), homeHub, []*hub.TwinEdit{twin}), EditReported(t.Context(), s, homeHub, []*hub.ReportedEdit{reported}))
	if err != nil || twin.Err != refusal || reported.Err != refusal {
		t.Fatalf("%v, %v, %v", err, twin.Err, reported.Err)
	}
	wantTwin(t, s, homeHub, withTwin(aDevice("d"), aTwin(0)))
}

// A patch of a connection that was displaced may reach the store behind one of the next connection.
func testTwinFence(t *testing.T, s hub.Store) {
	withHome(t, s, "d", "other")
	edit := func(device string, fence uint64) *hub.ReportedEdit {
		e := reportedEdit(dev(device), report)
		e.Fence = fence
		return e
	}
	late := []*hub.ReportedEdit{edit("d", 0), edit("d", 6), edit("other", 6)}
	editReported(t, s, homeHub, edit("d", 5), edit("d", 7), edit("d", 7))
	editTwins(t, s, homeHub, twinEdit(dev("d"), func(twin *hub.StoredTwin) { twin.Reported.Version++ })) // by no connection: it stays 7
	if err := EditReported(t.Context(), s, homeHub, late); err != nil {
		t.Fatal(err)
	}
	wantCode(t, late[0].Err, hubward.CodeConnectionClosedOnNewOne)
	wantCode(t, late[1].Err, hubward.CodeConnectionClosedOnNewOne)
	if late[2].Err != nil {
		t.Errorf("another identity: %v", late[2].Err)
	}
	if r, err := s.Twin(t.Context(), homeHub, dev("d")); err != nil || r.Twin.Reported.Version != 5 {
		t.Errorf("%+v, %v; want the version that four writes leave", r, err)
	}
}

func testTwinOrder(t *testing.T, s hub.Store) {
	withHome(t, s, "d")
	var seen []int64
	next := func(twin *hub.StoredTwin) {
		seen = append(seen, twin.ETag)
		twin.ETag += 2
		twin.DesiredChanges = append(twin.DesiredChanges, hub.DesiredChange{Version: twin.ETag, Patch: []byte(`{}`)})
	}
	editTwins(t, s, homeHub, twinEdit(dev("d"), next), twinEdit(dev("d"), next), twinEdit(dev("d"), next))
	wantEqual(t, "etags seen", seen, []int64{1, 3, 5})
	seen = nil
	nextReported := func(_ int64, old twindoc.Section) twindoc.Section {
		seen = append(seen, old.Version)
		old.Version += 2
		return old
	}
	editReported(t, s, homeHub, reportedEdit(dev("d"), nextReported), reportedEdit(dev("d"), nextReported), reportedEdit(dev("d"), nextReported))
	wantEqual(t, "versions seen", seen, []int64{1, 3, 5})
	want := &hub.StoredTwin{ETag: 7, Desired: twindoc.Section{Version: 1}, Reported: twindoc.Section{Version: 7}}
	for v := int64(3); v <= 7; v += 2 {
		want.DesiredChanges = append(want.DesiredChanges, hub.DesiredChange{Version: v, Patch: []byte(`{}`)})
	}
	wantTwin(t, s, homeHub, withTwin(aDevice("d"), want))
}

// testTwinFailure: an edit that fails leaves its twin alone, and tells nothing; the others stand.
func testTwinFailure(t *testing.T, s hub.Store) {
	withHome(t, s, "a", "b", "c")
	refusal := hubward.Errorf(hubward.CodePreconditionFailed, "not this one")
	twins := []*hub.TwinEdit{twinEdit(dev("a"), fill, "a"), twinEdit(dev("b"), fill), twinEdit(dev("c"), fill, "c")}
	twins[1].Edit = func(r *hub.Registration) ([]hub.HubEvent, error) {
		fill(r.Twin)
		return []hub.HubEvent{told(dev("b"), "refused")}, refusal
	}
	twins[0].Err = errors.New("from an earlier call")
	if err := s.EditTwins(t.Context(), homeHub, twins); err != nil || twins[0].Err != nil || twins[1].Err != refusal || twins[2].Err != nil {
		t.Fatal(err, twins[0].Err, twins[1].Err, twins[2].Err)
	}
	reported := []*hub.ReportedEdit{reportedEdit(dev("b"), report), reportedEdit(dev("c"), report, "c reported")}
	reported[0].Edit = func(_ int64, old twindoc.Section) (twindoc.Section, []hub.HubEvent, error) {
		return report(0, old), []hub.HubEvent{told(dev("b"), "refused")}, refusal
	}
	reported[1].Err = errors.New("from an earlier call")
	if err := EditReported(t.Context(), s, homeHub, reported); err != nil || reported[0].Err != refusal || reported[1].Err != nil {
		t.Fatal(err, reported[0].Err, reported[1].Err)
	}
	wantTwin(t, s, homeHub, withTwin(aDevice("a"), aTwin(0)))
	wantTwin(t, s, homeHub, withTwin(aDevice("b"), hub.NewTwin()))
	c := aTwin(0)
	c.Reported.Version++
	wantTwin(t, s, homeHub, withTwin(aDevice("c"), c))
	wantOutbox(t, s, homeHub, told(dev("a"), "a"), told(dev("c"), "c"), told(dev("c"), "c reported"))
}

func testTwinPanic(t *testing.T, s hub.Store) {
	withHome(t, s, "a", "b")
	want := withTwin(aDevice("a"), hub.NewTwin())
	for range 2 { // so that a store may know it by heart
		editReported(t, s, homeHub, reportedEdit(dev("a"), report))
		want.Twin.Reported = report(0, want.Twin.Reported)
	}
	panicking := &hub.TwinEdit{ID: dev("b"), Edit: func(*hub.Registration) ([]hub.HubEvent, error) { panic("out of its mind") }}
	wantCode(t, s.EditTwins(t.Context(), homeHub, []*hub.TwinEdit{twinEdit(dev("a"), fill, "rolled back"), panicking}), hubward.CodeServerError)
	reporting := &hub.ReportedEdit{ID: dev("b"), Edit: func(int64, twindoc.Section) (twindoc.Section, []hub.HubEvent, error) { panic("out of its mind") }}
	wantCode(t, EditReported(t.Context(), s, homeHub, []*hub.ReportedEdit{reportedEdit(dev("a"), report, "rolled back"), reporting}), hubward.CodeServerError)
	wantTwin(t, s, homeHub, want)
	wantOutbox(t, s, homeHub)
}

// testTwinEvents: events are told with an edit, in order, whether or not it changed the twin.
func testTwinEvents(t *testing.T, s hub.Store) {
	withHome(t, s, "a", "b")
	nothing := func(*hub.StoredTwin) {}
	same := func(_ int64, old twindoc.Section) twindoc.Section { return old }
	editTwins(t, s, homeHub, twinEdit(dev("a"), fill, "a1", "a2"), twinEdit(dev("b"), nothing, "b1"), twinEdit(dev("a"), nothing, "a3"))
	editReported(t, s, homeHub, reportedEdit(dev("b"), same, "b2"), reportedEdit(dev("a"), report, "a4", "a5"))
	e := telling(put(dev("a")), "a6")
	e.WithTwin = true
	mustEdit(t, s, homeHub, e)
	var want []hub.HubEvent
	for _, name := range []string{"a1", "a2", "b1", "a3", "b2", "a4", "a5", "a6"} {
		want = append(want, told(dev(name[:1]), name))
	}
	wantOutbox(t, s, homeHub, want...)
}
