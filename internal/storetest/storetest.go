// Package storetest holds the contract of hub.Store as tests that every implementation passes. A store that survives
// its process passes RunReopen too.
//
// The contract is what internal/hub/ports.go says, and this, which follows from "with every row that belongs to it":
// a write to a hub that does not exist fails with CodeHubNotFound, a session of an identity that does not exist with
// CodeDeviceNotFound or CodeModuleNotFound. Times are kept to 100 ns, an empty list is as good as none, and
// CloudToDeviceMessageCount is the store's to count: what an edit says of it is ignored.
package storetest

import (
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
		{"Hubs", hubTests}, {"Devices", deviceTests}, {"EditDevices", editTests},
		{"RecordActivity", activityTests}, {"Sessions", sessionTests},
		{"EditQueues", queueTests}, {"Feedback", feedbackTests}, {"Whole", wholeTests},
	}
	for _, g := range groups {
		for _, test := range g.tests {
			t.Run(g.name+"_"+test.name, func(t *testing.T) { test.run(t, open(t)) })
		}
	}
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
			{Name: "service", Rights: access.ServiceConnect, PrimaryKey: "c2VydmljZS1vbmU=", SecondaryKey: "c2VydmljZS10d28="},
			{Name: "all", Rights: access.AllRights, PrimaryKey: "YWxsLW9uZQ==", SecondaryKey: "YWxsLXR3bw=="},
		},
		ConsumerGroups: []string{"$Default", "dashboards"},
		C2D: hub.C2DSettings{
			DefaultTTL: time.Minute + time.Nanosecond, MaxDeliveryCount: 3,
			FeedbackTTL: time.Hour, FeedbackLock: 5 * time.Second, FeedbackMaxDeliveryCount: 100,
		},
		Created: created,
	}
}

// aDevice returns an identity with every field set that a store keeps.
func aDevice(id string) *hubward.Device {
	return &hubward.Device{
		DeviceID:                   id,
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
		DeviceScope:  "ms-azure-iot-edge://" + id + "-1",
		ParentScopes: []string{"ms-azure-iot-edge://parent-1", "ms-azure-iot-edge://parent-2"},
	}
}

// create stores d as new, in an existing hub.
func create(t *testing.T, s hub.Store, hubName string, d *hubward.Device) {
	t.Helper()
	edit(t, s, hubName, d.DeviceID, func(old *hubward.Device) (*hubward.Device, error) {
		if old != nil {
			t.Errorf("%s exists before it is created", d.DeviceID)
		}
		return d, nil
	})
}

// edit runs one edit that has to succeed.
func edit(t *testing.T, s hub.Store, hubName, id string, change func(*hubward.Device) (*hubward.Device, error)) {
	t.Helper()
	e := &hub.DeviceEdit{ID: id, Edit: change}
	if err := s.EditDevices(t.Context(), hubName, []*hub.DeviceEdit{e}); err != nil {
		t.Fatalf("EditDevices: %v", err)
	}
	if e.Err != nil {
		t.Fatalf("edit of %s: %v", id, e.Err)
	}
}

// remove is an edit that deletes.
func remove(*hubward.Device) (*hubward.Device, error) { return nil, nil }

// saveHub stores a hub that has to be accepted.
func saveHub(t *testing.T, s hub.Store, c hub.Config) {
	t.Helper()
	if err := s.SaveHub(t.Context(), c); err != nil {
		t.Fatalf("SaveHub(%s): %v", c.Name, err)
	}
}

// withHome prepares the hub that a test works in.
func withHome(t *testing.T, s hub.Store) {
	t.Helper()
	saveHub(t, s, aHub(homeHub, aTime))
}

// device reads an identity that has to be there.
func device(t *testing.T, s hub.Store, hubName, id string) *hubward.Device {
	t.Helper()
	d, err := s.Device(t.Context(), hubName, id)
	if err != nil {
		t.Fatalf("Device(%s, %s): %v", hubName, id, err)
	}
	return d
}

// wantNoDevice checks that an identity is not there.
func wantNoDevice(t *testing.T, s hub.Store, hubName, id string) {
	t.Helper()
	d, err := s.Device(t.Context(), hubName, id)
	wantCode(t, err, hubward.CodeDeviceNotFound)
	if d != nil {
		t.Errorf("Device(%s, %s) = %v besides its error", hubName, id, d)
	}
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
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
