package app_test

import (
	"strings"
	"testing"
	"time"

	"github.com/Azure/go-amqp"

	"github.com/hubward/hubward/sas"
)

// A drain cuts the connections of devices, WebSocket and all: Java's SDK takes a WebSocket that ends in good order for one that
// goes on.
//
// Observed with iot-device-client 2.5.0 over AMQPS_WS, which comes back a second after a cut, and not within a minute after a
// closing handshake.
func TestAMQP_drainCutsWebSocketsOfDevices(t *testing.T) {
	r := start(t, t.TempDir(), nil, memory)
	d := r.device("d1")
	token, err := sas.Sign("localhost/devices/d1", string(d.Authentication.SymmetricKey.PrimaryKey), "", time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := amqp.NewConn(t.Context(), r.socket("/$iothub/websocket", "AMQPWSB10"), &amqp.ConnOptions{
		HostName: "localhost", SASLType: amqp.SASLTypePlain("d1@sas.localhost", token),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	session, err := conn.NewSession(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := session.NewSender(t.Context(), "/devices/d1/messages/events", nil); err != nil {
		t.Fatal(err)
	}
	r.stop()
	select {
	case <-conn.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("the client does not notice")
	}
	// A close frame is no more than the end of the stream to the library.
	if err := conn.Err(); !strings.Contains(err.Error(), "frame header") {
		t.Errorf("the client sees %v", err)
	}
}
