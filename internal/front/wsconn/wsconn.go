// Package wsconn turns WebSocket connections into net.Conns for the front ends whose protocols travel in them.
//
// Framing and handshake are github.com/coder/websocket's. Its own NetConn is not used: a read deadline that passes
// closes its whole connection, and its Close waits up to ten seconds for the peer, while front ends end a connection by
// waking its reader and writing on. Here deadlines are those of the socket below.
package wsconn

import (
	"bufio"
	"context"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/coder/websocket"

	"github.com/hubward/hubward/internal/front/connset"
)

// Table says who serves what travels in a WebSocket: sub-protocol (compared without case) to a function that takes the
// connection over. It runs on a goroutine of its own, may return before the connection ends, and must see to it that
// the connection is closed.
//
// The net.Conn is a *Conn.
type Table map[string]func(net.Conn)

// Options of a Server.
type Options struct {
	// Paths are the paths that take WebSockets, each with its table: "/$iothub/websocket". They are compared without
	// case; a request may add a slash at the end and any query.
	Paths  map[string]Table
	Logger *slog.Logger // nil: nothing is logged
}

// Server owns the WebSockets that its handler has accepted: http.Server does not know them any more. Make one with New.
type Server struct {
	paths  map[string]Table // keys in lower case
	logger *slog.Logger
	conns  *connset.Set[*Conn]
}

// New makes a server.
func New(o Options) *Server {
	s := &Server{
		paths: map[string]Table{}, logger: o.Logger,
		conns: connset.New(connset.Options[*Conn]{Abort: (*Conn).cut}),
	}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	for path, table := range o.Paths {
		s.paths[strings.ToLower(path)] = maps.Clone(table)
	}
	return s
}

// Handler returns a handler that takes the requests for the server's paths and leaves the others to next.
//
// A request that is no upgrade, or offers no sub-protocol of the path's table, gets status 400 and a text that says so.
func (s *Server) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if table, ok := s.paths[strings.ToLower(strings.TrimSuffix(r.URL.Path, "/"))]; ok {
			s.upgrade(w, r, table)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// upgrade answers the handshake and hands the connection to the function for its sub-protocol.
//
// Origin is not looked at: SDKs send odd ones. The check keeps a foreign web page from using what a browser adds of its
// own, cookies above all. Here is nothing of the kind: the protocol inside begins with a log-in whose key the page would
// have to know. The one exception is a client certificate, which a browser shows only after its user has picked it.
//
// Source: RFC 6455 section 10.2; eclipse/paho.mqtt.python v1.6.1, src/paho/mqtt/client.py.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request, table Table) {
	if r.Method != http.MethodGet || !hasToken(r.Header, "Connection", "upgrade") || !hasToken(r.Header, "Upgrade", "websocket") {
		http.Error(w, "this path takes WebSockets only: GET with Connection: Upgrade and Upgrade: websocket", http.StatusBadRequest)
		return
	}
	offered, serve := table.choose(r.Header)
	if serve == nil {
		names := strings.Join(slices.Sorted(maps.Keys(table)), ", ")
		http.Error(w, "Sec-WebSocket-Protocol: this path takes "+names+", and the request offers none of them", http.StatusBadRequest)
		return
	}
	if s.conns.Closing() {
		http.Error(w, "the server is stopping", http.StatusServiceUnavailable)
		return
	}
	below := &capture{ResponseWriter: w}
	ws, err := websocket.Accept(below, r, &websocket.AcceptOptions{
		Subprotocols: []string{offered}, InsecureSkipVerify: true, CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		s.logger.Debug("websocket refused", "remote", r.RemoteAddr, "error", err)
		return
	}
	ws.SetReadLimit(-1) // messages are pieces of a stream: nothing gathers them
	c := &Conn{server: s, ws: ws, below: below.conn}
	if !s.conns.Go(c, func() { serve(c) }) {
		c.below.Close()
	}
}

// choose returns the first sub-protocol of the request that the table has, as the request spells it: clients compare
// the answer with what they sent.
func (t Table) choose(h http.Header) (offered string, serve func(net.Conn)) {
	for _, name := range tokens(h, "Sec-WebSocket-Protocol") {
		for known, f := range t {
			if strings.EqualFold(known, name) {
				return name, f
			}
		}
	}
	return "", nil
}

// tokens returns the parts of a header that is a list, over all its lines.
func tokens(h http.Header, name string) []string {
	var all []string
	for _, line := range h.Values(name) {
		for part := range strings.SplitSeq(line, ",") {
			all = append(all, strings.TrimSpace(part))
		}
	}
	return all
}

func hasToken(h http.Header, name, token string) bool {
	return slices.ContainsFunc(tokens(h, name), func(t string) bool { return strings.EqualFold(t, token) })
}

// capture notes the connection that Accept takes over.
type capture struct {
	http.ResponseWriter
	conn net.Conn
}

// Hijack implements http.Hijacker.
func (c *capture) Hijack() (conn net.Conn, buf *bufio.ReadWriter, err error) {
	c.conn, buf, err = http.NewResponseController(c.ResponseWriter).Hijack()
	return c.conn, buf, err
}

// Shutdown takes no more connections and waits until those that there are have ended, which is for the front ends to
// bring about. When ctx ends first, it cuts the rest and returns ctx's error.
func (s *Server) Shutdown(ctx context.Context) error { return s.conns.Shutdown(ctx) }

// cut closes the socket, below TLS and whatever else there is: the end of a TLS connection would be announced, at leisure. The
// front end notices, and closes the connection.
func (c *Conn) cut(error) {
	c.below.SetDeadline(past)
	nc := c.below
	for {
		outer, ok := nc.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		nc = outer.NetConn()
	}
	nc.Close()
}
