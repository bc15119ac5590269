package mqttfront_test

import (
	"strings"
	"testing"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/front/mqttfront"
)

// Source: learn.microsoft.com/azure/iot/iot-mqtt-connect-to-iot-hub; Azure/iotedge MqttUsernameParser.cs. Observed with
// azure-iot-device 1.18.4 for Node and 2.14.0 for Python, and amenzhinsky/iothub 0.9.
func TestParseUserName_formsOfAllClients(t *testing.T) {
	rows := []struct{ user, host, device, module, version, model, chain string }{
		{"localhost/d1/?api-version=2019-10-01&DeviceClientType=azure-iot-device-iothub-py%2F2.14.0", "localhost", "d1", "", "2019-10-01", "", ""},
		{"localhost/d1/m1/?api-version=2021-04-12&DeviceClientType=x", "localhost", "d1", "m1", "2021-04-12", "", ""},
		{"localhost/d1/?api-version=2020-09-30&model-id=dtmi:com:example;1&DeviceClientType=x", "localhost", "d1", "", "2020-09-30", "dtmi:com:example;1", ""},
		{"localhost/d1/?api-version=2020-09-30&DeviceClientType=x&model-id=dtmi%3acom%3aexample%3b1", "localhost", "d1", "", "2020-09-30", "dtmi:com:example;1", ""},
		{"localhost/d1/api-version=2020-09-30", "localhost", "d1", "", "2020-09-30", "", ""},
		{"localhost:18883/d1/?api-version=2021-04-12", "localhost:18883", "d1", "", "2021-04-12", "", ""},
		{"hub.example/d1", "hub.example", "d1", "", "", "", ""},
		{"hub.example/d1/", "hub.example", "d1", "", "", "", ""},
		{"hub.example/d1/m1", "hub.example", "d1", "m1", "", "", ""},
		{"hub.example/what?/?api-version=1", "hub.example", "what?", "", "1", "", ""},
		{"hub.example/d1/api-version=2017-06-30/DeviceClientType=Microsoft.Azure.Devices.Client/1.5.1-preview-003", "hub.example", "d1", "", "2017-06-30/DeviceClientType=Microsoft.Azure.Devices.Client/1.5.1-preview-003", "", ""},
		{"localhost/d1/?api-version=1&api-version=2", "localhost", "d1", "", "1", "", ""},
		{"h.example/d1/m1/?api-version=1&DeviceClientType=x&auth-chain=d1%2Fm1%3Bd1%3Btop&auth-chain=y", "h.example", "d1", "m1", "1", "", "d1/m1;d1;top"},
	}
	for _, r := range rows {
		u, err := mqttfront.ParseUserName(r.user)
		if err != nil {
			t.Errorf("%s: %v", r.user, err)
			continue
		}
		want := mqttfront.UserName{Host: r.host, Identity: hubward.Identity{Device: r.device, Module: r.module}, APIVersion: r.version, ModelID: r.model, Chain: r.chain}
		want.ClientType = u.ClientType
		if u != want {
			t.Errorf("%s:\n got %+v\nwant %+v", r.user, u, want)
		}
	}
}

func TestParseUserName_refused(t *testing.T) {
	for _, user := range []string{"", "localhost", "/d1", "localhost/", "localhost//m", "a/b/c/d/?api-version=1"} {
		if u, err := mqttfront.ParseUserName(user); err == nil {
			t.Errorf("%q is read as %+v", user, u)
		}
	}
}

func FuzzUserName(f *testing.F) {
	for _, seed := range []string{
		"localhost/d1/?api-version=2021-04-12&DeviceClientType=x", "localhost/d1/api-version=2020-09-30", "h/d/m/?model-id=%2", "a/b?/?x", "///",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, user string) {
		u, err := mqttfront.ParseUserName(user)
		if err == nil && !strings.HasPrefix(user, u.Host+"/"+u.Identity.String()) {
			t.Fatalf("%q is read as host %q, identity %q", user, u.Host, u.Identity)
		}
	})
}
