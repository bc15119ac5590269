package mqttfront

import (
	"context"
	"errors"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/mqttwire"
)

// storeTimeout bounds what a log-in waits for the registry.
const storeTimeout = 20 * time.Second

// connect handles a CONNECT: it logs the device in, answers CONNACK, and sets the session up. After an error the
// connection ends; the client has been told what it can be told.
//
// Source: spec/device.md 2.
func (c *conn) connect(body []byte) error {
	p, err := mqttwire.ParseConnect(body)
	if err != nil {
		return err
	}
	switch {
	case p.Level == 5 && p.Protocol == "MQTT":
		return c.refuse(mqttwire.AppendConnackV5(nil, mqttwire.ReasonUnsupportedVersion), errLevel)
	case p.Level != 4:
		return c.refuse(mqttwire.AppendConnack(nil, false, mqttwire.RefusedProtocol), errLevel)
	}
	ctx, cancel := context.WithTimeout(c.srv.ctx, storeTimeout)
	defer cancel()
	present, err := c.login(ctx, &p)
	if err != nil {
		return c.refuse(mqttwire.AppendConnack(nil, false, connackCode(err)), err)
	}
	c.lastRead.Store(c.srv.coarse.Load())
	c.limits.Store(&limits{silence: silence(p.KeepAlive), expires: c.session.link.CloseAfter()})
	c.out.send(mqttwire.AppendConnack(nil, present, mqttwire.Accepted))
	c.srv.logStart(c)
	c.session.receiveC2D() // a stored subscription needs no SUBSCRIBE; nothing comes before CONNACK (row 9)
	return nil
}

var errLevel = hubward.Errorf(hubward.CodeInvalidProtocolVersion, "the protocol is not MQTT 3.1.1")

// refuse answers a CONNECT with packet, waits until it has left, and returns reason.
func (c *conn) refuse(packet []byte, reason error) error {
	c.out.send(packet)
	c.drain()
	return reason
}

// login makes the session of a CONNECT. The hub knows the link from then on; session.end takes it back.
func (c *conn) login(ctx context.Context, p *mqttwire.ConnectPacket) (present bool, err error) {
	user, err := parseUserName(p.User)
	if err != nil {
		return false, err
	}
	if p.ClientID != user.identity.String() {
		return false, hubward.Errorf(hubward.CodeUnauthorizedAccess, "the client id is not the identity of the user name")
	}
	if len(p.Password) == 0 {
		return false, hubward.Errorf(hubward.CodeUnauthorizedAccess, "there is no token")
	}
	s := newSession(c, user, p)
	if s.will != nil {
		if err := s.checkWill(); err != nil {
			return false, err
		}
	}
	s.link, err = c.srv.hub.Connect(ctx, hub.ConnectRequest{
		Host: user.host, Identity: user.identity, Token: string(p.Password), ModelID: user.modelID, Session: c,
	})
	if err != nil {
		return false, err
	}
	c.session = s
	subs, present, err := s.link.StartSession(ctx, p.CleanSession)
	if err != nil {
		s.will = nil // the client never was connected
		return false, err
	}
	s.subscriptions = subs
	s.ingest = s.link.Ingest(c.out.confirmed)
	return present, nil
}

// silence is how long the server hears nothing before it gives the client up: one and a half keep-alives, within the
// cap that also stands for "no keep-alive".
//
// Source: spec/device.md 2.5; [MQTT-3.1.2-24].
func silence(keepAlive time.Duration) time.Duration {
	if keepAlive == 0 {
		return maxSilence
	}
	return min(keepAlive*3/2, maxSilence)
}

// connackCode is the return code for a failed log-in: 5 for whatever is wrong with the credentials, 3 for what a retry
// may mend. 2 and 4 stop the C SDK for good and are never used.
//
// Source: spec/device.md 2.8.
func connackCode(err error) byte {
	var e *hubward.Error
	if errors.As(err, &e) {
		switch e.Code {
		case hubward.CodeUnauthorizedAccess, hubward.CodeUnauthorized, hubward.CodeHubNotFound, hubward.CodeNoSuchHub,
			hubward.CodeArgumentInvalid, hubward.CodeFormatError, hubward.CodeDeviceNotFound, hubward.CodeModuleNotFound:
			return mqttwire.RefusedNotAuthorized
		}
	}
	return mqttwire.RefusedUnavailable
}
