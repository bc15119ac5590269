package hub_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/sas"
)

const edgeHubKey = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=" // as createModule has it

var (
	topHub   = hubward.Identity{Device: "top", Module: "$edgeHub"}
	lowerHub = hubward.Identity{Device: "lower", Module: "$edgeHub"}
	leaf     = hubward.Identity{Device: "leaf"}
)

// newEdgeFixture has two Edge devices, lower below top, with their Edge hubs. The device leaf is in lower's scope, and has a module
// m, as the Edge devices have; stranger is in nobody's scope, and the Edge device other has an Edge hub, too.
func newEdgeFixture(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t)
	top := f.put(edge("top"), "")
	lower := f.put(edge("lower", top.DeviceScope), "")
	f.put(edge("other"), "")
	f.put(hubward.Device{DeviceID: "leaf", DeviceScope: lower.DeviceScope}, "")
	f.put(hubward.Device{DeviceID: "stranger"}, "")
	for _, device := range []string{"top", "lower", "other"} {
		f.createModule(hubward.Identity{Device: device, Module: "$edgeHub"})
	}
	for _, device := range []string{"top", "lower", "leaf", "stranger"} {
		f.createModule(hubward.Identity{Device: device, Module: "m"})
	}
	return f
}

// edgeHubToken is what an Edge hub signs, for itself, as it writes it: ids are encoded twice.
func (f *fixture) edgeHubToken(id hubward.Identity, key string, life time.Duration) string {
	f.t.Helper()
	token, err := sas.Sign("plant.example/devices/"+id.Device+"/modules/%24edgeHub", key, "", f.clock().Add(life))
	if err != nil {
		f.t.Fatal(err)
	}
	return token
}

// behalf logs in as id by the token of an Edge hub, and connects.
func (f *fixture) behalf(actor, id hubward.Identity, chain string) (*hub.Link, *session, error) {
	f.t.Helper()
	n := f.other()
	p, err := n.Authenticate(f.t.Context(), access.Credential{
		Hub: "plant", Identity: id, Token: f.edgeHubToken(actor, edgeHubKey, time.Hour), OnBehalf: true, Chain: chain,
	})
	if err != nil {
		return nil, nil, err
	}
	s := &session{}
	l, err := n.Connect(f.t.Context(), &p, hub.ConnectRequest{Identity: id, Session: s})
	return l, s, err
}

func TestOnBehalf(t *testing.T) {
	f := newEdgeFixture(t)
	for _, row := range []struct {
		actor hubward.Identity
		id    hubward.Identity
		chain string
	}{
		{topHub, leaf, "leaf;lower;top"},
		{lowerHub, leaf, "leaf;lower"},
		{topHub, hubward.Identity{Device: "leaf", Module: "m"}, "leaf/m;leaf;lower;top"},
		{topHub, hubward.Identity{Device: "lower"}, "lower;top"},
		{topHub, hubward.Identity{Device: "lower", Module: "m"}, "lower/m;lower;top"},
		{topHub, lowerHub, "lower/$edgeHub;lower;top"},
		{topHub, hubward.Identity{Device: "top", Module: "m"}, "top/m;top"},
	} {
		for _, chain := range []string{row.chain, ""} {
			what := fmt.Sprintf("%s for %s, chain %q", row.actor, row.id, chain)
			link, _, err := f.behalf(row.actor, row.id, chain)
			if err != nil {
				t.Errorf("%s: %v", what, err)
				continue
			}
			p := link.Principal
			if p.Identity != row.id || p.Actor != row.actor || p.Scope != access.ScopeModule || p.Method != "sas" || p.Permissions != access.DeviceConnect {
				t.Errorf("%s: %+v", what, p)
			}
			if entry, err := f.store.Identity(t.Context(), "plant", row.id); err != nil || p.Generation != entry.GenerationID {
				t.Errorf("%s: the generation is %q, want %q, %v", what, p.Generation, entry.GenerationID, err)
			}
			if !p.Allows(access.DeviceConnect, append(access.PathOf(row.id), "messages", "events")...) || p.Allows(access.DeviceConnect, "devices", "top") ||
				p.Allows(access.DeviceConnect, access.PathOf(row.actor)...) || p.Allows(access.ServiceConnect, access.PathOf(row.id)...) {
				t.Errorf("%s: it allows more, or less", what)
			}
			link.Disconnect()
		}
	}
}

func TestOnBehalf_refusals(t *testing.T) {
	module := func(device string) hubward.Identity { return hubward.Identity{Device: device, Module: "m"} }
	otherHub := hubward.Identity{Device: "other", Module: "$edgeHub"}
	for what, row := range map[string]struct {
		actor, id hubward.Identity
		chain     string
		prepare   func(f *fixture)
		reason    access.Reason
	}{
		"a device in nobody's scope":           {actor: topHub, id: hubward.Identity{Device: "stranger"}, reason: access.ReasonResource},
		"a module of one":                      {actor: topHub, id: module("stranger"), reason: access.ReasonResource},
		"a device in another's scope":          {actor: otherHub, id: leaf, reason: access.ReasonResource},
		"what is above":                        {actor: lowerHub, id: hubward.Identity{Device: "top"}, reason: access.ReasonResource},
		"a module of what is above":            {actor: lowerHub, id: module("top"), reason: access.ReasonResource},
		"its own device":                       {actor: topHub, id: hubward.Identity{Device: "top"}, reason: access.ReasonResource},
		"nobody":                               {actor: topHub, id: hubward.Identity{Device: "none"}, reason: access.ReasonUnknown},
		"no module":                            {actor: topHub, id: hubward.Identity{Device: "leaf", Module: "none"}, reason: access.ReasonUnknown},
		"an actor that is not there":           {actor: hubward.Identity{Device: "leaf", Module: "$edgeHub"}, id: leaf, reason: access.ReasonUnknown},
		"a chain that leaves one out":          {actor: topHub, id: leaf, chain: "leaf;top", reason: access.ReasonResource},
		"a chain that goes on":                 {actor: topHub, id: leaf, chain: "leaf;lower;top;other", reason: access.ReasonResource},
		"a chain of another identity":          {actor: topHub, id: leaf, chain: "stranger;lower;top", reason: access.ReasonResource},
		"a chain that ends before the actor":   {actor: topHub, id: leaf, chain: "leaf;lower", reason: access.ReasonResource},
		"a chain in another case":              {actor: topHub, id: leaf, chain: "leaf;lower;Top", reason: access.ReasonResource},
		"a chain of a module without a device": {actor: topHub, id: module("leaf"), chain: "leaf/m;lower;top", reason: access.ReasonResource},
		"a disabled device": {actor: topHub, id: leaf, reason: access.ReasonDisabled, prepare: func(f *fixture) {
			f.disable(f.device("leaf"))
		}},
		"a disabled Edge device between": {actor: topHub, id: leaf, reason: access.ReasonDisabled, prepare: func(f *fixture) {
			f.disable(f.device("lower"))
		}},
		"a disabled actor": {actor: topHub, id: leaf, reason: access.ReasonDisabled, prepare: func(f *fixture) {
			f.disable(f.device("top"))
		}},
		"an actor's device that is no Edge device any more": {actor: lowerHub, id: leaf, reason: access.ReasonUnknown, prepare: func(f *fixture) {
			d := f.device("lower")
			d.Capabilities.IotEdge, d.DeviceScope, d.ParentScopes = false, "", nil
			f.put(*d, "*")
		}},
		"a parent that was made anew": {actor: lowerHub, id: leaf, reason: access.ReasonResource, prepare: func(f *fixture) {
			if err := f.DeleteDevice(f.t.Context(), "plant", "lower", "*"); err != nil {
				f.t.Fatal(err)
			}
			f.advance(time.Second)
			f.put(edge("lower"), "")
			f.createModule(lowerHub)
		}},
		"a parent that was deleted": {actor: topHub, id: leaf, reason: access.ReasonUnknown, prepare: func(f *fixture) {
			if err := f.DeleteDevice(f.t.Context(), "plant", "lower", "*"); err != nil {
				f.t.Fatal(err)
			}
		}},
		"a device that has left": {actor: topHub, id: leaf, reason: access.ReasonResource, prepare: func(f *fixture) {
			d := f.device("leaf")
			d.DeviceScope = ""
			f.put(*d, "*")
		}},
		"a way that leads back": {actor: topHub, id: hubward.Identity{Device: "top"}, reason: access.ReasonResource, prepare: func(f *fixture) {
			scope := f.device("lower").DeviceScope
			f.overwrite(hubward.Identity{Device: "top"}, func(r *hub.Registration) { r.ParentScopes = []string{scope} })
		}},
		"a parent that is no Edge device": {actor: lowerHub, id: leaf, reason: access.ReasonResource, prepare: func(f *fixture) {
			f.overwrite(hubward.Identity{Device: "lower"}, func(r *hub.Registration) { r.Capabilities.IotEdge = false })
		}},
	} {
		t.Run(what, func(t *testing.T) {
			f := newEdgeFixture(t)
			if row.prepare != nil {
				row.prepare(f)
			}
			_, _, err := f.behalf(row.actor, row.id, row.chain)
			code := hubward.CodeUnauthorizedAccess
			if row.actor.Device == "leaf" || row.id == leaf && row.actor == lowerHub && row.reason == access.ReasonUnknown {
				code = hubward.CodeModuleNotFound // as for any token of who is not there: callers hide it
			}
			wantCode(t, what, err, code)
			if got := access.ReasonOf(err); got != row.reason {
				t.Errorf("the reason is %q, want %q: %v", got, row.reason, errors.Unwrap(err))
			}
		})
	}
}

// overwrite changes what is stored of an identity, also where the registry would refuse that.
func (f *fixture) overwrite(id hubward.Identity, change func(r *hub.Registration)) {
	f.t.Helper()
	edit := &hub.IdentityEdit{ID: id, Edit: func(old *hub.Registration) (*hub.Registration, []hub.HubEvent, error) {
		next := *old
		change(&next)
		return &next, nil, nil
	}}
	if err := f.store.EditIdentities(f.t.Context(), "plant", []*hub.IdentityEdit{edit}); err != nil || edit.Err != nil {
		f.t.Fatal(err, edit.Err)
	}
}

func (f *fixture) device(id string) *hubward.Device {
	f.t.Helper()
	d, err := f.Device(f.t.Context(), "plant", id)
	if err != nil {
		f.t.Fatal(err)
	}
	return d
}

// What is no Edge hub's own token, in time, is good for nobody else.
func TestOnBehalf_credentials(t *testing.T) {
	f := newEdgeFixture(t)
	top := f.device("top")
	sign := func(resource, key, policy string) string {
		token, err := sas.Sign("plant.example/devices/"+resource, key, policy, f.clock().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	own := string(top.Authentication.SymmetricKey.PrimaryKey)
	for what, row := range map[string]struct {
		token  string
		reason access.Reason
	}{
		"another key":                           {f.edgeHubToken(topHub, own, time.Hour), access.ReasonKey},
		"an expired token":                      {f.edgeHubToken(topHub, edgeHubKey, -time.Second), access.ReasonExpired},
		"the key of the Edge device":            {sign("top", own, ""), access.ReasonKey},
		"the device's key for the child":        {sign("leaf", own, ""), access.ReasonKey},
		"the Edge hub's key for the child":      {sign("leaf", edgeHubKey, ""), access.ReasonKey},
		"the Edge hub's key for its device":     {sign("top", edgeHubKey, ""), access.ReasonKey},
		"another module's key":                  {sign("top/modules/m", edgeHubKey, ""), access.ReasonKey},
		"the name in another case":              {sign("top/modules/$EdgeHub", edgeHubKey, ""), access.ReasonKey},
		"a policy's token for the Edge hub":     {f.policyToken("device", "plant.example/devices/top/modules/$edgeHub"), access.ReasonResource},
		"the token of an Edge hub with another": {f.edgeHubToken(hubward.Identity{Device: "other"}, edgeHubKey, time.Hour), access.ReasonResource},
	} {
		_, err := f.Authenticate(t.Context(), access.Credential{Hub: "plant", Identity: leaf, Token: row.token, OnBehalf: true})
		wantCode(t, what, err, hubward.CodeUnauthorizedAccess)
		if got := access.ReasonOf(err); got != row.reason {
			t.Errorf("%s: the reason is %q, want %q: %v", what, got, row.reason, errors.Unwrap(err))
		}
	}
	// Nor is an Edge hub's, where the protocol is not one by which Edge hubs act for others.
	_, err := f.Authenticate(t.Context(), access.Credential{Hub: "plant", Identity: leaf, Token: f.edgeHubToken(topHub, edgeHubKey, time.Hour), Chain: "leaf;lower;top"})
	wantCode(t, "another protocol", err, hubward.CodeUnauthorizedAccess)
	// As itself an Edge hub needs no chain.
	p, err := f.Authenticate(t.Context(), access.Credential{
		Hub: "plant", Identity: topHub, Token: f.edgeHubToken(topHub, edgeHubKey, time.Hour), OnBehalf: true, Chain: "top/$edgeHub;top",
	})
	if err != nil || p.Identity != topHub || p.Actor != (hubward.Identity{}) {
		t.Errorf("as itself: %+v, %v", p, err)
	}
}

// An Edge hub that has logged in acts on the key that it has now.
func TestOnBehalf_keyOfTheEdgeHub(t *testing.T) {
	for what, change := range map[string]func(r *hub.Registration){
		"another key": func(r *hub.Registration) {
			r.Authentication.SymmetricKey = hubward.SymmetricKey{PrimaryKey: "a2V5", SecondaryKey: "a2V5"}
		},
		"it was made anew":    func(r *hub.Registration) { r.GenerationID = "2" },
		"no key any more":     func(r *hub.Registration) { r.Authentication = &hubward.Authentication{Type: hubward.AuthSelfSigned} },
		"it is as it was":     func(*hub.Registration) {},
		"its secondary alone": func(r *hub.Registration) { r.Authentication.SymmetricKey.PrimaryKey = "a2V5" },
	} {
		f := newEdgeFixture(t)
		p, err := f.Authenticate(t.Context(), access.Credential{Hub: "plant", Identity: leaf, Token: f.edgeHubToken(topHub, edgeHubKey, time.Hour), OnBehalf: true})
		if err != nil {
			t.Fatal(err)
		}
		f.overwrite(topHub, change)
		_, err = f.connectAs(p, leaf, &session{})
		if good := strings.HasPrefix(what, "it is") || strings.HasPrefix(what, "its"); good != (err == nil) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Five Edge devices may stand above one another, and a device below them.
func TestOnBehalf_layers(t *testing.T) {
	f := newFixture(t)
	var scope string
	chain := []string{}
	for i := range 6 {
		d := edge(fmt.Sprint("e", i))
		if scope != "" {
			d.ParentScopes = []string{scope}
		}
		scope = f.put(d, "").DeviceScope
		f.createModule(hubward.Identity{Device: d.DeviceID, Module: "$edgeHub"})
		below := fmt.Sprint("leaf", i)
		f.put(hubward.Device{DeviceID: below, DeviceScope: scope}, "")
		chain = append(chain, d.DeviceID)
		up := slices.Clone(chain)
		slices.Reverse(up)
		first := hubward.Identity{Device: "e0", Module: "$edgeHub"}
		for _, id := range []string{below, d.DeviceID + "/x"} {
			device, module, isModule := strings.Cut(id, "/")
			if isModule {
				f.createModule(hubward.Identity{Device: device, Module: module})
			}
			_, _, err := f.behalf(first, hubward.Identity{Device: device, Module: module}, id+";"+strings.Join(up, ";"))
			if i < 5 && err != nil {
				t.Errorf("%s below %d: %v", id, i+1, err)
			} else if i == 5 {
				wantCode(t, id, err, hubward.CodeUnauthorizedAccess)
			}
		}
	}
}

// What an Edge hub may not do any more ends, whatever node the link is on; what it may, goes on.
func TestOnBehalf_endsWithTheRight(t *testing.T) {
	deleteDevice := func(id string) func(f *fixture) error {
		return func(f *fixture) error { return f.DeleteDevice(f.t.Context(), "plant", id, "*") }
	}
	edit := func(id string, change func(d *hubward.Device)) func(f *fixture) error {
		return func(f *fixture) error {
			d := f.device(id)
			change(d)
			f.put(*d, "*")
			return nil
		}
	}
	for what, change := range map[string]func(f *fixture) error{
		"the child has left":      edit("leaf", func(d *hubward.Device) { d.DeviceScope = "" }),
		"what is between left":    edit("lower", func(d *hubward.Device) { d.ParentScopes = nil }),
		"what is between is off":  edit("lower", func(d *hubward.Device) { d.Status = hubward.StatusDisabled }),
		"what is between is gone": deleteDevice("lower"),
		"the actor is off":        edit("top", func(d *hubward.Device) { d.Status = hubward.StatusDisabled }),
		"the actor is gone":       deleteDevice("top"),
	} {
		t.Run(what, func(t *testing.T) {
			f := newEdgeFixture(t)
			other := f.put(hubward.Device{DeviceID: "child-of-other", DeviceScope: f.device("other").DeviceScope}, "")
			var ends []*session
			for range len(f.nodes) {
				_, s, err := f.behalf(topHub, leaf, "leaf;lower;top")
				if err != nil {
					t.Fatal(err)
				}
				ends = append(ends, s)
			}
			_, stays, err := f.behalf(hubward.Identity{Device: "other", Module: "$edgeHub"}, hubward.Identity{Device: other.DeviceID}, "")
			if err != nil {
				t.Fatal(err)
			}
			if err := change(f); err != nil {
				t.Fatal(err)
			}
			last := ends[len(ends)-1]
			wantCode(t, "the link", awaitClosed(last), hubward.CodeUnauthorizedAccess)
			if err := stays.closed(); err != nil {
				t.Errorf("another Edge hub's link: %v", err)
			}
		})
	}
}

// awaitClosed returns why a session was closed, nil when it is not for long.
func awaitClosed(s *session) error {
	for end := time.Now().Add(10 * time.Second); s.closed() == nil && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	return s.closed()
}
