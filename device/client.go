package device

import (
	"context"
	"crypto/tls"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"

	"github.com/hubward/hubward"
)

// Client is one device (or module) that talks to its hub. Make it with NewFromConnectionString, then Connect, and
// Close it at the end. Its methods are safe for concurrent use.
type Client struct {
	// Set by the constructor, never changed after.
	opts    Options // without zeros
	account account
	tls     *tlsConfigs
	log     *slog.Logger
	life    context.Context // ends when the client must let go
	end     context.CancelFunc
	slots   chan struct{} // holds one token per message in the outbox
	wake    chan struct{} // tells the writer that there is something to do
	idle    chan struct{} // closed when the client is closing and everything is confirmed
	done    chan struct{} // closed when the client has ended
	in      inbox

	taking     context.Context // ends with life, or when no more messages are to be taken
	stopTaking context.CancelFunc
	handlers   handlers

	twin    twinCalls
	desired desiredFeed
	methods methods
	inputs  inputs

	certificates certificateCalls

	transport transport

	connecting sync.Mutex // held by Connect, across I/O; taken before mu

	mu       sync.Mutex // guards the fields below; never held across I/O or callbacks
	out      outbox
	started  bool // run has been started
	closing  bool // Close has been called
	draining bool // the writer waits for confirmations
	err      error
	lost     int // messages that were not confirmed when the client ended
}

// NewFromConnectionString makes a client for the device or module of a connection string. It does not connect yet.
// These are understood:
//
//	HostName=…;DeviceId=…[;ModuleId=…];SharedAccessKey=…          the client makes SAS tokens and renews them
//	HostName=…;DeviceId=…;SharedAccessKeyName=…;SharedAccessKey=… the same with the key of a policy
//	HostName=…;DeviceId=…;SharedAccessSignature=…                 a ready token; when it expires, so does the log-in
//	HostName=…;DeviceId=…[;ModuleId=…];x509=true                  a certificate: Options.ClientCertificate or GetClientCertificate
//
// HostName may hold a port, which is dialled instead of the protocol's. GatewayHostName, where given, is dialled instead of
// HostName. nil opts means the defaults. Errors have CodeArgumentInvalid and quote no key.
func NewFromConnectionString(cs string, opts *Options) (*Client, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	a, err := parseAccount(cs, o.Protocol.port())
	if err != nil {
		return nil, err
	}
	if err := o.checkCertificate(&a); err != nil {
		return nil, err
	}
	if o.OnMessage != nil && a.identity.Module != "" {
		return nil, hubward.Errorf(hubward.CodeArgumentInvalid, "device.Options: OnMessage: a module gets no cloud-to-device messages, what an Edge hub sends it goes to OnInput")
	}
	c := &Client{
		opts:    o,
		account: a,
		tls:     newTLSConfigs(&o, &a),
		log:     o.Logger.With("device", a.identity.String()),
		slots:   make(chan struct{}, o.MaxInFlight),
		wake:    make(chan struct{}, 1),
		idle:    make(chan struct{}),
		done:    make(chan struct{}),
		in:      inbox{arrived: make(chan struct{}, 1)},

		handlers: handlers{idle: make(chan struct{})},
		twin:     twinCalls{slots: make(chan struct{}, maxTwinCalls)},
		desired:  desiredFeed{wake: make(chan struct{}, 1)},
		methods:  methods{limit: o.MaxMethods},
	}
	c.transport = o.Protocol.transport(c)
	if c.opts.random == nil {
		c.opts.random = rand.Float64
	}
	c.life, c.end = context.WithCancel(context.Background())
	c.taking, c.stopTaking = context.WithCancel(c.life)
	return c, nil
}

// tlsConfig returns the settings for connections to server.
func tlsConfig(o *Options, server string) *tls.Config {
	config := o.TLSConfig.Clone()
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	}
	if o.CA != nil {
		config.RootCAs = o.CA
	}
	if config.ServerName == "" {
		config.ServerName = server
	}
	return config
}

// Connect connects and returns when the hub has accepted the log-in. From then on the client keeps itself connected;
// Done and Options.OnState tell when it no longer can. After an error Connect may be called again; on a client that is
// connected, or reconnecting by itself, it does nothing.
//
// Errors: CodeUnauthorizedAccess when the hub refuses the credentials, CodeServiceUnavailable when it cannot be reached
// (the cause is wrapped, ctx.Err() included) or asks to try later; an error that wraps net.ErrClosed after Close.
func (c *Client) Connect(ctx context.Context) error {
	c.connecting.Lock()
	defer c.connecting.Unlock()
	if up, err := c.running(); up || err != nil {
		return err
	}
	c.report(Connecting, nil)
	cn, err := c.transport.open(ctx)
	if err != nil {
		c.report(Disconnected, err)
		if _, ended := c.running(); ended != nil {
			return ended
		}
		return err
	}
	c.mu.Lock()
	c.started = !c.closing
	started := c.started
	c.mu.Unlock()
	if !started {
		cn.discard()
		return closedError()
	}
	c.report(Connected, nil)
	go c.run(cn) // ends with c.done, which Close waits for
	if c.opts.OnMessage != nil && c.handlers.start() {
		go c.handle() // ends with c.taking, and with it c.handlers, which Close waits for
	}
	c.startInputs()
	c.startFollowing()
	return nil
}

// running reports whether the client has been started, or why it no longer can be used.
func (c *Client) running() (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.started, c.endedLocked()
}

// endedLocked returns why the client takes no more calls, or nil.
func (c *Client) endedLocked() error {
	if c.err == nil && c.closing {
		return closedError()
	}
	return c.err
}

// Done is closed when the client has ended for good: closed, or refused by the hub. Err says which.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err returns why the hub refused the client, e.g. with CodeUnauthorizedAccess when its key was changed or its token
// expired, and nil while the client works and after Close.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close refuses new messages, waits until all others are confirmed, logs off and ends the client's goroutines. When
// ctx ends first, it gives the rest up: their senders get an error, and Close one with CodeRequestTimeout that wraps
// ctx.Err(); the hub may have stored them or not. Close returns at most a few seconds after the end of ctx. It may be
// called more than once; each call waits. Calls of Options.OnMessage, OnDesired and methods have their contexts ended; Drain lets them
// end by themselves.
func (c *Client) Close(ctx context.Context) error {
	c.stopHandlers()
	c.mu.Lock()
	if !c.closing {
		c.closing = true
		if len(c.out.queue) == 0 {
			close(c.idle)
		}
		if !c.started {
			close(c.done)
		}
	}
	c.mu.Unlock()
	select {
	case <-c.idle:
	case <-c.done:
	case <-ctx.Done():
	}
	c.end()
	<-c.done
	ended := c.awaitHandlers(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lost == 0 && ended {
		return nil
	}
	err := hubward.Wrap(hubward.CodeRequestTimeout, "", context.Cause(ctx))
	err.Message = "closed with " + strconv.Itoa(c.lost) + " messages unconfirmed"
	if !ended {
		err.Message += ", and OnMessage, OnDesired or a method still running"
	}
	return err
}

// report tells the application and the log about a change of state. Calls do not overlap: Connect makes them until run
// starts, run from then on.
func (c *Client) report(s State, err error) {
	if err != nil {
		c.log.Info("device client "+s.String(), "hub", c.account.hub, "reason", err)
	} else {
		c.log.Info("device client "+s.String(), "hub", c.account.hub)
	}
	if c.opts.OnState != nil {
		c.opts.OnState(s, err)
	}
}
