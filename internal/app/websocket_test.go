package app_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/mqttwire"
	"github.com/hubward/hubward/sas"
)

// mqttClient is a device that is spoken for packet by packet, e.g. through a WebSocket.
type mqttClient struct {
	t *testing.T
	net.Conn
}

func (c *mqttClient) send(packet []byte, err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
	for i := range packet { // one message for each byte: they are a stream
		if _, err := c.Write(packet[i : i+1]); err != nil {
			c.t.Fatal(err)
		}
	}
}

func (c *mqttClient) want(packet string) {
	c.t.Helper()
	got := make([]byte, len(packet))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != packet {
		c.t.Fatalf("%x, %v; want %x", got, err, packet)
	}
}

func (r *running) connectMQTT(nc net.Conn, d *hubward.Device) *mqttClient {
	r.t.Helper()
	token, err := sas.Sign("localhost/devices/"+d.DeviceID, string(d.Authentication.SymmetricKey.PrimaryKey), "", time.Now().Add(time.Hour))
	if err != nil {
		r.t.Fatal(err)
	}
	c := &mqttClient{r.t, nc}
	c.send(mqttwire.AppendConnect(nil, &mqttwire.ConnectPacket{
		CleanSession: true, KeepAlive: time.Minute, ClientID: d.DeviceID, HasUser: true, HasPassword: true,
		User: "localhost/" + d.DeviceID + "/?api-version=2021-04-12", Password: []byte(token),
	}))
	c.want("\x20\x02\x00\x00")
	return c
}

func TestWebSocket_mqtt(t *testing.T) {
	r := start(t, t.TempDir(), map[string][]string{"mqtts": {"off"}, "max-connections": {"1"}}, memory)
	d, err := r.app.Hub().PutDevice(t.Context(), process(t, r.app), hubward.Device{DeviceID: "d1"}, "")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second one comes in only if the first gave its place back
		c := r.connectMQTT(r.socket("/$iothub/websocket", "mqtt"), d)
		c.send(mqttwire.AppendPublish(nil, &mqttwire.PublishPacket{
			QoS: 1, ID: 7, Topic: []byte("devices/d1/messages/events/"), Payload: []byte("by socket"),
		}))
		c.want("\x40\x02\x00\x07")
		c.send(mqttwire.AppendDisconnect(nil), nil)
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("after DISCONNECT: %v", err)
		}
		c.Close()
		eventually(t, "the place is free", func() bool {
			_, metrics := r.admin("/metrics")
			return strings.Contains(metrics, "\nhubward_connections 0\n")
		})
	}
}

// The drain waits for acknowledgements that are on their way, and the client sees a good end.
func TestWebSocket_drain(t *testing.T) {
	r := start(t, t.TempDir(), nil, memory)
	d, err := r.app.Hub().PutDevice(t.Context(), process(t, r.app), hubward.Device{DeviceID: "d1"}, "")
	if err != nil {
		t.Fatal(err)
	}
	c := r.connectMQTT(r.socket("/$iothub/websocket", "mqtt"), d)
	begin := time.Now()
	ended := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 1))
		ended <- err
	}()
	r.stop()
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("the drain took %s", took)
	}
	if err := <-ended; err != io.EOF {
		t.Errorf("the client sees %v", err)
	}
}

func TestWebSocket_refusals(t *testing.T) {
	r := start(t, t.TempDir(), nil, memory)
	ask := func(path string, headers ...string) (status int, body string) {
		t.Helper()
		config := r.client().Transport.(*http.Transport).TLSClientConfig
		config.ServerName = "localhost"
		nc, err := tls.Dial("tcp", r.addresses["https"], config)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		text := "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n" + strings.Join(headers, "\r\n") + "\r\n\r\n"
		if _, err := io.WriteString(nc, text); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(answer)
	}
	upgrade := "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="
	for _, tt := range []struct {
		name, path, protocol string
		status               int
		text                 string
	}{
		{"no sub-protocol", "/$iothub/websocket", "X-None: x", 400, "AMQPWSB10, amqp, mqtt"},
		{"MQTT at the readers' path", "/$servicebus/websocket", "Sec-WebSocket-Protocol: mqtt", 400, "takes AMQPWSB10,"},
		{"another path", "/$iothub/websockets", "Sec-WebSocket-Protocol: mqtt", 404, "there is no such path"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if status, text := ask(tt.path, upgrade, tt.protocol); status != tt.status || !strings.Contains(text, tt.text) {
				t.Errorf("%d %s", status, text)
			}
		})
	}
	if status, text := ask("/$servicebus/websocket/?x=y", "X-None: x"); status != 400 || !strings.Contains(text, "WebSockets only") {
		t.Errorf("without an upgrade: %d %s", status, text)
	}
	if resp, err := r.get(t.Context(), "/$hubward/hub", r.owner()); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("REST beside it: %v, %v", resp, err)
	}
}

func TestReaderMetrics_followTheGroups(t *testing.T) {
	r := start(t, t.TempDir(), nil, memory)
	if err := r.app.Hub().CreateConsumerGroup(t.Context(), process(t, r.app), "hubward", "archive"); err != nil {
		t.Fatal(err)
	}
	m := r.app.Metrics()
	m.Readers("hubward", "archive", 1)
	m.Readers("hubward", hub.DefaultConsumerGroup, 1)
	if _, text := r.admin("/metrics"); !strings.Contains(text, `hubward_eventhub_readers{consumer_group="archive",hub="hubward"} 1`) {
		t.Error("the group has no metric")
	}
	if err := r.app.Hub().DeleteConsumerGroup(t.Context(), process(t, r.app), "hubward", "archive"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the group's metrics are gone", func() bool {
		_, text := r.admin("/metrics")
		return !strings.Contains(text, `"archive"`)
	})
	if _, text := r.admin("/metrics"); !strings.Contains(text, `hubward_eventhub_readers{consumer_group="$Default",hub="hubward"} 1`) {
		t.Error("the metrics of the other group are gone")
	}
}

func TestMetrics_followTheHubs(t *testing.T) {
	r := start(t, t.TempDir(), nil, memory)
	if _, err := r.app.Hub().CreateHub(t.Context(), process(t, r.app), hub.NewHub{Name: "two"}); err != nil {
		t.Fatal(err)
	}
	if _, text := r.admin("/metrics"); !strings.Contains(text, `iothub_devices{hub="two"} 0`) {
		t.Error("the hub has no metrics")
	}
	if err := r.app.Hub().DeleteHub(t.Context(), process(t, r.app), "two"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the hub's metrics are gone", func() bool {
		_, text := r.admin("/metrics")
		return !strings.Contains(text, `"two"`)
	})
}
