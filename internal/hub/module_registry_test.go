package hub_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
)

const aKey = hubward.NullString("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")

func withKeys() *hubward.Authentication {
	return &hubward.Authentication{SymmetricKey: hubward.SymmetricKey{PrimaryKey: aKey, SecondaryKey: aKey}}
}

func TestPutModule(t *testing.T) {
	f := newFixture(t)
	f.createDevice("d")
	made, err := f.PutModule(t.Context(), "plant", hubward.Module{DeviceID: "d", ModuleID: "m", ManagedBy: "me"}, "")
	if err != nil {
		t.Fatal(err)
	}
	want := &hubward.Module{
		DeviceID: "d", ModuleID: "m", ManagedBy: "me", ETag: made.ETag, GenerationID: "639079632000000000", ConnectionState: hubward.Disconnected,
		Authentication: &hubward.Authentication{Type: hubward.AuthSAS, SymmetricKey: made.Authentication.SymmetricKey},
	}
	if diff := cmp.Diff(want, made); diff != "" || made.ETag == "" || len(made.Authentication.SymmetricKey.PrimaryKey) != 44 {
		t.Errorf("made %+v: %s", made, diff)
	}
	f.advance(time.Second)
	// A replacement clears what it leaves out, and makes keys anew; what the server owns is ignored.
	next, err := f.PutModule(t.Context(), "plant", hubward.Module{DeviceID: "d", ModuleID: "m", GenerationID: "7", CloudToDeviceMessageCount: 9}, made.ETag)
	if err != nil {
		t.Fatal(err)
	}
	if next.ManagedBy != "" || next.GenerationID != made.GenerationID || next.ETag == made.ETag || next.Authentication.SymmetricKey == made.Authentication.SymmetricKey || next.CloudToDeviceMessageCount != 0 {
		t.Errorf("replaced by %+v", next)
	}
	next.Authentication = withKeys()
	kept, err := f.PutModule(t.Context(), "plant", *next, "*")
	if err != nil || kept.Authentication.SymmetricKey.PrimaryKey != aKey {
		t.Fatalf("%+v, %v", kept, err)
	}
	got, err := f.Module(t.Context(), "plant", "d", "m")
	if diff := cmp.Diff(kept, got); diff != "" || err != nil {
		t.Errorf("%v: %s", err, diff)
	}
	if d, err := f.Device(t.Context(), "plant", "d"); err != nil || d.Authentication.SymmetricKey.PrimaryKey == aKey {
		t.Errorf("the device: %+v, %v", d, err)
	}
}

func TestPutModule_refusals(t *testing.T) {
	f := newFixture(t)
	f.createDevice("d")
	f.put(edge("edge"), "")
	m := f.createModule(hubward.Identity{Device: "d", Module: "m"})
	long := strings.Repeat("x", hubward.MaxIDLength)
	for what, test := range map[string]struct {
		module  hubward.Module
		ifMatch string
		want    hubward.Code
	}{
		"it exists":                     {hubward.Module{DeviceID: "d", ModuleID: "m"}, "", hubward.CodeModuleAlreadyExistsOnDevice},
		"another etag":                  {hubward.Module{DeviceID: "d", ModuleID: "m"}, "x" + m.ETag, hubward.CodePreconditionFailed},
		"no device":                     {hubward.Module{DeviceID: "none", ModuleID: "m"}, "", hubward.CodeDeviceNotFound},
		"no device to update of":        {hubward.Module{DeviceID: "none", ModuleID: "m"}, "*", hubward.CodeDeviceNotFound},
		"no module":                     {hubward.Module{DeviceID: "d", ModuleID: "none"}, "*", hubward.CodeModuleNotFound},
		"another case":                  {hubward.Module{DeviceID: "d", ModuleID: "M"}, "*", hubward.CodeModuleNotFound},
		"no id":                         {hubward.Module{DeviceID: "d"}, "", hubward.CodeArgumentInvalid},
		"no device's id":                {hubward.Module{ModuleID: "m"}, "", hubward.CodeArgumentInvalid},
		"a blank":                       {hubward.Module{DeviceID: "d", ModuleID: "a b"}, "", hubward.CodeArgumentInvalid},
		"a slash":                       {hubward.Module{DeviceID: "d", ModuleID: "a/b"}, "", hubward.CodeArgumentInvalid},
		"129 characters":                {hubward.Module{DeviceID: "d", ModuleID: long + "x"}, "", hubward.CodeArgumentInvalid},
		"128 characters":                {hubward.Module{DeviceID: "d", ModuleID: long}, "", 0},
		"managed by a long name":        {hubward.Module{DeviceID: "d", ModuleID: "n", ManagedBy: hubward.NullString(strings.Repeat("é", 64) + "x")}, "", hubward.CodeArgumentInvalid},
		"managed by a name":             {hubward.Module{DeviceID: "d", ModuleID: "n", ManagedBy: hubward.NullString(strings.Repeat("é", 64))}, "", 0},
		"one key":                       {hubward.Module{DeviceID: "d", ModuleID: "n2", Authentication: &hubward.Authentication{SymmetricKey: hubward.SymmetricKey{PrimaryKey: aKey}}}, "", hubward.CodeArgumentInvalid},
		"a thumbprint that is none":     {hubward.Module{DeviceID: "d", ModuleID: "n3", Authentication: &hubward.Authentication{Type: hubward.AuthSelfSigned, X509Thumbprint: hubward.X509Thumbprint{PrimaryThumbprint: "x"}}}, "", hubward.CodeArgumentInvalid},
		"the hub's own, new":            {hubward.Module{DeviceID: "d", ModuleID: "$edgeHub"}, "", hubward.CodeArgumentInvalid},
		"the hub's own, not there":      {hubward.Module{DeviceID: "d", ModuleID: "$edgeHub"}, "*", hubward.CodeModuleNotFound},
		"like the hub's own":            {hubward.Module{DeviceID: "edge", ModuleID: "$other"}, "", hubward.CodeArgumentInvalid},
		"the hub's own, there":          {hubward.Module{DeviceID: "edge", ModuleID: "$edgeHub"}, "", hubward.CodeModuleAlreadyExistsOnDevice},
		"a certificate of an authority": {hubward.Module{DeviceID: "d", ModuleID: "n4", Authentication: &hubward.Authentication{Type: hubward.AuthCertificate}}, "", 0},
	} {
		_, err := f.PutModule(t.Context(), "plant", test.module, test.ifMatch)
		if test.want == 0 {
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
			continue
		}
		wantCode(t, what, err, test.want)
	}
}

// No authentication is one that the hub makes, but for the modules of its own.
func TestPutModule_withoutAuthentication(t *testing.T) {
	f := newFixture(t)
	f.put(edge("edge"), "")
	none := &hubward.Authentication{Type: hubward.AuthNone}
	m, err := f.PutModule(t.Context(), "plant", hubward.Module{DeviceID: "edge", ModuleID: "m", Authentication: none}, "")
	if err != nil || m.Authentication.Type != hubward.AuthSAS || m.Authentication.SymmetricKey.PrimaryKey == "" {
		t.Errorf("%+v, %v", m, err)
	}
	own, err := f.PutModule(t.Context(), "plant", hubward.Module{DeviceID: "edge", ModuleID: "$edgeHub", ManagedBy: "IotEdge", Authentication: withKeys()}, "*")
	if err != nil || own.Authentication.Type != hubward.AuthSAS || own.Authentication.SymmetricKey.PrimaryKey != aKey || own.ManagedBy != "IotEdge" {
		t.Fatalf("%+v, %v", own, err)
	}
	if _, _, err := f.connectModule(&hub.Registration{ModuleID: "$edgeHub", Device: hubward.Device{DeviceID: "edge", Authentication: own.Authentication}}); err != nil {
		t.Errorf("it does not log in with its keys: %v", err)
	}
	own.Authentication = none
	own, err = f.PutModule(t.Context(), "plant", *own, own.ETag)
	if err != nil || *own.Authentication != *none {
		t.Errorf("%+v, %v", own, err)
	}
	r := &hub.Registration{ModuleID: "$edgeHub", Device: hubward.Device{DeviceID: "edge", Authentication: withKeys()}}
	_, _, err = f.connectModule(r)
	wantCode(t, "a log-in of a module without authentication", err, hubward.CodeUnauthorizedAccess)
	if _, err := f.PutDevice(t.Context(), "plant", hubward.Device{DeviceID: "x", Authentication: none}, ""); hubward.CodeOf(err) != hubward.CodeArgumentInvalid {
		t.Errorf("a device without authentication: %v", err)
	}
}

func TestModules(t *testing.T) {
	f := newFixture(t)
	f.createDevice("d")
	f.createDevice("e")
	for _, id := range []string{"b", "B", "a", "$"[1:] + "-"} {
		f.createModule(hubward.Identity{Device: "d", Module: id})
	}
	m, err := f.store.Identity(t.Context(), "plant", hubward.Identity{Device: "d", Module: "a"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.connectModule(m); err != nil {
		t.Fatal(err)
	}
	modules, err := f.Modules(t.Context(), "plant", "d")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range modules {
		got = append(got, m.ModuleID+" "+string(m.ConnectionState))
	}
	if want := []string{"- Disconnected", "B Disconnected", "a Connected", "b Disconnected"}; !slices.Equal(got, want) {
		t.Errorf("modules %q", got)
	}
	if modules, err := f.Modules(t.Context(), "plant", "e"); err != nil || len(modules) != 0 {
		t.Errorf("%+v, %v", modules, err)
	}
	_, err = f.Modules(t.Context(), "plant", "none")
	wantCode(t, "no device", err, hubward.CodeDeviceNotFound)
	_, err = f.Modules(t.Context(), "plant", "a b")
	wantCode(t, "no id", err, hubward.CodeArgumentInvalid)
	_, err = f.Module(t.Context(), "plant", "e", "a")
	wantCode(t, "another device's module", err, hubward.CodeModuleNotFound)
	_, err = f.Module(t.Context(), "plant", "none", "a")
	wantCode(t, "a module of no device", err, hubward.CodeDeviceNotFound)
}

func TestDeleteModule(t *testing.T) {
	f := newFixture(t)
	f.put(edge("d"), "")
	id := hubward.Identity{Device: "d", Module: "m"}
	m := f.createModule(id)
	_, s, err := f.connectModule(m)
	if err != nil {
		t.Fatal(err)
	}
	for what, test := range map[string]struct {
		device, module, ifMatch string
		want                    hubward.Code
	}{
		"no etag":       {"d", "m", "", hubward.CodePreconditionFailed},
		"another etag":  {"d", "m", "x", hubward.CodePreconditionFailed},
		"no module":     {"d", "n", "*", hubward.CodeModuleNotFound},
		"no device":     {"e", "m", "*", hubward.CodeDeviceNotFound},
		"no id":         {"d", "", "*", hubward.CodeArgumentInvalid},
		"the hub's own": {"d", "$edgeAgent", "*", hubward.CodeArgumentInvalid},
	} {
		wantCode(t, what, f.DeleteModule(t.Context(), "plant", test.device, test.module, test.ifMatch), test.want)
	}
	if s.closed() != nil {
		t.Error("a deletion that was refused ends the connection")
	}
	if err := f.DeleteModule(t.Context(), "plant", "d", "m", m.ETag); err != nil {
		t.Fatal(err)
	}
	wantCode(t, "its connection", s.closed(), hubward.CodeDeviceNotFound)
	_, err = f.Module(t.Context(), "plant", "d", "m")
	wantCode(t, "the module", err, hubward.CodeModuleNotFound)
	f.advance(time.Second)
	if again := f.createModule(id); again.GenerationID == m.GenerationID {
		t.Error("a new module has the generation of an earlier one")
	}
}

// New keys end the connection of the module, and of nobody else.
func TestPutModule_endsConnections(t *testing.T) {
	f := newFixture(t)
	d := f.createDevice("d")
	m := f.createModule(hubward.Identity{Device: "d", Module: "m"})
	_, device, err := f.connect(d)
	if err != nil {
		t.Fatal(err)
	}
	_, module, err := f.connectModule(m)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.PutModule(t.Context(), "plant", hubward.Module{DeviceID: "d", ModuleID: "m", ManagedBy: "x", Authentication: m.Authentication}, "*"); err != nil {
		t.Fatal(err)
	}
	if module.closed() != nil {
		t.Errorf("the same keys end the connection: %v", module.closed())
	}
	rotations, err := f.RegenerateKeys(t.Context(), f.of("plant"), []hubward.Identity{m.Identity(), {Device: "d", Module: "none"}}, true, false)
	if err != nil || rotations[0].Err != nil || rotations[0].Key.SecondaryKey != m.Authentication.SymmetricKey.SecondaryKey {
		t.Fatalf("%+v, %v", rotations, err)
	}
	wantCode(t, "keys of no module", rotations[1].Err, hubward.CodeModuleNotFound)
	wantCode(t, "other keys", module.closed(), hubward.CodeUnauthorizedAccess)
	if device.closed() != nil {
		t.Errorf("the device: %v", device.closed())
	}
}

// Two nodes together let no module in beyond the limit; those of the hub's own are not counted.
func TestPutModule_limit(t *testing.T) {
	f := newFixture(t)
	f.put(edge("d"), "")
	const each = 20
	var mu sync.Mutex
	var errs []error
	var all sync.WaitGroup
	for i := range 3 {
		node := f.other()
		all.Go(func() {
			for j := range each {
				_, err := node.PutModule(t.Context(), "plant", hubward.Module{DeviceID: "d", ModuleID: fmt.Sprint(i, "-", j)}, "")
				if err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	if len(errs) != 3*each-hubward.MaxModules {
		t.Errorf("%d modules were refused", len(errs))
	}
	for _, err := range errs {
		wantCode(t, "one too many", err, hubward.CodeTooManyModulesOnDevice)
	}
	modules, err := f.Modules(t.Context(), "plant", "d")
	if err != nil || len(modules) != hubward.MaxModules+2 {
		t.Fatalf("%d modules, %v", len(modules), err)
	}
	failed, err := f.BulkDevices(t.Context(), "plant", []hub.BulkItem{{Device: hubward.Device{DeviceID: "d"}, ModuleID: "one more"[:3]}})
	if err != nil || len(failed) != 1 {
		t.Fatalf("%+v, %v", failed, err)
	}
	wantCode(t, "one too many in a bulk call", failed[0].Err, hubward.CodeTooManyModulesOnDevice)
	last := modules[len(modules)-1]
	if _, err := f.PutModule(t.Context(), "plant", last, "*"); err != nil {
		t.Errorf("a change of one that is there: %v", err)
	}
	if err := f.DeleteModule(t.Context(), "plant", "d", last.ModuleID, "*"); err != nil {
		t.Fatal(err)
	}
	f.createModule(hubward.Identity{Device: "d", Module: "in-its-place"})
}

// An Edge device has two modules of the hub's own, from the moment that it is one until it is none any more.
func TestPutDevice_systemModules(t *testing.T) {
	ids := func(f *fixture) (ids []string) {
		modules, err := f.Modules(t.Context(), "plant", "d")
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range modules {
			ids = append(ids, m.ModuleID)
			if strings.HasPrefix(m.ModuleID, "$") && (m.ManagedBy != "iotEdge" || *m.Authentication != hubward.Authentication{Type: hubward.AuthNone}) {
				t.Errorf("module %+v", m)
			}
		}
		return ids
	}
	put := func(f *fixture, d hubward.Device, etag string) { f.put(d, etag) }
	bulk := func(f *fixture, d hubward.Device, _ string) {
		failed, err := f.BulkDevices(t.Context(), "plant", []hub.BulkItem{{Device: d}})
		if err != nil || len(failed) > 0 {
			t.Fatal(failed, err)
		}
	}
	for what, store := range map[string]func(f *fixture, d hubward.Device, etag string){"put": put, "bulk": bulk} {
		t.Run(what, func(t *testing.T) {
			f := newFixture(t)
			store(f, hubward.Device{DeviceID: "d"}, "")
			if got := ids(f); got != nil {
				t.Errorf("a plain device has %q", got)
			}
			f.createModule(hubward.Identity{Device: "d", Module: "m"})
			store(f, edge("d"), "*")
			if got := ids(f); !slices.Equal(got, []string{"$edgeAgent", "$edgeHub", "m"}) {
				t.Errorf("an Edge device has %q", got)
			}
			d, err := f.Device(t.Context(), "plant", "d")
			if err != nil {
				t.Fatal(err)
			}
			before, err := f.Module(t.Context(), "plant", "d", "$edgeHub")
			if err != nil {
				t.Fatal(err)
			}
			store(f, *d, "*") // it stays one, and they stay as they are
			after, err := f.Module(t.Context(), "plant", "d", "$edgeHub")
			if diff := cmp.Diff(before, after); diff != "" || err != nil {
				t.Errorf("%v: %s", err, diff)
			}
			d.Capabilities.IotEdge, d.DeviceScope = false, ""
			store(f, *d, "*")
			if got := ids(f); !slices.Equal(got, []string{"m"}) {
				t.Errorf("a device that is no Edge device any more has %q", got)
			}
		})
	}
	f := newFixture(t)
	f.put(edge("d"), "")
	if got := ids(f); !slices.Equal(got, []string{"$edgeAgent", "$edgeHub"}) {
		t.Errorf("a new Edge device has %q", got)
	}
	if _, err := f.PutDevice(t.Context(), "plant", edge("e", "ms-azure-iot-edge://nobody-1"), ""); err == nil {
		t.Error("a parent that is none is good")
	}
	if _, err := f.Modules(t.Context(), "plant", "e"); hubward.CodeOf(err) != hubward.CodeDeviceNotFound {
		t.Errorf("modules of a device that was refused: %v", err)
	}
}

// The row of a module of the hub's own, which comes with its device, fills it, whatever the mode: an export brings it back.
func TestBulkDevices_systemModules(t *testing.T) {
	f := newFixture(t)
	f.put(edge("d"), "")
	for _, mode := range []hub.ImportMode{hub.ModeCreate, hub.ModeCreateOrUpdate, hub.ModeUpdate} {
		auth := withKeys()
		item := hub.BulkItem{Device: hubward.Device{DeviceID: "d", Authentication: auth}, ModuleID: "$edgeHub", ManagedBy: string(mode), Mode: mode}
		failed, err := f.BulkDevices(t.Context(), "plant", []hub.BulkItem{item})
		if err != nil || len(failed) > 0 {
			t.Fatalf("%s: %+v, %v", mode, failed, err)
		}
		m, err := f.Module(t.Context(), "plant", "d", "$edgeHub")
		if err != nil || string(m.ManagedBy) != string(mode) || m.Authentication.SymmetricKey.PrimaryKey != aKey {
			t.Errorf("%s: %+v, %v", mode, m, err)
		}
	}
	for _, item := range []hub.BulkItem{
		{ModuleID: "$edgeHub", Mode: hub.ModeDelete}, {ModuleID: "$edgeAgent", Mode: hub.ModeDeleteIfMatchETag, ETag: "*"}, {ModuleID: "$new"}, {ModuleID: "$new", Mode: hub.ModeCreate},
	} {
		item.Device.DeviceID = "d"
		failed, err := f.BulkDevices(t.Context(), "plant", []hub.BulkItem{item})
		if err != nil || len(failed) != 1 {
			t.Fatalf("%+v: %+v, %v", item, failed, err)
		}
		wantCode(t, item.ModuleID+" "+string(item.Mode), failed[0].Err, hubward.CodeArgumentInvalid)
	}
}

// The life of modules is told of, also where it comes and goes with that of its device.
func TestModule_lifeCycleEvents(t *testing.T) {
	onOneAndTwo(t, func(t *testing.T, c *crew) {
		node := c.nodes[c.other()]
		m := hubward.Identity{Device: "d1", Module: "m"}
		c.device("d1")
		c.module(m)
		if _, err := node.Hub.UpdateTwin(t.Context(), node.of("plant"), m, hub.TwinUpdate{Tags: []byte(`{"floor":1}`)}, ""); err != nil {
			t.Fatal(err)
		}
		d := edge("d1")
		for _, iotEdge := range []bool{true, true, false} {
			d.Capabilities.IotEdge, d.DeviceScope = iotEdge, ""
			if old, err := node.Device(t.Context(), "plant", "d1"); err == nil && old.Capabilities.IotEdge {
				d.DeviceScope = old.DeviceScope
			}
			if _, err := node.PutDevice(t.Context(), "plant", d, "*"); err != nil {
				t.Fatal(err)
			}
		}
		if err := node.DeleteModule(t.Context(), "plant", "d1", "m", "*"); err != nil {
			t.Fatal(err)
		}
		c.module(m)
		if err := node.DeleteDevice(t.Context(), "plant", "d1", "*"); err != nil {
			t.Fatal(err)
		}
		events := c.events()
		for module, want := range map[string][]string{
			"":           {"createDeviceIdentity", "deleteDeviceIdentity"},
			"m":          {"createModuleIdentity", "updateTwin", "deleteModuleIdentity", "createModuleIdentity", "deleteModuleIdentity"},
			"$edgeAgent": {"createModuleIdentity", "deleteModuleIdentity"},
			"$edgeHub":   {"createModuleIdentity", "deleteModuleIdentity"},
		} {
			if got := operations(events, hubward.Identity{Device: "d1", Module: module}); !slices.Equal(got, want) {
				t.Errorf("%s: %q, want %q", module, got, want)
			}
		}
		ids := map[string]bool{}
		for _, e := range events {
			if ids[e.Message.MessageID] {
				t.Errorf("two events have the id %s", e.Message.MessageID)
			}
			ids[e.Message.MessageID] = true
		}
		first := events[slices.IndexFunc(events, func(e *hubward.Event) bool {
			return property(e, "opType") == "deleteModuleIdentity" && e.ModuleID == "m"
		})]
		if body := string(first.Message.Body); property(first, "moduleId") != "m" || !strings.HasPrefix(body, `{"deviceId":"d1","moduleId":"m",`) || !strings.Contains(body, `"floor":1`) {
			t.Errorf("event %+v: %s", first.Message.Properties, body)
		}
	})
}

// A device may look after its own modules, by its own credential alone.
func TestModules_byTheDeviceItself(t *testing.T) {
	f := newFixture(t)
	d := f.createDevice("d")
	f.createDevice("e")
	p, err := f.Authenticate(t.Context(), access.Credential{Hub: "plant", Identity: hubward.Identity{Device: "d"}, Token: f.token(d)})
	if err != nil {
		t.Fatal(err)
	}
	m, err := f.Hub.PutModule(t.Context(), &p, hubward.Module{DeviceID: "d", ModuleID: "m"}, "")
	if err != nil {
		t.Fatal(err)
	}
	if list, err := f.Hub.Modules(t.Context(), &p, "d"); err != nil || len(list) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
	if got, err := f.Hub.Module(t.Context(), &p, hubward.Identity{Device: "d", Module: "m"}); err != nil || got.ETag != m.ETag {
		t.Errorf("%+v, %v", got, err)
	}
	_, err = f.Hub.PutModule(t.Context(), &p, hubward.Module{DeviceID: "e", ModuleID: "m"}, "")
	wantCode(t, "another device's", err, hubward.CodeUnauthorizedAccess)
	module, err := f.Authenticate(t.Context(), access.Credential{Hub: "plant", Token: f.moduleToken(m)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Hub.Modules(t.Context(), &module, "d")
	wantCode(t, "a module", err, hubward.CodeUnauthorizedAccess)
	if err := f.Hub.DeleteModule(t.Context(), &p, hubward.Identity{Device: "d", Module: "m"}, "*"); err != nil {
		t.Error(err)
	}
	var none *hubward.Error
	if _, err := f.Hub.AllModules(t.Context(), &p, hubward.Identity{}, 1); !errors.As(err, &none) || none.Code != hubward.CodeUnauthorizedAccess {
		t.Errorf("the modules of all: %v", err)
	}
}

func TestAllModules(t *testing.T) {
	f := newFixture(t)
	var want []string
	for _, d := range []string{"a", "b"} {
		f.put(edge(d), "")
		f.createModule(hubward.Identity{Device: d, Module: "m"})
		want = append(want, d+"/$edgeAgent", d+"/$edgeHub", d+"/m")
	}
	var got []string
	after := hubward.Identity{}
	for {
		page, err := f.AllModules(t.Context(), f.of("plant"), after, 4)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range page {
			after = hubward.Identity{Device: m.DeviceID, Module: m.ModuleID}
			got = append(got, after.String())
		}
		if len(page) < 4 {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("modules %q", got)
	}
}
