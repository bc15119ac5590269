package cli_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/service"
)

// An export has the twins, with what the hub says of them, and brings tags and desired properties back.
func TestDeviceExport_twins(t *testing.T) {
	c := newClient(t)
	for _, id := range []string{"B", "a", "a-b", "b"} { // in the order of bytes
		c.hub.CreateDevice(id)
	}
	c.ok("twin", "update", "a", "--tags", `{"floor":1}`, "--desired", `{"x":1.50}`)
	c.ok("twin", "update", "b", "--tags", `{"floor":2}`)
	exported := c.ok("device", "export")
	var got []string
	for line := range strings.Lines(exported) {
		var row struct {
			DeviceID, TwinETag string
			Tags               json.RawMessage
			Properties         hubward.TwinProperties
		}
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		p := row.Properties
		got = append(got, fmt.Sprintf("%s %s %s %d %d", row.DeviceID, row.TwinETag, row.Tags, hubward.SectionVersion(p.Desired), hubward.SectionVersion(p.Reported)))
		if !strings.Contains(string(p.Desired), `"$metadata":{`) {
			t.Errorf("%s: %s", row.DeviceID, p.Desired)
		}
	}
	want := []string{
		`B AAAAAAAAAAE= {} 1 1`, `a AAAAAAAAAAI= {"floor":1} 2 1`, `a-b AAAAAAAAAAE= {} 1 1`, `b AAAAAAAAAAI= {"floor":2} 1 1`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	name := file(t, exported)
	c.ok("twin", "replace", "b", "--tags", `{"floor":3}`)
	c.ok("device", "delete", "a")
	c.ok("device", "import", name)
	c.wantTwin("a", `2 {"floor":1} {"x":1.50}`)
	c.wantTwin("b", `5 {"floor":2} {}`)
}

// A device that comes or goes while the lists of devices and twins are read is left out, and no other.
func TestDeviceExport_changesMeanwhile(t *testing.T) {
	for name, test := range map[string]struct{ devices, twins, want []string }{
		"one has come":      {[]string{"a", "b", "c"}, []string{"a", "c"}, []string{"a", "c"}},
		"one has gone":      {[]string{"a", "c"}, []string{"a", "b", "c"}, []string{"a", "c"}},
		"the last has come": {[]string{"a", "b"}, []string{"a"}, []string{"a"}},
		"the last has gone": {[]string{"a"}, []string{"a", "b"}, []string{"a"}},
		"all have gone":     {[]string{"a"}, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			list := func(ids []string) string {
				rows := make([]string, len(ids))
				for i, id := range ids {
					rows[i] = fmt.Sprintf(`{"deviceId":%q,"tags":{},"properties":{"desired":{},"reported":{}}}`, id)
				}
				return "[" + strings.Join(rows, ",") + "]"
			}
			c := newAnswering(t, func(r *http.Request) string {
				switch {
				case r.Method == http.MethodPost:
					return list(test.twins)
				case strings.HasPrefix(r.URL.Path, "/statistics"):
					return `{"totalDeviceCount":1}`
				}
				if strings.HasSuffix(r.URL.Path, "/modules") {
					return "[]"
				}
				return list(test.devices)
			})
			var got []string
			for line := range strings.Lines(c.ok("device", "export")) {
				got = append(got, fromJSON[hubward.Device](t, line).DeviceID)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDeviceExport_file(t *testing.T) {
	c := newClient(t)
	c.hub.CreateDevice("a")
	name := filepath.Join(t.TempDir(), "devices.jsonl")
	if out := c.ok("device", "export", name); out != "1 devices written to "+name+"\n" {
		t.Errorf("export prints %q", out)
	}
	text, err := os.ReadFile(name)
	if err != nil || string(text) != c.ok("device", "export", "-") {
		t.Errorf("%v: %s", err, text)
	}
	info, err := os.Stat(name)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v: it holds keys", info.Mode(), err)
	}
	c.env["HUBWARD_CONNECTION_STRING"] = loginOf(c.hub, "service")
	c.fails(1, "RegistryRead", "device", "export", name)
	if again, err := os.ReadFile(name); err != nil || string(again) != string(text) {
		t.Errorf("a failed export left %q, %v", again, err)
	}
	if names, err := filepath.Glob(filepath.Join(filepath.Dir(name), "*")); err != nil || len(names) != 1 {
		t.Errorf("the folder holds %v, %v", names, err)
	}
	c.fails(1, "no-such-folder", "device", "export", "no-such-folder/x")
}

// The lines of modules follow that of their device, and bring them back, with keys and twins; so do those of an Edge device's own.
func TestDeviceExport_modules(t *testing.T) {
	c := newClient(t)
	owner, err := service.NewFromConnectionString(loginOf(c.hub, "iothubowner"), &service.Options{RootCAs: c.hub.CA})
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close()
	if _, err := owner.CreateDevice(t.Context(), hubward.Device{DeviceID: "edge", Capabilities: hubward.Capabilities{IotEdge: true}}); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"a", "a-b", "b"} {
		c.hub.CreateDevice(id)
	}
	c.ok("module", "create", "a", "m", "--managed-by", "me")
	c.ok("module", "create", "b", "m")
	c.ok("module", "create", "b", "n")
	c.ok("module", "update", "edge", "$edgeHub", "--primary-key", wrongKey, "--secondary-key", wrongKey)
	c.ok("twin", "update", "a/m", "--tags", `{"floor":1}`, "--desired", `{"x":1.50}`)
	exported := c.ok("device", "export")
	var got []string
	for line := range strings.Lines(exported) {
		m := fromJSON[hubward.Module](t, line)
		got = append(got, hubward.Identity{Device: m.DeviceID, Module: m.ModuleID}.String())
	}
	if diff := cmp.Diff([]string{"a", "a/m", "a-b", "b", "b/m", "b/n", "edge", "edge/$edgeAgent", "edge/$edgeHub"}, got); diff != "" {
		t.Error(diff)
	}
	name := filepath.Join(t.TempDir(), "devices.jsonl")
	if out := c.ok("device", "export", name); out != "4 devices and 5 modules written to "+name+"\n" {
		t.Errorf("export prints %q", out)
	}
	want := c.ok("module", "show", "a", "m", "-o", "json")
	for _, mode := range []string{"createOrUpdate", "create"} {
		c.ok("device", "delete", "a", "b", "edge", "a-b")
		if out := c.ok("device", "import", name, "--mode", mode); out != "9 devices done, 0 failed\n" {
			t.Errorf("import prints %q", out)
		}
	}
	before, after := fromJSON[hubward.Module](t, want), fromJSON[hubward.Module](t, c.ok("module", "show", "a", "m", "-o", "json"))
	if diff := cmp.Diff(before.Authentication, after.Authentication); diff != "" || after.ManagedBy != "me" {
		t.Errorf("%+v: %s", after, diff)
	}
	if twin := fromJSON[hubward.Twin](t, c.ok("twin", "show", "a", "--module", "m", "-o", "json")); string(twin.Tags) != `{"floor":1}` {
		t.Errorf("tags %s", twin.Tags)
	}
	if m := fromJSON[hubward.Module](t, c.ok("module", "show", "edge", "$edgeHub", "-o", "json")); m.Authentication.SymmetricKey.PrimaryKey != wrongKey {
		t.Errorf("the Edge hub has %+v", m.Authentication)
	}
}

// A hub that lists the modules of one device at a time is asked for each.
func TestDeviceExport_modulesOfOneAtATime(t *testing.T) {
	c, hub := newScriptedClient(t)
	const twin = `200 {"tags":{},"properties":{"desired":{},"reported":{}}}`
	hub.answers["GET /statistics/devices"] = `200 {"totalDeviceCount":1}`
	hub.answers["GET /devices"] = `200 [{"deviceId":"a"},{"deviceId":"b"}]`
	hub.answers["POST /devices/query"] = `200 [{"deviceId":"a","tags":{}},{"deviceId":"b","tags":{}}]`
	hub.answers["GET /devices/b/modules"] = `200 [{"deviceId":"b","moduleId":"gone"},{"deviceId":"b","moduleId":"m"}]`
	hub.answers["GET /twins/b/modules/m"] = twin
	var got []string
	for line := range strings.Lines(c.ok("device", "export")) {
		m := fromJSON[hubward.Module](t, line)
		got = append(got, m.DeviceID+"/"+m.ModuleID)
	}
	if diff := cmp.Diff([]string{"a/", "b/", "b/m"}, got); diff != "" {
		t.Error(diff)
	}
}
