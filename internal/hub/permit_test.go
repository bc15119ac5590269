package hub_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/sas"
)

// who is one kind of principal.
type who struct {
	name string
	p    access.Principal
}

// verb is one call that takes a principal, with the kinds that may make it.
type verb struct {
	name    string
	allowed string // names of who, separated by spaces
	call    func(ctx context.Context, p *access.Principal) error
}

// Every verb looks for itself at who calls it: with each kind of principal, it lets in those that it should, and nobody
// else. What a verb then says of its other arguments does not matter here.
func TestPermissions_everyVerb(t *testing.T) {
	f := newFixture(t)
	f.advance(time.Second)
	f.createHub("second", "second.example")
	f.createDevice("d1")
	f.createDevice("d2")
	f.put(edge("edge"), "")
	kinds := f.kindsOfPrincipals()
	for _, v := range f.verbs() {
		t.Run(v.name, func(t *testing.T) {
			for _, k := range kinds {
				allowed := strings.Contains(" "+v.allowed+" ", " "+k.name+" ")
				p := k.p
				err := v.call(t.Context(), &p)
				refused := hubward.CodeOf(err) == hubward.CodeUnauthorizedAccess || hubward.CodeOf(err) == hubward.CodeNoSuchHub
				if err == nil {
					refused = false
				}
				if refused == allowed {
					t.Errorf("%s: %v, allowed %v", k.name, err, allowed)
				}
			}
		})
	}
}

// kindsOfPrincipals are those of plant's five default policies, of a device and of its module, of another device, of a
// policy that is limited to a device, and to its twin, of another hub's owner, of a deleted hub's owner, and the owner's after its time.
func (f *fixture) kindsOfPrincipals() []who {
	f.t.Helper()
	logIn := func(c access.Credential) access.Principal {
		p, err := f.Authenticate(f.t.Context(), c)
		if err != nil {
			f.t.Fatal(err)
		}
		return p
	}
	kinds := []who{{name: "nobody"}}
	for _, policy := range []string{"iothubowner", "service", "device", "registryRead", "registryReadWrite"} {
		kinds = append(kinds, who{policy, logIn(access.Credential{Token: f.policyToken(policy, "plant.example")})})
	}
	d1, err := f.Device(f.t.Context(), "plant", "d1")
	if err != nil {
		f.t.Fatal(err)
	}
	d2, err := f.Device(f.t.Context(), "plant", "d2")
	if err != nil {
		f.t.Fatal(err)
	}
	kinds = append(kinds,
		who{"d1", logIn(access.Credential{Token: f.token(d1)})},
		who{"d2", logIn(access.Credential{Token: f.token(d2)})},
		who{"policy-as-d1", logIn(access.Credential{Token: f.policyToken("device", "plant.example"), Identity: hubward.Identity{Device: "d1"}})},
		who{"owner-of-d1", logIn(access.Credential{Token: f.policyToken("iothubowner", "plant.example/devices/d1")})},
		who{"owner-of-twin-of-d1", logIn(access.Credential{Token: f.policyToken("iothubowner", "plant.example/twins/d1")})},
	)
	module := kinds[len(kinds)-5].p
	module.Identity.Module = "m"
	edgeHub := f.edgeHub("edge")
	kinds = append(kinds, who{"module", module}, who{"edge-hub", *edgeHub})
	kinds = append(kinds, who{"owner-of-second", f.ownerOf("second", "second.example")})
	f.advance(time.Second)
	f.createHub("gone", "gone.example")
	gone := f.ownerOf("gone", "gone.example")
	if err := f.DeleteHub(f.t.Context(), "gone"); err != nil {
		f.t.Fatal(err)
	}
	f.advance(time.Second)
	f.createHub("gone", "gone.example") // a later hub of its name
	kinds = append(kinds, who{"owner-of-deleted", gone})
	expired := kinds[1].p
	expired.Expires = f.clock().Add(-f.SASGrace() - time.Second)
	return append(kinds, who{"expired", expired})
}

func (f *fixture) ownerOf(name, host string) access.Principal {
	f.t.Helper()
	c, err := f.HubOf(name)
	if err != nil {
		f.t.Fatal(err)
	}
	token, err := sas.Sign(host, c.Policies[0].PrimaryKey, c.Policies[0].Name, f.clock().Add(time.Hour))
	if err != nil {
		f.t.Fatal(err)
	}
	p, err := f.Authenticate(f.t.Context(), access.Credential{Token: token})
	if err != nil {
		f.t.Fatal(err)
	}
	return p
}

// verbs are all calls of a Hub that take a principal. Each is made so that it does no harm to the next: where an argument is
// wrong, the verb says so only to who is allowed.
func (f *fixture) verbs() []verb {
	const (
		registryRead  = "iothubowner registryRead registryReadWrite owner-of-second"
		registryWrite = "iothubowner registryReadWrite owner-of-second"
		service       = "iothubowner service owner-of-second"
		operator      = "iothubowner"
		ofD1          = "d1 policy-as-d1"
		bad           = "no such name!"
	)
	d1 := hubward.Identity{Device: "d1"}
	with := func(list string, more ...string) string { return list + " " + strings.Join(more, " ") }
	done := func(_ any, err error) error { return err }
	soon := func(ctx context.Context) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		return ctx, cancel
	}
	return append(f.authorityVerbs(), []verb{
		{"Device", with(registryRead, "owner-of-d1"), func(ctx context.Context, p *access.Principal) error { return done(f.Hub.Device(ctx, p, "d1")) }},
		{"Devices", registryRead, func(ctx context.Context, p *access.Principal) error { return done(f.Hub.Devices(ctx, p, "", 1)) }},
		{"Query", with(registryRead, "service"), func(ctx context.Context, p *access.Principal) error {
			return done(f.Hub.Query(ctx, p, hub.Query{Text: "SELECT * FROM devices"}))
		}},
		{"DeviceStatistics", registryRead, func(ctx context.Context, p *access.Principal) error { return done(f.Hub.DeviceStatistics(ctx, p)) }},
		{"PutDevice", with(registryWrite, "owner-of-d1"), func(ctx context.Context, p *access.Principal) error {
			return done(f.Hub.PutDevice(ctx, p, hubward.Device{DeviceID: "d1"}, "no etag"))
		}},
		{"DeleteDevice", with(registryWrite, "owner-of-d1"), func(ctx context.Context, p *access.Principal) error {
			return f.Hub.DeleteDevice(ctx, p, "d1", "no etag")
		}},
		{"Module", with(registryRead, "d1 owner-of-d1"), func(ctx context.Context, p *access.Principal) error {
			return done(f.Hub.Module(ctx, p, hubward.Identity{Device: "d1", Module: "m"}))
		}},
		{"Modules", with(registryRead, "d1 owner-of-d1"), func(ctx context.Context, p *access.Principal) error { return done(f.Hub.Modules(ctx, p, "d1")) }},
		{"AllModules", registryRead, func(ctx context.Context, p *access.Principal) error {
			return done(f.Hub.AllModules(ctx, p, hubward.Identity{}, 1))
		}},
		{"PutModule", with(registryWrite, "d1 owner-of-d1"), func(ctx context.Context, p *access.Principal) error {
			return done(f.Hub.PutModule(ctx, p, hubward.Module{DeviceID: "d1", ModuleID: "m"}, "no etag"))
		}},
		{"DeleteModule", with(registryWrite, "d1 owner-of-d1"), func(ctx context.Context, p *access.Principal) error {
			return f.Hub.DeleteModule(ctx, p, hubward.Identity{Device: "d1", Module: "m"}, "no etag")
		}},
		{"DevicesInScope", "edge-hub", func(ctx context.Context, p *access.Principal) error {
			return done(f.Hub.DevicesInScope(ctx, p, hub.ScopeQuery{}))
		}},
		{"IdentityInScope", "edge-hub", func(ctx context.Context, p *access.Principal) error {
			return done(f.Hub.IdentityInScope(ctx, p, hubward.Identity{Device: "edge"}, ""))
		}},
		{"BulkDevices", registryWrite, func(ctx context.Context, p *access.Principal) error { return done(f.Hub.BulkDevices(ctx, p, nil)) }},
		{"RegenerateKeys", registryWrite, func(ctx context.Context, p *access.Principal) error {
			return done(f.RegenerateKeys(ctx, p, nil, true, true))
		}},
		{"ServiceStatistics", service, func(ctx context.Context, p *access.Principal) error { return done(f.Hub.ServiceStatistics(ctx, p)) }},
		{"SendC2D", with(service, "owner-of-d1"), func(ctx context.Context, p *access.Principal) error {
			return f.Hub.SendC2D(ctx, p, d1, &hubward.Message{Ack: "unknown"})
		}},
		{"PurgeC2D", with(service, "owner-of-d1"), func(ctx context.Context, p *access.Principal) error { return done(f.Hub.PurgeC2D(ctx, p, d1)) }},
		{"Twin", with(service, "owner-of-d1 owner-of-twin-of-d1"), func(ctx context.Context, p *access.Principal) error { return done(f.Hub.Twin(ctx, p, d1)) }},
		{"UpdateTwin", with(service, "owner-of-d1 owner-of-twin-of-d1"), func(ctx context.Context, p *access.Principal) error {
			return done(f.Hub.UpdateTwin(ctx, p, d1, hub.TwinUpdate{}, "no etag"))
		}},
		{"ReplaceTwin", with(service, "owner-of-d1 owner-of-twin-of-d1"), func(ctx context.Context, p *access.Principal) error {
			return done(f.Hub.ReplaceTwin(ctx, p, d1, hub.TwinUpdate{}, "no etag"))
		}},
		{"InvokeMethod", with(service, "owner-of-d1 owner-of-twin-of-d1"), func(ctx context.Context, p *access.Principal) error {
			return done(f.Hub.InvokeMethod(ctx, p, d1, hubward.MethodCall{}))
		}},
		{"TakeC2D", with(ofD1, "d2 module edge-hub"), func(ctx context.Context, p *access.Principal) error { return done(f.Hub.TakeC2D(ctx, p, time.Hour)) }},
		{"SettleC2D", with(ofD1, "d2 module edge-hub"), func(ctx context.Context, p *access.Principal) error {
			return f.Hub.SettleC2D(ctx, p, "no token", hub.C2DComplete)
		}},
		{"IngestOnce", with(ofD1, "d2 module edge-hub"), func(ctx context.Context, p *access.Principal) error { return f.IngestOnce(ctx, p, nil) }},
		{"Connect", with(ofD1, "iothubowner device owner-of-d1 owner-of-second"), func(ctx context.Context, p *access.Principal) error {
			l, err := f.Connect(ctx, p, hub.ConnectRequest{Identity: d1, Session: &session{}})
			if err == nil {
				l.Disconnect()
			}
			return err
		}},
		{"TakeNotification", service, func(ctx context.Context, p *access.Principal) error {
			return done(f.Hub.TakeNotification(ctx, p, hub.NotificationFeedback))
		}},
		{"WaitNotification", service, func(ctx context.Context, p *access.Principal) error {
			ctx, cancel := soon(ctx)
			defer cancel()
			return done(f.Hub.WaitNotification(ctx, p, hub.NotificationFeedback))
		}},
		{"SettleNotification", service, func(ctx context.Context, p *access.Principal) error {
			return f.Hub.SettleNotification(ctx, p, hub.NotificationFeedback, "no token", hub.C2DComplete)
		}},
		{"ReadEvents", service, func(ctx context.Context, p *access.Principal) error {
			ctx, cancel := soon(ctx)
			defer cancel()
			return f.Hub.ReadEvents(ctx, p, hub.EventQuery{}, func(*hubward.Event) error { return nil })
		}},
		{"OpenReader", service, func(ctx context.Context, p *access.Principal) error {
			r, err := f.Hub.OpenReader(ctx, p, hub.ReaderOptions{ConsumerGroup: "$Default"})
			if err == nil {
				r.Close()
			}
			return err
		}},
		{"PartitionBounds", service, func(ctx context.Context, p *access.Principal) error { return done(f.Hub.PartitionBounds(ctx, p, 0)) }},
		{"EventHub", service, func(_ context.Context, p *access.Principal) error { return done(f.EventHub(p)) }},
		{"OwnHub", "iothubowner service device registryRead registryReadWrite d1 d2 module edge-hub policy-as-d1 owner-of-d1 owner-of-twin-of-d1 owner-of-second",
			func(_ context.Context, p *access.Principal) error { return done(f.OwnHub(p)) }},
		{"Hubs", operator, func(_ context.Context, p *access.Principal) error { return done(f.Hub.Hubs(p)) }},
		{"Hub", operator, func(_ context.Context, p *access.Principal) error { return done(f.Hub.Hub(p, "second")) }},
		{"HostNames", operator, func(_ context.Context, p *access.Principal) error { return done(f.Hub.HostNames(p, "second")) }},
		{"CreateHub", operator, func(ctx context.Context, p *access.Principal) error {
			return done(f.Hub.CreateHub(ctx, p, hub.NewHub{Name: bad}))
		}},
		{"UpdateHub", operator, func(ctx context.Context, p *access.Principal) error {
			return done(f.Hub.UpdateHub(ctx, p, "second", hub.HubChange{Retention: 1}))
		}},
		{"DeleteHub", operator, func(ctx context.Context, p *access.Principal) error { return f.Hub.DeleteHub(ctx, p, "plant") }},
		{"Policies", with(operator, "owner-of-second"), func(_ context.Context, p *access.Principal) error { return done(f.Hub.Policies(p, "second")) }},
		{"CreatePolicy", with(operator, "owner-of-second"), func(ctx context.Context, p *access.Principal) error {
			return done(f.Hub.CreatePolicy(ctx, p, "second", bad, access.RegistryRead))
		}},
		{"RegeneratePolicyKey", with(operator, "owner-of-second"), func(ctx context.Context, p *access.Principal) error {
			return done(f.Hub.RegeneratePolicyKey(ctx, p, "second", bad, true))
		}},
		{"DeletePolicy", with(operator, "owner-of-second"), func(ctx context.Context, p *access.Principal) error {
			return f.Hub.DeletePolicy(ctx, p, "second", bad)
		}},
		{"ConsumerGroups", with(operator, "owner-of-second"), func(_ context.Context, p *access.Principal) error { return done(f.Hub.ConsumerGroups(p, "second")) }},
		{"CreateConsumerGroup", with(operator, "owner-of-second"), func(ctx context.Context, p *access.Principal) error {
			return f.Hub.CreateConsumerGroup(ctx, p, "second", bad)
		}},
		{"DeleteConsumerGroup", with(operator, "owner-of-second"), func(ctx context.Context, p *access.Principal) error {
			return f.Hub.DeleteConsumerGroup(ctx, p, "second", bad)
		}},
	}...)
}

// A verb that is added has to stand in the table.
func TestPermissions_tableIsWhole(t *testing.T) {
	known := make(map[string]bool)
	for _, v := range (&fixture{}).verbs() {
		known[v.name] = true
	}
	for _, name := range verbsWithPrincipal() {
		if !known[name] {
			t.Errorf("the table has no row for %s", name)
		}
	}
}
