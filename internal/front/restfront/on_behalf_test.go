package restfront_test

import (
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/sas"
)

// An Edge hub acts for the devices below it over MQTT and AMQP, never over HTTPS.
func TestSendTelemetry_notOnBehalf(t *testing.T) {
	f := newFixture(t)
	gateway := decode[hubward.Device](t, f.do(ask{method: "PUT", path: "/devices/gateway" + version, body: `{"deviceId":"gateway","capabilities":{"iotEdge":true}}`}))
	f.do(ask{method: "PUT", path: "/devices/leaf" + version, body: `{"deviceId":"leaf","deviceScope":"` + gateway.DeviceScope + `"}`}).wantStatus(t, 200)
	f.createModule(hubward.Identity{Device: "gateway", Module: "$edgeHub"})
	token, err := sas.Sign("hub.example/devices/gateway/modules/$edgeHub", "a2V5", "", testNow.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	f.do(ask{method: "POST", path: "/devices/leaf/messages/events" + version, token: token, body: "x"}).wantError(t, hubward.CodeUnauthorizedAccess, "Unauthorized")
}
