package device_test

import (
	"context"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/device"
	"github.com/hubward/hubward/sas"
)

// A name below .localhost leads to this machine, whatever the system's resolver knows, and is in the certificate.
func TestClient_hubBelowLocalhost(t *testing.T) {
	overAll(t, func(t *testing.T, p device.Protocol, h *realHub) {
		t.Setenv("HTTPS_PROXY", "http://proxy.invalid:1")
		web, err := url.Parse(h.HTTPS)
		if err != nil {
			t.Fatal(err)
		}
		address := map[device.Protocol]string{device.MQTT: h.MQTT, device.AMQP: h.AMQP}[p]
		_, port, _ := net.SplitHostPort(address)
		if port == "" {
			port = web.Port()
		}
		cs := sas.ConnectionString{
			HostName: net.JoinHostPort("testhub.device.localhost", port), DeviceID: h.device.DeviceID,
			SharedAccessKey: string(h.device.Authentication.SymmetricKey.PrimaryKey),
		}
		c, err := device.NewFromConnectionString(cs.String(), &device.Options{Protocol: p, CA: h.CA})
		if err != nil {
			t.Fatal(err)
		}
		defer h.close(c)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if err := c.Connect(ctx); err != nil {
			t.Fatal(err)
		}
		if err := c.SendTelemetry(ctx, &hubward.Message{Body: []byte("from this machine")}); err != nil {
			t.Error(err)
		}
	})
}
