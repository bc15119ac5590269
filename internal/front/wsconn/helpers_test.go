package wsconn_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/hubward/hubward/internal/front/wsconn"
)

// path of the tests' server.
const path = "/$iothub/websocket"

// echo sends back what it reads, and closes when there is no more.
func echo(nc net.Conn) {
	io.Copy(nc, nc)
	nc.Close()
}

// start serves table at path, over TLS, until the test's end; then every connection must have ended by itself.
func start(t *testing.T, table wsconn.Table) (*wsconn.Server, *httptest.Server) {
	t.Helper()
	s := wsconn.New(wsconn.Options{Paths: map[string]wsconn.Table{path: table}})
	web := httptest.NewTLSServer(s.Handler(http.NotFoundHandler()))
	t.Cleanup(func() {
		web.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("a connection was left: %v", err)
		}
	})
	return s, web
}

func dial(t *testing.T, web *httptest.Server, protocols ...string) *websocket.Conn {
	t.Helper()
	ws, resp, err := websocket.Dial(t.Context(), web.URL+path, &websocket.DialOptions{
		HTTPClient: web.Client(), Subprotocols: protocols, CompressionMode: websocket.CompressionContextTakeover,
	})
	if err != nil {
		t.Fatal(err)
	}
	if resp.Header.Get("Sec-WebSocket-Extensions") != "" {
		t.Error("compression was negotiated")
	}
	t.Cleanup(func() { ws.CloseNow() })
	return ws
}

// raw is a WebSocket whose frames the test makes itself.
type raw struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

// handshake sends an upgrade of the test's own wording and returns the answer.
func handshake(t *testing.T, web *httptest.Server, target string, headers ...string) (*raw, *http.Response) {
	t.Helper()
	conn, err := tls.Dial("tcp", web.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	lines := append([]string{"GET " + target + " HTTP/1.1", "Host: localhost:443"}, headers...)
	if _, err := io.WriteString(conn, strings.Join(lines, "\r\n")+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &raw{t: t, Conn: conn, r: r}, resp
}

// upgradeHeaders are a client's headers, spelt as few do.
func upgradeHeaders(protocol string) []string {
	headers := []string{
		"connection: keep-alive, UPGRADE", "upgrade: WebSocket", "sec-websocket-version: 13",
		"Sec-Websocket-Key: bXF0dDMtMTIzNDU2Nzg5MA==", "Origin: https://elsewhere.example", "Cookie: a=b",
	}
	if protocol != "" {
		headers = append(headers, "Sec-Websocket-Protocol: "+protocol)
	}
	return headers
}

func upgraded(t *testing.T, web *httptest.Server) *raw {
	t.Helper()
	c, resp := handshake(t, web, path, upgradeHeaders("mqtt")...)
	if resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(resp.Status)
	}
	return c
}

// frame sends one frame; its mask is zero, which masks nothing.
func (c *raw) frame(first byte, payload string) {
	c.t.Helper()
	head := []byte{first, 0x80 | byte(len(payload)), 0, 0, 0, 0}
	if _, err := c.Write(append(head, payload...)); err != nil {
		c.t.Fatal(err)
	}
}

// next reads one frame of the server.
func (c *raw) next() (first byte, payload []byte) {
	c.t.Helper()
	var head [2]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		c.t.Fatal(err)
	}
	size := uint64(head[1]) // with the bit that says masked, which a server never sets
	switch size {
	case 126:
		var n [2]byte
		io.ReadFull(c.r, n[:])
		size = uint64(binary.BigEndian.Uint16(n[:]))
	case 127:
		var n [8]byte
		io.ReadFull(c.r, n[:])
		size = binary.BigEndian.Uint64(n[:])
	}
	if size > 1<<20 {
		c.t.Fatalf("a frame of %d bytes, or a masked one", size)
	}
	payload = make([]byte, size)
	if _, err := io.ReadFull(c.r, payload); err != nil {
		c.t.Fatal(err)
	}
	return head[0], payload
}
