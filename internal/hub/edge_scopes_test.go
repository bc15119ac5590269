package hub_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

func edge(id string, parents ...string) hubward.Device {
	return hubward.Device{DeviceID: id, Capabilities: hubward.Capabilities{IotEdge: true}, ParentScopes: parents}
}

func (f *fixture) put(d hubward.Device, ifMatch string) *hubward.Device {
	f.t.Helper()
	got, err := f.PutDevice(f.t.Context(), "plant", d, ifMatch)
	if err != nil {
		f.t.Fatal(err)
	}
	return got
}

func TestPutDevice_edgeScopes(t *testing.T) {
	f := newFixture(t)
	gateway := f.put(edge("gate-way"), "")
	if !strings.HasPrefix(gateway.DeviceScope, "ms-azure-iot-edge://gate-way-6") {
		t.Errorf("the scope of an Edge device is %q", gateway.DeviceScope)
	}
	made := edge("given")
	made.DeviceScope = "what the client wants"
	if d := f.put(made, ""); !strings.HasPrefix(d.DeviceScope, "ms-azure-iot-edge://given-") {
		t.Errorf("the scope of an Edge device is %q", d.DeviceScope)
	}
	leaf := f.put(hubward.Device{DeviceID: "leaf", DeviceScope: gateway.DeviceScope}, "")
	if leaf.DeviceScope != gateway.DeviceScope || !slices.Equal(leaf.ParentScopes, []string{gateway.DeviceScope}) {
		t.Errorf("a leaf has scopes %q, %q", leaf.DeviceScope, leaf.ParentScopes)
	}
	child := f.put(edge("child", gateway.DeviceScope), "")
	if child.DeviceScope == gateway.DeviceScope || !slices.Equal(child.ParentScopes, []string{gateway.DeviceScope}) {
		t.Errorf("an Edge device below another has scopes %q, %q", child.DeviceScope, child.ParentScopes)
	}
	if d := f.put(hubward.Device{DeviceID: "alone", ParentScopes: []string{"ignored", "of a leaf"}}, ""); d.ParentScopes != nil || d.DeviceScope != "" {
		t.Errorf("a leaf without scope has %q, %q", d.DeviceScope, d.ParentScopes)
	}
	child.ParentScopes = nil
	if d := f.put(*child, "*"); d.ParentScopes != nil {
		t.Errorf("a detached Edge device has parents %q", d.ParentScopes)
	}
	gateway.Capabilities.IotEdge = false // all else as it was read
	if d := f.put(*gateway, "*"); d.DeviceScope != "" || d.ParentScopes != nil {
		t.Errorf("what was an Edge device has scopes %q, %q", d.DeviceScope, d.ParentScopes)
	}
	// Its children keep what leads nowhere now, and can still be changed.
	leaf.Status = hubward.StatusDisabled
	if d := f.put(*leaf, "*"); d.Status != hubward.StatusDisabled || d.DeviceScope != leaf.DeviceScope {
		t.Errorf("%+v", d)
	}
}

func TestPutDevice_refusesScopesOfNoEdgeDevice(t *testing.T) {
	f := newFixture(t)
	f.createHub("second")
	elsewhere, err := f.PutDevice(t.Context(), "second", edge("elsewhere"), "")
	if err != nil {
		t.Fatal(err)
	}
	gateway, other := f.put(edge("gateway"), ""), f.put(edge("other"), "")
	plain := f.createDevice("plain")
	for what, row := range map[string]struct{ scope, says string }{
		"any text":            {"building 7", "reads ms-azure-iot-edge://ID-NUMBER"},
		"another scheme":      {"https://gateway-1", "reads ms-azure"},
		"no number":           {"ms-azure-iot-edge://gateway", "reads ms-azure"},
		"no digits":           {"ms-azure-iot-edge://gateway-", "reads ms-azure"},
		"no id":               {"ms-azure-iot-edge://-1", "reads ms-azure"},
		"an id that is none":  {"ms-azure-iot-edge://a b-1", "there is no Edge device"},
		"nobody":              {"ms-azure-iot-edge://nobody-1", "there is no Edge device nobody"},
		"no Edge device":      {"ms-azure-iot-edge://plain-" + plain.GenerationID, "plain is no Edge device"},
		"an earlier one":      {"ms-azure-iot-edge://gateway-1", "the scope of Edge device gateway is " + gateway.DeviceScope},
		"one of another hub":  {elsewhere.DeviceScope, "there is no Edge device elsewhere"},
		"another case":        {strings.ToUpper(gateway.DeviceScope), "reads ms-azure"},
		"more behind a scope": {gateway.DeviceScope + "/x", "reads ms-azure"},
	} {
		leaf, child := hubward.Device{DeviceID: "new", DeviceScope: row.scope}, edge("new", row.scope)
		for field, d := range map[string]hubward.Device{"deviceScope: ": leaf, "parentScopes: ": child} {
			_, err := f.PutDevice(t.Context(), "plant", d, "")
			wantCode(t, what, err, hubward.CodeArgumentInvalid)
			if err != nil && (!strings.Contains(err.Error(), field) || !strings.Contains(err.Error(), row.says) || strings.Contains(err.Error(), ";")) {
				t.Errorf("%s: %v", what, err)
			}
		}
		d := *plain
		d.DeviceScope = row.scope
		_, err := f.PutDevice(t.Context(), "plant", d, "*")
		wantCode(t, what+" in an update", err, hubward.CodeArgumentInvalid)
	}
	_, err = f.PutDevice(t.Context(), "plant", edge("new", gateway.DeviceScope, other.DeviceScope), "")
	wantCode(t, "two parents", err, hubward.CodeArgumentInvalid)
	gateway.ParentScopes = []string{gateway.DeviceScope}
	_, err = f.PutDevice(t.Context(), "plant", *gateway, "*")
	wantCode(t, "its own parent", err, hubward.CodeArgumentInvalid)
	changed := *other
	changed.DeviceScope = "ms-azure-iot-edge://other-1"
	_, err = f.PutDevice(t.Context(), "plant", changed, "*")
	wantCode(t, "another scope of its own", err, hubward.CodeArgumentInvalid)
}

// Rows of a bulk call, and so of an import, go by the same rules, each for itself.
func TestBulkDevices_edgeScopes(t *testing.T) {
	f := newFixture(t)
	gateway := f.put(edge("gateway"), "")
	f.advance(time.Second)
	items := []hub.BulkItem{
		{Device: hubward.Device{DeviceID: "leaf-1", DeviceScope: gateway.DeviceScope}},
		{Device: hubward.Device{DeviceID: "leaf-2", DeviceScope: gateway.DeviceScope}, Mode: hub.ModeCreate},
		{Device: hubward.Device{DeviceID: "leaf-3", DeviceScope: "ms-azure-iot-edge://gateway-1"}},
		{Device: hubward.Device{DeviceID: "leaf-4", DeviceScope: "ms-azure-iot-edge://gateway-1"}, Mode: hub.ModeCreate},
		{Device: edge("child", gateway.DeviceScope)},
		{Device: hubward.Device{DeviceID: "leaf-5"}},
	}
	failed, err := f.BulkDevices(t.Context(), "plant", items)
	if err != nil {
		t.Fatal(err)
	}
	var refused []string
	for _, e := range failed {
		wantCode(t, e.Identity.Device, e.Err, hubward.CodeArgumentInvalid)
		refused = append(refused, e.Identity.Device)
	}
	if !slices.Equal(refused, []string{"leaf-3", "leaf-4"}) {
		t.Errorf("refused are %q", refused)
	}
	if d, err := f.Device(t.Context(), "plant", "leaf-2"); err != nil || d.DeviceScope != gateway.DeviceScope {
		t.Errorf("%+v, %v", d, err)
	}
}

// No Edge device is below itself, whoever puts it there.
func TestPutDevice_circles(t *testing.T) {
	f := newFixture(t)
	top := f.put(edge("top"), "")
	middle := f.put(edge("middle", top.DeviceScope), "")
	low := f.put(edge("low", middle.DeviceScope), "")
	under := func(d *hubward.Device, parent *hubward.Device) error {
		child := *d
		child.ParentScopes = []string{parent.DeviceScope}
		_, err := f.PutDevice(t.Context(), "plant", child, "*")
		return err
	}
	wantCode(t, "below its child", under(top, middle), hubward.CodeArgumentInvalid)
	err := under(top, low)
	wantCode(t, "below its child's child", err, hubward.CodeArgumentInvalid)
	if err != nil && !strings.Contains(err.Error(), "would be below itself") {
		t.Error(err)
	}
	failed, err := f.BulkDevices(t.Context(), "plant", []hub.BulkItem{
		{Device: hubward.Device{DeviceID: "top", Capabilities: top.Capabilities, DeviceScope: top.DeviceScope, ParentScopes: []string{low.DeviceScope}}},
	})
	if err != nil || len(failed) != 1 {
		t.Fatalf("%+v, %v", failed, err)
	}
	wantCode(t, "by a bulk call", failed[0].Err, hubward.CodeArgumentInvalid)
	if d, err := f.Device(t.Context(), "plant", "top"); err != nil || d.ParentScopes != nil {
		t.Errorf("%+v, %v", d, err)
	}
	// Another branch, and a way up that ends in nothing, are no circles.
	other := f.put(edge("other", top.DeviceScope), "")
	if err := under(low, other); err != nil {
		t.Error(err)
	}
	if err := f.DeleteDevice(t.Context(), "plant", "middle", "*"); err != nil {
		t.Fatal(err)
	}
	again := f.put(edge("middle", low.DeviceScope), "") // low, other, top
	wantCode(t, "below a device of an earlier name", under(top, again), hubward.CodeArgumentInvalid)
}

// Rows of one call, and calls at the same moment on any node, make no circle together.
func TestPutDevice_circlesTogether(t *testing.T) {
	f := newFixture(t)
	for round := range 10 {
		a, b := f.put(edge(fmt.Sprint("a", round)), ""), f.put(edge(fmt.Sprint("b", round)), "")
		a.ParentScopes, b.ParentScopes = []string{b.DeviceScope}, []string{a.DeviceScope}
		refused := 0
		if round == 0 {
			failed, err := f.BulkDevices(t.Context(), "plant", []hub.BulkItem{{Device: *a}, {Device: *b}})
			if err != nil {
				t.Fatal(err)
			}
			refused = len(failed)
		} else {
			var errs [2]error
			var both sync.WaitGroup
			for i, d := range []*hubward.Device{a, b} {
				node := f.other()
				both.Go(func() { _, errs[i] = node.PutDevice(t.Context(), "plant", *d, "*") })
			}
			both.Wait()
			for _, err := range errs {
				if err != nil {
					wantCode(t, "one of both", err, hubward.CodeArgumentInvalid)
					refused++
				}
			}
		}
		if refused != 1 {
			t.Fatalf("round %d: %d of two are refused", round, refused)
		}
	}
}

func TestPutDevice_levels(t *testing.T) {
	f := newFixture(t)
	above := f.put(edge("d0"), "")
	for i := 1; i <= hub.MaxEdgeLevels; i++ {
		above = f.put(edge(fmt.Sprint("d", i), above.DeviceScope), "")
	}
	_, err := f.PutDevice(t.Context(), "plant", edge("one-too-many", above.DeviceScope), "")
	wantCode(t, "one level too many", err, hubward.CodeArgumentInvalid)
	f.put(hubward.Device{DeviceID: "leaf", DeviceScope: above.DeviceScope}, "")
	page, err := f.IdentityInScope(t.Context(), f.edgeHub("d0"), hubward.Identity{Device: "leaf"}, "")
	if err != nil || len(page.Devices) != 1 {
		t.Errorf("a leaf below all of them: %+v, %v", page, err)
	}
}

// When the store cannot tell whose a scope is, nothing is said about the scope.
func TestPutDevice_scopeThatCannotBeLookedUp(t *testing.T) {
	f := newFixture(t)
	gateway := f.put(edge("gateway"), "")
	f.store.Close()
	_, err := f.PutDevice(t.Context(), "plant", hubward.Device{DeviceID: "leaf", DeviceScope: gateway.DeviceScope}, "")
	if code := hubward.CodeOf(err); err == nil || code == hubward.CodeArgumentInvalid {
		t.Errorf("error %v", err)
	}
}

// A scope has the id of its device in it, and no other text reads as one.
func FuzzEdgeDeviceOf(f *testing.F) {
	for _, seed := range []string{"ms-azure-iot-edge://gate-way-639000000000000000", "ms-azure-iot-edge://-1", "ms-azure-iot-edge://a-", "gateway", "a-1-2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if id, ok := hub.EdgeDeviceOf(text); ok && (id == "" || !strings.HasPrefix(text, "ms-azure-iot-edge://"+id+"-")) {
			t.Fatalf("%q is the scope of %q", text, id)
		}
		if hubward.ValidateID(text) != nil {
			return
		}
		if id, ok := hub.EdgeDeviceOf(hub.NewEdgeScope(text, time.Unix(1900000000, 0))); !ok || id != text {
			t.Fatalf("the scope of %q is read as that of %q", text, id)
		}
	})
}
