//go:build interop

package interop_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
)

// callWithin bounds one REST call of the tests themselves.
const callWithin = 20 * time.Second

func TestRegistry(t *testing.T) {
	eachSDK(t, func(t *testing.T, s sdk) {
		s.run(t, "registry", map[string]string{
			"HUB_CONNECTION_STRING": connectionString(t, "HUBWARD_CONNECTION_STRING"),
			"RUN_ID":                s.name + "-registry",
		})
	})
}

// The life of modules, as the back ends of two families see it.
func TestRegistry_modules(t *testing.T) {
	for _, family := range []string{"node", "python"} {
		t.Run(family, func(t *testing.T) {
			familyByName(family).run(t, "modules", map[string]string{
				"HUB_CONNECTION_STRING": connectionString(t, "HUBWARD_CONNECTION_STRING"),
				"RUN_ID":                family + "-modules",
			})
		})
	}
}

func TestRegistry_refuses(t *testing.T) {
	want := map[string][]string{
		"node": {
			"refused expired-token UnauthorizedError", "refused unknown-host UnauthorizedError",
			"refused unknown-policy UnauthorizedError", "refused wrong-key UnauthorizedError",
		},
		"python": {"refused unknown-host 401", "refused unknown-policy 401", "refused wrong-key 401"},
		"java":   {"refused unknown-policy IotHubUnauthorizedException", "refused wrong-key IotHubUnauthorizedException"},
	}
	eachSDK(t, func(t *testing.T, s sdk) {
		lines := s.run(t, "registry_refused", map[string]string{
			"HUB_CONNECTION_STRING": connectionString(t, "HUBWARD_CONNECTION_STRING"),
		})
		if diff := cmp.Diff(want[s.name], only(lines, "refused ")); diff != "" {
			t.Errorf("refusals (-want +got):\n%s", diff)
		}
	})
}

// The policy "service" may use the hub but not change its registry; the SDKs' errors for it are those of a wrong key.
func TestRegistry_refusesPolicyWithoutRight(t *testing.T) {
	eachSDK(t, func(t *testing.T, s sdk) {
		c := s.start(t, "registry", map[string]string{
			"HUB_CONNECTION_STRING": connectionString(t, "HUBWARD_SERVICE_CONNECTION_STRING"),
			"RUN_ID":                s.name + "-no-right",
		})
		for range c.lines { // nothing of it is expected to work
		}
		if err := c.cmd.Wait(); err == nil {
			t.Fatal("the registry was changed with a policy that may not")
		}
		if out := c.stderr.String(); !strings.Contains(out, "Unauthorized") {
			t.Errorf("the SDK's error does not say Unauthorized:\n%s", out)
		}
	})
}

// only returns the lines that begin with prefix, sorted.
func only(lines []string, prefix string) []string {
	var found []string
	for _, line := range lines {
		if strings.HasPrefix(line, prefix) {
			found = append(found, line)
		}
	}
	slices.Sort(found)
	return found
}

// connectionString returns one that serve left for scripts.
func connectionString(t *testing.T, name string) string {
	t.Helper()
	text, err := hub.ConnectionString(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// createDevice registers a device that is removed when the test ends, and returns it with its connection string.
func createDevice(t *testing.T, id string) (*hubward.Device, string) {
	t.Helper()
	made := putDevice(t, &hubward.Device{DeviceID: id, Status: hubward.StatusEnabled}, "")
	t.Cleanup(func() {
		if err := deleteDevice(id); err != nil && !strings.Contains(err.Error(), "DeviceNotFound") {
			t.Error(err)
		}
	})
	return made, deviceString("localhost", id, string(made.Authentication.SymmetricKey.PrimaryKey))
}

func deviceString(host, id, key string) string {
	return "HostName=" + host + ";DeviceId=" + id + ";SharedAccessKey=" + key
}

// putDevice creates a device, or changes it when ifMatch is "*".
func putDevice(t *testing.T, d *hubward.Device, ifMatch string) *hubward.Device {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), callWithin)
	defer cancel()
	var answer hubward.Device
	if err := hub.Do(ctx, http.MethodPut, "/devices/"+d.DeviceID, d, ifMatch, &answer); err != nil {
		t.Fatal(err)
	}
	return &answer
}

func deleteDevice(id string) error {
	ctx, cancel := context.WithTimeout(context.Background(), callWithin)
	defer cancel()
	return hub.Do(ctx, http.MethodDelete, "/devices/"+id, nil, "*", nil)
}
