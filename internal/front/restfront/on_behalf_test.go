package restfront_test

import (
	"testing"

	"github.com/hubward/hubward"
)

// An Edge hub acts for the devices below it over MQTT and AMQP, never over HTTPS.
func TestSendTelemetry_notOnBehalf(t *testing.T) {
	f := newFixture(t)
	gateway, token := f.edgeHub("gateway", nil)
	f.leaf("leaf", gateway)
	f.do(ask{method: "POST", path: "/devices/leaf/messages/events" + version, token: token, body: "x"}).wantError(t, hubward.CodeUnauthorizedAccess, "Unauthorized")
}
