package cli_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hubward/hubward/internal/testhub"
	"github.com/hubward/hubward/sas"
)

// Durations read as they do for serve.
func TestHub_retentionInDays(t *testing.T) {
	c := newClient(t)
	type hubJSON struct{ Retention string }
	if h := fromJSON[hubJSON](t, c.ok("hub", "create", "two", "--retention", "7d", "-o", "json")); h.Retention != "168h0m0s" {
		t.Errorf("create gives %+v", h)
	}
	if h := fromJSON[hubJSON](t, c.ok("hub", "update", "two", "--retention", "2d", "-o", "json")); h.Retention != "48h0m0s" {
		t.Errorf("update gives %+v", h)
	}
	for _, bad := range []string{"1.5d", "soon", "0d", "-7d"} {
		c.fails(2, "--retention", "hub", "create", "three", "--retention="+bad)
	}
	c.fails(1, "retention", "hub", "update", "two", "--retention", "1s")
}

// A second hub is found by the name that it has without further ado, whatever the system's resolver knows.
func TestHub_secondHubBelowLocalhost(t *testing.T) {
	c := newClient(t)
	c.ok("hub", "create", "two")
	login := strings.TrimSpace(c.ok("hub", "connection-string", "two"))
	if !strings.HasPrefix(login, "HostName=two.localhost:") {
		t.Fatalf("the connection string is for another host: %.40s", login)
	}
	second := newClientOf(c, login)
	var said string
	for range 50 { // the certificate follows within moments
		var status int
		if status, _, said = runLine(t, second.env, "device", "create", "d1"); status == 0 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if list := second.ok("device", "list"); !strings.Contains(list, "d1") {
		t.Errorf("list prints\n%s%s", list, said)
	}
	port := c.hub.MQTT[strings.LastIndex(c.hub.MQTT, ":"):]
	second.ok("simulate", "d1", "--count", "1", "--mqtts", "two.localhost"+port)
	second.ok("simulate", "d1", "--count", "1", "--protocol", "https")
}

// newClientOf is c with another login.
func newClientOf(c *client, login string) *client {
	return &client{t: c.t, hub: c.hub, env: map[string]string{"HUBWARD_CONNECTION_STRING": login, "HUBWARD_CA": c.hub.CAFile}}
}

func TestHub_update(t *testing.T) {
	c := newClient(t)
	c.ok("hub", "create", "two", "--hostname", "two.example", "--partitions", "2")
	type hubJSON struct {
		HostNames []string
		Retention string
	}
	h := fromJSON[hubJSON](t, c.ok("hub", "update", "two", "--hostname", "deux.example", "--hostname", "zwei.example", "-o", "json"))
	if !slices.Equal(h.HostNames, []string{"deux.example", "zwei.example"}) || h.Retention != "24h0m0s" {
		t.Errorf("new host names give %+v", h)
	}
	h = fromJSON[hubJSON](t, c.ok("hub", "update", "two", "--retention", "36h", "-o", "json"))
	if len(h.HostNames) != 2 || h.Retention != "36h0m0s" {
		t.Errorf("a new retention gives %+v", h)
	}
	if out := c.ok("hub", "update", "two", "--hostname", "two.example"); !strings.Contains(out, "two.example") || strings.Contains(out, "deux") {
		t.Errorf("update prints\n%s", out)
	}
	c.fails(1, "HubNotFound", "hub", "update", "none", "--retention", "36h")
	c.fails(1, "ArgumentInvalid", "hub", "update", "two", "--hostname", "localhost") // the first hub's
	c.fails(2, "at least one flag", "hub", "update", "two")
	c.fails(2, "usage: hubward hub update", "hub", "update")
}

func TestPolicy_sasToken(t *testing.T) {
	c := newClient(t)
	// What is printed is good for a login.
	token := strings.TrimSpace(c.ok("policy", "sas-token", "registryRead", "--key", "secondary", "--ttl", "2d"))
	parsed, err := sas.Parse(token)
	if err != nil || parsed.Policy != "registryRead" || parsed.Host() != c.hub.Host || len(parsed.Segment) != 1 {
		t.Fatalf("%+v, %v", parsed, err)
	}
	if left := time.Until(parsed.Expiry); left > 48*time.Hour || left < 47*time.Hour {
		t.Errorf("the token is good for %s", left)
	}
	owner := c.env["HUBWARD_CONNECTION_STRING"]
	c.env["HUBWARD_CONNECTION_STRING"] = "HostName=" + hostOf(c.hub) + ";SharedAccessSignature=" + token
	c.ok("device", "list")
	c.fails(1, "IotHubUnauthorizedAccess", "device", "create", "d1")

	c.env["HUBWARD_CONNECTION_STRING"] = owner
	c.ok("hub", "create", "two", "--hostname", "two.example")
	out := c.ok("policy", "sas-token", "service", "--hub", "two", "-o", "json")
	parsed, err = sas.Parse(fromJSON[map[string]string](t, out)["sasToken"])
	if err != nil || parsed.Host() != "two.example" || time.Until(parsed.Expiry) > time.Hour {
		t.Errorf("%+v, %v", parsed, err)
	}
	c.fails(1, "hub "+testhub.Name+" has no policy", "policy", "sas-token", "none")
	c.fails(2, "usage: hubward policy sas-token", "policy", "sas-token")
	c.fails(2, "--ttl", "policy", "sas-token", "service", "--ttl", "0s")
	c.fails(2, "--key", "policy", "sas-token", "service", "--key", "third")
}

func TestHub_switches(t *testing.T) {
	c := newClient(t)
	c.ok("device", "create", "d1")
	name := testhub.Name
	c.ok("simulate", "d1", "--count", "1", "--protocol", "https")
	out := c.ok("hub", "update", name, "--disable-device-sas", "on", "--min-tls", "1.3", "--allow", "127.0.0.0/8,::1", "--allow-events")
	for _, want := range []string{"keys of devices", "turned off", "1.3", "127.0.0.0/8, ::1/128"} {
		if !strings.Contains(out, want) {
			t.Errorf("update prints no %q:\n%s", want, out)
		}
	}
	c.fails(1, "", "simulate", "d1", "--count", "1", "--protocol", "https")
	// The operator is not locked out, whatever the rules say.
	c.ok("hub", "update", name, "--disable-local-auth", "on", "--allow", "192.0.2.0/24")
	c.fails(1, "IotHubUnauthorizedAccess", "device", "list")
	if out := c.ok("hub", "show", name); !strings.Contains(out, "keys of policies") || !strings.Contains(out, "readers of events from everywhere") {
		t.Errorf("show prints\n%s", out)
	}
	out = c.ok("hub", "update", name, "--disable-local-auth", "off", "--disable-device-sas", "off", "--min-tls", "none", "--allow", "all")
	if strings.Contains(out, "turned off") || strings.Contains(out, "peers come from") || strings.Contains(out, "TLS") {
		t.Errorf("update prints\n%s", out)
	}
	c.ok("simulate", "d1", "--count", "1", "--protocol", "https")
	c.fails(1, "ipRules[1].ipMask", "hub", "update", name, "--allow", "10.0.0.0/8,10.0.0.1/8")
	c.fails(2, "--disable-module-sas", "hub", "update", name, "--disable-module-sas", "yes")
	c.fails(2, "--min-tls", "hub", "update", name, "--min-tls", "1.1")
	c.fails(2, "--allow-events needs --allow", "hub", "update", name, "--allow-events")
}
