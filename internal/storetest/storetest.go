// Package storetest holds the contract of hub.Store as tests that every implementation passes. A store that several
// processes may open at once passes RunTwo too, one that survives its process RunReopen.
//
// The contract is what internal/hub/ports.go says, and this, which follows from "with every row that belongs to it":
// a write to a hub that does not exist fails with CodeHubNotFound, except where ports.go has another answer. Times are
// kept to 100 ns, fences and receivers up to 2^63-1, an empty list is as good as none, and CloudToDeviceMessageCount is
// the store's to count: what an edit says of it is ignored.
package storetest

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
)

// test is one clause of the contract; s is empty.
type test struct {
	name string
	run  func(t *testing.T, s hub.Store)
}

// Run tests the contract. open returns an empty store and closes it in t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) hub.Store) {
	groups := []struct {
		name  string
		tests []test
	}{
		{"Hubs", hubTests}, {"Identities", identityTests}, {"EditIdentities", editTests}, {"Modules", moduleTests},
		{"Twins", twinTests}, {"Connections", connectionTests}, {"Outbox", outboxTests}, {"Sessions", sessionTests},
		{"CertificateRequests", certificateRequestTests},
		{"EditQueues", queueTests}, {"Notifications", notificationTests},
		{"TicketKeys", ticketKeyTests}, {"Concurrent", concurrentTests}, {"Whole", wholeTests},
	}
	for _, g := range groups {
		for _, test := range g.tests {
			t.Run(g.name+"_"+test.name, func(t *testing.T) { test.run(t, open(t)) })
		}
	}
}

// RunTwo tests the contract on two stores that have one database open. In what Run tests, calls go to one and to the
// other in turn, so that each has to see what the other wrote; tests of concurrent writers have some at each. open
// returns two stores on one new database and closes them in t.Cleanup.
func RunTwo(t *testing.T, open func(t *testing.T) (a, b hub.Store)) {
	Run(t, func(t *testing.T) hub.Store {
		a, b := open(t)
		return &inTurn{stores: [2]hub.Store{a, b}}
	})
}

// homeHub is the hub that most tests work in.
const homeHub = "home"

// aTime has all the digits that a store keeps.
var aTime = time.Date(2024, 1, 31, 8, 11, 45, 123456700, time.UTC)

// aHub returns a hub with every field set.
func aHub(name string, created time.Time) hub.Config {
	return hub.Config{
		Name:       name,
		HostNames:  []string{name + ".localhost", name + ".example.org"},
		Partitions: 4,
		Retention:  36*time.Hour + time.Nanosecond,
		Policies: []access.Policy{
			{Name: "service", Permissions: access.ServiceConnect, PrimaryKey: "c2VydmljZS1vbmU=", SecondaryKey: "c2VydmljZS10d28="},
			{Name: "all", Permissions: access.AllPermissions, PrimaryKey: "YWxsLW9uZQ==", SecondaryKey: "YWxsLXR3bw=="},
		},
		ConsumerGroups: []string{"$Default", "dashboards"},
		C2D: hub.C2DSettings{
			DefaultTTL: time.Minute + time.Nanosecond, MaxDeliveryCount: 3,
			FeedbackTTL: time.Hour, FeedbackLock: 5 * time.Second, FeedbackMaxDeliveryCount: 100,
		},
		Switches: access.Switches{
			DisableLocalAuth: true, DisableModuleSAS: true, MinTLS: tls.VersionTLS13,
			Network: access.NetworkRules{Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}, Events: true},
		},
		Authorities: []hub.Authority{
			{Name: "one", Certificate: []byte{0, 1, 255}, Verified: true, Created: created, Updated: created.Add(time.Microsecond), ETag: "e"},
			{Name: "two", Certificate: []byte{2}, Disabled: true, VerificationCode: "c0de", Created: created, Updated: created},
		},
		Issuing: hub.Issuing{
			Enabled: true, Validity: time.Hour + time.Nanosecond, Keys: []string{"ec-p256", "rsa-2048"},
			Issuer: []byte{1}, Root: []byte{2}, IssuerKey: []byte{3}, RootKey: []byte{4}, Former: [][]byte{{5}, {6, 7}},
		},
		Created: created,
	}
}

// dev names a device.
func dev(id string) hubward.Identity { return hubward.Identity{Device: id} }

// mod names a module.
func mod(device, id string) hubward.Identity { return hubward.Identity{Device: device, Module: id} }

// aDevice returns a device with every field set that a store keeps.
func aDevice(id string) *hub.Registration { return anIdentity(dev(id)) }

// anIdentity returns a device or module with every field set that a store keeps.
func anIdentity(id hubward.Identity) *hub.Registration {
	r := &hub.Registration{Device: hubward.Device{
		DeviceID:                   id.Device,
		GenerationID:               "636595531817773533",
		ETag:                       "MQ==",
		ConnectionState:            hubward.Disconnected,
		Status:                     hubward.StatusEnabled,
		StatusReason:               "so far \u00fcnbroken; 'quoted'",
		ConnectionStateUpdatedTime: hubward.Time{Time: aTime},
		StatusUpdatedTime:          hubward.Time{Time: aTime.Add(100 * time.Nanosecond)},
		LastActivityTime:           hubward.Time{Time: aTime.Add(200 * time.Nanosecond)},
		Authentication: &hubward.Authentication{
			SymmetricKey:   hubward.SymmetricKey{PrimaryKey: "cHJpbWFyeQ==", SecondaryKey: "c2Vjb25kYXJ5"},
			X509Thumbprint: hubward.X509Thumbprint{PrimaryThumbprint: "A1B2", SecondaryThumbprint: "c3d4"},
			Type:           hubward.AuthSAS,
		},
		Capabilities: hubward.Capabilities{IotEdge: true},
		DeviceScope:  "ms-azure-iot-edge://" + id.Device + "-1",
		ParentScopes: []string{"ms-azure-iot-edge://parent-1", "ms-azure-iot-edge://parent-2"},
	}}
	if id.Module != "" {
		r.ModuleID, r.ManagedBy = id.Module, "manager of "+id.Module
	}
	return r
}

// change makes of a stored identity, nil when there is none, what is to be stored, nil to delete it.
type change func(old *hub.Registration) (*hub.Registration, error)

// identityEdit is an edit that has nothing to tell.
func identityEdit(id hubward.Identity, c change) *hub.IdentityEdit {
	return &hub.IdentityEdit{ID: id, Edit: func(old *hub.Registration) (*hub.Registration, []hub.HubEvent, error) {
		next, err := c(old)
		return next, nil, err
	}}
}

// put is an edit that stores an identity with every field, whatever was there.
func put(id hubward.Identity) *hub.IdentityEdit {
	return identityEdit(id, func(*hub.Registration) (*hub.Registration, error) { return anIdentity(id), nil })
}

// remove is a change that deletes.
func remove(*hub.Registration) (*hub.Registration, error) { return nil, nil }

// mustEdit runs edits that have to succeed.
func mustEdit(t *testing.T, s hub.Store, hubName string, edits ...*hub.IdentityEdit) {
	t.Helper()
	if err := s.EditIdentities(t.Context(), hubName, edits); err != nil {
		t.Fatalf("EditIdentities: %v", err)
	}
	for _, e := range edits {
		if e.Err != nil {
			t.Fatalf("edit of %s: %v", e.ID, e.Err)
		}
	}
}

// edit runs one edit that has to succeed.
func edit(t *testing.T, s hub.Store, hubName string, id hubward.Identity, c change) {
	t.Helper()
	mustEdit(t, s, hubName, identityEdit(id, c))
}

// create stores r as new, in an existing hub.
func create(t *testing.T, s hub.Store, hubName string, r *hub.Registration) {
	t.Helper()
	edit(t, s, hubName, r.Identity(), func(old *hub.Registration) (*hub.Registration, error) {
		if old != nil {
			t.Errorf("%s exists before it is created", r.Identity())
		}
		return r, nil
	})
}

// saveHub stores a hub that has to be accepted, and returns it with its new version.
func saveHub(t *testing.T, s hub.Store, c hub.Config) hub.Config {
	t.Helper()
	if err := s.SaveHub(t.Context(), c); err != nil {
		t.Fatalf("SaveHub(%s): %v", c.Name, err)
	}
	c.Version++
	return c
}

// withHome makes the hub that a test works in, with devices.
func withHome(t *testing.T, s hub.Store, devices ...string) {
	t.Helper()
	saveHub(t, s, aHub(homeHub, aTime))
	for _, id := range devices {
		create(t, s, homeHub, aDevice(id))
	}
}

// identity reads an identity that has to be there.
func identity(t *testing.T, s hub.Store, hubName string, id hubward.Identity) *hub.Registration {
	t.Helper()
	r, err := s.Identity(t.Context(), hubName, id)
	if err != nil {
		t.Fatalf("Identity(%s, %s): %v", hubName, id, err)
	}
	return r
}

func device(t *testing.T, s hub.Store, hubName, id string) *hub.Registration {
	t.Helper()
	return identity(t, s, hubName, dev(id))
}

// wantNoIdentity checks that an identity is not there.
func wantNoIdentity(t *testing.T, s hub.Store, hubName string, id hubward.Identity) {
	t.Helper()
	r, err := s.Identity(t.Context(), hubName, id)
	wantNotFound(t, err, id)
	if r != nil {
		t.Errorf("Identity(%s, %s) = %v besides its error", hubName, id, r)
	}
}

// wantNotFound checks what an error tells of an identity that is not registered.
func wantNotFound(t *testing.T, err error, id hubward.Identity) {
	t.Helper()
	want := hubward.Error{Code: hubward.CodeDeviceNotFound, Identity: id, Message: "The device '" + id.Device + "' is not registered."}
	if id.Module != "" {
		want.Code, want.Message = hubward.CodeModuleNotFound, "The module '"+id.String()+"' is not registered."
	}
	var got *hubward.Error
	if !errors.As(err, &got) {
		t.Fatalf("error %v, want %v", err, &want)
	}
	if got.Code != want.Code || got.Identity != want.Identity || got.Message != want.Message {
		t.Errorf("error %v, want %v", got, &want)
	}
}

func wantNoDevice(t *testing.T, s hub.Store, hubName, id string) {
	t.Helper()
	wantNoIdentity(t, s, hubName, dev(id))
}

func wantCode(t *testing.T, err error, want hubward.Code) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %v", want)
	}
	if got := hubward.CodeOf(err); got != want {
		t.Fatalf("error %v, want %v", err, want)
	}
}

func wantEqual(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Prefix{}), wholeBytes); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// wholeBytes compares what is long at once: cmp looks at each byte.
var wholeBytes = cmp.FilterValues(func(a, b []byte) bool { return max(len(a), len(b)) > 1000 }, cmp.Comparer(bytes.Equal))
