package hub_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/sas"
)

func TestPutDevice_makesBlankKeys(t *testing.T) {
	f := newFixture(t)
	d := f.createDevice("d1")
	k := d.Authentication.SymmetricKey
	if len(k.PrimaryKey) != 44 || len(k.SecondaryKey) != 44 || k.PrimaryKey == k.SecondaryKey {
		t.Errorf("keys: %+v", k)
	}
	if d.Status != hubward.StatusEnabled || d.Authentication.Type != hubward.AuthSAS || d.ETag == "" || len(d.GenerationID) != 18 {
		t.Errorf("defaults: %+v", d)
	}
	if d.ConnectionState != hubward.Disconnected || !d.LastActivityTime.IsZero() {
		t.Errorf("a new device was connected: %+v", d)
	}
}

// Source: learn.microsoft.com/rest/api/iothub, the behaviour of ETags; mwalser/terraform-provider-iothub CONCEPT.md, which
// measured a hub of the cloud.
func TestPutDevice_ifMatch(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	first := f.createDevice("d1")
	put := func(id, ifMatch string) error {
		_, err := f.PutDevice(ctx, "plant", hubward.Device{DeviceID: id}, ifMatch)
		return err
	}
	wantCode(t, "create what exists", put("d1", ""), hubward.CodeDeviceAlreadyExists)
	wantCode(t, "update what is missing", put("d2", "*"), hubward.CodeDeviceNotFound)
	wantCode(t, "wrong etag", put("d1", "xxxx"), hubward.CodePreconditionFailed)
	if err := put("d1", first.ETag); err != nil {
		t.Errorf("matching etag: %v", err)
	}
	wantCode(t, "stale etag", put("d1", first.ETag), hubward.CodePreconditionFailed)
	if err := put("d1", "*"); err != nil {
		t.Errorf("any etag: %v", err)
	}
	d, err := f.Device(ctx, "plant", "d1")
	if err != nil || d.GenerationID != first.GenerationID || d.Authentication.SymmetricKey == first.Authentication.SymmetricKey {
		t.Errorf("an update without keys makes new ones and keeps the generation: %+v, %v", d, err)
	}
	wantCode(t, "delete without etag", f.DeleteDevice(ctx, "plant", "d1", ""), hubward.CodePreconditionFailed)
	wantCode(t, "delete with wrong etag", f.DeleteDevice(ctx, "plant", "d1", "xxxx"), hubward.CodePreconditionFailed)
	if err := f.DeleteDevice(ctx, "plant", "d1", d.ETag); err != nil {
		t.Errorf("delete: %v", err)
	}
	wantCode(t, "delete again", f.DeleteDevice(ctx, "plant", "d1", "*"), hubward.CodeDeviceNotFound)
	f.advance(time.Millisecond)
	if again := f.createDevice("d1"); again.GenerationID == first.GenerationID {
		t.Error("a device that is registered again keeps its old generation")
	}
}

func TestPutDevice_refusesBadFields(t *testing.T) {
	f := newFixture(t)
	key := func(k string) *hubward.Authentication {
		return &hubward.Authentication{SymmetricKey: hubward.SymmetricKey{PrimaryKey: hubward.NullString(k), SecondaryKey: hubward.NullString(k)}}
	}
	rows := map[string]hubward.Device{
		"0x20":                  {DeviceID: "a b"},
		"has 129":               {DeviceID: strings.Repeat("x", 129)},
		"status":                {DeviceID: "d", Status: "asleep"},
		"statusReason":          {DeviceID: "d", StatusReason: hubward.NullString(strings.Repeat("x", 129))},
		"primaryKey: it is not": {DeviceID: "d", Authentication: key("%%%")},
		"this one has 15":       {DeviceID: "d", Authentication: key("AAECAwQFBgcICQoLDA0O")},
		"both keys or neither":  {DeviceID: "d", Authentication: &hubward.Authentication{SymmetricKey: hubward.SymmetricKey{PrimaryKey: "AAECAwQFBgcICQoLDA0ODw=="}}},
		"StringIsNotThumbprint": {DeviceID: "d", Authentication: &hubward.Authentication{Type: "selfSigned", X509Thumbprint: hubward.X509Thumbprint{PrimaryThumbprint: "12:34"}}},
		"authentication.type":   {DeviceID: "d", Authentication: &hubward.Authentication{Type: hubward.AuthNone}},
	}
	for want, d := range rows {
		_, err := f.PutDevice(t.Context(), "plant", d, "")
		wantCode(t, want, err, hubward.CodeArgumentInvalid)
		if err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
		if strings.Contains(fmt.Sprint(err), ";") {
			t.Errorf("%v holds a semicolon, at which SDKs split", err)
		}
	}
}

func TestConnect_refusals(t *testing.T) {
	f := newFixture(t)
	d := f.createDevice("d1")
	connect := func(host, id, token string) error {
		_, err := f.logIn(t.Context(), logIn{Host: host, Identity: hubward.Identity{Device: id}, Token: token, Session: &session{}})
		return err
	}
	wantCode(t, "unknown host", connect("elsewhere.example", "d1", f.token(d)), hubward.CodeHubNotFound)
	wantCode(t, "unknown device", connect("plant.example", "d2", f.token(d)), hubward.CodeDeviceNotFound)
	wantCode(t, "no token", connect("plant.example", "d1", ""), hubward.CodeUnauthorizedAccess)
	wantCode(t, "not a token", connect("plant.example", "d1", "secret"), hubward.CodeUnauthorizedAccess)
	foreign, _ := sas.Sign("other.example/devices/d1", string(d.Authentication.SymmetricKey.PrimaryKey), "", f.clock().Add(time.Hour))
	wantCode(t, "token for another host", connect("plant.example", "d1", foreign), hubward.CodeUnauthorizedAccess)
	f.disable(d)
	wantCode(t, "disabled device", connect("plant.example", "d1", f.token(d)), hubward.CodeUnauthorizedAccess)
}

func (f *fixture) disable(d *hubward.Device) {
	f.t.Helper()
	off := *d
	off.Status = hubward.StatusDisabled
	if _, err := f.PutDevice(f.t.Context(), "plant", off, "*"); err != nil {
		f.t.Fatal(err)
	}
}

func TestConnect_answersToItsNames(t *testing.T) {
	f := newFixture(t)
	f.createHub("second", "second.example")
	for host, want := range map[string]string{
		"plant.example": "plant", "PLANT.Example": "plant", "plant.example:8883": "plant", "localhost": "plant",
		"127.0.0.1": "plant", "[::1]:443": "plant", "plant.localhost": "plant", "second.localhost": "second", "second.example": "second",
		"plant.example.": "plant", "Plant.example.:8883": "plant", "localhost.": "plant", "second.localhost.": "second", "0:0:0:0:0:0:0:1": "plant",
	} {
		if got, err := f.HubFor(host); err != nil || got.Name != want {
			t.Errorf("HubFor(%q) = %v, %v", host, got, err)
		}
	}
}

func TestConnect_newestWins(t *testing.T) {
	f := newFixture(t)
	d := f.createDevice("d1")
	old, oldSession, err := f.connect(d)
	if err != nil {
		t.Fatal(err)
	}
	_, newSession, err := f.connect(d)
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, "the old session", oldSession.closed(), hubward.CodeConnectionClosedOnNewOne)
	old.Disconnect() // late: must not take the new one with it
	if newSession.closed() != nil {
		t.Error("the new session was closed")
	}
	if stats, err := f.ServiceStatistics(t.Context(), "plant"); err != nil || stats.ConnectedDeviceCount != 1 {
		t.Errorf("connected: %+v, %v", stats, err)
	}
	wantCode(t, "subscriptions of the old session", old.SaveSession(t.Context(), []byte("[]")), hubward.CodeConnectionClosedOnNewOne)
}

func TestPutDevice_closesConnectionsThatLostTheirRight(t *testing.T) {
	edits := map[string]func(*fixture, *hubward.Device){
		"disabled": (*fixture).disable,
		"deleted": func(f *fixture, d *hubward.Device) {
			if err := f.DeleteDevice(f.t.Context(), "plant", d.DeviceID, "*"); err != nil {
				f.t.Fatal(err)
			}
		},
		"re-keyed": func(f *fixture, d *hubward.Device) {
			if _, err := f.PutDevice(f.t.Context(), "plant", hubward.Device{DeviceID: d.DeviceID}, "*"); err != nil {
				f.t.Fatal(err)
			}
		},
	}
	for name, edit := range edits {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			d := f.createDevice("d1")
			_, s, err := f.connect(d)
			if err != nil {
				t.Fatal(err)
			}
			edit(f, d)
			if s.closed() == nil {
				t.Error("the connection lives on")
			}
		})
	}
}

func TestPutDevice_leavesTheConnectionWhenNothingOfItChanged(t *testing.T) {
	f := newFixture(t)
	d := f.createDevice("d1")
	_, s, err := f.connect(d)
	if err != nil {
		t.Fatal(err)
	}
	same := *d
	same.StatusReason = "checked"
	if _, err := f.PutDevice(t.Context(), "plant", same, "*"); err != nil {
		t.Fatal(err)
	}
	if s.closed() != nil {
		t.Errorf("closed: %v", s.closed())
	}
}

// A device must not slip in with credentials that an edit took away while it logged in.
func TestConnect_raceWithDisable(t *testing.T) {
	f := newFixture(t)
	for i := range 50 {
		d := f.createDevice(fmt.Sprintf("d%d", i))
		var wg sync.WaitGroup
		var s *session
		wg.Go(func() { _, s, _ = f.connect(d) })
		f.disable(d)
		wg.Wait()
		live, err := f.Device(t.Context(), "plant", d.DeviceID)
		if err != nil {
			t.Fatal(err)
		}
		if live.ConnectionState == hubward.Connected && s.closed() == nil {
			t.Fatal("a disabled device is connected")
		}
	}
}

func TestBulkDevices_modesAndErrors(t *testing.T) {
	f := newFixture(t)
	a := f.createDevice("a")
	f.createDevice("b")
	item := func(id string, mode hub.ImportMode, etag string) hub.BulkItem {
		return hub.BulkItem{Device: hubward.Device{DeviceID: id}, Mode: mode, ETag: etag}
	}
	failed, err := f.BulkDevices(t.Context(), "plant", []hub.BulkItem{
		item("a", "UpdateIfMatchETag", a.ETag), item("b", "deleteIfMatchEtag", "wrong"), item("c", "create", ""),
		item("d", "update", ""), item("e", "", ""), item("f", "explode", ""), item("g h", "create", ""), item("i", "updateTwin", ""),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]hubward.Code{
		"b": hubward.CodePreconditionFailed, "d": hubward.CodeDeviceNotFound, "f": hubward.CodeArgumentInvalid,
		"g h": hubward.CodeArgumentInvalid, "i": hubward.CodeDeviceNotFound,
	}
	if len(failed) != len(want) {
		t.Errorf("%+v", failed)
	}
	for _, e := range failed {
		if want[e.Identity.Device] != hubward.CodeOf(e.Err) {
			t.Errorf("%+v", e)
		}
	}
	for _, id := range []string{"a", "b", "c", "e"} {
		if _, err := f.Device(t.Context(), "plant", id); err != nil {
			t.Errorf("good rows stay: %v", err)
		}
	}
	_, err = f.BulkDevices(t.Context(), "plant", []hub.BulkItem{item("x", "", ""), item("x", "delete", "")})
	wantCode(t, "the same device twice", err, hubward.CodeDeviceDefinedMultipleTimes)
	_, err = f.BulkDevices(t.Context(), "plant", make([]hub.BulkItem, 101))
	wantCode(t, "101 rows", err, hubward.CodeTooManyDevices)
}

func TestHubs_areApart(t *testing.T) {
	f := newFixture(t)
	second := f.createHub("second")
	f.createDevice("d1")
	_, err := f.Device(t.Context(), "second", "d1")
	wantCode(t, "a device of another hub", err, hubward.CodeDeviceNotFound)
	owner := second.Policies[0]
	token, _ := sas.Sign("plant.example", owner.PrimaryKey, owner.Name, f.clock().Add(time.Hour))
	_, err = f.Authenticate(t.Context(), access.Credential{Token: token})
	wantCode(t, "another hub's key", err, hubward.CodeUnauthorizedAccess)
	_, err = f.CreateHub(t.Context(), hub.NewHub{Name: "SECOND"})
	wantCode(t, "a name that differs in case only", err, hubward.CodeHubAlreadyExists)
	_, err = f.CreateHub(t.Context(), hub.NewHub{Name: "third", HostNames: []string{"plant.example"}})
	wantCode(t, "a host name of another hub", err, hubward.CodeArgumentInvalid)
	wantCode(t, "delete the first hub", f.DeleteHub(t.Context(), "plant"), hubward.CodeInvalidOperation)
	if err := f.DeleteHub(t.Context(), "second"); err != nil {
		t.Error(err)
	}
	_, err = f.HubOf("second")
	wantCode(t, "a deleted hub", err, hubward.CodeNoSuchHub)
}

func TestPolicies(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	policies, err := f.Policies("plant")
	if err != nil || len(policies) != 5 {
		t.Fatalf("%+v, %v", policies, err)
	}
	_, err = f.CreatePolicy(ctx, "plant", "service", 4)
	wantCode(t, "a name that is taken", err, hubward.CodePolicyAlreadyExists)
	_, err = f.CreatePolicy(ctx, "plant", "a/b", 4)
	wantCode(t, "a bad name", err, hubward.CodeArgumentInvalid)
	made, err := f.CreatePolicy(ctx, "plant", "reader", 1)
	if err != nil {
		t.Fatal(err)
	}
	sign := func() string {
		token, _ := sas.Sign("plant.example", made.PrimaryKey, "reader", f.clock().Add(time.Hour))
		return token
	}
	p, err := f.other().Authenticate(ctx, access.Credential{Hub: "plant", Token: sign()})
	if err != nil || !p.Allows(access.RegistryRead, "devices") || p.Allows(access.ServiceConnect) {
		t.Errorf("%+v, %v", p, err)
	}
	again, err := f.RegeneratePolicyKey(ctx, "plant", "reader", true)
	if err != nil || again.PrimaryKey == made.PrimaryKey || again.SecondaryKey != made.SecondaryKey {
		t.Errorf("%v", err)
	}
	_, err = f.other().Authenticate(ctx, access.Credential{Hub: "plant", Token: sign()})
	wantCode(t, "the old key", err, hubward.CodeUnauthorizedAccess)
	wantCode(t, "delete the owner", f.DeletePolicy(ctx, "plant", hub.OwnerPolicy), hubward.CodeInvalidOperation)
	if err := f.DeletePolicy(ctx, "plant", "reader"); err != nil {
		t.Error(err)
	}
}

func TestReadEvents_givesWhatWasIngested(t *testing.T) {
	f := newFixture(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	const devices, each = 5, 20
	send := func(from, to int) {
		var wg sync.WaitGroup
		for i := range devices {
			d, err := f.Device(ctx, "plant", fmt.Sprintf("d%d", i))
			if err != nil {
				d = f.createDevice(fmt.Sprintf("d%d", i))
			}
			link, _, err := f.connect(d)
			if err != nil {
				t.Error(err)
				continue
			}
			stored := make(chan int, each)
			in := link.Ingest(func(n int, err error) { stored <- n })
			wg.Go(func() {
				for n := from; n < to; n++ {
					if err := in.Telemetry(ctx, &hubward.Message{MessageID: fmt.Sprint(n), Body: []byte("x")}); err != nil {
						t.Error(err)
					}
				}
				for n := 0; n < to-from; {
					n += <-stored
				}
				link.Disconnect()
			})
		}
		wg.Wait()
	}
	send(0, each)
	next := map[string]int{}
	total, idle := 0, false
	stop := fmt.Errorf("enough")
	err := f.ReadEvents(ctx, "plant", hub.EventQuery{}, func(e *hubward.Event) error {
		if e == nil {
			if total == devices*each && !idle {
				idle = true
				go send(each, 2*each) // what comes while the reader waits
			}
			return nil
		}
		if want := fmt.Sprint(next[e.DeviceID]); e.Message.MessageID != want {
			t.Errorf("%s: message %s, want %s", e.DeviceID, e.Message.MessageID, want)
		}
		next[e.DeviceID]++
		if total++; total == 2*devices*each {
			return stop
		}
		return nil
	})
	if err != stop {
		t.Errorf("after %d events: %v", total, err)
	}
	err = f.ReadEvents(ctx, "plant", hub.EventQuery{ConsumerGroup: "nobody"}, func(*hubward.Event) error { return nil })
	wantCode(t, "unknown consumer group", err, hubward.CodeNoSuchConsumerGroup)
}

func TestTelemetry_tooLarge(t *testing.T) {
	f := newFixture(t)
	link, _, err := f.connect(f.createDevice("d1"))
	if err != nil {
		t.Fatal(err)
	}
	in := link.Ingest(func(int, error) {})
	if err := in.Telemetry(t.Context(), &hubward.Message{Body: make([]byte, hubward.MaxMessageSize)}); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	err = in.Telemetry(t.Context(), &hubward.Message{Body: make([]byte, hubward.MaxMessageSize), MessageID: "1"})
	wantCode(t, "one above the limit", err, hubward.CodeMessageTooLarge)
}
