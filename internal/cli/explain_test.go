package cli_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/testhub"
	"github.com/hubward/hubward/sas"
)

const wrongKey = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

// withKey is a policy's login with another key.
func withKey(t *testing.T, login, key string) string {
	t.Helper()
	cs, err := sas.ParseConnectionString(login)
	if err != nil {
		t.Fatal(err)
	}
	cs.SharedAccessKey = key
	return cs.String()
}

// The hub says no more than Unauthorized. The command says which policy, which hub, why, and what to do.
func TestRefusedLogin_isExplained(t *testing.T) {
	c := newClient(t)
	owner := c.env["HUBWARD_CONNECTION_STRING"]
	host := hostOf(c.hub)
	ended, err := sas.Sign(c.hub.Host, strings.Split(owner, "SharedAccessKey=")[1], "iothubowner", time.Now().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	reader := loginOf(c.hub, "registryRead")
	for _, test := range []struct {
		login, args string
		want        []string
	}{
		{withKey(t, owner, wrongKey), "device list", []string{host + " does not accept the key of policy iothubowner", "regenerated", "connection-strings.env"}},
		{withKey(t, owner, wrongKey), "monitor", []string{host + " does not accept the key of policy iothubowner"}},
		{withKey(t, owner, wrongKey), "bench d2c --devices 1", []string{host + " does not accept the key of policy iothubowner"}},
		{strings.Replace(owner, "iothubowner", "nobody", 1), "feedback", []string{"does not accept the key of policy nobody"}},
		{"HostName=" + host + ";SharedAccessSignature=" + ended, "device list", []string{"the token of the login ended at ", "hubward policy sas-token"}},
		{reader, "device create d1", []string{"policy registryRead of hub " + testhub.Name + " may not do this, which takes RegistryWrite", "iothubowner"}},
		{reader, "c2d send d1 --body x", []string{"which takes ServiceConnect"}},
		{reader, "hub list", []string{"which takes all permissions, of the first hub"}},
		{reader, "policy list", []string{"which takes all permissions:"}},
		{loginOf(c.hub, "service"), "device list", []string{"policy service of hub " + testhub.Name + " may not do this, which takes RegistryRead"}},
	} {
		c.env["HUBWARD_CONNECTION_STRING"] = test.login
		for _, want := range test.want {
			c.fails(1, want, strings.Fields(test.args)...)
		}
	}
}

func TestErrors_sayWhatToDo(t *testing.T) {
	c := newClient(t)
	c.ok("device", "create", "d1")
	for line, want := range map[string]string{
		"device show none":           "hubward device list shows the devices",
		"device create d1":           "hubward device update changes it",
		"hub show none":              "hubward hub list shows the hubs",
		"policy delete none":         "hubward policy list shows the policies",
		"consumer-group delete none": "hubward consumer-group list shows them",
		"monitor --consumer-group x": "hubward consumer-group create makes one",
	} {
		c.fails(1, want, strings.Fields(line)...)
	}
	_, _, stderr := runLine(t, c.env, "device", "show", "none")
	if !strings.HasPrefix(stderr, "hubward: DeviceNotFound (none): ") {
		t.Errorf("it says %s", stderr)
	}
	c.env["HUBWARD_CONNECTION_STRING"] = "nonsense"
	c.fails(1, "the login (from HUBWARD_CONNECTION_STRING) cannot be used", "device", "list")
	c.fails(1, "the login (from --login) cannot be used", "device", "list", "--login", "HostName=h")
}

// closedAddress is one where nothing listens.
func closedAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// What cannot be reached is named as it was given.
func TestUnreachable_namesWhatWasDialled(t *testing.T) {
	c := newClient(t)
	c.ok("device", "create", "d1")
	nowhere := closedAddress(t)
	for args, want := range map[string]string{
		"simulate d1 --count 1 --mqtts " + nowhere:                                                                            "no connection to " + nowhere + " (dial tcp " + nowhere + ": connect: connection refused): nothing listens there: start the hub, or give its address with --mqtts",
		"simulate d1 --count 1 --protocol amqp --amqps " + nowhere:                                                            "or give its address with --amqps",
		"c2d receive d1 --protocol mqtt --mqtts " + nowhere:                                                                   "no connection to " + nowhere,
		"bench d2c --devices 1 --mqtts " + nowhere:                                                                            "no connection to " + nowhere,
		"simulate d1 --count 1 --mqtts " + c.hub.MQTT + " --login HostName=h.invalid;DeviceId=d1;SharedAccessKey=" + wrongKey: "--hostname",
	} {
		c.fails(1, want, strings.Fields(args)...)
		if _, _, stderr := runLine(t, c.env, strings.Fields(args)...); strings.Contains(stderr, "8883") {
			t.Errorf("%s: it blames another port: %s", args, stderr)
		}
	}
}

func TestDeviceLogin_isExplained(t *testing.T) {
	c := newClient(t)
	c.ok("device", "create", "d1", "--status", "disabled")
	c.fails(1, "device d1 is disabled", "simulate", "d1", "--mqtts", c.hub.MQTT)
	c.fails(1, "hubward device update d1 --status enabled", "c2d", "receive", "d1")
	c.ok("device", "update", "d1", "--status", "enabled")
	c.env["HUBWARD_CONNECTION_STRING"] = sas.ConnectionString{HostName: "localhost", DeviceID: "d1", SharedAccessKey: wrongKey}.String()
	c.fails(1, "device d1 cannot log in at "+c.hub.MQTT+" by mqtt: "+hubward.CodeUnauthorizedAccess.String(), "simulate", "d1", "--mqtts", c.hub.MQTT)
}
