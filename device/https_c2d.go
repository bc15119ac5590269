package device

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"sync"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/restwire"
)

// ReceiveC2D locks the device's next message and returns it, or nil when there is none: it does not wait. Calls follow one
// another.
//
// Errors: as SendTelemetry.
func (c *HTTPSClient) ReceiveC2D(ctx context.Context) (*C2DMessage, error) {
	w, err := c.wired(ctx)
	if err != nil {
		return nil, err
	}
	r := w.receiving
	r.mu.Lock()
	defer r.mu.Unlock()
	r.names.Reset()
	a, err := c.doBy(ctx, r.http, &httpsCall{method: http.MethodGet, path: []string{"messages", "deviceBound"}})
	if err != nil || a.status == http.StatusNoContent {
		return nil, err
	}
	m, err := c2dMessage(a, r.spelling(a.status))
	if err != nil {
		return nil, err
	}
	m.settle = (&httpsSettler{client: c, lock: m.LockToken}).settle
	return m, nil
}

// c2dMessage makes a message of an answer whose headers have these names.
func c2dMessage(a *answer, names []string) (*C2DMessage, error) {
	parsed, err := restwire.ParseMessage(restwire.Match(names, a.header, textproto.CanonicalMIMEHeaderKey))
	if err != nil {
		return nil, err
	}
	parsed.Body = a.body
	m := &C2DMessage{Message: *parsed, LockToken: strings.Trim(a.header.Get("ETag"), `"`)}
	if m.LockToken == "" {
		return nil, hubward.Errorf(hubward.CodeServerError, "the hub sent a message without a lock token")
	}
	// What is missing stays zero.
	m.SequenceNumber, _ = strconv.ParseUint(a.header.Get(restwire.Sequence), 10, 64)
	m.EnqueuedTime, _ = restwire.ParseTime(a.header.Get(restwire.EnqueuedTime))
	m.DeliveryCount, _ = strconv.Atoi(a.header.Get(restwire.DeliveryCount))
	return m, nil
}

// httpsSettler settles one message, once.
type httpsSettler struct {
	client *HTTPSClient
	lock   string

	mu   sync.Mutex // held across the call, so that there is one at a time
	done bool
}

// settle is C2DMessage.settle. After an error that may pass it can be called again.
//
// Source: learn.microsoft.com/rest/api/iothub/device/complete-device-bound-notification.
func (s *httpsSettler) settle(ctx context.Context, o settlement) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		return errSettled()
	}
	call := &httpsCall{method: http.MethodDelete, path: []string{"messages", "deviceBound", s.lock}}
	switch o {
	case reject:
		call.query = "&reject"
	case abandon:
		call.method, call.path = http.MethodPost, append(call.path, "abandon")
	}
	_, err := s.client.do(ctx, call)
	s.done = err == nil
	return err
}

// noLock is a lock token that no hub gives.
const noLock = "00000000-0000-0000-0000-000000000000"

// logIn checks the credentials with a call that changes nothing: it completes a message that is not there. Whoever may
// call is told so.
//
// Errors: CodeUnauthorizedAccess, CodeDeviceNotFound, CodeServiceUnavailable, and those with a code of 500 and above.
func (c *HTTPSClient) logIn(ctx context.Context) error {
	_, err := c.do(ctx, &httpsCall{method: http.MethodDelete, path: []string{"messages", "deviceBound", noLock}})
	switch code := hubward.CodeOf(err); {
	case err == nil, code == hubward.CodeDeviceMessageLockLost, code == hubward.CodePreconditionFailed:
		return nil
	case code.HTTPStatus()/100 == 4 && code.HTTPStatus() != http.StatusUnauthorized && code != hubward.CodeDeviceNotFound && code != hubward.CodeThrottled:
		return nil // another way to say that there is no such lock
	}
	return err
}

// receiving is how messages are asked for: one call at a time, on one connection, whose bytes tell how the names of
// properties are spelt. net/http changes their case.
type receiving struct {
	http  *http.Client
	names restwire.Names

	mu sync.Mutex // held during a call
}

// newReceiving takes t over.
func newReceiving(t *http.Transport) *receiving {
	r := &receiving{}
	dial, config, timeout := t.DialContext, t.TLSClientConfig, t.TLSHandshakeTimeout
	t.MaxConnsPerHost = 1
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		return r.remember(dial(ctx, network, address))
	}
	// Not called behind a proxy: then the names arrive in lower case.
	t.DialTLSContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		nc, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		secure := tls.Client(nc, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			nc.Close()
			return nil, err
		}
		return r.remember(secure, nil)
	}
	r.http = &http.Client{Transport: t, CheckRedirect: noRedirect}
	return r
}

func (r *receiving) remember(nc net.Conn, err error) (net.Conn, error) {
	if err != nil {
		return nil, err
	}
	return &rememberedConn{Conn: nc, names: &r.names}, nil
}

// spelling returns the names of the headers of an answer with that status, nil when they are not known.
func (r *receiving) spelling(status int) []string {
	first, names, ok := r.names.Lines()
	if !ok || !strings.HasPrefix(first, "HTTP/1.1 "+strconv.Itoa(status)) {
		return nil
	}
	return names
}

// rememberedConn is a connection whose answers' headers are remembered.
type rememberedConn struct {
	net.Conn
	names *restwire.Names
}

func (c *rememberedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.names.Read(p[:n])
	return n, err
}
