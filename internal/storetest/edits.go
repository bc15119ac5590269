package storetest

import (
	"context"
	"errors"
	"fmt"
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
	{"concurrentOnesLoseNothing", testEditConcurrent},
	{"readersSeeWholeCalls", testEditAtomic},
}

// testEditReplace: an edit may change everything but what RecordActivity owns.
func testEditReplace(t *testing.T, s hub.Store) {
	withHome(t, s)
	create(t, s, homeHub, aDevice("d"))
	next := &hubward.Device{
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
	}
	edit(t, s, homeHub, "d", func(old *hubward.Device) (*hubward.Device, error) {
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
	spoil := func(d *hubward.Device) {
		d.ETag, d.ParentScopes[0], d.Authentication.SymmetricKey.PrimaryKey = "x", "x", "x"
	}
	spoil(given)
	spoil(device(t, s, homeHub, "d"))
	e := &hub.DeviceEdit{ID: "d", Edit: func(old *hubward.Device) (*hubward.Device, error) {
		spoil(old)
		return nil, errors.New("after spoiling")
	}}
	if err := s.EditDevices(t.Context(), homeHub, []*hub.DeviceEdit{e}); err != nil || e.Err == nil {
		t.Fatalf("errors %v, %v", err, e.Err)
	}
	wantEqual(t, "device", device(t, s, homeHub, "d"), aDevice("d"))
}

func testEditDelete(t *testing.T, s hub.Store) {
	withHome(t, s)
	id := hubward.Identity{Device: "d"}
	create(t, s, homeHub, aDevice("d"))
	create(t, s, homeHub, aDevice("d2"))
	saveSession(t, s, homeHub, id, someFilters)
	saveSession(t, s, homeHub, hubward.Identity{Device: "d2"}, someFilters)

	edit(t, s, homeHub, "d", remove)
	wantNoDevice(t, s, homeHub, "d")
	wantNoSession(t, s, homeHub, id)
	wantDevices(t, s, homeHub, 10, *aDevice("d2"))
	wantSession(t, s, homeHub, hubward.Identity{Device: "d2"}, someFilters)
	edit(t, s, homeHub, "d", remove) // there is nothing to delete: no error

	again := aDevice("d")
	again.GenerationID, again.ConnectionStateUpdatedTime, again.LastActivityTime = "2", hubward.Time{}, hubward.Time{}
	create(t, s, homeHub, again)
	wantEqual(t, "device", device(t, s, homeHub, "d"), again)
	wantNoSession(t, s, homeHub, id)
}

func testEditID(t *testing.T, s hub.Store) {
	withHome(t, s)
	edit(t, s, homeHub, "d", func(*hubward.Device) (*hubward.Device, error) { return aDevice("other"), nil })
	want := aDevice("other")
	want.DeviceID = "d"
	wantDevices(t, s, homeHub, 10, *want)
}

// testEditOrder: each edit of a call sees what those before it have done.
func testEditOrder(t *testing.T, s hub.Store) {
	withHome(t, s)
	var seen []string
	step := func(next *hubward.Device) *hub.DeviceEdit {
		return &hub.DeviceEdit{ID: "d", Edit: func(old *hubward.Device) (*hubward.Device, error) {
			if old == nil {
				seen = append(seen, "none")
			} else {
				seen = append(seen, old.ETag)
			}
			return next, nil
		}}
	}
	one, two, three := aDevice("d"), aDevice("d"), aDevice("d")
	one.ETag, two.ETag, three.ETag = "1", "2", "3"
	edits := []*hub.DeviceEdit{step(one), step(two), step(nil), step(three)}
	if err := s.EditDevices(t.Context(), homeHub, edits); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(seen, " "); got != "none 1 2 none" {
		t.Errorf("edits saw %q", got)
	}
	wantEqual(t, "device", device(t, s, homeHub, "d"), three)
}

// testEditFailure: a failing edit leaves its row alone, and the others stand.
func testEditFailure(t *testing.T, s hub.Store) {
	withHome(t, s)
	create(t, s, homeHub, aDevice("kept"))
	refusal := hubward.Errorf(hubward.CodePreconditionFailed, "not this one")
	store := func(id string) *hub.DeviceEdit {
		return &hub.DeviceEdit{ID: id, Edit: func(*hubward.Device) (*hubward.Device, error) { return aDevice(id), nil }}
	}
	refuse := func(id string) *hub.DeviceEdit {
		return &hub.DeviceEdit{ID: id, Edit: func(*hubward.Device) (*hubward.Device, error) {
			d := aDevice(id)
			d.ETag = "must not be stored"
			return d, refusal
		}}
	}
	edits := []*hub.DeviceEdit{store("a"), refuse("kept"), refuse("b"), store("c"), {ID: "a", Edit: refuse("a").Edit}}
	edits[0].Err = errors.New("from an earlier call")
	if err := s.EditDevices(t.Context(), homeHub, edits); err != nil {
		t.Fatal(err)
	}
	for i, want := range []error{nil, refusal, refusal, nil, refusal} {
		if edits[i].Err != want {
			t.Errorf("edit %d: error %v, want %v", i, edits[i].Err, want)
		}
	}
	wantDevices(t, s, homeHub, 10, *aDevice("a"), *aDevice("c"), *aDevice("kept"))
}

func testEditNothing(t *testing.T, s hub.Store) {
	withHome(t, s)
	if err := s.EditDevices(t.Context(), homeHub, nil); err != nil {
		t.Fatal(err)
	}
	edit(t, s, homeHub, "d", remove)
	wantDevices(t, s, homeHub, 10)
}

func testEditUnknownHub(t *testing.T, s hub.Store) {
	withHome(t, s)
	e := &hub.DeviceEdit{ID: "d", Edit: func(*hubward.Device) (*hubward.Device, error) { return aDevice("d"), nil }}
	wantCode(t, s.EditDevices(t.Context(), "nowhere", []*hub.DeviceEdit{e}), hubward.CodeHubNotFound)
	saveHub(t, s, aHub("nowhere", aTime))
	wantNoDevice(t, s, "nowhere", "d")
}

func testEditPanic(t *testing.T, s hub.Store) {
	withHome(t, s)
	edits := []*hub.DeviceEdit{
		{ID: "a", Edit: func(*hubward.Device) (*hubward.Device, error) { return aDevice("a"), nil }},
		{ID: "b", Edit: func(*hubward.Device) (*hubward.Device, error) { panic("out of its mind") }},
	}
	err := s.EditDevices(t.Context(), homeHub, edits)
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
	e := &hub.DeviceEdit{ID: "d", Edit: func(*hubward.Device) (*hubward.Device, error) { return aDevice("d"), nil }}
	if err := s.EditDevices(ctx, homeHub, []*hub.DeviceEdit{e}); !errors.Is(err, ctx.Err()) {
		t.Errorf("error %v, want %v", err, ctx.Err())
	}
	wantNoDevice(t, s, homeHub, "d")
}

// testEditConcurrent: read-modify-writes of one row by several writers all count, whoever else writes.
func testEditConcurrent(t *testing.T, s hub.Store) {
	withHome(t, s)
	const writers, rounds = 4, 50
	d := aDevice("shared")
	d.ETag = "0"
	create(t, s, homeHub, d)
	increment := func(old *hubward.Device) (*hubward.Device, error) {
		n, err := strconv.Atoi(old.ETag)
		old.ETag = strconv.Itoa(n + 1)
		return old, err
	}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range rounds {
				own := fmt.Sprintf("own-%d-%d", w, i)
				e := &hub.DeviceEdit{ID: "shared", Edit: increment}
				mine := &hub.DeviceEdit{ID: own, Edit: func(*hubward.Device) (*hubward.Device, error) { return aDevice(own), nil }}
				if err := errors.Join(s.EditDevices(t.Context(), homeHub, []*hub.DeviceEdit{e, mine}), e.Err, mine.Err); err != nil {
					t.Errorf("writer %d: %v", w, err)
					return
				}
				if _, err := s.Device(t.Context(), homeHub, own); err != nil {
					t.Errorf("writer %d does not read what it wrote: %v", w, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if got := device(t, s, homeHub, "shared").ETag; got != strconv.Itoa(writers*rounds) {
		t.Errorf("%s edits counted, want %d", got, writers*rounds)
	}
	wantStatistics(t, s, homeHub, hubward.RegistryStatistics{TotalDeviceCount: 1 + writers*rounds, EnabledDeviceCount: 1 + writers*rounds})
}

// testEditAtomic: a reader never sees half of a call.
func testEditAtomic(t *testing.T, s hub.Store) {
	withHome(t, s)
	const rounds = 50
	both := func(etag string) []*hub.DeviceEdit {
		var edits []*hub.DeviceEdit
		for _, id := range []string{"a", "b"} {
			edits = append(edits, &hub.DeviceEdit{ID: id, Edit: func(*hubward.Device) (*hubward.Device, error) {
				d := aDevice(id)
				d.ETag = etag
				return d, nil
			}})
		}
		return edits
	}
	if err := s.EditDevices(t.Context(), homeHub, both("0")); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range rounds {
			if err := s.EditDevices(t.Context(), homeHub, both(strconv.Itoa(i))); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range rounds {
		list, err := s.Devices(t.Context(), homeHub, 10)
		if err != nil || len(list) != 2 || list[0].ETag != list[1].ETag {
			t.Errorf("half of a call is seen: %v, %v", list, err)
			break
		}
	}
	wg.Wait()
}
