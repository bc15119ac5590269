package device

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strings"

	"github.com/coder/websocket"
)

// dial makes the connection below MQTT or AMQP: TCP and TLS.
func (c *Client) dial(ctx context.Context) (net.Conn, error) {
	config, err := c.tls.next(ctx)
	if err != nil {
		return nil, err
	}
	nc, err := c.opts.Dial(ctx, "tcp", c.account.address)
	if err != nil || c.opts.plain {
		return nc, err
	}
	secure := tls.Client(nc, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		nc.Close()
		return nil, err
	}
	return secure, nil
}

// The subprotocols of WebSockets to a hub.
//
// Source: Azure/azure-iot-sdk-node device/transport/mqtt/src/mqtt_ws.ts, device/transport/amqp/src/amqp_ws.ts.
const (
	subprotocolMQTT = "mqtt"
	subprotocolAMQP = "AMQPWSB10"
)

// maxUpgradeHeader bounds what a hub or a proxy answers before a WebSocket is open.
const maxUpgradeHeader = 64 << 10

// dialWebSocket makes the connection below MQTT or AMQP: TCP, TLS and a WebSocket of binary messages.
func (c *Client) dialWebSocket(ctx context.Context, subprotocol string) (net.Conn, error) {
	config, err := c.tls.next(ctx)
	if err != nil {
		return nil, err
	}
	scheme := "https"
	if c.opts.plain {
		scheme = "http"
	}
	transport := &http.Transport{
		DialContext:            c.opts.Dial,
		TLSClientConfig:        withoutHTTP2(config),
		DisableKeepAlives:      true,
		MaxResponseHeaderBytes: maxUpgradeHeader,
	}
	c.opts.useProxy(transport)
	ws, _, err := websocket.Dial(ctx, scheme+"://"+c.account.address+"/$iothub/websocket", &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: transport}, Host: c.account.server, Subprotocols: []string{subprotocol},
	})
	if err != nil {
		return nil, err
	}
	if !strings.EqualFold(ws.Subprotocol(), subprotocol) {
		ws.CloseNow()
		return nil, errSubprotocol
	}
	ws.SetReadLimit(-1) // those who read bound what they keep
	return &webSocket{Conn: websocket.NetConn(context.Background(), ws, websocket.MessageBinary), ws: ws}, nil
}

// withoutHTTP2 returns settings for a handshake after which HTTP/1.1 is spoken: a WebSocket needs it.
func withoutHTTP2(config *tls.Config) *tls.Config {
	config = config.Clone()
	config.NextProtos = []string{"http/1.1"}
	return config
}

// webSocket is a WebSocket as a connection.
type webSocket struct {
	net.Conn
	ws *websocket.Conn
}

// Close closes the TCP connection without the handshake that the standard asks for: the protocol above has said goodbye.
func (w *webSocket) Close() error { return w.ws.CloseNow() }
