package cli_test

import (
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward/internal/testhub"
)

// Directives of cobra that the tests expect: what else the shell may offer.
const (
	anyFile = ":0"
	noFile  = ":4"
	noSpace = ":6" // and no file
	aFolder = ":16"
)

// complete asks for what may stand in place of the last word of line, without descriptions.
func (c *client) complete(words ...string) (offers []string, directive string) {
	c.t.Helper()
	status, stdout, _ := runLine(c.t, c.env, append([]string{"__complete"}, words...)...)
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if status != 0 || !strings.HasPrefix(lines[len(lines)-1], ":") {
		c.t.Fatalf("%q: status %d, %s", words, status, stdout)
	}
	for _, line := range lines[:len(lines)-1] {
		offer, _, _ := strings.Cut(line, "\t")
		if strings.HasPrefix(offer, words[len(words)-1]) { // as shells do
			offers = append(offers, offer)
		}
	}
	return offers, lines[len(lines)-1]
}

func TestComplete_words(t *testing.T) {
	c := &client{t: t, env: map[string]string{}}
	for _, test := range []struct {
		line, want, directive string
	}{
		{"simulate d1 --protocol ", "mqtt mqtt-ws amqp amqp-ws https", noFile},
		{"c2d receive d1 --protocol amqp", "amqp amqp-ws", noFile},
		{"device list -o ", "table json", noFile},
		{"version --output j", "json", noFile},
		{"device import --mode c", "createOrUpdate create createOrUpdateIfMatchETag", noFile},
		{"policy regenerate service --key ", "primary secondary", noFile},
		{"device update d1 --regenerate-key s", "secondary", noFile},
		{"device create d1 --status ", "enabled disabled", noFile},
		{"c2d send d1 --ack ", "none positive negative full", noFile},
		{"monitor --from e", "earliest", noFile},
		{"twin watch d1 --from l", "latest", noFile},
		{"twin update d1 --tags ", "", noFile},
		{"twin ", "replace show update watch", noFile},
		{"method invoke d1 ", "", noFile}, // the device knows its methods, the hub does not
		{"bench d2c --qos ", "0 1", noFile},
		{"serve --log-format ", "text json", noFile},
		{"serve --log-level w", "warn", noFile},
		{"serve --tls-key-type ", "ecdsa rsa", noFile},
		{"policy create p --permissions S", "ServiceConnect", noSpace},
		{"policy create p --permissions ServiceConnect,Registry", "ServiceConnect,RegistryRead ServiceConnect,RegistryWrite", noSpace},
		{"completion ", "bash zsh fish powershell", noFile},
		{"help device c", "connection-string create", noFile},
		{"help nothing ", "", noFile},
		{"device list --ca ", "", anyFile},
		{"serve --tls-certificate ", "", anyFile},
		{"serve --config ", "", anyFile},
		{"device import ", "", anyFile},
		{"serve --data ", "", aFolder},
		{"backup ", "", aFolder},
		{"restore ", "", aFolder},
		{"check ", "", aFolder},
		{"serve --hub ", "", noFile}, // it is made, not looked up
		{"serve --retention ", "", noFile},
		{"monitor --count ", "", noFile},
		{"device list ", "", noFile},
		{"hub create ", "", noFile},
		{"dev", "device", noFile},
		{"monitor --consumer", "--consumer-group", noFile},
	} {
		offers, directive := c.complete(strings.Split(test.line, " ")...)
		if got := strings.Join(offers, " "); got != test.want || directive != test.directive {
			t.Errorf("%q: %q, %s; want %q, %s", test.line, got, directive, test.want, test.directive)
		}
	}
}

func TestComplete_namesOfTheHub(t *testing.T) {
	c := newClient(t)
	c.env["HUBWARD_COMPLETION_TIMEOUT"] = "1m" // the machine may be busy
	c.ok("hub", "create", "two")
	c.ok("consumer-group", "create", "dashboards")
	c.ok("consumer-group", "create", "others", "--hub", "two")
	c.ok("policy", "create", "special", "--permissions", "RegistryRead", "--hub", "two")
	for _, id := range []string{"pump-1", "pump-2", "valve"} {
		c.ok("device", "create", id)
	}
	policies := "iothubowner service device registryRead registryReadWrite"
	for line, want := range map[string]string{
		"simulate pu":                        "pump-1 pump-2",
		"device show ":                       "pump-1 pump-2 valve",
		"device show valve ":                 "", // it takes one
		"device delete pump-1 p":             "pump-2",
		"device create ":                     "",
		"c2d purge v":                        "valve",
		"c2d receive v":                      "valve",
		"twin show v":                        "valve",
		"twin update pump-1 ":                "", // it takes one
		"method invoke p":                    "pump-1 pump-2",
		"monitor --device p":                 "pump-1 pump-2",
		"monitor --consumer-group ":          "$Default dashboards",
		"consumer-group delete d":            "dashboards",
		"consumer-group delete --hub two ":   "$Default others",
		"hub show ":                          testhub.Name + " two",
		"hub delete tw":                      "two",
		"policy list --hub tw":               "two",
		"policy delete ":                     policies,
		"policy delete --hub two s":          "service special",
		"hub connection-string --policy ":    policies,
		"hub connection-string two --policy": "--policy",
	} {
		offers, directive := c.complete(strings.Split(line, " ")...)
		slices.Sort(offers)
		wanted := strings.Fields(want)
		slices.Sort(wanted)
		if diff := cmp.Diff(wanted, offers); len(wanted)+len(offers) > 0 && diff != "" || directive != noFile {
			t.Errorf("%q: %s (-want +got):\n%s", line, directive, diff)
		}
	}
	offers, _ := c.complete("hub", "connection-string", "two", "--policy", "sp")
	if !slices.Equal(offers, []string{"special"}) {
		t.Errorf("policies of another hub: %q", offers)
	}
}

// Who presses the tab key has called no command that could fail.
func TestComplete_isSilentWithoutAHub(t *testing.T) {
	t.Chdir(t.TempDir())
	silent, err := net.Listen("tcp", "127.0.0.1:0") // it accepts, and never says a word
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for name, login := range map[string]string{
		"no login":         "",
		"no good one":      "nonsense",
		"nobody there":     "HostName=" + closedAddress(t) + ";SharedAccessKeyName=p;SharedAccessKey=" + wrongKey,
		"no answer":        "HostName=" + silent.Addr().String() + ";SharedAccessKeyName=p;SharedAccessKey=" + wrongKey,
		"a device's login": "HostName=h;DeviceId=d;SharedAccessKey=" + wrongKey,
	} { // the test's own deadline tells when one of them waits for ever
		c := &client{t: t, env: map[string]string{"HUBWARD_CONNECTION_STRING": login, "HUBWARD_COMPLETION_TIMEOUT": "50ms"}}
		if offers, directive := c.complete("device", "show", ""); len(offers) > 0 || directive != noFile {
			t.Errorf("%s: %q, %s", name, offers, directive)
		}
	}
	refused := newClient(t)
	refused.env["HUBWARD_CONNECTION_STRING"] = withKey(t, refused.env["HUBWARD_CONNECTION_STRING"], wrongKey)
	if offers, _ := refused.complete("device", "show", ""); len(offers) > 0 {
		t.Errorf("a wrong key: %q", offers)
	}
}

func TestCompletion_saysWhatShellsNeed(t *testing.T) {
	_, help, _ := runLine(t, nil, "completion", "--help")
	for _, want := range []string{"bash-completion", "source <(hubward completion bash)", "compinit", ".config/fish/completions", "Invoke-Expression"} {
		if !strings.Contains(help, want) {
			t.Errorf("the help page lacks %q", want)
		}
	}
}
