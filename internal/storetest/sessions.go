package storetest

import (
	"testing"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

var sessionTests = []test{
	{"keepFiltersInOrder", testSessionFilters},
	{"saveReplaces", testSessionReplace},
	{"emptyOneExists", testSessionEmpty},
	{"deleteForgets", testSessionDelete},
	{"needAnIdentity", testSessionOrphan},
}

// someFilters are of the kind that SDKs subscribe to.
var someFilters = []hub.Subscription{
	{Filter: "$iothub/twin/res/#", QoS: 0},
	{Filter: "devices/d/messages/devicebound/#", QoS: 1},
	{Filter: "$iothub/methods/POST/#", QoS: 0},
}

func saveSession(t *testing.T, s hub.Store, hubName string, id hubward.Identity, subs []hub.Subscription) {
	t.Helper()
	if err := s.SaveSubscriptions(t.Context(), hubName, id, subs); err != nil {
		t.Fatalf("SaveSubscriptions(%s): %v", id, err)
	}
}

func wantSession(t *testing.T, s hub.Store, hubName string, id hubward.Identity, want []hub.Subscription) {
	t.Helper()
	got, ok, err := s.Subscriptions(t.Context(), hubName, id)
	if err != nil || !ok {
		t.Fatalf("Subscriptions(%s, %s): %v, %v, want a session", hubName, id, ok, err)
	}
	wantEqual(t, "subscriptions of "+id.String(), got, want)
}

func wantNoSession(t *testing.T, s hub.Store, hubName string, id hubward.Identity) {
	t.Helper()
	got, ok, err := s.Subscriptions(t.Context(), hubName, id)
	if err != nil || ok || len(got) != 0 {
		t.Errorf("Subscriptions(%s, %s): %v, %v, %v, want no session", hubName, id, got, ok, err)
	}
}

func testSessionFilters(t *testing.T, s hub.Store) {
	withHome(t, s)
	create(t, s, homeHub, aDevice("d"))
	id := hubward.Identity{Device: "d"}
	wantNoSession(t, s, homeHub, id)
	saveSession(t, s, homeHub, id, someFilters)
	wantSession(t, s, homeHub, id, someFilters)
	wantNoSession(t, s, homeHub, hubward.Identity{Device: "D"})
	wantNoSession(t, s, homeHub, hubward.Identity{Device: "d", Module: "m"})
	wantNoSession(t, s, "nowhere", id)
}

func testSessionReplace(t *testing.T, s hub.Store) {
	withHome(t, s)
	create(t, s, homeHub, aDevice("d"))
	id := hubward.Identity{Device: "d"}
	saveSession(t, s, homeHub, id, someFilters)
	saveSession(t, s, homeHub, id, someFilters[1:2])
	wantSession(t, s, homeHub, id, someFilters[1:2])
}

func testSessionEmpty(t *testing.T, s hub.Store) {
	withHome(t, s)
	create(t, s, homeHub, aDevice("d"))
	id := hubward.Identity{Device: "d"}
	saveSession(t, s, homeHub, id, nil)
	wantSession(t, s, homeHub, id, nil)
}

func testSessionDelete(t *testing.T, s hub.Store) {
	withHome(t, s)
	create(t, s, homeHub, aDevice("d"))
	id := hubward.Identity{Device: "d"}
	saveSession(t, s, homeHub, id, someFilters)
	for range 2 { // the second time there is none, which is no error
		if err := s.DeleteSession(t.Context(), homeHub, id); err != nil {
			t.Fatal(err)
		}
		wantNoSession(t, s, homeHub, id)
	}
}

func testSessionOrphan(t *testing.T, s hub.Store) {
	withHome(t, s)
	create(t, s, homeHub, aDevice("d"))
	for _, c := range []struct {
		hubName string
		id      hubward.Identity
		want    hubward.Code
	}{
		{homeHub, hubward.Identity{Device: "unknown"}, hubward.CodeDeviceNotFound},
		{homeHub, hubward.Identity{Device: "d", Module: "unknown"}, hubward.CodeModuleNotFound},
		{"nowhere", hubward.Identity{Device: "d"}, hubward.CodeDeviceNotFound},
	} {
		wantCode(t, s.SaveSubscriptions(t.Context(), c.hubName, c.id, someFilters), c.want)
		wantNoSession(t, s, c.hubName, c.id)
	}
}
