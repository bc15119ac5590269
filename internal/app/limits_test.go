package app_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/mqttwire"
)

// dialTLS connects to a listener.
func (r *running) dialTLS(listener string) *tls.Conn {
	r.t.Helper()
	nc, err := tls.Dial("tcp", r.addresses[listener], &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	return nc
}

// wantMetric waits until a metric has a value.
func (r *running) wantMetric(line string) {
	r.t.Helper()
	eventually(r.t, line, func() bool {
		_, metrics := r.admin("/metrics")
		return strings.Contains(metrics, "\n"+line+"\n")
	})
}

func (r *running) device(id string) *hubward.Device {
	r.t.Helper()
	d, err := r.app.Hub().PutDevice(r.t.Context(), process(r.t, r.app), hubward.Device{DeviceID: id}, "")
	if err != nil {
		r.t.Fatal(err)
	}
	return d
}

// works checks that a device is still served.
func (c *mqttClient) works() {
	c.t.Helper()
	c.send(mqttwire.AppendPingreq(nil), nil)
	c.want("\xd0\x00")
}

// Each protocol has its places, a WebSocket one of what it carries, and who has logged in keeps his.
func TestLimits_perProtocol(t *testing.T) {
	r := start(t, t.TempDir(), map[string][]string{
		"amqp": {"127.0.0.1:0"}, "max-mqtt-connections": {"2"}, "max-amqp-connections": {"2"}, "max-https-connections": {"2"},
	}, memory)
	first := r.connectMQTT(r.dialTLS("mqtts"), r.device("d1"))
	second := r.connectMQTT(r.socket("/$iothub/websocket", "mqtt"), r.device("d2"))
	r.wantMetric(`hubward_protocol_connections{protocol="mqtt"} 2`)

	// A third one, by either way.
	nc, err := net.Dial("tcp", r.addresses["mqtts"])
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := io.ReadAll(nc); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Error(err)
	}
	if _, err := r.socket("/$iothub/websocket", "mqtt").Read(make([]byte, 1)); err == nil {
		t.Error("a third connection by WebSocket is served")
	}
	r.wantMetric(`hubward_protocol_connections_refused_total{protocol="mqtt",reason="protocol"} 2`)
	r.wantMetric(`hubward_connections_refused_total 2`)

	// Those that say nothing, of all protocols, take no place of who logs in.
	for _, listener := range []string{"mqtts", "amqp", "https"} {
		for range 10 {
			nc, err := net.Dial("tcp", r.addresses[listener])
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
		}
	}
	r.wantMetric(`hubward_protocol_connections_refused_total{protocol="amqp",reason="protocol"} 8`)
	for range 3 {
		resp, err := r.get(t.Context(), "/devices/d1?api-version=2021-04-12", r.owner())
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	first.works()
	second.works()
	second.Close()
	r.wantMetric(`hubward_protocol_connections{protocol="mqtt"} 1`)
	r.connectMQTT(r.dialTLS("mqtts"), r.device("d3")).works()
	first.works()
	r.wantMetric(fmt.Sprintf(`hubward_connections_max %d`, 6))
}
