package storetest

import (
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

var activityTests = []test{
	{"touchesNothingElse", testActivityAlone},
	{"zeroTimesLeaveFieldsAlone", testActivityPartial},
	{"ignoresUnknownIDs", testActivityUnknown},
}

func record(t *testing.T, s hub.Store, hubName string, activity ...hub.Activity) {
	t.Helper()
	if err := s.RecordActivity(t.Context(), hubName, activity); err != nil {
		t.Fatalf("RecordActivity: %v", err)
	}
}

func testActivityAlone(t *testing.T, s hub.Store) {
	withHome(t, s)
	create(t, s, homeHub, aDevice("a"))
	create(t, s, homeHub, aDevice("b"))
	connected, active := aTime.Add(time.Hour), aTime.Add(2*time.Hour)
	record(t, s, homeHub,
		hub.Activity{ID: "a", State: hubward.Connected, StateUpdated: connected, LastActivity: active},
		hub.Activity{ID: "b", State: hubward.Connected, StateUpdated: active, LastActivity: connected})

	a, b := aDevice("a"), aDevice("b")
	a.ConnectionState, b.ConnectionState = hubward.Connected, hubward.Connected
	a.ConnectionStateUpdatedTime, a.LastActivityTime = hubward.Time{Time: connected}, hubward.Time{Time: active}
	b.ConnectionStateUpdatedTime, b.LastActivityTime = hubward.Time{Time: active}, hubward.Time{Time: connected}
	wantDevices(t, s, homeHub, 10, *a, *b)
}

func testActivityPartial(t *testing.T, s hub.Store) {
	withHome(t, s)
	create(t, s, homeHub, aDevice("d"))
	want := aDevice("d")

	later := aTime.Add(time.Hour)
	record(t, s, homeHub, hub.Activity{ID: "d", State: hubward.Connected, LastActivity: later})
	want.LastActivityTime = hubward.Time{Time: later}
	wantEqual(t, "after activity alone", device(t, s, homeHub, "d"), want)

	record(t, s, homeHub, hub.Activity{ID: "d", State: hubward.Connected, StateUpdated: later})
	want.ConnectionState, want.ConnectionStateUpdatedTime = hubward.Connected, hubward.Time{Time: later}
	wantEqual(t, "after a connect alone", device(t, s, homeHub, "d"), want)

	record(t, s, homeHub, hub.Activity{ID: "d"})
	wantEqual(t, "after nothing", device(t, s, homeHub, "d"), want)
}

func testActivityUnknown(t *testing.T, s hub.Store) {
	withHome(t, s)
	create(t, s, homeHub, aDevice("known"))
	later := aTime.Add(time.Hour)
	record(t, s, homeHub,
		hub.Activity{ID: "unknown", State: hubward.Connected, StateUpdated: later},
		hub.Activity{ID: "known", LastActivity: later})
	record(t, s, "nowhere", hub.Activity{ID: "known", State: hubward.Connected, StateUpdated: later})
	record(t, s, homeHub)

	want := aDevice("known")
	want.LastActivityTime = hubward.Time{Time: later}
	wantDevices(t, s, homeHub, 10, *want)
}
