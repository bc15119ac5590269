package service_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/testhub"
	"github.com/hubward/hubward/service"
)

// newHubClient returns a client of a real hub.
func newHubClient(t *testing.T, h *testhub.Hub, policy string) *service.Client {
	t.Helper()
	login := strings.Replace(h.ConnectionString(policy), "HostName="+h.Host, "HostName="+strings.TrimPrefix(h.HTTPS, "https://"), 1)
	c, err := service.NewFromConnectionString(login, &service.Options{RootCAs: h.CA})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestRegistry_againstAHub(t *testing.T) {
	ctx := t.Context()
	c := newHubClient(t, testhub.Start(t), "registryReadWrite")
	key := hubward.NullString(base64.StdEncoding.EncodeToString(make([]byte, 32)))
	made, err := c.CreateDevice(ctx, hubward.Device{
		DeviceID: "d#1%?", StatusReason: "new",
		Authentication: &hubward.Authentication{SymmetricKey: hubward.SymmetricKey{PrimaryKey: key, SecondaryKey: key}},
	})
	if err != nil || made.Authentication.SymmetricKey.PrimaryKey != key || made.Status != hubward.StatusEnabled {
		t.Fatalf("%+v, %v", made, err)
	}
	if _, err := c.CreateDevice(ctx, *made); hubward.CodeOf(err) != hubward.CodeDeviceAlreadyExists {
		t.Errorf("error %v", err)
	}
	got, err := c.Device(ctx, made.DeviceID)
	if err != nil || cmp.Diff(made, got) != "" {
		t.Errorf("%v: %s", err, cmp.Diff(made, got))
	}
	got.Status = hubward.StatusDisabled
	updated, err := c.UpdateDevice(ctx, *got)
	if err != nil || updated.Status != hubward.StatusDisabled || updated.Authentication.SymmetricKey.PrimaryKey != key {
		t.Fatalf("%+v, %v", updated, err)
	}
	if _, err := c.UpdateDevice(ctx, *made); hubward.CodeOf(err) != hubward.CodePreconditionFailed {
		t.Errorf("a stale etag: %v", err)
	}
	rotated, failed, err := c.RegenerateDeviceKeys(ctx, service.SecondaryKey, made.DeviceID, "none")
	if err != nil || len(rotated) != 1 || rotated[0].PrimaryKey != string(key) || rotated[0].SecondaryKey == string(key) ||
		len(failed) != 1 || hubward.CodeOf(failed[0].Err()) != hubward.CodeDeviceNotFound {
		t.Errorf("%+v, %+v, %v", rotated, failed, err)
	}
	result, err := c.BulkDevices(ctx, []service.BulkItem{{Device: hubward.Device{DeviceID: "d2"}}, {Device: *made, Mode: service.Create}})
	if err != nil || result.IsSuccessful || len(result.Errors) != 1 || result.Errors[0].DeviceID != made.DeviceID {
		t.Errorf("%+v, %v", result, err)
	}
	stats, err := c.RegistryStatistics(ctx)
	if want := (hubward.RegistryStatistics{TotalDeviceCount: 2, EnabledDeviceCount: 1, DisabledDeviceCount: 1}); err != nil || stats != want {
		t.Errorf("%+v, %v", stats, err)
	}
	if err := c.DeleteDevice(ctx, made.DeviceID, service.AnyETag); err != nil {
		t.Error(err)
	}
	if devices, err := c.Devices(ctx, 5); err != nil || len(devices) != 1 || devices[0].DeviceID != "d2" {
		t.Errorf("%+v, %v", devices, err)
	}
	if _, err := c.ServiceStatistics(ctx); hubward.CodeOf(err) != hubward.CodeUnauthorizedAccess {
		t.Errorf("error %v", err)
	}
}

func TestHubsAndPolicies_againstAHub(t *testing.T) {
	ctx := t.Context()
	c := newHubClient(t, testhub.Start(t), "iothubowner")
	if _, err := c.CreateHub(ctx, service.NewHub{Name: "two", Partitions: 1, Retention: 48 * time.Hour}); err != nil {
		t.Fatal(err)
	}
	hub, err := c.Hub(ctx, "two")
	if err != nil || hub.Partitions != 1 || hub.Retention != service.Duration(48*time.Hour) {
		t.Errorf("%+v, %v", hub, err)
	}
	hub, err = c.UpdateHub(ctx, "two", service.HubChange{HostNames: []string{"two.example"}})
	if err != nil || len(hub.HostNames) != 1 || hub.Retention != service.Duration(48*time.Hour) {
		t.Errorf("%+v, %v", hub, err)
	}
	hub, err = c.UpdateHub(ctx, "two", service.HubChange{HostNames: []string{}, Retention: time.Hour})
	if err != nil || len(hub.HostNames) != 0 || hub.Retention != service.Duration(time.Hour) {
		t.Errorf("%+v, %v", hub, err)
	}
	if _, err := c.UpdateHub(ctx, "none", service.HubChange{}); hubward.CodeOf(err) != hubward.CodeNoSuchHub {
		t.Errorf("UpdateHub of no hub: %v", err)
	}
	if hubs, err := c.Hubs(ctx); err != nil || len(hubs) != 2 {
		t.Errorf("%+v, %v", hubs, err)
	}
	if this, err := c.ThisHub(ctx); err != nil || this.Name != testhub.Name || this.Partitions != 4 {
		t.Errorf("%+v, %v", this, err)
	}
	policy, err := c.CreatePolicy(ctx, "two", "reader", service.ServiceConnect)
	if err != nil || policy.PrimaryKey == "" {
		t.Fatalf("%+v, %v", policy, err)
	}
	renewed, err := c.RegeneratePolicyKey(ctx, "two", "reader", false)
	if err != nil || renewed.SecondaryKey == policy.SecondaryKey || renewed.PrimaryKey != policy.PrimaryKey {
		t.Errorf("%+v, %v", renewed, err)
	}
	if err := c.DeletePolicy(ctx, "two", "reader"); err != nil {
		t.Error(err)
	}
	if policies, err := c.Policies(ctx, "two"); err != nil || len(policies) != 5 {
		t.Errorf("%+v, %v", policies, err)
	}
	if err := c.DeleteHub(ctx, "two"); err != nil {
		t.Error(err)
	}
	if _, err := c.Policies(ctx, "two"); hubward.CodeOf(err) != hubward.CodeNoSuchHub {
		t.Errorf("error %v", err)
	}
}

// A refused log-in may be the clock's fault: the hub answers with its own.
func TestClient_refusedLogInNamesTheClock(t *testing.T) {
	h := testhub.Start(t)
	login := strings.Replace(h.ConnectionString("service"), "HostName="+h.Host, "HostName="+strings.TrimPrefix(h.HTTPS, "https://"), 1)
	for _, off := range []time.Duration{-3 * time.Hour, -time.Minute} {
		c, err := service.NewFromConnectionString(login, &service.Options{
			RootCAs: h.CA, TokenTTL: time.Minute, Now: func() time.Time { return time.Now().Add(off) },
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.ThisHub(t.Context())
		if got := err != nil && strings.Contains(err.Error(), "the clock here says "); got != (off < -time.Hour) {
			t.Errorf("a clock that is off by %v: %v", off, err)
		}
	}
}
