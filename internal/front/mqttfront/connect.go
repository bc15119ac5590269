package mqttfront

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/front/peer"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/internal/mqttwire"
)

// storeTimeout bounds what a log-in waits for the registry.
const storeTimeout = 20 * time.Second

// connect handles a CONNECT: it logs the device or module in, answers CONNACK, and sets the session up. After an error the
// connection ends; the client has been told what it can be told.
//
// Source: learn.microsoft.com/azure/iot/iot-mqtt-connect-to-iot-hub; MQTT 3.1.1 section 3.1. That nothing comes before
// CONNACK: MqttIotHubAdapter.cs of Azure/azure-iot-sdk-csharp closes on it.
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
	ctx, cancel := context.WithTimeout(c.ctx, storeTimeout)
	defer cancel()
	present, err := c.login(ctx, &p)
	if err != nil {
		return c.refuse(mqttwire.AppendConnack(nil, false, connackCode(err)), err)
	}
	c.srv.loggedIn(c.nc)
	c.limits.Store(&limits{silence: silence(p.KeepAlive), expires: c.session.link.CloseAfter()})
	c.out.answer(mqttwire.AppendConnack(nil, present, mqttwire.Accepted), false)
	c.srv.logStart(c)
	return nil
}

var errLevel = hubward.Errorf(hubward.CodeInvalidProtocolVersion, "the protocol is not MQTT 3.1.1")

// refuse answers a CONNECT with packet, waits until it has left, and returns reason.
func (c *conn) refuse(packet []byte, reason error) error {
	c.out.answer(packet, true)
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
	s := newSession(c, user.identity, p)
	if s.will != nil {
		if err := s.checkWill(); err != nil {
			return false, err
		}
	}
	principal, err := c.authenticate(ctx, &user, p.Password)
	if err != nil {
		return false, err
	}
	s.link, err = c.srv.hub.Connect(ctx, &principal, hub.ConnectRequest{Identity: user.identity, ModelID: user.modelID, Session: c})
	if err != nil {
		return false, err
	}
	c.session = s
	s.ingest = s.link.Ingest(c.out.confirmed)
	if present, err = s.loadSubscriptions(ctx); err == nil {
		err = s.follow(ctx) // a stored subscription needs no SUBSCRIBE, and misses nothing from CONNACK on
	}
	if err != nil {
		s.will = nil // the client never was connected
	}
	return present, err
}

// authenticate looks at what the client shows: a token as its password, or, without one, its certificate.
//
// Source: learn.microsoft.com/azure/iot/iot-mqtt-connect-to-iot-hub; Azure/azure-iot-sdk-node
// common/transport/mqtt/src/mqtt_base.ts, which sends no password with a certificate.
func (c *conn) authenticate(ctx context.Context, user *userName, password []byte) (access.Principal, error) {
	ref, err := c.srv.hub.HubFor(user.host)
	if err != nil {
		return access.Principal{}, err
	}
	credential := access.Credential{Hub: ref.Name, Identity: user.identity, OnBehalf: true, Chain: user.chain, Token: string(password), Peer: peer.Of(c.nc)}
	if len(password) == 0 {
		credential.Certificates = c.certificates()
	}
	return c.srv.hub.Authenticate(ctx, credential)
}

// certificates returns the client's, leaf first, also those of a connection that a WebSocket carries.
func (c *conn) certificates() []*x509.Certificate {
	if secure, ok := c.nc.(interface{ ConnectionState() tls.ConnectionState }); ok {
		return secure.ConnectionState().PeerCertificates
	}
	return nil
}

// silence is how long the server hears nothing before it gives the client up: one and a half keep-alives, within the
// cap that also stands for "no keep-alive".
//
// Source: learn.microsoft.com/azure/iot/iot-mqtt-connect-to-iot-hub, default keep-alive time-out; [MQTT-3.1.2-24].
func silence(keepAlive time.Duration) time.Duration {
	if keepAlive == 0 {
		return maxSilence
	}
	return min(keepAlive*3/2, maxSilence)
}

// connackCode is the return code for a failed log-in: 5 for whatever is wrong with the credentials, 3 for what a retry
// may mend. 2 and 4 stop the C SDK for good and are never used.
//
// Source: Azure/azure-iot-sdk-c iothub_client/src/iothubtransport_mqtt_common.c and
// doc/connection_and_messaging_reliability.md.
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
