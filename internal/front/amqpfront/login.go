package amqpfront

import (
	"bytes"
	"errors"
	"strings"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/internal/front/amqpengine"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/sas"
)

// Login implements amqpengine.Peer. ANONYMOUS and MSSBCBS say nothing of who the peer is: it puts a token later, or has
// a certificate.
//
// Source: learn.microsoft.com/azure/iot-hub/iot-hub-amqp-support; MSSBCBS: Azure/azure-uamqp-c src/sasl_mssbcbs.c.
func (c *conn) Login(l amqpengine.Login) amqpwire.SASLCode {
	err := c.logIn(l)
	if err == nil {
		return amqpwire.SASLOK
	}
	c.logger.Info("amqp log-in refused", "mechanism", l.Mechanism, "error", err)
	switch conditionOf(hubward.CodeOf(err)) {
	case amqpwire.InternalError, conditionServerBusy, conditionTimeout:
		return amqpwire.SASLSysTemp // worth a retry
	}
	return amqpwire.SASLAuth
}

func (c *conn) logIn(l amqpengine.Login) error {
	switch l.Mechanism {
	case "ANONYMOUS", "MSSBCBS":
		return nil
	case "EXTERNAL":
		if t := c.engine.TLS(); t == nil || len(t.PeerCertificates) == 0 {
			return refused("there is no client certificate")
		}
		return nil
	case "PLAIN":
		return c.logInPlain(l)
	}
	return refused("the mechanism is not supported")
}

// logInPlain takes the three forms of user names: {policy}@sas.root.{hub} and {device}@sas.{hub}, whose password is a
// token, and a policy's name, whose password is its key. What follows "@sas." is the first label of some name of the
// hub; the token says which hub it is for, and proves it.
func (c *conn) logInPlain(l amqpengine.Login) error {
	fields := bytes.Split(l.Response, []byte{0})
	if len(fields) != 3 {
		return refused("the response is not made of three fields")
	}
	user, password := string(fields[1]), string(fields[2])
	if at := strings.LastIndex(user, "@sas."); at >= 0 {
		return c.logInWithToken(user[:at], user[at+len("@sas."):], password)
	}
	return c.logInWithKey(l.Hostname, user, password)
}

func (c *conn) logInWithToken(name, hubLabel, token string) error {
	t, err := sas.Parse(token)
	if err != nil {
		return refused(err.Error())
	}
	if name == "" {
		return refused("the user name names nobody")
	}
	credential := access.Credential{Token: token, Peer: c.peer(), Door: access.DoorEvents}
	byPolicy := strings.HasPrefix(strings.ToLower(hubLabel), "root.")
	if !byPolicy {
		credential.Identity.Device, credential.Identity.Module, _ = strings.Cut(name, "/")
	}
	p, err := c.server.hub.Authenticate(c.engine.Context(), credential)
	if err != nil {
		return err
	}
	if byPolicy && p.Policy != name {
		return refused("the token is not of the policy that logs in")
	}
	return c.hold(tokenScope(&t), p)
}

func (c *conn) logInWithKey(hostname, policy, key string) error {
	h := c.server.hub
	hub, err := h.HubFor(hostOf(hostname))
	if err != nil {
		hub, _ = h.HubFor(c.serverName()) // without either, the hub that has such a policy with such a key
	}
	credential := access.Credential{Hub: hub.Name, Policy: policy, Key: key, Peer: c.peer(), Door: access.DoorEvents}
	p, err := h.Authenticate(c.engine.Context(), credential)
	if err != nil {
		return err
	}
	credential.Hub = p.Hub.Name // the key alone may have told it
	return c.holdKey("key of "+policy, p, credential)
}

// refused makes the error of a log-in that fails before the hub is asked. The reason is for the log alone.
func refused(reason string) error {
	return &hubward.Error{Code: hubward.CodeUnauthorizedAccess, Message: "Unauthorized", Err: errors.New(reason)}
}
