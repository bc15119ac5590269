package device

import (
	"crypto/tls"
	"errors"
	"net"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/mqttwire"
)

// The ways in which serving a connection ends other than by losing it.
var (
	errRenew   = errors.New("the token is to be renewed")
	errClosing = errors.New("the client is being closed")
)

// refusal returns the error for a CONNACK code other than Accepted. IoT Hub says 5 for whatever is wrong with a
// credential, and 3, by some reports, for a disabled device.
//
// Source: MQTT 3.1.1 section 3.2.2.3; Azure/azure-iot-sdk-c doc/connection_and_messaging_reliability.md;
// Azure/azure-iot-sdk-csharp#1485.
func refusal(a *account, code byte) error {
	switch code {
	case mqttwire.RefusedProtocol:
		return hubward.Errorf(hubward.CodeInvalidProtocolVersion, "the hub does not speak MQTT 3.1.1")
	case mqttwire.RefusedIdentifier:
		return hubward.Errorf(hubward.CodeArgumentInvalid, "the hub refused the client id")
	case mqttwire.RefusedUnavailable:
		return hubward.Errorf(hubward.CodeServiceUnavailable, "the hub is not available, try again later")
	case mqttwire.RefusedBadCredentials, mqttwire.RefusedNotAuthorized:
		return hubward.Errorf(hubward.CodeUnauthorizedAccess, "%s", a.unauthorized())
	}
	return hubward.Errorf(hubward.CodeServerError, "the hub refused the log-in with return code %d", code)
}

// isFinal reports whether trying again cannot help: the hub has refused this client as it is.
func isFinal(err error) bool {
	switch hubward.CodeOf(err) {
	case hubward.CodeUnauthorizedAccess, hubward.CodeInvalidProtocolVersion, hubward.CodeArgumentInvalid:
		return true
	}
	return false
}

// unreachable wraps an error of the network, of a proxy or of TLS.
func unreachable(address string, err error) error {
	e := hubward.Wrap(hubward.CodeServiceUnavailable, "", err)
	e.Message = "no connection to " + address
	var none *certificateError
	var proxy *proxyError
	switch {
	case errors.As(err, &none):
		e.Message, e.Err = "there is no certificate to log in with", none.err
	case errors.As(err, &proxy):
		e.Err = proxy // what is around it tells of the request
	}
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &certificate) {
		e.Message = "the certificate of " + address + " is not trusted, see Options.CA"
	}
	return e
}

// lost wraps the error that ended a connection.
func lost(err error) error {
	e := hubward.Wrap(hubward.CodeDeviceConnectionClosed, "", err)
	e.Message = "the connection was lost"
	return e
}

// closedError is what calls on a closed client return. It wraps net.ErrClosed.
func closedError() error {
	e := hubward.Wrap(hubward.CodeInvalidOperation, "", net.ErrClosed)
	e.Message = "the client is closed"
	return e
}

// errNotConnected is what calls on a client return that was never connected.
func errNotConnected() error {
	return hubward.Errorf(hubward.CodeInvalidOperation, "the client is not connected: call Connect first")
}

// errNoIssuing is what a hub says by refusing the subscription to answers.
func errNoIssuing() error {
	return hubward.Errorf(hubward.CodeInvalidOperation, "the hub issues no certificates: it refused the subscription to answers about them")
}

// errPanicked is the failure of a method whose handler panicked.
var errPanicked = errors.New("the handler failed")

// errSubprotocol is the answer of something that is no hub to a WebSocket.
var errSubprotocol = errors.New("the WebSocket does not speak the protocol of a hub")
