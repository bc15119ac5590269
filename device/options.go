package device

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/url"
	"runtime"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/loopback"
)

// Options are the settings of a Client. nil and the zero value mean the defaults.
type Options struct {
	// CA holds the certificate authorities to trust, e.g. the hub's tls/ca.pem. nil: those of the system.
	CA *x509.CertPool
	// TLSConfig is the base of the TLS settings. CA, when set, replaces its RootCAs; an empty ServerName becomes the
	// host that is dialled. nil: TLS 1.2 or later.
	TLSConfig *tls.Config
	// ClientCertificate is the certificate to log in with, for a connection string with x509=true: the device's, then those
	// between it and the authority that the hub knows, and the private key; tls.LoadX509KeyPair reads it from files. nil: none, or
	// GetClientCertificate.
	ClientCertificate *tls.Certificate
	// GetClientCertificate returns the same for the next connection, so that a certificate can be renewed while the client runs:
	// it is called before each connection and, over HTTPS, before each call, from several goroutines. An error is that of
	// the attempt to connect, which the client repeats. nil: none, or ClientCertificate.
	GetClientCertificate func(ctx context.Context) (*tls.Certificate, error)

	// Protocol is how the client talks to the hub. Zero: MQTT.
	Protocol Protocol

	// ModelID is the Plug and Play model of the device, such as "dtmi:com:example:Thermostat;1". Empty: none.
	ModelID string
	// Product is what the hub logs as the kind of client. Empty: this SDK, Go version and platform.
	Product string

	// KeepAlive is the longest silence on an MQTT connection, in whole seconds from 1 s to 1177 s. Silence of three
	// quarters of it leads to a ping, and a ping that stays unanswered for another quarter to a reconnect. Zero: 60 s.
	KeepAlive time.Duration
	// TokenTTL is how long the SAS tokens live that the client makes, from 1 s to 1 year. At 85 % of it the client
	// makes a new one, for which MQTT needs a new connection. Zero: 1 h. It has no meaning for a connection string with a ready token.
	TokenTTL time.Duration
	// MaxInFlight bounds the messages that are sent and not confirmed, from 1 to 10,000. Zero: 100.
	MaxInFlight int
	// MaxMethods bounds the direct methods that are carried out at once, from 1 to 1,000; others wait. Zero: 16.
	MaxMethods int
	// Backoff says how fast a lost connection is tried again.
	Backoff Backoff

	// Dial makes the TCP connection. nil: a net.Dialer, for which names below .localhost are this machine (RFC 6761 6.3).
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Proxy returns the proxy for connections by WebSocket and HTTPS to a URL, nil for none: an http one, which is asked to
	// CONNECT, with the name and the password in its URL, or an https or socks5 one. MQTT and AMQP on their own ports use none, as
	// in the official SDKs. nil: what HTTPS_PROXY and NO_PROXY say, as
	// with http.ProxyFromEnvironment, which takes none for localhost and 127.0.0.1; names below .localhost are like these.
	Proxy func(target *url.URL) (*url.URL, error)
	// OnState is told about every change of state, in order, one at a time; err says why a connection was lost or why
	// the client stopped. It must not block or call the client. nil: nobody is told.
	OnState func(state State, err error)
	// OnMessage is called with every cloud-to-device message from Connect on, one after another, in the order of their queue,
	// on a goroutine of the client. What it returns settles the message, unless it has done so itself: nil completes it,
	// ErrReject rejects it, any other error gives it back, which counts as a delivery. Over MQTT, which knows completion
	// alone, a message with an error is left to the hub, which sends it again when its lock, of a minute, has ended or on
	// the next connection. So a message may come more than once. ctx ends with the client. It must not call Close or Drain,
	// and does not return to the client by a panic, which ends the program. nil: Receive is there.
	OnMessage func(ctx context.Context, m *C2DMessage) error
	// Logger gets connects, losses and renewals, without payloads and tokens. nil: nothing is logged.
	Logger *slog.Logger
	// Now is the clock that tokens are dated by. nil: time.Now.
	Now func() time.Time

	plain  bool           // tests only: no TLS on the dialled connection
	random func() float64 // jitter, in [0, 1)
}

// Backoff is the pause between attempts to connect: none before the first one after a loss, then Min, doubled each
// time up to Max, each shortened by a random part of up to half. It starts over once a connection has confirmed a
// message or lasted for Max.
type Backoff struct {
	Min time.Duration // zero: 100 ms
	Max time.Duration // zero: 10 s
}

// State says whether a Client is connected.
type State int

// The states of a Client.
const (
	Connecting   State = iota + 1
	Connected          // the hub has accepted the log-in
	Disconnected       // the connection is lost; the client will try again (after a failed Connect: the caller must)
	Closed             // for good: closed, or refused by the hub
)

// String returns the state's name in lower case.
func (s State) String() string {
	switch s {
	case Connecting:
		return "connecting"
	case Connected:
		return "connected"
	case Disconnected:
		return "disconnected"
	case Closed:
		return "closed"
	}
	return "unknown"
}

const (
	defaultKeepAlive   = 60 * time.Second
	maxKeepAlive       = 1177 * time.Second // IoT Hub times out after 29.45 minutes at most, which is 1.5 times this
	defaultTokenTTL    = time.Hour
	maxTokenTTL        = 365 * 24 * time.Hour
	defaultMaxInFlight = 100
	maxMaxInFlight     = 10_000
	defaultMaxMethods  = 16
	maxMaxMethods      = 1000
	defaultBackoffMin  = 100 * time.Millisecond
	defaultBackoffMax  = 10 * time.Second
)

// withDefaults returns o with every zero replaced, or an error that names the setting that is out of range.
func (o *Options) withDefaults() (Options, error) {
	var d Options
	if o != nil {
		d = *o
	}
	setDefault(&d.KeepAlive, defaultKeepAlive)
	setDefault(&d.TokenTTL, defaultTokenTTL)
	setDefault(&d.MaxInFlight, defaultMaxInFlight)
	setDefault(&d.MaxMethods, defaultMaxMethods)
	setDefault(&d.Backoff.Min, defaultBackoffMin)
	setDefault(&d.Backoff.Max, max(defaultBackoffMax, d.Backoff.Min))
	setDefault(&d.Product, "hubward-device ("+runtime.Version()+"; "+runtime.GOOS+"; "+runtime.GOARCH+")")
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Dial == nil {
		d.Dial = new(loopback.Dialer).DialContext
	}
	if d.Proxy == nil {
		d.Proxy = environmentProxy
	}
	return d, d.validate()
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (o *Options) validate() error {
	refuse := func(format string, args ...any) error {
		return hubward.Errorf(hubward.CodeArgumentInvalid, "device.Options: "+format, args...)
	}
	switch {
	case o.Protocol < MQTT || o.Protocol > HTTPS:
		return refuse("Protocol is %d, which is none", o.Protocol)
	case o.KeepAlive < time.Second || o.KeepAlive > maxKeepAlive || o.KeepAlive%time.Second != 0:
		return refuse("KeepAlive is %v, it must be whole seconds from 1s to %v", o.KeepAlive, maxKeepAlive)
	case o.TokenTTL < time.Second || o.TokenTTL > maxTokenTTL:
		return refuse("TokenTTL is %v, it must be from 1s to %v", o.TokenTTL, maxTokenTTL)
	case o.MaxInFlight < 1 || o.MaxInFlight > maxMaxInFlight:
		return refuse("MaxInFlight is %d, it must be from 1 to %d", o.MaxInFlight, maxMaxInFlight)
	case o.MaxMethods < 1 || o.MaxMethods > maxMaxMethods:
		return refuse("MaxMethods is %d, it must be from 1 to %d", o.MaxMethods, maxMaxMethods)
	case o.Backoff.Min < 0 || o.Backoff.Max < o.Backoff.Min:
		return refuse("Backoff is %v to %v, it must grow from a positive duration", o.Backoff.Min, o.Backoff.Max)
	}
	return nil
}
