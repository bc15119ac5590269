package amqpfront

import (
	"strings"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/amqpwire"
	"github.com/hubward/hubward/sas"
)

// Open implements amqpengine.Peer: it finds the hub that the connection is for.
func (c *conn) Open(o *amqpwire.Open) *amqpwire.Error {
	c.server.tracer.connected(c.engine)
	if err := c.findHub(o.Hostname); err != nil {
		e := wireError(err)
		c.logger.Info("amqp open refused", "container", o.ContainerID, "error", err, "tracking", c.server.track(e))
		return e
	}
	c.logger.Debug("amqp connection opened", "hub", c.hub.Name, "container", o.ContainerID)
	c.opened()
	return nil
}

// findHub takes the hub that the client names; if it names none, the one it has logged in to, then the one that TLS was
// set up for, then the first one.
//
// Errors: CodeHubNotFound; CodeUnauthorizedAccess when the log-in was for another hub.
func (c *conn) findHub(hostname string) error {
	h := c.server.hub
	login := c.loginHub()
	var err error
	switch name := hostOf(hostname); {
	case name != "":
		c.host = name
		c.hub, err = h.HubFor(name)
	case login.Name != "":
		c.hub = login
	case c.serverName() != "":
		c.host = c.serverName()
		c.hub, err = h.HubFor(c.host)
	default:
		c.hub, err = h.FirstHub()
	}
	if err != nil {
		return err
	}
	if login.Name != "" && !sameHub(login, c.hub) {
		return hubward.Errorf(hubward.CodeUnauthorizedAccess, "the log-in was for another hub")
	}
	if c.host == "" {
		c.host, err = h.HostOf(c.hub)
	}
	c.nobody.Hub = c.hub
	return err
}

// checkHub closes the connection when its hub was deleted, and returns why. A new hub of the same name knows nothing of
// the principals of the old one.
func (c *conn) checkHub() *amqpwire.Error {
	if _, err := c.server.hub.HostOf(c.hub); err == nil {
		return nil
	}
	c.fail(c.hubDeleted(amqpwire.ConnectionForced))
	return c.hubDeleted(amqpwire.NotFound)
}

func (c *conn) hubDeleted(condition amqpwire.Symbol) *amqpwire.Error {
	return newError(condition, "The hub %s was deleted.", c.hub.Name)
}

// serverName is the name by which the client asked for a certificate; empty without TLS or a name.
func (c *conn) serverName() string {
	if t := c.engine.TLS(); t != nil {
		return t.ServerName
	}
	return ""
}

// hostOf takes the host out of what clients write as hostname: "hub.example", "hub.example:5671",
// "localhost/$servicebus/websocket", "amqps://hub.example".
func hostOf(hostname string) string {
	if scheme, rest, ok := strings.Cut(hostname, "://"); ok && isScheme(scheme) {
		hostname = rest
	}
	hostname, _, _ = strings.Cut(hostname, "/")
	return sas.TrimPort(hostname)
}
