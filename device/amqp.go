package device

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Azure/go-amqp"

	"github.com/hubward/hubward"
)

// amqpTransport speaks AMQP 1.0, through github.com/Azure/go-amqp.
type amqpTransport struct{ client *Client }

func (t *amqpTransport) batches() bool { return true }

// amqpConn is one AMQP connection with a granted token, or with a client certificate. Its links are those of one device.
//
// Besides those of the protocol library there are serve, one goroutine that sends, one that waits for outcomes and, once the
// program wants it, one that receives messages, two for the twin and one for methods. serve waits for the others.
type amqpConn struct {
	// Set before serve, never changed after.
	client  *Client
	conn    *amqp.Conn
	session *amqp.Session
	cbs     *cbs // nil with a certificate
	events  *amqp.Sender
	born    time.Time
	renew   time.Duration // of the token; 0: never

	useful   atomic.Bool    // a message was confirmed on it, or a request answered
	wake     chan struct{}  // tells the goroutine that sends that there is something to send
	wakeTwin chan struct{}  // the same, of the twin
	failed   chan error     // one of each goroutine
	wg       sync.WaitGroup // the goroutines
}

// amqpGoroutines is how many there are besides serve, at most.
const amqpGoroutines = 6

// open connects, logs in and attaches the telemetry link.
func (t *amqpTransport) open(ctx context.Context) (connection, error) {
	c := t.client
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	nc, err := t.dial(ctx)
	if err != nil {
		return nil, unreachable(c.account.address, err)
	}
	opts := &amqp.ConnOptions{HostName: c.account.hub}
	if !c.account.byCertificate { // else there is no SASL: Azure/azure-iot-sdk-c iothub_client/src/iothubtransport_amqp_connection.c
		opts.SASLType = amqp.SASLTypeAnonymous()
	}
	conn, err := amqp.NewConn(ctx, nc, opts)
	if err != nil {
		nc.Close()
		return nil, unreachable(c.account.address, err)
	}
	ac := &amqpConn{client: c, conn: conn, born: time.Now(),
		wake: make(chan struct{}, 1), wakeTwin: make(chan struct{}, 1), failed: make(chan error, amqpGoroutines)}
	if err := ac.logIn(ctx); err != nil {
		conn.Close()
		return nil, amqpError(&c.account, err)
	}
	return ac, nil
}

func (t *amqpTransport) dial(ctx context.Context) (net.Conn, error) {
	if t.client.opts.Protocol == AMQPWebSocket {
		return t.client.dialWebSocket(ctx, subprotocolAMQP)
	}
	return t.client.dial(ctx)
}

func (ac *amqpConn) logIn(ctx context.Context) (err error) {
	if ac.session, err = ac.conn.NewSession(ctx, nil); err != nil {
		return err
	}
	if !ac.client.account.byCertificate {
		if ac.cbs, err = openCBS(ctx, ac.session); err != nil {
			return err
		}
		if err := ac.putToken(ctx); err != nil {
			return err
		}
	}
	mode := amqp.SenderSettleModeUnsettled
	ac.events, err = ac.session.NewSender(ctx, ac.address("messages/events"), &amqp.SenderOptions{
		SettlementMode: &mode, Properties: ac.linkProperties(),
	})
	return err
}

// address returns a node of the device: that of its telemetry ("messages/events"), its messages ("messages/devicebound"),
// its twin ("twin") or its methods ("methods/devicebound").
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-amqp-support.
func (ac *amqpConn) address(node string) string {
	id := ac.client.account.identity
	address := "/devices/" + url.PathEscape(id.Device)
	if id.Module != "" {
		address += "/modules/" + url.PathEscape(id.Module)
	}
	return address + "/" + node
}

// linkProperties are what the hub is told with each link.
//
// Source: Azure/azure-iot-sdk-node device/transport/amqp/src/amqp.ts.
func (ac *amqpConn) linkProperties() map[string]any {
	p := map[string]any{
		"com.microsoft:client-version": ac.client.opts.Product,
		"com.microsoft:api-version":    apiVersion,
	}
	if ac.client.opts.ModelID != "" {
		p["com.microsoft:model-id"] = ac.client.opts.ModelID
	}
	return p
}

// putToken gives the hub a token.
func (ac *amqpConn) putToken(ctx context.Context) error {
	a := &ac.client.account
	token, renew, err := a.token(ac.client.opts.Now(), ac.client.opts.TokenTTL)
	if err != nil {
		return err
	}
	ac.renew = renew
	return ac.cbs.put(ctx, a, token)
}

func (ac *amqpConn) discard() { ac.conn.Close() }

func (ac *amqpConn) proven(lifetime time.Duration) bool {
	return ac.useful.Load() || time.Since(ac.born) >= lifetime
}

// serve implements connection.
func (ac *amqpConn) serve() error {
	ctx, cancel := context.WithCancel(context.Background())
	receipts := make(chan amqpReceipt, ac.client.opts.MaxInFlight) // as many as can be in the outbox
	ac.start(func() error { return ac.send(ctx, receipts) })
	ac.start(func() error { return ac.confirm(ctx, receipts) })
	err := ac.watch(ctx)
	cancel()
	ac.conn.Close()
	ac.wg.Wait()
	ac.client.in.clear() // the hub hands them out again
	return err
}

// start runs part of serve on a goroutine of its own. Its end is the end of the connection.
func (ac *amqpConn) start(part func() error) { ac.wg.Go(func() { ac.failed <- part() }) }

// watch renews the token and starts what the program wants, until the connection or the client's life ends.
func (ac *amqpConn) watch(ctx context.Context) error {
	c := ac.client
	var due <-chan time.Time
	if ac.renew > 0 {
		timer := time.NewTicker(ac.renew)
		defer timer.Stop()
		due = timer.C
	}
	var started feed
	for {
		for _, goroutine := range []chan struct{}{ac.wake, ac.wakeTwin} { // what was there before goes out at once
			select {
			case goroutine <- struct{}{}:
			default:
			}
		}
		wanted := c.wantedFeeds()
		ac.startFeeds(ctx, wanted&^started)
		started |= wanted
		select {
		case <-c.wake:
		case <-due:
			if err := ac.renewToken(ctx); err != nil {
				return err
			}
		case err := <-ac.failed:
			return err
		case <-ac.conn.Done():
			return ac.conn.Err()
		case <-c.life.Done():
			return errClosing
		}
	}
}

// startFeeds starts what the program wants besides telemetry.
func (ac *amqpConn) startFeeds(ctx context.Context, wanted feed) {
	if wanted&feedMessages != 0 {
		ac.start(func() error { return ac.receive(ctx) })
	}
	if wanted&feedTwin != 0 { // serves the desired properties, too
		ac.start(func() error { return ac.serveTwin(ctx) })
	}
	if wanted&feedMethods != 0 {
		ac.start(func() error { return ac.serveMethods(ctx) })
	}
}

// renewToken gives the hub the next token; the links stay.
func (ac *amqpConn) renewToken(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := ac.putToken(ctx); err != nil {
		return fmt.Errorf("the token was not renewed: %w", err)
	}
	ac.client.log.Debug("device client renewed its token")
	return nil
}

// amqpError returns the error for a connection that was not accepted.
//
// Source: Azure/azure-iot-sdk-node common/transport/amqp/src/amqp_common_errors.ts.
func amqpError(a *account, err error) error {
	var e *amqp.Error
	var refused *hubward.Error
	switch {
	case errors.As(err, &refused):
		return err
	case errors.As(err, &e):
		wrapped := hubward.Wrap(codeOfCondition(e.Condition), "", err)
		wrapped.Message = a.unauthorized()
		if wrapped.Code == hubward.CodeDeviceNotFound || wrapped.Code == hubward.CodeUnauthorized {
			wrapped.Code = hubward.CodeUnauthorizedAccess // as over MQTT
		}
		return wrapped
	}
	return unreachable(a.address, err)
}

// codeOfCondition returns the code for an AMQP error condition of a hub.
func codeOfCondition(condition amqp.ErrCond) hubward.Code {
	switch condition {
	case amqp.ErrCondUnauthorizedAccess:
		return hubward.CodeUnauthorizedAccess
	case amqp.ErrCondNotFound:
		return hubward.CodeDeviceNotFound
	case amqp.ErrCondMessageSizeExceeded:
		return hubward.CodeMessageTooLarge
	case amqp.ErrCondResourceLimitExceeded:
		return hubward.CodeQuotaExceeded
	case amqp.ErrCondNotAllowed, amqp.ErrCondNotImplemented, amqp.ErrCondInvalidField,
		"com.microsoft:argument-error", "com.microsoft:argument-out-of-range":
		return hubward.CodeArgumentInvalid
	case "com.microsoft:message-lock-lost":
		return hubward.CodeDeviceMessageLockLost
	case "com.microsoft:device-container-throttled":
		return hubward.CodeThrottled
	}
	return hubward.CodeServiceUnavailable
}

// cbs is the pair of links on which a connection gets its token granted.
type cbs struct {
	reply    string
	sender   *amqp.Sender
	receiver *amqp.Receiver
	lastID   uint64
}

func openCBS(ctx context.Context, s *amqp.Session) (*cbs, error) {
	b := &cbs{reply: "cbs-" + rand.Text()}
	var err error
	if b.sender, err = s.NewSender(ctx, "$cbs", nil); err != nil {
		return nil, err
	}
	b.receiver, err = s.NewReceiver(ctx, "$cbs", &amqp.ReceiverOptions{TargetAddress: b.reply, Credit: 1})
	return b, err
}

// put sends a token and waits for the hub's word on it. One call at a time.
//
// Source: learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-protocol-guide, claims-based authorization.
func (b *cbs) put(ctx context.Context, a *account, token string) error {
	b.lastID++
	id := fmt.Sprintf("%s-%d", b.reply, b.lastID)
	request := &amqp.Message{
		Properties: &amqp.MessageProperties{MessageID: id, ReplyTo: &b.reply},
		ApplicationProperties: map[string]any{
			"operation": "put-token", "type": "servicebus.windows.net:sastoken", "name": a.resource(),
		},
		Value: token,
	}
	if err := b.sender.Send(ctx, request, nil); err != nil {
		return err
	}
	for {
		answer, err := b.receiver.Receive(ctx, nil)
		if err != nil {
			return err
		}
		if err := b.receiver.AcceptMessage(ctx, answer); err != nil {
			return err
		}
		if answer.Properties == nil || answer.Properties.CorrelationID == nil || answer.Properties.CorrelationID == any(id) {
			return cbsOutcome(a, answer)
		}
	}
}

// cbsOutcome returns what the hub said to a token, nil for yes.
func cbsOutcome(a *account, answer *amqp.Message) error {
	status, _ := answer.ApplicationProperties["status-code"].(int32)
	switch {
	case status >= 200 && status < 300:
		return nil
	case status == 401 || status == 403 || status == 404:
		return hubward.Errorf(hubward.CodeUnauthorizedAccess, "%s", a.unauthorized())
	case status == 400:
		return hubward.Errorf(hubward.CodeArgumentInvalid, "the hub cannot read the token")
	}
	return hubward.Errorf(hubward.CodeServiceUnavailable, "the hub answered the token with status %d", status)
}
