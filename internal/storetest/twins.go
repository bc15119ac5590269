package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/twindoc"
)

var twinTests = []test{
	{"newAreFresh", testTwinFresh},
	{"keepEveryField", testTwinFields},
	{"keepLargeDocuments", testTwinLarge},
	{"canBecomeEmpty", testTwinEmptied},
	{"unknownIsNotFound", testTwinUnknown},
	{"listInPages", testTwinPages},
	{"storedWithTheirIdentity", testTwinOfEditedIdentity},
	{"createdAgainAreFresh", testTwinDeleted},
	{"goWithTheirDevice", testTwinsOfModulesDeleted},
	{"areApart", testTwinsApart},
	{"editsTouchNothingElse", testTwinAlone},
	{"editsGetACopy", testTwinCopy},
	{"editsRunInOrderOnOneAnothersRows", testTwinOrder},
	{"olderClaimReportsNothing", testTwinFence},
	{"failureIsItsOwn", testTwinFailure},
	{"panicFailsTheCallAlone", testTwinPanic},
	{"tellEvents", testTwinEvents},
}

// aTwin returns a twin with every field set, the larger of size bytes or a few.
func aTwin(size int) *hub.StoredTwin {
	text := strings.Repeat(`\"ü' <&>`, size/9+1)
	section := func(name string, version int64) twindoc.Section {
		return twindoc.Section{
			Document: fmt.Appendf(nil, `{"%s":1.50,"text":"%s"}`, name, text), Version: version,
			Metadata: []byte("\x00\xff" + name + text), Size: 100 + len(text),
		}
	}
	t := &hub.StoredTwin{ETag: 7, Tags: section("a", 0), Desired: section("b", 5), Reported: section("c", 9)}
	t.Tags.Metadata = nil
	for v := t.Desired.Version - 1; v <= t.Desired.Version; v++ {
		t.DesiredChanges = append(t.DesiredChanges, hub.DesiredChange{Version: v, Patch: fmt.Appendf(nil, `{"$version":%d,"b":"<%s>"}`, v, text)})
	}
	return t
}

// withTwin is an identity that has a twin.
func withTwin(r *hub.Registration, twin *hub.StoredTwin) *hub.Registration {
	r.Twin = twin
	return r
}

// twinEdit is an edit that tells events that bear names.
func twinEdit(id hubward.Identity, change func(*hub.StoredTwin), names ...string) *hub.TwinEdit {
	return &hub.TwinEdit{ID: id, Edit: func(r *hub.Registration) ([]hub.HubEvent, error) {
		change(r.Twin)
		var events []hub.HubEvent
		for _, name := range names {
			events = append(events, told(id, name))
		}
		return events, nil
	}}
}

// fill is a change that sets every field.
func fill(t *hub.StoredTwin) { *t = *aTwin(0) }

// reportedEdit is an edit that tells events that bear names.
func reportedEdit(id hubward.Identity, change func(etag int64, old twindoc.Section) twindoc.Section, names ...string) *hub.ReportedEdit {
	return &hub.ReportedEdit{ID: id, Edit: func(etag int64, old twindoc.Section) (twindoc.Section, []hub.HubEvent, error) {
		var events []hub.HubEvent
		for _, name := range names {
			events = append(events, told(id, name))
		}
		return change(etag, old), events, nil
	}}
}

// report is a change that sets every field, and raises the version.
func report(_ int64, old twindoc.Section) twindoc.Section {
	next := aTwin(0).Reported
	next.Version = old.Version + 1
	return next
}

// editTwins runs edits that have to succeed.
func editTwins(t *testing.T, s hub.Store, hubName string, edits ...*hub.TwinEdit) {
	t.Helper()
	if err := s.EditTwins(t.Context(), hubName, edits); err != nil {
		t.Fatalf("EditTwins: %v", err)
	}
	for _, e := range edits {
		if e.Err != nil {
			t.Fatalf("edit of the twin of %s: %v", e.ID, e.Err)
		}
	}
}

// EditReported is s.EditReported that returns when it is done.
func EditReported(ctx context.Context, s hub.Store, hubName string, edits []*hub.ReportedEdit) error {
	done := make(chan error, 1)
	s.EditReported(ctx, hubName, edits, func(err error) { done <- err })
	return <-done
}

// editReported runs edits that have to succeed.
func editReported(t *testing.T, s hub.Store, hubName string, edits ...*hub.ReportedEdit) {
	t.Helper()
	if err := EditReported(t.Context(), s, hubName, edits); err != nil {
		t.Fatalf("EditReported: %v", err)
	}
	for _, e := range edits {
		if e.Err != nil {
			t.Fatalf("edit of what %s reports: %v", e.ID, e.Err)
		}
	}
}

// wantTwin checks all that is read of an identity with its twin.
func wantTwin(t *testing.T, s hub.Store, hubName string, want *hub.Registration) {
	t.Helper()
	id := want.Identity()
	got, err := s.Twin(t.Context(), hubName, id)
	if err != nil {
		t.Fatalf("Twin(%s, %s): %v", hubName, id, err)
	}
	wantEqual(t, "twin of "+id.String(), got, want)
	desired, changes, err := s.DesiredProperties(t.Context(), hubName, id)
	if err != nil {
		t.Fatalf("DesiredProperties(%s, %s): %v", hubName, id, err)
	}
	wantEqual(t, "desired properties of "+id.String(), desired, want.Twin.Desired)
	wantEqual(t, "changes of the desired properties of "+id.String(), changes, want.Twin.DesiredChanges)
	err = EditReported(t.Context(), s, hubName, []*hub.ReportedEdit{reportedEdit(id, func(etag int64, old twindoc.Section) twindoc.Section {
		wantEqual(t, "reported properties of "+id.String(), old, want.Twin.Reported)
		wantEqual(t, "etag of the twin of "+id.String(), etag, want.Twin.ETag)
		return old
	})})
	if err != nil {
		t.Fatalf("EditReported: %v", err)
	}
}

func testTwinFresh(t *testing.T, s hub.Store) {
	withHome(t, s, "d")
	create(t, s, homeHub, anIdentity(mod("d", "m")))
	for _, id := range []hubward.Identity{dev("d"), mod("d", "m")} {
		wantTwin(t, s, homeHub, withTwin(anIdentity(id), hub.NewTwin()))
		if got := identity(t, s, homeHub, id); got.Twin != nil {
			t.Errorf("%s has a twin that was not asked for: %v", id, got.Twin)
		}
	}
	wantTwins(t, s, "", 10, *withTwin(aDevice("d"), hub.NewTwin()))
}

func wantTwins(t *testing.T, s hub.Store, after string, limit int, want ...hub.Registration) {
	t.Helper()
	got, err := s.Twins(t.Context(), homeHub, after, limit)
	if err != nil {
		t.Fatalf("Twins: %v", err)
	}
	wantEqual(t, fmt.Sprintf("twins behind %q, limit %d", after, limit), got, want)
}

func testTwinFields(t *testing.T, s hub.Store) {
	withHome(t, s, "d")
	create(t, s, homeHub, anIdentity(mod("d", "m")))
	for _, id := range []hubward.Identity{dev("d"), mod("d", "m")} {
		for range 2 { // the second time it is there
			editTwins(t, s, homeHub, twinEdit(id, fill))
			wantTwin(t, s, homeHub, withTwin(anIdentity(id), aTwin(0)))
		}
	}
	wantTwins(t, s, "", 10, *withTwin(aDevice("d"), aTwin(0)))
	more := aTwin(0)
	more.ETag, more.Tags.Size, more.Desired.Version, more.Reported.Version = 1<<62, 1, 1<<61, 1<<60
	editTwins(t, s, homeHub, twinEdit(dev("d"), func(t *hub.StoredTwin) { *t = *more }))
	wantTwin(t, s, homeHub, withTwin(aDevice("d"), more))
}

// testTwinLarge: documents may grow and shrink.
func testTwinLarge(t *testing.T, s hub.Store) {
	withHome(t, s, "d")
	for _, size := range []int{100, 60_000, 60_001, 1000, 200_000, 0} {
		editTwins(t, s, homeHub, twinEdit(dev("d"), func(t *hub.StoredTwin) { *t = *aTwin(size) }))
		wantTwin(t, s, homeHub, withTwin(aDevice("d"), aTwin(size)))
	}
	want := aTwin(0)
	for _, size := range []int{60_000, 60_001, 0, 200_000} {
		want.Reported = aTwin(size).Reported
		editReported(t, s, homeHub, reportedEdit(dev("d"), func(int64, twindoc.Section) twindoc.Section { return want.Reported }))
		wantTwin(t, s, homeHub, withTwin(aDevice("d"), want))
	}
}

// testTwinEmptied: a document without members is as good as none; versions stay.
func testTwinEmptied(t *testing.T, s hub.Store) {
	withHome(t, s, "d", "e")
	editTwins(t, s, homeHub, twinEdit(dev("d"), fill), twinEdit(dev("e"), fill))
	want := &hub.StoredTwin{ETag: 8, Desired: twindoc.Section{Version: 6}, Reported: twindoc.Section{Version: 10}}
	editTwins(t, s, homeHub, twinEdit(dev("d"), func(t *hub.StoredTwin) { *t = *want }))
	wantTwin(t, s, homeHub, withTwin(aDevice("d"), want))

	e := aTwin(0)
	e.Reported = twindoc.Section{Version: 10}
	editReported(t, s, homeHub, reportedEdit(dev("e"), func(int64, twindoc.Section) twindoc.Section {
		return twindoc.Section{Version: 10, Document: []byte("{}")}
	}))
	wantTwin(t, s, homeHub, withTwin(aDevice("e"), e))
}

func testTwinUnknown(t *testing.T, s hub.Store) {
	withHome(t, s, "d")
	for _, c := range []struct {
		hubName string
		id      hubward.Identity
	}{
		{homeHub, dev("unknown")}, {homeHub, mod("d", "unknown")}, {homeHub, dev("D")}, {"nowhere", dev("d")}, {"nowhere", mod("d", "m")},
	} {
		r, err := s.Twin(t.Context(), c.hubName, c.id)
		wantNotFound(t, err, c.id)
		if r != nil {
			t.Errorf("Twin(%s) = %v besides its error", c.id, r)
		}
		_, _, err = s.DesiredProperties(t.Context(), c.hubName, c.id)
		wantNotFound(t, err, c.id)

		never := func() { t.Errorf("edit of %s, which is not registered", c.id) }
		twin := &hub.TwinEdit{ID: c.id, Edit: func(*hub.Registration) ([]hub.HubEvent, error) { never(); return nil, nil }}
		reported := &hub.ReportedEdit{ID: c.id, Edit: func(int64, twindoc.Section) (next twindoc.Section, _ []hub.HubEvent, _ error) { never(); return }}
		if err := errors.Join(s.EditTwins(t.Context(), c.hubName, []*hub.TwinEdit{twin}), EditReported(t.Context(), s, c.hubName, []*hub.ReportedEdit{reported})); err != nil {
			t.Fatal(err)
		}
		wantNotFound(t, twin.Err, c.id)
		wantNotFound(t, reported.Err, c.id)
	}
	if got, err := s.Twins(t.Context(), "nowhere", "", 10); err != nil || len(got) != 0 {
		t.Errorf("twins of an unknown hub: %v, %v", got, err)
	}
	editTwins(t, s, homeHub)
	editReported(t, s, homeHub)
}

// testTwinPages has modules among the devices, another hub behind them, and twins that nobody has written to.
func testTwinPages(t *testing.T, s hub.Store) {
	ids := []string{"#", "-", "B", "a", "a'b", "a10", "a9", "b"}
	withHome(t, s, ids...)
	saveHub(t, s, aHub(homeHub+"2", aTime))
	create(t, s, homeHub+"2", withTwin(aDevice("c"), aTwin(0)))
	create(t, s, homeHub, withTwin(anIdentity(mod("a", "m")), aTwin(0)))
	var all []hub.Registration
	for i, id := range ids {
		twin := hub.NewTwin()
		if i%3 == 0 {
			twin = aTwin(10 * i)
			editTwins(t, s, homeHub, twinEdit(dev(id), func(t *hub.StoredTwin) { *t = *twin }))
		} else if i%3 == 1 {
			twin.Reported = aTwin(10 * i).Reported
			editReported(t, s, homeHub, reportedEdit(dev(id), func(int64, twindoc.Section) twindoc.Section { return twin.Reported }))
		}
		all = append(all, *withTwin(aDevice(id), twin))
	}
	wantTwins(t, s, "", 0)
	wantTwins(t, s, "", -1)
	for _, limit := range []int{1, 3, len(ids), len(ids) + 1} {
		for from := 0; from <= len(ids); from += 2 {
			after := ""
			if from > 0 {
				after = ids[from-1]
			}
			wantTwins(t, s, after, limit, all[from:min(from+limit, len(all))]...)
		}
	}
	wantTwins(t, s, "a1", 1, all[5])
}

// testTwinOfEditedIdentity: an edit of an identity stores the twin that it returns, and leaves alone one that it does not.
func testTwinOfEditedIdentity(t *testing.T, s hub.Store) {
	withHome(t, s)
	create(t, s, homeHub, withTwin(aDevice("d"), aTwin(10)))
	wantTwin(t, s, homeHub, withTwin(aDevice("d"), aTwin(10)))
	create(t, s, homeHub, withTwin(aDevice("fresh"), hub.NewTwin()))
	wantTwin(t, s, homeHub, withTwin(aDevice("fresh"), hub.NewTwin()))

	edit(t, s, homeHub, dev("d"), func(old *hub.Registration) (*hub.Registration, error) {
		if old.Twin != nil {
			t.Error("the edit gets a twin that it did not ask for")
		}
		old.ETag = "edited"
		return old, nil
	})
	want := withTwin(aDevice("d"), aTwin(10))
	want.ETag = "edited"
	wantTwin(t, s, homeHub, want)

	e := identityEdit(dev("d"), func(old *hub.Registration) (*hub.Registration, error) {
		wantEqual(t, "the twin that was asked for", old.Twin, aTwin(10))
		old.Twin.ETag, old.Twin.Tags = 8, twindoc.Section{}
		return old, nil
	})
	e.WithTwin = true
	mustEdit(t, s, homeHub, e)
	want.Twin.ETag, want.Twin.Tags = 8, twindoc.Section{}
	wantTwin(t, s, homeHub, want)

	edit(t, s, homeHub, dev("d"), func(old *hub.Registration) (*hub.Registration, error) {
		old.Twin = aTwin(20) // in place of one that was not read
		return old, nil
	})
	want.Twin = aTwin(20)
	wantTwin(t, s, homeHub, want)

	e = identityEdit(mod("d", "m"), func(old *hub.Registration) (*hub.Registration, error) {
		if old != nil {
			t.Errorf("it is there already: %v", old)
		}
		return withTwin(anIdentity(mod("d", "m")), aTwin(30)), nil
	})
	e.WithTwin = true
	mustEdit(t, s, homeHub, e)
	wantTwin(t, s, homeHub, withTwin(anIdentity(mod("d", "m")), aTwin(30)))
}

func testTwinDeleted(t *testing.T, s hub.Store) {
	withHome(t, s, "d", "e")
	create(t, s, homeHub, anIdentity(mod("e", "m")))
	for range 3 { // so that a store may know it by heart
		editReported(t, s, homeHub, reportedEdit(dev("d"), report), reportedEdit(dev("e"), report), reportedEdit(mod("e", "m"), report))
	}
	editTwins(t, s, homeHub, twinEdit(dev("d"), fill))
	e := identityEdit(dev("d"), func(old *hub.Registration) (*hub.Registration, error) {
		wantEqual(t, "the twin that goes", old.Twin, aTwin(0))
		return nil, nil
	})
	e.WithTwin = true
	again := put(dev("d"))
	again.WithTwin = true
	mustEdit(t, s, homeHub, e, identityEdit(dev("e"), remove), again, put(dev("e")))
	create(t, s, homeHub, anIdentity(mod("e", "m")))
	for _, id := range []hubward.Identity{dev("d"), dev("e"), mod("e", "m")} {
		wantTwin(t, s, homeHub, withTwin(anIdentity(id), hub.NewTwin()))
	}
	for range 3 {
		editReported(t, s, homeHub, reportedEdit(dev("d"), report))
	}
	if err := s.DeleteHub(t.Context(), homeHub); err != nil {
		t.Fatal(err)
	}
	withHome(t, s, "d")
	wantTwin(t, s, homeHub, withTwin(aDevice("d"), hub.NewTwin()))
}

// testTwinsOfModulesDeleted: whoever deletes a device with twin and modules sees their twins, too, which go with it.
func testTwinsOfModulesDeleted(t *testing.T, s hub.Store) {
	for _, withTwins := range []bool{true, false} {
		name := fmt.Sprint("hub-", withTwins)
		saveHub(t, s, aHub(name, aTime))
		create(t, s, name, aDevice("d"))
		create(t, s, name, anIdentity(mod("d", "a")))
		create(t, s, name, withTwin(anIdentity(mod("d", "b")), aTwin(0)))
		e, gone := removal(dev("d"))
		e.WithTwin = withTwins
		mustEdit(t, s, name, e)
		want := []hub.Registration{*anIdentity(mod("d", "a")), *anIdentity(mod("d", "b"))}
		if withTwins {
			want[0].Twin, want[1].Twin = hub.NewTwin(), aTwin(0)
		}
		wantEqual(t, "modules that went along", *gone, want)
		create(t, s, name, aDevice("d"))
		create(t, s, name, anIdentity(mod("d", "b")))
		wantTwin(t, s, name, withTwin(anIdentity(mod("d", "b")), hub.NewTwin()))
	}
}
