package restfront_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hubward/hubward"
)

func rulesBody(n int) string {
	var rules []string
	for i := range n {
		rules = append(rules, fmt.Sprintf(`{"filterName":"r","action":"Allow","ipMask":"192.0.2.%d"}`, i))
	}
	return `{"networkRuleSets":{"ipRules":[` + strings.Join(rules, ",") + `]}}`
}

// Switches are read, changed one by one and shown as the cloud's resource manager names them.
func TestHubs_switches(t *testing.T) {
	f := newFixture(t)
	path := "/$hubward/hubs/two"
	shown := func(r response) string {
		_, rest, _ := strings.Cut(r.body, defaultC2D)
		return strings.TrimSuffix(rest, "}")
	}
	const rules = `"networkRuleSets":{"defaultAction":"Deny","applyToBuiltInEventHubEndpoint":true,"ipRules":[` +
		`{"filterName":"rule1","action":"Allow","ipMask":"192.0.2.0/24"},{"filterName":"rule2","action":"Allow","ipMask":"2001:db8::1/128"},` +
		`{"filterName":"rule3","action":"Allow","ipMask":"10.0.0.0/8"}]}`
	const sent = `"networkRuleSets":{"defaultAction":"Deny","applyToBuiltInEventHubEndpoint":true,"ipRules":[` +
		`{"filterName":"office","action":"Allow","ipMask":"192.0.2.0/24"},{"ipMask":"2001:db8::1"},{"ipMask":"::ffff:10.0.0.0/104"}]}`
	for i, test := range []struct{ body, want string }{
		{`{"disableDeviceSAS":true,"minTlsVersion":"1.3"}`, `,"disableDeviceSAS":true,"minTlsVersion":"1.3"`},
		{`{}`, `,"disableDeviceSAS":true,"minTlsVersion":"1.3"`},
		{`{"disableDeviceSAS":false,"disableModuleSAS":true,"minTlsVersion":"1.2"}`, `,"disableModuleSAS":true,"minTlsVersion":"1.2"`},
		{`{"disableModuleSAS":null,"disableLocalAuth":true,"minTlsVersion":""}`, `,"disableLocalAuth":true,"disableModuleSAS":true`},
		{`{"disableLocalAuth":false,"disableModuleSAS":false,` + sent + `}`, "," + rules},
		{`{"networkRuleSets":{"defaultAction":"Allow","ipRules":[]}}`, ""},
	} {
		method, status := "PATCH", 200
		if i == 0 {
			method, status = "PUT", 201
		}
		if got := shown(f.do(ask{method: method, path: path, body: test.body}).wantStatus(t, status)); got != test.want {
			t.Errorf("%s answers %s\nwant %s", test.body, got, test.want)
		}
		if got := shown(f.do(ask{path: path}).wantStatus(t, 200)); got != test.want {
			t.Errorf("after %s: %s", test.body, got)
		}
	}
}

func TestHubs_switchesRefusals(t *testing.T) {
	f := newFixture(t)
	path := "/$hubward/hubs/plant"
	f.do(ask{method: "PATCH", path: path, body: rulesBody(100)}).wantStatus(t, 200)
	before := f.do(ask{path: path}).body
	for body, text := range map[string]string{
		rulesBody(101):             "networkRuleSets.ipRules",
		`{"minTlsVersion":"1.1"}`:  "minTlsVersion",
		`{"networkRuleSets":{}}`:   "", // none
		`{"minTlsVersion":"1.30"}`: "minTlsVersion",
		`{"networkRuleSets":{"ipRules":[{"ipMask":"10.0.0.0/8"},{"ipMask":"10.0.0.1/8"}]}}`: "ipRules[1].ipMask",
		`{"networkRuleSets":{"ipRules":[{"ipMask":"10.0.0.0/33"}]}}`:                        "ipRules[0].ipMask",
		`{"networkRuleSets":{"ipRules":[{"ipMask":"fe80::1%eth0"}]}}`:                       "ipRules[0].ipMask",
		`{"networkRuleSets":{"ipRules":[{"ipMask":""}]}}`:                                   "ipRules[0].ipMask",
		`{"networkRuleSets":{"ipRules":[{"action":"Reject","ipMask":"10.0.0.0/8"}]}}`:       "ipRules[0].action",
		`{"networkRuleSets":{"defaultAction":"Allow","ipRules":[{"ipMask":"10.0.0.0/8"}]}}`: "networkRuleSets.defaultAction",
		`{"networkRuleSets":{"defaultAction":"Deny","ipRules":[]}}`:                         "networkRuleSets.defaultAction",
		`{"networkRuleSets":{"applyToBuiltInEventHubEndpoint":true}}`:                       "applyToBuiltInEventHubEndpoint",
	} {
		if text == "" {
			continue
		}
		f.do(ask{method: "PATCH", path: path, body: body}).wantError(t, hubward.CodeArgumentInvalid, text)
	}
	if got := f.do(ask{path: path}).body; got != before {
		t.Errorf("something was changed: %s", got)
	}
}

// What a switch turns off gets status 401 and no more of the reason, but for the operator who manages hubs.
func TestSwitches_calls(t *testing.T) {
	f := newFixture(t)
	d := f.create("d1")
	const path = "/$hubward/hubs/plant"
	telemetry := ask{method: "POST", path: "/devices/d1/messages/events" + version, body: "x", token: f.deviceToken(d)}
	registry := ask{path: "/devices/d1" + version}
	events := ask{path: "/$hubward/events?from=latest", policy: "registryRead"} // refused either way
	for _, test := range []struct {
		body             string
		device, registry int
	}{
		{`{"disableLocalAuth":true}`, 204, 401},
		{`{"disableLocalAuth":false,"disableDeviceSAS":true}`, 401, 200},
		{`{"disableDeviceSAS":false,"networkRuleSets":{"ipRules":[{"ipMask":"192.0.2.0/24"}]}}`, 401, 401},
		{`{"networkRuleSets":{"ipRules":[{"ipMask":"127.0.0.0/8"},{"ipMask":"::1"}]}}`, 204, 200},
		{`{"minTlsVersion":"1.2"}`, 401, 401}, // the fixture speaks none
	} {
		f.do(ask{method: "PATCH", path: path, body: test.body}).wantStatus(t, 200)
		if got := f.do(telemetry).StatusCode; got != test.device {
			t.Errorf("%s: a device gets %d, want %d", test.body, got, test.device)
		}
		r := f.do(registry)
		if r.StatusCode != test.registry || r.StatusCode == 401 && r.Header.Get("iothub-errorcode") != "IotHubUnauthorizedAccess" {
			t.Errorf("%s: a back end gets %d %s, want %d", test.body, r.StatusCode, r.body, test.registry)
		}
		f.do(events).wantStatus(t, 401)
	}
}
