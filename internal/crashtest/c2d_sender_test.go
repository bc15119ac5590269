//go:build crash

package crashtest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"github.com/Azure/go-amqp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/childhub"
	"github.com/hubward/hubward/sas"
	"github.com/hubward/hubward/service"
)

// queueDepth is how many messages wait for a device at most.
const queueDepth = 50

// Pace of the senders.
const (
	maxSendPause = 200 * time.Millisecond // between two messages of a sender
	fullPause    = 50 * time.Millisecond  // before another try when the device's queue is full
	minExpiry    = time.Second            // how long a message lives at least that expires soon; and at most
	maxExpiry    = 3 * time.Second
)

// With these errors the hub has certainly not stored the message. Any other error leaves that open.
var (
	errFull   = errors.New("the queue is full")
	errLate   = errors.New("the message has expired on its way")
	errUnsent = errors.New("the hub was not reached")
)

// outbound is a way to send to devices.
type outbound struct {
	send  func(ctx context.Context, device string, m *hubward.Message) error
	close func()
}

// sender sends messages one after the other.
type sender struct {
	ledger *c2dLedger
	open   func(ctx context.Context) (*outbound, error) // a new connection
	rng    *rand.Rand
}

// send sends until so many messages of all senders were sent, or the hub is gone. Every message is sent again until it is
// accepted, or no answer came.
func (s *sender) send(ctx context.Context, life *life, limit int) error {
	out, err := s.open(ctx)
	if err != nil {
		return life.end(ctx, err)
	}
	defer out.close()
	for m := s.ledger.next(limit); m != nil; m = s.ledger.next(limit) {
		if err := s.sendOne(ctx, out, m); err != nil {
			return life.end(ctx, err)
		}
		if !pauseFor(ctx, time.Duration(s.rng.Int64N(int64(maxSendPause)))) {
			return nil
		}
	}
	return nil
}

func (s *sender) sendOne(ctx context.Context, out *outbound, m *message) error {
	for {
		err := s.try(ctx, out, m)
		switch {
		case errors.Is(err, errFull), errors.Is(err, errLate):
			if pauseFor(ctx, fullPause) {
				continue
			}
			s.ledger.giveBack(m)
			return ctx.Err()
		case errors.Is(err, errUnsent):
			s.ledger.giveBack(m)
		}
		return err
	}
}

// try sends a message once.
func (s *sender) try(ctx context.Context, out *outbound, m *message) error {
	var expires time.Time
	if m.handling == expireSoon {
		// AMQP has milliseconds.
		expires = time.Now().Add(minExpiry + time.Duration(s.rng.Int64N(int64(maxExpiry-minExpiry)))).Truncate(time.Millisecond)
	}
	s.ledger.sending(m, expires)
	err := out.send(ctx, m.device, m.outgoing(expires))
	switch {
	case err == nil:
		s.ledger.sent(m, accepted)
	case errors.Is(err, errFull), errors.Is(err, errLate), errors.Is(err, errUnsent):
		s.ledger.sent(m, unsent)
	default:
		s.ledger.sent(m, unknown)
	}
	return err
}

// openREST sends with the service SDK.
func openREST(hub *childhub.Hub) func(context.Context) (*outbound, error) {
	return func(context.Context) (*outbound, error) {
		c, err := serviceClient(hub)
		if err != nil {
			return nil, violation{err}
		}
		return &outbound{close: c.Close, send: func(ctx context.Context, device string, m *hubward.Message) error {
			return restError(c.SendC2D(ctx, device, m), !m.Expiry.IsZero())
		}}, nil
	}
}

// serviceClient has the owner's rights.
func serviceClient(hub *childhub.Hub) (*service.Client, error) {
	text, err := hub.ConnectionString("HUBWARD_CONNECTION_STRING")
	if err != nil {
		return nil, err
	}
	roots, err := hub.Roots()
	if err != nil {
		return nil, err
	}
	cs, err := sas.ParseConnectionString(text)
	if err != nil {
		return nil, err
	}
	// The connection string names port 443, where the hub is not.
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: cs.HostName},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: dialWithin}).DialContext(ctx, network, hub.HTTPS)
		},
	}
	return service.NewFromConnectionString(text, &service.Options{HTTPClient: &http.Client{Transport: transport}})
}

func restError(err error, expires bool) error {
	var answer *hubward.Error
	var network *net.OpError
	switch {
	case errors.As(err, &answer) && answer.Code == hubward.CodeDeviceMaximumQueueDepth:
		return errFull
	case errors.As(err, &answer) && answer.Code == hubward.CodeArgumentInvalid && expires:
		return errLate
	case errors.As(err, &answer):
		return violation{err}
	case errors.As(err, &network) && network.Op == "dial":
		return fmt.Errorf("%w: %w", errUnsent, err)
	}
	return err
}

// openAMQP sends with a foreign AMQP client.
func openAMQP(hub *childhub.Hub, address string) func(context.Context) (*outbound, error) {
	return func(ctx context.Context) (*outbound, error) {
		user, password, err := serviceLogin(hub)
		if err != nil {
			return nil, violation{err}
		}
		roots, err := hub.Roots()
		if err != nil {
			return nil, violation{err}
		}
		conn, session, err := openSession(ctx, address, roots, user, password)
		if err != nil {
			return nil, err
		}
		link, err := session.NewSender(ctx, "/messages/devicebound", nil)
		if err != nil {
			conn.Close()
			return nil, err
		}
		send := func(ctx context.Context, device string, m *hubward.Message) error {
			select {
			case <-conn.Done():
				return fmt.Errorf("%w: %w", errUnsent, conn.Err())
			default:
			}
			return amqpSendError(link.Send(ctx, amqpMessage(device, m), nil))
		}
		return &outbound{send: send, close: func() { conn.Close() }}, nil
	}
}

// serviceLogin returns the owner's name and password for SASL PLAIN.
func serviceLogin(hub *childhub.Hub) (user, password string, err error) {
	text, err := hub.ConnectionString("HUBWARD_CONNECTION_STRING")
	if err != nil {
		return "", "", err
	}
	cs, err := sas.ParseConnectionString(text)
	if err != nil {
		return "", "", err
	}
	token, err := sas.Sign(cs.HostName, cs.SharedAccessKey, cs.SharedAccessKeyName, time.Now().Add(time.Hour))
	return cs.SharedAccessKeyName + "@sas.root.localhost", token, err
}

func amqpMessage(device string, m *hubward.Message) *amqp.Message {
	to := "/devices/" + device + "/messages/devicebound"
	out := &amqp.Message{
		Properties:            &amqp.MessageProperties{MessageID: m.MessageID, To: &to, ContentType: &m.ContentType},
		ApplicationProperties: map[string]any{"iothub-ack": string(m.Ack)},
		Data:                  [][]byte{m.Body},
	}
	if !m.Expiry.IsZero() {
		out.Properties.AbsoluteExpiryTime = &m.Expiry
	}
	return out
}

func amqpSendError(err error) error {
	e := amqpAnswer(err)
	switch {
	case e == nil:
		return err
	case e.Condition == amqp.ErrCondResourceLimitExceeded:
		return errFull
	case e.Condition == "com.microsoft:argument-out-of-range":
		return errLate
	}
	return violation{err}
}
