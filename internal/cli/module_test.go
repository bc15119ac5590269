package cli_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/sas"
)

func TestModule_lifeCycle(t *testing.T) {
	c := newClient(t)
	c.hub.CreateDevice("d1")
	if out := c.ok("module", "create", "d1", "m1", "--managed-by", "a\x1b[2Jb"); !strings.Contains(out, "primary key:") || strings.Contains(out, "\x1b") {
		t.Errorf("create prints\n%q", out)
	}
	m1 := fromJSON[hubward.Module](t, c.ok("module", "show", "d1", "m1", "-o", "json"))
	key := string(m1.Authentication.SymmetricKey.PrimaryKey)
	c.ok("module", "create", "d1", "m2", "--primary-key", key, "--secondary-key", key)
	if out := c.ok("module", "list", "d1"); strings.Contains(out, "\x1b") || strings.Count(out, "\n") != 3 || !strings.HasPrefix(out, "MODULE ") {
		t.Errorf("list prints\n%q", out)
	}
	if out := c.ok("module", "list", "d1", "-o", "json"); strings.Count(out, "\n") != 2 || fromJSON[hubward.Module](t, out[:strings.Index(out, "\n")+1]).ModuleID != "m1" {
		t.Errorf("list prints\n%s", out)
	}
	m2 := fromJSON[hubward.Module](t, c.ok("module", "update", "d1", "m2", "--managed-by", "you", "--regenerate-key", "secondary", "-o", "json"))
	if keys := m2.Authentication.SymmetricKey; m2.ManagedBy != "you" || string(keys.PrimaryKey) != key || string(keys.SecondaryKey) == key {
		t.Errorf("update gives %+v", m2)
	}
	if m := fromJSON[hubward.Module](t, c.ok("module", "update", "d1", "m2", "--managed-by", "", "-o", "json")); m.ManagedBy != "" {
		t.Errorf("update gives %+v", m)
	}
	c.fails(1, "ModuleAlreadyExistsOnDevice", "module", "create", "d1", "m1")
	c.fails(1, "DeviceNotFound", "module", "create", "none", "m1")
	c.fails(1, "ModuleNotFound", "module", "delete", "d1", "none", "m1")
	c.fails(1, "ModuleNotFound", "module", "show", "d1", "m1") // deleted although another one failed
	c.fails(1, "DeviceNotFound", "module", "list", "none")
	if out := c.ok("module", "delete", "d1", "m2"); out != "deleted module m2\n" {
		t.Errorf("delete prints %q", out)
	}
}

func TestModule_wrongUsage(t *testing.T) {
	c := newClient(t)
	for _, args := range [][]string{
		{"module", "create", "a"}, {"module", "create", "a", "b", "c"}, {"module", "create", "a", "b", "--primary-key", "x"}, {"module", "list"},
		{"module", "update", "a", "b"}, {"module", "update", "a", "b", "--regenerate-key", "third"}, {"module", "delete", "a"},
		{"module", "sas-token", "a", "b", "--ttl", "-1h"}, {"module", "show", "a", ""}, {"module", "frobnicate"},
	} {
		c.fails(2, "usage: hubward module", args...)
	}
}

func TestModule_connectionStringAndToken(t *testing.T) {
	c := newClient(t)
	c.hub.CreateDevice("d1")
	m := fromJSON[hubward.Module](t, c.ok("module", "create", "d1", "m#1", "-o", "json"))
	text := strings.TrimSpace(c.ok("module", "connection-string", "d1", "m#1", "--key", "secondary"))
	want := sas.ConnectionString{HostName: "localhost", DeviceID: "d1", ModuleID: "m#1", SharedAccessKey: string(m.Authentication.SymmetricKey.SecondaryKey)}
	if text != want.String() {
		t.Errorf("got %s, want %s", text, want)
	}
	out := c.ok("module", "sas-token", "d1", "m#1", "--ttl", "10m", "-o", "json")
	token, err := sas.Parse(fromJSON[map[string]string](t, out)["sasToken"])
	if err != nil || !token.VerifyKey(string(m.Authentication.SymmetricKey.PrimaryKey)) || !token.Covers("devices", "d1", "modules", "m#1") ||
		token.Covers("devices", "d1") || time.Until(token.Expiry) > 10*time.Minute {
		t.Errorf("token %+v, %v", token, err)
	}
}

// DEVICE/MODULE stands for a module wherever --module does.
func TestModule_inOneArgument(t *testing.T) {
	c := newClient(t)
	c.hub.CreateDevice("d1")
	c.ok("module", "create", "d1", "m1")
	c.ok("twin", "update", "d1/m1", "--tags", `{"floor":1}`)
	if twin := fromJSON[hubward.Twin](t, c.ok("twin", "show", "d1", "--module", "m1", "-o", "json")); twin.ModuleID != "m1" || string(twin.Tags) != `{"floor":1}` {
		t.Errorf("twin %+v", twin)
	}
	c.fails(1, "DeviceNotOnline", "method", "invoke", "d1/m1", "reboot", "--connect-timeout", "0s")
	c.fails(2, "DEVICE/MODULE", "twin", "show", "d1/m1", "--module", "m2")
	c.fails(2, "DEVICE/MODULE", "twin", "show", "d1/")
}
