package wsconn_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/hubward/hubward/internal/front/wsconn"
)

func TestHandler_answersOtherRequests(t *testing.T) {
	_, web := start(t, wsconn.Table{"AMQPWSB10": echo, "mqtt": echo})
	without := func(name string) []string {
		var headers []string
		for _, h := range upgradeHeaders("mqtt") {
			if !strings.HasPrefix(strings.ToLower(h), name) {
				headers = append(headers, h)
			}
		}
		return headers
	}
	for _, tt := range []struct {
		name, target string
		headers      []string
		status       int
		text         string
	}{
		{"no upgrade", path, nil, 400, "WebSockets only"},
		{"no Connection", path, without("connection"), 400, "WebSockets only"},
		{"no Upgrade", path + "/", without("upgrade"), 400, "WebSockets only"},
		{"no sub-protocol", path, upgradeHeaders(""), 400, "takes AMQPWSB10, mqtt"},
		{"unknown sub-protocol", path, upgradeHeaders("stomp, mqttv3.1"), 400, "takes AMQPWSB10, mqtt"},
		{"no version", path, without("sec-websocket-version"), 400, "version"},
		{"no key", path, without("sec-websocket-key"), 400, "Sec-WebSocket-Key"},
		{"path below", path + "/x", upgradeHeaders("mqtt"), 404, ""},
		{"other path", "/devices", upgradeHeaders("mqtt"), 404, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, resp := handshake(t, web, tt.target, tt.headers...)
			body, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != tt.status || !strings.Contains(string(body), tt.text) {
				t.Errorf("%s, %q, %v", resp.Status, body, err)
			}
		})
	}
}

func TestHandler_upgrades(t *testing.T) {
	served := make(chan string, 1)
	name := func(protocol string) func(net.Conn) {
		return func(nc net.Conn) {
			served <- protocol
			nc.Close()
		}
	}
	_, web := start(t, wsconn.Table{"AMQPWSB10": name("amqp"), "mqtt": name("mqtt")})
	for _, tt := range []struct{ target, offer, protocol, echoed string }{
		{path, "mqtt", "mqtt", "mqtt"},
		{path + "/", "AMQPWSB10", "amqp", "AMQPWSB10"},
		{path + "?iothub-no-client-cert=true", "MQTT", "mqtt", "MQTT"},
		{path + "/?x", "amqpwsb10", "amqp", "amqpwsb10"},
		{"/$IoTHub/WebSocket", "stomp,AMQPWSB10 , mqtt", "amqp", "AMQPWSB10"},
		{"/%24iothub/websocket", "v1\r\nSec-WebSocket-Protocol: mqtt", "mqtt", "mqtt"},
	} {
		t.Run(tt.target+" "+tt.offer, func(t *testing.T) {
			c, resp := handshake(t, web, tt.target, upgradeHeaders(tt.offer)...)
			if resp.StatusCode != http.StatusSwitchingProtocols || <-served != tt.protocol {
				t.Fatal(resp.Status)
			}
			if got := resp.Header.Values("Sec-WebSocket-Protocol"); len(got) != 1 || got[0] != tt.echoed {
				t.Errorf("sub-protocol %q", got)
			}
			// RFC 6455 1.3, for the key that Java's clients would make. Java's clients look for the value "Upgrade" in one "Connection" line.
			if got := resp.Header.Get("Sec-WebSocket-Accept"); got != "o1Amkfx2QtBWn9uKllHALQ3RFaU=" {
				t.Errorf("accept %q", got)
			}
			if got := resp.Header.Values("Connection"); len(got) != 1 || got[0] != "Upgrade" {
				t.Errorf("connection %q", got)
			}
			for name, values := range resp.Header {
				if values[0] == "" {
					t.Errorf("%s is empty, which kills paho-java", name)
				}
			}
			if first, payload := c.next(); first != 0x88 || !bytes.Equal(payload, []byte{0x03, 0xe8}) {
				t.Errorf("close frame %x %x", first, payload)
			}
		})
	}
}

func TestShutdown_cutsWhoStays(t *testing.T) {
	begun, ended := make(chan struct{}), make(chan struct{})
	s, web := start(t, wsconn.Table{"mqtt": func(nc net.Conn) {
		close(begun)
		echo(nc)
		close(ended)
	}})
	c := upgraded(t, web)
	<-begun
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown: %v", err)
	}
	<-ended
	if _, err := c.r.ReadByte(); err == nil {
		t.Error("the socket is open")
	}
	if _, resp := handshake(t, web, path, upgradeHeaders("mqtt")...); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("after Shutdown: %s", resp.Status)
	}
}

// A connection that is cut ends without a close frame.
func TestCut(t *testing.T) {
	ended := make(chan struct{})
	s, web := start(t, wsconn.Table{"mqtt": func(nc net.Conn) {
		defer close(ended)
		nc.Write([]byte("last words")) //nolint:errcheck // what the peer gets is looked at
		nc.(*wsconn.Conn).Cut()
		if _, err := nc.Read(make([]byte, 1)); err == nil {
			t.Error("it can be read")
		}
	}})
	ws := dial(t, web, "mqtt")
	if _, body, err := ws.Read(t.Context()); string(body) != "last words" || err != nil {
		t.Errorf("%q, %v", body, err)
	}
	if _, _, err := ws.Read(t.Context()); err == nil || websocket.CloseStatus(err) != -1 {
		t.Errorf("the end: %v", err)
	}
	<-ended
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestShutdown_saysGoingAway(t *testing.T) {
	begun, drain := make(chan struct{}), make(chan struct{})
	s, web := start(t, wsconn.Table{"mqtt": func(nc net.Conn) {
		close(begun)
		<-drain
		nc.Close()
	}})
	ws := dial(t, web, "mqtt")
	<-begun
	ended := make(chan error, 1)
	go func() { ended <- s.Shutdown(t.Context()) }()
	s.WaitClosing()
	close(drain)
	if _, _, err := ws.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
