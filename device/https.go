package device

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/restwire"
)

// HTTPSClient makes single calls to a hub over HTTPS, for devices that wake, say something and sleep again. It has no
// goroutine and no connection to keep; the hub does not show its device as connected. A Client with Protocol HTTPS is made
// of one: it queues, tries again and polls. Make an HTTPSClient with NewHTTPSFromConnectionString and Close it at the end.
// Its methods are safe for concurrent use.
//
// Nothing is sent twice: after an error of the network, or one with CodeServerError, CodeServiceUnavailable or
// CodeGatewayTimeout, the hub may have stored the message or not, and sending it again may duplicate it.
type HTTPSClient struct {
	// Set by the constructor, never changed after.
	account account
	opts    *Options
	tls     *tlsConfigs

	mu     sync.Mutex // guards the fields below
	wires  *httpsWires
	token  string
	renew  time.Time // of the token; zero: never
	closed bool
}

// httpsWires are the connections with one client certificate, or without.
type httpsWires struct {
	tls       *tls.Config
	http      *http.Client
	receiving *receiving
}

// Timeouts of calls, each of which is bounded by its context too.
const (
	httpsTLSTimeout    = 10 * time.Second
	httpsAnswerTimeout = 60 * time.Second
	httpsIdleTimeout   = 90 * time.Second
)

// Bounds of answers, in bytes.
const (
	maxC2DBody   = 256 << 10 // a message to a device has at most 64 KiB
	maxErrorBody = 64 << 10
)

// NewHTTPSFromConnectionString makes a client for the device of a connection string, in the forms that
// NewFromConnectionString takes; the port is 443 if HostName holds none. Nothing is dialled yet. nil opts means the
// defaults; Protocol, KeepAlive, Backoff, ModelID, OnState and Logger mean nothing here, and MaxInFlight is how many idle
// connections are kept.
//
// Errors: CodeArgumentInvalid; they quote no key.
func NewHTTPSFromConnectionString(cs string, opts *Options) (*HTTPSClient, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	a, err := parseAccount(cs, HTTPS.port())
	if err != nil {
		return nil, err
	}
	if err := o.checkCertificate(&a); err != nil {
		return nil, err
	}
	return newHTTPSClient(a, &o, newTLSConfigs(&o, &a)), nil
}

func newHTTPSClient(a account, o *Options, t *tlsConfigs) *HTTPSClient {
	return &HTTPSClient{account: a, opts: o, tls: t}
}

// wired returns the connections to make a call on. With another certificate than before they are new ones; calls on the old
// ones come to their end.
func (c *HTTPSClient) wired(ctx context.Context) (*httpsWires, error) {
	config, err := c.tls.next(ctx)
	if err != nil {
		return nil, c.unreached(ctx, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch old := c.wires; {
	case c.closed:
		return nil, closedError()
	case old == nil:
		c.wires = newHTTPSWires(c.opts, config)
	case old.tls != config:
		c.wires = newHTTPSWires(c.opts, config)
		old.closeIdle()
	}
	return c.wires, nil
}

func newHTTPSWires(o *Options, config *tls.Config) *httpsWires {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true) // HTTP/2 would change the case of the names of properties
	transport := func() *http.Transport {
		t := &http.Transport{
			DialContext:           o.Dial,
			Protocols:             protocols,
			TLSClientConfig:       config,
			TLSHandshakeTimeout:   httpsTLSTimeout,
			ResponseHeaderTimeout: httpsAnswerTimeout,
			IdleConnTimeout:       httpsIdleTimeout,
			MaxIdleConnsPerHost:   o.MaxInFlight,
			DisableCompression:    true,
		}
		o.useProxy(t)
		return t
	}
	return &httpsWires{
		tls: config, http: &http.Client{Transport: transport(), CheckRedirect: noRedirect}, receiving: newReceiving(transport()),
	}
}

func (w *httpsWires) closeIdle() {
	w.http.CloseIdleConnections()
	w.receiving.http.CloseIdleConnections()
}

// noRedirect keeps a client on its hub: a hub never redirects, and a token must not follow one to another host.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Close refuses new calls and closes idle connections; calls that are under way go on. It may be called more than once.
func (c *HTTPSClient) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.wires != nil {
		c.wires.closeIdle()
	}
	return nil
}

// SendTelemetry sends m to the hub and returns nil when the hub has confirmed it, which Hubward does when it is on disk.
// It keeps nothing of m.
//
// Properties travel as HTTP headers. So their names are made of ASCII letters, digits and ! # $ % & ' * + - . ^ _ ` | ~,
// their values hold no control characters and neither begin nor end with a blank, and one without a value arrives with an
// empty one. SendTelemetryBatch has none of these limits.
//
// Errors: CodeMessageTooLarge when m.Size() is above 262,144 bytes; CodeArgumentInvalid for what cannot travel;
// CodeUnauthorizedAccess when the hub refuses the credentials; CodeServiceUnavailable when it cannot be reached (the
// cause is wrapped); ctx.Err(); otherwise what the hub answered.
func (c *HTTPSClient) SendTelemetry(ctx context.Context, m *hubward.Message) error {
	if err := checkSize(m); err != nil {
		return err
	}
	if err := restwire.Check(m); err != nil {
		return err
	}
	r := httpsCall{method: http.MethodPost, path: []string{"messages", "events"}, body: m.Body, fields: restwire.Fields(m), mime: "application/octet-stream"}
	_, err := c.do(ctx, &r)
	return err
}

// SendTelemetryBatch sends messages in one call and returns nil when the hub has confirmed all of them. Together they
// have at most 262,144 bytes, as Message.Size counts them, and are at most 5,000; the cloud service counts their JSON
// instead, in which a body takes a third more. When a message breaks a rule, none is stored.
//
// Errors: as SendTelemetry.
func (c *HTTPSClient) SendTelemetryBatch(ctx context.Context, messages []*hubward.Message) error {
	if err := checkSize(messages...); err != nil {
		return err
	}
	body, err := restwire.AppendBatch(nil, messages)
	if err != nil {
		return err
	}
	r := httpsCall{method: http.MethodPost, path: []string{"messages", "events"}, body: body, mime: restwire.BatchType}
	_, err = c.do(ctx, &r)
	return err
}

func checkSize(messages ...*hubward.Message) error {
	n := 0
	for _, m := range messages {
		n += m.Size()
	}
	if n > hubward.MaxMessageSize {
		return hubward.Errorf(hubward.CodeMessageTooLarge, "what is to be sent has %d bytes, the limit is %d", n, hubward.MaxMessageSize)
	}
	return nil
}

// httpsCall is one call of the hub. Its path is that below the device's.
type httpsCall struct {
	method string
	path   []string
	query  string // besides the api-version
	body   []byte
	fields []restwire.Field
	mime   string
}

// answer is the hub's, read.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do makes a call and returns the hub's answer if it is a success.
func (c *HTTPSClient) do(ctx context.Context, call *httpsCall) (*answer, error) {
	w, err := c.wired(ctx)
	if err != nil {
		return nil, err
	}
	return c.doBy(ctx, w.http, call)
}

func (c *HTTPSClient) doBy(ctx context.Context, by *http.Client, call *httpsCall) (*answer, error) {
	req, err := c.request(ctx, call)
	if err != nil {
		return nil, err
	}
	res, err := by.Do(req)
	if err != nil {
		return nil, c.unreached(ctx, err)
	}
	defer res.Body.Close()
	limit := int64(maxErrorBody)
	if res.StatusCode/100 == 2 {
		limit = maxC2DBody
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	switch {
	case err != nil:
		return nil, c.unreached(ctx, err)
	case res.StatusCode/100 != 2:
		return nil, refusedCall(&c.account, res, body)
	case int64(len(body)) > limit:
		return nil, hubward.Errorf(hubward.CodeServerError, "the answer of %s is larger than %d bytes", c.account.address, limit)
	}
	return &answer{status: res.StatusCode, header: res.Header, body: body}, nil
}

func (c *HTTPSClient) request(ctx context.Context, call *httpsCall) (*http.Request, error) {
	path := []string{"devices", c.account.identity.Device}
	if c.account.identity.Module != "" {
		path = append(path, "modules", c.account.identity.Module)
	}
	address := "https://" + c.account.address
	if c.opts.plain {
		address = "http://" + c.account.address
	}
	for _, segment := range append(path, call.path...) {
		address += "/" + url.PathEscape(segment)
	}
	address += "?api-version=" + apiVersion + call.query
	req, err := http.NewRequestWithContext(ctx, call.method, address, bytes.NewReader(call.body))
	if err != nil {
		return nil, hubward.Errorf(hubward.CodeArgumentInvalid, "%v", err)
	}
	req.Host = c.account.hub // also when a gateway is dialled
	if !c.account.byCertificate {
		token, err := c.currentToken()
		if err != nil {
			return nil, err
		}
		req.Header.Set("Authorization", token)
	}
	req.Header.Set("User-Agent", c.opts.Product)
	if call.mime != "" {
		req.Header.Set("Content-Type", call.mime)
	}
	for _, f := range call.fields {
		req.Header[f.Name] = append(req.Header[f.Name], f.Value) // Set would change the case
	}
	return req, nil
}

// currentToken returns the token to call with, a new one when the last is old.
func (c *HTTPSClient) currentToken() (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.opts.Now()
	if c.token != "" && (c.renew.IsZero() || now.Before(c.renew)) {
		return c.token, nil
	}
	token, renew, err := c.account.token(now, c.opts.TokenTTL)
	if err != nil {
		return "", err
	}
	c.token, c.renew = token, time.Time{}
	if renew > 0 {
		c.renew = now.Add(renew)
	}
	return token, nil
}

// unreached is the error for a call that got no answer.
func (c *HTTPSClient) unreached(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return unreachable(c.account.address, err)
}
