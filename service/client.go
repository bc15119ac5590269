package service

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/hubward/hubward/internal/loopback"
	"github.com/hubward/hubward/sas"
)

// APIVersion is the api-version of the calls that the cloud service has too.
const APIVersion = "2021-04-12"

// keysAPIVersion is the first one that has RegenerateDeviceKeys.
const keysAPIVersion = "2024-03-31"

// DefaultTokenTTL is how long a token is good when Options name no other time.
const DefaultTokenTTL = time.Hour

// Options are the settings of a Client. nil and the zero value work.
type Options struct {
	// RootCAs are the authorities that may have signed the hub's certificate; nil: those of the system. A Hubward hub
	// leaves its own in DATA/tls/ca.pem. Not used together with HTTPClient.
	RootCAs *x509.CertPool
	// HTTPClient makes the requests. It must not have a Timeout if Events is used, and none that is shorter than a call of
	// InvokeMethod may take. nil: one of the package's own.
	HTTPClient *http.Client
	// TokenTTL is how long a token is good, at least a minute; a new one is made when a quarter of it is left. Zero:
	// one hour.
	TokenTTL time.Duration
	// Now is the clock that tokens are made by; nil: time.Now.
	Now func() time.Time
	// UserAgent is the User-Agent header; empty: "hubward-service".
	UserAgent string
}

// Client calls one hub. It is safe for concurrent use.
type Client struct {
	host    string // of the connection string, may hold a port
	http    *http.Client
	patient *http.Client // waits for an answer as long as the context lasts
	tokens  *tokenSource
	agent   string
}

// NewFromConnectionString makes a client from the connection string of a shared access policy:
//
//	HostName=hub.example;SharedAccessKeyName=iothubowner;SharedAccessKey=…
//
// HostName may carry a port; the default is 443. Nothing is dialled yet. Errors say what is wrong with the string,
// without quoting its key.
func NewFromConnectionString(connectionString string, o *Options) (*Client, error) {
	cs, err := sas.ParseConnectionString(connectionString)
	if err != nil {
		return nil, fmt.Errorf("service: %w", err)
	}
	if err := checkLogin(&cs); err != nil {
		return nil, fmt.Errorf("service: connection string: %w", err)
	}
	if o == nil {
		o = &Options{}
	}
	tokens, err := newTokenSource(&cs, o)
	if err != nil {
		return nil, fmt.Errorf("service: connection string: %w", err)
	}
	c := &Client{host: cs.HostName, http: o.httpClient(answerTimeout, maxIdlePerHost), patient: o.httpClient(0, maxIdlePatient), tokens: tokens, agent: o.UserAgent}
	if c.agent == "" {
		c.agent = "hubward-service"
	}
	return c, nil
}

func checkLogin(cs *sas.ConnectionString) error {
	switch {
	case cs.Endpoint != "":
		return errors.New("this one is for the Event-Hubs-compatible endpoint (it has Endpoint), one with HostName and SharedAccessKeyName is needed")
	case cs.DeviceID != "":
		return errors.New("this one is a device's (it has DeviceId), one of a policy with SharedAccessKeyName is needed")
	case cs.SharedAccessSignature == "" && cs.SharedAccessKeyName == "":
		return errors.New("SharedAccessKeyName is missing")
	case cs.SharedAccessSignature == "" && cs.SharedAccessKey == "":
		return errors.New("SharedAccessKey is missing")
	}
	if u, err := url.Parse("https://" + cs.HostName); err != nil || u.Host != cs.HostName {
		return fmt.Errorf("HostName %.64q is no host name", cs.HostName)
	}
	return nil
}

// HostName returns the host name of the connection string; it may hold a port.
func (c *Client) HostName() string { return c.host }

// Close closes idle connections. The client stays usable.
func (c *Client) Close() {
	c.http.CloseIdleConnections()
	c.patient.CloseIdleConnections()
}

// Timeouts of the package's own HTTP client. A call as a whole is bounded by its context.
const (
	dialTimeout    = 10 * time.Second
	tlsTimeout     = 10 * time.Second
	answerTimeout  = 60 * time.Second
	idleTimeout    = 90 * time.Second
	maxIdlePerHost = 16
	maxIdlePatient = 256 // calls that wait for devices are many at a time
)

// httpClient returns that of the options, or one that waits so long for an answer, 0 for as long as the context lasts, and keeps
// so many idle connections.
func (o *Options) httpClient(answer time.Duration, idle int) *http.Client {
	client := &http.Client{}
	if o.HTTPClient != nil {
		*client = *o.HTTPClient
	} else {
		client.Transport = &http.Transport{
			Proxy:                 loopback.Proxy,
			DialContext:           (&loopback.Dialer{Dialer: net.Dialer{Timeout: dialTimeout}}).DialContext,
			TLSClientConfig:       &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:   tlsTimeout,
			ResponseHeaderTimeout: answer,
			IdleConnTimeout:       idleTimeout,
			MaxIdleConnsPerHost:   idle,
			ForceAttemptHTTP2:     true,
		}
	}
	// A hub never redirects, and a token must not follow one to another host.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return client
}
