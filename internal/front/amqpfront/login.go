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
// Source: spec/amqp.md 2.2 and 2.3.
func (c *conn) Login(l amqpengine.Login) amqpwire.SASLCode {
	err := c.logIn(l)
	if err == nil {
		return amqpwire.SASLOK
	}
	c.logger.Info("amqp log-in refused", "mechanism", l.Mechanism, "error", err)
	if conditionOf(hubward.CodeOf(err)) == amqpwire.InternalError {
		return amqpwire.SASLSysTemp
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
	at := strings.LastIndex(user, "@sas.")
	if at < 0 {
		return c.logInWithKey(l.Hostname, user, password)
	}
	t, g, err := c.tokenGrant(password)
	if err != nil {
		return err
	}
	name, hubLabel := user[:at], user[at+len("@sas."):]
	if strings.HasPrefix(strings.ToLower(hubLabel), "root.") {
		if g.Policy != name {
			return refused("the token is not of the policy that logs in")
		}
	} else if device, module, _ := strings.Cut(name, "/"); !g.Allows(access.DeviceConnect, devicePath(hubward.Identity{Device: device, Module: module})...) {
		return refused("the token is not for the device that logs in")
	}
	return c.addGrant(tokenScope(t), g)
}

// tokenGrant checks a token before it is known which hub the connection is for.
func (c *conn) tokenGrant(text string) (*sas.Token, access.Grant, error) {
	t, err := sas.Parse(text)
	if err != nil {
		return nil, access.Grant{}, &hubward.Error{Code: hubward.CodeUnauthorizedAccess, Err: err}
	}
	hub, err := c.server.hub.HubFor(t.Host())
	if err != nil {
		return nil, access.Grant{}, err
	}
	g, err := c.server.hub.GrantToken(c.engine.Context(), hub, text)
	return &t, g, err
}

func (c *conn) logInWithKey(hostname, policy, key string) error {
	h := c.server.hub
	hub, err := h.HubFor(hostOf(hostname))
	if err != nil {
		if hub, err = h.HubFor(c.serverName()); err != nil {
			hub = "" // the hub that has such a policy with such a key
		}
	}
	g, err := h.GrantPolicyKey(hub, policy, key)
	if err != nil {
		return err
	}
	return c.addGrant("key of "+policy, g)
}

// devicePath is the path below the host of what an identity owns.
func devicePath(id hubward.Identity) []string {
	if id.Module == "" {
		return []string{"devices", id.Device}
	}
	return []string{"devices", id.Device, "modules", id.Module}
}

// refused makes the error of a log-in that fails before the hub is asked. The reason is for the log alone.
func refused(reason string) error {
	return &hubward.Error{Code: hubward.CodeUnauthorizedAccess, Message: "Unauthorized", Err: errors.New(reason)}
}
