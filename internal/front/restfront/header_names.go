package restfront

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/textproto"
	"strings"
	"time"

	"github.com/hubward/hubward/internal/front/peer"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/internal/restwire"
)

// KeepHeaderNames makes server remember how the headers of requests are spelt: net/http changes the case of their names,
// and the name of an application property is part of one ("iothub-app-runId", which would become "Iothub-App-Runid"). It
// returns the listener to serve instead of l, and takes the server's ConnContext and ConnState. Without it, and for a
// request that a client sent before the last one was answered, or with a header above restwire.MaxHeader, the names of
// properties arrive in lower case.
//
// The listener's connections hide a *tls.Conn from net/http, so they do what it does for one: the handshake within
// ReadHeaderTimeout, and a word to clients that speak plain HTTP. The TLS field of a request is nil.
//
// Source: Azure/azure-iot-sdk-node device/transport/http/src/http.ts sends names in mixed case.
func KeepHeaderNames(server *http.Server, l net.Listener) net.Listener {
	server.ConnContext = func(ctx context.Context, nc net.Conn) context.Context {
		return context.WithValue(ctx, recorderKey{}, nc)
	}
	server.ConnState = func(nc net.Conn, state http.ConnState) {
		if rec, ok := nc.(*recorder); ok {
			rec.changed(state)
		}
	}
	return &recordingListener{Listener: l, handshake: server.ReadHeaderTimeout, log: server.ErrorLog}
}

type recorderKey struct{}

type recordingListener struct {
	net.Listener
	handshake time.Duration
	log       *log.Logger // nil: nothing is logged
}

func (l *recordingListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &recorder{Conn: nc, listener: l}, nil
}

// recorder is a connection that remembers the header of the request that is read from it.
type recorder struct {
	net.Conn
	listener *recordingListener
	shaken   bool // the first Read has been; touched by the goroutine that serves the connection, which reads first
	names    restwire.Names
}

// Read reads from the connection. The first one makes the handshake.
func (c *recorder) Read(p []byte) (int, error) {
	if !c.shaken {
		c.shaken = true
		if err := c.shakeHands(); err != nil {
			return 0, err
		}
	}
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.names.Read(p[:n])
	}
	return n, err
}

func (c *recorder) shakeHands() error {
	secure, ok := c.Conn.(*tls.Conn)
	if !ok {
		return nil
	}
	if d := c.listener.handshake; d > 0 {
		c.SetWriteDeadline(time.Now().Add(d)) // that of reading is net/http's
		defer c.SetWriteDeadline(time.Time{})
	}
	err := secure.Handshake()
	if err == nil {
		return nil
	}
	var record tls.RecordHeaderError
	if errors.As(err, &record) && record.Conn != nil && looksLikeHTTP(record.RecordHeader) {
		io.WriteString(record.Conn, "HTTP/1.0 400 Bad Request\r\n\r\nThis port speaks HTTPS, not HTTP.\n")
		record.Conn.Close()
	}
	if c.listener.log != nil {
		c.listener.log.Printf("TLS handshake error from %s: %v", c.RemoteAddr(), err)
	}
	return io.EOF // net/http needs no more than that there is no request
}

// CloseWrite lets net/http end an answer to a request whose body it did not read, as it does on a TCP connection.
func (c *recorder) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// NetConn is the connection below, to ask what it is.
func (c *recorder) NetConn() net.Conn { return c.Conn }

// ConnectionState is that of TLS; the zero value when there is none. WebSockets ask for it.
func (c *recorder) ConnectionState() tls.ConnectionState {
	if secure, ok := c.Conn.(*tls.Conn); ok {
		return secure.ConnectionState()
	}
	return tls.ConnectionState{}
}

// looksLikeHTTP reports whether a TLS record header is the beginning of a request in the clear.
func looksLikeHTTP(b [5]byte) bool {
	switch string(b[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "PATCH", "DELET", "OPTIO":
		return true
	}
	return false
}

// changed follows the connection's states: when it is idle, what comes next belongs to another request.
func (c *recorder) changed(state http.ConnState) {
	switch state {
	case http.StateIdle:
		c.names.Reset()
	case http.StateHijacked, http.StateClosed:
		c.names.Stop()
	}
}

// isRequestLine reports whether line is that of r. Its first byte may be missing: while a request is answered, net/http
// reads one byte ahead to learn whether the client is still there, which may be the first one of the next request.
func isRequestLine(line string, r *http.Request) bool {
	want := r.Method + " " + r.RequestURI + " " + r.Proto
	return len(line) >= len(want)-1 && strings.HasSuffix(want, line)
}

// fields returns the headers of the request, line by line. Where the spelling of their names is not known, they come in
// lower case and in the order of their names.
func (c *call) fields() []restwire.Field {
	if rec, ok := c.r.Context().Value(recorderKey{}).(*recorder); ok {
		if first, names, ok := rec.names.Lines(); ok && isRequestLine(first, c.r) {
			return restwire.Match(names, c.r.Header, textproto.CanonicalMIMEHeaderKey)
		}
	}
	return restwire.Match(nil, c.r.Header, textproto.CanonicalMIMEHeaderKey)
}

// peer is where the request comes from.
func (c *call) peer() access.Peer {
	if rec, ok := c.r.Context().Value(recorderKey{}).(*recorder); ok {
		return peer.Of(rec)
	}
	return peer.At(c.r.RemoteAddr, c.r.TLS)
}

// certificates returns the client's chain, leaf first, of which it holds the leaf's key; nil: it has shown none.
func (c *call) certificates() []*x509.Certificate {
	if rec, ok := c.r.Context().Value(recorderKey{}).(*recorder); ok {
		return rec.ConnectionState().PeerCertificates
	}
	return nil
}
